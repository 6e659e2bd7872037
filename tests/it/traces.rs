//! What a collector gets of requests: the tree, the links, the attributes, and what is told of failures.

use std::time::Duration;

use podium::transport::pb::{
    RankRequest, RankResponse, User, rank_service_client::RankServiceClient,
};
use tonic::{Request, Status};

use crate::{
    collector::Collector,
    replica::Replica,
    shoppers::{CANDIDATES, request},
};

/// A caller's trace, drawn by it.
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";

/// The spans of a request that is answered.
const WHOLE: [&str; 8] = [
    "podium.v1.RankService/Rank",
    "receive",
    "validate",
    "user",
    "features",
    "queue",
    "batch",
    "select",
];

/// Settings that send spans to a collector soon.
fn settings(collector: &Collector, more: &[(&str, &str)]) -> Vec<(String, String)> {
    let endpoint = ("TELEMETRY__OTLP_ENDPOINT", collector.url.as_str());
    let soon = ("TELEMETRY__TRACES__SCHEDULE_DELAY", "50ms");
    let all = [endpoint, soon].into_iter().chain(more.iter().copied());
    all.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

/// Ranks as a caller whose trace is drawn.
async fn rank_traced(
    server: &Replica,
    message: RankRequest,
    headers: &[(&'static str, &str)],
) -> Result<RankResponse, Status> {
    let mut request = Request::new(message);
    request.set_timeout(Duration::from_secs(5));
    let parent = format!("00-{TRACE}-{PARENT}-01");
    request.metadata_mut().insert("traceparent", parent.parse().unwrap());
    for (name, value) in headers {
        request.metadata_mut().insert(*name, value.parse().unwrap());
    }
    let mut client = RankServiceClient::new(server.connect().await);
    client.rank(request).await.map(|answer| answer.into_inner())
}

fn user(id: &str) -> User {
    User { id: id.to_owned(), ..User::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_a_tree_below_its_callers_span() {
    let collector = Collector::by_grpc().await;
    let server = Replica::configured(&settings(&collector, &[])).await;
    rank_traced(&server, request(user("nobody")), &[("tracestate", "vendor=1")]).await.unwrap();
    let trace = collector.trace_with(&bytes(TRACE), &WHOLE).await;
    let rank = trace.span("podium.v1.RankService/Rank");
    assert_eq!(rank.0.parent_span_id, bytes(PARENT));
    assert_eq!(rank.0.trace_state, "vendor=1");
    assert_eq!(rank.0.kind, 2, "a server's span");
    for name in &WHOLE[1..] {
        assert_eq!(trace.parent_of(name).0.name, rank.0.name, "{name}");
        let (own, all) = (&trace.span(name).0, &rank.0);
        assert!(own.start_time_unix_nano >= all.start_time_unix_nano, "{name}");
        assert!(own.end_time_unix_nano <= all.end_time_unix_nano, "{name}");
    }
    assert_eq!(rank.text("rpc.system.name"), "grpc");
    assert_eq!(rank.text("rpc.method"), "podium.v1.RankService/Rank");
    assert_eq!(rank.text("rpc.response.status_code"), "OK");
    assert_eq!(rank.text("podium.model.name"), "tiny-ranker");
    assert_eq!(rank.number("podium.candidates"), CANDIDATES as f64);
    let batch = trace.span("batch");
    assert_eq!(batch.0.links.len(), 1);
    let alone = collector.linked(&batch.0.links[0]).await;
    assert_ne!(alone.0.trace_id, rank.0.trace_id, "a batch belongs to nobody");
    assert!(alone.links_to(rank));
    for key in ["rows", "requests", "bucket", "fill", "padding", "closed", "copies", "run_ms"] {
        let key = format!("podium.batch.{key}");
        assert_eq!(batch.text(&key), alone.text(&key));
        assert!(!batch.text(&key).is_empty(), "{key}");
    }
    assert_eq!(batch.text("podium.device"), "cpu");
    assert_eq!(collector.resource()["service.name"], "podium");
}
