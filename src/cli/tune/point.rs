//! What was measured of one choice at one rate, and which point is proposed: a pure rule.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::cli::tune::choices::Choice;

/// The share of the requests that is to be answered within the slo.
pub(super) const WANTED: f64 = 0.99;

/// Points whose goodput differs by less than this share count as equally good: so much is noise.
const ALIKE: f64 = 0.03;

/// What became of requests.
#[derive(Debug)]
pub(super) struct Tally {
    /// Requests that were sent.
    pub(super) sent: u64,
    /// Answers within the slo.
    pub(super) in_time: u64,
    /// Requests turned away at the door.
    pub(super) refused: u64,
    /// Requests whose deadline passed before their answer.
    pub(super) expired: u64,
    /// Requests that failed.
    pub(super) failed: u64,
    /// What the first of them failed of.
    pub(super) failure: Option<String>,
    /// Latencies of answers in microseconds, from the time when the request was due.
    pub(super) latency_us: Histogram<u64>,
}

/// One choice at one rate.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Point {
    /// The choice.
    #[serde(flatten)]
    pub(super) choice: Choice,
    /// The rate over the capacity that the costs predict, as far as that can be driven.
    pub(super) share: f64,
    /// Requests a second.
    pub(super) offered_per_s: f64,
    /// Answers a second within the slo.
    pub(super) in_time_per_s: f64,
    /// Requests that were sent.
    pub(super) sent: u64,
    /// Those answered within the slo.
    pub(super) in_time: u64,
    /// Those turned away at the door.
    pub(super) refused: u64,
    /// Those whose deadline passed before their answer.
    pub(super) expired: u64,
    /// Those that failed.
    pub(super) failed: u64,
    /// Half of the answers came within it.
    pub(super) p50_ms: f64,
    /// 99% of the answers came within it.
    pub(super) p99_ms: f64,
}

impl Point {
    /// Sums a measurement of so long up.
    pub(super) fn new(choice: Choice, share: f64, tally: &Tally, lasted: Duration) -> Self {
        let per_s = |count: u64| count as f64 / lasted.as_secs_f64();
        let ms = |quantile| tally.latency_us.value_at_quantile(quantile) as f64 / 1e3;
        Self {
            choice,
            share,
            offered_per_s: per_s(tally.sent),
            in_time_per_s: per_s(tally.in_time),
            sent: tally.sent,
            in_time: tally.in_time,
            refused: tally.refused,
            expired: tally.expired,
            failed: tally.failed,
            p50_ms: ms(0.5),
            p99_ms: ms(0.99),
        }
    }

    /// The share of the requests that was answered within the slo.
    pub(super) fn kept(&self) -> f64 {
        self.in_time as f64 / self.sent.max(1) as f64
    }

    /// Whether enough requests were answered within the slo: then their p99 lies within it, those that were turned away included.
    pub(super) fn meets(&self) -> bool {
        self.sent > 0 && self.kept() >= WANTED
    }

    /// Requests that had no answer.
    pub(super) fn lost(&self) -> u64 {
        self.refused + self.expired + self.failed
    }

    /// Their share of all.
    fn lost_share(&self) -> f64 {
        self.lost() as f64 / self.sent.max(1) as f64
    }
}

/// The place of the point with the highest goodput among those that meet the slo, as all slower rates of the same choice do: one that
/// misses at less owes what it does at more to luck. Of several that are alike, the one that loses the fewest requests, then the quickest.
///
/// Takes the points of a choice in the order of their rates.
pub(super) fn pick(points: &[Point]) -> Option<usize> {
    let missed = |place: usize, choice: Choice| {
        points[..place].iter().any(|slower| slower.choice == choice && !slower.meets())
    };
    let meets = || {
        let met = points.iter().enumerate().filter(|(_, point)| point.meets());
        met.filter(|(place, point)| !missed(*place, point.choice))
    };
    let best = meets().map(|(_, point)| point.in_time_per_s).fold(0.0, f64::max);
    let alike = meets().filter(|(_, point)| point.in_time_per_s >= best * (1.0 - ALIKE));
    let by = |a: &Point, b: &Point| {
        a.lost_share().total_cmp(&b.lost_share()).then(a.p99_ms.total_cmp(&b.p99_ms))
    };
    alike.min_by(|(_, a), (_, b)| by(a, b)).map(|(place, _)| place)
}

/// The point that comes closest to the slo.
pub(super) fn closest(points: &[Point]) -> Option<&Point> {
    points.iter().max_by(|a, b| a.kept().total_cmp(&b.kept()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In time a second, of so many sent, refused, and p99.
    fn point((in_time, sent, refused, p99_ms): (u64, u64, u64, f64)) -> Point {
        Point {
            choice: Choice { instances: 1, batch_rows: 8 },
            share: 1.0,
            offered_per_s: sent as f64,
            in_time_per_s: in_time as f64,
            sent,
            in_time,
            refused,
            expired: 0,
            failed: 0,
            p50_ms: p99_ms / 2.0,
            p99_ms,
        }
    }

    #[track_caller]
    fn check(points: &[(u64, u64, u64, f64)], want: Option<usize>) {
        let points: Vec<Point> = points.iter().copied().map(point).collect();
        assert_eq!(pick(&points), want, "{points:?}");
    }

    #[test]
    fn the_most_answers_in_time_win_where_the_slo_is_met() {
        check(&[], None);
        check(&[(0, 0, 0, 0.0)], None);
        check(&[(100, 100, 0, 5.0), (200, 200, 0, 9.0), (400, 500, 100, 9.0)], Some(1));
        check(&[(100, 100, 0, 5.0), (150, 200, 50, 9.0), (400, 400, 0, 9.0)], Some(0));
        check(&[(980, 1000, 20, 9.0)], None);
        check(&[(990, 1000, 10, 9.0)], Some(0));
    }

    #[test]
    fn of_equally_good_ones_the_one_that_loses_least_then_the_quickest() {
        check(&[(995, 1000, 5, 5.0), (985, 985, 0, 9.0)], Some(1));
        check(&[(1000, 1000, 0, 9.0), (990, 990, 0, 5.0), (900, 900, 0, 1.0)], Some(1));
    }

    #[test]
    fn where_none_meets_it_the_closest_is_told() {
        let points = [(500, 1000, 500, 9.0), (97, 100, 3, 9.0)].map(point);
        assert_eq!(closest(&points), Some(&points[1]));
        assert_eq!(closest(&[]), None);
    }
}
