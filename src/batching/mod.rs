//! The dynamic batcher: gathers the requests for a model into batches that its device gains from.
//!
//! A request becomes a job ([`ModelQueue::run`]), which waits (`pending`) until an idle instance (`worker`) is told by the
//! rule (`close`) to take its share; `pack` joins the tensors of the pieces that it takes and gives the outputs back. What a run will
//! cost is told by `cost`.

mod close;
mod cost;
mod error;
mod job;
mod layout;
mod options;
mod pack;
mod pending;
mod queue;
mod running;
mod shared;
mod together;
mod worker;

pub use close::Closed;
pub use cost::{CostPoint, CostTable};
pub use error::BatchError;
pub use job::{BatchFacts, Priority, Ran, Trip, Work};
pub use layout::{BatchLayout, InputAxes, Joins, Lead, OutputAxes, PadSide};
pub use options::BatchOptions;
pub use queue::ModelQueue;
pub use together::{join, run_together};
