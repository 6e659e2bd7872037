//! What is counted while requests are sent.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use hdrhistogram::Histogram;

use crate::{
    cli::bench::{
        batches::BatchSums,
        codec::Answer,
        event::{Event, Outcome},
        gauge::Gauge,
    },
    transport::pb,
};

/// Longest latency that is told apart, in microseconds.
const LONGEST_US: u64 = 600_000_000;

/// Begins the names of failures that turn a request away because the server has too much to do.
const REFUSED: &str = "RESOURCE_EXHAUSTED";

/// Counts what falls into the measured window.
#[derive(Debug)]
pub(super) struct Recorder {
    /// The window; what belongs to a moment outside of it is not counted.
    pub(super) window: (Instant, Instant),
    /// The latency after which an answer is of no use; none: the request's deadline.
    objective: Option<Duration>,
    /// Items that a whole answer has; none where any is one.
    items: Option<usize>,
    /// What a scenario measures.
    pub(super) gauge: Option<Box<dyn Gauge>>,
    /// What was counted.
    pub(super) counts: Counts,
}

/// What was counted in one window.
#[derive(Debug, Clone)]
pub(super) struct Counts {
    /// Latencies of whole answers in microseconds, from the time when they were due.
    pub(super) latency_us: Histogram<u64>,
    /// Whole answers within the objective.
    pub(super) good: u64,
    /// Failures by name: microseconds from the sending on.
    pub(super) failures: BTreeMap<String, Histogram<u64>>,
    /// Requests whose caller left.
    pub(super) left: u64,
    /// Requests that could not be sent at all, as too many were on their way.
    pub(super) missed: u64,
    /// Requests sent more than a millisecond after their time; their latency counts from their time.
    pub(super) late: u64,
    /// Answers whose user embedding was computed first.
    pub(super) computed: u64,
    /// What answers tell of their batches.
    pub(super) batches: BatchSums,
    stages: [u64; STAGES.len()],
}

/// The stages of the server's own timings.
pub(super) const STAGES: [&str; 9] =
    ["validate", "user", "features", "queue", "assemble", "run", "scatter", "select", "total"];

fn stages_of(t: &pb::Timings) -> [u32; STAGES.len()] {
    let [before, run, after] = [
        [t.validate_us, t.user_us, t.features_us],
        [t.queue_us, t.assemble_us, t.run_us],
        [t.scatter_us, t.select_us, t.total_us],
    ];
    std::array::from_fn(|at| [before, run, after][at / 3][at % 3])
}

impl Recorder {
    /// Makes an empty recorder for answers of so many items.
    pub(super) fn new(
        window: (Instant, Instant),
        objective: Option<Duration>,
        items: Option<usize>,
        gauge: Option<Box<dyn Gauge>>,
    ) -> Result<Self, String> {
        Ok(Self { window, objective, items, gauge, counts: Counts::new()? })
    }

    /// Whether a moment lies in the window.
    fn covers(&self, moment: Instant) -> bool {
        (self.window.0..self.window.1).contains(&moment)
    }

    /// Counts one request that is over.
    pub(super) fn record(&mut self, event: &Event) {
        if let Some(gauge) = &mut self.gauge {
            gauge.see(event);
        }
        if !self.covers(event.at) {
            return;
        }
        match &event.outcome {
            Outcome::Answered(answer) if answer.is_whole(self.items) => {
                self.answered(event, answer)
            }
            Outcome::Answered(answer) => {
                let kind = if answer.items == 0 { "EMPTY_ANSWER" } else { "SHORT_ANSWER" };
                self.counts.fail(kind, event);
            }
            Outcome::Failed(name) => self.counts.fail(name, event),
            Outcome::Left => self.counts.left += 1,
        }
    }

    fn answered(&mut self, event: &Event, answer: &Answer) {
        let counts = &mut self.counts;
        let latency = event.latency();
        counts.latency_us.saturating_record(micros(latency));
        counts.good += u64::from(latency <= self.objective.unwrap_or(event.deadline));
        counts.computed += u64::from(answer.computed);
        if let Some(timings) = &answer.timings {
            counts.batches.add(timings);
            let stages = counts.stages.iter_mut().zip(stages_of(timings));
            stages.for_each(|(sum, us)| *sum += u64::from(us));
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

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(LONGEST_US).max(1)
}

impl Counts {
    fn new() -> Result<Self, String> {
        Ok(Self {
            latency_us: Histogram::new_with_max(LONGEST_US, 3).map_err(|e| e.to_string())?,
            good: 0,
            failures: BTreeMap::new(),
            left: 0,
            missed: 0,
            late: 0,
            computed: 0,
            batches: BatchSums::default(),
            stages: [0; STAGES.len()],
        })
    }

    fn fail(&mut self, name: &str, event: &Event) {
        if !self.failures.contains_key(name) {
            let mut empty = self.latency_us.clone();
            empty.reset();
            self.failures.insert(name.to_owned(), empty);
        }
        if let Some(latencies) = self.failures.get_mut(name) {
            latencies.saturating_record(micros(event.done - event.sent));
        }
    }

    /// How many failed.
    pub(super) fn failed(&self) -> u64 {
        self.failures.values().map(Histogram::len).sum()
    }

    /// The p99 of the time to a refusal, in milliseconds; none where nothing was refused.
    pub(super) fn refusal_p99_ms(&self) -> Option<f64> {
        let mut refused = self.failures.iter().filter(|(name, _)| name.starts_with(REFUSED));
        let mut all = refused.next()?.1.clone();
        // Histograms of one range always add up.
        refused.for_each(|(_, latencies)| all.add(latencies).unwrap_or_default());
        Some(all.value_at_quantile(0.99) as f64 / 1000.0)
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

    const MS: fn(u64) -> Duration = Duration::from_millis;

    #[test]
    fn only_whole_answers_within_the_window_count_as_answers() {
        let begun = Instant::now();
        let mut recorder = Recorder::new((begun, begun + MS(100)), None, Some(1), None).unwrap();
        let mut record = |at, latency, outcome| {
            let due = begun + MS(at);
            let done = due + MS(latency);
            recorder.record(&Event { at: due, due, sent: due, done, deadline: MS(10), outcome });
        };
        let whole = || Outcome::Answered(Answer { items: 1, ..Default::default() });
        record(1, 5, whole());
        record(2, 50, whole());
        record(100, 5, whole());
        record(3, 5, Outcome::Answered(Answer::default()));
        record(3, 5, Outcome::Failed("UNAVAILABLE".to_owned()));
        record(3, 7, Outcome::Failed("RESOURCE_EXHAUSTED/QUEUE_FULL".to_owned()));
        record(3, 5, Outcome::Left);
        recorder.miss(begun + MS(4));
        let counts = recorder.counts;
        assert_eq!((counts.latency_us.len(), counts.good, counts.missed), (2, 1, 1));
        assert_eq!((counts.failed(), counts.left), (3, 1));
        assert!(counts.latency_us.value_at_quantile(1.0) >= 50_000);
        let refused = counts.refusal_p99_ms().unwrap();
        assert!((6.9..7.1).contains(&refused), "{refused}");
    }

    #[test]
    fn every_stage_has_its_own_time() {
        let timings = pb::Timings { validate_us: 1, run_us: 6, total_us: 9, ..Default::default() };
        assert_eq!(stages_of(&timings), [1, 0, 0, 0, 0, 6, 0, 0, 9]);
    }
}
