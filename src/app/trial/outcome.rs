//! What came of a trial, and whether the version may be loaded into the server.

use std::time::Duration;

use crate::{
    app::trial::message::Report, batching::CostTable, ids::Version, repository::VersionLimits,
};

const MIB: u64 = 1 << 20;

/// What came of a trial.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::app) enum Outcome {
    /// None was made: trials are switched off.
    Untried,
    /// It was loaded and run.
    Passed(Report),
    /// It is at fault, and this is how.
    Refused(String),
    /// It took more memory than it may.
    OutOfMemory,
    /// It took more time than it may.
    OutOfTime,
    /// The process died of a signal, with what it did when it was last heard of.
    Crashed {
        /// Such as `SIGSEGV`.
        signal: String,
        /// Such as `its graph was run`.
        stage: Option<String>,
    },
    /// The system killed the process.
    Killed,
    /// There was no trial to speak of; another one may be.
    Lost(String),
}

/// What the live version costs.
#[derive(Debug, Clone)]
pub(in crate::app) struct Live {
    /// The version.
    pub(in crate::app) version: Version,
    /// What its runs cost.
    pub(in crate::app) cost: CostTable,
}

/// Why a version is not loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::app) struct Refusal {
    /// What is wrong, and what to do.
    pub(in crate::app) reason: String,
    /// Whether the same version may well pass later.
    pub(in crate::app) later: bool,
}

/// Whether a version may be loaded into the server; with what is known of it, where it was tried.
pub(in crate::app) fn judge(
    outcome: Outcome,
    limits: &VersionLimits,
    live: Option<&Live>,
) -> Result<Option<Report>, Refusal> {
    let (most_mib, most_time) = (limits.max_memory_mib, limits.max_trial_time);
    let key = "for this model in serving.toml";
    let too_large = || {
        format!(
            "takes more memory than it may: more than the {most_mib} MiB of limits.max_memory_mib. \
             Make the graph need less, or raise the limit {key}"
        )
    };
    let wrong = match outcome {
        Outcome::Untried => return Ok(None),
        Outcome::Passed(report) if report.memory > most_mib.saturating_mul(MIB) => too_large(),
        Outcome::Passed(report) => match cost_ratio(&report, live) {
            Some((ratio, live)) if too_costly(ratio, limits.max_cost_ratio) => format!(
                "is too slow: runs of the same size take {ratio:.1} times as long as those of version {live}, which is live, \
                 and limits.max_cost_ratio allows {}. Make the graph quicker, or raise the limit {key}",
                limits.max_cost_ratio
            ),
            _ => return Ok(Some(report)),
        },
        Outcome::Refused(reason) => return Err(Refusal { reason, later: false }),
        Outcome::OutOfMemory => too_large(),
        Outcome::OutOfTime => format!(
            "did not come to an end in the {most_time:?} of limits.max_trial_time. \
             Look for a loop in the graph, or raise the limit {key}"
        ),
        Outcome::Crashed { signal, stage } => format!(
            "crashed ONNX Runtime ({signal}){}. Export the graph anew, with other operators where it crashes again",
            stage.map_or_else(String::new, |stage| format!(" while {stage}"))
        ),
        Outcome::Killed => {
            "was killed by the system (SIGKILL), most likely because memory ran out. \
                            Give the machine more memory, or make the graph need less"
                .to_owned()
        }
        Outcome::Lost(cause) => {
            let reason = format!(
                "the version cannot be tried in a process of its own: {cause}. It is tried again by itself; \
                 `models.trial = false` loads versions untried"
            );
            return Err(Refusal { reason, later: true });
        }
    };
    let reason = format!("tried in a process of its own, the version {wrong}");
    Err(Refusal { reason, later: false })
}

fn too_costly(ratio: f64, most: f64) -> bool {
    most > 0.0 && ratio > most
}

/// How many times as long as the live version's its runs take, over all sizes that both were measured at.
fn cost_ratio(report: &Report, live: Option<&Live>) -> Option<(f64, Version)> {
    let live = live?;
    let largest = live.cost.points().last()?.size;
    let known = report.cost.iter().filter(|(size, _)| *size <= largest);
    let (own, other) = known.fold((0.0, Duration::ZERO), |(own, other), (size, run_us)| {
        (own + run_us, other + live.cost.predict(*size))
    });
    let other = other.as_secs_f64() * 1e6;
    (other > 0.0).then(|| (own / other, live.version))
}

#[cfg(test)]
mod tests {
    use crate::batching::CostPoint;

    use super::*;

    fn limits(max_cost_ratio: f64) -> VersionLimits {
        let max_trial_time = Duration::from_secs(3);
        VersionLimits {
            max_memory_mib: 600,
            max_trial_time,
            max_cost_ratio,
            ..VersionLimits::default()
        }
    }

    fn passed(memory_mib: u64, cost: &[(usize, f64)]) -> Outcome {
        let report = Report { memory: memory_mib * MIB, cost: cost.to_vec(), ..Report::default() };
        Outcome::Passed(report)
    }

    #[track_caller]
    fn check(outcome: Outcome, max_cost_ratio: f64, want: Result<(), (&str, bool)>) {
        let point = |(size, run_us)| CostPoint { size, run_us };
        let cost = CostTable::new([(1, 10.0), (4, 20.0), (16, 70.0)].map(point).to_vec());
        let live = Live { version: Version(7), cost };
        let got = judge(outcome.clone(), &limits(max_cost_ratio), Some(&live));
        match (got, want) {
            (Ok(report), Ok(())) => assert_eq!(report.is_none(), outcome == Outcome::Untried),
            (Err(refusal), Err((words, later))) => {
                assert!(refusal.reason.contains(words), "{}", refusal.reason);
                assert_eq!(refusal.later, later, "{}", refusal.reason);
            }
            (got, want) => panic!("{outcome:?}: {got:?}, not {want:?}"),
        }
    }

    #[test]
    fn what_took_no_more_than_it_may_passes() {
        check(Outcome::Untried, 1.0, Ok(()));
        check(passed(600, &[]), 1.0, Ok(()));
        check(passed(601, &[]), 0.0, Err(("the 600 MiB of limits.max_memory_mib", false)));
    }

    #[test]
    fn costs_are_held_against_those_of_the_live_version_at_equal_sizes() {
        check(passed(1, &[(1, 30.0), (4, 60.0)]), 3.0, Ok(()));
        check(
            passed(1, &[(1, 31.0), (4, 60.0)]),
            3.0,
            Err(("take 3.0 times as long as those of version 7", false)),
        );
        check(passed(1, &[(1, 31.0), (4, 60.0)]), 0.0, Ok(()));
        check(passed(1, &[(1, 9.0), (16, 210.0)]), 2.5, Err(("2.7 times", false)));
        // Nothing is known of the live version at such a size.
        check(passed(1, &[(1, 10.0), (64, 1e9)]), 2.0, Ok(()));
        check(passed(1, &[]), 2.0, Ok(()));
        assert!(judge(passed(1, &[(1, 1e9)]), &limits(2.0), None).is_ok());
    }

    #[test]
    fn each_way_to_fail_is_told_in_its_own_words() {
        check(Outcome::Refused("NaN".to_owned()), 0.0, Err(("NaN", false)));
        check(Outcome::OutOfMemory, 0.0, Err(("takes more memory than it may", false)));
        check(Outcome::OutOfTime, 0.0, Err(("the 3s of limits.max_trial_time", false)));
        check(Outcome::Killed, 0.0, Err(("killed by the system", false)));
        check(Outcome::Lost("no thread".to_owned()), 0.0, Err(("cannot be tried", true)));
        let crashed = |stage: Option<&str>| Outcome::Crashed {
            signal: "SIGSEGV".to_owned(),
            stage: stage.map(str::to_owned),
        };
        check(crashed(None), 0.0, Err(("crashed ONNX Runtime (SIGSEGV).", false)));
        check(
            crashed(Some("its graph was run")),
            0.0,
            Err(("(SIGSEGV) while its graph was run", false)),
        );
    }
}
