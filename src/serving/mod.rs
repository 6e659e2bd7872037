//! The life of model versions: loaded, published, looked up.

mod batch_layout;
mod batch_options;
mod error;
mod handle;
mod invariance;
mod registry;
mod samples;
mod warm_up;

pub use batch_layout::batch_layout;
pub use error::ServingError;
pub use handle::{LoadOptions, ModelHandle, verified_instance};
pub use invariance::{Invariance, check_invariance};
pub use registry::{LATEST, Registry, Selector};
pub use samples::sample_requests;
