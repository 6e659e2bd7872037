//! Histories that were counted before: what a shopper did changes less often than they ask.

use std::{
    array,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use ahash::AHashMap;

use crate::{
    ranking::features::user_item::UserItems,
    users::{Event, History},
};

const SHARDS: usize = 16;

/// Counted histories that a shard keeps: with 256 events a history, 4096 of them take some 50 MB.
const MOST_A_SHARD: usize = 256;

type Shard = AHashMap<usize, (Weak<[Event]>, Arc<UserItems>)>;

/// Stored histories with their counts, found by the history's address, which the weak pointer keeps from being used again.
#[derive(Debug)]
pub(super) struct CountedHistories {
    shards: [Mutex<Shard>; SHARDS],
}

impl Default for CountedHistories {
    fn default() -> Self {
        Self { shards: array::from_fn(|_| Mutex::default()) }
    }
}

impl CountedHistories {
    /// The counts of a history: those of the last time, or what `count` makes of it.
    ///
    /// A history that nobody else holds came with the request and will not be met again: it is not kept.
    pub(super) fn of(
        &self,
        history: &History,
        count: impl FnOnce() -> UserItems,
    ) -> Arc<UserItems> {
        if history.is_empty() || Arc::strong_count(history) < 2 {
            return Arc::new(count());
        }
        let address = Arc::as_ptr(history).cast::<u8>() as usize;
        let shard = &self.shards[(address >> 6) % SHARDS];
        let lock = || shard.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, known)) = lock().get(&address) {
            return Arc::clone(known);
        }
        let counted = Arc::new(count());
        let mut shard = lock();
        if shard.len() >= MOST_A_SHARD {
            shard.retain(|_, (history, _)| history.strong_count() > 0);
        }
        if shard.len() >= MOST_A_SHARD {
            let any = shard.keys().next().copied();
            any.map(|address| shard.remove(&address));
        }
        shard.insert(address, (Arc::downgrade(history), Arc::clone(&counted)));
        counted
    }
}

#[cfg(test)]
mod tests {
    use crate::{ranking::features::user_item::UserItemFeatures, users::EventKind};

    use super::*;

    fn history(count: usize) -> History {
        let event = |n: usize| Event { item: n.to_string().into(), kind: EventKind::View, time: 0 };
        (0..count).map(event).collect()
    }

    fn counted(all: &CountedHistories, history: &History) -> bool {
        let mut ran = false;
        all.of(history, || {
            ran = true;
            UserItemFeatures::default().count(history, None)
        });
        ran
    }

    #[test]
    fn a_stored_history_is_counted_once_and_a_brought_one_each_time() {
        let all = CountedHistories::default();
        let stored = history(3);
        let held = Arc::clone(&stored);
        assert!(counted(&all, &stored) && !counted(&all, &held));
        let brought = history(3);
        assert!(counted(&all, &brought) && counted(&all, &brought));
    }

    #[test]
    fn a_new_history_never_finds_the_counts_of_an_old_one() {
        let all = CountedHistories::default();
        for count in 1..200 {
            let stored = history(count % 3 + 1);
            let _held = Arc::clone(&stored);
            assert!(counted(&all, &stored), "history {count}");
        }
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let all = CountedHistories::default();
        let stored: Vec<History> = (0..3 * SHARDS * MOST_A_SHARD).map(|_| history(1)).collect();
        let held = stored.clone();
        for one in &held {
            counted(&all, one);
        }
        let kept: usize = all.shards.iter().map(|shard| shard.lock().unwrap().len()).sum();
        assert!(kept <= SHARDS * MOST_A_SHARD && kept > 0, "{kept}");
    }
}
