//! Some servers that share a Redis, and the users whom they serve.

use std::sync::Arc;

use futures::future::join_all;

use crate::{replica::Replica, shoppers::Shopper};

/// The users of whom something is known, and how many events each begins with.
const BEGINNINGS: [usize; 6] = [1, 2, 3, 4, 5, 6];
/// Of these, the first ones are ranked for at the beginning, so that embeddings of theirs are stored.
const RANKED: usize = 4;

/// Servers and users.
#[derive(Clone)]
pub struct Shop {
    pub replicas: Arc<Vec<Replica>>,
    /// Users with recorded events.
    pub known: Arc<Vec<Shopper>>,
    /// A user whose history a bundle ships.
    pub shipped: Arc<Shopper>,
    /// What is right for those of whom nothing is known.
    pub stranger: Arc<Shopper>,
    /// Whether a load asks for such.
    pub has_strangers: bool,
}

impl Shop {
    /// Starts a server for each URL, all with the same settings of `[users.redis]`, and records what the users did.
    pub async fn open(urls: &[String], settings: &[(&str, &str)]) -> Self {
        Self::empty(urls, settings).await.begun().await
    }

    /// Starts one server that keeps copies at hand and one that does not, and records what the users did.
    pub async fn with_and_without_copies(url: &str) -> Self {
        let (with, without) = (Replica::start(url), Replica::with(url, &[("local_bytes", "0")]));
        let (with, without) = tokio::join!(with, without);
        Self::of(vec![with, without]).await.begun().await
    }

    /// Starts servers, and nothing is recorded.
    pub async fn empty(urls: &[String], settings: &[(&str, &str)]) -> Self {
        let replicas = join_all(urls.iter().map(|url| Replica::with(url, settings))).await;
        Self::of(replicas).await
    }

    async fn begun(self) -> Self {
        for (shopper, count) in self.known.iter().zip(BEGINNINGS) {
            shopper.act_until(count, &self.replicas[0]).await;
        }
        for shopper in &self.known[..RANKED] {
            for replica in self.replicas.iter() {
                replica.rank(shopper.request()).await.unwrap();
            }
        }
        self
    }

    /// Servers that are there already; nothing is recorded.
    pub async fn of(replicas: Vec<Replica>) -> Self {
        let first = &replicas[0];
        let shopper =
            async |(number, _)| Shopper::new(&format!("user-{number}"), number, first).await;
        let known = join_all(BEGINNINGS.iter().enumerate().map(shopper)).await;
        let (shipped, stranger) =
            (Shopper::shipped(first).await, Shopper::new("nobody", 20, first).await);
        Self {
            known: Arc::new(known),
            shipped: Arc::new(shipped),
            stranger: Arc::new(stranger),
            replicas: Arc::new(replicas),
            has_strangers: true,
        }
    }
}
