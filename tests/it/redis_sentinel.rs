//! A master, a replica, and three Sentinels that watch them.

use std::{fs, time::Duration};

use crate::{
    patience::wait_for,
    redis_server::{RedisServer, try_ask},
};

/// The master's name among the Sentinels.
pub const MASTER_NAME: &str = "shop";
/// How long the Sentinels may take to see each other.
const AGREE: Duration = Duration::from_secs(30);

/// The watched pair and who watches.
pub struct Watched {
    pub master: RedisServer,
    pub replica: RedisServer,
    pub sentinels: Vec<RedisServer>,
    /// Where the files of the Sentinels lie.
    _folder: tempfile::TempDir,
}

impl Watched {
    /// Starts all five and waits until each knows the others.
    pub fn start() -> Self {
        let master = RedisServer::durable();
        let port = master.port.to_string();
        let replica =
            RedisServer::with(&["--appendonly", "yes", "--replicaof", "127.0.0.1", &port]);
        let folder = tempfile::tempdir().unwrap();
        let sentinels = (0..3).map(|at| {
            let file = folder.path().join(format!("sentinel-{at}.conf"));
            let lines = format!(
                "bind 127.0.0.1\nsentinel monitor {MASTER_NAME} 127.0.0.1 {port} 2\n\
                 sentinel down-after-milliseconds {MASTER_NAME} 500\n\
                 sentinel failover-timeout {MASTER_NAME} 3000\n"
            );
            fs::write(&file, lines).unwrap();
            RedisServer::of("redis-server", &[file.to_str().unwrap(), "--sentinel"])
        });
        let watched = Self { sentinels: sentinels.collect(), master, replica, _folder: folder };
        watched.wait_until_all_know_each_other();
        watched
    }

    fn wait_until_all_know_each_other(&self) {
        wait_for("the Sentinels know each other and the replica", AGREE, || {
            let all = self.sentinels.iter().all(|sentinel| {
                let info: String = sentinel.ask(&["INFO", "sentinel"]);
                info.contains("slaves=1,sentinels=3")
            });
            let link: String = self.replica.ask(&["INFO", "replication"]);
            (all && link.contains("master_link_status:up")).then_some(())
        });
    }

    /// `redis://` of the first Sentinel.
    pub fn url(&self) -> String {
        self.sentinels[0].url()
    }

    /// `HOST:PORT` of the others.
    pub fn others(&self) -> Vec<String> {
        self.sentinels[1..].iter().map(RedisServer::address).collect()
    }

    /// The port of the master, as the Sentinels tell it.
    pub fn told_master(&self) -> u16 {
        let words = ["SENTINEL", "GET-MASTER-ADDR-BY-NAME", MASTER_NAME];
        let told: Vec<String> = self.sentinels[0].ask(&words);
        told[1].parse().unwrap()
    }

    /// Waits until the replica has all that the master wrote.
    pub fn wait_until_in_step(&self) {
        wait_for("the replica has what the master wrote", AGREE, || {
            let acknowledged: i64 = self.master.try_ask(&["WAIT", "1", "100"]).ok()?;
            let offset = |server: &RedisServer| {
                let info: String = server.ask(&["INFO", "replication"]);
                let line = info.lines().find(|line| line.starts_with("master_repl_offset:"))?;
                Some(line.to_owned())
            };
            (acknowledged == 1 && offset(&self.master) == offset(&self.replica)).then_some(())
        });
    }

    /// Waits until the Sentinels name the former replica, and it takes writes.
    pub fn wait_until_failed_over(&self) {
        wait_for("the Sentinels fail over", AGREE, || {
            let roles: String = try_ask(&self.replica.url(), &["INFO", "replication"]).ok()?;
            (self.told_master() == self.replica.port && roles.contains("role:master")).then_some(())
        });
    }
}
