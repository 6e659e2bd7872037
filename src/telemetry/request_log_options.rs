//! What is logged of whole requests.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// How much of what a model saw of a shopper is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LoggedUserSide {
    /// Nothing.
    None,
    /// The embedding, which is personal data too: who has the encoder can tell from it what its user likes.
    Embedding,
    /// What they did.
    History,
    /// Both.
    All,
}

/// What is logged of whole requests, which is nothing unless a file is named.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RequestLogOptions {
    /// The file, one JSON object a line; empty: requests are not logged.
    pub path: PathBuf,
    /// The share of requests that is logged, by the id of their trace.
    pub ratio: f64,
    /// Bytes of one file; the next line begins another one, and this one goes on as `PATH.1`.
    pub max_file_bytes: u64,
    /// Files that are kept, with the one that is written; older ones are removed.
    pub max_files: usize,
    /// Requests that may wait to be written; more are left out, and counted.
    pub max_queue_size: usize,
    /// Bytes of them.
    pub max_queue_bytes: usize,
    /// Whether the query is written.
    pub query: bool,
    /// The columns of the candidates that are written, by name; `*`: all. `prior_scores` is one of them.
    pub columns: Vec<String>,
    /// The columns of the context that are written, by name; `*`: all.
    pub context: Vec<String>,
    /// How much of what the model saw of the shopper is written, whether the request brought it or the store had it.
    pub user_side: LoggedUserSide,
}

impl Default for RequestLogOptions {
    fn default() -> Self {
        Self {
            path: PathBuf::new(),
            ratio: 0.01,
            max_file_bytes: 64 << 20,
            max_files: 8,
            max_queue_size: 1024,
            max_queue_bytes: 64 << 20,
            query: false,
            columns: Vec::new(),
            context: Vec::new(),
            user_side: LoggedUserSide::None,
        }
    }
}
