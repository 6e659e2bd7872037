//! Keeps the way to Redis open: connects, probes, connects again.

use std::{sync::Arc, time::Duration};

use redis::{Value, cmd};

use crate::users::{
    options::RedisOptions,
    redis::{
        address::Address,
        line::{Line, ask},
        link::{Link, Linked, connect, masters_of},
        tracking::{Listener, Tracking, within},
    },
};

/// How often Redis is asked whether it is there.
const PROBE_INTERVAL: Duration = Duration::from_millis(100);

/// Probes without an answer after which the connections are made anew.
const MOST_SILENT: u32 = 4;

/// How often the nodes of a Cluster are asked who is a master, in probes.
const PROBES_A_TOPOLOGY: u32 = 10;

/// How long to wait before connecting again, once it failed.
const RECONNECT_INTERVAL: Duration = Duration::from_millis(200);

/// What the keeper works with.
pub(super) struct Keeper {
    pub(super) address: Address,
    pub(super) options: RedisOptions,
    pub(super) line: Arc<Line>,
    pub(super) listener: Listener,
}

impl Keeper {
    /// Makes the first attempt; where it fails, [`Self::run`] goes on.
    pub(super) async fn open(&self) {
        let limit = self.options.connect_timeout * 3;
        match within(limit, connect(&self.address, &self.options)).await {
            Ok(linked) => self.publish(linked).await,
            Err(error) => {
                tracing::debug!(%error, "Redis cannot be reached");
                self.line.disconnect(&error.to_string());
            }
        }
    }

    /// Runs until its task is aborted.
    pub(super) async fn run(self) {
        loop {
            if self.line.link().is_none() {
                self.open().await;
            }
            match self.line.link() {
                Some(link) => {
                    let why = self.watch(link).await;
                    self.line.disconnect(&why);
                }
                None => tokio::time::sleep(RECONNECT_INTERVAL).await,
            }
        }
    }

    async fn publish(&self, linked: Linked) {
        let Linked { link, masters, kind } = linked;
        warn_of_eviction(&link).await;
        let tracking = Tracking::start(masters, &self.address.connection(), &self.listener);
        let state = format!("{kind} at {}", self.address.text());
        tracing::info!(redis = state, "connected");
        self.line.connect(link, tracking, state);
    }

    /// Probes until there is no answer any more; says why.
    async fn watch(&self, link: Link) -> String {
        let (mut silent, mut probes, mut masters) = (0, 0_u32, Vec::new());
        loop {
            tokio::time::sleep(PROBE_INTERVAL).await;
            probes = probes.wrapping_add(1);
            match self.probe(&link).await {
                Ok(()) => {
                    silent = 0;
                    self.line.breaker.probed();
                }
                Err(why) => {
                    silent += 1;
                    if silent >= MOST_SILENT || !why.is_timeout() {
                        return why.to_string();
                    }
                }
            }
            if matches!(link, Link::Cluster(_)) && probes % PROBES_A_TOPOLOGY == 0 {
                self.follow_masters(&link, &mut masters).await;
            }
        }
    }

    /// Asks the way that requests go, and within the time that they have.
    async fn probe(&self, link: &Link) -> redis::RedisResult<()> {
        // A master that became a replica would go on answering, with what it had.
        let probe = if link.may_be_demoted() { cmd("ROLE") } else { cmd("PING") };
        match ask(link, probe, self.options.read_timeout).await? {
            Value::Array(role) if role.first().is_some_and(|role| !says(role, "master")) => {
                Err((redis::ErrorKind::Client, "the node is no master any more").into())
            }
            _ => Ok(()),
        }
    }

    /// Follows other masters where the Cluster has others by now.
    async fn follow_masters(&self, link: &Link, known: &mut Vec<(String, u16)>) {
        let mut slots = cmd("CLUSTER");
        slots.arg("SLOTS");
        let Ok(slots) = ask(link, slots, self.options.read_timeout * 4).await else {
            return;
        };
        let masters = masters_of(&slots);
        if masters.is_empty() || masters == *known {
            return;
        }
        let first = known.is_empty();
        *known = masters;
        if first {
            return;
        }
        let clients: redis::RedisResult<Vec<_>> =
            known.iter().map(|(host, port)| self.address.client_at(host.clone(), *port)).collect();
        if let Ok(clients) = clients {
            let config = self.address.connection();
            self.line.follow(Tracking::start(clients, &config, &self.listener));
        }
    }
}

fn says(value: &Value, word: &str) -> bool {
    match value {
        Value::BulkString(text) => text == word.as_bytes(),
        Value::SimpleString(text) => text == word,
        _ => false,
    }
}

/// Histories have no time to live, so a policy that evicts any key loses events that were acknowledged.
async fn warn_of_eviction(link: &Link) {
    let mut policy = cmd("CONFIG");
    policy.arg("GET").arg("maxmemory-policy");
    let Ok(value) = ask(link, policy, Duration::from_millis(200)).await else {
        return;
    };
    let policies: Vec<(String, String)> = redis::from_redis_value(value).unwrap_or_default();
    if let Some((_, policy)) = policies.iter().find(|(_, policy)| policy.starts_with("allkeys")) {
        tracing::warn!(
            policy,
            "Redis may evict users' events: set `maxmemory-policy` to `volatile-lru` or `noeviction`"
        );
    }
}
