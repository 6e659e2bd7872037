//! What is told of the server, to whom, and how much of it.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use serde::{Deserialize, Serialize};

use crate::telemetry::request_log_options::RequestLogOptions;

/// How OTLP is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum OtlpProtocol {
    /// gRPC, usually on port 4317.
    #[serde(rename = "grpc")]
    Grpc,
    /// Protobuf by HTTP/1, usually on port 4318.
    #[serde(rename = "http/protobuf")]
    HttpProtobuf,
}

/// How messages are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// Not at all.
    None,
    /// By gzip.
    Gzip,
}

/// What is told of the server, to whom, and how much of it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TelemetryOptions {
    /// The collector that traces and metrics are sent to, such as `http://localhost:4317`; empty: nothing is sent.
    pub otlp_endpoint: String,
    /// How it is spoken to.
    pub otlp_protocol: OtlpProtocol,
    /// Headers, or gRPC metadata, that are sent with each message.
    pub otlp_headers: BTreeMap<String, String>,
    /// How long a message may take, its repetitions included.
    #[serde(with = "humantime_serde")]
    pub otlp_timeout: Duration,
    /// How messages are compressed.
    pub otlp_compression: Compression,
    /// PEM file of the authorities that a collector's certificate is held against; empty: those of the system.
    pub otlp_certificate: PathBuf,
    /// PEM file of this server's own certificate; empty: it shows none.
    pub otlp_client_certificate: PathBuf,
    /// PEM file of the key for it.
    pub otlp_client_key: PathBuf,
    /// `service.name` in what is sent.
    pub service_name: String,
    /// Further attributes of the resource in what is sent.
    pub resource_attributes: BTreeMap<String, String>,
    /// Traces.
    pub traces: TraceOptions,
    /// Metrics.
    pub metrics: MetricOptions,
    /// The log of whole requests.
    pub request_log: RequestLogOptions,
    /// What the operations page tells.
    pub live: LiveOptions,
}

impl Default for TelemetryOptions {
    fn default() -> Self {
        Self {
            otlp_endpoint: String::new(),
            otlp_protocol: OtlpProtocol::Grpc,
            otlp_headers: BTreeMap::new(),
            otlp_timeout: Duration::from_secs(10),
            otlp_compression: Compression::None,
            otlp_certificate: PathBuf::new(),
            otlp_client_certificate: PathBuf::new(),
            otlp_client_key: PathBuf::new(),
            service_name: "podium".to_owned(),
            resource_attributes: BTreeMap::new(),
            traces: TraceOptions::default(),
            metrics: MetricOptions::default(),
            request_log: RequestLogOptions::default(),
            live: LiveOptions::default(),
        }
    }
}

/// Which requests are drawn when they come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum SamplerKind {
    /// All.
    #[serde(rename = "always_on")]
    AlwaysOn,
    /// None.
    #[serde(rename = "always_off")]
    AlwaysOff,
    /// A share, by the id of the trace.
    #[serde(rename = "traceidratio")]
    Ratio,
    /// Those whose caller's span is; of those without a caller's, all.
    #[serde(rename = "parentbased_always_on")]
    ParentBasedAlwaysOn,
    /// Those whose caller's span is, and no others.
    #[serde(rename = "parentbased_always_off")]
    ParentBasedAlwaysOff,
    /// Those whose caller's span is; of those without a caller's, a share.
    #[serde(rename = "parentbased_traceidratio")]
    ParentBasedRatio,
}

/// Which requests' traces are kept.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TraceOptions {
    /// Whether spans are sent where there is a collector.
    pub enabled: bool,
    /// Which requests are drawn when they come.
    pub sampler: SamplerKind,
    /// The share that is drawn, where the sampler asks for one.
    pub ratio: f64,
    /// Whether those that failed are kept, drawn or not.
    pub keep_errors: bool,
    /// Whether those with a degraded answer are kept, drawn or not.
    pub keep_degraded: bool,
    /// So many of the slowest are kept of each model every ten seconds, drawn or not.
    pub keep_slowest: usize,
    /// The most that are kept in a second without having been drawn.
    pub max_kept_per_second: u32,
    /// What may wait to be sent; more is dropped, and counted.
    pub max_queue_size: usize,
    /// Spans of one message at most.
    pub max_export_batch: usize,
    /// What goes before the keys `otlp_…` for spans: `endpoint` (with its path), `protocol`, `headers` (`key=value,…`), `timeout`,
    /// `compression`, `certificate`, `client_certificate`, `client_key`.
    pub otlp: BTreeMap<String, String>,
    /// Attributes of one span at most; more are dropped, and counted in the span.
    pub max_attributes: usize,
    /// Bytes of one attribute's text at most; 0: no limit.
    pub max_attribute_length: usize,
    /// Events of one span at most.
    pub max_events: usize,
    /// Links of one span at most.
    pub max_links: usize,
    /// What is read of a call's headers: `tracecontext`, `baggage`.
    pub propagators: Vec<String>,
    /// How long spans wait for company.
    #[serde(with = "humantime_serde")]
    pub schedule_delay: Duration,
    /// The keys of a caller's baggage that become attributes; others are not read.
    pub baggage_keys: Vec<String>,
}

impl Default for TraceOptions {
    fn default() -> Self {
        Self {
            enabled: true,
            sampler: SamplerKind::ParentBasedRatio,
            ratio: 0.01,
            keep_errors: true,
            keep_degraded: true,
            keep_slowest: 5,
            max_kept_per_second: 50,
            max_queue_size: 2048,
            max_export_batch: 512,
            otlp: BTreeMap::new(),
            max_attributes: 128,
            max_attribute_length: 0,
            max_events: 128,
            max_links: 128,
            propagators: vec!["tracecontext".to_owned(), "baggage".to_owned()],
            schedule_delay: Duration::from_secs(1),
            baggage_keys: Vec::new(),
        }
    }
}

/// How metrics are told.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MetricOptions {
    /// Whether they are sent where there is a collector; `/metrics` has them in any case.
    pub otlp_enabled: bool,
    /// What goes before the keys `otlp_…` for metrics, as in `traces.otlp`.
    pub otlp: BTreeMap<String, String>,
    /// How often they are sent.
    #[serde(with = "humantime_serde")]
    pub otlp_interval: Duration,
    /// Callers that are told apart; the others are counted together, as `other`.
    pub max_callers: usize,
}

impl Default for MetricOptions {
    fn default() -> Self {
        Self {
            otlp_enabled: true,
            otlp: BTreeMap::new(),
            otlp_interval: Duration::from_secs(60),
            max_callers: 32,
        }
    }
}

/// What `/statusz` and the operations page tell.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LiveOptions {
    /// The slowest requests that are kept, with the reason of each; 0: none.
    pub slowest: usize,
    /// For how long each is kept.
    #[serde(with = "humantime_serde")]
    pub slowest_for: Duration,
}

impl Default for LiveOptions {
    fn default() -> Self {
        Self { slowest: 20, slowest_for: Duration::from_secs(300) }
    }
}
