//! The user store in Redis.

use std::{sync::Arc, time::Duration};

use futures::future::{BoxFuture, FutureExt};
use tokio_util::task::AbortOnDropHandle;

use crate::{
    ids::ModelId,
    users::{
        counters::{UserCounts, count},
        event::UserEvents,
        options::UsersOptions,
        record::{StoredEmbedding, UserRecord},
        redis::{address::Address, keeper::Keeper, parts::Parts, tracking::Listener},
        shipped::Shipped,
        store::{
            Claim, Erased, GivenEmbedding, RecordCounts, StoreError, UserKey, UserStore,
            UserSummary,
        },
    },
};

/// How long a computed embedding is at hand that Redis did not take.
const KEPT_IN_PLACE_OF_REDIS: Duration = Duration::from_secs(1);

/// Keeps events and embeddings in Redis, and copies of those that are asked for at hand.
pub struct RedisStore {
    parts: Arc<Parts>,
    _keeper: AbortOnDropHandle<()>,
}

impl RedisStore {
    /// Tries to connect once, and goes on trying behind where that fails; needs a tokio runtime.
    ///
    /// # Errors
    /// What is wrong with which key of the options.
    pub async fn start(options: UsersOptions, shipped: Arc<Shipped>) -> Result<Self, String> {
        let address = Address::of(&options.redis)?;
        let parts = Arc::new(Parts::new(options, shipped));
        let keeper = Keeper {
            address,
            options: parts.options.redis.clone(),
            line: Arc::clone(&parts.line),
            listener: Listener {
                local: Arc::clone(&parts.local),
                keys: parts.keys.clone(),
                counters: Arc::clone(&parts.counters),
            },
        };
        keeper.open().await;
        Ok(Self { parts, _keeper: AbortOnDropHandle::new(tokio::spawn(keeper.run())) })
    }
}

impl UserStore for RedisStore {
    fn read<'a>(&'a self, key: &'a UserKey, patience: Duration) -> BoxFuture<'a, UserRecord> {
        self.parts.read_record(key, patience).boxed()
    }

    fn claim<'a>(&'a self, key: &'a UserKey, record: &'a UserRecord) -> BoxFuture<'a, Claim> {
        self.parts.claim_embedding(key, record.mark).boxed()
    }

    fn keep(self: Arc<Self>, key: UserKey, embedding: StoredEmbedding) {
        match Arc::clone(&self.parts.keeping).try_acquire_owned() {
            Ok(place) => {
                let parts = Arc::clone(&self.parts);
                parts.on_the_way.insert(key.clone(), embedding.clone());
                tokio::spawn(async move {
                    if parts.keep_computed(&key, &embedding).await.is_err() {
                        // Until Redis takes one, it is not to be computed by every request anew.
                        tokio::time::sleep(KEPT_IN_PLACE_OF_REDIS).await;
                    }
                    parts.on_the_way.remove_if(&key, |_, newest| *newest == embedding);
                    drop(place);
                });
            }
            Err(_) => count(&self.parts.counters.embeddings_dropped),
        }
    }

    fn record(&self, events: Vec<UserEvents>) -> BoxFuture<'_, Result<RecordCounts, StoreError>> {
        self.parts.record_events(events).boxed()
    }

    fn put<'a>(
        &'a self,
        owner: &'a ModelId,
        embeddings: Vec<GivenEmbedding>,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        self.parts.put_given(owner, embeddings).boxed()
    }

    fn user<'a>(
        &'a self,
        user: &'a Arc<str>,
        owners: &'a [ModelId],
    ) -> BoxFuture<'a, Result<UserSummary, StoreError>> {
        self.parts.summary(user, owners).boxed()
    }

    fn erase<'a>(&'a self, user: &'a Arc<str>) -> BoxFuture<'a, Result<Erased, StoreError>> {
        self.parts.erase_user(user).boxed()
    }

    fn most_active(&self, most: usize) -> BoxFuture<'_, Result<Vec<Arc<str>>, StoreError>> {
        self.parts.latest(most).boxed()
    }

    fn serve(&self, owner: &ModelId, shape: &[usize]) {
        self.parts.shapes.insert(owner.clone(), shape.into());
    }

    fn retire(&self, owner: &ModelId) {
        self.parts.shapes.remove(owner);
    }

    fn counts(&self) -> UserCounts {
        self.parts.counters.counts()
    }

    fn answers(&self) -> bool {
        !self.parts.line.breaker.is_open()
    }

    fn describe(&self) -> String {
        let options = &self.parts.options.redis;
        let (prefix, tenant) = (&options.key_prefix, &options.tenant);
        format!("in Redis ({}), prefix {prefix}, tenant {tenant}", self.parts.line.state())
    }
}
