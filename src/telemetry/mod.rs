//! What the server tells of itself.

mod exposition;
mod family;
mod histogram;
mod log;
pub mod metrics;
mod options;
mod otlp_metrics;
mod sampler;
mod trace_context;
mod words;

pub use exposition::Exposition;
pub use family::{Distribution, Exemplar, Family, Figure, Kind, Sample, Snapshot, Spec};
pub use histogram::{
    AGE_SECONDS, COUNTS, Histogram, REQUEST_SECONDS, SHARES, STAGE_SECONDS, TIMES_FORESEEN,
};
pub use log::{LogFormat, LogOptions, is_log_level, start_log};
pub use options::{
    Compression, MetricOptions, OtlpProtocol, RequestLogOptions, SamplerKind, TelemetryOptions,
    TraceOptions,
};
pub use otlp_metrics::otlp_metrics;
pub use sampler::Sampler;
pub use trace_context::TraceContext;
pub use words::{Count, Words};
