//! Scenario: deadlines from shorter than a run to comfortable, and whether an answer ever comes after its own.

use std::{collections::BTreeMap, time::Duration};

use crate::cli::{
    bench::{
        event::{Event, Outcome},
        gauge::{Gauge, Told},
        server::RunCounts,
        setting::Setting,
    },
    course::Course,
};

/// How long it is measured.
pub(super) const LASTS: Duration = Duration::from_secs(20);

/// The rate, of the capacity.
const RATE: f64 = 0.8;

/// The deadlines, in milliseconds.
const DEADLINES_MS: [u64; 10] = [1, 2, 3, 5, 7, 10, 15, 20, 30, 50];

/// A steady rate of requests with one deadline or another.
pub(super) fn course(setting: &Setting) -> Course {
    let deadlines = DEADLINES_MS.map(Duration::from_millis).to_vec();
    Course { deadlines, ..Course::steady(setting.capacity * RATE, setting.deadline) }
}

/// Counts what comes of each deadline.
#[derive(Debug, Default)]
pub(super) struct DeadlineGauge {
    by_deadline: BTreeMap<Duration, Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    answered: u64,
    refused: u64,
    expired: u64,
    other: u64,
    /// The latest answer after its deadline, from the sending on.
    latest: Duration,
    /// The same by the server's clock, from the arrival on: free of what the bench itself waits for a processor.
    latest_told: Duration,
}

impl Gauge for DeadlineGauge {
    fn see(&mut self, event: &Event) {
        let counts = self.by_deadline.entry(event.deadline).or_default();
        match &event.outcome {
            Outcome::Answered(answer) => {
                let beyond = |time: Duration| time.saturating_sub(event.deadline);
                let told = answer.timings.as_ref().map_or(0, |timings| timings.total_us);
                let told = Duration::from_micros(u64::from(told));
                counts.latest = counts.latest.max(beyond(event.done - event.sent));
                counts.latest_told = counts.latest_told.max(beyond(told));
                counts.answered += 1;
            }
            Outcome::Failed(name) if name.starts_with("RESOURCE_EXHAUSTED") => counts.refused += 1,
            Outcome::Failed(name) if name.starts_with("DEADLINE_EXCEEDED") => counts.expired += 1,
            _ => counts.other += 1,
        }
    }

    fn told(&self, _: Option<RunCounts>) -> Told {
        let ms = |time: Duration| time.as_secs_f64() * 1e3;
        let row = |(deadline, one): (&Duration, &Counts)| {
            let counts = [one.answered, one.refused, one.expired, one.other];
            let mut row = vec![ms(*deadline)];
            row.extend(counts.map(|count| count as f64));
            row.extend([ms(one.latest), ms(one.latest_told)]);
            row
        };
        let all = self.by_deadline.values();
        let latest = all.clone().map(|one| one.latest).max().unwrap_or_default();
        let latest_told = all.map(|one| one.latest_told).max().unwrap_or_default();
        Told {
            figures: vec![
                ("latest_beyond_ms", ms(latest)),
                ("latest_told_beyond_ms", ms(latest_told)),
            ],
            columns: vec![
                "deadline ms",
                "answers",
                "refused",
                "expired",
                "other",
                "latest beyond it, ms",
                "by the server's clock",
            ],
            rows: self.by_deadline.iter().map(row).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::{cli::bench::codec::Answer, transport::pb};

    #[test]
    fn the_latest_answer_after_its_deadline_is_told() {
        let (mut gauge, now, ms) =
            (DeadlineGauge::default(), Instant::now(), Duration::from_millis);
        let mut see = |deadline, latency, outcome| {
            let (deadline, done) = (ms(deadline), now + ms(latency));
            gauge.see(&Event { at: now, due: now, sent: now, done, deadline, outcome });
        };
        see(5, 4, Outcome::Answered(Answer::default()));
        let timings = pb::Timings { total_us: 7000, ..Default::default() };
        let late = Answer { timings: Some(timings), ..Default::default() };
        see(5, 8, Outcome::Answered(late));
        see(5, 90, Outcome::Failed("DEADLINE_EXCEEDED/EXPIRED_IN_QUEUE".to_owned()));
        see(10, 11, Outcome::Answered(Answer::default()));
        see(10, 1, Outcome::Failed("RESOURCE_EXHAUSTED/QUEUE_FULL".to_owned()));
        let told = gauge.told(None);
        assert_eq!(told.figures, [("latest_beyond_ms", 3.0), ("latest_told_beyond_ms", 2.0)]);
        assert_eq!(told.rows[0], [5.0, 2.0, 0.0, 1.0, 0.0, 3.0, 2.0]);
        assert_eq!(told.rows[1], [10.0, 1.0, 1.0, 0.0, 0.0, 1.0, 0.0]);
    }
}
