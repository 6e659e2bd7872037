//! Users in a Redis that is killed, frozen, paused, or full, while a load goes on: no call fails, no score is wrong, every answer says what it
//! lacks, and two seconds after Redis is well all answers are.

use std::time::{Duration, Instant};

use podium::transport::pb::UserState;

use crate::{
    judge::Redis,
    patience::{eventually, wait_for},
    rank_load::{Load, known},
    redis_server::RedisServer,
    shop::Shop,
};

/// How long a load runs before the trouble, and behind the time that healing may take.
const CALM: Duration = Duration::from_secs(1);
/// How long after Redis is well a load ends.
const CONVALESCENCE: Duration = Duration::from_millis(3200);
/// How long servers may take to notice trouble: until then copies at hand are right.
const NOTICING: Duration = Duration::from_millis(500);

async fn pair(redis: &RedisServer) -> Shop {
    Shop::open(&[redis.url(), redis.url()], &[]).await
}

/// Has a load go on while `trouble` happens, which returns when Redis is well again.
async fn under_load(shop: &Shop, trouble: impl AsyncFnOnce()) {
    let load = Load::with_events(shop, Redis::Keeps);
    load.go_on(CALM).await;
    let begun = Instant::now();
    trouble().await;
    let well = Instant::now();
    load.go_on(CONVALESCENCE).await;
    let outcome = load.finish().await;
    eprintln!("in trouble: {}", outcome.summary(begun, well));
    outcome.assert_told(begun + NOTICING, well);
    outcome.assert_healed(well);
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_and_restarted() {
    let mut redis = RedisServer::durable();
    let shop = pair(&redis).await;
    under_load(&shop, async || {
        redis.kill();
        tokio::time::sleep(Duration::from_secs(2)).await;
        redis.start_again();
        redis.wait_until_it_answers();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_and_restarted_empty() {
    let mut redis = RedisServer::start();
    let shop = pair(&redis).await;
    let load = Load::start(&shop, Redis::Forgets);
    load.go_on(CALM).await;
    redis.kill();
    redis.start_again();
    redis.wait_until_it_answers();
    let well = Instant::now();
    load.go_on(CONVALESCENCE).await;
    load.finish().await;
    for user in shop.known.iter() {
        let verdict = known(user, &shop.replicas[1], Redis::Forgets).await.unwrap().verdict;
        assert_eq!(
            (verdict.state, verdict.degraded),
            (UserState::Default, false),
            "{:?}",
            well.elapsed()
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn frozen_for_ten_seconds() {
    let redis = RedisServer::start();
    let shop = pair(&redis).await;
    under_load(&shop, async || {
        redis.freeze();
        tokio::time::sleep(Duration::from_secs(10)).await;
        redis.thaw();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_are_paused() {
    let redis = RedisServer::start();
    let shop = pair(&redis).await;
    under_load(&shop, async || {
        redis.ask::<()>(&["CLIENT", "PAUSE", "3000", "ALL"]);
        tokio::time::sleep(Duration::from_secs(3)).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_are_killed_again_and_again() {
    let redis = RedisServer::start();
    let shop = pair(&redis).await;
    let (load, begun) = (Load::with_events(&shop, Redis::Keeps), Instant::now());
    for round in 0..20 {
        let kind = ["normal", "pubsub"][round % 2];
        redis.ask::<i64>(&["CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes"]);
        load.go_on(Duration::from_millis(100)).await;
    }
    let well = Instant::now();
    load.go_on(CONVALESCENCE).await;
    let outcome = load.finish().await;
    eprintln!("killed connections: {}", outcome.summary(begun, well));
    outcome.assert_healed(well);
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_is_down_at_the_start() {
    let mut redis = RedisServer::durable();
    redis.kill();
    let shop = Shop::empty(&[redis.url()], &[]).await;
    let server = &shop.replicas[0];
    // Who is known by a bundle is known; of others nobody knows, and the answers say so.
    let shipped = known(&shop.shipped, server, Redis::Keeps).await.unwrap().verdict;
    assert_eq!((shipped.events, shipped.degraded), (3, true));
    let other = known(&shop.known[0], server, Redis::Keeps).await.unwrap().verdict;
    assert_eq!((other.state, other.degraded), (UserState::Default, true));
    let refused = shop.known[0].act(server).await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::Unavailable, "{refused}");
    redis.start_again();
    redis.wait_until_it_answers();
    let well = Instant::now();
    eventually("the server finds Redis", Duration::from_secs(2), async || {
        let verdict = known(&shop.shipped, server, Redis::Keeps).await.unwrap().verdict;
        verdict.is_healthy().then_some(())
    })
    .await;
    shop.known[0].act_until(2, server).await;
    let verdict = known(&shop.known[0], server, Redis::Keeps).await.unwrap().verdict;
    assert_eq!(
        (verdict.events, verdict.degraded),
        (2, false),
        "{:?} after Redis was there",
        well.elapsed()
    );
}

/// Fills a Redis with values of others that expire, until it evicts.
fn fill(redis: &RedisServer, round: usize) {
    let value = "x".repeat(4096);
    for number in 0..200 {
        let key = format!("others:{round}:{number}");
        let _ = redis.try_ask::<()>(&["SET", &key, &value, "EX", "1000"]);
    }
}

fn evicted(redis: &RedisServer) -> u64 {
    let info: String = redis.ask(&["INFO", "stats"]);
    let line = info.lines().find_map(|line| line.strip_prefix("evicted_keys:"));
    line.and_then(|number| number.trim().parse().ok()).unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn embeddings_are_evicted() {
    let redis = RedisServer::with(&["--maxmemory", "6mb", "--maxmemory-policy", "volatile-lru"]);
    let shop = Shop::with_and_without_copies(&redis.url()).await;
    let (load, begun) = (Load::with_events(&shop, Redis::Keeps), Instant::now());
    let mut rounds = 0;
    wait_for("embeddings are evicted", Duration::from_secs(30), || {
        rounds += 1;
        fill(&redis, rounds);
        (evicted(&redis) > 200 && redis.keys("podium:e:*").len() < 7).then_some(())
    });
    for more in 0..5 {
        fill(&redis, rounds + more);
        load.go_on(Duration::from_millis(100)).await;
    }
    // Events are never evicted, so nothing is ever lacking.
    let outcome = load.finish().await;
    outcome.assert_healthy(begun, Instant::now());
}

#[tokio::test(flavor = "multi_thread")]
async fn histories_are_evicted() {
    let redis = RedisServer::with(&["--maxmemory", "6mb", "--maxmemory-policy", "allkeys-lru"]);
    let shop = Shop::with_and_without_copies(&redis.url()).await;
    let load = Load::start(&shop, Redis::Forgets);
    for round in 0..20 {
        fill(&redis, round);
    }
    assert!(evicted(&redis) > 200);
    load.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn there_is_no_room() {
    let redis = RedisServer::start();
    let shop = Shop::with_and_without_copies(&redis.url()).await;
    let (load, begun) = (Load::start(&shop, Redis::Keeps), Instant::now());
    redis.ask::<()>(&["CONFIG", "SET", "maxmemory", "1"]);
    let user = &shop.known[0];
    let refused = user.act(&shop.replicas[0]).await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::ResourceExhausted, "{refused}");
    load.go_on(CALM).await;
    redis.ask::<()>(&["CONFIG", "SET", "maxmemory", "0"]);
    user.act_until(user.acknowledged() + 1, &shop.replicas[0]).await;
    load.go_on(CALM).await;
    // What there is can be read all the time; only events have to wait.
    load.finish().await.assert_healthy(begun, Instant::now());
}
