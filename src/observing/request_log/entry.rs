//! One line of the request log, as it is written and read again.

use serde::{Deserialize, Serialize};

/// The version of the format, which stands first in each line.
pub const SCHEMA: u32 = 1;

/// One request that has ended.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// [`SCHEMA`].
    pub podium_request_log: u32,
    /// When it came, by RFC 3339.
    pub time: String,
    /// Its trace, in hexadecimal digits.
    pub trace_id: String,
    /// Its span.
    pub span_id: String,
    /// The method, such as `podium.v1.RankService/Rank`.
    pub method: String,
    /// The caller's name for it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub request_id: String,
    /// The service that asked.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub caller: String,
    /// The keyed hash of the shopper's id.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub user: String,
    /// What was asked, as far as it is written.
    pub request: LoggedRequest,
    /// What is not written and may have mattered, by its path in the request.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<String>,
    /// `RANKED`, `FAILED`, or `LEFT` where the caller left.
    pub outcome: String,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<LoggedError>,
    /// The order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<LoggedAnswer>,
    /// Where the time went, in microseconds.
    pub timings_us: LoggedTimings,
}

/// What was asked.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct LoggedRequest {
    /// The model that was named; empty: none was.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub model: String,
    /// The version that was named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u64>,
    /// The label that was named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// The candidates' ids.
    pub candidates: Vec<String>,
    /// How many were asked for; 0: all.
    #[serde(default)]
    pub top_k: usize,
    /// How urgent it was; 0: not said.
    #[serde(default)]
    pub priority: u8,
    /// Whether an order that is partly scored was welcome.
    #[serde(default)]
    pub allow_partial: bool,
    /// Whether an order for an unknown shopper was of no use.
    #[serde(default)]
    pub require_user_state: bool,
    /// The search text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query: Option<String>,
    /// Scores of an earlier stage.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub prior_scores: Vec<f32>,
    /// Features of the candidates.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub columns: Vec<LoggedColumn>,
    /// Features of the moment.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub context: Vec<LoggedColumn>,
    /// What the shopper had done, oldest first, as the model saw it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<LoggedEvent>,
    /// The shopper's embedding, as the model saw it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub embedding: Option<LoggedEmbedding>,
}

/// One feature.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LoggedColumn {
    /// Its name.
    pub name: String,
    /// Its values.
    #[serde(flatten)]
    pub values: LoggedValues,
}

/// The values of a feature.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LoggedValues {
    /// Floats.
    Floats(Vec<f32>),
    /// Integers.
    Ints(Vec<i64>),
    /// Texts.
    Strings(Vec<String>),
    /// Vectors, one after another.
    Vectors {
        /// The length of each.
        dim: usize,
        /// All of them.
        values: Vec<f32>,
    },
}

/// One thing that a shopper did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LoggedEvent {
    /// The item's id.
    pub item: String,
    /// `view`, `cart` or `purchase`.
    pub kind: String,
    /// When, in unix seconds.
    pub time: i64,
}

/// The output of a user encoder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LoggedEmbedding {
    /// The encoder's version.
    pub encoder_version: u64,
    /// The values.
    pub values: Vec<f32>,
}

/// Why a request failed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LoggedError {
    /// The gRPC code, such as `RESOURCE_EXHAUSTED`.
    pub code: String,
    /// The reason for machines, such as `QUEUE_FULL`.
    pub reason: String,
}

/// What was answered.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct LoggedAnswer {
    /// The model.
    pub model: String,
    /// Its version.
    pub version: u64,
    /// The encoder's version; 0: none.
    pub encoder_version: u64,
    /// Where the user's side came from.
    pub user_state: String,
    /// How old the embedding was, in milliseconds.
    pub user_state_age_ms: u64,
    /// Why the answer was less than it could be.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub degraded: Vec<String>,
    /// Candidates that the catalogue did not know, by position.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<u32>,
    /// The order: positions among the candidates, best first.
    pub order: Vec<u32>,
    /// The score of each, in that order; none where it was not scored.
    pub scores: Vec<Option<f32>>,
}

/// Where the time went, in microseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoggedTimings {
    /// All of it.
    pub total: u64,
    /// Checking the request.
    pub validate: u64,
    /// Getting the user's side.
    pub user: u64,
    /// Building the inputs.
    pub features: u64,
    /// Waiting for the model.
    pub queue: u64,
    /// Joining the tensors of a batch.
    pub assemble: u64,
    /// The model's run.
    pub run: u64,
    /// Taking a batch apart.
    pub scatter: u64,
    /// Sorting and cutting.
    pub select: u64,
}
