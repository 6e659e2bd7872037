//! What is counted of a version's batches, for those who tell of it.

use crate::{
    batching::{
        close::Closed,
        error::BatchError,
        note::{BatchEnd, BatchNote},
    },
    telemetry::{COUNTS, Count, Histogram, SHARES, STAGE_SECONDS, TIMES_FORESEEN, Words},
};

/// Counts of a version's batches since it was loaded; they go with its queue.
#[derive(Debug)]
pub struct BatchMetrics {
    /// Runs, in seconds.
    pub run: Histogram,
    /// Waits for a turn on the device, in seconds.
    pub turn_wait: Histogram,
    /// Joining tensors, in seconds.
    pub assembly: Histogram,
    /// Rows of a batch.
    pub rows: Histogram,
    /// Requests of a batch.
    pub requests: Histogram,
    /// Rows over those that the device gains from.
    pub fill: Histogram,
    /// The share that was padding.
    pub padding: Histogram,
    /// Runs over what they were expected to take.
    pub foreseen: Histogram,
    /// Batches by why they were closed.
    pub closed: Words,
    /// Batches by how they ended.
    pub ended: Words,
    /// Batches of a shape that their instance had never run before.
    pub cold: Count,
    /// Work that did not end with outputs, by reason.
    pub errors: Words,
}

impl Default for BatchMetrics {
    fn default() -> Self {
        Self {
            run: Histogram::new(&STAGE_SECONDS),
            turn_wait: Histogram::new(&STAGE_SECONDS),
            assembly: Histogram::new(&STAGE_SECONDS),
            rows: Histogram::new(&COUNTS),
            requests: Histogram::new(&COUNTS),
            fill: Histogram::new(&SHARES),
            padding: Histogram::new(&SHARES),
            foreseen: Histogram::new(&TIMES_FORESEEN),
            closed: Words::default(),
            ended: Words::default(),
            cold: Count::default(),
            errors: Words::default(),
        }
    }
}

impl BatchMetrics {
    /// Takes in a batch that is over; one that did not run counts by its end alone.
    pub(super) fn over(&self, note: &BatchNote) {
        self.closed.count(word(note.facts.closed));
        self.ended.count(match note.end() {
            Some((_, BatchEnd::Failed(kind))) => kind,
            Some((_, BatchEnd::Abandoned)) => "abandoned",
            _ => "ran",
        });
        if !matches!(note.end(), Some((_, BatchEnd::Ran))) {
            return;
        }
        let ran = note.ran().as_secs_f64();
        self.run.record_traced(ran, &note.trace);
        self.turn_wait.record_time(note.waited);
        self.assembly.record_time(note.assembled);
        self.rows.record(note.facts.units as f64);
        self.requests.record(note.facts.jobs as f64);
        self.fill.record(note.facts.fill.into());
        self.padding.record(note.facts.padding.into());
        if !note.expected.is_zero() {
            self.foreseen.record(ran / note.expected.as_secs_f64());
        }
        self.cold.add(note.is_cold.into());
    }

    /// Takes in work that did not end with outputs.
    pub(super) fn failed(&self, error: &BatchError) {
        self.errors.count(error.kind());
    }
}

/// Why a batch was closed, in a word.
fn word(closed: Closed) -> &'static str {
    match closed {
        Closed::Full => "full",
        Closed::Share => "share",
        Closed::Slack => "slack",
        Closed::NoCompany => "no_company",
        Closed::Delay => "delay",
    }
}

/// What waits and runs at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backlog {
    /// Requests that wait.
    pub requests: usize,
    /// Their rows that wait.
    pub rows: usize,
    /// Instances that have a batch.
    pub busy: usize,
}
