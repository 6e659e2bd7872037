//! One computation in flight for a user, however many requests ask.

use std::sync::Arc;

use dashmap::{DashMap, Entry};
use futures::{
    FutureExt,
    future::{BoxFuture, Shared, WeakShared},
};

use crate::users::store::UserKey;

/// A computation of an embedding; its result is shared by all who wait for it.
pub type Encode<T, E> = BoxFuture<'static, Result<T, Arc<E>>>;

/// The computations in flight.
#[derive(Debug)]
pub struct SingleFlight<T, E> {
    flights: Arc<DashMap<UserKey, WeakShared<Encode<T, E>>>>,
}

impl<T, E> Default for SingleFlight<T, E> {
    fn default() -> Self {
        Self { flights: Arc::default() }
    }
}

impl<T: Clone + Send + Sync + 'static, E: Send + Sync + 'static> SingleFlight<T, E> {
    /// Joins the computation in flight for `key`, or starts the one that `encode` makes.
    ///
    /// The computation goes on as long as somebody waits for it.
    pub fn join(
        &self,
        key: UserKey,
        encode: impl FnOnce() -> Encode<T, E>,
    ) -> Shared<Encode<T, E>> {
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
struct Landing<T, E> {
    flights: Arc<DashMap<UserKey, WeakShared<Encode<T, E>>>>,
    key: UserKey,
}

impl<T, E> Drop for Landing<T, E> {
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

    use crate::ids::{ModelId, ModelName, Version};

    use super::*;

    fn key() -> UserKey {
        let name = ModelName::parse("enc").unwrap();
        UserKey { owner: ModelId { name, version: Version(1) }, user: "u".into() }
    }

    fn counted(runs: &Arc<AtomicUsize>) -> Encode<u32, String> {
        let runs = Arc::clone(runs);
        async move {
            runs.fetch_add(1, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(20)).await;
            Ok(1)
        }
        .boxed()
    }

    #[tokio::test]
    async fn many_ask_and_one_computes() {
        let (flights, runs) = (SingleFlight::<u32, String>::default(), Arc::default());
        let asked: Vec<_> = (0..1000).map(|_| flights.join(key(), || counted(&runs))).collect();
        let answers = futures::future::join_all(asked).await;
        assert!(answers.iter().all(Result::is_ok));
        assert_eq!(runs.load(Ordering::SeqCst), 1);
        assert!(flights.flights.is_empty());
    }

    #[tokio::test]
    async fn an_abandoned_flight_is_forgotten() {
        let (flights, runs) = (SingleFlight::<u32, String>::default(), Arc::default());
        drop(flights.join(key(), || counted(&runs)));
        assert!(flights.flights.is_empty());
        assert!(flights.join(key(), || counted(&runs)).await.is_ok());
    }
}
