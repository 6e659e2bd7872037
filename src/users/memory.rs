//! The user store within the process.

use std::{sync::Arc, time::Duration};

use ahash::{AHashSet, RandomState};
use dashmap::DashMap;
use futures::future::{BoxFuture, FutureExt, ready};

use crate::{
    ids::{ModelId, ModelName},
    users::{
        active::latest_first,
        counters::{UserCounters, UserCounts, add, count},
        event::{Event, EventDigest, History, UserEvents},
        options::UsersOptions,
        record::{Mark, Reading, Source, StoredEmbedding, UserRecord, joined},
        shipped::Shipped,
        store::{
            Claim, Erased, GivenEmbedding, RecordCounts, StoreError, UserKey, UserStore,
            UserSummary,
        },
    },
};

type ByUser<T> = DashMap<Arc<str>, T, RandomState>;

/// Keeps events and embeddings in this process only: a restart forgets all but what bundles ship.
#[derive(Debug)]
pub struct MemoryStore {
    shipped: Arc<Shipped>,
    recorded: ByUser<Recorded>,
    embeddings: DashMap<ModelId, ByUser<StoredEmbedding>>,
    options: UsersOptions,
    counters: UserCounters,
}

/// The recorded events of a user.
#[derive(Debug, Clone)]
struct Recorded {
    mark: Mark,
    /// Oldest first.
    history: History,
    /// The name of each event, in the same order.
    digests: Vec<EventDigest>,
}

impl Recorded {
    fn new() -> Self {
        let mark = Mark { born: rand::random::<u64>().max(1), count: 0 };
        Self { mark, history: Arc::new([]), digests: Vec::new() }
    }

    /// Adds the events that it does not have, and forgets the oldest beyond `most`; returns how many were new.
    fn append(&mut self, more: &UserEvents, most: usize) -> usize {
        let mut known: AHashSet<EventDigest> = self.digests.iter().copied().collect();
        let mut all: Vec<(EventDigest, Event)> =
            self.digests.iter().copied().zip(self.history.iter().cloned()).collect();
        let before = all.len();
        for event in &more.events {
            if known.insert(event.digest) {
                all.push((event.digest, event.event.clone()));
            }
        }
        let new = all.len() - before;
        all.sort_by_key(|(_, event)| event.time);
        let kept = all.split_off(all.len().saturating_sub(most));
        let (digests, events): (Vec<_>, Vec<_>) = kept.into_iter().unzip();
        self.history = events.into();
        self.digests = digests;
        self.mark.count += new as u64;
        new
    }
}

impl MemoryStore {
    /// Makes a store without events, beside what bundles ship.
    pub fn new(options: UsersOptions, shipped: Arc<Shipped>) -> Self {
        Self {
            shipped,
            recorded: DashMap::default(),
            embeddings: DashMap::new(),
            options,
            counters: UserCounters::default(),
        }
    }

    fn lookup(&self, key: &UserKey) -> UserRecord {
        let recorded = self.recorded.get(&key.user);
        let (mark, history) = recorded
            .map(|recorded| (recorded.mark, Some(Arc::clone(&recorded.history))))
            .unwrap_or_default();
        let embedding = self.embeddings.get(&key.owner);
        UserRecord {
            history: self.joined(&key.owner.name, &key.user, history.as_ref()),
            mark,
            embedding: embedding
                .and_then(|all| all.get(&key.user).map(|e| e.clone()))
                .filter(|embedding| embedding.is_of(mark)),
            source: Source::Store,
            reading: Reading::default(),
        }
    }

    fn joined(&self, owner: &ModelName, user: &str, recorded: Option<&History>) -> Option<History> {
        joined(self.shipped.history(owner, user).as_ref(), recorded)
    }

    fn insert(&self, owner: &ModelId, user: &Arc<str>, embedding: StoredEmbedding) {
        let all = self.embeddings.entry(owner.clone()).or_default().downgrade();
        make_room(&all, user, self.options.max_embeddings);
        all.insert(Arc::clone(user), embedding);
        count(&self.counters.embeddings_written);
    }

    fn append(&self, events: &UserEvents) -> usize {
        make_room(&self.recorded, &events.user, self.options.max_users);
        let mut recorded =
            self.recorded.entry(Arc::clone(&events.user)).or_insert_with(Recorded::new);
        recorded.append(events, self.options.max_events)
    }

    /// How much of a history an embedding holds that was made of what was known at a time.
    fn folded_at(&self, user: &Arc<str>, created_ms: u64) -> Mark {
        self.recorded.get(user).map_or_else(Mark::default, |recorded| {
            let later = recorded.history.iter().filter(|event| event.is_after(created_ms)).count();
            Mark { count: recorded.mark.count - later as u64, ..recorded.mark }
        })
    }
}

/// Forgets somebody where one more would be too many.
fn make_room<T>(all: &ByUser<T>, user: &Arc<str>, most: usize) {
    if all.len() >= most && !all.contains_key(user) {
        let any = all.iter().next().map(|entry| Arc::clone(entry.key()));
        any.map(|user| all.remove(&user));
    }
}

impl UserStore for MemoryStore {
    fn read<'a>(&'a self, key: &'a UserKey, _patience: Duration) -> BoxFuture<'a, UserRecord> {
        count(&self.counters.store_reads);
        ready(self.lookup(key)).boxed()
    }

    fn claim<'a>(&'a self, key: &'a UserKey, record: &'a UserRecord) -> BoxFuture<'a, Claim> {
        // It may have been stored between the reading that lacked it and now.
        let now = self.lookup(key);
        let claim = match now.embedding {
            Some(found) if found.folded == record.mark => Claim::Theirs(found),
            _ => Claim::Ours,
        };
        ready(claim).boxed()
    }

    fn keep(self: Arc<Self>, key: UserKey, embedding: StoredEmbedding) {
        let now = self.recorded.get(&key.user).map(|recorded| recorded.mark).unwrap_or_default();
        if now.born != embedding.folded.born {
            return count(&self.counters.embeddings_dropped);
        }
        self.insert(&key.owner, &key.user, embedding);
    }

    fn record(&self, events: Vec<UserEvents>) -> BoxFuture<'_, Result<RecordCounts, StoreError>> {
        let mut counts = RecordCounts::default();
        for of_user in &events {
            let new = self.append(of_user);
            counts.recorded += new;
            counts.duplicates += of_user.events.len() - new;
        }
        add(&self.counters.events_recorded, counts.recorded as u64);
        ready(Ok(counts)).boxed()
    }

    fn put<'a>(
        &'a self,
        owner: &'a ModelId,
        embeddings: Vec<GivenEmbedding>,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        for given in embeddings {
            let GivenEmbedding { user, values, created_ms } = given;
            let folded = self.folded_at(&user, created_ms);
            self.insert(owner, &user, StoredEmbedding { values, created_ms, folded });
        }
        ready(Ok(())).boxed()
    }

    fn user<'a>(
        &'a self,
        user: &'a Arc<str>,
        owners: &'a [ModelId],
    ) -> BoxFuture<'a, Result<UserSummary, StoreError>> {
        let recorded = self.recorded.get(user).map(|recorded| Arc::clone(&recorded.history));
        let key = |owner: &ModelId| UserKey { owner: owner.clone(), user: Arc::clone(user) };
        let records = owners.iter().map(|owner| self.lookup(&key(owner))).collect();
        ready(Ok(UserSummary { recorded, records })).boxed()
    }

    fn erase<'a>(&'a self, user: &'a Arc<str>) -> BoxFuture<'a, Result<Erased, StoreError>> {
        let events = self.recorded.remove(user).map_or(0, |(_, recorded)| recorded.digests.len());
        let embeddings = self.embeddings.iter().filter(|all| all.remove(user).is_some()).count();
        let shipped = self.shipped.forget(user);
        if shipped {
            // Another history begins, so that an embedding is not kept that is being made of the old one.
            self.recorded.insert(Arc::clone(user), Recorded::new());
        }
        ready(Ok(Erased { events, embeddings, shipped })).boxed()
    }

    fn most_active(&self, most: usize) -> BoxFuture<'_, Result<Vec<Arc<str>>, StoreError>> {
        let mut users = self.shipped.last_events();
        let last = |user: dashmap::mapref::multiple::RefMulti<'_, Arc<str>, Recorded>| {
            Some((Arc::clone(user.key()), user.history.last()?.time))
        };
        users.extend(self.recorded.iter().filter_map(last));
        ready(Ok(latest_first(users, most))).boxed()
    }

    fn serve(&self, _owner: &ModelId, _shape: &[usize]) {}

    fn retire(&self, owner: &ModelId) {
        self.embeddings.remove(owner);
    }

    fn counts(&self) -> UserCounts {
        self.counters.counts()
    }

    fn answers(&self) -> bool {
        true
    }

    fn describe(&self) -> String {
        "kept in this process: a restart forgets what was recorded; `--redis URL` keeps it"
            .to_owned()
    }
}

#[cfg(test)]
mod tests {
    use crate::{
        ids::Version,
        users::event::{EventKind, NamedEvent},
    };

    use super::*;

    fn key(user: &str, version: u64) -> UserKey {
        let name = ModelName::parse("enc").unwrap();
        UserKey { owner: ModelId { name, version: Version(version) }, user: user.into() }
    }

    fn event(id: &str, time: i64) -> NamedEvent {
        let event = Event { item: "x".into(), kind: EventKind::View, time };
        NamedEvent { digest: EventDigest::of(id), event }
    }

    fn store(options: UsersOptions) -> Arc<MemoryStore> {
        Arc::new(MemoryStore::new(options, Arc::default()))
    }

    fn embedding(value: f32, folded: Mark) -> StoredEmbedding {
        StoredEmbedding::new(vec![value].into(), folded)
    }

    fn times(store: &MemoryStore, user: &str) -> Vec<i64> {
        let history = store.lookup(&key(user, 1)).history.unwrap_or_default();
        history.iter().map(|event| event.time).collect()
    }

    async fn record(store: &MemoryStore, user: &str, events: &[(&str, i64)]) -> RecordCounts {
        let events = events.iter().map(|(id, time)| event(id, *time)).collect();
        store.record(vec![UserEvents { user: user.into(), events }]).await.unwrap()
    }

    #[test]
    fn an_embedding_belongs_to_one_version() {
        let store = store(UsersOptions::default());
        Arc::clone(&store).keep(key("u", 1), embedding(1.0, Mark::default()));
        assert!(store.lookup(&key("u", 1)).embedding.is_some());
        assert!(store.lookup(&key("u", 2)).embedding.is_none());
    }

    #[test]
    fn the_embeddings_of_a_version_that_is_gone_go_too() {
        let store = store(UsersOptions::default());
        Arc::clone(&store).keep(key("u", 1), embedding(1.0, Mark::default()));
        Arc::clone(&store).keep(key("u", 2), embedding(2.0, Mark::default()));
        store.retire(&key("", 1).owner);
        assert!(store.lookup(&key("u", 1)).embedding.is_none());
        assert!(store.lookup(&key("u", 2)).embedding.is_some());
        assert_eq!(store.embeddings.len(), 1);
    }

    #[test]
    fn embeddings_are_bounded() {
        let store = store(UsersOptions { max_embeddings: 3, ..UsersOptions::default() });
        for user in 0..10 {
            Arc::clone(&store).keep(key(&user.to_string(), 1), embedding(0.0, Mark::default()));
        }
        assert_eq!(store.embeddings.get(&key("", 1).owner).map(|all| all.len()), Some(3));
        assert!(store.lookup(&key("9", 1)).embedding.is_some());
    }

    #[tokio::test]
    async fn an_event_is_recorded_once_and_in_its_place() {
        let store = store(UsersOptions { max_events: 3, ..UsersOptions::default() });
        let counts = record(&store, "u", &[("b", 20), ("a", 10), ("b", 20)]).await;
        assert_eq!(counts, RecordCounts { recorded: 2, duplicates: 1 });
        let counts = record(&store, "u", &[("a", 10), ("c", 15)]).await;
        assert_eq!(counts, RecordCounts { recorded: 1, duplicates: 1 });
        assert_eq!(times(&store, "u"), [10, 15, 20]);
        record(&store, "u", &[("d", 30)]).await;
        assert_eq!(times(&store, "u"), [15, 20, 30]);
    }

    #[tokio::test]
    async fn an_embedding_is_fresh_until_something_happens() {
        let store = store(UsersOptions::default());
        record(&store, "u", &[("a", 10)]).await;
        let mark = store.lookup(&key("u", 1)).mark;
        Arc::clone(&store).keep(key("u", 1), embedding(1.0, mark));
        assert!(store.lookup(&key("u", 1)).is_fresh());
        record(&store, "u", &[("b", 20)]).await;
        assert!(!store.lookup(&key("u", 1)).is_fresh());
        assert!(store.lookup(&key("u", 1)).embedding.is_some());
    }

    #[tokio::test]
    async fn what_was_stored_meanwhile_is_not_computed_again() {
        let store = store(UsersOptions::default());
        record(&store, "u", &[("a", 10)]).await;
        let read = store.lookup(&key("u", 1));
        assert!(matches!(store.claim(&key("u", 1), &read).await, Claim::Ours));
        Arc::clone(&store).keep(key("u", 1), embedding(1.0, read.mark));
        assert!(matches!(store.claim(&key("u", 1), &read).await, Claim::Theirs(_)));
        record(&store, "u", &[("b", 20)]).await;
        let read = store.lookup(&key("u", 1));
        assert!(matches!(store.claim(&key("u", 1), &read).await, Claim::Ours));
    }

    #[tokio::test]
    async fn what_is_erased_does_not_come_back() {
        let store = store(UsersOptions::default());
        record(&store, "u", &[("a", 10)]).await;
        let mark = store.lookup(&key("u", 1)).mark;
        Arc::clone(&store).keep(key("u", 1), embedding(1.0, mark));
        let user: Arc<str> = "u".into();
        let erased = store.erase(&user).await.unwrap();
        assert_eq!(erased, Erased { events: 1, embeddings: 1, shipped: false });
        // A computation that began before ends after.
        Arc::clone(&store).keep(key("u", 1), embedding(1.0, mark));
        let record = store.lookup(&key("u", 1));
        assert!(record.embedding.is_none() && record.history.is_none());
        assert_eq!(store.counts().embeddings_dropped, 1);
    }

    #[tokio::test]
    async fn an_embedding_from_elsewhere_is_stale_where_an_event_is_later() {
        let store = store(UsersOptions::default());
        record(&store, "u", &[("a", 10), ("b", 20)]).await;
        for (created_ms, fresh) in [(19_000, false), (20_000, true)] {
            let given = GivenEmbedding { user: "u".into(), values: vec![1.0].into(), created_ms };
            store.put(&key("u", 1).owner, vec![given]).await.unwrap();
            assert_eq!(store.lookup(&key("u", 1)).is_fresh(), fresh, "{created_ms}");
        }
    }
}
