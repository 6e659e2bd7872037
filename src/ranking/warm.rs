//! Has embeddings computed before they are needed.

use std::{sync::Arc, time::Instant};

use futures::{Stream, StreamExt, stream};

use crate::{
    batching::Priority,
    deadline::Deadline,
    ranking::{
        models::Encoder,
        notes::UserNotes,
        parts::EngineParts,
        user_side::{Flights, UserDesk},
    },
    telemetry::TraceContext,
    users::{Source, UserKey},
};

/// Users that are worked on at once.
const AT_ONCE: usize = 16;

/// Whose embeddings shall be there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WhomToWarm {
    /// So many users, those with the latest event first.
    MostActive(usize),
    /// These users.
    These(Vec<Arc<str>>),
}

/// How far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct WarmProgress {
    /// Users to look at.
    pub total: usize,
    /// Embeddings that were computed.
    pub computed: usize,
    /// Users whose embedding was there and up to date.
    pub fresh: usize,
    /// Users without a history.
    pub unknown: usize,
    /// Users whose embedding could not be had.
    pub failed: usize,
}

impl WarmProgress {
    /// Users looked at.
    pub fn done(&self) -> usize {
        self.computed + self.fresh + self.unknown + self.failed
    }

    fn and(mut self, outcome: Outcome) -> Self {
        let count = match outcome {
            Outcome::Computed => &mut self.computed,
            Outcome::Fresh => &mut self.fresh,
            Outcome::Unknown => &mut self.unknown,
            Outcome::Failed => &mut self.failed,
        };
        *count += 1;
        self
    }
}

/// What became of one user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Computed,
    Fresh,
    Unknown,
    Failed,
}

/// Computes what is missing or stale, a few users at once and less urgent than anything else; tells the progress after each user.
///
/// It goes on as long as somebody asks for the next word.
pub(super) fn warm<'a>(
    parts: &'a EngineParts,
    flights: &'a Flights,
    encoder: Arc<Encoder>,
    users: Vec<Arc<str>>,
) -> impl Stream<Item = WarmProgress> + Send + 'a {
    let begun = WarmProgress { total: users.len(), ..WarmProgress::default() };
    let outcomes = stream::iter(users)
        .map(move |user| {
            let encoder = Arc::clone(&encoder);
            async move { warm_one(parts, flights, &encoder, user).await }
        })
        .buffer_unordered(AT_ONCE);
    outcomes.scan(begun, |progress, outcome| {
        *progress = progress.and(outcome);
        std::future::ready(Some(*progress))
    })
}

async fn warm_one(
    parts: &EngineParts,
    flights: &Flights,
    encoder: &Arc<Encoder>,
    user: Arc<str>,
) -> Outcome {
    let key = UserKey { owner: encoder.id().clone(), user };
    let record = parts.users.read(&key, parts.options.encode_timeout).await;
    if record.source == Source::Fallback {
        return Outcome::Failed;
    }
    if record.is_fresh() {
        return Outcome::Fresh;
    }
    if record.history.as_ref().is_none_or(|history| history.is_empty()) {
        return Outcome::Unknown;
    }
    // A run may take `encode_timeout`, and an earlier one may have to be waited for.
    let deadline = Deadline::after(Instant::now(), parts.options.encode_timeout * 3);
    let priority = Some(Priority(Priority::LOWEST));
    let (trace, notes) = (TraceContext::default(), &mut UserNotes::default());
    let mut desk = UserDesk { parts, flights, deadline, priority, keeps: true, trace, notes };
    match desk.compute(encoder, key, record).await {
        Ok(_) => Outcome::Computed,
        Err(error) => {
            tracing::debug!(encoder = %encoder.id(), %error, "a user's embedding is not warmed");
            Outcome::Failed
        }
    }
}
