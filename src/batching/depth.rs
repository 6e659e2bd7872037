//! How much of a model's work waits and runs.

/// How much of a model's work waits and runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct QueueDepth {
    /// Requests that wait, as a whole or in part.
    pub requests: usize,
    /// Rows of them that wait; users where the model is run by users.
    pub rows: usize,
    /// Batches that run, or are made ready.
    pub running: usize,
}
