//! What can go wrong with graphs and their runs.

use crate::error_code::ErrorCode;

/// A failure of the runtime.
#[derive(Debug, Clone, thiserror::Error)]
pub enum RuntimeError {
    /// The library cannot be loaded.
    #[error(
        "ONNX Runtime {wanted} or newer cannot be loaded from {path}: {cause}. \
         Run `scripts/fetch-onnxruntime`, or name a libonnxruntime.so in `runtime.library`"
    )]
    Library {
        /// The oldest version that works.
        wanted: &'static str,
        /// Where it was looked for.
        path: String,
        /// What went wrong.
        cause: String,
    },
    /// The device asked for cannot be used.
    #[error("device `{device}` cannot be used: {cause}. Use `auto` or `cpu`, or mend the driver")]
    Device {
        /// The device.
        device: String,
        /// What went wrong.
        cause: String,
    },
    /// A graph cannot be loaded.
    #[error("ONNX Runtime refuses the graph: {0}")]
    Load(String),
    /// A run failed.
    #[error("ONNX Runtime failed to run the graph: {0}")]
    Run(String),
}

/// What ONNX Runtime and C++ say where memory cannot be had.
const NO_MEMORY: [&str; 3] = ["Failed to allocate memory", "bad_alloc", "bad allocation"];

/// Whether a message of ONNX Runtime says that memory could not be had.
pub fn lacks_memory(message: &str) -> bool {
    NO_MEMORY.iter().any(|words| message.contains(words))
}

impl RuntimeError {
    /// What kind of failure it is.
    pub fn code(&self) -> ErrorCode {
        ErrorCode::Internal
    }
}
