//! Users in a Redis that is well, behind a network that is not: replies come late, cut, as garbage, in the wrong size, twice, or never.

use std::time::{Duration, Instant};

use crate::{
    judge::Redis,
    proxy::{Mode, Proxy},
    rank_load::{Load, Outcome},
    redis_server::RedisServer,
    shop::Shop,
};

/// How long each mode lasts.
const TROUBLE: Duration = Duration::from_millis(1500);
/// How long after the trouble a load ends.
const CONVALESCENCE: Duration = Duration::from_millis(3200);
/// How long servers may take to notice trouble: until then copies at hand are right.
const NOTICING: Duration = Duration::from_millis(500);

/// What happened while a mode was set.
struct Seen {
    begun: Instant,
    ended: Instant,
    outcome: Outcome,
    spoilt: u64,
    /// Reads that the servers tried twice.
    retried: u64,
}

/// Has two servers behind the proxy of which one keeps copies at hand, and a load on them, while the proxy does this and then passes again.
async fn under_load(mode: Mode) -> Seen {
    let redis = RedisServer::start();
    let proxy = Proxy::before(redis.port);
    let shop = Shop::with_and_without_copies(&proxy.url()).await;
    // That there is nothing has no sum and names nobody: where it may be the answer to another question, nobody can tell.
    let has_strangers = !matches!(mode, Mode::Repeat { .. });
    let shop = Shop { has_strangers, ..shop };
    let load = Load::with_events(&shop, Redis::Keeps);
    load.go_on(Duration::from_millis(500)).await;
    let (before, begun) = (proxy.spoilt(), Instant::now());
    proxy.set(mode);
    load.go_on(TROUBLE).await;
    proxy.set(Mode::Pass);
    let (spoilt, ended) = (proxy.spoilt() - before, Instant::now());
    load.go_on(CONVALESCENCE).await;
    let outcome = load.finish().await;
    eprintln!("{mode:?}, {spoilt} replies spoilt: {}", outcome.summary(begun, ended));
    outcome.assert_healed(ended);
    let mut retried = 0;
    for server in shop.replicas.iter() {
        retried += server.info().await.user_store.unwrap().retried_reads;
    }
    Seen { begun, ended, outcome, spoilt, retried }
}

/// The same, and answers told of it.
async fn told_of(mode: Mode) {
    let seen = under_load(mode).await;
    seen.outcome.assert_told(seen.begun + NOTICING, seen.ended);
}

#[tokio::test(flavor = "multi_thread")]
async fn replies_that_are_a_little_late_are_waited_for() {
    let seen = under_load(Mode::Delay(Duration::from_millis(8))).await;
    seen.outcome.assert_healthy(seen.begun, seen.ended);
}

#[tokio::test(flavor = "multi_thread")]
async fn replies_that_are_too_late_are_told_of() {
    told_of(Mode::Delay(Duration::from_millis(200))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn replies_that_are_cut_are_no_replies() {
    told_of(Mode::Cut { every: 1, after: 9 }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn replies_that_are_cut_now_and_then_are_asked_for_again() {
    let seen = under_load(Mode::Cut { every: 9, after: 3 }).await;
    assert!(
        seen.spoilt > 3 && seen.retried > 0,
        "{} were cut, {} asked for again",
        seen.spoilt,
        seen.retried
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn noise_is_told_of() {
    told_of(Mode::Noise).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn replies_of_another_kind_are_told_of() {
    told_of(Mode::WrongKind).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn values_of_another_size_are_told_of() {
    told_of(Mode::WrongSize).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn replies_to_other_questions_are_nobodys() {
    let seen = under_load(Mode::Repeat { every: 7 }).await;
    assert!(seen.spoilt > 3, "{} came twice", seen.spoilt);
}

#[tokio::test(flavor = "multi_thread")]
async fn silence_is_told_of() {
    told_of(Mode::BlackHole).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_connections_are_told_of() {
    told_of(Mode::Refuse).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn copies_at_hand_are_left_alone_where_nobody_tells_of_changes() {
    let seen = under_load(Mode::DeafEar).await;
    // Redis can be asked, so nothing is lacking.
    seen.outcome.assert_healthy(seen.begun, seen.ended);
}
