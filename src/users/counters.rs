//! What became of readings and writings.

use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! counters {
    ($($(#[doc = $doc:literal])+ $name:ident,)+) => {
        /// Counts of a user store since it was made.
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
        pub struct UserCounts {
            $($(#[doc = $doc])+ pub $name: u64,)+
        }

        /// Counters that many threads move.
        #[derive(Debug, Default)]
        pub(super) struct UserCounters {
            $(pub(super) $name: AtomicU64,)+
        }

        impl UserCounters {
            /// What they stand at.
            pub(super) fn counts(&self) -> UserCounts {
                UserCounts { $($name: self.$name.load(Ordering::Relaxed),)+ }
            }
        }
    };
}

counters! {
    /// Records that were read from the store.
    store_reads,
    /// Records that were answered by a local copy.
    local_reads,
    /// Records for which the store did not answer.
    failed_reads,
    /// Reads that were tried a second time.
    retried_reads,
    /// Stored embeddings that do not fit, for whatever reason: each counted as none.
    unfit_embeddings,
    /// Answers about histories that cannot be read, or not whole: each as if the store had not answered.
    unfit_histories,
    /// Embeddings that were stored.
    embeddings_written,
    /// Embeddings that were not stored, because the store did not take them or the user was erased meanwhile.
    embeddings_dropped,
    /// Events that were recorded.
    events_recorded,
    /// Computations that another server was found to be at.
    leases_waited_for,
    /// Messages that a local copy is no longer what the store has.
    invalidations,
    /// Times that the store was given up for a while.
    breaker_opened,
}

/// Adds one.
pub(super) fn count(counter: &AtomicU64) {
    add(counter, 1);
}

/// Adds some.
pub(super) fn add(counter: &AtomicU64, more: u64) {
    counter.fetch_add(more, Ordering::Relaxed);
}
