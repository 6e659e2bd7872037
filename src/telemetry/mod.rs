//! What the server tells of itself.

mod log;
mod options;
mod sampler;
mod trace_context;

pub use log::{LogFormat, LogOptions, is_log_level, start_log};
pub use options::{
    Compression, LiveOptions, MetricOptions, OtlpProtocol, RequestLogOptions, SamplerKind,
    TelemetryOptions, TraceOptions,
};
pub use sampler::Sampler;
pub use trace_context::TraceContext;
