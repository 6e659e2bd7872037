//! What is known of a number from samples: its value, and how sure that is.

/// A number with its standard error.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    /// The value.
    pub value: f64,
    /// The standard error; infinite where there are too few samples to tell.
    pub error: f64,
}

impl Estimate {
    /// A number of which nothing is known yet.
    pub const UNKNOWN: Self = Self { value: 0.0, error: f64::INFINITY };

    /// The value as low as it may well be: two standard errors below, which is so in 1 of 44 cases.
    pub fn at_least(self) -> f64 {
        self.value - 2.0 * self.error
    }

    /// The value as high as it may well be.
    pub fn at_most(self) -> f64 {
        self.value + 2.0 * self.error
    }
}

/// The mean of what was seen, and the sum of squared distances from it.
///
/// Source: B. P. Welford, "Note on a method for calculating corrected sums of squares and products", Technometrics 4 (1962).
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Mean {
    count: u64,
    mean: f64,
    squares: f64,
}

impl Mean {
    /// Takes in a sample.
    pub fn add(&mut self, sample: f64) {
        self.count += 1;
        let distance = sample - self.mean;
        self.mean += distance / self.count as f64;
        self.squares += distance * (sample - self.mean);
    }

    /// Samples so far.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The mean and its standard error.
    pub fn estimate(&self) -> Estimate {
        let count = self.count as f64;
        let error = match self.count {
            0 | 1 => f64::INFINITY,
            _ => (self.squares / (count - 1.0) / count).sqrt(),
        };
        Estimate { value: self.mean, error }
    }
}

/// The range in which a share may well be of which `some` of `all` were seen.
///
/// Source: E. B. Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22 (1927), with z = 2.
fn range_of_share(some: u64, all: u64) -> (f64, f64) {
    const Z2: f64 = 4.0;
    if all == 0 {
        return (0.0, 1.0);
    }
    let (count, share) = (all as f64, some as f64 / all as f64);
    let middle = share + Z2 / (2.0 * count);
    let spread = (Z2 * (share * (1.0 - share) / count + Z2 / (4.0 * count * count))).sqrt();
    let whole = 1.0 + Z2 / count;
    ((middle - spread) / whole, (middle + spread) / whole)
}

/// How much larger one share is than another, as little as it may well be; each as what was seen of how many.
///
/// Source: R. G. Newcombe, "Interval estimation for the difference between independent proportions", Statistics in Medicine 17 (1998),
/// method 10.
pub fn least_difference(more: (u64, u64), less: (u64, u64)) -> f64 {
    let share = |(some, all): (u64, u64)| some as f64 / (all as f64).max(1.0);
    let (low, _) = range_of_share(more.0, more.1);
    let (_, high) = range_of_share(less.0, less.1);
    let spread = (share(more) - low).hypot(high - share(less));
    share(more) - share(less) - spread
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_mean(samples: &[f64], value: f64, error: f64) {
        let mut mean = Mean::default();
        samples.iter().for_each(|sample| mean.add(*sample));
        let got = mean.estimate();
        let close = |got: f64, want: f64| got == want || (got - want).abs() < 1e-9;
        assert!(close(got.value, value) && close(got.error, error), "{got:?}");
    }

    #[test]
    fn a_mean_says_how_sure_it_is() {
        check_mean(&[], 0.0, f64::INFINITY);
        check_mean(&[0.5], 0.5, f64::INFINITY);
        check_mean(&[0.3, 0.3, 0.3], 0.3, 0.0);
        check_mean(&[0.0, 1.0], 0.5, 0.5);
        check_mean(&[1.0, 2.0, 3.0, 4.0], 2.5, (5.0 / 12.0_f64).sqrt());
    }

    #[track_caller]
    fn check_share(some: u64, all: u64, low: f64, high: f64) {
        let got = range_of_share(some, all);
        let close = (got.0 - low).abs() < 5e-4 && (got.1 - high).abs() < 5e-4;
        assert!(close, "{got:?}");
    }

    #[test]
    fn a_share_of_few_is_not_known_well() {
        check_share(0, 0, 0.0, 1.0);
        check_share(0, 1, 0.0, 0.8);
        check_share(1, 1, 0.2, 1.0);
        check_share(0, 1000, 0.0, 0.004);
        check_share(50, 100, 0.4019, 0.5981);
    }

    #[track_caller]
    fn check_difference(more: (u64, u64), less: (u64, u64), want: std::ops::Range<f64>) {
        let got = least_difference(more, less);
        assert!(want.contains(&got), "{got}");
    }

    #[test]
    fn a_few_failures_are_no_difference() {
        check_difference((1, 1), (0, 1000), 0.15..0.25);
        check_difference((2, 400), (0, 4000), -0.01..0.01);
        check_difference((10, 100), (10, 100), -0.2..0.0);
        check_difference((30, 100), (1, 1000), 0.2..0.25);
        check_difference((30, 100), (0, 0), -1.0..0.0);
    }
}
