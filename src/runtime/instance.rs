//! What a batch worker needs of a runtime: one graph, one thread, one call.

use std::{fmt::Debug, sync::Arc};

use crate::{
    runtime::{blocks::InputBlocks, error::RuntimeError, signature::Signature},
    tensor::Tensor,
};

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

    /// Buffers for a batch's inputs, which another thread may fill while this instance runs; none where inputs are lent as they lie.
    fn input_blocks(&self) -> Option<InputBlocks> {
        None
    }

    /// Runs the graph once, as [`Self::run_into`] does, on what [`InputBlocks::fill`] put into blocks of this instance, or where it found
    /// them too small on `inputs`, making them larger. Only such runs are captured as CUDA graphs; all of them belong on one thread.
    ///
    /// # Errors
    /// Those of [`Self::run_into`].
    fn run_blocks(
        &mut self,
        _blocks: &mut InputBlocks,
        inputs: &[(&str, &Tensor)],
        outputs: &mut Vec<Tensor>,
    ) -> Result<(), RuntimeError> {
        self.run_into(inputs, outputs)
    }

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
