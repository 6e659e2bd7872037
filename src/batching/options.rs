//! How a model's requests are batched.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How a model's requests are batched. Rows are candidates; of models that are run by users, users.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BatchOptions {
    /// Sessions of each model; 0 means one a core on the CPU, and one on a GPU.
    pub instances: usize,
    /// Rows of the largest batch.
    pub max_batch_rows: usize,
    /// Rows at which a batch is full; 0 takes the size from which on the device gains nothing, as measured at warm-up.
    pub preferred_batch_rows: usize,
    /// How long a request waits for company at most.
    #[serde(with = "humantime_serde")]
    pub max_queue_delay: Duration,
    /// Requests that may wait for a model; one more is refused.
    pub max_queue_size: usize,
    /// Rows that may wait for a model; a request that would pass it is refused, unless nothing waits.
    pub max_queue_rows: usize,
}

impl Default for BatchOptions {
    fn default() -> Self {
        Self {
            instances: 0,
            max_batch_rows: 4096,
            preferred_batch_rows: 0,
            max_queue_delay: Duration::from_millis(2),
            max_queue_size: 1024,
            max_queue_rows: 262_144,
        }
    }
}
