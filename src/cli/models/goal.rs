//! Whether what was asked for has come true: pure.

use crate::{
    cli::models::words,
    transport::pb::{ModelState, ServedModel},
};

/// What is waited for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Goal {
    /// The version is loaded.
    Loaded(u64),
    /// Nothing of the version is held.
    Unloaded(u64),
    /// The version answers.
    Live(u64),
    /// The version is taken back, and this one answers; 0: another one.
    TakenBack(u64, u64),
    /// These, by version or label, are loaded.
    Targets(Vec<String>),
}

/// How far it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outlook {
    /// It may come true; with how things are.
    Waits(String),
    /// It has come true; with what is true now.
    Done(String),
    /// It will not come true; with why, and what serves instead.
    Fails(String),
}

/// How far a model is that has taken the change in.
pub(super) fn outlook(goal: &Goal, model: &ServedModel) -> Outlook {
    match goal {
        Goal::Loaded(version) => loaded(model, *version).unwrap_or_else(|| {
            Outlook::Done(format!("{}/{version} is loaded; {}", model.name, words::serves(model)))
        }),
        Goal::Unloaded(version) => unloaded(model, *version),
        Goal::Live(version) => live(model, *version),
        Goal::TakenBack(version, to) => taken_back(model, *version, *to),
        Goal::Targets(targets) => traffic(model, targets),
    }
}

/// How far a version is from being loaded; none where it is.
fn loaded(model: &ServedModel, version: u64) -> Option<Outlook> {
    let name = &model.name;
    let Some(info) = words::version(model, version) else {
        let why = format!("{name}/{version} is not in the repository any more");
        return Some(Outlook::Fails(format!("{why}; {}", words::serves(model))));
    };
    if words::is_loaded(info) {
        return None;
    }
    let state = words::state(info);
    Some(match info.state() {
        ModelState::Failed => {
            let why = &info.state_reason;
            Outlook::Fails(format!("{name}/{version} has failed: {why}\n{}", words::serves(model)))
        }
        _ if info.state_reason.is_empty() => Outlook::Waits(format!("{name}/{version} {state}")),
        _ => Outlook::Waits(format!("{name}/{version} {state}: {}", info.state_reason)),
    })
}

fn unloaded(model: &ServedModel, version: u64) -> Outlook {
    let name = &model.name;
    let info = words::version(model, version);
    let held = |state| !matches!(state, ModelState::Found | ModelState::Freed | ModelState::Failed);
    match info.filter(|info| held(info.state())) {
        Some(info) => Outlook::Waits(format!("{name}/{version} {}", words::state(info))),
        None => Outlook::Done(format!("{name}/{version} is not loaded; {}", words::serves(model))),
    }
}

fn live(model: &ServedModel, version: u64) -> Outlook {
    let name = &model.name;
    if model.live != version {
        let why = format!("somebody else has changed it meanwhile: live is {}", words::live(model));
        return Outlook::Fails(format!("{name}: {why}"));
    }
    match loaded(model, version) {
        Some(Outlook::Fails(why)) => {
            let mend = format!(
                "serving.toml says that {version} is live: `podium models rollback {name}` takes that back"
            );
            return Outlook::Fails(format!("{why}; {mend}"));
        }
        Some(waits) => return waits,
        None => {}
    }
    match (model.answering == version, model.previous) {
        (false, _) => Outlook::Waits(format!("{name}/{version} is ready and not yet live")),
        (true, 0) => Outlook::Done(format!("{name}/{version} is live")),
        (true, previous) => Outlook::Done(format!(
            "{name}/{version} is live; `podium models rollback {name}` goes back to {previous}"
        )),
    }
}

fn taken_back(model: &ServedModel, version: u64, to: u64) -> Outlook {
    let name = &model.name;
    let shares = model.split.iter().any(|share| {
        share.percent > 0.0 && words::version_of(model, &share.target) == Some(version)
    });
    let moved = if to == 0 { model.answering != version } else { model.answering == to };
    match moved && !shares {
        true => Outlook::Done(format!("{name}/{version} is taken back; {}", words::serves(model))),
        false if to == 0 => Outlook::Waits(format!("{name}/{version} still answers")),
        false => loaded(model, to).unwrap_or_else(|| {
            Outlook::Waits(format!("{name}/{version} still answers; {to} is ready"))
        }),
    }
}

fn traffic(model: &ServedModel, targets: &[String]) -> Outlook {
    for target in targets {
        let Some(version) = words::version_of(model, target) else {
            return Outlook::Waits(format!("{}: `{target}` names no version yet", model.name));
        };
        if let Some(outlook) = loaded(model, version) {
            return outlook;
        }
    }
    Outlook::Done(told(model))
}

/// Who is answered by which version.
fn told(model: &ServedModel) -> String {
    let mut lines = vec![words::serves(model)];
    for info in &model.versions {
        let traffic = words::traffic(model, info.version);
        if !traffic.is_empty() {
            lines.push(format!("{}/{}: {}", model.name, info.version, traffic.join(", ")));
        }
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use crate::transport::pb::{ModelInfo, TrafficShare};

    use super::*;

    fn model(live: u64, answering: u64, versions: &[(u64, ModelState)]) -> ServedModel {
        let info = |(version, state): &(u64, ModelState)| ModelInfo {
            version: *version,
            state: (*state).into(),
            state_reason: if *state == ModelState::Failed {
                "bad".to_owned()
            } else {
                String::new()
            },
            ..ModelInfo::default()
        };
        ServedModel {
            name: "m".to_owned(),
            versions: versions.iter().map(info).collect(),
            live,
            answering,
            ..ServedModel::default()
        }
    }

    #[track_caller]
    fn check(goal: Goal, model: &ServedModel, want: &str) {
        let got = match outlook(&goal, model) {
            Outlook::Waits(text) => format!("waits: {text}"),
            Outlook::Done(text) => format!("done: {text}"),
            Outlook::Fails(text) => format!("fails: {text}"),
        };
        assert_eq!(got, want);
    }

    use ModelState::{Draining, Failed, Found, Freed, Loading, Ready};

    #[test]
    fn a_load_ends_with_a_loaded_or_failed_version() {
        let of = |state| model(0, 1, &[(1, Ready), (2, state)]);
        check(Goal::Loaded(2), &of(Loading), "waits: m/2 loading");
        check(Goal::Loaded(2), &of(Ready), "done: m/2 is loaded; m/1 answers");
        check(Goal::Loaded(2), &of(Failed), "fails: m/2 has failed: bad\nm/1 answers");
        check(
            Goal::Loaded(3),
            &of(Ready),
            "fails: m/3 is not in the repository any more; m/1 answers",
        );
    }

    #[test]
    fn an_unload_ends_with_nothing_held() {
        let of = |state| model(0, 1, &[(1, Ready), (2, state)]);
        check(Goal::Unloaded(2), &of(Draining), "waits: m/2 draining");
        check(Goal::Unloaded(2), &of(Freed), "done: m/2 is not loaded; m/1 answers");
        check(Goal::Unloaded(2), &of(Found), "done: m/2 is not loaded; m/1 answers");
    }

    #[test]
    fn a_promotion_ends_when_the_version_answers() {
        let of = |answering, state| model(2, answering, &[(1, Ready), (2, state)]);
        check(Goal::Live(2), &of(1, Loading), "waits: m/2 loading");
        check(Goal::Live(2), &of(1, Ready), "waits: m/2 is ready and not yet live");
        check(Goal::Live(2), &of(2, Ready), "done: m/2 is live");
        check(
            Goal::Live(2),
            &of(1, Failed),
            "fails: m/2 has failed: bad\nm/1 answers; serving.toml says that 2 is live: `podium models rollback m` takes that back",
        );
        let other = model(1, 1, &[(1, Ready), (2, Ready)]);
        check(Goal::Live(2), &other, "fails: m: somebody else has changed it meanwhile: live is 1");
        let back = ServedModel { previous: 1, ..of(2, Ready) };
        check(Goal::Live(2), &back, "done: m/2 is live; `podium models rollback m` goes back to 1");
    }

    #[test]
    fn a_rollback_ends_when_another_version_answers() {
        let of = |answering, state| model(0, answering, &[(1, state), (2, Ready)]);
        check(Goal::TakenBack(2, 1), &of(2, Loading), "waits: m/1 loading");
        check(Goal::TakenBack(2, 1), &of(1, Ready), "done: m/2 is taken back; m/1 answers");
        check(Goal::TakenBack(2, 0), &of(2, Ready), "waits: m/2 still answers");
        check(Goal::TakenBack(2, 0), &of(1, Ready), "done: m/2 is taken back; m/1 answers");
        let mut split = of(1, Ready);
        split.split.push(TrafficShare { target: "2".to_owned(), percent: 10.0 });
        check(Goal::TakenBack(2, 0), &split, "waits: m/2 still answers");
    }

    #[test]
    fn traffic_waits_for_all_that_it_goes_to() {
        let mut of = model(0, 1, &[(1, Ready), (2, Loading)]);
        let goal =
            |targets: &[&str]| Goal::Targets(targets.iter().map(|t| (*t).to_owned()).collect());
        check(goal(&["2"]), &of, "waits: m/2 loading");
        check(goal(&["canary"]), &of, "waits: m: `canary` names no version yet");
        of.versions[1].labels.push("canary".to_owned());
        of.versions[1].state = Ready.into();
        of.split.push(TrafficShare { target: "canary".to_owned(), percent: 10.0 });
        check(goal(&["canary"]), &of, "done: m/1 answers\nm/2: 10% of users");
        of.split.clear();
        check(goal(&[]), &of, "done: m/1 answers");
    }
}
