//! When to give a store up for a while: after failures in a row, until a probe succeeds.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

/// Failures in a row after which nothing more is asked.
const MOST_FAILURES: u32 = 5;

/// Says whether to ask.
#[derive(Debug, Default)]
pub(super) struct Breaker {
    failures: AtomicU32,
    open: AtomicBool,
}

impl Breaker {
    /// Whether nothing is to be asked.
    pub(super) fn is_open(&self) -> bool {
        self.open.load(Ordering::Relaxed)
    }

    /// Takes an answer in: it closes nothing, as it may have been asked for long ago.
    pub(super) fn succeeded(&self) {
        self.failures.store(0, Ordering::Relaxed);
    }

    /// Takes a failure in; says whether this one opened it.
    pub(super) fn failed(&self) -> bool {
        let failures = self.failures.fetch_add(1, Ordering::Relaxed) + 1;
        failures >= MOST_FAILURES && self.trip()
    }

    /// Opens it at once, as the connection is gone; says whether it was closed.
    pub(super) fn trip(&self) -> bool {
        !self.open.swap(true, Ordering::Relaxed)
    }

    /// Takes the answer to a probe in: it closes.
    pub(super) fn probed(&self) {
        self.failures.store(0, Ordering::Relaxed);
        self.open.store(false, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(what: &str, open: bool) {
        let breaker = Breaker::default();
        for happened in what.chars() {
            match happened {
                'f' => drop(breaker.failed()),
                's' => breaker.succeeded(),
                't' => drop(breaker.trip()),
                'p' => breaker.probed(),
                other => panic!("`{other}` is nothing that happens"),
            }
        }
        assert_eq!(breaker.is_open(), open, "{what}");
    }

    #[test]
    fn it_opens_after_failures_in_a_row_and_closes_by_a_probe() {
        check("", false);
        check("ffff", false);
        check("fffff", true);
        check("ffffsffff", false);
        check("fffffs", true);
        check("fffffp", false);
        check("fffffpffff", false);
        check("t", true);
        check("tp", false);
    }

    #[test]
    fn it_opens_once() {
        let breaker = Breaker::default();
        let opened: Vec<bool> = (0..7).map(|_| breaker.failed()).collect();
        assert_eq!(opened, [false, false, false, false, true, false, false]);
    }
}
