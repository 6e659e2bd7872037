//! Whether one answer to a Rank is right: its scores, and what it says of where they came from.

use std::time::{Duration, Instant};

use podium::transport::pb::{DegradedReason, RankResponse, UserState};

use crate::shoppers::Shopper;

/// How old the copy that a server keeps may be.
pub const LOCAL_AGE: Duration = Duration::from_millis(100);

/// What the Redis of a test may lose.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Redis {
    /// Nothing that was acknowledged.
    Keeps,
    /// Anything: it evicts histories.
    Forgets,
}

/// What an answer says of its user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// The state that it names.
    pub state: UserState,
    /// Whether it says that it lacks something.
    pub degraded: bool,
    /// How many events its scores speak of.
    pub events: usize,
}

impl Verdict {
    /// Whether the answer is as good as one with a healthy store.
    pub fn is_healthy(&self) -> bool {
        !self.degraded && self.state != UserState::Stale
    }
}

/// Judges an answer to a request that was sent at `asked` and named the user by id alone.
///
/// # Errors
/// What is wrong with it, in words.
pub fn judge(
    shopper: &Shopper,
    answer: &RankResponse,
    asked: Instant,
    redis: Redis,
) -> Result<Verdict, String> {
    let (state, reasons): (_, Vec<_>) = (answer.user_state(), answer.degraded().collect());
    let (sure, sent) = (shopper.acknowledged_at(asked), shopper.sent());
    let tell = |wrong: &str| {
        format!(
            "{shopper:?}: {wrong}: {state:?} {reasons:?}, {sure} events were acknowledged and {sent} sent"
        )
    };
    let Some(events) = shopper.events_in(answer) else {
        return Err(tell(&format!("scores of no history: {:?}", crate::shoppers::scores(answer))));
    };
    let tell = |wrong: &str| tell(&format!("{wrong}, scores of {events} events"));
    let store_is_down = reasons.contains(&DegradedReason::UserStoreUnavailable);
    let least = match (state, redis) {
        (_, Redis::Forgets) => 0,
        (UserState::Local, _) => shopper.acknowledged_at(asked - LOCAL_AGE),
        _ => sure,
    };
    let fault = match state {
        _ if events > sent => Some("scores of events that were not sent"),
        UserState::Cached | UserState::Local if store_is_down => {
            Some("a copy of a store that is down")
        }
        // The encoder ran on what this server knew; nobody knows whether that is all.
        UserState::Computed if store_is_down => (events == 0).then_some("computed of nothing"),
        UserState::Cached | UserState::Local | UserState::Computed if events < least => {
            Some("old scores that say they are new")
        }
        UserState::Cached | UserState::Local | UserState::Computed => {
            (events == 0).then_some("the default scores for a known user")
        }
        UserState::Stale => (events == 0).then_some("stale is not unknown"),
        UserState::Default if events > 0 => Some("other scores than the default ones"),
        UserState::Default => {
            (least > 0 && reasons.is_empty()).then_some("a known user is unknown")
        }
        _ => Some("no such state for a user who is asked for by id"),
    };
    let other = reasons.iter().find(|reason| **reason != DegradedReason::UserStoreUnavailable);
    match (fault, other) {
        (Some(fault), _) => Err(tell(fault)),
        (None, Some(_)) => Err(tell("degraded for another reason than the store")),
        (None, None) => Ok(Verdict { state, degraded: store_is_down, events }),
    }
}
