//! The thread that follows the repository while the server serves.

use std::{thread, time::Duration};

use tokio::{runtime::Handle, sync::oneshot, time::Instant};
use tokio_util::sync::CancellationToken;

use crate::app::follower::Follower;

/// How often it is asked whether what a version waits for has come: its last request, embeddings, or its files.
const WAIT_INTERVAL: Duration = Duration::from_millis(100);

/// A thread that follows the repository; it is none of those that answer requests.
pub(super) struct Following {
    stop: CancellationToken,
    ended: oneshot::Receiver<()>,
}

impl Following {
    /// Has the repository looked at every `interval`.
    ///
    /// # Errors
    /// That of a thread that cannot be started.
    pub(super) fn start(mut follower: Follower, interval: Duration) -> std::io::Result<Self> {
        let stop = CancellationToken::new();
        let (ends, ended) = oneshot::channel();
        let (runtime, until) = (Handle::current(), stop.clone());
        thread::Builder::new().name("repository".to_owned()).spawn(move || {
            runtime.block_on(follow(&mut follower, interval, &until));
            drop(ends);
        })?;
        Ok(Self { stop, ended })
    }

    /// Ends it after the step that it is at, for which there is so much time.
    pub(super) async fn end(self, patience: Duration) {
        self.stop.cancel();
        if tokio::time::timeout(patience, self.ended).await.is_err() {
            tracing::warn!("a version was still being loaded when drain_timeout had passed");
        }
    }
}

async fn follow(follower: &mut Follower, interval: Duration, stop: &CancellationToken) {
    let mut next_look = Instant::now() + interval;
    while !stop.is_cancelled() {
        if Instant::now() >= next_look {
            follower.look().await;
            next_look = Instant::now() + interval;
        }
        if follower.step().await {
            continue;
        }
        let pause = if follower.is_waiting() { WAIT_INTERVAL.min(interval) } else { interval };
        let until = next_look.min(Instant::now() + pause);
        tokio::select! {
            () = stop.cancelled() => {}
            () = follower.trial_ended() => {}
            () = tokio::time::sleep_until(until) => {}
        }
    }
}
