//! Live figures as `/statusz` tells them: counts, rates and times of the last seconds.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What became of requests within the last seconds.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// How many seconds these are; fewer than asked for after a start.
    pub seconds: f64,
    /// Requests that ended.
    pub requests: u64,
    /// The same a second.
    pub requests_per_second: f64,
    /// Those with an order.
    pub ranked: u64,
    /// Those with an error.
    pub failed: u64,
    /// Those of the failed that were refused for want of room or time.
    pub refused: u64,
    /// Those whose caller left.
    pub left: u64,
    /// The failed, by reason.
    pub failures: BTreeMap<String, u64>,
    /// Orders that are less than they could be, by reason.
    pub degraded: BTreeMap<String, u64>,
    /// Orders by where the user's side came from.
    pub user_states: BTreeMap<String, u64>,
    /// Requests for which the user store, or the copy at hand, was asked.
    pub user_lookups: u64,
    /// The share of these whose embedding or history was there and had every event, from 0 to 1; none without lookups.
    pub user_hit_share: Option<f64>,
    /// Candidates in the requests.
    pub candidates: u64,
    /// How long requests with an order took; none without any.
    pub latency: Option<Latency>,
    /// Batches that ran for them.
    pub batches: BatchFigures,
}

/// How long requests took, in milliseconds.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    /// The median.
    pub p50_ms: f64,
    /// The 95th percentile.
    pub p95_ms: f64,
    /// The 99th percentile.
    pub p99_ms: f64,
    /// The longest.
    pub max_ms: f64,
}

/// What batches were like.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct BatchFigures {
    /// How many ran.
    pub batches: u64,
    /// Rows in them; users where the model is run by users.
    pub rows: u64,
    /// Rows in one on average; none without batches.
    pub rows_per_batch: Option<f64>,
    /// Requests that shared one on average; none without batches.
    pub requests_per_batch: Option<f64>,
    /// Rows over those that the device gains from, on average; none without batches.
    pub fill: Option<f64>,
    /// The share of padded inputs that was padding, on average, from 0 to 1; none without batches.
    pub padding_share: Option<f64>,
    /// How long a run took on average, in milliseconds; none without batches.
    pub run_ms: Option<f64>,
    /// Why they were closed.
    pub closed: BTreeMap<String, u64>,
}

/// One version's figures.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ModelFigures {
    /// The model; empty for requests that came to none.
    pub name: String,
    /// The version; 0 for requests that came to none.
    pub version: u64,
    /// Of the last 10 seconds.
    pub last_10_s: Figures,
    /// Of the last 60 seconds.
    pub last_60_s: Figures,
}

/// One second.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SecondFigures {
    /// Requests that ended in it.
    pub requests: u64,
    /// Those of them with an error.
    pub failed: u64,
    /// The 95th percentile of those with an order, in milliseconds; none without any.
    pub p95_ms: Option<f64>,
    /// Batches that ran.
    pub batches: u64,
    /// Rows in one on average; none without batches.
    pub rows_per_batch: Option<f64>,
}

/// Where a request's time went, in milliseconds; what it never came to is 0.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct StageTimes {
    /// Until all of it had been received.
    pub receive_ms: f64,
    /// Holding it against the limits.
    pub validate_ms: f64,
    /// Getting the user's side.
    pub user_ms: f64,
    /// Building the inputs.
    pub features_ms: f64,
    /// Waiting in the model's queue.
    pub queue_ms: f64,
    /// Joining batches.
    pub assemble_ms: f64,
    /// The model's runs.
    pub run_ms: f64,
    /// Taking outputs apart.
    pub scatter_ms: f64,
    /// Sorting.
    pub select_ms: f64,
}

/// A request that took long.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SlowRequest {
    /// When it ended, in unix milliseconds.
    pub at_ms: u64,
    /// The method.
    pub method: String,
    /// The model; empty where it came to none.
    pub model: String,
    /// The version; 0 where it came to none.
    pub version: u64,
    /// The service that asked; empty where it did not say.
    pub caller: String,
    /// The caller's name for it, cut where it is long.
    pub request_id: String,
    /// Its trace, in hexadecimal digits.
    pub trace_id: String,
    /// Whether its trace was drawn when it came.
    pub sampled: bool,
    /// What came of it: `RANKED`, `LEFT`, or the reason of its error.
    pub outcome: String,
    /// From its arrival to its end, in milliseconds.
    pub total_ms: f64,
    /// The cause of most of that, such as `USER_STORE`.
    pub reason: String,
    /// The same for people.
    pub text: String,
    /// Its candidates.
    pub candidates: u64,
    /// Batches that it was in.
    pub batches: u64,
    /// Where the time went.
    pub stages: StageTimes,
}

/// What goes on.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct LiveFigures {
    /// All requests of the last 10 seconds.
    pub last_10_s: Figures,
    /// All requests of the last 60 seconds.
    pub last_60_s: Figures,
    /// The same by version, for those that had some.
    pub models: Vec<ModelFigures>,
    /// The last whole seconds, oldest first.
    pub per_second: Vec<SecondFigures>,
    /// The slowest requests of the last minutes, slowest first.
    pub slowest: Vec<SlowRequest>,
}
