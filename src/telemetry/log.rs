//! The log: lines on standard error.

use std::io::IsTerminal;

use serde::{Deserialize, Serialize};
use tracing_subscriber::EnvFilter;

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
    /// A level, or `tracing`'s filter directives such as `info,podium=debug`.
    pub level: String,
    /// How lines look.
    pub format: LogFormat,
}

impl Default for LogOptions {
    fn default() -> Self {
        Self { level: "info,ort=warn,object_store=warn".to_owned(), format: LogFormat::Auto }
    }
}

/// Whether `level` is something that [`start_log`] takes.
pub fn is_log_level(level: &str) -> bool {
    EnvFilter::try_new(level).is_ok()
}

/// Sends log lines to standard error from now on; a second call changes nothing.
pub fn start_log(options: &LogOptions) {
    let terminal = std::io::stderr().is_terminal();
    let json = match options.format {
        LogFormat::Auto => !terminal,
        LogFormat::Text => false,
        LogFormat::Json => true,
    };
    let filter = EnvFilter::try_new(&options.level).unwrap_or_else(|_| EnvFilter::new("info"));
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(terminal);
    let _ = match json {
        true => lines.json().flatten_event(true).try_init(),
        false => lines.with_target(false).try_init(),
    };
}
