//! How patient a client is with a server that cannot answer now.

use std::time::Duration;

/// How often a call is tried, and how long the pauses are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetryPolicy {
    /// How often a call is tried at most, the first time included; 1: never again.
    pub attempts: u32,
    /// How long the first pause may last where the server does not say; the next ones twice as long each.
    pub first_backoff: Duration,
    /// What no such pause exceeds.
    pub max_backoff: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            attempts: 4,
            first_backoff: Duration::from_millis(50),
            max_backoff: Duration::from_secs(1),
        }
    }
}

impl RetryPolicy {
    /// No call is tried again.
    pub fn never() -> Self {
        Self { attempts: 1, ..Self::default() }
    }

    /// The longest pause before the retry of that number, counted from 1.
    pub(crate) fn backoff(&self, retry: u32) -> Duration {
        let doubled = 2_u32.saturating_pow(retry.saturating_sub(1));
        self.first_backoff.saturating_mul(doubled).min(self.max_backoff)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_bound() {
        let told = [1, 2, 3, 5, 6, 99].map(|retry| RetryPolicy::default().backoff(retry));
        assert_eq!(told.map(|pause| pause.as_millis()), [50, 100, 200, 800, 1000, 1000]);
    }
}
