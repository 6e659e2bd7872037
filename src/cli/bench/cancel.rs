//! Scenario: half of the callers leave before they have an answer, and the server is not to work for them.

use std::time::Duration;

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

/// Requests over those that the server can answer: those who stay keep it busy, so whoever leaves was waiting.
const OVER: f64 = 2.0;

/// The share of callers who leave.
const LEAVING: f64 = 0.5;

/// A steady rate of callers half of whom leave at a random moment before their deadline.
pub(super) fn course(setting: &Setting) -> Course {
    let steady = Course::steady(setting.capacity * OVER, setting.deadline);
    Course { leaving: LEAVING, ..steady }
}

/// Compares the rows that the server ran with those that somebody waited for.
#[derive(Debug)]
pub(super) struct CancelGauge {
    /// Candidates of a request.
    candidates: usize,
    answered: u64,
    /// Those whose time ran out while their rows ran.
    expired_in_run: u64,
    left: u64,
}

impl CancelGauge {
    /// Makes one.
    pub(super) fn new(setting: &Setting) -> Self {
        Self { candidates: setting.candidates, answered: 0, expired_in_run: 0, left: 0 }
    }
}

impl Gauge for CancelGauge {
    fn see(&mut self, event: &Event) {
        match &event.outcome {
            Outcome::Answered(_) => self.answered += 1,
            Outcome::Left => self.left += 1,
            Outcome::Failed(name) => {
                self.expired_in_run += u64::from(name.ends_with("/EXPIRED_IN_RUN"));
            }
        }
    }

    fn told(&self, ran: Option<RunCounts>) -> Told {
        let rows = |requests: u64| (requests * self.candidates as u64) as f64;
        let (answered, expired, left) =
            (rows(self.answered), rows(self.expired_in_run), rows(self.left));
        let ran_rows = ran.map_or(f64::NAN, |ran| ran.rows as f64);
        let abandoned = ran.map_or(f64::NAN, |ran| ran.abandoned_rows as f64);
        let mut told = Told {
            figures: Vec::new(),
            columns: vec!["rows run", "of answers", "expired in run", "of leavers", "abandoned"],
            rows: vec![vec![ran_rows, answered, expired, left, abandoned]],
        };
        if ran.is_some() && left > 0.0 {
            let for_nobody = (ran_rows - answered - expired).max(0.0);
            told.figures.push(("left_rows_run_percent", for_nobody / left * 100.0));
        }
        told
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::cli::bench::codec::Answer;

    #[test]
    fn rows_that_nobody_waited_for_are_told_by_the_difference() {
        let mut gauge = CancelGauge { candidates: 10, answered: 0, expired_in_run: 0, left: 0 };
        let now = Instant::now();
        let mut see = |outcome| {
            let deadline = Duration::from_secs(1);
            gauge.see(&Event { at: now, due: now, sent: now, done: now, deadline, outcome });
        };
        (0..7).for_each(|_| see(Outcome::Answered(Answer::default())));
        (0..4).for_each(|_| see(Outcome::Left));
        see(Outcome::Failed("DEADLINE_EXCEEDED/EXPIRED_IN_RUN".to_owned()));
        let ran = RunCounts { rows: 90, ..RunCounts::default() };
        assert_eq!(gauge.told(Some(ran)).figures, [("left_rows_run_percent", 25.0)]);
        assert!(gauge.told(None).figures.is_empty(), "a server that does not count tells nothing");
    }
}
