//! Runs ONNX graphs; the only floor that names ONNX Runtime.

mod binding;
mod blocks;
mod environment;
mod error;
mod graphs;
mod instance;
mod onnx;
mod options;
mod packed;
mod plan;
mod prologue;
mod provider;
mod sample;
mod signature;
mod stop;
mod values;
mod wire;

pub use blocks::InputBlocks;
pub use environment::{LIBRARY_VERSION, Runtime};
pub use error::{RuntimeError, lacks_memory};
pub use instance::{ModelInstance, Stop};
pub use options::{PackedInputs, RuntimeOptions};
pub use provider::{CudaOptions, Device, DeviceChoice};
pub use signature::{Dim, Signature, TensorInfo};
