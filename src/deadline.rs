//! The one deadline of a request, fixed on arrival.

use std::time::{Duration, Instant};

/// The moment after which an answer is of no use to the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deadline(Instant);

impl Deadline {
    /// The deadline that lies `timeout` after `arrival`.
    pub fn after(arrival: Instant, timeout: Duration) -> Self {
        Self(arrival + timeout)
    }

    /// The moment itself.
    pub fn at(self) -> Instant {
        self.0
    }

    /// Whether the moment has passed at `now`.
    pub fn expired(self, now: Instant) -> bool {
        now >= self.0
    }

    /// What is left of it at `now`; zero once it has passed.
    pub fn remaining(self, now: Instant) -> Duration {
        self.0.saturating_duration_since(now)
    }
}
