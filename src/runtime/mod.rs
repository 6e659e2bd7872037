//! Runs ONNX graphs; the only floor that names ONNX Runtime.

mod environment;
mod instance;
mod onnx;
mod options;
mod provider;
mod signature;

pub use environment::{LIBRARY_VERSION, Runtime};
pub use instance::{ModelInstance, RuntimeError, Stop};
pub use options::RuntimeOptions;
pub use provider::{CudaOptions, Device, DeviceChoice};
pub use signature::{Dim, Signature, TensorInfo};
