//! Waiting for what other processes do.

use std::time::{Duration, Instant};

/// How long to sleep between two looks.
const PAUSE: Duration = Duration::from_millis(20);

/// Looks again and again until there is an answer; panics with `what` when `patience` is over.
pub fn wait_for<T>(what: &str, patience: Duration, mut look: impl FnMut() -> Option<T>) -> T {
    let until = Instant::now() + patience;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < until, "{what}: not within {patience:?}");
        std::thread::sleep(PAUSE);
    }
}

/// The same in a task.
pub async fn eventually<T>(
    what: &str,
    patience: Duration,
    mut look: impl AsyncFnMut() -> Option<T>,
) -> T {
    let until = Instant::now() + patience;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < until, "{what}: not within {patience:?}");
        tokio::time::sleep(PAUSE).await;
    }
}
