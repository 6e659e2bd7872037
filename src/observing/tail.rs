//! Which requests are told of for what came of them, whether they were drawn or not.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap},
    sync::{
        Arc, Mutex, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use crate::{
    ids::ModelName,
    observing::{
        finished::{Finished, Outcome},
        spans::Kept,
    },
    telemetry::TraceOptions,
};

/// How long the slowest are compared with each other.
const WINDOW: Duration = Duration::from_secs(10);

/// Decides it at a request's end.
#[derive(Debug)]
pub(super) struct Tail {
    keep_errors: bool,
    keep_degraded: bool,
    keep_slowest: usize,
    allowance: Allowance,
    slowest: RwLock<HashMap<ModelName, Arc<Slowest>>>,
}

impl Tail {
    pub(super) fn new(options: &TraceOptions) -> Self {
        Self {
            keep_errors: options.keep_errors,
            keep_degraded: options.keep_degraded,
            keep_slowest: options.keep_slowest,
            allowance: Allowance::new(options.max_kept_per_second),
            slowest: RwLock::default(),
        }
    }

    /// Why a request is told of; none where it is not.
    ///
    /// Those that failed or are degraded are so many a second at most. The slowest of each ten seconds are always among those that are kept: each is,
    /// when it ends, slower than all but a few before it.
    pub(super) fn keeps(&self, finished: &Finished) -> Option<Kept> {
        let slow = self.is_slow(finished);
        if finished.notes.trace.is_sampled {
            return Some(Kept::Drawn);
        }
        let failed = matches!(finished.outcome, Outcome::Failed { .. }) && self.keep_errors;
        let degraded = !finished.notes.degraded.is_empty() && self.keep_degraded;
        let why = match (failed, degraded) {
            (true, _) => Some(Kept::Failed),
            (false, true) => Some(Kept::Degraded),
            (false, false) => None,
        };
        match why.filter(|_| self.allowance.take(finished.ended)) {
            None if slow => Some(Kept::Slow),
            other => other,
        }
    }

    fn is_slow(&self, finished: &Finished) -> bool {
        let Some(model) = finished.notes.model.as_ref().filter(|_| self.keep_slowest > 0) else {
            return false;
        };
        let took = finished.ended.saturating_duration_since(finished.arrival);
        self.of(&model.name).is_among(self.keep_slowest, took, finished.ended)
    }

    /// The slowest of a model; models are those that are loaded, or were.
    fn of(&self, model: &ModelName) -> Arc<Slowest> {
        let known = self.slowest.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = known.get(model) {
            return Arc::clone(known);
        }
        drop(known);
        let mut all = self.slowest.write().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(all.entry(model.clone()).or_default())
    }
}

/// The slowest of one model in this window.
#[derive(Debug)]
struct Slowest {
    begun: Instant,
    /// When this window ends, in nanoseconds since then.
    until: AtomicU64,
    /// Nothing that took no longer is among them, in nanoseconds; 0 while there are too few.
    bar: AtomicU64,
    slowest: Mutex<BinaryHeap<Reverse<u64>>>,
}

impl Default for Slowest {
    fn default() -> Self {
        let (until, bar, slowest) = Default::default();
        Self { begun: Instant::now(), until, bar, slowest }
    }
}

impl Slowest {
    /// Whether it is one of so many slowest so far; that of a quick one costs two loads.
    fn is_among(&self, most: usize, took: Duration, now: Instant) -> bool {
        let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let (took, now) = (nanos(took), nanos(now.saturating_duration_since(self.begun)));
        if now < self.until.load(Ordering::Relaxed) && took <= self.bar.load(Ordering::Relaxed) {
            return false;
        }
        let mut slowest = self.slowest.lock().unwrap_or_else(PoisonError::into_inner);
        if now >= self.until.load(Ordering::Relaxed) {
            slowest.clear();
            self.bar.store(0, Ordering::Relaxed);
            self.until.store(now + nanos(WINDOW), Ordering::Relaxed);
        }
        slowest.push(Reverse(took));
        let quickest = if slowest.len() > most { slowest.pop() } else { None };
        if slowest.len() == most {
            self.bar.store(slowest.peek().map_or(0, |least| least.0), Ordering::Relaxed);
        }
        quickest != Some(Reverse(took))
    }
}

/// So many a second.
#[derive(Debug)]
struct Allowance {
    begun: Instant,
    most: u32,
    /// The second in the upper half, what was taken in it in the lower.
    taken: AtomicU64,
}

impl Allowance {
    fn new(most: u32) -> Self {
        Self { begun: Instant::now(), most, taken: AtomicU64::new(0) }
    }

    /// Takes one of this second's, where one is left.
    fn take(&self, now: Instant) -> bool {
        let second = now.saturating_duration_since(self.begun).as_secs() & 0xffff_ffff;
        let most = u64::from(self.most);
        let one_more = |taken: u64| match taken >> 32 == second {
            true if taken & 0xffff_ffff >= most => None,
            true => Some(taken + 1),
            false => (most > 0).then_some(second << 32 | 1),
        };
        self.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slowest_of_a_window_are_always_kept() {
        let slowest = Slowest::default();
        let took = |ms: u64| Duration::from_millis(ms);
        let at = |ms: u64| slowest.begun + took(ms);
        let kept: Vec<u64> = [3, 1, 5, 1, 4, 9, 2, 4, 10]
            .into_iter()
            .filter(|ms| slowest.is_among(2, took(*ms), at(*ms)))
            .collect();
        assert_eq!(kept, [3, 1, 5, 4, 9, 10]);
        assert!(!slowest.is_among(2, took(9), at(9_000)));
        assert!(slowest.is_among(2, took(1), at(11_000)), "a new window begins with none");
    }

    #[test]
    fn few_are_kept_of_many() {
        let slowest = Slowest::default();
        let kept = (0..10_000_u64).filter(|n| {
            let took = Duration::from_nanos(n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40);
            slowest.is_among(5, took, slowest.begun)
        });
        let count = kept.count();
        assert!((5..100).contains(&count), "{count}");
    }

    #[test]
    fn a_second_has_so_many() {
        let allowance = Allowance::new(2);
        let at = |ms: u64| allowance.begun + Duration::from_millis(ms);
        let taken = [0, 10, 20, 999, 1000, 1001, 1002, 5000].map(|ms| allowance.take(at(ms)));
        assert_eq!(taken, [true, true, false, false, true, true, false, true]);
        assert!(!Allowance::new(0).take(Instant::now()));
    }
}
