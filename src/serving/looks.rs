//! What was last taken in of the repository's `serving.toml`, and the way to have the repository looked at now.

use std::sync::Arc;

use tokio::sync::{Notify, watch};

use crate::repository::ServingFile;

/// What passes between who follows the repository and who shows or changes what it says.
#[derive(Debug)]
pub struct Looks {
    wanted: Notify,
    taken_in: watch::Sender<TakenIn>,
}

/// What was last taken in.
#[derive(Debug, Clone, Default)]
pub struct TakenIn {
    /// Looks at the whole repository so far.
    pub looks: u64,
    /// The state of `serving.toml`; empty where there is no file.
    pub revision: String,
    /// What it says.
    pub file: Arc<ServingFile>,
}

impl Default for Looks {
    fn default() -> Self {
        Self { wanted: Notify::new(), taken_in: watch::Sender::new(TakenIn::default()) }
    }
}

impl Looks {
    /// Has the repository looked at as soon as that can be.
    pub fn ask(&self) {
        self.wanted.notify_one();
    }

    /// Waits until a look is asked for.
    pub async fn asked(&self) {
        self.wanted.notified().await;
    }

    /// Notes what `serving.toml` says; says whether that is news.
    pub fn take_in(&self, revision: &str, file: &ServingFile) -> bool {
        self.taken_in.send_if_modified(|now| {
            let news = now.revision != revision || *now.file != *file;
            if news {
                now.revision = revision.to_owned();
                now.file = Arc::new(file.clone());
            }
            news
        })
    }

    /// Notes that a look at the whole repository is over.
    pub fn end_look(&self) {
        self.taken_in.send_modify(|now| now.looks += 1);
    }

    /// What was last taken in.
    pub fn taken_in(&self) -> TakenIn {
        self.taken_in.borrow().clone()
    }

    /// Has the repository looked at, and waits until a look that began afterwards is over.
    pub async fn look_now(&self) {
        let mut news = self.taken_in.subscribe();
        // One that is at it now may be past the place where something is new.
        let enough = news.borrow().looks + 2;
        while news.borrow_and_update().looks < enough {
            self.ask();
            if news.changed().await.is_err() {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn who_asks_waits_for_a_look_that_began_later() {
        let looks = Arc::new(Looks::default());
        let follower = Arc::clone(&looks);
        let following = tokio::spawn(async move {
            loop {
                follower.asked().await;
                follower.end_look();
            }
        });
        for asked in 1..=1000 {
            let looked = tokio::time::timeout(Duration::from_secs(60), looks.look_now()).await;
            assert!(looked.is_ok(), "nobody looked");
            assert!(looks.taken_in().looks >= 2 * asked);
        }
        following.abort();
    }

    #[test]
    fn the_same_again_is_no_news() {
        let looks = Looks::default();
        let file = ServingFile::parse("[models.m]\nlive = 3").unwrap();
        assert!(!looks.take_in("", &ServingFile::default()));
        assert!(looks.take_in("a", &file));
        assert!(!looks.take_in("a", &file));
        assert_eq!(looks.taken_in().revision, "a");
    }
}
