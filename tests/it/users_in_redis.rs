//! Users in a Redis that is well: what servers share, and what stands there.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use futures::future::join_all;
use podium::transport::pb::{DeleteUserRequest, UserState};

use crate::{
    judge::{LOCAL_AGE, Redis},
    patience::eventually,
    proxy::Proxy,
    rank_load::{Load, known},
    redis_server::RedisServer,
    replica::{Replica, rank_over},
    shop::Shop,
    shoppers::Shopper,
};

/// How long what is stored behind an answer may take to be there.
const SOON: Duration = Duration::from_secs(5);

/// Two servers on one Redis, and nobody has done anything.
async fn two(redis: &RedisServer) -> Shop {
    Shop::empty(&[redis.url(), redis.url()], &[]).await
}

/// The state of a right answer.
async fn state(shopper: &Shopper, server: &Replica) -> UserState {
    let judged = known(shopper, server, Redis::Keeps).await;
    judged.unwrap_or_else(|fault| panic!("{fault}\n{}", server.log())).verdict.state
}

/// Asks until an answer has that state.
async fn until(wanted: UserState, shopper: &Shopper, server: &Replica) {
    let what = format!("{shopper:?} is {wanted:?}");
    eventually(&what, SOON, async || (state(shopper, server).await == wanted).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_server_records_and_computes_the_other_uses() {
    let redis = RedisServer::start();
    let shop = two(&redis).await;
    let (one, other, user) = (&shop.replicas[0], &shop.replicas[1], &shop.known[0]);
    assert_eq!(state(user, one).await, UserState::Default);
    user.act_until(3, one).await;
    assert_eq!(state(user, one).await, UserState::Computed);
    eventually("the embedding is stored", SOON, async || redis.keys("podium:e:*").pop()).await;
    let before = other.encoded().await;
    assert_eq!(state(user, other).await, UserState::Cached);
    until(UserState::Local, user, other).await;
    assert_eq!(other.encoded().await, before, "the other server had no need to encode");
    assert_eq!(state(&shop.shipped, other).await, UserState::Computed);
    until(UserState::Cached, &shop.shipped, one).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_changes_the_other_servers_answer_within_100_ms() {
    let redis = RedisServer::start();
    let shop = two(&redis).await;
    let mut copies = 0;
    for round in 0..shop.known.len() * 6 {
        let user = &shop.known[round % shop.known.len()];
        let (one, other) = (&shop.replicas[round % 2], &shop.replicas[(round + 1) % 2]);
        if round >= shop.known.len() {
            until(UserState::Local, user, other).await;
        }
        user.act(one).await.unwrap();
        // Every answer is judged: from 100 ms after the event on, old scores have to say that they are.
        let told = Instant::now();
        while told.elapsed() < LOCAL_AGE * 2 {
            copies += usize::from(state(user, other).await == UserState::Local);
        }
        let answer = known(user, other, Redis::Keeps).await.unwrap();
        assert_eq!(answer.verdict.events, user.acknowledged(), "round {round}");
    }
    assert!(copies > 30, "copies at hand were used {copies} times: that tests nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stale_embedding_is_used_once_where_it_is_refreshed_behind() {
    let redis = RedisServer::start();
    let settings =
        [("USERS__REDIS__URL", redis.url()), ("USERS__WHEN_STALE", "refresh".to_owned())];
    let settings: Vec<_> = settings.map(|(name, value)| (name.to_owned(), value)).to_vec();
    let both = join_all((0..2).map(|_| Replica::configured(&settings))).await;
    let shop = Shop::of(both).await;
    let mut stale = 0;
    for round in 0..12 {
        let (user, one, other) =
            (&shop.known[0], &shop.replicas[round % 2], &shop.replicas[(round + 1) % 2]);
        user.act(one).await.unwrap();
        tokio::time::sleep(LOCAL_AGE).await;
        stale += usize::from(state(user, other).await == UserState::Stale);
        eventually("it is refreshed", SOON, async || {
            let verdict = known(user, other, Redis::Keeps).await.unwrap().verdict;
            (verdict.is_healthy() && verdict.events == user.acknowledged()).then_some(())
        })
        .await;
    }
    assert!(stale > 5, "{stale} answers said that they are stale");
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_first_requests_are_one_run_of_the_encoder() {
    let redis = RedisServer::start();
    let settings = [
        ("USERS__REDIS__URL", redis.url()),
        // More at once than this machine reads in 50 ms, and that is not what is tested.
        ("USERS__REDIS__READ_TIMEOUT", "20s".to_owned()),
        ("USERS__REDIS__WRITE_TIMEOUT", "20s".to_owned()),
        ("SERVER__MAX_IN_FLIGHT", "20000".to_owned()),
        ("SERVER__MAX_DEADLINE", "100s".to_owned()),
        ("BATCHING__MAX_QUEUE_SIZE", "20000".to_owned()),
    ];
    let settings: Vec<_> = settings.map(|(name, value)| (name.to_owned(), value)).to_vec();
    let shop = Shop::of(vec![Replica::configured(&settings).await]).await;
    let (server, user) = (&shop.replicas[0], &shop.known[0]);
    user.act_until(3, server).await;
    let before = server.encoded().await;
    let connections = join_all((0..20).map(|_| server.connect())).await;
    let rank = |number: usize| {
        let connection = connections[number % connections.len()].clone();
        rank_over(connection, Duration::from_secs(90), user.request())
    };
    for answer in join_all((0..10_000).map(rank)).await {
        let answer = answer.unwrap_or_else(|error| panic!("{error}\n{}", server.log()));
        assert_eq!(user.events_in(&answer), Some(3));
        assert!(answer.degraded.is_empty());
    }
    assert_eq!(server.encoded().await - before, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn first_requests_to_two_servers_are_one_run_where_the_lease_is_long() {
    let redis = RedisServer::start();
    // Hundreds at once are more than this machine reads in 50 ms, and that is not what is tested.
    let settings = [("read_timeout", "2s"), ("lease", "5s")];
    let shop = Shop::empty(&[redis.url(), redis.url()], &settings).await;
    for user in shop.known.iter() {
        user.act_until(2, &shop.replicas[0]).await;
        let before = encoded(&shop).await;
        let servers = shop.replicas.iter().cycle().take(200);
        for judged in join_all(servers.map(|server| known(user, server, Redis::Keeps))).await {
            assert_eq!(judged.unwrap().verdict.events, 2);
        }
        assert_eq!(encoded(&shop).await - before, 1, "{user:?}");
    }
}

async fn encoded(shop: &Shop) -> u64 {
    join_all(shop.replicas.iter().map(Replica::encoded)).await.into_iter().sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_erased_through_one_server_is_unknown_to_all() {
    let redis = RedisServer::start();
    let shop = two(&redis).await;
    let (one, other, user) = (&shop.replicas[0], &shop.replicas[1], &shop.known[3]);
    user.act_until(4, one).await;
    for server in [one, other] {
        until(UserState::Local, user, server).await;
    }
    assert!(!redis.keys("podium:[ue]:{default:user-3}*").is_empty());
    let erase = DeleteUserRequest { user_id: user.id.clone() };
    let erased = one.users().delete_user(erase).await.unwrap().into_inner();
    assert_eq!((erased.events, erased.embeddings), (4, 1));
    user.forget();
    tokio::time::sleep(LOCAL_AGE).await;
    for server in [one, other] {
        assert_eq!(state(user, server).await, UserState::Default);
    }
    assert_eq!(redis.keys("podium:*{default:user-3}*"), Vec::<String>::new());
    // What is recorded later begins a new history.
    user.act_until(1, other).await;
    assert_eq!(known(user, one, Redis::Keeps).await.unwrap().verdict.events, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_erased_while_being_ranked_for_stays_erased() {
    let redis = RedisServer::start();
    let shop = two(&redis).await;
    let (one, other) = (&shop.replicas[0], &shop.replicas[1]);
    for round in 0..20 {
        let user = &shop.known[round % shop.known.len()];
        user.act_until(2, one).await;
        // Computations begin while it is erased, and end after.
        let asked = shop.replicas.iter().cycle().take(8).map(|server| server.rank(user.request()));
        let erase = DeleteUserRequest { user_id: user.id.clone() };
        let mut users = one.users();
        let (answers, erased) = tokio::join!(join_all(asked), users.delete_user(erase));
        assert!(answers.iter().all(Result::is_ok) && erased.is_ok());
        user.forget();
        tokio::time::sleep(LOCAL_AGE).await;
        for server in [other, one] {
            assert_eq!(state(user, server).await, UserState::Default, "round {round}");
        }
        let left = redis.keys(&format!("podium:[ue]:{{default:{}}}*", user.id));
        assert!(left.is_empty(), "round {round}: {left:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_named_and_expire_as_documented() {
    let redis = RedisServer::start();
    let settings = [("key_prefix", "shop/"), ("tenant", "north"), ("embedding_ttl", "1h")];
    let shop = Shop::open(&[redis.url()], &settings).await;
    let stored = || redis.keys("shop/e:*").len() >= 4;
    eventually("embeddings are stored", SOON, async || stored().then_some(())).await;
    let others: Vec<String> =
        redis.keys("*").into_iter().filter(|key| !key.starts_with("shop/")).collect();
    assert!(others.is_empty(), "keys without the prefix: {others:?}");
    let mut times = BTreeSet::new();
    for user in &shop.known[..4] {
        let tag = format!("{{north:{}}}", user.id);
        let embedding = format!("shop/e:{tag}:tiny-encoder:1");
        let left: i64 = redis.ask(&["PTTL", &embedding]);
        assert!((3_230_000..=3_960_000).contains(&left), "{embedding} lives for {left} ms");
        times.insert(left / 1000);
        // Events stay until their user is erased.
        assert_eq!(redis.ask::<i64>(&["PTTL", &format!("shop/u:{tag}")]), -1);
    }
    assert!(times.len() > 1, "all embeddings expire at once: {times:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_of_other_prefixes_and_tenants_know_nothing_of_each_other() {
    let redis = RedisServer::start();
    let shop = two(&redis).await;
    let user = &shop.known[1];
    user.act_until(2, &shop.replicas[0]).await;
    until(UserState::Local, user, &shop.replicas[0]).await;
    for apart in [("key_prefix", "other:"), ("tenant", "other")] {
        let stranger = Replica::with(&redis.url(), &[apart]).await;
        let answer = stranger.rank(user.request()).await.unwrap();
        assert_eq!(answer.user_state(), UserState::Default, "{apart:?}");
        assert_eq!(user.events_in(&answer), Some(0));
    }
    let elsewhere = Replica::start(&format!("{}/7", redis.url())).await;
    assert_eq!(elsewhere.rank(user.request()).await.unwrap().user_state(), UserState::Default);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rank_is_one_round_trip_and_then_none() {
    let redis = RedisServer::start();
    let proxy = Proxy::before(redis.port);
    let shop = Shop::empty(&[redis.url(), proxy.url()], &[]).await;
    let (one, counted, user) = (&shop.replicas[0], &shop.replicas[1], &shop.known[2]);
    user.act_until(3, one).await;
    until(UserState::Local, user, one).await;
    proxy.traffic.names.lock().unwrap().clear();
    assert_eq!(state(user, counted).await, UserState::Cached);
    let asked = proxy.names_of_readers();
    assert_eq!(asked, ["HMGET", "GET"], "one pipeline");
    for _ in 0..20 {
        until(UserState::Local, user, counted).await;
    }
    assert_eq!(proxy.names_of_readers(), asked, "copies at hand cost no round trip");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_load_on_a_healthy_redis_lacks_nothing() {
    let redis = RedisServer::start();
    let shop = Shop::open(&[redis.url(), redis.url()], &[]).await;
    let (load, begun) = (Load::with_events(&shop, Redis::Keeps), Instant::now());
    load.go_on(Duration::from_secs(4)).await;
    let outcome = load.finish().await;
    outcome.assert_healthy(begun, Instant::now());
    assert_eq!(outcome.refused_events, 0);
}
