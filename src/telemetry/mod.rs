//! What the server tells of itself.

mod exporting;
mod exposition;
mod family;
mod histogram;
mod log;
pub mod metrics;
mod options;
mod otlp;
mod otlp_metrics;
mod otlp_options;
mod sampler;
mod span_queue;
mod trace_context;
mod words;

pub use exposition::Exposition;
pub use family::{Distribution, Exemplar, Family, Figure, Kind, Sample, Snapshot, Spec};
pub use histogram::{
    AGE_SECONDS, COUNTS, Histogram, REQUEST_SECONDS, SHARES, STAGE_SECONDS, TIMES_FORESEEN,
};
mod written_span;

pub use exporting::{Exporter, Exporting, MetricSource};
pub use log::{LogFormat, LogOptions, is_log_level, start_log};
pub use options::{
    Compression, MetricOptions, OtlpProtocol, RequestLogOptions, SamplerKind, TelemetryOptions,
    TraceOptions,
};
pub use otlp::OtlpError;
pub use otlp_metrics::otlp_metrics;
pub use otlp_options::{OtlpOptions, key_values};
pub use sampler::Sampler;
pub use span_queue::{SpanCounts, SpanQueue, Story};
pub use trace_context::TraceContext;
pub use words::{Count, Words};
pub use written_span::{Clock, Side, WrittenSpan};
