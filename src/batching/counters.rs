//! What has become of a model's rows since it was loaded.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{SystemTime, UNIX_EPOCH},
};

/// Counts that only grow.
#[derive(Debug, Default)]
pub(super) struct Counters {
    batches: AtomicU64,
    rows: AtomicU64,
    abandoned_rows: AtomicU64,
    elements: AtomicU64,
    padding: AtomicU64,
    last_run_ms: AtomicU64,
}

/// What has become of a model's rows since it was loaded; of models that are run by users, of users.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BatchCounts {
    /// Batches that ran.
    pub batches: u64,
    /// Rows in them.
    pub rows: u64,
    /// Those of the rows whose caller had left by the end of the run.
    pub abandoned_rows: u64,
    /// Elements of their masks: tokens, events, candidates of lists.
    pub elements: u64,
    /// Those of the elements that were padding.
    pub padding: u64,
}

impl Counters {
    /// Notes a batch that ran.
    pub(super) fn add(&self, batch: &BatchCounts) {
        let add = |count: &AtomicU64, more| count.fetch_add(more, Ordering::Relaxed);
        add(&self.batches, batch.batches);
        add(&self.rows, batch.rows);
        add(&self.abandoned_rows, batch.abandoned_rows);
        add(&self.elements, batch.elements);
        add(&self.padding, batch.padding);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.last_run_ms.store(now.as_millis() as u64, Ordering::Relaxed);
    }

    /// When a batch last ran, in milliseconds since 1970 in UTC; 0 where none did.
    pub(super) fn last_run_ms(&self) -> u64 {
        self.last_run_ms.load(Ordering::Relaxed)
    }

    /// The counts so far.
    pub(super) fn read(&self) -> BatchCounts {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        BatchCounts {
            batches: read(&self.batches),
            rows: read(&self.rows),
            abandoned_rows: read(&self.abandoned_rows),
            elements: read(&self.elements),
            padding: read(&self.padding),
        }
    }
}
