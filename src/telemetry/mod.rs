//! What the server tells of itself.

mod current;
mod exporting;
mod exposition;
mod family;
mod histogram;
mod keyed_hash;
mod log;
mod log_filter;
mod log_line;
mod log_options;
mod masked;
pub mod metrics;
mod options;
mod otlp;
mod otlp_metrics;
mod otlp_options;
mod panics;
mod request_log_options;
mod sampler;
mod span_queue;
mod swap_spans;
mod trace_context;
mod words;
mod written_span;

pub use exposition::Exposition;
pub use family::{Distribution, Exemplar, Family, Figure, Kind, Sample, Snapshot, Spec};
pub use histogram::{
    AGE_SECONDS, COUNTS, Histogram, REQUEST_SECONDS, SHARES, STAGE_SECONDS, TIMES_FORESEEN,
};

pub use current::{current_trace, within, within_sync};
pub use exporting::{Exporter, Exporting, MetricSource};
pub use keyed_hash::KeyedHash;
pub use log::{Log, check_log_level, start_log};
pub use log_filter::LogLevelError;
pub use log_options::{LogFormat, LogOptions};
pub use masked::without_values;
pub use options::{
    Compression, LiveOptions, MetricOptions, OtlpProtocol, SamplerKind, TelemetryOptions,
    TraceOptions,
};
pub use otlp::OtlpError;
pub use otlp_metrics::otlp_metrics;
pub use otlp_options::{OtlpOptions, key_values};
pub use panics::{log_panics, panic_message};
pub use request_log_options::{LoggedUserSide, RequestLogOptions};
pub use sampler::{Sampler, is_drawn};
pub use span_queue::{SpanCounts, SpanQueue, Story};
pub use swap_spans::SWAP_SPANS;
pub use trace_context::TraceContext;
pub use words::{Count, Words};
pub use written_span::{Pen, Side, WrittenSpan};
