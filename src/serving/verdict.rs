//! What guard rails say of a version: a pure function of what is known of it.

use std::time::Duration;

use crate::{
    repository::GuardRails,
    serving::{
        comparison::Verdict,
        estimate::{Estimate, least_difference},
        tally::Evidence,
    },
};

/// Fewer failures than that are an accident.
const SOME_FAILURES: u64 = 5;

/// Shorter times count as this long: below it a ratio tells of the machine, and nobody waits for it.
const SHORT: Duration = Duration::from_millis(1);

/// How a rail is kept.
enum Kept {
    Yes,
    /// It may as well be broken; with what is said of that.
    Unclear(String),
    No(String),
}

/// What the rails say.
///
/// A rail is broken where the value would break it even if it were two standard errors better, and kept where the value itself keeps it;
/// in between more requests have to tell. Errors alone are judged before `min_requests`.
pub fn verdict(evidence: &Evidence, rails: &GuardRails) -> Verdict {
    let after = format!("after {} requests", evidence.requests);
    let errors = errors(evidence, rails);
    if let Kept::No(wrong) = &errors {
        return Verdict::Fails(format!(
            "{wrong} after {} requests",
            evidence.version_side.requests
        ));
    }
    if evidence.requests < rails.min_requests {
        let compared = format!("{} of {} requests compared", evidence.requests, rails.min_requests);
        return Verdict::Waits(compared);
    }
    let tau = at_least("kendall_tau", evidence.kendall_tau, rails.min_kendall_tau);
    let overlap = at_least("top_k_overlap", evidence.top_k_overlap, rails.min_top_k_overlap);
    let psi = at_most("psi", evidence.psi, rails.max_psi);
    let all = [tau, overlap, psi, latency(evidence, rails), errors, reward(evidence, rails)];
    let (mut wrong, mut unclear) = (Vec::new(), Vec::new());
    for kept in all {
        match kept {
            Kept::Yes => {}
            Kept::Unclear(told) => unclear.push(told),
            Kept::No(told) => wrong.push(told),
        }
    }
    if !wrong.is_empty() {
        return Verdict::Fails(format!("{} {after}", wrong.join(", ")));
    }
    if !unclear.is_empty() {
        return Verdict::Waits(format!("{} {after}", unclear.join(", ")));
    }
    match rails.min_time.saturating_sub(evidence.elapsed) {
        Duration::ZERO => Verdict::Passes,
        left => {
            Verdict::Waits(format!("it keeps to all rails, and has {} s left", left.as_secs() + 1))
        }
    }
}

fn at_least(what: &str, got: Estimate, least: f64) -> Kept {
    match () {
        () if got.value >= least => Kept::Yes,
        () if got.at_most() < least => {
            Kept::No(format!("{what} {:.2} is below {least}", got.value))
        }
        () => Kept::Unclear(near(what, got, least)),
    }
}

fn at_most(what: &str, got: Estimate, most: f64) -> Kept {
    match () {
        () if got.value <= most => Kept::Yes,
        () if got.at_least() > most => Kept::No(format!("{what} {:.2} is above {most}", got.value)),
        () => Kept::Unclear(near(what, got, most)),
    }
}

fn near(what: &str, got: Estimate, rail: f64) -> String {
    format!("{what} {:.2} ± {:.2} is too near to {rail}", got.value, got.error)
}

/// Whether it fails more often than the live version.
fn errors(evidence: &Evidence, rails: &GuardRails) -> Kept {
    let (version, live) = (&evidence.version_side, &evidence.baseline_side);
    let (rate, live_rate, most) = (version.error_rate(), live.error_rate(), rails.max_error_rate);
    let least = least_difference((version.failed, version.requests), (live.failed, live.requests));
    let told = |how: &str| {
        format!(
            "error_rate {rate:.3} is {how} more than {most} above that of the live version, {live_rate:.3},"
        )
    };
    match () {
        () if version.failed >= SOME_FAILURES && least > most => Kept::No(format!(
            "error_rate {rate:.3} is more than {most} above {live_rate:.3}, that of the live version,"
        )),
        () if rate - live_rate <= most => Kept::Yes,
        () => Kept::Unclear(told("maybe")),
    }
}

/// Whether users take what it has in front, where that is asked for. Takings are few: the rail is kept where two standard errors less keep it.
fn reward(evidence: &Evidence, rails: &GuardRails) -> Kept {
    let Some(least) = rails.min_reward_difference else { return Kept::Yes };
    let (got, taken) = (evidence.reward, evidence.rewards);
    match () {
        () if got.at_least() >= least => Kept::Yes,
        () if got.at_most() < least => Kept::No(format!(
            "reward_difference {:.3} by {taken} events is below {least}",
            got.value
        )),
        () => Kept::Unclear(format!(
            "reward_difference {:.3} ± {:.3} by {taken} events is too near to {least}",
            got.value, got.error
        )),
    }
}

/// Whether it takes longer than the live version.
fn latency(evidence: &Evidence, rails: &GuardRails) -> Kept {
    let (version, live) = (&evidence.version_side, &evidence.baseline_side);
    let most = |live: Duration| live.max(SHORT).as_secs_f64() * rails.max_latency_ratio;
    let told = format!(
        "the 95th percentile of latency, {:.1} ms, is more than {} times {:.1} ms, that of the live version,",
        version.p95.as_secs_f64() * 1e3,
        rails.max_latency_ratio,
        live.p95.as_secs_f64() * 1e3,
    );
    match () {
        () if version.p95.as_secs_f64() <= most(live.p95) => Kept::Yes,
        () if version.p95_range.0.as_secs_f64() > most(live.p95_range.1) => Kept::No(told),
        () => Kept::Unclear(told.replace("is more", "is maybe more")),
    }
}

#[cfg(test)]
mod tests {
    use crate::{ids::Version, serving::tally::SideEvidence};

    use super::*;

    fn side(requests: u64, failed: u64, p95_ms: u64) -> SideEvidence {
        let ms = Duration::from_millis;
        let range = (ms(p95_ms * 9 / 10), ms(p95_ms * 11 / 10));
        SideEvidence { requests, failed, p95: ms(p95_ms), p95_range: range }
    }

    fn sure(value: f64) -> Estimate {
        Estimate { value, error: 0.02 }
    }

    /// One that keeps to all rails.
    fn good() -> Evidence {
        Evidence {
            baseline: Some(Version(1)),
            elapsed: Duration::from_secs(60),
            requests: 200,
            skipped: 0,
            kendall_tau: sure(0.8),
            top_k_overlap: sure(0.9),
            psi: sure(0.1),
            rewards: 0,
            reward: Estimate::UNKNOWN,
            baseline_side: side(1000, 2, 20),
            version_side: side(300, 0, 22),
        }
    }

    #[track_caller]
    fn check(change: impl FnOnce(&mut Evidence, &mut GuardRails), want: &str) {
        let (mut evidence, mut rails) = (good(), GuardRails::default());
        change(&mut evidence, &mut rails);
        let got = match verdict(&evidence, &rails) {
            Verdict::Passes => "passes".to_owned(),
            Verdict::Waits(why) => format!("waits: {why}"),
            Verdict::Fails(why) => format!("fails: {why}"),
        };
        assert!(got.starts_with(want), "{got}");
    }

    #[test]
    fn what_keeps_to_all_rails_passes_when_its_time_is_up() {
        check(|_, _| {}, "passes");
        check(|_, rails| rails.min_time = Duration::from_secs(60), "passes");
        check(
            |_, rails| rails.min_time = Duration::from_secs(90),
            "waits: it keeps to all rails, and has 31 s left",
        );
        check(|seen, _| seen.requests = 199, "waits: 199 of 200 requests compared");
    }

    #[test]
    fn a_rail_is_broken_where_two_standard_errors_do_not_save_it() {
        check(
            |seen, _| seen.kendall_tau = sure(0.31),
            "fails: kendall_tau 0.31 is below 0.6 after 200 requests",
        );
        check(
            |seen, _| seen.kendall_tau = sure(0.57),
            "waits: kendall_tau 0.57 ± 0.02 is too near to 0.6",
        );
        check(|seen, _| seen.kendall_tau = sure(0.6), "passes");
        check(
            |seen, _| seen.kendall_tau = Estimate { value: 0.1, error: f64::INFINITY },
            "waits: kendall_tau",
        );
        check(|seen, _| seen.top_k_overlap = sure(0.45), "fails: top_k_overlap 0.45 is below 0.5");
        check(|seen, _| seen.top_k_overlap = sure(0.47), "waits: top_k_overlap");
        check(|seen, _| seen.psi = sure(0.3), "fails: psi 0.30 is above 0.25");
        check(|seen, _| seen.psi = sure(0.27), "waits: psi");
        check(
            |seen, _| (seen.kendall_tau, seen.psi) = (sure(-0.5), sure(3.0)),
            "fails: kendall_tau -0.50 is below 0.6, psi 3.00 is above 0.25 after 200 requests",
        );
        check(|seen, rails| (seen.psi, rails.max_psi) = (sure(3.0), 5.0), "passes");
    }

    #[test]
    fn a_worse_order_is_not_judged_before_there_are_enough_requests() {
        check(|seen, _| (seen.kendall_tau, seen.requests) = (sure(-1.0), 199), "waits: 199");
    }

    #[test]
    fn errors_are_judged_at_once_and_by_more_than_an_accident() {
        let early = |failed: u64, all: u64| {
            move |seen: &mut Evidence, _: &mut GuardRails| {
                (seen.requests, seen.version_side) = (0, side(all, failed, 20));
            }
        };
        check(early(5, 5), "fails: error_rate 1.000 is more than 0.01 above 0.002");
        check(early(4, 4), "waits: 0 of 200");
        check(early(6, 600), "waits: 0 of 200");
        check(early(60, 600), "fails: error_rate 0.100");
        check(|seen, _| seen.version_side.failed = 5, "waits: error_rate 0.017 is maybe");
        check(|seen, _| seen.baseline_side.failed = 500, "passes");
        check(
            |seen, _| (seen.version_side.failed, seen.baseline_side.failed) = (150, 500),
            "passes",
        );
        check(
            |seen, _| (seen.version_side, seen.baseline_side) = (side(9, 9, 1), side(0, 0, 1)),
            "waits: error_rate",
        );
    }

    #[test]
    fn what_users_take_is_judged_where_that_is_asked_for() {
        let seen = |value: f64, rail: Option<f64>| {
            move |seen: &mut Evidence, rails: &mut GuardRails| {
                (seen.reward, seen.rewards) = (sure(value), 50);
                rails.min_reward_difference = rail;
            }
        };
        check(seen(-1.0, None), "passes");
        check(seen(0.05, Some(0.0)), "passes");
        check(seen(0.03, Some(0.0)), "waits: reward_difference 0.030 ± 0.020 by 50 events");
        check(seen(-0.03, Some(0.0)), "waits: reward_difference -0.030");
        check(seen(-0.05, Some(0.0)), "fails: reward_difference -0.050 by 50 events is below 0");
        check(seen(-0.05, Some(-0.1)), "passes");
        check(
            |_, rails| rails.min_reward_difference = Some(-0.1),
            "waits: reward_difference 0.000",
        );
    }

    #[test]
    fn time_is_judged_by_its_ratio_where_it_is_long_enough_to_matter() {
        check(|seen, _| seen.version_side.p95 = Duration::from_millis(40), "passes");
        check(|seen, _| seen.version_side = side(300, 0, 60), "fails: the 95th percentile");
        check(|seen, _| seen.version_side = side(300, 0, 42), "waits: the 95th percentile");
        let us = |us: u64| SideEvidence {
            p95: Duration::from_micros(us),
            p95_range: (Duration::from_micros(us), Duration::from_micros(us)),
            ..side(300, 0, 0)
        };
        check(|seen, _| (seen.baseline_side, seen.version_side) = (us(100), us(900)), "passes");
        check(
            |seen, _| (seen.baseline_side, seen.version_side) = (us(100), us(2100)),
            "fails: the 95th",
        );
        check(
            |seen, rails| (seen.version_side, rails.max_latency_ratio) = (side(300, 0, 60), 4.0),
            "passes",
        );
    }
}
