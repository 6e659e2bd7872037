//! What `/statusz` answers: the server, its versions, its users' store, and what goes on.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::observing::LiveFigures;

/// The whole of it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The server's version.
    pub version: String,
    /// Now, in unix milliseconds, by the server's clock.
    pub now_ms: u64,
    /// Seconds since it began to serve.
    pub uptime_s: f64,
    /// Whether it takes no new calls.
    pub draining: bool,
    /// The model that answers a request that names none.
    pub default_model: String,
    /// Where gRPC is served.
    pub listen: String,
    /// Where the model repository is.
    pub repository: String,
    /// What is wrong with it, while what was known before goes on; empty where nothing is.
    pub repository_fault: String,
    /// What ONNX Runtime says of its build.
    pub onnxruntime_build: String,
    /// Requests in flight.
    pub in_flight: u64,
    /// The most that there may be, `server.max_in_flight`.
    pub max_in_flight: u64,
    /// All versions that are loaded, in the repository or still held, by name and then by version.
    pub models: Vec<VersionReport>,
    /// How versions do beside the live ones.
    pub comparisons: Vec<ComparisonReport>,
    /// What has become of versions and routes lately, the latest first.
    pub changes: Vec<ChangeReport>,
    /// The user store.
    pub user_store: UserStoreReport,
    /// What goes on.
    pub live: LiveFigures,
}

/// One version.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct VersionReport {
    /// The model.
    pub name: String,
    /// Its version.
    pub version: u64,
    /// `found`, `verifying`, `loading`, `warming`, `shadow`, `ready`, `draining`, `freed` or `failed`.
    pub state: String,
    /// Why it is in that state, or how far it is; empty where there is nothing to say.
    pub state_reason: String,
    /// `ranker`, `user_encoder` or `tensors`; empty where it is not loaded.
    pub role: String,
    /// Its labels.
    pub labels: Vec<String>,
    /// Whether it answers requests that name neither version nor label.
    pub live: bool,
    /// Its share of the users, in percent, where the model's traffic is split.
    pub split_percent: Option<f64>,
    /// The share of live requests that it scores behind the answer, in percent, where it is compared.
    pub compared_percent: Option<f64>,
    /// Callers that it answers whatever the split.
    pub callers: Vec<String>,
    /// Where it runs; empty where it is not loaded.
    pub device: String,
    /// Sessions that run it side by side.
    pub instances: u64,
    /// The encoder version that it needs, such as `shop-encoder/2`; empty where it needs none.
    pub encoder: String,
    /// What waits for it and runs.
    pub queue: QueueReport,
    /// Batches since it was loaded.
    pub batches: u64,
    /// Rows in them.
    pub rows: u64,
}

/// What waits for a version and runs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueReport {
    /// Requests that wait.
    pub requests: u64,
    /// Rows that wait.
    pub rows: u64,
    /// Instances that have a batch.
    pub running: u64,
}

/// A version beside the live one.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ComparisonReport {
    /// The model.
    pub name: String,
    /// The version that is compared.
    pub version: u64,
    /// The live version.
    pub baseline: u64,
    /// `canary` or `shadow`.
    pub beside: String,
    /// Requests that both have scored.
    pub requests: u64,
    /// Requests that were to be and were not, for want of spare capacity.
    pub skipped: u64,
    /// Mean Kendall tau of the two orders, from -1 to 1.
    pub kendall_tau: Option<f64>,
    /// Mean share of the live version's first places that the version has too, from 0 to 1.
    pub top_k_overlap: Option<f64>,
    /// The shift of the scores, as a population stability index.
    pub psi: Option<f64>,
    /// The share of the version's requests that failed, from 0 to 1.
    pub error_rate: Option<f64>,
    /// That of the live version's.
    pub baseline_error_rate: Option<f64>,
    /// The 95th percentile of the version's time to score a request, in milliseconds.
    pub p95_ms: f64,
    /// That of the live version's.
    pub baseline_p95_ms: f64,
    /// `waits`, `passes` or `fails`; empty without guard rails.
    pub verdict: String,
    /// What it waits for, or what it breaks.
    pub verdict_reason: String,
}

/// A step of a version's life, or of a route.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangeReport {
    /// When it was, in unix milliseconds.
    pub at_ms: u64,
    /// The model.
    pub name: String,
    /// The version; of a route, the one that it leads to; 0 where it leads to none.
    pub version: u64,
    /// `life`, or `route`.
    pub kind: String,
    /// The label of a route; empty for that of live requests.
    pub label: String,
    /// The state before, or the version before; empty where there was none.
    pub from: String,
    /// The state or version since; empty where there is none.
    pub to: String,
    /// Why, where there is something to say.
    pub reason: String,
}

/// The user store.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserStoreReport {
    /// What it is and how it does, for people.
    pub description: String,
    /// What became of readings and writings since the start, by the names of `podium.v1.UserStoreInfo`.
    pub counts: BTreeMap<String, u64>,
}
