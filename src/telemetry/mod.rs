//! What the server tells of itself.

mod current;
mod keyed_hash;
mod log;
mod log_filter;
mod log_line;
mod log_options;
mod masked;
mod options;
mod panics;
mod sampler;
mod trace_context;

pub use current::{current_trace, within, within_sync};
pub use keyed_hash::KeyedHash;
pub use log::{Log, check_log_level, start_log};
pub use log_filter::LogLevelError;
pub use log_options::{LogFormat, LogOptions};
pub use masked::without_values;
pub use options::{
    Compression, MetricOptions, OtlpProtocol, RequestLogOptions, SamplerKind, TelemetryOptions,
    TraceOptions,
};
pub use panics::{log_panics, panic_message};
pub use sampler::Sampler;
pub use trace_context::TraceContext;
