//! What has become of a model's rows since it was loaded.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counts that only grow.
#[derive(Debug, Default)]
pub(super) struct Counters {
    batches: AtomicU64,
    rows_run: AtomicU64,
    rows_run_in_vain: AtomicU64,
}

/// What has become of a model's rows since it was loaded; of models that are run by users, of users.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BatchCounts {
    /// Batches that ran.
    pub batches: u64,
    /// Rows in them.
    pub rows_run: u64,
    /// Rows in them whose caller had left by the end of the run.
    pub rows_run_in_vain: u64,
}

impl Counters {
    /// Notes a batch that ran, with so many rows, of which so many in vain.
    pub(super) fn ran(&self, rows: usize, in_vain: usize) {
        self.batches.fetch_add(1, Ordering::Relaxed);
        self.rows_run.fetch_add(rows as u64, Ordering::Relaxed);
        self.rows_run_in_vain.fetch_add(in_vain as u64, Ordering::Relaxed);
    }

    /// The counts so far.
    pub(super) fn read(&self) -> BatchCounts {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        BatchCounts {
            batches: read(&self.batches),
            rows_run: read(&self.rows_run),
            rows_run_in_vain: read(&self.rows_run_in_vain),
        }
    }
}
