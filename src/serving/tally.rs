//! What is known of a version beside the live one: sums of what both made of the same requests, and of what each took.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use crate::{
    ids::Version,
    serving::{
        estimate::{Estimate, Mean},
        kendall::{kendall_tau, top_k_overlap},
        latencies::Latencies,
        shift::Shift,
    },
};

/// One of the two that are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The live version.
    Baseline,
    /// The version that is tried.
    Version,
}

/// What became of a request at one of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It was scored, in so long without waiting.
    Scored(Duration),
    /// It failed.
    Failed,
}

/// The scores that both gave to one request, each with the candidate's position, in the order of positions.
#[derive(Debug, Clone, Copy)]
pub struct Pair<'a> {
    /// Those of the live version.
    pub baseline: &'a [(u32, f32)],
    /// Those of the version that is tried.
    pub version: &'a [(u32, f32)],
}

/// What is known of a version beside the live one, kept up to date by requests.
///
/// It begins anew where another version has become the live one.
#[derive(Debug)]
pub struct Tally {
    top_k: usize,
    sums: Mutex<Sums>,
}

#[derive(Debug)]
struct Sums {
    baseline: Option<Version>,
    since: Instant,
    skipped: u64,
    kendall_tau: Mean,
    top_k_overlap: Mean,
    shift: Shift,
    sides: [Served; 2],
    /// By who was shown.
    rewards: [Mean; 2],
}

#[derive(Debug, Default)]
struct Served {
    scored: u64,
    failed: u64,
    latencies: Latencies,
}

/// What is known at a moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Evidence {
    /// The live version; none before the first request.
    pub baseline: Option<Version>,
    /// How long it has been gathered.
    pub elapsed: Duration,
    /// Requests that both have scored.
    pub requests: u64,
    /// Requests that were to be scored by both and were not.
    pub skipped: u64,
    /// The mean Kendall tau.
    pub kendall_tau: Estimate,
    /// The mean share of first places in common.
    pub top_k_overlap: Estimate,
    /// The population stability index.
    pub psi: Estimate,
    /// Items that users took.
    pub rewards: u64,
    /// How much more the version's orders are worth than the live one's, by what users took.
    pub reward: Estimate,
    /// How the live version did.
    pub baseline_side: SideEvidence,
    /// How the version did that is tried.
    pub version_side: SideEvidence,
}

/// How one of the two did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SideEvidence {
    /// Requests that it had, those that failed included.
    pub requests: u64,
    /// Requests that failed.
    pub failed: u64,
    /// The 95th percentile of its time to score one.
    pub p95: Duration,
    /// That percentile, as low and as high as it may well be.
    pub p95_range: (Duration, Duration),
}

impl SideEvidence {
    /// The share of its requests that failed.
    pub fn error_rate(&self) -> f64 {
        self.failed as f64 / (self.requests as f64).max(1.0)
    }
}

impl Sums {
    fn new(baseline: Option<Version>) -> Self {
        Self {
            baseline,
            since: Instant::now(),
            skipped: 0,
            kendall_tau: Mean::default(),
            top_k_overlap: Mean::default(),
            shift: Shift::default(),
            sides: Default::default(),
            rewards: Default::default(),
        }
    }
}

impl Tally {
    /// Begins with nothing; the first `top_k` places will be compared.
    pub fn new(top_k: usize) -> Self {
        Self { top_k, sums: Mutex::new(Sums::new(None)) }
    }

    /// How many places are compared.
    pub fn top_k(&self) -> usize {
        self.top_k
    }

    fn sums(&self, baseline: Version) -> MutexGuard<'_, Sums> {
        let mut sums = self.sums.lock().unwrap_or_else(PoisonError::into_inner);
        if sums.baseline != Some(baseline) {
            *sums = Sums::new(Some(baseline));
        }
        sums
    }

    /// Notes what became of a request at one of the two.
    pub fn note(&self, baseline: Version, side: Side, outcome: Outcome) {
        let mut sums = self.sums(baseline);
        let served = &mut sums.sides[side as usize];
        match outcome {
            Outcome::Scored(time) => {
                served.scored += 1;
                served.latencies.add(time);
            }
            Outcome::Failed => served.failed += 1,
        }
    }

    /// Notes that a request was not scored by both that was to be.
    pub fn skip(&self, baseline: Version) {
        self.sums(baseline).skipped += 1;
    }

    /// Compares what both made of a request; one of which the live version scored fewer than two candidates says nothing.
    ///
    /// The orders are compared over the candidates that both scored. Where those are fewer than two, the orders have nothing in common.
    pub fn compare(&self, baseline: Version, pair: Pair<'_>) {
        let Some(overlap) = top_k_overlap(pair.baseline, pair.version, self.top_k) else { return };
        if pair.baseline.len() < 2 {
            return;
        }
        let (of_baseline, of_version) = common(pair);
        let tau = kendall_tau(&of_baseline, &of_version).unwrap_or(0.0);
        let mut sums = self.sums(baseline);
        sums.kendall_tau.add(tau);
        sums.top_k_overlap.add(overlap);
        sums.shift.add(&of_baseline, &of_version);
    }

    /// Notes that a user took an item, which the version's order has further in front by so much; `shown` is who had ordered what they saw.
    pub fn reward(&self, baseline: Version, shown: Side, difference: f64) {
        self.sums(baseline).rewards[shown as usize].add(difference);
    }

    /// What is known now.
    pub fn evidence(&self) -> Evidence {
        let sums = self.sums.lock().unwrap_or_else(PoisonError::into_inner);
        let side = |side: Side| {
            let served = &sums.sides[side as usize];
            SideEvidence {
                requests: served.scored + served.failed,
                failed: served.failed,
                p95: served.latencies.quantile(0.95),
                p95_range: served.latencies.range_of_p95(),
            }
        };
        Evidence {
            baseline: sums.baseline,
            elapsed: sums.since.elapsed(),
            requests: sums.kendall_tau.count(),
            skipped: sums.skipped,
            kendall_tau: sums.kendall_tau.estimate(),
            top_k_overlap: sums.top_k_overlap.estimate(),
            psi: sums.shift.estimate(),
            rewards: sums.rewards.iter().map(Mean::count).sum(),
            reward: reward(&sums.rewards),
            baseline_side: side(Side::Baseline),
            version_side: side(Side::Version),
        }
    }
}

/// The mean over what was taken of both orders: people take what they are shown first, whoever showed it, so that each of the two counts the
/// same however many users it has. Of a version that nobody was shown there is the one mean, which favours the live version.
fn reward(by_shown: &[Mean; 2]) -> Estimate {
    let [live, version] = by_shown.map(|mean| mean.estimate());
    match by_shown.map(|mean| mean.count()) {
        [_, 0] => live,
        [0, _] => version,
        _ => Estimate {
            value: (live.value + version.value) / 2.0,
            error: live.error.hypot(version.error) / 2.0,
        },
    }
}

/// The scores of the candidates that both scored.
fn common(pair: Pair<'_>) -> (Vec<f32>, Vec<f32>) {
    let mut others = pair.version.iter().peekable();
    let both = pair.baseline.iter().filter_map(|(at, score)| {
        while others.next_if(|(other, _)| other < at).is_some() {}
        others.next_if(|(other, _)| other == at).map(|(_, other)| (*score, *other))
    });
    both.unzip()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIVE: Version = Version(1);

    fn scored(scores: &[f32]) -> Vec<(u32, f32)> {
        (0..).zip(scores.iter().copied()).collect()
    }

    #[track_caller]
    fn check(baseline: &[(u32, f32)], version: &[(u32, f32)], want: Option<(f64, f64)>) {
        let tally = Tally::new(2);
        tally.compare(LIVE, Pair { baseline, version });
        let got = tally.evidence();
        let got = (got.requests > 0).then_some((got.kendall_tau.value, got.top_k_overlap.value));
        assert_eq!(got, want);
    }

    #[test]
    fn orders_are_compared_over_what_both_scored() {
        let live = scored(&[4.0, 3.0, 2.0, 1.0]);
        check(&live, &live, Some((1.0, 1.0)));
        check(&live, &scored(&[1.0, 2.0, 3.0, 4.0]), Some((-1.0, 0.0)));
        check(&live, &[(0, 4.0), (3, 1.0)], Some((1.0, 0.5)));
        check(&[(0, 4.0), (3, 1.0)], &live, Some((1.0, 0.5)));
        check(&live, &[], Some((0.0, 0.0)));
        check(&live, &[(2, 1.0)], Some((0.0, 0.0)));
        check(&live[..1], &live, None);
        check(&[], &live, None);
    }

    #[test]
    fn what_was_taken_of_either_order_counts_the_same() {
        let tally = Tally::new(10);
        for _ in 0..90 {
            tally.reward(LIVE, Side::Baseline, -0.5);
        }
        assert_eq!(tally.evidence().reward, Estimate { value: -0.5, error: 0.0 });
        tally.reward(LIVE, Side::Version, 0.5);
        assert_eq!(tally.evidence().reward.error, f64::INFINITY);
        tally.reward(LIVE, Side::Version, 0.5);
        let got = tally.evidence();
        assert_eq!((got.rewards, got.reward), (92, Estimate { value: 0.0, error: 0.0 }));
        tally.reward(LIVE, Side::Version, 1.1);
        assert!((tally.evidence().reward.error - 0.1).abs() < 1e-9);
    }

    #[test]
    fn it_begins_anew_beside_another_live_version() {
        let tally = Tally::new(10);
        let pair = Pair { baseline: &scored(&[1.0, 2.0]), version: &scored(&[1.0, 2.0]) };
        tally.compare(LIVE, pair);
        tally.skip(LIVE);
        tally.note(LIVE, Side::Version, Outcome::Failed);
        tally.note(LIVE, Side::Baseline, Outcome::Scored(Duration::from_millis(3)));
        let got = tally.evidence();
        assert_eq!((got.requests, got.skipped, got.baseline), (1, 1, Some(LIVE)));
        let (live, version) = (got.baseline_side, got.version_side);
        assert_eq!((live.requests, live.failed, version.requests, version.failed), (1, 0, 1, 1));
        assert_eq!(version.error_rate(), 1.0);
        tally.skip(Version(2));
        let got = tally.evidence();
        assert_eq!((got.requests, got.skipped, got.baseline), (0, 1, Some(Version(2))));
        assert_eq!(
            got.version_side,
            SideEvidence { p95_range: got.version_side.p95_range, ..SideEvidence::default() }
        );
    }
}
