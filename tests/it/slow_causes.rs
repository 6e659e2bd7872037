//! Four slow requests, each slow for a cause that was planted: its trace alone says which.
//!
//! Each trace is written to `target/traces`, out of which `scripts/watch-traces --draw` makes the pictures of `docs/tracing.md`.

use std::{fs, path::Path, time::Duration};

use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    trace::v1::{ResourceSpans, ScopeSpans},
};
use podium::transport::pb::{
    Candidates, ModelSelector, RankRequest, RankResponse, UserState,
    rank_service_client::RankServiceClient,
};
use prost::Message;
use tokio::task::JoinHandle;
use tonic::{Code, Request, Status, transport::Channel};

use crate::{
    collector::{Collector, Seen, Trace},
    fixture,
    patience::eventually,
    proxy::{Mode, Proxy},
    redis_server::RedisServer,
    replica::Replica,
    shoppers::Shopper,
};

const RANK: &str = "podium.v1.RankService/Rank";
/// How long requests may take: none of these is slow enough to fail of it.
const DEADLINE: Duration = Duration::from_secs(50);
/// How often a scene is played until requests met in a batch.
const ATTEMPTS: u128 = 20;

/// One instance of the ranker whose cost grows with the square of its texts' length.
async fn long_texts(collector: &Collector, more: &[(&str, &str)]) -> Replica {
    let general = [
        ("BATCHING__INSTANCES", "1"),
        ("BATCHING__PREFERRED_BATCH_ROWS", "2048"),
        ("BATCHING__MAX_QUEUE_TIME", "5m"),
        ("SERVER__MAX_DEADLINE", "60s"),
    ];
    let all: Vec<(&str, &str)> = general.into_iter().chain(more.iter().copied()).collect();
    Replica::of_models(&fixture::long_models(), &collector.settings(&all)).await
}

/// The first so many items of a kind: texts of 12 tokens are `short`, of 400 `middle`, of 4,000 `long`.
fn texts(rows: usize, kind: &str) -> RankRequest {
    let ids = (0..rows).map(|at| format!("{kind}-{at:02}")).collect();
    RankRequest {
        model: Some(ModelSelector { name: "attention-ranker".to_owned(), selector: None }),
        candidates: Some(Candidates { ids, ..Candidates::default() }),
        ..RankRequest::default()
    }
}

/// A request under way whose caller's trace is drawn.
struct Asked {
    trace_id: Vec<u8>,
    answer: JoinHandle<Result<RankResponse, Status>>,
}

/// Asks in a trace of that number.
fn ask(channel: &Channel, number: u128, message: RankRequest) -> Asked {
    ask_within(channel, DEADLINE, number, message)
}

fn ask_within(channel: &Channel, deadline: Duration, number: u128, message: RankRequest) -> Asked {
    let mut request = Request::new(message);
    request.set_timeout(deadline);
    let parent = format!("00-{number:032x}-00f067aa0ba902b7-01");
    request.metadata_mut().insert("traceparent", parent.parse().unwrap());
    let mut client = RankServiceClient::new(channel.clone());
    let answer =
        tokio::spawn(async move { client.rank(request).await.map(|answer| answer.into_inner()) });
    Asked { trace_id: number.to_be_bytes().to_vec(), answer }
}

impl Asked {
    async fn answered(self, collector: &Collector) -> Trace {
        self.answer.await.unwrap().unwrap();
        collector.trace_with(&self.trace_id, &[RANK, "select"]).await
    }
}

/// What part of the whole request a span is.
fn share(trace: &Trace, name: &str) -> f64 {
    trace.span(name).took().as_secs_f64() / trace.span(RANK).took().as_secs_f64()
}

#[track_caller]
fn assert_cause(trace: &Trace, reason: &str, words: &[&str]) {
    let rank = trace.span(RANK);
    let told = rank.text("podium.slow.explanation");
    assert_eq!(rank.text("podium.slow.reason"), reason, "{told}");
    for word in words {
        assert!(told.contains(word), "no `{word}` in `{told}`");
    }
}

/// Writes a trace, and the batches that it is linked to, as a message to a collector.
async fn keep(name: &str, trace: &Trace, collector: &Collector) {
    let mut spans: Vec<Seen> = trace.0.clone();
    for link in trace.0.iter().flat_map(|span| &span.0.links) {
        spans.push(collector.linked(link).await);
    }
    let spans = spans.into_iter().map(|span| span.0).collect();
    let scope_spans = vec![ScopeSpans { spans, ..ScopeSpans::default() }];
    let resource_spans = vec![ResourceSpans { scope_spans, ..ResourceSpans::default() }];
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target").join("traces");
    fs::create_dir_all(&folder).unwrap();
    let message = ExportTraceServiceRequest { resource_spans };
    fs::write(folder.join(format!("{name}.pb")), message.encode_to_vec()).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_store_that_answers_late() {
    let (redis, collector) = (RedisServer::start(), Collector::by_grpc().await);
    let proxy = Proxy::before(redis.port);
    let url = proxy.url();
    let more = [
        ("USERS__REDIS__URL", url.as_str()),
        ("USERS__REDIS__READ_TIMEOUT", "2s"),
        ("USERS__REDIS__LOCAL_BYTES", "0"),
    ];
    let server = Replica::configured(&collector.settings(&more)).await;
    let shopper = Shopper::new("user-1", 1, &server).await;
    shopper.act_until(3, &server).await;
    eventually("the embedding is stored", Duration::from_secs(20), async || {
        let answer = server.rank(shopper.request()).await.ok()?;
        (answer.user_state() == UserState::Cached).then_some(())
    })
    .await;
    proxy.set(Mode::Delay(Duration::from_millis(120)));
    let asked = ask(&server.connect().await, 0x11, shopper.request());
    let trace = asked.answered(&collector).await;
    assert_cause(&trace, "USER_STORE", &["reading the user store took"]);
    let read = trace.span("user_store.read");
    assert!(read.took() >= Duration::from_millis(120), "{:?}", read.took());
    assert!(share(&trace, "user_store.read") > 0.5, "{}", share(&trace, "user_store.read"));
    assert_eq!(read.text("db.system.name"), "redis");
    assert_eq!(read.text("podium.user_store.source"), "STORE");
    assert_eq!(trace.span("user").text("podium.user.state"), "CACHED");
    assert_eq!(trace.parent_of("user_store.read").0.name, "user");
    keep("user-store", &trace, &collector).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_that_is_full() {
    let collector = Collector::by_grpc().await;
    let more = [
        ("BATCHING__LENGTH_BUCKETS", "[64, 512]"),
        ("BATCHING__PREFERRED_BATCH_ROWS", "192"),
        ("BATCHING__MAX_QUEUE_SIZE", "16"),
    ];
    let server = long_texts(&collector, &more).await;
    let channel = server.connect().await;
    let asked: Vec<Asked> =
        (0..32).map(|number| ask(&channel, 0x2200 + number, texts(16, "middle"))).collect();
    let (mut answered, mut refused) = (Vec::new(), Vec::new());
    for one in asked {
        match one.answer.await.unwrap() {
            Ok(_) => answered.push(collector.trace_with(&one.trace_id, &[RANK, "select"]).await),
            Err(_) => refused.push(collector.trace_with(&one.trace_id, &[RANK]).await),
        }
    }
    assert!(
        answered.len() >= 16 && !refused.is_empty(),
        "{} and {}",
        answered.len(),
        refused.len()
    );
    let last = answered.iter().max_by_key(|trace| trace.span("queue").took()).unwrap();
    keep("queue", last, &collector).await;
    assert_cause(last, "QUEUE", &["in the model's queue", "batches ran"]);
    assert!(share(last, "queue") > 0.5, "{}", share(last, "queue"));
    assert!(last.span("queue").took() > last.span("batch").took());
    for trace in &refused {
        assert_cause(trace, "QUEUE_FULL", &["the model's queue was full"]);
        let rank = trace.span(RANK);
        assert_eq!(rank.reasons("podium.error"), ["QUEUE_FULL"]);
        assert_eq!(rank.text("rpc.response.status_code"), "RESOURCE_EXHAUSTED");
        assert_eq!(rank.0.status.as_ref().unwrap().code, 2, "an error");
        assert!(!trace.names().contains(&"batch".to_owned()));
    }
    keep("queue-full", &refused[0], &collector).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_that_leaves_no_time() {
    let collector = Collector::by_grpc().await;
    let server = long_texts(&collector, &[("BATCHING__LENGTH_BUCKETS", "[64, 512]")]).await;
    let channel = server.connect().await;
    let waiting: Vec<Asked> =
        (0..12).map(|number| ask(&channel, 0x2300 + number, texts(2, "long"))).collect();
    // The most urgent goes before all that waits, so that only the batch that runs is in its way.
    let mut number = 0x2400;
    let trace = eventually("somebody is told that there is no time", DEADLINE, async || {
        number += 1;
        let hurried = ask_within(&channel, Duration::from_millis(60), number, texts(16, "middle"));
        let trace_id = hurried.trace_id;
        let refused = hurried.answer.await.unwrap().err()?;
        let is_refused = refused.code() == Code::ResourceExhausted;
        is_refused.then_some(collector.trace_with(&trace_id, &[RANK]).await)
    })
    .await;
    assert_cause(&trace, "QUEUE_FULL", &["too much waited for the model to be in time"]);
    assert_eq!(trace.span(RANK).reasons("podium.error"), ["DEADLINE_TOO_SHORT"]);
    for one in waiting {
        one.answered(&collector).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_that_never_ran() {
    let collector = Collector::by_grpc().await;
    // Warm-up runs texts of up to 512 tokens; the costs of longer ones are only what those make likely.
    // A machine that is busy while costs are measured makes a slow run one that was expected: then another server is asked.
    let mut number = 0x3100;
    let (_server, channel, first) = loop {
        number += 1;
        let server = long_texts(&collector, &[("BATCHING__LENGTH_BUCKETS", "[64, 512]")]).await;
        let channel = server.connect().await;
        let first = ask(&channel, number, texts(2, "long")).answered(&collector).await;
        if first.span(RANK).text("podium.slow.reason") == "COLD_BUCKET" || number == 0x3105 {
            break (server, channel, first);
        }
    };
    assert_cause(&first, "COLD_BUCKET", &["ran its first batch of length 4000", "was expected"]);
    let batch = first.span("batch");
    assert_eq!(batch.text("podium.batch.cold"), "true");
    assert_eq!(batch.number("podium.batch.own_length"), 4000.0);
    let (ran, expected) =
        (batch.number("podium.batch.run_ms"), batch.number("podium.batch.expected_run_ms"));
    assert!(ran > expected * 2.0, "{ran} of {expected}");
    assert!(share(&first, "batch") > 0.5, "{}", share(&first, "batch"));
    keep("cold-bucket", &first, &collector).await;
    let again = ask(&channel, 0x32, texts(2, "long")).answered(&collector).await;
    keep("cold-bucket-again", &again, &collector).await;
    assert_eq!(again.span("batch").text("podium.batch.cold"), "false");
    assert_ne!(again.span(RANK).text("podium.slow.reason"), "COLD_BUCKET");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_text_in_the_batch() {
    let collector = Collector::by_grpc().await;
    // One bucket for all lengths, a mistake that is easily made: who comes first is padded to those who follow.
    let more = [("BATCHING__LENGTH_BUCKETS", "[512]"), ("BATCHING__PREFERRED_BATCH_ROWS", "512")];
    let server = long_texts(&collector, &more).await;
    let channel = server.connect().await;
    let mut met = None;
    for attempt in 1..=ATTEMPTS {
        let number = |at: u128| (attempt << 16) + at;
        // The first runs meanwhile; the others meet behind it.
        let before = ask(&channel, number(0), texts(8, "middle"));
        tokio::time::sleep(Duration::from_millis(3)).await;
        let short = ask(&channel, number(1), texts(4, "short"));
        let long: Vec<Asked> =
            (2..10).map(|at| ask(&channel, number(at), texts(16, "middle"))).collect();
        let short = short.answered(&collector).await;
        for one in long.into_iter().chain([before]) {
            one.answered(&collector).await;
        }
        let (batch, queue) = (short.span("batch"), short.span("queue"));
        if batch.number("podium.batch.bucket") == 400.0 && batch.took() > queue.took() * 2 {
            met = Some(short);
            break;
        }
    }
    let short = met.expect("a short text and a long one never met in a batch");
    assert_cause(
        &short,
        "LONG_NEIGHBOUR",
        &["its rows of length 12 shared a batch that was padded to 400"],
    );
    let batch = short.span("batch");
    assert_eq!(batch.number("podium.batch.own_length"), 12.0);
    assert_eq!(batch.number("podium.batch.own_rows"), 4.0);
    assert_eq!(batch.number("podium.batch.bucket"), 400.0);
    let whole = collector.linked(&batch.0.links[0]).await;
    assert!(whole.0.links.len() > 1, "all requests are linked");
    assert!(whole.links_to(short.span(RANK)));
    keep("long-neighbour", &short, &collector).await;
}
