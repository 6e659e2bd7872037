//! The slowest requests of the last minutes, each with the reason.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use crate::{
    observing::{
        figures::{SlowRequest, StageTimes},
        finished::{Finished, Outcome},
        why::why,
    },
    telemetry::LiveOptions,
};

/// Most characters of a caller's text that are shown.
const MOST_CHARACTERS: usize = 128;

#[derive(Debug)]
struct Kept {
    ended: Instant,
    total: Duration,
    told: SlowRequest,
}

/// The slowest requests of the last minutes.
#[derive(Debug)]
pub(super) struct Slowest {
    most: usize,
    span: Duration,
    begun: Instant,
    /// A request that took no longer, in nanoseconds, is not among them.
    bar: AtomicU64,
    /// When the next of them is too old, in nanoseconds since `begun`.
    until: AtomicU64,
    kept: Mutex<Vec<Kept>>,
}

impl Slowest {
    pub(super) fn new(options: &LiveOptions) -> Self {
        Self {
            most: options.slowest,
            span: options.slowest_for,
            begun: Instant::now(),
            bar: AtomicU64::new(0),
            until: AtomicU64::new(u64::MAX),
            kept: Mutex::default(),
        }
    }

    /// Takes a request in, if it is one of the slowest; of the others it costs two reads.
    pub(super) fn offer(&self, finished: &Finished) {
        let total = finished.ended.saturating_duration_since(finished.arrival);
        let is_slow = nanos(total) > self.bar.load(Ordering::Relaxed);
        let some_are_old = self.since_begun(finished.ended) > self.until.load(Ordering::Relaxed);
        if self.most == 0 || !(is_slow || some_are_old) {
            return;
        }
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        self.drop_old(&mut kept, finished.ended);
        let quickest = kept.iter().enumerate().min_by_key(|(_, one)| one.total);
        let quickest = quickest.map(|(place, one)| (place, one.total));
        match quickest {
            Some((place, least)) if kept.len() >= self.most => {
                if total <= least {
                    return;
                }
                kept.swap_remove(place);
            }
            _ => {}
        }
        kept.push(Kept { ended: finished.ended, total, told: told(finished, total) });
        self.note_bounds(&kept);
    }

    /// All of them, slowest first.
    pub(super) fn all(&self, now: Instant) -> Vec<SlowRequest> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        self.drop_old(&mut kept, now);
        kept.sort_by_key(|one| std::cmp::Reverse(one.total));
        kept.iter().map(|one| one.told.clone()).collect()
    }

    fn drop_old(&self, kept: &mut Vec<Kept>, now: Instant) {
        kept.retain(|one| now.saturating_duration_since(one.ended) <= self.span);
        self.note_bounds(kept);
    }

    fn note_bounds(&self, kept: &[Kept]) {
        let is_full = kept.len() >= self.most;
        let bar = kept.iter().map(|one| nanos(one.total)).min().filter(|_| is_full);
        self.bar.store(bar.unwrap_or(0), Ordering::Relaxed);
        let oldest = kept.iter().map(|one| one.ended).min();
        let until = oldest.map_or(u64::MAX, |oldest| self.since_begun(oldest + self.span));
        self.until.store(until, Ordering::Relaxed);
    }

    fn since_begun(&self, at: Instant) -> u64 {
        nanos(at.saturating_duration_since(self.begun))
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

fn told(finished: &Finished, total: Duration) -> SlowRequest {
    let (notes, trip) = (&finished.notes, &finished.notes.trip);
    let why = why(finished);
    let received = finished.validate.begun.unwrap_or(finished.ended);
    SlowRequest {
        at_ms: SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX)),
        method: finished.method.to_owned(),
        model: notes.model.as_ref().map(|id| id.name.to_string()).unwrap_or_default(),
        version: notes.model.as_ref().map_or(0, |id| id.version.0),
        caller: finished.caller.as_str().to_owned(),
        request_id: shortened(&finished.request_id),
        trace_id: format!("{:032x}", notes.trace.trace_id),
        sampled: notes.trace.is_sampled,
        outcome: match &finished.outcome {
            Outcome::Ranked => "RANKED".to_owned(),
            Outcome::Failed { reason, .. } => (*reason).to_owned(),
            Outcome::Left => "LEFT".to_owned(),
        },
        total_ms: ms(total),
        reason: why.reason.to_owned(),
        text: why.text,
        candidates: notes.candidates as u64,
        batches: trip.batches as u64,
        stages: StageTimes {
            receive_ms: ms(received.saturating_duration_since(finished.arrival)),
            validate_ms: ms(finished.validate.took()),
            user_ms: ms(notes.user.step.took()),
            features_ms: ms(notes.features.took()),
            queue_ms: ms(trip.queued),
            assemble_ms: ms(trip.assembled),
            run_ms: ms(trip.ran),
            scatter_ms: ms(trip.scattered),
            select_ms: ms(notes.select.took()),
        },
    }
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(MOST_CHARACTERS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// Milliseconds, to the microsecond.
fn ms(time: Duration) -> f64 {
    time.as_micros() as f64 / 1e3
}

#[cfg(test)]
mod tests {
    use crate::{
        ids::CallerName,
        ranking::{Notes, Step},
    };

    use super::*;

    fn finished(arrival: Instant, ms: u64) -> Finished {
        Finished {
            method: "m",
            carried: None,
            arrival,
            ended: arrival + Duration::from_millis(ms),
            request_id: "r".repeat(MOST_CHARACTERS + 1),
            caller: CallerName::default(),
            validate: Step::default(),
            notes: Notes::default(),
            outcome: Outcome::Ranked,
        }
    }

    /// Requests come at so many seconds and take so many ms; at `now` seconds these are the slowest two of ten seconds.
    #[track_caller]
    fn check(came: &[(u64, u64)], now: u64, want: &[f64]) {
        let options = LiveOptions { slowest: 2, slowest_for: Duration::from_secs(10) };
        let slowest = Slowest::new(&options);
        let at = |second| slowest.begun + Duration::from_secs(second);
        came.iter().for_each(|(second, ms)| slowest.offer(&finished(at(*second), *ms)));
        let got: Vec<f64> = slowest.all(at(now)).iter().map(|one| one.total_ms).collect();
        assert_eq!(got, want, "{came:?}");
    }

    #[test]
    fn the_slowest_are_kept_while_they_are_recent() {
        check(&[], 0, &[]);
        check(&[(0, 5), (1, 7), (2, 6)], 3, &[7.0, 6.0]);
        check(&[(0, 7), (1, 6), (2, 5)], 3, &[7.0, 6.0]);
        check(&[(0, 7), (1, 6), (2, 5)], 12, &[]);
        check(&[(0, 70), (8, 60), (11, 5)], 12, &[60.0, 5.0]);
        check(&[(0, 70), (1, 60), (30, 5), (31, 4), (32, 6)], 33, &[6.0, 5.0]);
    }

    #[test]
    fn none_are_kept_where_none_are_asked_for() {
        let options = LiveOptions { slowest: 0, slowest_for: Duration::from_secs(10) };
        let slowest = Slowest::new(&options);
        slowest.offer(&finished(slowest.begun, 7));
        assert!(slowest.all(slowest.begun).is_empty());
    }

    #[test]
    fn a_long_request_id_is_cut() {
        let slowest = Slowest::new(&LiveOptions::default());
        slowest.offer(&finished(slowest.begun, 7));
        let told = &slowest.all(slowest.begun)[0];
        assert_eq!(told.request_id.chars().count(), MOST_CHARACTERS + 1);
        assert!(told.request_id.ends_with('…'));
    }
}
