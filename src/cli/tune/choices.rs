//! Which ways to batch are tried, and what each would be written as: pure functions of what runs cost.

use std::{collections::BTreeSet, fmt, time::Duration};

use serde::Serialize;

use crate::{
    batching::{BatchOptions, CostTable},
    cli::tune::demand::Demand,
    repository::BatchingSpec,
};

/// Of the slo, how long a request may wait for company at most.
const DELAY_SHARE: u32 = 10;

/// Proposed times are whole multiples of the first from the second on, and of the third below it.
const STEPS: [Duration; 3] =
    [Duration::from_millis(1), Duration::from_millis(10), Duration::from_micros(10)];

/// One way to batch a model's requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(super) struct Choice {
    /// Sessions that run side by side.
    pub(super) instances: usize,
    /// Rows at which a batch is full.
    pub(super) batch_rows: usize,
}

/// The choices worth to be tried: one instance and the usual number, with batches around those that the costs speak for.
///
/// A batch that runs for longer than half of the slo is left out, because whoever comes behind it waits for it, and so is one of more
/// than `most` rows.
pub(super) fn choices(
    costs: &CostTable,
    demand: &Demand,
    (instances, most): (usize, usize),
) -> Vec<Choice> {
    let Some(preferred) = costs.preferred_size() else { return Vec::new() };
    let least = costs.least_size().unwrap_or(preferred);
    let longest = demand.rows(costs.size_within(demand.slo / 2)).min(most);
    let sizes = [least, preferred / 2, preferred, preferred * 2];
    let rows: BTreeSet<usize> =
        sizes.iter().map(|size| demand.rows(*size).clamp(1, longest.max(1))).collect();
    let instances = BTreeSet::from([1, instances.max(1)]);
    let all = instances.into_iter().flat_map(|instances| {
        rows.iter().map(move |batch_rows| Choice { instances, batch_rows: *batch_rows })
    });
    all.collect()
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} instance(s) with batches of {} rows", self.instances, self.batch_rows)
    }
}

impl Choice {
    /// The requests a second that full batches on all instances answer, by the costs.
    pub(super) fn capacity(&self, costs: &CostTable, demand: &Demand) -> f64 {
        let run = costs.predict(demand.size(self.batch_rows)).as_secs_f64();
        let rows = self.instances as f64 * self.batch_rows as f64 / run.max(1e-9);
        rows / demand.units as f64
    }

    /// The settings that go with it: no longer a wait, and no more work in the queue, than the slo has room for; nor larger batches or
    /// more rows in the queue than are configured.
    pub(super) fn settings(
        &self,
        costs: &CostTable,
        demand: &Demand,
        bounds: &BatchOptions,
    ) -> BatchingSpec {
        let slo = demand.slo;
        let run = costs.predict(demand.size(self.batch_rows));
        let within = self.capacity(costs, demand) * slo.as_secs_f64() * demand.units as f64;
        let queued = (within.ceil() as usize).min(bounds.max_queue_rows);
        let largest = demand.rows(costs.size_within(slo));
        BatchingSpec {
            instances: Some(self.instances),
            max_batch_rows: Some(largest.min(bounds.max_batch_rows).max(self.batch_rows)),
            preferred_batch_rows: Some(self.batch_rows),
            max_queue_delay: Some(whole((costs.overhead() / 2).min(slo / DELAY_SHARE))),
            max_queue_rows: Some(queued.max(2 * demand.units)),
            max_queue_time: Some(whole(slo.saturating_sub(run).max(slo / 2))),
            ..BatchingSpec::default()
        }
    }
}

/// The time in whole steps.
fn whole(time: Duration) -> Duration {
    let [coarse, from, fine] = STEPS;
    let step = if time >= from { coarse } else { fine };
    let steps = time.as_nanos() / step.as_nanos();
    step * u32::try_from(steps).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use crate::batching::CostPoint;

    use super::*;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    fn costs(points: &[(usize, f64)]) -> CostTable {
        let point = |(size, ms): &(usize, f64)| CostPoint { size: *size, run_us: ms * 1e3 };
        CostTable::new(points.iter().map(point).collect())
    }

    /// Half a millisecond, and 10 us a row: least 256, preferred 2048.
    fn steady() -> CostTable {
        let point = |exponent: u32| (1 << exponent, 0.5 + f64::from(1 << exponent) * 0.01);
        costs(&(0..=12).map(point).collect::<Vec<_>>())
    }

    fn demand(slo: u64) -> Demand {
        Demand { units: 100, length: 1.0, slo: MS(slo) }
    }

    #[track_caller]
    fn check(
        costs: &CostTable,
        demand: Demand,
        bounds: (usize, usize),
        want: &[(usize, &[usize])],
    ) {
        let got = choices(costs, &demand, bounds);
        let want: Vec<Choice> = want
            .iter()
            .flat_map(|(instances, rows)| {
                rows.iter().map(|rows| Choice { instances: *instances, batch_rows: *rows })
            })
            .collect();
        assert_eq!(got, want);
    }

    #[test]
    fn batches_lie_around_what_the_costs_speak_for() {
        let all: &[usize] = &[256, 1024, 2048, 4096];
        check(&steady(), demand(1000), (4, 4096), &[(1, all), (4, all)]);
        check(&steady(), demand(1000), (1, 4096), &[(1, all)]);
        check(&steady(), demand(1000), (1, 256), &[(1, &[256])]);
        // Half of 20 ms is enough for 950 rows, half of 1 ms for none but one.
        check(&steady(), demand(20), (1, 4096), &[(1, &[256, 950])]);
        check(&steady(), demand(1), (2, 4096), &[(1, &[1]), (2, &[1])]);
        check(&CostTable::default(), demand(20), (2, 4096), &[]);
    }

    #[test]
    fn rows_are_as_long_as_those_of_the_requests() {
        let long = Demand { length: 16.0, ..demand(1000) };
        check(&steady(), long, (1, 4096), &[(1, &[16, 64, 128, 256])]);
        let one = costs(&[(32, 1.0)]);
        check(&one, long, (1, 4096), &[(1, &[1, 2, 4])]);
    }

    #[test]
    fn the_capacity_is_that_of_full_batches() {
        let choice = Choice { instances: 2, batch_rows: 128 };
        let capacity = choice.capacity(&steady(), &demand(20));
        assert!((capacity - 2.0 * 1.28 / 1.78e-3).abs() < 0.1, "{capacity}");
    }

    #[test]
    fn no_setting_lets_a_request_wait_for_longer_than_the_slo() {
        let choice = Choice { instances: 2, batch_rows: 128 };
        let settings = choice.settings(&steady(), &demand(20), &BatchOptions::default());
        let want = BatchingSpec {
            instances: Some(2),
            max_batch_rows: Some(1950),
            preferred_batch_rows: Some(128),
            max_queue_delay: Some(Duration::from_micros(240)),
            max_queue_rows: Some(2877),
            max_queue_time: Some(MS(18)),
            ..BatchingSpec::default()
        };
        assert_eq!(settings, want);
        assert!(settings.faults().is_empty());
        let small =
            BatchOptions { max_batch_rows: 64, max_queue_rows: 99, ..BatchOptions::default() };
        let hurried = choice.settings(&steady(), &demand(1), &small);
        assert_eq!(hurried.max_queue_delay, Some(Duration::from_micros(100)));
        assert_eq!(hurried.max_queue_time, Some(Duration::from_micros(500)));
        assert_eq!((hurried.max_batch_rows, hurried.max_queue_rows), (Some(128), Some(200)));
    }
}
