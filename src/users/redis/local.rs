//! Copies of what Redis has, kept at hand.

use std::sync::{
    Arc, PoisonError, RwLock,
    atomic::{AtomicU64, Ordering},
};

use ahash::RandomState;
use moka::sync::Cache;

use crate::{
    ids::ModelId,
    users::{
        options::RedisOptions,
        record::{Reading, Source, UserRecord},
        store::UserKey,
    },
};

/// Over how many counters users are spread; two that share one cost each other a reading at most.
const SLOTS: usize = 4096;

/// What one copy takes beside its events and its values, in bytes.
const FRAME: usize = 200;

/// A record and the time it belongs to.
#[derive(Debug, Clone)]
struct Copy {
    record: UserRecord,
    epoch: u64,
}

/// Copies of records, bounded by bytes; those are kept that are asked for (TinyLFU).
#[derive(Debug)]
pub(super) struct Local {
    copies: Cache<UserKey, Arc<Copy>, RandomState>,
    /// Whose records there are copies of.
    owners: RwLock<Vec<ModelId>>,
    /// How often the users of each slot have changed.
    changes: Box<[AtomicU64]>,
    /// How often everything became doubtful.
    epoch: AtomicU64,
    hasher: RandomState,
}

/// What is to be known before a record is asked for, so that an answer that is outdated on arrival is not kept.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ticket {
    changes: u64,
    epoch: u64,
}

impl Local {
    pub(super) fn new(options: &RedisOptions) -> Self {
        let weight = |key: &UserKey, copy: &Arc<Copy>| weight(key, &copy.record);
        let copies = Cache::builder()
            .max_capacity(options.local_bytes)
            .weigher(weight)
            .time_to_live(options.local_ttl)
            .build_with_hasher(RandomState::new());
        Self {
            copies,
            owners: RwLock::default(),
            changes: (0..SLOTS).map(|_| AtomicU64::new(0)).collect(),
            epoch: AtomicU64::new(0),
            hasher: RandomState::new(),
        }
    }

    fn slot(&self, user: &str) -> &AtomicU64 {
        let at = self.hasher.hash_one(user) as usize % SLOTS;
        &self.changes[at]
    }

    /// The copy of a record, where nothing is known to have changed since it was read.
    pub(super) fn get(&self, key: &UserKey) -> Option<UserRecord> {
        let copy = self.copies.get(key)?;
        (copy.epoch == self.epoch.load(Ordering::Acquire))
            .then(|| copied(&copy.record, Source::Local))
    }

    /// The copy of a record, however old.
    pub(super) fn last_known(&self, key: &UserKey) -> Option<UserRecord> {
        let copy = self.copies.get(key)?;
        Some(copied(&copy.record, Source::Fallback))
    }

    /// To be taken before a record is asked for.
    pub(super) fn ticket(&self, user: &str) -> Ticket {
        Ticket {
            changes: self.slot(user).load(Ordering::Acquire),
            epoch: self.epoch.load(Ordering::Acquire),
        }
    }

    /// Keeps an answer, unless something has changed since it was asked for.
    pub(super) fn put(&self, key: &UserKey, record: &UserRecord, ticket: Ticket) {
        if !self.holds(key, ticket) {
            return;
        }
        self.remember(&key.owner);
        let copy = Copy { record: record.clone(), epoch: ticket.epoch };
        self.copies.insert(key.clone(), Arc::new(copy));
        // A change that came between the question and the insertion found nothing to take out.
        if !self.holds(key, ticket) {
            self.copies.invalidate(key);
        }
    }

    fn holds(&self, key: &UserKey, ticket: Ticket) -> bool {
        self.slot(&key.user).load(Ordering::Acquire) == ticket.changes
    }

    fn remember(&self, owner: &ModelId) {
        let known = self.owners.read().unwrap_or_else(PoisonError::into_inner).contains(owner);
        if !known {
            let mut owners = self.owners.write().unwrap_or_else(PoisonError::into_inner);
            if !owners.contains(owner) {
                owners.push(owner.clone());
            }
        }
    }

    /// Takes all copies of a user out.
    pub(super) fn forget(&self, user: &str) {
        self.slot(user).fetch_add(1, Ordering::AcqRel);
        let user: Arc<str> = user.into();
        for owner in self.owners.read().unwrap_or_else(PoisonError::into_inner).iter() {
            let key = UserKey { owner: owner.clone(), user: Arc::clone(&user) };
            self.copies.invalidate(&key);
        }
    }

    /// Keeps all copies, but none is used any more while Redis can be asked.
    pub(super) fn distrust_all(&self) {
        self.epoch.fetch_add(1, Ordering::AcqRel);
    }
}

/// The bytes that a copy takes, about.
fn weight(key: &UserKey, record: &UserRecord) -> u32 {
    let event = |event: &crate::users::event::Event| size_of_val(event) + event.item.len() + 16;
    let events: usize = record.history.iter().flat_map(|all| all.iter()).map(event).sum();
    let values = record.embedding.as_ref().map_or(0, |embedding| 4 * embedding.values.len());
    u32::try_from(FRAME + key.user.len() + events + values).unwrap_or(u32::MAX)
}

/// A copy of a record, for which nothing was read.
fn copied(record: &UserRecord, source: Source) -> UserRecord {
    UserRecord { source, reading: Reading::default(), ..record.clone() }
}

#[cfg(test)]
mod tests {
    use crate::{
        ids::{ModelName, Version},
        users::record::{Mark, StoredEmbedding},
    };

    use super::*;

    fn key(user: &str) -> UserKey {
        let name = ModelName::parse("enc").unwrap();
        UserKey { owner: ModelId { name, version: Version(1) }, user: user.into() }
    }

    fn record(value: f32) -> UserRecord {
        let embedding = StoredEmbedding::new(vec![value].into(), Mark::default());
        UserRecord { embedding: Some(embedding), ..UserRecord::default() }
    }

    fn local() -> Local {
        Local::new(&RedisOptions::default())
    }

    #[test]
    fn a_copy_is_used_until_its_user_changes() {
        let local = local();
        local.put(&key("u"), &record(1.0), local.ticket("u"));
        assert_eq!(local.get(&key("u")).map(|record| record.source), Some(Source::Local));
        local.forget("somebody else");
        assert!(local.get(&key("u")).is_some());
        local.forget("u");
        assert!(local.get(&key("u")).is_none() && local.last_known(&key("u")).is_none());
    }

    #[test]
    fn an_answer_that_is_outdated_on_arrival_is_not_kept() {
        let local = local();
        let ticket = local.ticket("u");
        local.forget("u");
        local.put(&key("u"), &record(1.0), ticket);
        assert!(local.last_known(&key("u")).is_none());
    }

    #[test]
    fn doubtful_copies_are_for_emergencies() {
        let local = local();
        let ticket = local.ticket("u");
        local.distrust_all();
        local.put(&key("u"), &record(1.0), ticket);
        assert!(local.get(&key("u")).is_none());
        assert_eq!(local.last_known(&key("u")).map(|record| record.source), Some(Source::Fallback));
    }

    #[test]
    fn copies_are_bounded_by_bytes() {
        let options = RedisOptions { local_bytes: 10_000, ..RedisOptions::default() };
        let local = Local::new(&options);
        for user in 0..1000 {
            let user = user.to_string();
            local.put(&key(&user), &record(1.0), local.ticket(&user));
        }
        local.copies.run_pending_tasks();
        assert!(local.copies.weighted_size() <= 10_000 && local.copies.entry_count() > 10);
    }
}
