//! Which lengths may share a batch.

/// Steps from one power of two to the next, where no bounds are given: a unit is padded by an eighth of its length at most.
const STEPS: usize = 8;

/// Upper bounds of lengths that may share a batch.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Buckets(Vec<usize>);

impl Buckets {
    /// Takes bounds in any order; without any, each power of two and seven steps between it and the next are one.
    pub fn new(bounds: &[usize]) -> Self {
        let mut bounds = bounds.to_vec();
        bounds.sort_unstable();
        bounds.dedup();
        Self(bounds)
    }

    /// The bounds of all lengths up to the longest, which is the last one.
    pub fn bounds_up_to(&self, longest: usize) -> Vec<usize> {
        let longest = longest.max(1);
        let next = |bound: &usize| (*bound < longest).then(|| self.bound(*bound + 1).min(longest));
        std::iter::successors(Some(self.bound(1).min(longest)), next).collect()
    }

    /// The least bound that a length fits under; beyond the last given one, the steps go on.
    pub(super) fn bound(&self, length: usize) -> usize {
        let at = self.0.partition_point(|bound| *bound < length);
        self.0.get(at).copied().unwrap_or_else(|| {
            let step = (length.max(1).next_power_of_two() / 2 / STEPS).max(1);
            length.max(1).next_multiple_of(step)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(bounds: &[usize], length: usize, want: usize) {
        assert_eq!(Buckets::new(bounds).bound(length), want);
    }

    #[test]
    fn a_length_fits_under_the_next_bound() {
        check(&[64, 16], 1, 16);
        check(&[64, 16], 16, 16);
        check(&[64, 16], 17, 64);
        check(&[64, 16], 65, 72);
    }

    #[test]
    fn without_bounds_at_most_an_eighth_is_padding() {
        check(&[], 0, 1);
        check(&[], 1, 1);
        check(&[], 16, 16);
        check(&[], 17, 18);
        check(&[], 33, 36);
        check(&[], 128, 128);
        for length in 1..3000 {
            let bound = Buckets::default().bound(length);
            assert!(bound >= length && (bound - length) * 8 <= length, "{length}: {bound}");
            assert_eq!(Buckets::default().bound(bound), bound, "a bound is its own");
        }
    }
}
