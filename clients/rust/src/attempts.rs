//! The attempts of one call, which share one deadline: every decision about retries is made here.

use std::time::{Duration, Instant};

use tonic::Code;

use crate::{budget::RetryBudget, error::Error, policy::RetryPolicy};

/// The attempts of one call.
#[derive(Debug)]
pub(crate) struct Attempts<'a> {
    policy: &'a RetryPolicy,
    budget: &'a RetryBudget,
    begun: Instant,
    deadline: Duration,
    made: u32,
}

impl<'a> Attempts<'a> {
    /// Begins a call that has so long.
    pub(crate) fn new(
        now: Instant,
        deadline: Duration,
        policy: &'a RetryPolicy,
        budget: &'a RetryBudget,
    ) -> Self {
        budget.called();
        Self { policy, budget, begun: now, deadline, made: 0 }
    }

    /// Counts an attempt, and tells how long it may take.
    pub(crate) fn begin(&mut self, now: Instant) -> Duration {
        self.made += 1;
        self.left(now)
    }

    fn left(&self, now: Instant) -> Duration {
        self.deadline.saturating_sub(now.saturating_duration_since(self.begun))
    }

    /// How often it was tried.
    pub(crate) fn made(&self) -> u32 {
        self.made
    }

    /// How long to wait before the next attempt; none where none follows.
    ///
    /// The pause is drawn from the whole backoff, so that callers who failed together do not come back together (`random` lies from 0 up
    /// to 1), and begins after the time that the server named, if it did. One that the deadline leaves no time for is not begun.
    pub(crate) fn pause_after(&self, now: Instant, error: &Error, random: f64) -> Option<Duration> {
        if !can_help(error) || self.made >= self.policy.attempts {
            return None;
        }
        let backoff = self.policy.backoff(self.made).mul_f64(random);
        let pause = error.retry_after().unwrap_or_default() + backoff;
        (pause < self.left(now) && self.budget.take(now)).then_some(pause)
    }
}

/// Whether to try again can help and can do no harm, as all calls that are retried may be repeated.
///
/// A server that is UNAVAILABLE, or that nobody reaches, may be another one next time. One that has too much to do is asked again only
/// where it says when.
fn can_help(error: &Error) -> bool {
    match error.code() {
        Code::Unavailable => true,
        Code::ResourceExhausted => error.retry_after().is_some(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use tonic::Status;
    use tonic_types::{ErrorDetails, StatusExt};

    use super::*;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    fn busy(after: Option<u64>) -> Error {
        let details = ErrorDetails::with_retry_info(after.map(MS));
        match after {
            Some(_) => Status::with_error_details(Code::ResourceExhausted, "full", details).into(),
            None => Status::resource_exhausted("full").into(),
        }
    }

    #[track_caller]
    fn check(error: &Error, made: u32, deadline: u64, want: Option<u64>) {
        let (policy, budget) = (RetryPolicy::default(), RetryBudget::default());
        let now = Instant::now();
        let mut attempts = Attempts::new(now, MS(deadline), &policy, &budget);
        for _ in 0..made {
            attempts.begin(now);
        }
        assert_eq!(attempts.pause_after(now, error, 0.5), want.map(MS));
    }

    #[test]
    fn only_what_can_help_is_tried_again_and_only_in_time() {
        let gone = Status::unavailable("nobody answers").into();
        check(&gone, 1, 1000, Some(25));
        check(&gone, 3, 1000, Some(100));
        check(&gone, 4, 1000, None);
        check(&gone, 1, 25, None);
        check(&busy(Some(300)), 1, 1000, Some(325));
        check(&busy(Some(300)), 1, 320, None);
        check(&busy(None), 1, 1000, None);
        check(&Status::invalid_argument("wrong").into(), 1, 1000, None);
        check(&Status::deadline_exceeded("late").into(), 1, 1000, None);
    }

    #[test]
    fn an_empty_budget_ends_retries() {
        let (policy, budget) = (RetryPolicy::default(), RetryBudget::new(0.0, 0.0, 1.0));
        let (now, gone) = (Instant::now(), Status::unavailable("").into());
        let mut attempts = Attempts::new(now, MS(1000), &policy, &budget);
        assert_eq!(attempts.begin(now), MS(1000));
        assert!(attempts.pause_after(now, &gone, 0.0).is_some());
        assert!(attempts.pause_after(now, &gone, 0.0).is_none());
    }
}
