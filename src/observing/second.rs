//! What is counted of requests within one second, or within some of them together.

use std::{collections::BTreeMap, time::Duration};

use hdrhistogram::Histogram;

use crate::{
    batching::{BatchNote, Closed},
    error_code::ErrorCode,
    observing::{
        figures::{BatchFigures, Figures, Latency, SecondFigures},
        finished::{Finished, Outcome},
    },
    ranking::{Degraded, UserState},
};

/// Digits that times keep: they are off by less than a hundredth.
const DIGITS: u8 = 2;

/// Longer times count as this long: an hour, in microseconds.
const LONGEST_US: u64 = 3_600_000_000;

/// Counts by name; there are few names, all of them known to the code.
type Named = Vec<(&'static str, u64)>;

/// What is counted of requests.
#[derive(Debug, Clone)]
pub(super) struct Counted {
    requests: u64,
    ranked: u64,
    refused: u64,
    left: u64,
    failures: Named,
    degraded: Named,
    states: Named,
    lookups: u64,
    hits: u64,
    candidates: u64,
    /// Microseconds; none where the histogram could not be made.
    times: Option<Histogram<u32>>,
    batches: Batches,
}

#[derive(Debug, Clone, Default)]
struct Batches {
    count: u64,
    rows: u64,
    requests: u64,
    fill: f64,
    padding: f64,
    ran: Duration,
    closed: Named,
}

impl Default for Counted {
    fn default() -> Self {
        Self {
            requests: 0,
            ranked: 0,
            refused: 0,
            left: 0,
            failures: Named::new(),
            degraded: Named::new(),
            states: Named::new(),
            lookups: 0,
            hits: 0,
            candidates: 0,
            times: Histogram::new(DIGITS).ok(),
            batches: Batches::default(),
        }
    }
}

impl Counted {
    /// Begins again, in the memory that there is.
    pub(super) fn clear(&mut self) {
        let mut times = self.times.take();
        if let Some(times) = &mut times {
            times.reset();
        }
        *self = Self { times: None, ..Self::default() };
        self.times = times;
    }

    /// Takes in a request that ended.
    pub(super) fn request(&mut self, finished: &Finished) {
        self.requests += 1;
        let notes = &finished.notes;
        self.candidates += notes.candidates as u64;
        match &finished.outcome {
            Outcome::Ranked => {
                self.ranked += 1;
                let took = finished.ended.saturating_duration_since(finished.arrival);
                let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX).min(LONGEST_US);
                if let Some(times) = &mut self.times {
                    // It grows to hold the longest there can be.
                    let _ = times.record(us);
                }
                for reason in &notes.degraded {
                    add(&mut self.degraded, degraded_name(*reason), 1);
                }
            }
            Outcome::Failed { code, reason } => {
                add(&mut self.failures, reason, 1);
                self.refused += u64::from(*code == ErrorCode::ResourceExhausted);
            }
            Outcome::Left => self.left += 1,
        }
        if let Some(state) = notes.user.state.filter(|state| *state != UserState::None) {
            add(&mut self.states, state_name(state), 1);
        }
        if notes.user.read.begun.is_some() {
            self.lookups += 1;
            let hit = matches!(notes.user.state, Some(UserState::Cached | UserState::Local));
            self.hits += u64::from(hit);
        }
    }

    /// Takes in a batch that ran.
    pub(super) fn batch(&mut self, note: &BatchNote) {
        self.batches.add(&Batches::of(note));
    }

    /// Takes in what was counted elsewhere.
    pub(super) fn add(&mut self, other: &Self) {
        self.requests += other.requests;
        self.ranked += other.ranked;
        self.refused += other.refused;
        self.left += other.left;
        self.lookups += other.lookups;
        self.hits += other.hits;
        self.candidates += other.candidates;
        add_all(&mut self.failures, &other.failures);
        add_all(&mut self.degraded, &other.degraded);
        add_all(&mut self.states, &other.states);
        if let (Some(times), Some(others)) = (&mut self.times, &other.times) {
            // It grows to hold what the other one holds.
            let _ = times.add(others);
        }
        self.batches.add(&other.batches);
    }

    /// The figures of so many seconds in which that was counted.
    pub(super) fn figures(&self, seconds: f64) -> Figures {
        let share = |part: u64, of: u64| (of > 0).then(|| part as f64 / of as f64);
        Figures {
            seconds,
            requests: self.requests,
            requests_per_second: if seconds > 0.0 { self.requests as f64 / seconds } else { 0.0 },
            ranked: self.ranked,
            failed: self.failed(),
            refused: self.refused,
            left: self.left,
            failures: texts(&self.failures),
            degraded: texts(&self.degraded),
            user_states: texts(&self.states),
            user_lookups: self.lookups,
            user_hit_share: share(self.hits, self.lookups),
            candidates: self.candidates,
            latency: self.times.as_ref().and_then(latency),
            batches: self.batches.figures(),
        }
    }

    /// The same of one second.
    pub(super) fn second(&self) -> SecondFigures {
        let batches = self.batches.figures();
        SecondFigures {
            requests: self.requests,
            failed: self.failed(),
            p95_ms: self.times.as_ref().and_then(latency).map(|latency| latency.p95_ms),
            batches: batches.batches,
            rows_per_batch: batches.rows_per_batch,
        }
    }

    fn failed(&self) -> u64 {
        self.failures.iter().map(|(_, count)| count).sum()
    }
}

impl Batches {
    fn of(note: &BatchNote) -> Self {
        Self {
            count: 1,
            rows: note.facts.units as u64,
            requests: note.facts.jobs as u64,
            fill: f64::from(note.facts.fill),
            padding: f64::from(note.facts.padding),
            ran: note.ran(),
            closed: vec![(closed_name(note.facts.closed), 1)],
        }
    }

    fn add(&mut self, more: &Self) {
        self.count += more.count;
        self.rows += more.rows;
        self.requests += more.requests;
        self.fill += more.fill;
        self.padding += more.padding;
        self.ran += more.ran;
        add_all(&mut self.closed, &more.closed);
    }

    fn figures(&self) -> BatchFigures {
        let mean = |sum: f64| (self.count > 0).then(|| sum / self.count as f64);
        BatchFigures {
            batches: self.count,
            rows: self.rows,
            rows_per_batch: mean(self.rows as f64),
            requests_per_batch: mean(self.requests as f64),
            fill: mean(self.fill),
            padding_share: mean(self.padding),
            run_ms: mean(self.ran.as_secs_f64() * 1e3),
            closed: texts(&self.closed),
        }
    }
}

fn latency(times: &Histogram<u32>) -> Option<Latency> {
    let at = |quantile| times.value_at_quantile(quantile) as f64 / 1e3;
    let max_ms = times.max() as f64 / 1e3;
    (!times.is_empty()).then(|| Latency {
        p50_ms: at(0.5).min(max_ms),
        p95_ms: at(0.95).min(max_ms),
        p99_ms: at(0.99).min(max_ms),
        max_ms,
    })
}

fn add(all: &mut Named, name: &'static str, more: u64) {
    match all.iter_mut().find(|(known, _)| *known == name) {
        Some((_, count)) => *count += more,
        None => all.push((name, more)),
    }
}

fn add_all(all: &mut Named, others: &Named) {
    others.iter().for_each(|(name, more)| add(all, name, *more));
}

fn texts(named: &Named) -> BTreeMap<String, u64> {
    named.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect()
}

fn degraded_name(reason: Degraded) -> &'static str {
    match reason {
        Degraded::ItemsMissing => "ITEMS_MISSING",
        Degraded::EncoderUnavailable => "ENCODER_UNAVAILABLE",
        Degraded::PartlyScored => "PARTLY_SCORED",
        Degraded::UserStoreUnavailable => "USER_STORE_UNAVAILABLE",
    }
}

fn state_name(state: UserState) -> &'static str {
    match state {
        UserState::None => "NONE",
        UserState::Cached => "CACHED",
        UserState::Local => "LOCAL",
        UserState::Stale => "STALE",
        UserState::Computed => "COMPUTED",
        UserState::Inline => "INLINE",
        UserState::Default => "DEFAULT",
    }
}

fn closed_name(closed: Closed) -> &'static str {
    match closed {
        Closed::Full => "FULL",
        Closed::Share => "SHARE",
        Closed::Slack => "SLACK",
        Closed::NoCompany => "NO_COMPANY",
        Closed::Delay => "DELAY",
    }
}
