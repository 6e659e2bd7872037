//! One computation in flight for a user, however many requests ask.

use std::sync::Arc;

use dashmap::{DashMap, Entry};
use futures::{
    FutureExt,
    future::{BoxFuture, Shared, WeakShared},
};

use crate::users::{record::StoredEmbedding, store::UserKey};

/// A computation of an embedding; its error is shared by all who wait for it.
pub type Encode<E> = BoxFuture<'static, Result<StoredEmbedding, Arc<E>>>;

/// The computations in flight.
#[derive(Debug)]
pub struct SingleFlight<E> {
    flights: Arc<DashMap<UserKey, WeakShared<Encode<E>>>>,
}

impl<E> Default for SingleFlight<E> {
    fn default() -> Self {
        Self { flights: Arc::default() }
    }
}

impl<E: Send + Sync + 'static> SingleFlight<E> {
    /// Joins the computation in flight for `key`, or starts the one that `encode` makes.
    ///
    /// The computation goes on as long as somebody waits for it.
    pub fn join(&self, key: UserKey, encode: impl FnOnce() -> Encode<E>) -> Shared<Encode<E>> {
        let entry = self.flights.entry(key.clone());
        if let Entry::Occupied(place) = &entry
            && let Some(flight) = place.get().upgrade()
        {
            return flight;
        }
        let work = encode();
        let landing = Landing { flights: Arc::clone(&self.flights), key };
        let flight = async move {
            let result = work.await;
            drop(landing);
            result
        }
        .boxed()
        .shared();
        if let Some(weak) = flight.downgrade() {
            entry.insert(weak);
        }
        flight
    }
}

/// Takes a flight off the list when it has landed or nobody waits for it any more.
struct Landing<E> {
    flights: Arc<DashMap<UserKey, WeakShared<Encode<E>>>>,
    key: UserKey,
}

impl<E> Drop for Landing<E> {
    fn drop(&mut self) {
        self.flights.remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicUsize, Ordering},
        time::Duration,
    };

    use crate::{
        ids::{ModelId, ModelName, Version},
        users::record::Mark,
    };

    use super::*;

    fn key() -> UserKey {
        let name = ModelName::parse("enc").unwrap();
        UserKey { owner: ModelId { name, version: Version(1) }, user: "u".into() }
    }

    fn counted(runs: &Arc<AtomicUsize>) -> Encode<String> {
        let runs = Arc::clone(runs);
        async move {
            runs.fetch_add(1, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(20)).await;
            Ok(StoredEmbedding::new(vec![1.0].into(), Mark::default()))
        }
        .boxed()
    }

    #[tokio::test]
    async fn many_ask_and_one_computes() {
        let (flights, runs) = (SingleFlight::<String>::default(), Arc::default());
        let asked: Vec<_> = (0..1000).map(|_| flights.join(key(), || counted(&runs))).collect();
        let answers = futures::future::join_all(asked).await;
        assert!(answers.iter().all(Result::is_ok));
        assert_eq!(runs.load(Ordering::SeqCst), 1);
        assert!(flights.flights.is_empty());
    }

    #[tokio::test]
    async fn an_abandoned_flight_is_forgotten() {
        let (flights, runs) = (SingleFlight::<String>::default(), Arc::default());
        drop(flights.join(key(), || counted(&runs)));
        assert!(flights.flights.is_empty());
        assert!(flights.join(key(), || counted(&runs)).await.is_ok());
    }
}
