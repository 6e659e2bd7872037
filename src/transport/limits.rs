//! What a request may hold.

use serde::{Deserialize, Serialize};

/// Bounds of one request; what goes beyond is answered INVALID_ARGUMENT with field, value and limit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Candidates a request.
    pub max_candidates: usize,
    /// Columns of the candidates, and of the context.
    pub max_columns: usize,
    /// Length of an id or a name in bytes.
    pub max_id_bytes: usize,
    /// Length of a text value or of the query in bytes.
    pub max_string_bytes: usize,
    /// Length of a vector of a column.
    pub max_vector_dim: usize,
    /// Events of an inline history.
    pub max_history: usize,
    /// Events, embeddings or users of one request to UserService.
    pub max_events: usize,
    /// Size of a message in bytes.
    pub max_message_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_candidates: 20_000,
            max_columns: 64,
            max_id_bytes: 128,
            max_string_bytes: 4096,
            max_vector_dim: 4096,
            max_history: 2048,
            max_events: 4096,
            max_message_bytes: 16 << 20,
        }
    }
}
