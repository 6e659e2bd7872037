//! What is asked of a model: requests of some size, each within some time.

use std::time::Duration;

use serde::Serialize;

/// What is asked of a model.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(super) struct Demand {
    /// Rows of each request as the batcher counts them: candidates; users of encoders, requests of lists.
    pub(super) units: usize,
    /// The mean length of a row: tokens, events, candidates of a list.
    pub(super) length: f64,
    /// The time within which an answer is of use.
    #[serde(with = "humantime_serde")]
    pub(super) slo: Duration,
}

impl Demand {
    /// The rows of a batch of that size as costs count it; one at least.
    pub(super) fn rows(&self, size: usize) -> usize {
        ((size as f64 / self.length).round() as usize).max(1)
    }

    /// The size of a batch of so many rows.
    pub(super) fn size(&self, rows: usize) -> usize {
        ((rows as f64 * self.length).round() as usize).max(1)
    }
}
