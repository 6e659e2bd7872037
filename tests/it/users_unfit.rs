//! Values in Redis that are not what a server wrote there for this user and this encoder.

use std::time::Duration;

use podium::transport::pb::{UserState, UserStoreInfo};

use crate::{
    judge::Redis,
    patience::{eventually, wait_for},
    rank_load::known,
    redis_server::RedisServer,
    replica::Replica,
    shop::Shop,
};

const SOON: Duration = Duration::from_secs(5);

/// A server without copies at hand, and two users of whom embeddings are stored.
async fn stored(redis: &RedisServer) -> Shop {
    let shop = Shop::empty(&[redis.url()], &[("local_bytes", "0")]).await;
    for (user, count) in shop.known.iter().zip([3, 4]) {
        user.act_until(count, &shop.replicas[0]).await;
        known(user, &shop.replicas[0], Redis::Keeps).await.unwrap();
    }
    wait_for("embeddings are stored", SOON, || (redis.keys("podium:e:*").len() == 2).then_some(()));
    shop
}

async fn counts(server: &Replica) -> UserStoreInfo {
    server.info().await.user_store.unwrap()
}

fn value(redis: &RedisServer, key: &str) -> Vec<u8> {
    redis.ask(&["GET", key])
}

#[tokio::test(flavor = "multi_thread")]
async fn an_embedding_that_does_not_fit_is_none_and_is_counted() {
    let redis = RedisServer::start();
    let shop = stored(&redis).await;
    let (server, user) = (&shop.replicas[0], &shop.known[0]);
    let key = "podium:e:{default:user-0}:tiny-encoder:1";
    let (own, others) =
        (value(&redis, key), value(&redis, "podium:e:{default:user-1}:tiny-encoder:1"));
    let flipped = |at: usize| {
        let mut bytes = own.clone();
        bytes[at] ^= 1;
        bytes
    };
    let unfit = [
        b"nonsense".to_vec(),
        Vec::new(),
        vec![0; own.len()],
        own[..own.len() - 4].to_vec(),
        [own.as_slice(), &[0; 4]].concat(),
        others,
        flipped(2),
        flipped(8),
        flipped(17),
        flipped(own.len() - 1),
    ];
    for (number, value) in unfit.into_iter().enumerate() {
        let before = counts(server).await.unfit_embeddings;
        redis.put(&["SET", key], &value);
        let verdict = known(user, server, Redis::Keeps).await.unwrap().verdict;
        assert_eq!((verdict.state, verdict.events), (UserState::Computed, 3), "value {number}");
        assert!(counts(server).await.unfit_embeddings > before, "value {number} was not counted");
        eventually("it is replaced", SOON, async || {
            let verdict = known(user, server, Redis::Keeps).await.unwrap().verdict;
            (verdict.state == UserState::Cached).then_some(())
        })
        .await;
    }
    redis.ask::<()>(&["DEL", key]);
    redis.ask::<()>(&["LPUSH", key, "a", "list"]);
    assert_eq!(known(user, server, Redis::Keeps).await.unwrap().verdict.events, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_embedding_of_another_encoder_version_is_not_looked_at() {
    let redis = RedisServer::start();
    let shop = stored(&redis).await;
    let (server, user) = (&shop.replicas[0], &shop.known[0]);
    let (own, older) = ["1", "0"]
        .map(|version| format!("podium:e:{{default:user-0}}:tiny-encoder:{version}"))
        .into();
    let value = value(&redis, &own);
    redis.put(&["SET", &older], &value);
    redis.ask::<()>(&["DEL", &own]);
    assert_eq!(known(user, server, Redis::Keeps).await.unwrap().verdict.state, UserState::Computed);
    // Even under the key of this version it is none: it was summed with the key that it stood under.
    let before = counts(server).await.unfit_embeddings;
    wait_for("it is stored anew", SOON, || (!redis.keys(&own).is_empty()).then_some(()));
    let moved: Vec<u8> = redis.ask(&["GET", &own]);
    redis.put(&["SET", &older], &moved);
    assert_eq!(known(user, server, Redis::Keeps).await.unwrap().verdict.state, UserState::Cached);
    assert_eq!(counts(server).await.unfit_embeddings, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_history_that_is_not_whole_is_told_of_and_is_counted() {
    let redis = RedisServer::start();
    let shop = stored(&redis).await;
    let (server, user) = (&shop.replicas[0], &shop.known[0]);
    let key = "podium:u:{default:user-0}";
    let log: Vec<u8> = redis.ask(&["HGET", key, "log"]);
    let others: Vec<u8> = redis.ask(&["HGET", "podium:u:{default:user-1}", "log"]);
    let fields: [(&str, Vec<u8>); 7] = [
        ("log", log[..log.len() - 5].to_vec()),
        ("log", log[..log.len() / 3].to_vec()),
        ("log", [log.as_slice(), &log].concat()),
        ("log", b"nonsense".to_vec()),
        ("log", others),
        ("n", b"many".to_vec()),
        ("b", b"short".to_vec()),
    ];
    for (number, (field, bytes)) in fields.into_iter().enumerate() {
        let before = counts(server).await.unfit_histories;
        let right: Vec<u8> = redis.ask(&["HGET", key, field]);
        redis.put(&["HSET", key, field], &bytes);
        let verdict = known(user, server, Redis::Keeps).await.unwrap().verdict;
        assert!(verdict.degraded, "value {number}: {verdict:?}");
        assert!(counts(server).await.unfit_histories > before, "value {number} was not counted");
        redis.put(&["HSET", key, field], &right);
        let verdict = known(user, server, Redis::Keeps).await.unwrap().verdict;
        assert_eq!((verdict.state, verdict.events), (UserState::Cached, 3), "value {number}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_died_while_computing_is_waited_for_no_longer_than_the_lease() {
    let redis = RedisServer::start();
    let shop = Shop::empty(&[redis.url()], &[("lease", "300ms")]).await;
    let (server, user) = (&shop.replicas[0], &shop.known[0]);
    user.act_until(2, server).await;
    redis.ask::<()>(&["SET", "podium:l:{default:user-0}:tiny-encoder:1", "1", "PX", "300"]);
    let judged = known(user, server, Redis::Keeps).await.unwrap();
    assert_eq!((judged.verdict.state, judged.verdict.events), (UserState::Computed, 2));
    assert!(judged.took < Duration::from_secs(1), "{:?}", judged.took);
    assert_eq!(counts(server).await.leases_waited_for, 1);
}
