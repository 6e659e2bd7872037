//! What a collector gets of requests: the tree, the links, the attributes, and what is told of failures.

use std::{collections::BTreeSet, time::Duration};

use futures::future::join_all;
use podium::transport::pb::{
    Column, DegradedReason, IntColumn, ModelSelector, RankRequest, RankResponse, User,
    column::Values, rank_service_client::RankServiceClient,
};
use tonic::{Request, Status};

use crate::{
    collector::{Collector, Seen},
    patience::eventually,
    ports::free_port,
    redis_server::RedisServer,
    replica::{DEADLINE, Replica, rank_over},
    shoppers::{CANDIDATES, Shopper, request},
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
    let server = Replica::configured(&collector.settings(&[])).await;
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

#[tokio::test(flavor = "multi_thread")]
async fn a_first_request_shows_the_encoders_run_and_a_later_one_that_it_was_spared() {
    let redis = RedisServer::start();
    let collector = Collector::by_grpc().await;
    let url = ("USERS__REDIS__URL", redis.url());
    let server = Replica::configured(&collector.settings(&[(url.0, &url.1)])).await;
    let shopper = Shopper::new("user-1", 1, &server).await;
    shopper.act_until(3, &server).await;
    rank_traced(&server, shopper.request(), &[]).await.unwrap();
    let names = ["user", "user_store.read", "encode", "select"];
    let miss = collector.trace_with(&bytes(TRACE), &names).await;
    let (user, read) = (miss.span("user"), miss.span("user_store.read"));
    assert_eq!(user.text("podium.user.state"), "COMPUTED");
    assert_eq!(read.text("podium.user_store.source"), "STORE");
    assert_eq!((read.number("podium.user_store.messages"), read.0.kind), (1.0, 3));
    assert_eq!(read.text("db.system.name"), "redis");
    assert_eq!(miss.parent_of("encode").0.name, "user");
    let encode = miss.span("encode");
    let batches: Vec<&Seen> = miss.0.iter().filter(|span| span.0.name == "batch").collect();
    let of = |parent: &Seen| {
        let own = batches.iter().find(|batch| batch.0.parent_span_id == parent.0.span_id);
        (*own.unwrap()).clone()
    };
    let (encoded, ranked) = (of(encode), of(miss.span("podium.v1.RankService/Rank")));
    assert_eq!(encoded.text("podium.model.name"), "tiny-encoder");
    assert_eq!(ranked.text("podium.model.name"), "tiny-ranker");
    let alone = collector.linked(&encoded.0.links[0]).await;
    assert!(alone.links_to(miss.span("podium.v1.RankService/Rank")));

    let mut later = Request::new(shopper.request());
    let other = "1".repeat(32);
    later.metadata_mut().insert("traceparent", format!("00-{other}-{PARENT}-01").parse().unwrap());
    RankServiceClient::new(server.connect().await).rank(later).await.unwrap();
    let hit = collector.trace_with(&bytes(&other), &["user", "user_store.read", "select"]).await;
    let state = hit.span("user").text("podium.user.state");
    assert!(["CACHED", "LOCAL"].contains(&state.as_str()), "{state}");
    assert!(!hit.names().contains(&"encode".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_of_one_batch_are_linked_to_it_and_it_to_them() {
    let collector = Collector::by_http().await;
    let protocol = ("TELEMETRY__OTLP_PROTOCOL", "http/protobuf");
    let gzip = ("TELEMETRY__OTLP_COMPRESSION", "gzip");
    let key = ("TELEMETRY__OTLP_HEADERS", "{x-key=\"word\"}");
    let all = ("TELEMETRY__TRACES__SAMPLER", "always_on");
    let server = Replica::configured(&collector.settings(&[protocol, gzip, key, all])).await;
    let channel = server.connect().await;
    let ask = || rank_over(channel.clone(), DEADLINE, request(user("nobody")));
    let shared = eventually("a batch of several requests", Duration::from_secs(20), async || {
        join_all((0..16).map(|_| ask())).await.into_iter().for_each(|answer| drop(answer.unwrap()));
        let spans = collector.spans();
        spans.into_iter().find(|span| span.0.name == "batch" && span.0.links.len() > 1)
    })
    .await;
    assert_eq!(shared.number("podium.batch.requests"), shared.0.links.len() as f64);
    let mut rows = 0.0;
    for link in &shared.0.links {
        let rank = collector.linked(link).await;
        assert_eq!(rank.0.name, "podium.v1.RankService/Rank");
        let own = collector.trace_with(&link.trace_id, &["batch", "select"]).await;
        assert!(own.span("batch").links_to(&shared));
        rows += own.span("batch").number("podium.batch.own_rows");
    }
    assert_eq!(shared.number("podium.batch.rows"), rows);
    assert!(collector.keys().iter().all(|key| key == "word"));
}

/// What requests are said to lack or to have failed of.
fn reasons(collector: &Collector) -> BTreeSet<String> {
    let spans = collector.spans();
    let roots = spans.iter().filter(|span| span.0.kind == 2);
    let told = |rank: &Seen| [rank.reasons("podium.error"), rank.reasons("podium.degraded")];
    roots.flat_map(told).flatten().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fails_is_kept_with_its_reason_though_it_was_not_drawn() {
    let collector = Collector::by_grpc().await;
    let none = ("TELEMETRY__TRACES__SAMPLER", "always_off");
    let none_slow = ("TELEMETRY__TRACES__KEEP_SLOWEST", "0");
    let small = ("BATCHING__MAX_QUEUE_SIZE", "1");
    let server = Replica::configured(&collector.settings(&[none, none_slow, small])).await;
    server.rank(request(user("nobody"))).await.unwrap();
    let mut wrong = request(user("nobody"));
    wrong.candidates = None;
    server.rank(wrong).await.unwrap_err();
    let mut missing = request(user("nobody"));
    let own = (1..CANDIDATES).map(|at| format!("item-{:02}", at / 2 * 15 + at % 2));
    let ids = std::iter::once("no such item".to_owned()).chain(own).collect();
    missing.candidates.as_mut().unwrap().ids = ids;
    server.rank(missing).await.unwrap();
    let channel = server.connect().await;
    let mut slow = request(user("nobody"));
    slow.model = Some(ModelSelector { name: "slow-ranker".to_owned(), selector: None });
    let rounds = Some(Values::Ints(IntColumn { values: vec![20_000] }));
    slow.context = vec![Column { name: "rounds".to_owned(), values: rounds }];
    let mut deadline = Duration::from_millis(60);
    let wanted = ["INVALID_FIELD", "ITEMS_MISSING", "QUEUE_FULL", "EXPIRED_IN_RUN"];
    // How fast the machine is decides whether a run is under way when its caller leaves: it is tried until it was.
    eventually("the reasons", Duration::from_secs(40), async || {
        let _ = rank_over(channel.clone(), deadline, slow.clone()).await;
        deadline = (deadline * 3 / 2).min(DEADLINE);
        join_all((0..12).map(|_| rank_over(channel.clone(), DEADLINE, slow.clone()))).await;
        let told = reasons(&collector);
        eprintln!("told so far: {told:?}");
        wanted.iter().all(|reason| told.contains(*reason)).then_some(())
    })
    .await;
    let spans = collector.spans();
    let expired =
        spans.iter().find(|rank| rank.reasons("podium.error") == ["EXPIRED_IN_RUN"]).unwrap();
    let cut = collector.trace_with(&expired.0.trace_id, &["queue", "batch"]).await;
    let batch = collector.linked(&cut.span("batch").0.links[0]).await;
    assert!(batch.links_to(expired), "a batch that somebody left tells of them");
    for rank in collector.spans().iter().filter(|span| span.0.kind == 2) {
        let failed = rank.text("podium.kept") == "failed";
        assert_eq!(rank.0.status.as_ref().unwrap().code == 2, failed, "{rank:?}");
        assert!(failed || rank.text("podium.kept") == "degraded", "{rank:?}");
        assert_eq!(rank.text("rpc.response.status_code") == "OK", !failed);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_of_redis_is_told_and_flagged() {
    let mut redis = RedisServer::start();
    let collector = Collector::by_grpc().await;
    let url = ("USERS__REDIS__URL", redis.url());
    let none = ("TELEMETRY__TRACES__SAMPLER", "always_off");
    let server = Replica::configured(&collector.settings(&[(url.0, &url.1), none])).await;
    redis.kill();
    let answer = server.rank(request(user("somebody"))).await.unwrap();
    assert!(answer.degraded.contains(&DegradedReason::UserStoreUnavailable.into()));
    let read = eventually("the reading that failed", Duration::from_secs(20), async || {
        let spans = collector.spans();
        spans.into_iter().find(|span| {
            span.0.name == "user_store.read"
                && span.0.status.as_ref().is_some_and(|status| status.code == 2)
        })
    })
    .await;
    assert!(["BROKEN", "GIVEN_UP", "TIMED_OUT"].contains(&read.text("error.type").as_str()));
    let trace = collector.trace_with(&read.0.trace_id, &["podium.v1.RankService/Rank"]).await;
    let rank = trace.span("podium.v1.RankService/Rank");
    assert_eq!(rank.reasons("podium.degraded"), ["USER_STORE_UNAVAILABLE"]);
    assert_eq!(rank.text("podium.kept"), "degraded");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_comes_is_a_trace_of_its_own() {
    let collector = Collector::by_grpc().await;
    let server = Replica::configured(&collector.settings(&[])).await;
    let loads = eventually("versions that were loaded", Duration::from_secs(20), async || {
        let spans = collector.spans();
        spans.into_iter().find(|span| {
            span.0.name == "version.load" && span.text("podium.model.name") == "tiny-ranker"
        })
    })
    .await;
    let steps = [
        "version.verify",
        "version.trial",
        "version.sessions",
        "version.warm_up",
        "version.rehearsal",
    ];
    let trace = collector.trace_with(&loads.0.trace_id, &steps).await;
    for step in steps {
        assert_eq!(trace.parent_of(step).0.name, "version.load", "{step}");
    }
    let led = collector.spans().into_iter().filter(|span| span.0.name == "route.lead");
    assert!(led.count() >= 1);
    drop(server);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_is_slow_refuses_or_is_not_there_holds_nobody_up() {
    let collector = Collector::by_grpc().await;
    let queue = ("TELEMETRY__TRACES__MAX_QUEUE_SIZE", "8");
    let all = ("TELEMETRY__TRACES__SAMPLER", "always_on");
    let short = ("TELEMETRY__OTLP_TIMEOUT", "500ms");
    for trouble in ["slow", "refusing", "absent"] {
        match trouble {
            "slow" => collector.be_slow(Duration::from_secs(5)),
            _ => collector.refuse(),
        }
        let mut settings = collector.settings(&[queue, all, short]);
        if trouble == "absent" {
            settings[0].1 = format!("http://127.0.0.1:{}", free_port());
        }
        let server = Replica::configured(&settings).await;
        let channel = server.connect().await;
        let counts = eventually(trouble, Duration::from_secs(20), async || {
            let ask = |_| rank_over(channel.clone(), DEADLINE, request(user("nobody")));
            join_all((0..32).map(ask)).await.into_iter().for_each(|answer| drop(answer.unwrap()));
            let counts = server.metric("podium_telemetry_spans_total").await;
            let dropped = server.metric("podium_telemetry_dropped_total").await;
            let of = |outcome: &str| {
                let found = counts.iter().find(|(labels, _)| labels.contains(outcome));
                found.map_or(0.0, |(_, count)| *count)
            };
            eprintln!("{trouble}: {counts:?}, dropped {dropped:?}");
            (dropped.iter().any(|(_, count)| *count > 0.0) && of("failed") > 0.0)
                .then(|| of("sent"))
        })
        .await;
        assert_eq!(counts, 0.0, "{trouble}");
        assert!(server.log().contains("is lost until the collector takes it again"), "{trouble}");
    }
}
