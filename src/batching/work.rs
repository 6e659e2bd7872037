//! One piece of work on its way through a queue.

use std::{
    sync::{Arc, atomic::AtomicBool},
    time::{Duration, Instant},
};

use tokio::sync::oneshot;

use crate::{batching::error::BatchError, deadline::Deadline, tensor::Tensor};

/// What came of a run.
#[derive(Debug)]
pub struct Ran {
    /// The outputs in the order of the manifest.
    pub outputs: Vec<Tensor>,
    /// How long the work waited.
    pub queued: Duration,
    /// How long the run took.
    pub ran: Duration,
}

pub(super) struct Work {
    pub(super) inputs: Vec<Tensor>,
    pub(super) deadline: Deadline,
    pub(super) enqueued: Instant,
    pub(super) started: Arc<AtomicBool>,
    pub(super) reply: oneshot::Sender<Result<Ran, BatchError>>,
}
