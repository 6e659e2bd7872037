//! A real OTLP receiver: it takes spans and metrics by gRPC or HTTP, is slow or refuses where a test wants it to, and tells what it got.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use axum::{Router, body::Bytes, extract::State, http::HeaderMap, http::StatusCode, routing::post};
use opentelemetry_proto::tonic::{
    collector::{
        metrics::v1::{
            ExportMetricsServiceRequest, ExportMetricsServiceResponse,
            metrics_service_server::{MetricsService, MetricsServiceServer},
        },
        trace::v1::{
            ExportTraceServiceRequest, ExportTraceServiceResponse,
            trace_service_server::{TraceService, TraceServiceServer},
        },
    },
    common::v1::{KeyValue, any_value::Value},
    resource::v1::Resource,
    trace::v1::{Span, span::Link},
};
use prost::Message;
use tonic::{Request, Response, Status, codec::CompressionEncoding};

use crate::{patience::eventually, ports::free_port};

/// How long spans may take to arrive.
const ARRIVAL: Duration = Duration::from_secs(20);

/// What a receiver got.
#[derive(Default)]
struct Got {
    spans: Mutex<Vec<Span>>,
    resources: Mutex<Vec<Resource>>,
    metrics: Mutex<Vec<ExportMetricsServiceRequest>>,
    /// Header `x-key` of the messages.
    keys: Mutex<Vec<String>>,
    /// How long each message takes, in milliseconds; `u64::MAX`: it is refused.
    delay_ms: AtomicU64,
}

/// A running receiver; it ends with the test's runtime.
#[derive(Clone)]
pub struct Collector {
    pub url: String,
    got: Arc<Got>,
}

impl Collector {
    /// One that speaks gRPC.
    pub async fn by_grpc() -> Self {
        let (port, got) = (free_port(), Arc::<Got>::default());
        let service = Receiver(Arc::clone(&got));
        let traces = TraceServiceServer::new(service.clone());
        let metrics = MetricsServiceServer::new(service);
        let gzip = CompressionEncoding::Gzip;
        let router = tonic::transport::Server::builder()
            .add_service(traces.accept_compressed(gzip))
            .add_service(metrics.accept_compressed(gzip));
        tokio::spawn(router.serve(([127, 0, 0, 1], port).into()));
        Self { url: format!("http://127.0.0.1:{port}"), got }
    }

    /// One that speaks HTTP.
    pub async fn by_http() -> Self {
        let (port, got) = (free_port(), Arc::<Got>::default());
        let router = Router::new()
            .route("/v1/traces", post(take_traces))
            .route("/v1/metrics", post(take_metrics))
            .with_state(Arc::clone(&got));
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await.unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url: format!("http://127.0.0.1:{port}"), got }
    }

    /// Settings of a server that sends it its spans soon, and more settings.
    pub fn settings(&self, more: &[(&str, &str)]) -> Vec<(String, String)> {
        let endpoint = ("TELEMETRY__OTLP_ENDPOINT", self.url.as_str());
        let soon = ("TELEMETRY__TRACES__SCHEDULE_DELAY", "50ms");
        let all = [endpoint, soon].into_iter().chain(more.iter().copied());
        all.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    /// Takes so long for each message from now on.
    pub fn be_slow(&self, delay: Duration) {
        self.got.delay_ms.store(delay.as_millis() as u64, Ordering::SeqCst);
    }

    /// Refuses every message from now on.
    pub fn refuse(&self) {
        self.got.delay_ms.store(u64::MAX, Ordering::SeqCst);
    }

    /// All spans so far.
    pub fn spans(&self) -> Vec<Seen> {
        self.got.spans.lock().unwrap().iter().cloned().map(Seen).collect()
    }

    /// What the messages say of who sent them.
    pub fn resource(&self) -> BTreeMap<String, String> {
        let all = self.got.resources.lock().unwrap();
        all.last().map(|resource| texts(&resource.attributes)).unwrap_or_default()
    }

    /// The headers `x-key` of the messages.
    pub fn keys(&self) -> Vec<String> {
        self.got.keys.lock().unwrap().clone()
    }

    /// All metrics so far, message by message.
    pub fn metrics(&self) -> Vec<ExportMetricsServiceRequest> {
        self.got.metrics.lock().unwrap().clone()
    }

    /// Waits until a trace has a span of each of these names; gives all of the trace.
    pub async fn trace_with(&self, trace_id: &[u8], names: &[&str]) -> Trace {
        let what = format!("a trace with {names:?}");
        let complete = async || {
            let own: Vec<Seen> =
                self.spans().into_iter().filter(|span| span.0.trace_id == trace_id).collect();
            let has = |name: &&str| own.iter().any(|span| span.0.name == **name);
            names.iter().all(has).then_some(Trace(own))
        };
        eventually(&what, ARRIVAL, complete).await
    }

    /// Waits for the span that a link leads to.
    pub async fn linked(&self, link: &Link) -> Seen {
        let found = async || {
            self.spans()
                .into_iter()
                .find(|span| span.0.trace_id == link.trace_id && span.0.span_id == link.span_id)
        };
        eventually("the linked span", ARRIVAL, found).await
    }
}

/// One span.
#[derive(Debug, Clone)]
pub struct Seen(pub Span);

impl Seen {
    /// An attribute as text; empty where there is none.
    pub fn text(&self, key: &str) -> String {
        texts(&self.0.attributes).remove(key).unwrap_or_default()
    }

    /// An attribute as a number.
    pub fn number(&self, key: &str) -> f64 {
        let text = self.text(key);
        text.parse().unwrap_or_else(|_| panic!("{} has {key} = `{text}`", self.0.name))
    }

    /// The attributes of each of its events of that name.
    pub fn events(&self, name: &str) -> Vec<BTreeMap<String, String>> {
        let events = self.0.events.iter().filter(|told| told.name == name);
        events.map(|told| texts(&told.attributes)).collect()
    }

    /// The reasons of its events of that name.
    pub fn reasons(&self, event: &str) -> Vec<String> {
        self.events(event).iter().map(|told| told["podium.reason"].clone()).collect()
    }

    /// How long it went on.
    pub fn took(&self) -> Duration {
        Duration::from_nanos(self.0.end_time_unix_nano - self.0.start_time_unix_nano)
    }

    /// Whether one of its links leads to that span.
    pub fn links_to(&self, other: &Seen) -> bool {
        let (trace, span) = (&other.0.trace_id, &other.0.span_id);
        self.0.links.iter().any(|link| link.trace_id == *trace && link.span_id == *span)
    }
}

/// All spans of one trace.
#[derive(Debug, Clone)]
pub struct Trace(pub Vec<Seen>);

impl Trace {
    /// The span of that name; the first, where there are more.
    #[track_caller]
    pub fn span(&self, name: &str) -> &Seen {
        let found = self.0.iter().find(|span| span.0.name == name);
        found.unwrap_or_else(|| panic!("no span `{name}` among {:?}", self.names()))
    }

    /// All names, in the order of their beginnings.
    pub fn names(&self) -> Vec<String> {
        let mut all: Vec<&Seen> = self.0.iter().collect();
        all.sort_by_key(|span| span.0.start_time_unix_nano);
        all.iter().map(|span| span.0.name.clone()).collect()
    }

    /// The span that another stands below.
    #[track_caller]
    pub fn parent_of(&self, name: &str) -> &Seen {
        let own = self.span(name);
        let found = self.0.iter().find(|span| span.0.span_id == own.0.parent_span_id);
        found.unwrap_or_else(|| panic!("the parent of `{name}` is not in the trace"))
    }
}

fn texts(attributes: &[KeyValue]) -> BTreeMap<String, String> {
    let text = |value: &Value| match value {
        Value::StringValue(text) => text.clone(),
        Value::BoolValue(flag) => flag.to_string(),
        Value::IntValue(number) => number.to_string(),
        Value::DoubleValue(number) => number.to_string(),
        other => format!("{other:?}"),
    };
    let pair = |pair: &KeyValue| {
        let value = pair.value.as_ref().and_then(|value| value.value.as_ref());
        (pair.key.clone(), value.map(text).unwrap_or_default())
    };
    attributes.iter().map(pair).collect()
}

impl Got {
    /// Takes a message in, and says whether it is taken.
    async fn admits(&self, key: Option<&str>) -> bool {
        self.keys.lock().unwrap().extend(key.map(str::to_owned));
        match self.delay_ms.load(Ordering::SeqCst) {
            u64::MAX => false,
            delay => {
                tokio::time::sleep(Duration::from_millis(delay)).await;
                true
            }
        }
    }

    /// A message that came by gRPC.
    async fn by_grpc<M, A: Default>(
        &self,
        request: Request<M>,
        keep: fn(&Self, M),
    ) -> Result<Response<A>, Status> {
        let key = request.metadata().get("x-key").and_then(|value| value.to_str().ok());
        if !self.admits(key).await {
            return Err(Status::permission_denied("a test wants it so"));
        }
        keep(self, request.into_inner());
        Ok(Response::new(A::default()))
    }

    /// A message that came by HTTP.
    async fn by_http<M: Message + Default>(
        &self,
        (headers, body): (HeaderMap, Bytes),
        keep: fn(&Self, M),
    ) -> StatusCode {
        if !self.admits(headers.get("x-key").and_then(|value| value.to_str().ok())).await {
            return StatusCode::FORBIDDEN;
        }
        match M::decode(unzipped(&headers, body).as_slice()) {
            Ok(message) => {
                keep(self, message);
                StatusCode::OK
            }
            Err(_) => StatusCode::BAD_REQUEST,
        }
    }

    fn keep_spans(&self, message: ExportTraceServiceRequest) {
        for one in message.resource_spans {
            self.resources.lock().unwrap().extend(one.resource);
            let spans = one.scope_spans.into_iter().flat_map(|scope| scope.spans);
            self.spans.lock().unwrap().extend(spans);
        }
    }

    fn keep_metrics(&self, message: ExportMetricsServiceRequest) {
        self.metrics.lock().unwrap().push(message);
    }
}

#[derive(Clone)]
struct Receiver(Arc<Got>);

#[tonic::async_trait]
impl TraceService for Receiver {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        self.0.by_grpc(request, Got::keep_spans).await
    }
}

#[tonic::async_trait]
impl MetricsService for Receiver {
    async fn export(
        &self,
        request: Request<ExportMetricsServiceRequest>,
    ) -> Result<Response<ExportMetricsServiceResponse>, Status> {
        self.0.by_grpc(request, Got::keep_metrics).await
    }
}

async fn take_traces(State(got): State<Arc<Got>>, headers: HeaderMap, body: Bytes) -> StatusCode {
    got.by_http((headers, body), Got::keep_spans).await
}

async fn take_metrics(State(got): State<Arc<Got>>, headers: HeaderMap, body: Bytes) -> StatusCode {
    got.by_http((headers, body), Got::keep_metrics).await
}

fn unzipped(headers: &HeaderMap, body: Bytes) -> Vec<u8> {
    let mut bytes = Vec::new();
    match headers.get("content-encoding") {
        Some(_) => {
            std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(&body[..]), &mut bytes)
                .unwrap();
        }
        None => bytes.extend(&body),
    }
    bytes
}
