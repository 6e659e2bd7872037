//! Being told by every master what changes, so that local copies can be trusted.
//!
//! One connection to each master has Redis broadcast the names of changed keys ([client-side caching]). On the same connection goes a ping every
//! [`INTERVAL`]: its answer comes behind all that was told before, so local copies are as new as the moment of the last ping that was answered.
//!
//! [client-side caching]: https://redis.io/docs/latest/develop/reference/client-side-caching/

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use redis::{
    AsyncConnectionConfig, Client, PushInfo, PushKind, RedisResult, Value,
    aio::{AsyncPushSender, MultiplexedConnection, SendError},
    cmd,
};
use tokio_util::task::AbortOnDropHandle;

use crate::users::{
    counters::{UserCounters, count},
    redis::{keys::Keys, local::Local},
};

/// How often a master is pinged.
const INTERVAL: Duration = Duration::from_millis(25);

/// How old an answered ping may be for local copies to be used.
const TRUST: Duration = Duration::from_millis(90);

/// How long a ping is waited for before the connection is given up.
const PATIENCE: Duration = Duration::from_millis(500);

/// How far one master is known to be followed.
#[derive(Debug)]
struct Followed {
    since: Instant,
    /// When the last answered ping was sent, in microseconds after `since`; 0 where none was.
    confirmed_us: AtomicU64,
}

impl Followed {
    fn confirm(&self, sent: Instant) {
        let us = sent.duration_since(self.since).as_micros() as u64;
        self.confirmed_us.store(us.max(1), Ordering::Relaxed);
    }

    fn is_trusted(&self) -> bool {
        match self.confirmed_us.load(Ordering::Relaxed) {
            0 => false,
            us => (self.since + Duration::from_micros(us)).elapsed() <= TRUST,
        }
    }
}

/// Follows some masters until it is dropped.
#[derive(Debug)]
pub(super) struct Tracking {
    masters: Vec<(Arc<Followed>, AbortOnDropHandle<()>)>,
}

impl Tracking {
    /// Begins to follow masters, each on a task of its own; copies that `local` has are not trusted until all of them answer.
    pub(super) fn start(
        masters: Vec<Client>,
        config: &AsyncConnectionConfig,
        listener: &Listener,
    ) -> Self {
        let follow = |client: Client| {
            let followed =
                Arc::new(Followed { since: Instant::now(), confirmed_us: AtomicU64::new(0) });
            let master = Master {
                client,
                config: config.clone().set_push_sender(listener.clone()),
                followed: Arc::clone(&followed),
                listener: listener.clone(),
            };
            (followed, AbortOnDropHandle::new(tokio::spawn(master.follow())))
        };
        Self { masters: masters.into_iter().map(follow).collect() }
    }

    /// Whether local copies are as new as what the masters had 90 ms ago.
    pub(super) fn is_trusted(&self) -> bool {
        !self.masters.is_empty() && self.masters.iter().all(|(followed, _)| followed.is_trusted())
    }
}

/// One master and what is told by it.
struct Master {
    client: Client,
    config: AsyncConnectionConfig,
    followed: Arc<Followed>,
    listener: Listener,
}

impl Master {
    async fn follow(self) {
        loop {
            if let Err(error) = self.listen().await {
                tracing::debug!(%error, "a master is followed no more");
            }
            self.followed.confirmed_us.store(0, Ordering::Relaxed);
            // What was changed meanwhile was not told.
            self.listener.local.distrust_all();
            tokio::time::sleep(INTERVAL * 2).await;
        }
    }

    async fn listen(&self) -> RedisResult<()> {
        let mut connection =
            self.client.get_multiplexed_async_connection_with_config(&self.config).await?;
        let mut track = cmd("CLIENT");
        track.arg("TRACKING").arg("ON").arg("BCAST");
        for prefix in self.listener.keys.tracked() {
            track.arg("PREFIX").arg(prefix);
        }
        within(PATIENCE, track.query_async::<Value>(&mut connection)).await?;
        self.listener.local.distrust_all();
        loop {
            let sent = Instant::now();
            self.ping(&mut connection).await?;
            self.followed.confirm(sent);
            tokio::time::sleep(INTERVAL).await;
        }
    }

    async fn ping(&self, connection: &mut MultiplexedConnection) -> RedisResult<()> {
        within(PATIENCE, cmd("PING").query_async::<Value>(connection)).await.map(drop)
    }
}

/// The answer, or an error where it takes too long.
pub(super) async fn within<T>(
    limit: Duration,
    answer: impl Future<Output = RedisResult<T>>,
) -> RedisResult<T> {
    match tokio::time::timeout(limit, answer).await {
        Ok(answer) => answer,
        Err(_) => Err(std::io::Error::from(std::io::ErrorKind::TimedOut).into()),
    }
}

/// Takes out of the local copies what has changed.
#[derive(Debug, Clone)]
pub(super) struct Listener {
    pub(super) local: Arc<Local>,
    pub(super) keys: Keys,
    pub(super) counters: Arc<UserCounters>,
}

impl AsyncPushSender for Listener {
    fn send(&self, info: PushInfo) -> Result<(), SendError> {
        if info.kind != PushKind::Invalidate {
            return Ok(());
        }
        count(&self.counters.invalidations);
        match info.data.first() {
            Some(Value::Array(keys)) => {
                for key in keys {
                    let user = match key {
                        Value::BulkString(key) => self.keys.user_of(key),
                        Value::SimpleString(key) => self.keys.user_of(key.as_bytes()),
                        _ => None,
                    };
                    if let Some(user) = user {
                        self.local.forget(&user);
                    }
                }
            }
            // The whole database was flushed.
            _ => self.local.distrust_all(),
        }
        Ok(())
    }
}
