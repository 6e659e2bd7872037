//! What a batch worker needs of a runtime: one graph, one thread, one call.

use std::{fmt::Debug, sync::Arc};

use crate::{error_code::ErrorCode, runtime::signature::Signature, tensor::Tensor};

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

impl RuntimeError {
    /// What kind of failure it is.
    pub fn code(&self) -> ErrorCode {
        ErrorCode::Internal
    }
}

/// Ends the run that goes on, from another thread.
pub trait Stop: Debug + Send + Sync {
    /// Ends the run as soon as the device notices; it then fails.
    fn stop(&self);
}

/// One loaded graph that runs on the thread that holds it.
pub trait ModelInstance: Send {
    /// The graph's inputs and outputs.
    fn signature(&self) -> &Signature;

    /// What ends a run of this instance; none where its runs cannot be ended.
    fn stopper(&self) -> Option<Arc<dyn Stop>> {
        None
    }

    /// Runs the graph once, for as long as that takes, and writes over `outputs`, whose memory is used again.
    ///
    /// `inputs` pair names of the graph with tensors; the outputs come in the order in which they were chosen
    /// when the instance was made.
    ///
    /// # Errors
    /// [`RuntimeError::Run`] when a shape or a value does not fit the graph, or the device fails.
    fn run_into(
        &mut self,
        inputs: &[(&str, &Tensor)],
        outputs: &mut Vec<Tensor>,
    ) -> Result<(), RuntimeError>;

    /// Runs the graph once, as [`Self::run_into`] does, into new tensors.
    ///
    /// # Errors
    /// Those of [`Self::run_into`].
    fn run(&mut self, inputs: &[(&str, &Tensor)]) -> Result<Vec<Tensor>, RuntimeError> {
        let mut outputs = Vec::new();
        self.run_into(inputs, &mut outputs)?;
        Ok(outputs)
    }
}
