//! What an answer says of the versions that are tried beside the live one.

use std::sync::{Arc, OnceLock};

use crate::{
    ranking::{
        behind::{Behind, FirstScores, Second, time_to_score},
        blame::{Blame, blame},
        error::RankError,
        models::{Model, Ranker},
        notes::Notes,
        parts::EngineParts,
        request::RankRequest,
        rewards::Rewards,
    },
    serving::{Outcome, Selector, Side, Traffic, Tried},
};

/// What came of a request at the version that answered it.
pub(super) type First<'a> = Result<(&'a Notes, Option<Arc<FirstScores>>), &'a RankError>;

/// Notes how versions do, and has a share of the requests scored by two of them.
pub(super) struct Weighing {
    parts: Arc<EngineParts>,
    behind: OnceLock<Option<Behind>>,
    /// What users took of the orders of two versions.
    pub(super) rewards: Arc<Rewards>,
}

impl Weighing {
    /// Starts nothing yet.
    pub(super) fn new(parts: Arc<EngineParts>) -> Self {
        Self { parts, behind: OnceLock::new(), rewards: Arc::new(Rewards::new()) }
    }

    /// Notes what came of a request, and has a second version score it where it is drawn.
    pub(super) fn weigh(
        &self,
        traffic: &Traffic,
        (ranker, request): (&Arc<Ranker>, &Arc<RankRequest>),
        first: &First<'_>,
    ) {
        let id = ranker.id();
        let Some(live) = self.parts.registry.live(&id.name) else { return };
        let on_trial = traffic.tried().iter().filter(|tried| tried.version != live);
        for tried in on_trial {
            let (side, other) = match id.version {
                version if version == live => (Side::Baseline, tried.version),
                version if version == tried.version => (Side::Version, live),
                _ => continue,
            };
            if let Some(outcome) = outcome(first) {
                tried.tally.note(live, side, outcome);
            }
            let Some(second) = self.ranker(id.name.as_str(), other.0) else { continue };
            if !is_drawn(tried, side, first) {
                continue;
            }
            let Some(place) = self.behind().and_then(Behind::place) else {
                tried.tally.skip(live);
                continue;
            };
            place.send(Second {
                request: Arc::clone(request),
                tally: Arc::clone(&tried.tally),
                baseline: live,
                first: Arc::clone(ranker),
                first_scores: first.as_ref().ok().and_then(|(_, scores)| scores.clone()),
                first_is_on_trial: first
                    .as_ref()
                    .is_err_and(|e| blame(e) == Blame::VersionOrRequest),
                second,
                side: match side {
                    Side::Baseline => Side::Version,
                    Side::Version => Side::Baseline,
                },
            });
        }
    }

    fn ranker(&self, model: &str, version: u64) -> Option<Arc<Ranker>> {
        let model = self.parts.registry.resolve(model, &Selector::Version(version)).ok()?;
        match model.as_ref() {
            Model::Ranker(ranker) => Some(Arc::clone(ranker)),
            Model::Encoder(_) | Model::Tensors(_) => None,
        }
    }

    /// The way to the thread, which is started for the first request.
    fn behind(&self) -> Option<&Behind> {
        let start = || {
            let started = Behind::start(Arc::clone(&self.parts), Arc::clone(&self.rewards));
            let warned = started.inspect_err(|error| {
                tracing::error!(%error, "no thread for comparisons: versions are not compared");
            });
            warned.ok()
        };
        self.behind.get_or_init(start).as_ref()
    }
}

/// What is noted of the version that answered.
fn outcome(first: &First<'_>) -> Option<Outcome> {
    match first {
        Ok((notes, _)) if notes.trip.batches > 0 => {
            Some(Outcome::Scored(time_to_score(notes.features.took(), &notes.trip)))
        }
        Ok(_) => None,
        Err(error) => match blame(error) {
            Blame::Version | Blame::Time => Some(Outcome::Failed),
            Blame::VersionOrRequest | Blame::Nobody => None,
        },
    }
}

/// Whether the other version scores a request too. One that the version on trial could not answer is always tried with the live one:
/// only so is known that it was that version's fault.
fn is_drawn(tried: &Tried, side: Side, first: &First<'_>) -> bool {
    match (first, side) {
        (Ok((_, Some(_))), _) => rand::random::<f64>() * 100.0 < tried.percent,
        (Err(error), Side::Version) => blame(error) != Blame::Nobody,
        _ => false,
    }
}
