//! The life of model versions: loaded, published, looked up.

mod error;
mod handle;
mod registry;

pub use error::ServingError;
pub use handle::{LoadOptions, ModelHandle, verified_instance};
pub use registry::{LATEST, Registry, Selector};
