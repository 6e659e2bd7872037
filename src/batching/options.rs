//! How a model's requests are batched.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::batching::job::Priority;

/// How a model's requests are batched. Rows are candidates; of models that are run by users, users.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BatchOptions {
    /// Sessions of each model; 0 means one a core on the CPU, and one on each GPU.
    pub instances: usize,
    /// Rows of the largest batch.
    pub max_batch_rows: usize,
    /// Rows at which a batch is full; 0 takes the size from which on the device gains nothing, as measured at warm-up.
    pub preferred_batch_rows: usize,
    /// How long a request waits for company at most.
    #[serde(with = "humantime_serde")]
    pub max_queue_delay: Duration,
    /// Upper bounds of the lengths (tokens, events, candidates of a list) that share a batch; empty: eight steps from each power of two to the next.
    pub length_buckets: Vec<usize>,
    /// Requests that may wait for a model; one more is refused.
    pub max_queue_size: usize,
    /// Rows that may wait for a model; a request that would pass it is refused, unless nothing waits.
    pub max_queue_rows: usize,
    /// Predicted time of what may wait for a model; a request behind more is refused.
    #[serde(with = "humantime_serde")]
    pub max_queue_time: Duration,
    /// The priority of requests that name none: 1 is the highest, 8 the lowest.
    pub default_priority: Priority,
    /// How much later a deadline counts for each level of priority below the first.
    #[serde(with = "humantime_serde")]
    pub ageing: Duration,
    /// Whether the next batch's tensors are joined while one runs; by default where a GPU runs it.
    pub pipeline: Pipeline,
}

/// Whether the next batch's tensors are joined while one runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Pipeline {
    /// On a GPU: there a processor is free meanwhile. On the CPU the run needs it.
    Auto,
    /// Always.
    On,
    /// Never.
    Off,
}

impl Default for BatchOptions {
    fn default() -> Self {
        Self {
            instances: 0,
            max_batch_rows: 4096,
            preferred_batch_rows: 0,
            max_queue_delay: Duration::from_millis(2),
            length_buckets: Vec::new(),
            max_queue_size: 1024,
            max_queue_rows: 262_144,
            max_queue_time: Duration::from_secs(10),
            default_priority: Priority::default(),
            ageing: Duration::from_secs(1),
            pipeline: Pipeline::Auto,
        }
    }
}
