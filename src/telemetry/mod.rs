//! What the server tells of itself.

mod exporting;
mod log;
mod options;
mod otlp;
mod otlp_options;
mod sampler;
mod span_queue;
mod trace_context;
mod written_span;

pub use exporting::{Exporter, Exporting, MetricSource};
pub use log::{LogFormat, LogOptions, is_log_level, start_log};
pub use options::{
    Compression, MetricOptions, OtlpProtocol, RequestLogOptions, SamplerKind, TelemetryOptions,
    TraceOptions,
};
pub use otlp::OtlpError;
pub use otlp_options::{OtlpOptions, key_values};
pub use sampler::Sampler;
pub use span_queue::{SpanCounts, SpanQueue, Story};
pub use trace_context::TraceContext;
pub use written_span::{Clock, Side, WrittenSpan};
