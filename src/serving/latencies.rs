//! Times, kept so that any percentile can be told to within a sixteenth.

use std::time::Duration;

/// Steps from each power of two to the next.
const STEPS: usize = 16;

/// Powers of two, in microseconds, up to some 18 hours.
const OCTAVES: usize = 36;

/// Times in buckets, each a sixteenth wider than the last.
///
/// Source: the layout is that of HdrHistogram with four bits of mantissa.
#[derive(Debug, Clone)]
pub struct Latencies {
    counts: Vec<u32>,
    count: u64,
}

impl Default for Latencies {
    fn default() -> Self {
        Self { counts: vec![0; STEPS * OCTAVES], count: 0 }
    }
}

impl Latencies {
    /// Takes in a time.
    pub fn add(&mut self, time: Duration) {
        let at = bucket(u64::try_from(time.as_micros()).unwrap_or(u64::MAX));
        let bucket = &mut self.counts[at.min(STEPS * OCTAVES - 1)];
        *bucket = bucket.saturating_add(1);
        self.count += 1;
    }

    /// The time that a share of all were no longer than; zero where there are none.
    pub fn quantile(&self, share: f64) -> Duration {
        let rank = (share * self.count as f64).ceil().max(1.0) as u64;
        self.at_rank(rank)
    }

    /// The 95th percentile, as low and as high as it may well be.
    ///
    /// Source: the ranks are those of the binomial distribution in its normal approximation, two standard deviations to each side; W. J.
    /// Conover, "Practical Nonparametric Statistics" (1999), 3.2.
    pub fn range_of_p95(&self) -> (Duration, Duration) {
        let count = self.count as f64;
        let spread = 2.0 * (count * 0.95 * 0.05).sqrt();
        let low = (count * 0.95 - spread).floor().max(1.0) as u64;
        let high = (count * 0.95 + spread).ceil() as u64;
        let unbounded = high > self.count;
        (self.at_rank(low), if unbounded { Duration::MAX } else { self.at_rank(high) })
    }

    fn at_rank(&self, rank: u64) -> Duration {
        let mut seen = 0;
        let found = self.counts.iter().position(|count| {
            seen += u64::from(*count);
            seen >= rank && seen > 0
        });
        found.map_or(Duration::ZERO, |at| Duration::from_micros(upper_end(at)))
    }
}

/// The bucket of a time: the power of two, and the next four bits.
fn bucket(us: u64) -> usize {
    if us < STEPS as u64 {
        return us as usize;
    }
    let octave = us.ilog2() - STEPS.ilog2();
    let step = (us >> octave) as usize - STEPS;
    (octave as usize + 1) * STEPS + step
}

/// The longest time in a bucket.
fn upper_end(at: usize) -> u64 {
    if at < STEPS {
        return at as u64;
    }
    let (octave, step) = (at / STEPS - 1, at % STEPS);
    (((STEPS + step + 1) as u64) << octave) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(all: impl Iterator<Item = u64>) -> Latencies {
        let mut latencies = Latencies::default();
        all.for_each(|us| latencies.add(Duration::from_micros(us)));
        latencies
    }

    #[test]
    fn every_time_is_in_a_bucket_that_is_a_sixteenth_wide() {
        for us in (0..200).chain((8..40).flat_map(|power| [(1 << power) - 1, 1 << power])) {
            let end = upper_end(bucket(us));
            assert!(end >= us && end as f64 <= us as f64 * 1.0626, "{us} in one up to {end}");
            assert_eq!(bucket(end), bucket(us));
            assert_eq!(bucket(end + 1), bucket(us) + 1);
        }
    }

    #[track_caller]
    fn check(latencies: &Latencies, share: f64, want_us: u64) {
        let got = latencies.quantile(share).as_micros() as f64;
        assert!((got / want_us as f64 - 1.0).abs() < 0.07, "{got} is not {want_us}");
    }

    #[test]
    fn percentiles_are_told() {
        let hundred = of((1..=100).map(|n| n * 1000));
        check(&hundred, 0.5, 50_000);
        check(&hundred, 0.95, 95_000);
        check(&hundred, 1.0, 100_000);
        check(&of([7].into_iter()), 0.95, 7);
        assert_eq!(Latencies::default().quantile(0.95), Duration::ZERO);
        assert!(of([u64::MAX].into_iter()).quantile(0.5) > Duration::from_secs(3600));
    }

    #[test]
    fn few_times_say_little_of_the_95th_percentile() {
        let (low, high) = of((1..=20).map(|n| n * 1000)).range_of_p95();
        assert!(low < Duration::from_millis(19) && high == Duration::MAX, "{low:?} {high:?}");
        let (low, high) = of((1..=1000).map(|n| n * 10)).range_of_p95();
        assert!(low > Duration::from_micros(9_300) && high < Duration::from_micros(10_300));
        assert!(low < Duration::from_micros(9_990), "{low:?} {high:?}");
    }
}
