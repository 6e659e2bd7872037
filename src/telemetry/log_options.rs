//! What is logged, and how.

use serde::{Deserialize, Serialize};

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Text on a terminal, JSON elsewhere.
    Auto,
    /// Text.
    Text,
    /// One JSON object a line.
    Json,
}

/// What is logged, and how.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogOptions {
    /// A level, or directives such as `info,podium=debug`.
    pub level: String,
    /// How lines look.
    pub format: LogFormat,
    /// The key that user ids are hashed with before they are written anywhere; empty: one is drawn at each start, and what was hashed under
    /// another one cannot be compared.
    pub user_hash_key: String,
}

impl Default for LogOptions {
    fn default() -> Self {
        let (level, user_hash_key) = ("info".to_owned(), String::new());
        Self { level, format: LogFormat::Auto, user_hash_key }
    }
}
