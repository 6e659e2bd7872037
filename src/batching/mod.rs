//! Puts work in front of model instances, each of which runs on a thread of its own.
//!
//! Today a batch is one request; the dynamic batcher will take the place of the worker's loop.

mod error;
mod queue;
mod work;
mod worker;

pub use error::BatchError;
pub use queue::{ModelQueue, QueueOptions};
pub use work::Ran;
