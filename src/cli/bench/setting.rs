//! What the load of a scenario depends on.

use std::time::Duration;

/// What the load of a scenario depends on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Setting {
    /// The best rate of a closed loop, requests a second.
    pub(super) capacity: f64,
    /// How long the load runs before the window that is measured.
    pub(super) warmup: Duration,
    /// The deadline of a request.
    pub(super) deadline: Duration,
    /// The latency after which an answer is of no use.
    pub(super) objective: Duration,
    /// Candidates of a request.
    pub(super) candidates: usize,
}
