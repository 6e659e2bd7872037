//! What a line says of a request beside what was asked: whose it was, what came of it, where the time went.

use std::time::{Duration, SystemTime};

use humantime_serde::re::humantime::format_rfc3339_micros;

use crate::{
    observing::{
        finished::{Finished, Outcome},
        request_log::entry::{Entry, LoggedAnswer, LoggedError, LoggedTimings, SCHEMA},
    },
    ranking::{Notes, Ranking},
};

/// A line about a request that has ended, without what was asked.
pub(super) fn entry_of(finished: &Finished, answer: Option<&Ranking>) -> Entry {
    let trace = finished.notes.trace;
    let error = match &finished.outcome {
        Outcome::Failed { code, reason } => {
            Some(LoggedError { code: code.name().to_owned(), reason: (*reason).to_owned() })
        }
        _ => None,
    };
    Entry {
        podium_request_log: SCHEMA,
        time: format_rfc3339_micros(SystemTime::now() - finished.arrival.elapsed()).to_string(),
        trace_id: format!("{:032x}", trace.trace_id),
        span_id: format!("{:016x}", trace.span_id),
        method: finished.method.to_owned(),
        request_id: finished.request_id.clone(),
        caller: finished.caller.as_str().to_owned(),
        outcome: match finished.outcome {
            Outcome::Ranked => "RANKED",
            Outcome::Failed { .. } => "FAILED",
            Outcome::Left => "LEFT",
        }
        .to_owned(),
        error,
        answer: answer.map(answer_of),
        timings_us: timings_of(finished),
        ..Entry::default()
    }
}

fn answer_of(ranking: &Ranking) -> LoggedAnswer {
    LoggedAnswer {
        model: ranking.model.name.to_string(),
        version: ranking.model.version.0,
        encoder_version: ranking.encoder_version,
        user_state: ranking.user_state.name().to_owned(),
        user_state_age_ms: ranking.user_age.as_millis() as u64,
        degraded: ranking.degraded.iter().map(|reason| reason.name().to_owned()).collect(),
        missing: ranking.missing.clone(),
        order: ranking.items.iter().map(|item| item.index).collect(),
        scores: ranking.items.iter().map(|item| item.score).collect(),
    }
}

fn timings_of(finished: &Finished) -> LoggedTimings {
    let us = |time: Duration| time.as_micros() as u64;
    let Notes { user, features, trip, select, .. } = &finished.notes;
    LoggedTimings {
        total: us(finished.ended.saturating_duration_since(finished.arrival)),
        validate: us(finished.validate.took()),
        user: us(user.step.took()),
        features: us(features.took()),
        queue: us(trip.queued),
        assemble: us(trip.assembled),
        run: us(trip.ran),
        scatter: us(trip.scattered),
        select: us(select.took()),
    }
}
