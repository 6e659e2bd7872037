//! How long a batch will run: measured once at warm-up, kept current by every run.

use std::time::Duration;

/// How much of a new observation goes into what is expected.
const LEARNING_RATE: f64 = 0.05;

/// The most that one observation may be above what is expected: a stalled machine teaches no more than that. One so far below it
/// counts in full, for a run may be held up, but nothing makes it quicker than it is.
const FARTHEST: f64 = 4.0;

/// A job is not cut into pieces that have less than this share of the best rate.
const WASTEFUL: f64 = 0.75;

/// A batch need not be larger than what gives this share of the best rate.
const GOOD_ENOUGH: f64 = 0.97;

/// What a unit of a length costs beside one of the usual length.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LengthWeight {
    /// The length that it is padded to.
    pub length: usize,
    /// The length of the usual kind that costs as much.
    pub weight: f64,
}

/// One measured run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CostPoint {
    /// Units of the batch, times what each costs: the usual length.
    pub size: usize,
    /// The run's time in microseconds.
    pub run_us: f64,
}

/// How long batches run by their size, and how that has changed since it was measured.
#[derive(Debug, Clone, PartialEq)]
pub struct CostTable {
    /// Sorted by size, times not falling; empty where nothing is known.
    points: Vec<CostPoint>,
    /// Sorted by length, weights not falling; empty where a unit costs its length.
    weights: Vec<LengthWeight>,
    scale: f64,
}

impl Default for CostTable {
    fn default() -> Self {
        Self::new(Vec::new())
    }
}

impl CostTable {
    /// Makes a table of measured points; of several of one size the quickest counts.
    pub fn new(mut points: Vec<CostPoint>) -> Self {
        points.retain(|point| point.size > 0 && point.run_us > 0.0);
        points.sort_by(|a, b| a.size.cmp(&b.size).then(a.run_us.total_cmp(&b.run_us)));
        points.dedup_by_key(|point| point.size);
        let mut longest: f64 = 0.0;
        for point in &mut points {
            longest = longest.max(point.run_us);
            point.run_us = longest;
        }
        Self { points, weights: Vec::new(), scale: 1.0 }
    }

    /// The same, with the points that another instance of the model ran quicker.
    pub fn or_quicker(self, other: &Self) -> Self {
        let points = self.points.iter().chain(&other.points).copied().collect();
        Self { weights: self.weights, ..Self::new(points) }
    }

    /// The same, with what units of other lengths cost.
    pub fn with_weights(mut self, mut weights: Vec<LengthWeight>) -> Self {
        weights.retain(|one| one.length > 0 && one.weight >= 1.0);
        weights.sort_by_key(|one| one.length);
        let mut heaviest: f64 = 0.0;
        for one in &mut weights {
            heaviest = heaviest.max(one.weight);
            one.weight = heaviest;
        }
        self.weights = weights;
        self
    }

    /// What a unit of a length costs, at least 1: between two measured lengths on the line through them, beyond them in proportion.
    pub fn weight(&self, length: usize) -> usize {
        let after = self.weights.partition_point(|one| one.length < length);
        let in_proportion = |one: &LengthWeight| one.weight * length as f64 / one.length as f64;
        let weight =
            match (after.checked_sub(1).map(|at| self.weights[at]), self.weights.get(after)) {
                (None, None) => length as f64,
                (Some(one), None) => in_proportion(&one),
                (None, Some(one)) => in_proportion(one),
                (Some(low), Some(high)) => {
                    let share = (length - low.length) as f64 / (high.length - low.length) as f64;
                    low.weight + share * (high.weight - low.weight)
                }
            };
        (weight.round() as usize).max(1)
    }

    /// What units of the measured lengths cost.
    pub fn weights(&self) -> &[LengthWeight] {
        &self.weights
    }

    /// The measured points.
    pub fn points(&self) -> &[CostPoint] {
        &self.points
    }

    /// What a unit of the usual length costs: the size of the smallest run that was measured, which had one.
    pub fn usual_weight(&self) -> usize {
        self.points.first().map_or(1, |point| point.size)
    }

    /// How long a batch of that size will run; zero where nothing was measured.
    pub fn predict(&self, size: usize) -> Duration {
        Duration::from_nanos((self.measured_us(size) * self.scale * 1e3) as u64)
    }

    /// Between two points along the line through them; beyond the last one in proportion.
    fn measured_us(&self, size: usize) -> f64 {
        if size == 0 {
            return 0.0;
        }
        let after = self.points.partition_point(|point| point.size < size);
        match (after.checked_sub(1).map(|before| self.points[before]), self.points.get(after)) {
            (None, None) => 0.0,
            (None, Some(first)) => first.run_us,
            (Some(last), None) => last.run_us * size as f64 / last.size as f64,
            (Some(low), Some(high)) => {
                let share = (size - low.size) as f64 / (high.size - low.size) as f64;
                low.run_us + share * (high.run_us - low.run_us)
            }
        }
    }

    /// The largest size that will run within a time; without a table any will.
    pub fn size_within(&self, time: Duration) -> usize {
        let us = time.as_secs_f64() * 1e6 / self.scale;
        let after = self.points.partition_point(|point| point.run_us <= us);
        match (after.checked_sub(1).map(|before| self.points[before]), self.points.get(after)) {
            (None, None) => usize::MAX,
            (None, Some(_)) => 0,
            (Some(last), None) => (last.size as f64 * us / last.run_us) as usize,
            (Some(low), Some(high)) => {
                let share = (us - low.run_us) / (high.run_us - low.run_us);
                low.size + (share * (high.size - low.size) as f64) as usize
            }
        }
    }

    /// Learns from a run.
    pub fn observe(&mut self, size: usize, ran: Duration) {
        let expected = self.measured_us(size);
        if expected > 0.0 {
            let seen = ran.as_secs_f64() * 1e6 / expected;
            match seen < self.scale / FARTHEST {
                true => self.scale = seen,
                false => {
                    self.scale += LEARNING_RATE * (seen.min(self.scale * FARTHEST) - self.scale)
                }
            }
        }
    }

    /// The smallest size with which a run is nearly as good a use of the device as with the best; none where unknown.
    pub fn preferred_size(&self) -> Option<usize> {
        self.size_with(GOOD_ENOUGH)
    }

    /// The smallest size that is worth a run of its own where it could be part of a larger one; none where unknown.
    pub fn least_size(&self) -> Option<usize> {
        self.size_with(WASTEFUL)
    }

    /// The smallest measured size with such a share of the best rate.
    fn size_with(&self, share: f64) -> Option<usize> {
        let rate = |point: &CostPoint| point.size as f64 / point.run_us;
        let best = self.points.iter().map(rate).fold(0.0, f64::max);
        let enough = self.points.iter().find(|point| rate(point) >= share * best);
        enough.map(|point| point.size)
    }

    /// What each further run costs whatever its size: the time of the smallest batch beyond its share of the best rate.
    pub fn overhead(&self) -> Duration {
        let Some(first) = self.points.first() else { return Duration::ZERO };
        let least = self.points.iter().map(|p| p.run_us / p.size as f64).fold(f64::MAX, f64::min);
        let us = (first.run_us - least * first.size as f64).max(0.0) * self.scale;
        Duration::from_nanos((us * 1e3) as u64)
    }

    /// How long the device needs for so much in batches of the preferred size.
    pub fn time_for(&self, size: usize) -> Duration {
        let batch = self.preferred_size().unwrap_or(1).max(1);
        let whole = self.measured_us(batch) * (size / batch) as f64;
        let rest = size % batch;
        let rest = if rest == 0 { 0.0 } else { self.measured_us(rest) };
        Duration::from_nanos(((whole + rest) * self.scale * 1e3) as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> CostTable {
        let points = [(1, 100.0), (8, 170.0), (64, 730.0), (128, 1430.0)];
        CostTable::new(points.map(|(size, run_us)| CostPoint { size, run_us }).into())
    }

    #[track_caller]
    fn check(size: usize, us: u64) {
        assert_eq!(table().predict(size).as_micros(), u128::from(us), "{size} size");
    }

    #[test]
    fn times_lie_between_the_measured_ones() {
        check(0, 0);
        check(1, 100);
        check(2, 110);
        check(8, 170);
        check(36, 450);
        check(256, 2860);
        assert_eq!(CostTable::new(Vec::new()).predict(9), Duration::ZERO);
    }

    #[test]
    fn longer_units_cost_what_was_measured() {
        let weights = [(16, 10.0), (32, 32.0), (128, 160.0)];
        let weights = weights.map(|(length, weight)| LengthWeight { length, weight });
        let table = table().with_weights(weights.into());
        let all = [1, 8, 16, 24, 32, 80, 128, 256].map(|length| table.weight(length));
        assert_eq!(all, [1, 5, 10, 21, 32, 96, 160, 320]);
        assert_eq!(CostTable::default().weight(7), 7);
    }

    #[test]
    fn what_runs_within_a_time_is_the_inverse() {
        let table = table();
        let within = |us| table.size_within(Duration::from_micros(us));
        assert_eq!((within(99), within(100), within(170), within(450)), (0, 1, 8, 36));
        assert_eq!(within(2860), 256);
        assert_eq!(CostTable::default().size_within(Duration::ZERO), usize::MAX);
    }

    #[test]
    fn the_preferred_size_is_the_smallest_good_one() {
        assert_eq!(table().preferred_size(), Some(64));
        assert_eq!(table().least_size(), Some(64));
        assert_eq!(CostTable::new(Vec::new()).preferred_size(), None);
        assert_eq!(table().overhead().as_micros(), 88);
        assert_eq!(table().time_for(129).as_micros(), 2 * 730 + 100);
    }

    #[test]
    fn it_follows_a_slower_machine_and_shrugs_off_a_stall() {
        let mut table = table();
        table.observe(8, Duration::from_secs(5));
        assert!(table.predict(8) < Duration::from_micros(200), "{:?}", table.predict(8));
        for _ in 0..200 {
            table.observe(8, Duration::from_micros(340));
        }
        assert!(table.predict(1).as_micros().abs_diff(200) < 3, "{:?}", table.predict(1));
    }

    #[test]
    fn a_measurement_in_a_stall_is_found_out_by_the_first_run() {
        let mut table = CostTable::new(vec![CostPoint { size: 32, run_us: 500e3 }]);
        table.observe(320, Duration::from_millis(50));
        assert_eq!(table.predict(320), Duration::from_millis(50));
    }

    #[test]
    fn a_noisy_measurement_never_makes_a_larger_batch_quicker() {
        let points = [(1, 100.0), (2, 90.0)].map(|(size, run_us)| CostPoint { size, run_us });
        let table = CostTable::new(points.into());
        assert!(table.predict(2) >= table.predict(1));
    }
}
