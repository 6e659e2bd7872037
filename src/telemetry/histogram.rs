//! Counts values by size without a lock, with one traced example for each size.

use std::{
    sync::{
        Mutex, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use crate::telemetry::{
    family::{Distribution, Exemplar},
    trace_context::TraceContext,
};

/// Bounds of whole requests and calls, in seconds.
pub static REQUEST_SECONDS: [f64; 20] = [
    0.0005, 0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15,
    0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];

/// Bounds of parts of a request, in seconds.
pub static STAGE_SECONDS: [f64; 18] = [
    0.00001, 0.000025, 0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05,
    0.1, 0.25, 0.5, 1.0, 2.5, 5.0,
];

/// Bounds of ages, in seconds: a second to thirty days.
pub static AGE_SECONDS: [f64; 11] =
    [1.0, 10.0, 60.0, 300.0, 900.0, 3600.0, 21_600.0, 86_400.0, 259_200.0, 604_800.0, 2_592_000.0];

/// Bounds of numbers of things.
pub static COUNTS: [f64; 15] = [
    1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0, 2048.0, 4096.0, 8192.0,
    16_384.0,
];

/// Bounds of shares of a whole.
pub static SHARES: [f64; 11] = [0.0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.75, 0.9, 1.0];

/// Bounds of what was over what had been foreseen.
pub static TIMES_FORESEEN: [f64; 12] =
    [0.25, 0.5, 0.75, 0.9, 1.0, 1.1, 1.25, 1.5, 2.0, 3.0, 5.0, 10.0];

/// Counts values by size; many threads may.
#[derive(Debug)]
pub struct Histogram {
    bounds: &'static [f64],
    /// One for each bound, and one for what is larger than all.
    counts: Box<[AtomicU64]>,
    /// The bits of a float.
    sum: AtomicU64,
    /// Made with the first: few series ever have one.
    exemplars: OnceLock<Box<[Mutex<Option<Exemplar>>]>>,
}

impl Histogram {
    /// Counts values by these bounds, which ascend; a value belongs to the first that is no smaller.
    pub fn new(bounds: &'static [f64]) -> Self {
        Self {
            bounds,
            counts: (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect(),
            sum: AtomicU64::new(0),
            exemplars: OnceLock::new(),
        }
    }

    /// Counts a value; one that is not a number counts as nothing.
    pub fn record(&self, value: f64) {
        self.count(value);
    }

    /// Counts a time.
    pub fn record_time(&self, time: Duration) {
        self.count(time.as_secs_f64());
    }

    /// Counts a value, and keeps the span it was measured in as an example, where that is sampled.
    pub fn record_traced(&self, value: f64, trace: &TraceContext) {
        let Some(bucket) = self.count(value).filter(|_| trace.is_sampled && trace.is_valid())
        else {
            return;
        };
        let slots = || self.counts.iter().map(|_| Mutex::new(None)).collect();
        let slot = self.exemplars.get_or_init(slots).get(bucket);
        // Who finds the place taken leaves it: another example is as good.
        if let Some(Ok(mut slot)) = slot.map(Mutex::try_lock) {
            let (trace_id, span_id) = (trace.trace_id, trace.span_id);
            *slot = Some(Exemplar { trace_id, span_id, value, at: SystemTime::now() });
        }
    }

    fn count(&self, value: f64) -> Option<usize> {
        if value.is_nan() {
            return None;
        }
        let bucket = self.bounds.partition_point(|bound| *bound < value);
        self.counts.get(bucket)?.fetch_add(1, Ordering::Relaxed);
        let add = |sum| Some((f64::from_bits(sum) + value).to_bits());
        let _ = self.sum.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add);
        Some(bucket)
    }

    /// How many values it has counted.
    pub fn total(&self) -> u64 {
        self.counts.iter().map(|count| count.load(Ordering::Relaxed)).sum()
    }

    /// What it has counted so far.
    pub fn read(&self) -> Distribution {
        let read =
            |slot: &Mutex<Option<Exemplar>>| *slot.lock().unwrap_or_else(PoisonError::into_inner);
        let exemplars = self.exemplars.get().map(|slots| slots.iter().map(read).collect());
        Distribution {
            bounds: self.bounds,
            counts: self.counts.iter().map(|count| count.load(Ordering::Relaxed)).collect(),
            sum: f64::from_bits(self.sum.load(Ordering::Relaxed)),
            exemplars: exemplars.unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static BOUNDS: [f64; 3] = [0.0, 1.0, 10.0];

    #[track_caller]
    fn check(values: &[f64], counts: [u64; 4], sum: f64) {
        let histogram = Histogram::new(&BOUNDS);
        values.iter().for_each(|value| histogram.record(*value));
        let read = histogram.read();
        assert_eq!(read.counts, counts, "{values:?}");
        assert!((read.sum - sum).abs() < 1e-9, "{} for {values:?}", read.sum);
        assert_eq!(histogram.total(), counts.iter().sum::<u64>());
    }

    #[test]
    fn a_value_belongs_to_the_first_bound_that_is_no_smaller() {
        check(&[], [0, 0, 0, 0], 0.0);
        check(&[0.0, -1.0], [2, 0, 0, 0], -1.0);
        check(&[0.5, 1.0, 1.5], [0, 2, 1, 0], 3.0);
        check(&[10.0, 10.1], [0, 0, 1, 1], 20.1);
        check(&[f64::NAN, 2.0], [0, 0, 1, 0], 2.0);
    }

    #[test]
    fn bounds_ascend() {
        let all: [&[f64]; 6] =
            [&REQUEST_SECONDS, &STAGE_SECONDS, &AGE_SECONDS, &COUNTS, &SHARES, &TIMES_FORESEEN];
        for bounds in all {
            assert!(bounds.is_sorted_by(|one, next| one < next), "{bounds:?}");
        }
    }

    #[test]
    fn nothing_is_lost_where_many_count() {
        let histogram = Histogram::new(&BOUNDS);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..10_000).for_each(|_| histogram.record(0.5)));
            }
        });
        let read = histogram.read();
        assert_eq!((read.counts[1], read.sum), (40_000, 20_000.0));
    }

    #[test]
    fn only_sampled_spans_are_examples() {
        let histogram = Histogram::new(&BOUNDS);
        histogram.record_traced(0.5, &TraceContext::root(false));
        histogram.record_traced(0.5, &TraceContext::default());
        assert!(histogram.read().exemplars.is_empty());
        let (first, last) = (TraceContext::root(true), TraceContext::root(true));
        histogram.record_traced(0.5, &first);
        histogram.record_traced(0.6, &last);
        let read = histogram.read();
        let ids: Vec<_> = read.exemplars.iter().map(|e| e.map(|e| (e.trace_id, e.value))).collect();
        assert_eq!(ids, [None, Some((last.trace_id, 0.6)), None, None]);
        assert_eq!(read.counts[1], 4);
    }
}
