//! A Redis Cluster of three masters on loopback.

use std::time::Duration;

use crate::{patience::wait_for, ports::free_port, redis_server::RedisServer};

/// Slots of a Cluster.
const SLOTS: usize = 16_384;
/// How long the nodes may take to agree.
const AGREE: Duration = Duration::from_secs(30);

/// Three masters, and replicas where asked for.
pub struct RedisCluster {
    pub masters: Vec<RedisServer>,
    /// One of each master, in the same order; empty where none were asked for.
    pub replicas: Vec<RedisServer>,
}

impl RedisCluster {
    /// Starts three masters, which share the slots evenly.
    pub fn start() -> Self {
        let masters: Vec<RedisServer> = (0..3).map(|_| node()).collect();
        let share = |node: usize| node * SLOTS / masters.len();
        for (at, master) in masters.iter().enumerate() {
            let (first, end) = (share(at).to_string(), (share(at + 1) - 1).to_string());
            master.ask::<()>(&["CLUSTER", "ADDSLOTSRANGE", &first, &end]);
        }
        let cluster = Self { masters, replicas: Vec::new() };
        cluster.meet(&cluster.masters[1..]);
        cluster.wait_until_whole();
        cluster
    }

    /// Starts three masters with a replica each.
    pub fn with_replicas() -> Self {
        let mut cluster = Self::start();
        cluster.replicas = (0..3).map(|_| node()).collect();
        cluster.meet(&cluster.replicas);
        for (master, replica) in cluster.masters.iter().zip(&cluster.replicas) {
            let id: String = master.ask(&["CLUSTER", "MYID"]);
            wait_for("a replica knows its master", AGREE, || {
                replica.try_ask::<()>(&["CLUSTER", "REPLICATE", &id]).ok()
            });
        }
        for replica in &cluster.replicas {
            wait_for("a replica has its master's data", AGREE, || {
                let info: String = replica.ask(&["INFO", "replication"]);
                info.contains("master_link_status:up").then_some(())
            });
        }
        cluster
    }

    fn meet(&self, others: &[RedisServer]) {
        let first = &self.masters[0];
        for other in others {
            let (port, bus) = (other.port.to_string(), bus_of(other));
            first.ask::<()>(&["CLUSTER", "MEET", "127.0.0.1", &port, &bus]);
        }
    }

    /// The first master as a URL.
    pub fn url(&self) -> String {
        self.masters[0].url()
    }

    /// Whether the masters that live say that all slots are served.
    pub fn is_whole(&self) -> bool {
        let nodes = self.masters.iter().chain(&self.replicas);
        let mut said = nodes.filter_map(|node| node.try_ask::<String>(&["CLUSTER", "INFO"]).ok());
        said.all(|info| info.contains("cluster_state:ok"))
    }

    /// Waits until all masters know each other and all slots are served.
    pub fn wait_until_whole(&self) {
        let known = format!("cluster_known_nodes:{}", self.masters.len() + self.replicas.len());
        wait_for("the Cluster is whole", AGREE, || {
            let knows = |node: &RedisServer| {
                node.try_ask::<String>(&["CLUSTER", "INFO"]).is_ok_and(|info| info.contains(&known))
            };
            (self.masters.iter().all(knows) && self.is_whole()).then_some(())
        });
    }

    /// Moves a slot and its keys from the node that has it to the next one.
    pub fn move_slot(&self, slot: u16) {
        let slot = slot.to_string();
        let has = |node: &RedisServer| node.ask::<i64>(&["CLUSTER", "COUNTKEYSINSLOT", &slot]) > 0;
        let from = self.masters.iter().position(has).unwrap();
        let (from, to) = (&self.masters[from], &self.masters[(from + 1) % self.masters.len()]);
        let id = |node: &RedisServer| node.ask::<String>(&["CLUSTER", "MYID"]);
        to.ask::<()>(&["CLUSTER", "SETSLOT", &slot, "IMPORTING", &id(from)]);
        from.ask::<()>(&["CLUSTER", "SETSLOT", &slot, "MIGRATING", &id(to)]);
        let port = to.port.to_string();
        loop {
            let keys: Vec<String> = from.ask(&["CLUSTER", "GETKEYSINSLOT", &slot, "100"]);
            if keys.is_empty() {
                break;
            }
            for key in &keys {
                from.ask::<String>(&["MIGRATE", "127.0.0.1", &port, key, "0", "1000"]);
            }
        }
        for node in [to, from] {
            node.ask::<()>(&["CLUSTER", "SETSLOT", &slot, "NODE", &id(to)]);
        }
    }

    /// All keys of a pattern on all masters, sorted.
    pub fn keys(&self, pattern: &str) -> Vec<String> {
        let mut keys: Vec<String> =
            self.masters.iter().flat_map(|node| node.keys(pattern)).collect();
        keys.sort();
        keys
    }
}

/// Starts a node that knows nobody; without a majority for a second it counts as failed.
fn node() -> RedisServer {
    let bus = free_port().to_string();
    RedisServer::with(&[
        "--cluster-enabled",
        "yes",
        "--cluster-node-timeout",
        "1000",
        "--cluster-replica-validity-factor",
        "0",
        "--cluster-port",
        &bus,
        "--appendonly",
        "yes",
    ])
}

fn bus_of(node: &RedisServer) -> String {
    let found: (String, String) = node.ask(&["CONFIG", "GET", "cluster-port"]);
    found.1
}
