//! The causes of a request's time that lie in the batcher: its wait, its runs, and the way back from them.

use std::time::{Duration, Instant};

use crate::{
    batching::{BatchNote, Closed, Trip},
    observing::cause::{Cause, Why, candidates, ms},
    ranking::Notes,
    telemetry::TraceContext,
};

/// A run is slow from so many times what was expected of it on.
const SLOW: f64 = 2.0;

/// Neighbours are long from so many times a request's own length on.
const LONG: usize = 2;

/// What the wait for the first batch was for: its turn on the device, or the batches before it.
pub(super) fn waits(trip: &Trip, ended: Instant) -> Vec<Cause> {
    let Some(came) = trip.came else { return Vec::new() };
    let Some(first) = trip.notes.first() else {
        let queued = ended.saturating_duration_since(came);
        let text = format!("it waited {} in the model's queue, and no batch took it", ms(queued));
        return vec![(queued, Why::new("QUEUE", text))];
    };
    let device = first.waited.min(trip.queued);
    let queued = trip.queued.saturating_sub(device);
    let text = format!("its batch waited {} until other models left the device free", ms(device));
    let device = (device, Why::new("DEVICE_BUSY", text));
    let company = match first.facts.closed {
        Closed::Delay | Closed::NoCompany => ", the last of it for company",
        _ => "",
    };
    let ahead = match trip.ahead {
        0 => String::new(),
        1 => ", in which one batch ran".to_owned(),
        many => format!(", in which {many} batches ran"),
    };
    let text = format!("it waited {} in the model's queue{ahead}{company}", ms(queued));
    vec![device, (queued, Why::new("QUEUE", text))]
}

/// What passed between the end of its last run and the sorting of its answer.
pub(super) fn waking(notes: &Notes, ended: Instant) -> Option<Cause> {
    let over = notes.trip.notes.iter().filter_map(|note| Some(note.end()?.0)).max()?;
    let until = notes.select.begun.unwrap_or(ended);
    let took = until.saturating_duration_since(over);
    let text = format!(
        "it took {} until its answer was sorted after its run: the processors were busy with other work",
        ms(took)
    );
    Some((took, Why::new("SCHEDULING", text)))
}

/// Why its runs took long, where they did for a reason of their own.
pub(super) fn runs(notes: &Notes) -> Vec<Cause> {
    let trip = &notes.trip;
    let mut all: Vec<Cause> = trip.notes.iter().filter_map(|note| slow_run(note)).collect();
    let neighbours = trip.notes.iter().filter_map(|note| long_neighbour(note, &notes.trace));
    all.extend(neighbours);
    if trip.batches > 1 {
        let took = all_runs(trip);
        let text = format!(
            "its {} were cut over {} batches, which took {}",
            candidates(notes),
            trip.batches,
            ms(took)
        );
        // What one batch would have taken anyway has other causes.
        let longest = trip.notes.iter().map(|note| note.ran()).max().unwrap_or_default();
        all.push((took.saturating_sub(longest), Why::new("LARGE", text)));
    }
    all
}

/// A run that took far longer than expected weighs what it took beyond that.
fn slow_run(note: &BatchNote) -> Option<Cause> {
    let (ran, expected) = (note.ran(), note.expected);
    let is_slow = ran.as_secs_f64() > expected.as_secs_f64() * SLOW;
    let known = !expected.is_zero();
    let beyond = ran.saturating_sub(expected);
    let cold = || {
        format!(
            "instance {} of {} ran its first batch of length {}: {}, {} was expected",
            note.instance,
            note.model,
            note.length,
            ms(ran),
            ms(expected)
        )
    };
    let slow = || {
        let times = ran.as_secs_f64() / expected.as_secs_f64();
        format!(
            "a run of {} took {}, {times:.1} times the {} that were expected",
            note.model,
            ms(ran),
            ms(expected)
        )
    };
    match (note.is_cold, is_slow) {
        (true, true) => Some((beyond, Why::new("COLD_BUCKET", cold()))),
        (false, true) if known => Some((beyond, Why::new("SLOW_RUN", slow()))),
        _ => None,
    }
}

/// A batch that was padded far beyond the request's own length weighs what the padding cost.
fn long_neighbour(note: &BatchNote, trace: &TraceContext) -> Option<Cause> {
    let own = note.members.iter().find(|member| {
        member.trace.span_id == trace.span_id && member.trace.trace_id == trace.trace_id
    })?;
    if note.length < own.length.max(1) * LONG {
        return None;
    }
    let share = 1.0 - own.length as f64 / note.length as f64;
    let text = format!(
        "its rows of length {} shared a batch that was padded to {} and ran {}",
        own.length,
        note.length,
        ms(note.ran())
    );
    Some((note.ran().mul_f64(share), Why::new("LONG_NEIGHBOUR", text)))
}

/// From the start of the first run to the end of the last one.
pub(super) fn all_runs(trip: &Trip) -> Duration {
    let begun = trip.notes.iter().map(|note| note.begun).min();
    let ended = trip.notes.iter().map(|note| note.begun + note.ran()).max();
    match (begun, ended) {
        (Some(begun), Some(ended)) => ended.saturating_duration_since(begun),
        _ => Duration::ZERO,
    }
}
