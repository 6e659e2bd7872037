//! The thread that writes spans and sends them, and has metrics sent: what it does gives way to requests.

use std::{collections::BTreeMap, io, thread, time::Duration};

use opentelemetry_proto::tonic::{
    collector::metrics::v1::ExportMetricsServiceRequest,
    common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value::Value},
    resource::v1::Resource,
    trace::v1::Span,
};
use opentelemetry_sdk::trace::SpanData;
use prost::Message;
use tokio_util::sync::CancellationToken;

use crate::{
    priority::lower_priority,
    telemetry::{
        options::{TelemetryOptions, TraceOptions},
        otlp::{Collector, OtlpError, Signal},
        otlp_options::OtlpOptions,
        span_queue::{SpanQueue, SpanReceiver, Waiting},
        written_span::Pen,
    },
    wire,
};

/// Makes the metrics that are sent next.
pub type MetricSource = Box<dyn FnMut() -> ExportMetricsServiceRequest + Send>;

/// How long what waits may take to be sent when the server stops.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// The way of spans out of the process, before its thread is started.
pub struct Exporting {
    options: TelemetryOptions,
    traces: Option<(OtlpOptions, SpanReceiver)>,
    metrics: Option<OtlpOptions>,
    queue: SpanQueue,
}

/// The thread, once it is started.
pub struct Exporter {
    stop: CancellationToken,
    thread: Option<thread::JoinHandle<()>>,
}

impl Exporting {
    /// Takes what the options say.
    ///
    /// # Errors
    /// [`OtlpError::Options`].
    pub fn new(options: &TelemetryOptions) -> Result<Self, OtlpError> {
        let faulty = |(key, wrong): (String, String)| OtlpError::Options {
            key: "otlp",
            wrong: format!("{key} {wrong}"),
        };
        let (queue, traces) = match options.for_traces().map_err(faulty)? {
            None => (SpanQueue::default(), None),
            Some(otlp) => {
                let (queue, receiver) = SpanQueue::new(options.traces.max_queue_size);
                (queue, Some((otlp, receiver)))
            }
        };
        let metrics = options.for_metrics().map_err(faulty)?;
        Ok(Self { options: options.clone(), traces, metrics, queue })
    }

    /// Where spans are put.
    pub fn queue(&self) -> &SpanQueue {
        &self.queue
    }

    /// Starts the thread, where something is sent at all.
    ///
    /// # Errors
    /// [`OtlpError::Options`], or that of a thread that cannot be started.
    pub fn start(self, metrics: MetricSource) -> Result<Exporter, OtlpError> {
        let stop = CancellationToken::new();
        if self.traces.is_none() && self.metrics.is_none() {
            return Ok(Exporter { stop, thread: None });
        }
        let unstarted = |cause: io::Error| OtlpError::Options {
            key: "otlp_endpoint",
            wrong: format!("no thread for what is sent there: {cause}"),
        };
        let runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = { runtime }.enable_all().build().map_err(unstarted)?;
        let within = runtime.enter();
        let resource = resource(&self.options);
        let traces = match self.traces {
            None => None,
            Some((otlp, receiver)) => Some(SpanSending {
                collector: Collector::new(otlp, Signal::Traces)?,
                options: self.options.traces.clone(),
                resource: resource.encode_to_vec(),
                scope: scope().encode_to_vec(),
                receiver,
                troubled: false,
            }),
        };
        let metrics = match self.metrics {
            None => None,
            Some(otlp) => Some(MetricSending {
                collector: Collector::new(otlp, Signal::Metrics)?,
                interval: self.options.metrics.otlp_interval,
                resource,
                source: metrics,
                troubled: false,
            }),
        };
        drop(within);
        let stopped = stop.clone();
        let work = move || {
            lower_priority();
            let spans = async {
                if let Some(mut traces) = traces {
                    traces.go_on(&stopped).await;
                }
            };
            let numbers = async {
                if let Some(mut metrics) = metrics {
                    metrics.go_on(&stopped).await;
                }
            };
            runtime.block_on(async { tokio::join!(spans, numbers) });
        };
        let thread = thread::Builder::new().name("telemetry".to_owned()).spawn(work);
        Ok(Exporter { stop, thread: Some(thread.map_err(unstarted)?) })
    }
}

impl Exporter {
    /// Sends what waits, as far as that goes quickly, and ends.
    pub fn end(self) {
        self.stop.cancel();
        if let Some(thread) = self.thread
            && thread.join().is_err()
        {
            tracing::warn!("the thread that sends spans had panicked");
        }
    }
}

/// Who speaks, as it stands in every message.
fn resource(options: &TelemetryOptions) -> Resource {
    let pair = |(key, value): (&str, Value)| KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue { value: Some(value) }),
        ..KeyValue::default()
    };
    let text = |text: &str| Value::StringValue(text.to_owned());
    let mut all = BTreeMap::from([
        ("service.version", text(env!("CARGO_PKG_VERSION"))),
        ("service.instance.id", Value::StringValue(format!("{:032x}", rand::random::<u128>()))),
        ("telemetry.sdk.language", text("rust")),
        ("telemetry.sdk.name", text("opentelemetry")),
        ("process.pid", Value::IntValue(std::process::id().into())),
    ]);
    all.extend(options.resource_attributes.iter().map(|(key, own)| (key.as_str(), text(own))));
    all.insert("service.name", text(&options.service_name));
    Resource { attributes: all.into_iter().map(pair).collect(), ..Resource::default() }
}

/// Who writes spans.
fn scope() -> InstrumentationScope {
    InstrumentationScope {
        name: env!("CARGO_PKG_NAME").to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ..InstrumentationScope::default()
    }
}

struct SpanSending {
    collector: Collector,
    options: TraceOptions,
    /// The bytes of the message that says who speaks, and of the one that says who writes.
    resource: Vec<u8>,
    scope: Vec<u8>,
    receiver: SpanReceiver,
    troubled: bool,
}

impl SpanSending {
    /// Sends until it is stopped, and then what is left.
    async fn go_on(&mut self, stop: &CancellationToken) {
        while !stop.is_cancelled() {
            tokio::select! {
                () = tokio::time::sleep(self.options.schedule_delay) => {}
                () = self.receiver.filling() => {}
                () = stop.cancelled() => {}
            }
            // What cannot be had within a message's time is given up when the server stops.
            tokio::select! {
                () = self.send_all() => {}
                () = async { stop.cancelled().await; tokio::time::sleep(LAST_WORDS).await } => return,
            }
        }
    }

    async fn send_all(&mut self) {
        loop {
            let spans = self.written();
            if spans.is_empty() {
                return;
            }
            let count = spans.len();
            let sent = self.collector.send(self.message(&spans).into()).await;
            self.receiver.note(count, sent.is_ok());
            tell_of_trouble("spans", &mut self.troubled, sent);
        }
    }

    /// OTLP's message `ExportTraceServiceRequest`, of spans that are written.
    fn message(&self, spans: &[Vec<u8>]) -> Vec<u8> {
        let sum = spans.iter().map(|span| span.len() + 8).sum::<usize>();
        let room = sum + self.resource.len() + self.scope.len() + 32;
        let of_scope = |message: wire::Message| {
            let message = message.bytes(1, &self.scope);
            spans.iter().fold(message, |message, span| message.bytes(2, span))
        };
        let of_resource =
            |message: wire::Message| message.bytes(1, &self.resource).within(2, of_scope);
        wire::Message::with_capacity(room).within(1, of_resource).finish()
    }

    /// The spans of one message, as far as they are there; those of one story stay together.
    fn written(&mut self) -> Vec<Vec<u8>> {
        let (mut spans, mut written) = (Vec::new(), Vec::new());
        let pen = Pen::new(&self.options);
        while spans.len() < self.options.max_export_batch {
            match self.receiver.next() {
                Some(Waiting::Span(mut span)) => {
                    keep_within(&mut span, &self.options);
                    spans.push(Span::from(*span).encode_to_vec());
                }
                Some(Waiting::Story(story)) => {
                    story.write(pen, &mut written);
                    spans.extend(written.drain(..).map(|span| span.into_bytes()));
                }
                None => break,
            }
        }
        spans
    }
}

/// Cuts a span that `tracing` recorded down to the limits, and counts what it loses.
fn keep_within(span: &mut SpanData, options: &TraceOptions) {
    fn cut<T>(all: &mut Vec<T>, most: usize) -> u32 {
        let lost = all.len().saturating_sub(most);
        all.truncate(most);
        u32::try_from(lost).unwrap_or(u32::MAX)
    }
    span.dropped_attributes_count += cut(&mut span.attributes, options.max_attributes);
    span.events.dropped_count += cut(&mut span.events.events, options.max_events);
    span.links.dropped_count += cut(&mut span.links.links, options.max_links);
    if options.max_attribute_length == 0 {
        return;
    }
    for attribute in &mut span.attributes {
        let opentelemetry::Value::String(text) = &attribute.value else { continue };
        if text.as_str().len() > options.max_attribute_length {
            let cut = text.as_str().floor_char_boundary(options.max_attribute_length);
            attribute.value = text.as_str()[..cut].to_owned().into();
        }
    }
}

struct MetricSending {
    collector: Collector,
    interval: Duration,
    resource: Resource,
    source: MetricSource,
    troubled: bool,
}

impl MetricSending {
    /// Sends at each interval until it is stopped, and then once more.
    async fn go_on(&mut self, stop: &CancellationToken) {
        while !stop.is_cancelled() {
            tokio::select! {
                () = tokio::time::sleep(self.interval) => {}
                () = stop.cancelled() => {}
            }
            let mut message = (self.source)();
            for metrics in &mut message.resource_metrics {
                metrics.resource = Some(self.resource.clone());
            }
            let message = message.encode_to_vec().into();
            tokio::select! {
                sent = self.collector.send(message) => tell_of_trouble("metrics", &mut self.troubled, sent),
                () = async { stop.cancelled().await; tokio::time::sleep(LAST_WORDS).await } => return,
            }
        }
    }
}

/// Logs the first failure of several, and that they are over.
fn tell_of_trouble(what: &'static str, troubled: &mut bool, sent: Result<(), OtlpError>) {
    let before = std::mem::replace(troubled, sent.is_err());
    match (sent, before) {
        (Err(error), false) => {
            tracing::warn!(what, %error, "what is observed is lost until the collector takes it again")
        }
        (Err(error), true) => tracing::debug!(what, %error, "still lost"),
        (Ok(()), true) => tracing::info!(what, "the collector takes them again"),
        (Ok(()), false) => {}
    }
}
