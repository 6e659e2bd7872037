//! The thread that has requests scored by a second version, behind their answers and only with spare capacity.

use std::{
    panic::AssertUnwindSafe,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use futures::{FutureExt, StreamExt};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use crate::{
    batching::{Priority, Trip},
    deadline::Deadline,
    ids::Version,
    ranking::{
        blame::{Blame, blame},
        error::RankError,
        models::Ranker,
        notes::UserNotes,
        parts::EngineParts,
        request::RankRequest,
        rewards::Rewards,
        scoring::{by_position, inputs, scored, work_behind},
        user_side::{Flights, UserDesk, UserSide},
    },
    serving::{Outcome, Pair, Side, Tally},
    telemetry::TraceContext,
};

/// Requests that may wait; one more is skipped.
const MOST_WAITING: usize = 16;

/// Requests that are scored at once.
const AT_ONCE: usize = 2;

/// How long a request waits for spare capacity before it is skipped.
const PATIENCE: Duration = Duration::from_secs(1);

/// How often it is looked for.
const LOOK_INTERVAL: Duration = Duration::from_millis(2);

/// How long the second version may take.
const TIMEOUT: Duration = Duration::from_secs(5);

/// How much less than an answer this thread matters to the operating system.
const NICENESS: i32 = 10;

/// What the first version made of a request.
#[derive(Debug)]
pub(super) struct FirstScores {
    /// Its scores by the candidates' positions.
    pub(super) scores: Vec<(u32, f32)>,
    /// The shopper as it saw them.
    pub(super) user: UserSide,
}

/// A request that a second version shall score.
pub(super) struct Second {
    pub(super) request: Arc<RankRequest>,
    pub(super) tally: Arc<Tally>,
    pub(super) baseline: Version,
    /// Who answered.
    pub(super) first: Arc<Ranker>,
    /// Its scores; none where it failed.
    pub(super) first_scores: Option<Arc<FirstScores>>,
    /// Whether the failure is its own only where the second version can do it.
    pub(super) first_is_on_trial: bool,
    /// Who is asked now.
    pub(super) second: Arc<Ranker>,
    /// Which of the two that is.
    pub(super) side: Side,
}

/// The way to the thread.
pub(super) struct Behind {
    requests: mpsc::Sender<Second>,
}

impl Behind {
    /// Starts the thread; it ends with the last way to it.
    ///
    /// # Errors
    /// That of a thread that cannot be started.
    pub(super) fn start(parts: Arc<EngineParts>, rewards: Arc<Rewards>) -> std::io::Result<Self> {
        let (requests, waiting) = mpsc::channel(MOST_WAITING);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        thread::Builder::new().name("behind".to_owned()).spawn(move || {
            if let Err(error) = rustix::process::nice(NICENESS) {
                tracing::debug!(%error, "the thread behind answers is as important as they are");
            }
            let flights = Flights::default();
            let with = Scoring { parts: &parts, flights: &flights, rewards: &rewards };
            let work = ReceiverStream::new(waiting)
                .for_each_concurrent(AT_ONCE, |second| weigh(with, second));
            runtime.block_on(work);
        })?;
        Ok(Self { requests })
    }

    /// A place for one more request; none where too many wait.
    pub(super) fn place(&self) -> Option<mpsc::Permit<'_, Second>> {
        self.requests.try_reserve().ok()
    }
}

/// What requests are scored with.
#[derive(Clone, Copy)]
struct Scoring<'a> {
    parts: &'a EngineParts,
    flights: &'a Flights,
    rewards: &'a Rewards,
}

/// Has the second version score a request, and notes how the two compare; a panic is a failure of that version.
async fn weigh(with: Scoring<'_>, second: Second) {
    let (tally, baseline) = (&second.tally, second.baseline);
    if !has_capacity(&second).await {
        return tally.skip(baseline);
    }
    let scored = AssertUnwindSafe(score(with, &second)).catch_unwind().await;
    let scored = scored.unwrap_or_else(|_| Err(RankError::Features("it panicked".to_owned())));
    match scored {
        Ok((scores, took)) => {
            tally.note(baseline, second.side, Outcome::Scored(took));
            compare(with.rewards, &second, &scores);
        }
        Err(error) => match (blame(&error), &second.first_scores) {
            (Blame::Version, _) | (Blame::VersionOrRequest, Some(_)) => {
                tracing::debug!(model = %second.second.id(), %error, "a comparison failed");
                tally.note(baseline, second.side, Outcome::Failed);
            }
            (Blame::VersionOrRequest, None) => {}
            (Blame::Time | Blame::Nobody, _) => tally.skip(baseline),
        },
    }
}

/// Notes how the scores of both compare.
fn compare(rewards: &Rewards, second: &Second, scores: &[(u32, f32)]) {
    let (tally, baseline, request) = (&second.tally, second.baseline, &second.request);
    let Some(first) = &second.first_scores else {
        if second.first_is_on_trial && second.side == Side::Baseline {
            tally.note(baseline, Side::Version, Outcome::Failed);
        }
        return;
    };
    let (shown, pair) = match second.side {
        Side::Version => (Side::Baseline, Pair { baseline: &first.scores, version: scores }),
        Side::Baseline => (Side::Version, Pair { baseline: scores, version: &first.scores }),
    };
    tally.compare(baseline, pair);
    let asked = (request.user.id.as_str(), &request.candidates.ids);
    rewards.remember(asked, (tally, baseline), shown, pair);
}

/// Waits until neither of the two versions has anything to do that somebody waits for.
async fn has_capacity(second: &Second) -> bool {
    let until = Instant::now() + PATIENCE;
    let spare = |ranker: &Ranker| ranker.handle.has_spare_capacity();
    while !(spare(&second.first) && spare(&second.second)) {
        if Instant::now() >= until {
            return false;
        }
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
    true
}

/// Scores a request, storing nothing.
async fn score(
    Scoring { parts, flights, .. }: Scoring<'_>,
    second: &Second,
) -> Result<(Vec<(u32, f32)>, Duration), RankError> {
    let Second { request, second: ranker, .. } = second;
    let deadline = Deadline::after(Instant::now(), TIMEOUT);
    let mut desk = UserDesk {
        parts,
        flights,
        deadline,
        priority: Some(Priority(Priority::LOWEST)),
        keeps: false,
        trace: TraceContext::default(),
        notes: &mut UserNotes::default(),
    };
    let known = second.first_scores.as_ref().filter(|_| sees_alike(&second.first, ranker));
    let computed;
    let user = match known {
        Some(first) => &first.user,
        None => {
            computed = desk.find(ranker, &request.user).await?;
            &computed
        }
    };
    let located = ranker.locate(&request.candidates.ids);
    let begun = Instant::now();
    let inputs = inputs(ranker, (request, &located), user, deadline)?;
    let features = begun.elapsed();
    if located.scored.is_empty() {
        return Ok((Vec::new(), features));
    }
    let mut trip = Trip::default();
    let outputs = ranker.handle.run_noted(work_behind(inputs, deadline), &mut trip).await?;
    let (items, _) = scored(ranker, outputs, &located)?;
    Ok((by_position(&items), time_to_score(features, &trip)))
}

/// Whether the shopper is the same for both.
fn sees_alike(one: &Ranker, other: &Ranker) -> bool {
    let encoder = |ranker: &Ranker| ranker.encoder().map(|encoder| encoder.id().clone());
    encoder(one) == encoder(other) && one.reads_history() == other.reads_history()
}

/// What a version itself took: neither waiting nor the shopper, whose embedding may be at hand for one of the two alone.
pub(super) fn time_to_score(features: Duration, trip: &Trip) -> Duration {
    features + trip.assembled + trip.ran + trip.scattered
}
