//! Users in a Redis that lets in whom it knows: passwords, ACLs, databases, TLS. And in Valkey.

use std::{fs, path::Path, time::Duration};

use podium::transport::pb::UserState;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use tempfile::TempDir;

use crate::{
    judge::Redis, patience::eventually, ports::free_port, rank_load::known,
    redis_server::RedisServer, replica::Replica, shop::Shop, valkey,
};

const SOON: Duration = Duration::from_secs(5);

/// All that a server does in Redis, and nothing else.
const RIGHTS: &str = "~podium:* +hmget +get +set +del +hset +hexists +hkeys +eval +evalsha +zadd +zremrangebyrank \
                      +zrem +zrevrange +ping +hello +client";

/// Checks that two servers share what one of them records, by way of Redis, and trust their copies.
async fn share(shop: &Shop) {
    let (one, other, user) = (&shop.replicas[0], &shop.replicas[1], &shop.known[0]);
    user.act_until(3, one).await;
    eventually("the other server trusts its copy", SOON, async || {
        known(user, one, Redis::Keeps).await.unwrap();
        let verdict = known(user, other, Redis::Keeps).await.unwrap().verdict;
        (verdict.state == UserState::Local && verdict.events == 3).then_some(())
    })
    .await;
}

/// Checks that a server is not let in, goes on without, and says why.
async fn is_kept_out(server: Replica, why: &str) {
    let shop = Shop::of(vec![server]).await;
    let verdict = known(&shop.shipped, &shop.replicas[0], Redis::Keeps).await.unwrap().verdict;
    assert_eq!((verdict.events, verdict.degraded), (3, true));
    let store = shop.replicas[0].info().await.user_store.unwrap();
    assert!(store.description.contains(why), "{}", store.description);
}

#[tokio::test(flavor = "multi_thread")]
async fn with_the_rights_that_it_needs_and_no_others() {
    let mut redis = RedisServer::start();
    let rights = RIGHTS.split(' ');
    let words: Vec<&str> =
        ["ACL", "SETUSER", "app", "on", ">secret"].into_iter().chain(rights).collect();
    redis.ask::<()>(&words);
    redis.ask::<()>(&["ACL", "SETUSER", "default", "on", "resetpass", ">keeper"]);
    let url = redis.url();
    redis.login = ":keeper@".to_owned();
    let settings = [("username", "app"), ("password", "secret")];
    let by_url = format!("redis://app:secret@{}", redis.address());
    let (one, other) = tokio::join!(Replica::with(&url, &settings), Replica::start(&by_url));
    let shop = Shop::of(vec![one, other]).await;
    share(&shop).await;
    for server in shop.replicas.iter() {
        let text = server.info().await.user_store.unwrap().description;
        assert!(!text.contains("secret") && !server.log().contains("secret"), "{text}");
    }
    let wrong = [("username", "app"), ("password", "guessed")];
    is_kept_out(Replica::with(&url, &wrong).await, "WRONGPASS").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_database_with_a_number() {
    let redis = RedisServer::start();
    let url = format!("{}/5", redis.url());
    let shop = Shop::empty(&[url.clone(), url], &[]).await;
    share(&shop).await;
    let keyspace: String = redis.ask(&["INFO", "keyspace"]);
    assert!(keyspace.contains("db5:") && !keyspace.contains("db0:"), "{keyspace}");
}

/// An authority of the test's own, and what it signed, as PEM files in a folder.
struct Papers {
    folder: TempDir,
}

impl Papers {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut authority = CertificateParams::new(Vec::new()).unwrap();
        // By its name, the authority is another one than the holder.
        authority.distinguished_name.push(DnType::CommonName, "the test's own authority");
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority =
            CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
        let own = KeyPair::generate().unwrap();
        let holder =
            CertificateParams::new(vec!["127.0.0.1".to_owned(), "localhost".to_owned()]).unwrap();
        let signed = holder.signed_by(&own, &authority).unwrap();
        let papers =
            [("ca", authority.pem()), ("cert", signed.pem()), ("key", own.serialize_pem())];
        for (name, text) in papers {
            fs::write(folder.path().join(name), text).unwrap();
        }
        Self { folder }
    }

    fn path(&self, name: &str) -> String {
        let path: &Path = &self.folder.path().join(name);
        path.to_str().unwrap().to_owned()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn over_tls_with_certificates_of_both_sides() {
    let (papers, strangers) = (Papers::new(), Papers::new());
    let (ca, cert, key) = (papers.path("ca"), papers.path("cert"), papers.path("key"));
    let port = free_port();
    let tls = ["--tls-port", &port.to_string()].map(str::to_owned);
    let files = ["--tls-ca-cert-file", &ca, "--tls-cert-file", &cert, "--tls-key-file", &key];
    let arguments: Vec<&str> =
        tls.iter().map(String::as_str).chain(files).chain(["--tls-auth-clients", "yes"]).collect();
    let _redis = RedisServer::with(&arguments);
    let url = format!("rediss://127.0.0.1:{port}");
    let settings = [("tls_ca", ca.as_str()), ("tls_cert", &cert), ("tls_key", &key)];
    let shop = Shop::empty(&[url.clone(), url.clone()], &settings).await;
    share(&shop).await;
    let other_ca = strangers.path("ca");
    let wrong = [("tls_ca", other_ca.as_str()), ("tls_cert", &cert), ("tls_key", &key)];
    is_kept_out(Replica::with(&url, &wrong).await, "certificate").await;
    is_kept_out(Replica::with(&url, &settings[..1]).await, "cannot be reached").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn in_valkey() {
    let valkey = RedisServer::of(valkey::program(), &[]);
    let shop = Shop::empty(&[valkey.url(), valkey.url()], &[]).await;
    share(&shop).await;
}
