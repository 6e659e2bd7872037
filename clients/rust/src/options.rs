//! What all calls of a client have in common.

use std::{sync::Arc, time::Duration};

use tonic::{
    Request,
    metadata::{Ascii, MetadataValue},
};

use crate::{budget::RetryBudget, policy::RetryPolicy};

/// What all calls of a client have in common; a copy with other values shares the budget.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    pub(crate) deadline: Duration,
    pub(crate) policy: RetryPolicy,
    pub(crate) budget: Arc<RetryBudget>,
    /// The metadata that each call brings.
    pub(crate) metadata: Vec<(&'static str, MetadataValue<Ascii>)>,
}

impl Options {
    /// Sets a key, in place of what it was.
    pub(crate) fn set(&mut self, key: &'static str, value: MetadataValue<Ascii>) {
        self.metadata.retain(|(own, _)| *own != key);
        self.metadata.push((key, value));
    }

    /// A message with the metadata, and with what is left of its time.
    pub(crate) fn request<M>(&self, message: M, left: Duration) -> Request<M> {
        let mut request = Request::new(message);
        request.set_timeout(left);
        for (key, value) in &self.metadata {
            request.metadata_mut().insert(*key, value.clone());
        }
        request
    }
}
