//! How users are kept.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How users are kept.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct UsersOptions {
    /// Events kept of one user; beyond it the oldest are forgotten.
    pub max_events: usize,
    /// Users whose events are kept in process; beyond it, some are forgotten. Redis has its own limits.
    pub max_users: usize,
    /// Embeddings kept in process for each encoder version; beyond it, some are forgotten.
    pub max_embeddings: usize,
    /// What Rank does where a user's embedding lacks recorded events.
    pub when_stale: WhenStale,
    /// How old a stale embedding may be that `when_stale = "serve"` uses.
    #[serde(with = "humantime_serde")]
    pub stale_up_to: Duration,
    /// The Redis that servers share.
    pub redis: RedisOptions,
}

impl Default for UsersOptions {
    fn default() -> Self {
        Self {
            max_events: 2048,
            max_users: 1_000_000,
            max_embeddings: 1_000_000,
            when_stale: WhenStale::Wait,
            stale_up_to: Duration::from_secs(600),
            redis: RedisOptions::default(),
        }
    }
}

/// What Rank does where a user's embedding lacks recorded events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WhenStale {
    /// Waits for a new one, for three quarters of the time until its deadline; then uses the stale one.
    Wait,
    /// Uses the stale one, and has a new one computed behind.
    Refresh,
    /// Uses the stale one up to the age of `stale_up_to`, and beyond it waits.
    Serve,
}

/// How a Redis is reached and used.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RedisOptions {
    /// `redis://[USER:PASSWORD@]HOST:PORT[/DATABASE]`, or `rediss://` for TLS; empty: users are kept in process.
    pub url: String,
    /// Further nodes of a Cluster, or further Sentinels, as `HOST:PORT`; asked where the one of `url` does not answer.
    pub nodes: Vec<String>,
    /// What `url` leads to.
    pub mode: RedisMode,
    /// The name of the master that Sentinels watch.
    pub master_name: String,
    /// The ACL user; goes before that of `url`.
    pub username: String,
    /// Its password; goes before that of `url`.
    pub password: String,
    /// User and password of the Sentinels, where they have their own.
    pub sentinel_username: String,
    /// See `sentinel_username`.
    pub sentinel_password: String,
    /// A PEM file with the authorities that `rediss://` trusts; empty: those of the system.
    pub tls_ca: String,
    /// A PEM file with this server's certificate, where Redis asks for one.
    pub tls_cert: String,
    /// A PEM file with its key.
    pub tls_key: String,
    /// What all keys begin with.
    pub key_prefix: String,
    /// Whose users they are: servers of one tenant share them.
    pub tenant: String,
    /// Connections to each node that requests share.
    pub connections: usize,
    /// How long a connection may take to be made.
    #[serde(with = "humantime_serde")]
    pub connect_timeout: Duration,
    /// How long a Rank waits for a read; a quarter of the time until its deadline, if that is shorter.
    #[serde(with = "humantime_serde")]
    pub read_timeout: Duration,
    /// How long a write may take.
    #[serde(with = "humantime_serde")]
    pub write_timeout: Duration,
    /// How long embeddings are kept; each a tenth more or less, so that they do not all expire at once.
    #[serde(with = "humantime_serde")]
    pub embedding_ttl: Duration,
    /// How the values of embeddings are stored.
    pub storage: Storage,
    /// How long other servers wait for the one that computes a user's embedding; 0: they do not.
    #[serde(with = "humantime_serde")]
    pub lease: Duration,
    /// Bytes of users that are kept at hand in this process; 0: none.
    pub local_bytes: u64,
    /// How long they are kept at most.
    #[serde(with = "humantime_serde")]
    pub local_ttl: Duration,
    /// Users that are remembered as active, for `podium users warm`; 0: none.
    pub max_active: usize,
}

impl Default for RedisOptions {
    fn default() -> Self {
        Self {
            url: String::new(),
            nodes: Vec::new(),
            mode: RedisMode::Auto,
            master_name: "mymaster".to_owned(),
            username: String::new(),
            password: String::new(),
            sentinel_username: String::new(),
            sentinel_password: String::new(),
            tls_ca: String::new(),
            tls_cert: String::new(),
            tls_key: String::new(),
            key_prefix: "podium:".to_owned(),
            tenant: "default".to_owned(),
            connections: 2,
            connect_timeout: Duration::from_millis(500),
            read_timeout: Duration::from_millis(50),
            write_timeout: Duration::from_millis(500),
            embedding_ttl: Duration::from_secs(7 * 86_400),
            storage: Storage::F32,
            lease: Duration::from_millis(200),
            local_bytes: 256 << 20,
            local_ttl: Duration::from_secs(300),
            max_active: 1_000_000,
        }
    }
}

/// What an address leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RedisMode {
    /// Whatever the node there says it is.
    Auto,
    /// One node.
    Single,
    /// Sentinels, which name the master.
    Sentinel,
    /// A node of a Cluster.
    Cluster,
}

/// How the values of embeddings are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Storage {
    /// As they are, four bytes each.
    F32,
    /// Rounded to two bytes each.
    F16,
}
