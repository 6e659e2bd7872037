//! One request that is over.

use std::time::{Duration, Instant};

use crate::cli::bench::codec::Answer;

/// What came of one request.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Outcome {
    /// An answer.
    Answered(Answer),
    /// None, and the failure's name.
    Failed(String),
    /// Its caller left before either.
    Left,
}

/// One request that is over.
#[derive(Debug, Clone)]
pub(super) struct Event {
    /// The moment that it belongs to: its arrival in an open loop, its end in a closed one.
    pub(super) at: Instant,
    /// When it was to be sent.
    pub(super) due: Instant,
    /// When it was sent.
    pub(super) sent: Instant,
    /// When it was over.
    pub(super) done: Instant,
    /// Its deadline, from the sending on.
    pub(super) deadline: Duration,
    /// What came of it.
    pub(super) outcome: Outcome,
}

impl Event {
    /// From the moment when it was to be sent to its end.
    pub(super) fn latency(&self) -> Duration {
        self.done - self.due
    }
}
