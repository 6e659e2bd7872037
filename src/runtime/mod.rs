//! Runs ONNX graphs; the only floor that names ONNX Runtime.

mod environment;
mod instance;
mod onnx;
mod provider;
mod signature;

pub use environment::{LIBRARY_VERSION, Runtime, RuntimeOptions};
pub use instance::{ModelInstance, RuntimeError};
pub use provider::{CudaOptions, Device, DeviceChoice};
pub use signature::{Dim, Signature, TensorInfo};
