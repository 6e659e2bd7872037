//! How far the scores of one version have shifted from those of another.

use crate::serving::estimate::Estimate;

/// Bins that hold equal shares of the baseline's scores.
const BINS: usize = 10;

/// The bins are fixed after so many scores of the baseline, or after so many requests; until then they move with what is there.
const FIRST_SCORES: usize = 2000;
const FIRST_REQUESTS: usize = 50;

/// Scores of a request that are counted; the first ones of a longer one.
const MOST_SCORES: usize = 1000;

/// Requests go round these groups; what each of them would change tells how sure the whole is.
const GROUPS: usize = 16;

/// Added to each count, so that an empty bin is a small share and not none.
const SMOOTHING: f64 = 0.5;

/// Scores in bins, for the baseline and for the version.
type Counts = [Vec<u64>; 2];

/// The scores of a version beside those of its baseline; its size is bounded.
#[derive(Debug, Clone, Default)]
pub struct Shift {
    requests: usize,
    /// Scores with their group, until the bins are fixed.
    first: [Vec<(usize, f32)>; 2],
    /// The lower ends of all bins but the lowest, once they are fixed.
    edges: Option<Vec<f32>>,
    groups: Vec<Counts>,
}

impl Shift {
    /// Takes in what both made of one request.
    pub fn add(&mut self, baseline: &[f32], version: &[f32]) {
        let group = self.requests % GROUPS;
        self.requests += 1;
        let both = [baseline, version];
        match &self.edges {
            Some(edges) => {
                for (side, scores) in both.into_iter().enumerate() {
                    count(edges, scores, &mut self.groups[group][side]);
                }
            }
            None => {
                for (first, scores) in self.first.iter_mut().zip(both) {
                    first.extend(scores.iter().take(MOST_SCORES).map(|score| (group, *score)));
                }
                if self.first[0].len() >= FIRST_SCORES || self.requests >= FIRST_REQUESTS {
                    let (edges, groups) = self.binned();
                    (self.edges, self.groups) = (Some(edges), groups);
                    self.first = Default::default();
                }
            }
        }
    }

    /// The population stability index: the sum over all bins of (p - q) ln(p / q), p and q being the shares that the version and the
    /// baseline have in a bin. 0 is no shift, above 0.25 is commonly taken for a large one.
    ///
    /// Its standard error is that of the jackknife over groups of requests, by which its bias is taken off as well: candidates of one
    /// request are no independent samples. The bins are taken for given.
    ///
    /// Source: N. Siddiqi, "Credit Risk Scorecards" (2006), for the index; B. Efron and C. Stein, "The jackknife estimate of variance",
    /// Annals of Statistics 9 (1981), for the error.
    pub fn estimate(&self) -> Estimate {
        let provisional;
        let groups = match &self.edges {
            Some(_) => &self.groups,
            None => {
                provisional = self.binned().1;
                &provisional
            }
        };
        let all = index(groups.iter());
        let without = |left_out: usize| {
            let others = groups.iter().enumerate().filter(move |(at, _)| *at != left_out);
            index(others.map(|(_, counts)| counts))
        };
        if self.requests < GROUPS {
            return Estimate { value: all, ..Estimate::UNKNOWN };
        }
        let count = GROUPS as f64;
        let parts: Vec<f64> = (0..GROUPS).map(without).collect();
        let mean = parts.iter().sum::<f64>() / count;
        let squares: f64 = parts.iter().map(|part| (part - mean).powi(2)).sum();
        let value = (count * all - (count - 1.0) * mean).max(0.0);
        Estimate { value, error: ((count - 1.0) / count * squares).sqrt() }
    }

    /// The bins that the first scores make, and these in them.
    fn binned(&self) -> (Vec<f32>, Vec<Counts>) {
        let [baseline, version] = &self.first;
        let edges = edges(baseline.iter().map(|(_, score)| *score).collect());
        let empty = || vec![0; edges.len() + 1];
        let mut groups: Vec<Counts> = (0..GROUPS).map(|_| [empty(), empty()]).collect();
        for (side, scores) in [baseline, version].into_iter().enumerate() {
            for (group, score) in scores {
                count(&edges, &[*score], &mut groups[*group][side]);
            }
        }
        (edges, groups)
    }
}

/// The lower ends of bins that share the scores out evenly; a score that fills more than one bin has one of its own.
fn edges(mut scores: Vec<f32>) -> Vec<f32> {
    scores.sort_unstable_by(f32::total_cmp);
    let mut edges: Vec<f32> = Vec::new();
    for bin in 1..BINS {
        let Some(&edge) = scores.get(scores.len() * bin / BINS) else { break };
        match edges.last() {
            Some(last) if *last >= edge => edges.push(last.max(edge.next_up())),
            _ => edges.push(edge),
        }
    }
    edges.dedup();
    edges
}

fn count(edges: &[f32], scores: &[f32], counts: &mut [u64]) {
    for score in scores.iter().take(MOST_SCORES) {
        counts[edges.partition_point(|edge| edge <= score)] += 1;
    }
}

fn index<'a>(groups: impl Iterator<Item = &'a Counts> + Clone) -> f64 {
    let bins = groups.clone().next().map_or(0, |counts| counts[0].len());
    let of = |side: usize, bin: usize| -> f64 {
        groups.clone().map(|counts| counts[side][bin]).sum::<u64>() as f64 + SMOOTHING
    };
    let whole = |side: usize| -> f64 { (0..bins).map(|bin| of(side, bin)).sum() };
    let (in_baseline, in_version) = (whole(0), whole(1));
    let part = |bin: usize| {
        let (q, p) = (of(0, bin) / in_baseline, of(1, bin) / in_version);
        (p - q) * (p / q).ln()
    };
    (0..bins).map(part).sum()
}

#[cfg(test)]
mod tests {
    use rand::{SeedableRng, rngs::StdRng};
    use rand_distr::{Distribution, Normal};

    use super::*;

    const REPETITIONS: usize = 60;

    /// Requests of so many candidates, whose baseline scores are normal and whose others are moved by `by`.
    fn shifted(requests: usize, candidates: usize, by: f32) -> Shift {
        let mut random = StdRng::seed_from_u64(7);
        let normal = Normal::new(0.0_f32, 1.0).unwrap();
        let mut shift = Shift::default();
        for _ in 0..requests {
            let baseline: Vec<f32> = (0..candidates).map(|_| normal.sample(&mut random)).collect();
            let version: Vec<f32> = baseline.iter().map(|score| score + by).collect();
            shift.add(&baseline, &version);
        }
        shift
    }

    #[track_caller]
    fn check(shift: &Shift, want: std::ops::Range<f64>) {
        let got = shift.estimate();
        assert!(want.contains(&got.value), "{got:?}");
    }

    #[test]
    fn the_same_scores_have_not_shifted() {
        check(&shifted(20, 30, 0.0), 0.0..1e-9);
        check(&shifted(400, 100, 0.0), 0.0..1e-9);
    }

    #[test]
    fn a_shift_of_normal_scores_is_about_its_square() {
        // The index of two normal distributions is the square of their distance, over infinitely many bins.
        check(&shifted(400, 100, 0.5), 0.2..0.26);
        check(&shifted(400, 100, 1.0), 0.8..1.05);
        assert!(shifted(400, 100, 0.5).estimate().error < 0.02);
    }

    #[test]
    fn little_is_known_of_few_requests() {
        assert_eq!(Shift::default().estimate().error, f64::INFINITY);
        assert_eq!(shifted(10, 50, 1.0).estimate().error, f64::INFINITY);
        let (few, many) = (shifted(20, 5, 0.5).estimate(), shifted(2000, 5, 0.5).estimate());
        assert!(few.error > 4.0 * many.error, "{few:?} {many:?}");
    }

    #[test]
    fn its_error_is_that_of_independent_repetitions() {
        let mut random = StdRng::seed_from_u64(11);
        let normal = Normal::new(0.0_f32, 1.0).unwrap();
        let mut once = || {
            let mut shift = Shift::default();
            for _ in 0..200 {
                // The scores of one request hang together.
                let level = normal.sample(&mut random);
                let scores = (0..20).map(|_| level + normal.sample(&mut random));
                let baseline: Vec<f32> = scores.collect();
                let moved = baseline.iter().map(|s| s + 0.7 + 0.3 * normal.sample(&mut random));
                let version: Vec<f32> = moved.collect();
                shift.add(&baseline, &version);
            }
            shift.estimate()
        };
        let estimates: Vec<Estimate> = (0..REPETITIONS).map(|_| once()).collect();
        let mean = estimates.iter().map(|e| e.value).sum::<f64>() / REPETITIONS as f64;
        let squares: f64 = estimates.iter().map(|e| (e.value - mean).powi(2)).sum();
        let (spread, told) = (
            (squares / (REPETITIONS - 1) as f64).sqrt(),
            estimates.iter().map(|e| e.error).sum::<f64>() / REPETITIONS as f64,
        );
        assert!((0.7..1.5).contains(&(told / spread)), "{told} is told, and {spread} is so");
    }

    #[test]
    fn scores_that_are_all_the_same_have_a_bin_of_their_own() {
        let mut shift = Shift::default();
        for _ in 0..100 {
            shift.add(&[5.0; 10], &[4.0; 10]);
        }
        check(&shift, 5.0..50.0);
        let mut same = Shift::default();
        (0..100).for_each(|_| same.add(&[5.0; 10], &[5.0; 10]));
        check(&same, 0.0..1e-9);
    }

    #[test]
    fn its_size_is_bounded() {
        let mut shift = Shift::default();
        (0..100).for_each(|_| shift.add(&[0.5; 5000], &[0.5; 5000]));
        assert!(shift.first.iter().all(Vec::is_empty) && shift.groups.len() == GROUPS);
        let counted: u64 = shift.groups.iter().map(|counts| counts[0].iter().sum::<u64>()).sum();
        assert_eq!(counted, 100 * MOST_SCORES as u64);
    }
}
