//! What is counted while requests are sent.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use hdrhistogram::Histogram;

use crate::{cli::bench::codec::Answer, transport::pb};

/// Longest latency that is told apart, in microseconds.
const LONGEST_US: u64 = 600_000_000;

/// What came of one request.
pub(super) type Outcome = Result<Answer, String>;

/// Counts what falls into the measured window.
#[derive(Debug)]
pub(super) struct Recorder {
    /// The window; what belongs to a moment outside of it is not counted.
    pub(super) window: (Instant, Instant),
    /// The latency after which an answer is of no use.
    pub(super) deadline: Duration,
    /// Items that a whole answer has.
    pub(super) items: usize,
    /// What was counted.
    pub(super) counts: Counts,
}

/// What was counted in one window.
#[derive(Debug, Clone)]
pub(super) struct Counts {
    /// Latencies of whole answers in microseconds.
    pub(super) latency_us: Histogram<u64>,
    /// Whole answers within the deadline.
    pub(super) good: u64,
    /// Failures by code.
    pub(super) errors: BTreeMap<String, u64>,
    /// Requests that could not be sent at all, as too many were on their way.
    pub(super) missed: u64,
    /// Requests sent more than a millisecond after their time; their latency counts from their time.
    pub(super) late: u64,
    /// Answers whose user embedding was computed first.
    pub(super) computed: u64,
    stages: [u64; STAGES.len()],
}

/// The stages of the server's own timings.
pub(super) const STAGES: [&str; 7] =
    ["validate", "user", "features", "queue", "run", "select", "total"];

fn stages_of(timings: &pb::Timings) -> [u32; STAGES.len()] {
    let t = timings;
    [t.validate_us, t.user_us, t.features_us, t.queue_us, t.run_us, t.select_us, t.total_us]
}

impl Recorder {
    /// Makes an empty recorder.
    pub(super) fn new(
        window: (Instant, Instant),
        deadline: Duration,
        items: usize,
    ) -> Result<Self, String> {
        Ok(Self { window, deadline, items, counts: Counts::new()? })
    }

    /// Whether a moment lies in the window.
    pub(super) fn covers(&self, moment: Instant) -> bool {
        (self.window.0..self.window.1).contains(&moment)
    }

    /// Counts one request that belongs to `moment`.
    pub(super) fn record(&mut self, moment: Instant, latency: Duration, outcome: &Outcome) {
        if !self.covers(moment) {
            return;
        }
        let counts = &mut self.counts;
        match outcome {
            Ok(answer) if answer.items.len() == self.items => {
                let us = u64::try_from(latency.as_micros()).unwrap_or(LONGEST_US);
                counts.latency_us.saturating_record(us.max(1));
                counts.good += u64::from(latency <= self.deadline);
                counts.computed += u64::from(answer.user_state() == pb::UserState::Computed);
                let stages = answer.timings.as_ref().map(stages_of).unwrap_or_default();
                counts.stages.iter_mut().zip(stages).for_each(|(sum, us)| *sum += u64::from(us));
            }
            Ok(answer) => {
                let kind = if answer.items.is_empty() { "EMPTY_ANSWER" } else { "SHORT_ANSWER" };
                *counts.errors.entry(kind.to_owned()).or_default() += 1;
            }
            Err(code) => *counts.errors.entry(code.clone()).or_default() += 1,
        }
    }

    /// Counts a request that could not be sent.
    pub(super) fn miss(&mut self, moment: Instant) {
        self.counts.missed += u64::from(self.covers(moment));
    }

    /// Counts a request that is sent after its time.
    pub(super) fn late(&mut self, moment: Instant) {
        self.counts.late += u64::from(self.covers(moment));
    }
}

impl Counts {
    fn new() -> Result<Self, String> {
        Ok(Self {
            latency_us: Histogram::new_with_max(LONGEST_US, 3).map_err(|e| e.to_string())?,
            good: 0,
            errors: BTreeMap::new(),
            missed: 0,
            late: 0,
            computed: 0,
            stages: [0; STAGES.len()],
        })
    }

    /// Mean microseconds of each stage that the server tells of.
    pub(super) fn stage_means(&self) -> BTreeMap<String, f64> {
        let answers = self.latency_us.len().max(1) as f64;
        let mean = |(name, sum): (&&str, &u64)| ((*name).to_owned(), *sum as f64 / answers);
        STAGES.iter().zip(&self.stages).map(mean).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_answers_within_the_window_count_as_answers() {
        let begun = Instant::now();
        let ms = Duration::from_millis;
        let mut recorder = Recorder::new((begun, begun + ms(100)), ms(10), 1).unwrap();
        let whole = || Ok(Answer { items: vec![bytes::Bytes::new()], ..Default::default() });
        recorder.record(begun + ms(1), ms(5), &whole());
        recorder.record(begun + ms(2), ms(50), &whole());
        recorder.record(begun + ms(100), ms(5), &whole());
        recorder.record(begun + ms(3), ms(5), &Ok(Answer::default()));
        recorder.record(begun + ms(3), ms(5), &Err("UNAVAILABLE".to_owned()));
        recorder.miss(begun + ms(4));
        let counts = recorder.counts;
        assert_eq!((counts.latency_us.len(), counts.good, counts.missed), (2, 1, 1));
        assert_eq!(counts.errors.values().sum::<u64>(), 2);
        assert!(counts.latency_us.value_at_quantile(1.0) >= 50_000);
    }
}
