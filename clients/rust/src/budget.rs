//! The retry budget: how much the attempts of all calls together may add to what is asked anyway.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Instant,
};

/// A bucket of tokens that all calls of a client share; a retry takes a whole one.
///
/// Each call puts in a share of a token, and each second a few; it holds `burst` at most, and begins full. So while a server answers
/// nobody, retries add a tenth to its load by default, and not a multiple.
#[derive(Debug)]
pub struct RetryBudget {
    ratio: f64,
    per_second: f64,
    burst: f64,
    bucket: Mutex<Bucket>,
}

#[derive(Debug)]
struct Bucket {
    tokens: f64,
    filled: Instant,
}

impl Default for RetryBudget {
    fn default() -> Self {
        Self::new(0.1, 1.0, 10.0)
    }
}

impl RetryBudget {
    /// A full bucket: what each call puts in, what each second puts in, and what it holds at most. Negative numbers count as 0.
    pub fn new(ratio: f64, per_second: f64, burst: f64) -> Self {
        let [ratio, per_second, burst] = [ratio, per_second, burst].map(|one| one.max(0.0));
        let bucket = Mutex::new(Bucket { tokens: burst, filled: Instant::now() });
        Self { ratio, per_second, burst, bucket }
    }

    fn bucket(&self) -> MutexGuard<'_, Bucket> {
        self.bucket.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts in what a call brings.
    pub(crate) fn called(&self) {
        let mut bucket = self.bucket();
        bucket.tokens = (bucket.tokens + self.ratio).min(self.burst);
    }

    /// Takes a token for a retry, and says whether there was one.
    pub(crate) fn take(&self, now: Instant) -> bool {
        let mut bucket = self.bucket();
        let seconds = now.saturating_duration_since(bucket.filled).as_secs_f64();
        bucket.tokens = (bucket.tokens + self.per_second * seconds).min(self.burst);
        bucket.filled = now;
        let has_one = bucket.tokens >= 1.0;
        if has_one {
            bucket.tokens -= 1.0;
        }
        has_one
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn retries_are_a_share_of_the_calls() {
        let (budget, now) = (RetryBudget::new(0.1, 0.0, 2.0), Instant::now());
        assert_eq!([0; 4].map(|_| budget.take(now)), [true, true, false, false]);
        (0..11).for_each(|_| budget.called());
        assert_eq!([0; 2].map(|_| budget.take(now)), [true, false]);
    }

    #[test]
    fn time_fills_it_and_no_further_than_it_holds() {
        let (budget, now) = (RetryBudget::new(0.0, 1.0, 2.0), Instant::now());
        while budget.take(now) {}
        let later = now + Duration::from_millis(1500);
        assert_eq!([0; 2].map(|_| budget.take(later)), [true, false]);
        let much_later = later + Duration::from_secs(100);
        assert_eq!([0; 3].map(|_| budget.take(much_later)), [true, true, false]);
    }
}
