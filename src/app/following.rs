//! The thread that follows the repository while the server serves.

use std::{thread, time::Duration};

use tokio::{runtime::Handle, sync::oneshot, time::Instant};
use tokio_util::sync::CancellationToken;

use crate::app::follower::Follower;

/// How often it is asked whether what a version waits for has come: its last request, or its bundle.
const WAIT_INTERVAL: Duration = Duration::from_millis(100);

/// A thread that follows the repository; it is none of those that answer requests.
pub(super) struct Following {
    stop: CancellationToken,
    ended: oneshot::Receiver<()>,
}

impl Following {
    /// Has the repository looked at every `interval`, and whenever that is asked for; zero: only then.
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
    let looks = follower.looks();
    let after = |pause: Duration| Instant::now() + pause;
    let mut next_look = (!interval.is_zero()).then(|| after(interval));
    let mut asked = false;
    while !stop.is_cancelled() {
        if asked || next_look.is_some_and(|next| Instant::now() >= next) {
            follower.look().await;
            next_look = next_look.map(|_| after(interval));
            asked = false;
        }
        if follower.step().await {
            continue;
        }
        let waited = follower.is_waiting().then(|| after(WAIT_INTERVAL));
        let event = follower.next_event().map(Instant::from_std);
        let until = [next_look, waited, event].into_iter().flatten().min();
        tokio::select! {
            () = stop.cancelled() => {}
            () = looks.asked() => asked = true,
            () = follower.journey_ended() => {}
            () = tokio::time::sleep_until(until.unwrap_or_else(Instant::now)), if until.is_some() => {}
        }
    }
    follower.finish().await;
}
