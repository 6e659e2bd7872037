//! Counts requests that have ended, where their version's figures are.

use std::time::Duration;

use crate::{
    error_code::ErrorCode,
    observing::{
        callers::Callers,
        finished::{Finished, Outcome},
    },
    ranking::{CODES, Degraded, Notes, Ranking, RequestFigures, STAGES, Step, UserState},
    telemetry::{Histogram, STAGE_SECONDS, Snapshot, TraceContext, metrics},
};

/// Where the records of users come from, in the order of [`RequestMetrics::reads`].
const SOURCES: [&str; 3] = ["store", "local", "fallback"];

/// Counts requests.
#[derive(Debug)]
pub(super) struct RequestMetrics {
    callers: Callers,
    /// Of requests for which no version was chosen.
    unchosen: RequestFigures,
    /// Reading a user's record, by source.
    reads: [Histogram; SOURCES.len()],
}

impl RequestMetrics {
    /// Counts, and tells so many callers apart.
    pub(super) fn new(max_callers: usize) -> Self {
        Self {
            callers: Callers::new(max_callers),
            unchosen: RequestFigures::default(),
            reads: std::array::from_fn(|_| Histogram::new(&STAGE_SECONDS)),
        }
    }

    /// Counts a request that has ended, with its answer where it has one; `kept` where its trace is told, drawn or not.
    pub(super) fn finished(&self, finished: &Finished, answer: Option<&Ranking>, kept: bool) {
        let notes = &finished.notes;
        let is_sampled = kept || notes.trace.is_sampled;
        let trace = &TraceContext { is_sampled, ..notes.trace };
        let figures = notes.figures.as_deref().unwrap_or(&self.unchosen);
        let code = code_of(&finished.outcome);
        let caller = (self.callers.place(&finished.caller), self.callers.places());
        let took = finished.ended.saturating_duration_since(finished.arrival);
        if let Some(durations) = figures.duration(code, caller) {
            durations.record_traced(took.as_secs_f64(), trace);
        }
        if let Outcome::Failed { reason, .. } = finished.outcome {
            figures.errors[code].count(reason);
        }
        count_stages(figures, finished, trace);
        if notes.candidates > 0 {
            figures.candidates.record(notes.candidates as f64);
            figures.scored.add(notes.scored);
            figures.missing.add(notes.missing);
        }
        if let (Some(source), Some(took)) = (notes.user.source, whole(&notes.user.read)) {
            self.reads[source as usize].record_traced(took.as_secs_f64(), trace);
        }
        if let Some(answer) = answer {
            count_answer(figures, answer);
        }
    }

    /// Adds what was counted where no version was chosen, and of reading users.
    pub(super) fn tell(&self, snapshot: &mut Snapshot) {
        self.tell_version(snapshot, ["", ""], &self.unchosen);
        for (source, durations) in SOURCES.iter().zip(&self.reads) {
            snapshot.distribution(&metrics::USER_READ_DURATION, &[source], durations.read());
        }
    }

    /// Adds what was counted of a version.
    pub(super) fn tell_version(
        &self,
        snapshot: &mut Snapshot,
        [model, version]: [&str; 2],
        figures: &RequestFigures,
    ) {
        for ((code, caller), durations) in figures.durations() {
            let labels = [model, version, CODES[code], self.callers.name(caller)];
            snapshot.distribution(&metrics::REQUEST_DURATION, &labels, durations);
        }
        for (code, errors) in CODES.iter().zip(&figures.errors) {
            for (reason, count) in errors.read() {
                snapshot.count(&metrics::REQUEST_ERRORS, &[model, version, code, reason], count);
            }
        }
        for (stage, durations) in STAGES.iter().zip(&figures.stages) {
            if durations.total() > 0 {
                let labels = [model, version, stage];
                snapshot.distribution(&metrics::STAGE_DURATION, &labels, durations.read());
            }
        }
        let by_word = [
            (&metrics::DEGRADED, &figures.degraded),
            (&metrics::USER_STATES, &figures.user_states),
        ];
        for (spec, words) in by_word {
            for (word, count) in words.read() {
                snapshot.count(spec, &[model, version, word], count);
            }
        }
        let own = &[model, version];
        if figures.candidates.total() > 0 {
            snapshot.distribution(&metrics::REQUEST_CANDIDATES, own, figures.candidates.read());
            snapshot.count(&metrics::CANDIDATES_SCORED, own, figures.scored.read());
            snapshot.count(&metrics::CANDIDATES_MISSING, own, figures.missing.read());
        }
        if figures.embedding_age.total() > 0 {
            snapshot.distribution(&metrics::EMBEDDING_AGE, own, figures.embedding_age.read());
        }
    }
}

/// The place of an outcome in [`CODES`].
fn code_of(outcome: &Outcome) -> usize {
    match outcome {
        Outcome::Ranked => 0,
        Outcome::Failed { code, .. } => match code {
            ErrorCode::InvalidArgument => 1,
            ErrorCode::NotFound => 2,
            ErrorCode::ResourceExhausted => 3,
            ErrorCode::DeadlineExceeded => 4,
            ErrorCode::Unavailable => 5,
            ErrorCode::FailedPrecondition => 6,
            ErrorCode::Internal => 7,
        },
        Outcome::Left => 8,
    }
}

fn count_stages(figures: &RequestFigures, finished: &Finished, trace: &TraceContext) {
    let Notes { user, features, trip, select, .. } = &finished.notes;
    let steps = [&finished.validate, &user.step, &user.encode, features].map(whole);
    let queued = trip.came.map(|came| match trip.batches {
        0 => finished.ended.saturating_duration_since(came),
        _ => trip.queued,
    });
    let ran = trip.batch.is_some();
    let runs = [trip.assembled, trip.ran, trip.scattered].map(|took| ran.then_some(took));
    let all = steps.into_iter().chain([queued]).chain(runs).chain([whole(select)]);
    for (durations, took) in figures.stages.iter().zip(all) {
        if let Some(took) = took {
            record(durations, took, trace);
        }
    }
}

fn record(durations: &Histogram, took: Duration, trace: &TraceContext) {
    durations.record_traced(took.as_secs_f64(), trace);
}

/// How long a step took that came to its end.
fn whole(step: &Step) -> Option<Duration> {
    step.ended.map(|_| step.took())
}

fn count_answer(figures: &RequestFigures, answer: &Ranking) {
    answer.degraded.iter().for_each(|degraded| figures.degraded.count(reason_of(*degraded)));
    figures.user_states.count(state_of(answer.user_state));
    let stored =
        matches!(answer.user_state, UserState::Cached | UserState::Local | UserState::Stale);
    if stored {
        figures.embedding_age.record_time(answer.user_age);
    }
}

fn reason_of(degraded: Degraded) -> &'static str {
    match degraded {
        Degraded::ItemsMissing => "ITEMS_MISSING",
        Degraded::EncoderUnavailable => "ENCODER_UNAVAILABLE",
        Degraded::PartlyScored => "PARTLY_SCORED",
        Degraded::UserStoreUnavailable => "USER_STORE_UNAVAILABLE",
    }
}

fn state_of(state: UserState) -> &'static str {
    match state {
        UserState::None => "none",
        UserState::Cached => "cached",
        UserState::Local => "local",
        UserState::Stale => "stale",
        UserState::Computed => "computed",
        UserState::Inline => "inline",
        UserState::Default => "default",
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Instant};

    use crate::{ids::CallerName, telemetry::Figure};

    use super::*;

    fn finished(outcome: Outcome, figures: Option<&Arc<RequestFigures>>) -> Finished {
        let arrival = Instant::now();
        let mut notes = Notes::of(TraceContext::root(true));
        notes.figures = figures.cloned();
        (notes.candidates, notes.scored, notes.missing) = (5, 4, 1);
        notes.features =
            Step { begun: Some(arrival), ended: Some(arrival + Duration::from_millis(2)) };
        Finished {
            method: "Rank",
            carried: None,
            arrival,
            ended: arrival + Duration::from_millis(20),
            request_id: String::new(),
            caller: CallerName::parse("shop").unwrap(),
            validate: Step { begun: Some(arrival), ended: None },
            notes,
            outcome,
        }
    }

    fn total(snapshot: &Snapshot, spec: &crate::telemetry::Spec, labels: &[&str]) -> f64 {
        let samples = snapshot.samples(spec).iter().filter(|sample| sample.labels == labels);
        samples
            .map(|sample| match &sample.figure {
                Figure::Number(value) => *value,
                Figure::Distribution(values) => values.counts.iter().sum::<u64>() as f64,
            })
            .sum()
    }

    #[test]
    fn a_request_counts_once_where_its_version_is() {
        let (counting, figures) = (RequestMetrics::new(4), Arc::new(RequestFigures::default()));
        let failed = |code, reason| Outcome::Failed { code, reason };
        let full = failed(ErrorCode::ResourceExhausted, "QUEUE_FULL");
        counting.finished(&finished(Outcome::Ranked, Some(&figures)), None, false);
        counting.finished(&finished(full, Some(&figures)), None, false);
        counting.finished(&finished(Outcome::Left, Some(&figures)), None, false);
        let invalid = failed(ErrorCode::InvalidArgument, "INVALID_FIELD");
        counting.finished(&finished(invalid, None), None, false);
        let mut snapshot = Snapshot::default();
        counting.tell(&mut snapshot);
        counting.tell_version(&mut snapshot, ["m", "1"], &figures);
        let got = |spec, labels: &[&str]| total(&snapshot, spec, labels);
        for code in ["OK", "RESOURCE_EXHAUSTED", "CANCELLED"] {
            assert_eq!(got(&metrics::REQUEST_DURATION, &["m", "1", code, "shop"]), 1.0, "{code}");
        }
        let refused = ["m", "1", "RESOURCE_EXHAUSTED", "QUEUE_FULL"];
        assert_eq!(got(&metrics::REQUEST_ERRORS, &refused), 1.0);
        let unchosen = ["", "", "INVALID_ARGUMENT", "shop"];
        assert_eq!(got(&metrics::REQUEST_DURATION, &unchosen), 1.0);
        assert_eq!(got(&metrics::STAGE_DURATION, &["m", "1", "features"]), 3.0);
        assert_eq!(got(&metrics::STAGE_DURATION, &["m", "1", "validate"]), 0.0, "it was cut off");
        assert_eq!(got(&metrics::CANDIDATES_SCORED, &["m", "1"]), 12.0);
        assert_eq!(got(&metrics::CANDIDATES_MISSING, &["m", "1"]), 3.0);
    }

    #[test]
    fn a_sampled_request_is_an_example() {
        let (counting, figures) = (RequestMetrics::new(4), Arc::new(RequestFigures::default()));
        let request = finished(Outcome::Ranked, Some(&figures));
        counting.finished(&request, None, false);
        let (_, durations) = figures.durations().next().unwrap();
        let examples: Vec<u128> =
            durations.exemplars.iter().flatten().map(|e| e.trace_id).collect();
        assert_eq!(examples, [request.notes.trace.trace_id]);
    }

    #[test]
    fn every_code_has_its_place() {
        let all = [
            ErrorCode::InvalidArgument,
            ErrorCode::NotFound,
            ErrorCode::ResourceExhausted,
            ErrorCode::DeadlineExceeded,
            ErrorCode::Unavailable,
            ErrorCode::FailedPrecondition,
            ErrorCode::Internal,
        ];
        for code in all {
            let place = code_of(&Outcome::Failed { code, reason: "" });
            let name: String = CODES[place].split('_').map(str::to_lowercase).collect();
            assert_eq!(name, format!("{code:?}").to_lowercase());
        }
        assert_eq!((CODES[code_of(&Outcome::Left)], CODES[0]), ("CANCELLED", "OK"));
    }
}
