//! What the traces of requests tell while the versions of a model move, and share its users.

use std::{
    collections::BTreeSet,
    fs,
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use futures::future::join_all;
use podium::transport::pb::{RankResponse, User};
use tempfile::TempDir;

use crate::{
    collector::{Collector, Seen},
    fixture,
    patience::eventually,
    replica::{DEADLINE, Replica, rank_over},
    shoppers::request,
};

const RANK: &str = "podium.v1.RankService/Rank";
/// How long versions and spans may take to be there.
const ARRIVAL: Duration = Duration::from_secs(40);

/// A repository with the tiny encoder and these versions of the tiny ranker.
fn repository(versions: &[u64]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    bring("tiny-encoder", 1, folder.path());
    versions.iter().for_each(|version| bring("tiny-ranker", *version, folder.path()));
    folder
}

/// Has a version appear whole.
fn bring(model: &str, version: u64, repository: &Path) {
    let (from, hidden) = (fixture::bundle(model), repository.join(format!(".{model}-{version}")));
    fs::create_dir_all(&hidden).unwrap();
    for file in fs::read_dir(from.join(version.to_string())).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), hidden.join(file.file_name())).unwrap();
    }
    fs::create_dir_all(repository.join(model)).unwrap();
    fs::rename(hidden, repository.join(model).join(version.to_string())).unwrap();
}

/// A server that draws every request, and looks at its repository all the time.
async fn server(collector: &Collector, repository: &Path) -> Replica {
    let all = ("TELEMETRY__TRACES__SAMPLER", "always_on");
    let often = ("MODELS__POLL_INTERVAL", "100ms");
    Replica::of_models(repository, &collector.settings(&[all, often])).await
}

/// The spans of requests that were answered.
fn ranks(collector: &Collector) -> Vec<Seen> {
    let spans = collector.spans().into_iter();
    spans.filter(|span| span.0.name == RANK && span.text("podium.kept") == "drawn").collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_split_request_tells_which_version_was_drawn() {
    let (collector, repository) = (Collector::by_grpc().await, repository(&[1, 2]));
    let wish = "[models.tiny-ranker]\nlive = 1\nlabels = { canary = 2 }\nsplit = { canary = 50 }\n";
    fs::write(repository.path().join("serving.toml"), wish).unwrap();
    let server = server(&collector, repository.path()).await;
    let user = |at| User { id: format!("user-{at}"), ..User::default() };
    let mut answered = Vec::new();
    for at in 0..24 {
        answered.push(server.rank(request(user(at))).await.unwrap().model_version);
    }
    assert_eq!(answered.iter().collect::<BTreeSet<_>>().len(), 2, "{answered:?}");
    let mut told: Vec<Seen> = eventually("a span of each request", ARRIVAL, async || {
        let told = ranks(&collector);
        (told.len() == answered.len()).then_some(told)
    })
    .await;
    told.sort_by_key(|rank| rank.0.start_time_unix_nano);
    for (rank, version) in told.iter().zip(&answered) {
        assert_eq!(rank.number("podium.model.version"), *version as f64);
        let drawn = rank.events("feature_flag.evaluation");
        assert_eq!(drawn.len(), 1, "{rank:?}");
        assert_eq!(drawn[0]["feature_flag.key"], "model/tiny-ranker");
        assert_eq!(drawn[0]["feature_flag.provider.name"], "podium");
        assert_eq!(drawn[0]["feature_flag.result.variant"], version.to_string());
        assert_eq!(drawn[0]["feature_flag.result.reason"], "split");
    }
}

/// Ranks without a pause until it is told to stop.
async fn load(server: &Replica, stop: &AtomicBool) -> Vec<RankResponse> {
    let channel = server.connect().await;
    let mut answers = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        answers.push(rank_over(channel.clone(), DEADLINE, request(User::default())).await.unwrap());
    }
    answers
}

#[tokio::test(flavor = "multi_thread")]
async fn a_swap_under_load_is_a_trace_and_no_request_or_batch_is_of_two_versions() {
    let (collector, repository) = (Collector::by_grpc().await, repository(&[1]));
    let server = server(&collector, repository.path()).await;
    let stop = AtomicBool::new(false);
    let swap = async {
        bring("tiny-ranker", 2, repository.path());
        eventually("answers of the new version", ARRIVAL, async || {
            let answer = server.rank(request(User::default())).await.unwrap();
            (answer.model_version == 2).then_some(())
        })
        .await;
        tokio::time::sleep(Duration::from_millis(200)).await;
        stop.store(true, Ordering::Relaxed);
    };
    let (loads, ()) = tokio::join!(join_all((0..4).map(|_| load(&server, &stop))), swap);
    for answers in &loads {
        let versions: Vec<u64> = answers.iter().map(|answer| answer.model_version).collect();
        assert!(versions.is_sorted() && versions.ends_with(&[2]), "{versions:?}");
    }
    let led = eventually("the span of the route", ARRIVAL, async || {
        let to_it = |span: &Seen| {
            span.0.name == "route.lead"
                && span.text("podium.model.name") == "tiny-ranker"
                && span.text("podium.model.version") == "2"
        };
        collector.spans().into_iter().find(to_it)
    })
    .await;
    let own = eventually("the span of the version", ARRIVAL, async || {
        let its =
            |span: &Seen| span.0.name == "version.load" && span.text("podium.model.version") == "2";
        collector.spans().into_iter().find(its)
    })
    .await;
    assert!(own.0.end_time_unix_nano <= led.0.end_time_unix_nano, "it is ready before it answers");
    held(&collector, led.0.end_time_unix_nano).await;
}

/// Every request and its batch are of one version, of both sides of the swap.
async fn held(collector: &Collector, swapped: u64) {
    let all = ranks(collector);
    let mut versions = BTreeSet::new();
    for rank in all.iter().rev().step_by(1 + all.len() / 200) {
        let version = rank.text("podium.model.version");
        let trace = collector.trace_with(&rank.0.trace_id, &["queue", "batch", "select"]).await;
        let batch = trace.span("batch");
        assert_eq!(batch.text("podium.model.version"), version);
        let shared = collector.linked(&batch.0.links[0]).await;
        assert_eq!(shared.text("podium.model.version"), version);
        assert!(rank.0.start_time_unix_nano < swapped || version == "2", "{rank:?}");
        versions.insert(version);
    }
    assert_eq!(versions.len(), 2, "{versions:?}");
}
