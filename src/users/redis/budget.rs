//! How often to try again: a tenth more calls, and no more.

use std::sync::atomic::{AtomicI64, Ordering};

/// What one retry costs, in what one call earns.
const COST: i64 = 10;

/// Retries that may be saved up, for failures that come together.
const MOST_SAVED: i64 = 10 * COST;

/// Earned by calls, spent on retries.
#[derive(Debug, Default)]
pub(super) struct RetryBudget {
    saved: AtomicI64,
}

impl RetryBudget {
    /// Takes a call in.
    pub(super) fn earn(&self) {
        if self.saved.fetch_add(1, Ordering::Relaxed) >= MOST_SAVED {
            self.saved.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Whether one more retry may be made, which is then paid for.
    pub(super) fn spend(&self) -> bool {
        let paid = self.saved.fetch_sub(COST, Ordering::Relaxed) >= COST;
        if !paid {
            self.saved.fetch_add(COST, Ordering::Relaxed);
        }
        paid
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenth_of_the_calls_may_be_repeated() {
        let budget = RetryBudget::default();
        assert!(!budget.spend());
        let mut retries = 0;
        for _ in 0..1000 {
            budget.earn();
            retries += usize::from(budget.spend());
        }
        assert_eq!(retries, 100);
    }

    #[test]
    fn not_more_than_ten_are_saved() {
        let budget = RetryBudget::default();
        (0..10_000).for_each(|_| budget.earn());
        assert_eq!((0..100).filter(|_| budget.spend()).count(), 10);
    }
}
