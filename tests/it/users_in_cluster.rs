//! Users in a Redis Cluster, and in a Redis that Sentinels watch.

use std::time::{Duration, Instant};

use podium::transport::pb::DeleteUserRequest;

use crate::{
    judge::Redis,
    patience::{eventually, wait_for},
    rank_load::{Load, known},
    redis_cluster::RedisCluster,
    redis_sentinel::{MASTER_NAME, Watched},
    shop::Shop,
};

/// How long a load runs before the trouble.
const CALM: Duration = Duration::from_secs(1);
/// How long after Redis is well a load ends.
const CONVALESCENCE: Duration = Duration::from_millis(3200);
/// How long servers may take to notice trouble: until then copies at hand are right.
const NOTICING: Duration = Duration::from_millis(500);
/// How long a failover may take, which is Redis's own affair.
const FAILOVER: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_has_all_keys_of_a_user_on_one_node() {
    let cluster = RedisCluster::start();
    let urls = [cluster.masters[0].url(), cluster.masters[1].url()];
    let shop = Shop::open(&urls, &[]).await;
    let (load, begun) = (Load::with_events(&shop, Redis::Keeps), Instant::now());
    load.go_on(CALM * 2).await;
    load.finish().await.assert_healthy(begun, Instant::now());
    let used = cluster.masters.iter().filter(|node| !node.keys("podium:[ue]:*").is_empty()).count();
    assert!(used > 1, "all users are on one node");
    let user = &shop.known[5];
    let erase = DeleteUserRequest { user_id: user.id.clone() };
    let erased = shop.replicas[0].users().delete_user(erase).await.unwrap().into_inner();
    assert_eq!(erased.events as usize, user.acknowledged());
    assert_eq!(cluster.keys(&format!("podium:*{{default:{}}}*", user.id)), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_master_of_a_cluster_is_killed_and_its_replica_takes_over() {
    let mut cluster = RedisCluster::with_replicas();
    let shop = Shop::open(&[cluster.url(), cluster.masters[1].url()], &[]).await;
    let load = Load::start(&shop, Redis::Keeps);
    load.go_on(CALM).await;
    // The one whose address the first server was told.
    cluster.masters[0].kill();
    let begun = Instant::now();
    wait_for("the replica takes over", FAILOVER, || {
        let role: String = cluster.replicas[0].ask(&["INFO", "replication"]);
        (role.contains("role:master") && cluster.is_whole()).then_some(())
    });
    let well = Instant::now();
    load.go_on(CONVALESCENCE).await;
    let outcome = load.finish().await;
    eprintln!("failover of a Cluster: {}", outcome.summary(begun, well));
    eprintln!("and behind it: {}", outcome.summary(well, Instant::now()));
    outcome.assert_healed(well);
    shop.known[0].act_until(shop.known[0].acknowledged() + 1, &shop.replicas[1]).await;
    for server in shop.replicas.iter() {
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert!(known(&shop.known[0], server, Redis::Keeps).await.unwrap().verdict.is_healthy());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn slots_move_while_users_are_ranked_for() {
    let cluster = RedisCluster::start();
    let shop = Shop::open(&[cluster.url(), cluster.masters[1].url()], &[]).await;
    let user = &shop.known[0];
    let key = format!("podium:u:{{default:{}}}", user.id);
    let slot: i64 = cluster.masters[0].ask(&["CLUSTER", "KEYSLOT", &key]);
    let load = Load::with_events(&shop, Redis::Keeps);
    load.go_on(CALM).await;
    cluster.move_slot(slot as u16);
    let well = Instant::now();
    load.go_on(CONVALESCENCE).await;
    load.finish().await.assert_healed(well);
}

#[tokio::test(flavor = "multi_thread")]
async fn sentinels_make_the_replica_the_master() {
    let mut watched = Watched::start();
    let others = format!("[\"{}\", \"{}\"]", watched.others()[0], watched.others()[1]);
    let settings = [("master_name", MASTER_NAME), ("mode", "sentinel"), ("nodes", others.as_str())];
    let shop = Shop::open(&[watched.url(), watched.url()], &settings).await;
    let load = Load::start(&shop, Redis::Keeps);
    load.go_on(CALM).await;
    watched.wait_until_in_step();
    watched.master.kill();
    let begun = Instant::now();
    watched.wait_until_failed_over();
    let well = Instant::now();
    load.go_on(CONVALESCENCE).await;
    let outcome = load.finish().await;
    eprintln!("failover by Sentinels: {}", outcome.summary(begun, well));
    outcome.assert_told(begun + NOTICING, well);
    outcome.assert_healed(well);
    // The former master comes back as a replica, and nobody is led astray.
    watched.master.start_again();
    watched.master.wait_until_it_answers();
    let user = &shop.known[0];
    user.act_until(user.acknowledged() + 1, &shop.replicas[0]).await;
    eventually("the other server knows of it", Duration::from_secs(2), async || {
        let verdict = known(user, &shop.replicas[1], Redis::Keeps).await.unwrap().verdict;
        (verdict.is_healthy() && verdict.events == user.acknowledged()).then_some(())
    })
    .await;
}
