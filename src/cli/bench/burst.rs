//! Scenario: a burst, and how long the server takes to come round.

use std::time::{Duration, Instant};

use crate::cli::{
    bench::{
        event::{Event, Outcome},
        gauge::{Gauge, Told},
        server::RunCounts,
        setting::Setting,
    },
    course::{Course, Piece},
};

/// How long it is measured: before, in and after the burst.
pub(super) const LASTS: Duration = Duration::from_secs(20);

const BEFORE: Duration = Duration::from_secs(5);
const BURST: Duration = Duration::from_secs(5);

/// The rate before and after, of the capacity.
const BASE: f64 = 0.5;

/// The rate of the burst, of that before.
const TIMES: f64 = 10.0;

/// The time after the burst is cut into slots of this length.
const SLOT: Duration = Duration::from_millis(250);

/// By then p99 is to be within the objective.
const ROUND_BY: Duration = Duration::from_secs(2);

/// Base, burst, base.
pub(super) fn course(setting: &Setting) -> Course {
    let base = setting.capacity * BASE;
    let pieces = vec![
        Piece { lasts: setting.warmup + BEFORE, rate: base },
        Piece { lasts: BURST, rate: base * TIMES },
        Piece { lasts: Duration::MAX, rate: base },
    ];
    Course { pieces, ..Course::steady(base, setting.deadline) }
}

/// Latencies after the burst, slot by slot of their arrival.
#[derive(Debug)]
pub(super) struct BurstGauge {
    /// When the burst is over.
    over: Instant,
    objective: Duration,
    slots: Vec<Slot>,
}

#[derive(Debug, Clone, Default)]
struct Slot {
    latencies: Vec<Duration>,
    failed: usize,
}

impl Slot {
    /// The p99 in milliseconds; infinite where more than a hundredth failed, NaN where nothing came.
    fn p99_ms(&self) -> f64 {
        let all = self.latencies.len() + self.failed;
        let mut sorted = self.latencies.clone();
        sorted.sort_unstable();
        match (all * 99).div_ceil(100) {
            0 => f64::NAN,
            place => sorted.get(place - 1).map_or(f64::INFINITY, |time| time.as_secs_f64() * 1e3),
        }
    }
}

impl BurstGauge {
    /// Makes one for a course that begins at `begin`.
    pub(super) fn new(setting: &Setting, begin: Instant) -> Self {
        let slots = (LASTS - BEFORE - BURST).div_duration_f64(SLOT) as usize;
        Self {
            over: begin + setting.warmup + BEFORE + BURST,
            objective: setting.objective,
            slots: vec![Slot::default(); slots],
        }
    }

    /// The seconds after the burst from which p99 stays within the objective.
    fn round_after(&self, p99_ms: &[f64]) -> f64 {
        let most = self.objective.as_secs_f64() * 1e3;
        let beyond = p99_ms.iter().rposition(|p99| *p99 > most);
        beyond.map_or(0.0, |last| (last + 1) as f64 * SLOT.as_secs_f64())
    }
}

impl Gauge for BurstGauge {
    fn see(&mut self, event: &Event) {
        let Some(after) = event.due.checked_duration_since(self.over) else { return };
        let Some(slot) = self.slots.get_mut(after.div_duration_f64(SLOT) as usize) else { return };
        match event.outcome {
            Outcome::Answered(_) => slot.latencies.push(event.latency()),
            _ => slot.failed += 1,
        }
    }

    fn told(&self, _: Option<RunCounts>) -> Told {
        let p99_ms: Vec<f64> = self.slots.iter().map(Slot::p99_ms).collect();
        let late = self.slots.iter().skip(ROUND_BY.div_duration_f64(SLOT) as usize);
        let later = late.fold(Slot::default(), |mut all, slot| {
            all.latencies.extend(&slot.latencies);
            all.failed += slot.failed;
            all
        });
        let row = |(at, (slot, p99)): (usize, (&Slot, &f64))| {
            let counts = [slot.latencies.len() as f64, slot.failed as f64];
            vec![at as f64 * SLOT.as_secs_f64(), *p99, counts[0], counts[1]]
        };
        Told {
            figures: vec![
                ("round_after_s", self.round_after(&p99_ms)),
                ("p99_later_ms", later.p99_ms()),
            ],
            columns: vec!["s after the burst", "p99 ms", "answers", "failures"],
            rows: self.slots.iter().zip(&p99_ms).enumerate().map(row).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::bench::codec::Answer;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    #[track_caller]
    fn check(seen: &[(u64, Option<u64>)], want_round_after: f64) {
        let setting = Setting {
            capacity: 100.0,
            warmup: MS(1000),
            deadline: MS(500),
            objective: MS(100),
            candidates: 1,
        };
        let begin = Instant::now();
        let mut gauge = BurstGauge::new(&setting, begin);
        for &(ms, latency) in seen {
            let due = begin + MS(11_000 + ms);
            let outcome = match latency {
                Some(_) => Outcome::Answered(Answer::default()),
                None => Outcome::Failed("X".to_owned()),
            };
            let done = due + MS(latency.unwrap_or(1));
            gauge.see(&Event { at: due, due, sent: due, done, deadline: MS(500), outcome });
        }
        let told = gauge.told(None);
        assert_eq!(told.figures[0], ("round_after_s", want_round_after));
        assert_eq!(told.rows.len(), 40);
    }

    #[test]
    fn it_has_come_round_when_p99_stays_within_the_objective() {
        check(&[(0, Some(10)), (300, Some(20))], 0.0);
        check(&[(0, Some(150)), (300, Some(20))], 0.25);
        check(&[(0, Some(20)), (800, Some(150)), (1100, Some(20))], 1.0);
        check(&[(600, None), (900, Some(20))], 0.75);
    }

    #[test]
    fn the_burst_is_ten_times_the_base() {
        let setting = Setting {
            capacity: 100.0,
            warmup: MS(0),
            deadline: MS(500),
            objective: MS(100),
            candidates: 1,
        };
        let course = course(&setting);
        assert!((course.offered((MS(0), MS(5000))) - 50.0).abs() < 1e-9);
        assert!((course.offered((MS(5000), MS(10_000))) - 500.0).abs() < 1e-9);
    }
}
