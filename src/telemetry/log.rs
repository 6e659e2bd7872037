//! The log: lines on standard error, and what can be changed of them while they are written.

use std::io::IsTerminal;

use tracing_subscriber::{
    Layer, Registry, filter::Targets, layer::SubscriberExt, reload, util::SubscriberInitExt,
};

use crate::telemetry::{
    log_filter::{LogLevelError, parse},
    log_line::LogLine,
    log_options::{LogFormat, LogOptions},
    span_queue::SpanQueue,
    swap_spans::{SpanWay, swap_spans},
};

/// Holds that `level` is something that the log takes.
///
/// # Errors
/// What is wrong with it.
pub fn check_log_level(level: &str) -> Result<(), LogLevelError> {
    parse(level).map(drop)
}

/// The log that was started.
#[derive(Debug, Clone)]
pub struct Log {
    filter: reload::Handle<Targets, Registry>,
    spans: SpanWay,
}

impl Log {
    /// Logs at another level from now on.
    ///
    /// # Errors
    /// What is wrong with the level; the log stays as it was.
    pub fn set_level(&self, level: &str) -> Result<(), LogLevelError> {
        let targets = parse(level)?;
        // It fails where another log had been started before this one, and nothing is written by this one.
        let _ = self.filter.reload(targets);
        Ok(())
    }

    /// Has spans of versions that come and go put into that queue from now on.
    pub fn send_spans(&self, queue: &SpanQueue) {
        self.spans.lead_to(queue);
    }
}

/// Sends log lines of that service to standard error from now on; a second log writes nothing.
pub fn start_log(options: &LogOptions, service: &str) -> Log {
    let terminal = std::io::stderr().is_terminal();
    let json = match options.format {
        LogFormat::Auto => !terminal,
        LogFormat::Text => false,
        LogFormat::Json => true,
    };
    let targets = parse(&options.level).unwrap_or_default();
    let (filter, handle) = reload::Layer::new(targets);
    let lines = tracing_subscriber::fmt::layer()
        .event_format(LogLine { json, service: service.to_owned() })
        .with_ansi(terminal)
        .with_writer(std::io::stderr)
        .with_filter(filter);
    // Each layer has its own filter: what the log leaves out, another layer may take.
    let spans = SpanWay::default();
    let _ = tracing_subscriber::registry().with(lines).with(swap_spans(spans.clone())).try_init();
    Log { filter: handle, spans }
}
