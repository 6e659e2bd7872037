//! A model that is asked by its tensors: its inputs are given as they are, and so are its outputs.

use std::sync::Arc;

use crate::{ids::ModelId, ranking::figures::RequestFigures, serving::ModelHandle};

/// A model that is asked by its tensors, and by nothing else.
#[derive(Debug)]
pub struct TensorModel {
    handle: ModelHandle,
    figures: Arc<RequestFigures>,
}

impl TensorModel {
    /// Takes a loaded version.
    pub fn new(handle: ModelHandle) -> Self {
        Self { handle, figures: Arc::default() }
    }

    /// The model and version.
    pub fn id(&self) -> &ModelId {
        self.handle.id()
    }

    /// The loaded version.
    pub fn handle(&self) -> &ModelHandle {
        &self.handle
    }

    /// What is counted of the requests that it answers.
    pub fn figures(&self) -> &Arc<RequestFigures> {
        &self.figures
    }
}
