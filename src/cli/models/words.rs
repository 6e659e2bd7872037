//! What is said of a model and its versions, in few words.

use crate::transport::pb::{ModelInfo, ModelState, ServedModel};

/// A version's state as people have it.
pub(super) fn state(info: &ModelInfo) -> &'static str {
    match info.state() {
        ModelState::Unspecified | ModelState::Ready => "ready",
        ModelState::Found => "found",
        ModelState::Verifying => "verifying",
        ModelState::Loading => "loading",
        ModelState::Warming => "warming",
        ModelState::Shadow => "shadow",
        ModelState::Draining => "draining",
        ModelState::Freed => "freed",
        ModelState::Failed => "failed",
    }
}

/// Whether a version can answer.
pub(super) fn is_loaded(info: &ModelInfo) -> bool {
    matches!(info.state(), ModelState::Ready | ModelState::Shadow)
}

/// The version of that number, where the model has it.
pub(super) fn version(model: &ServedModel, number: u64) -> Option<&ModelInfo> {
    model.versions.iter().find(|info| info.version == number)
}

/// The version that a number or a label names.
pub(super) fn version_of(model: &ServedModel, target: &str) -> Option<u64> {
    let labelled = || {
        let labelled = |info: &&ModelInfo| info.labels.iter().any(|label| label == target);
        model.versions.iter().find(labelled).map(|info| info.version)
    };
    target.parse().ok().or_else(labelled)
}

/// What a version is there for.
pub(super) fn roles(model: &ServedModel, number: u64) -> Vec<String> {
    let mut all = Vec::new();
    if model.answering == number {
        all.push("live".to_owned());
    } else if model.live == number {
        all.push("live once it is loaded".to_owned());
    }
    all.extend(traffic(model, number));
    if model.previous == number && number != 0 {
        all.push("previous".to_owned());
    }
    if rejection(model, number).is_some() {
        all.push("rejected".to_owned());
    }
    all
}

/// The traffic that a version gets without being live.
pub(super) fn traffic(model: &ServedModel, number: u64) -> Vec<String> {
    let names = |target: &str| version_of(model, target) == Some(number);
    let shares = model.split.iter().filter(|share| names(&share.target));
    let shares = shares.map(|share| format!("{}% of users", share.percent));
    let callers = model.callers.iter().filter(|caller| names(&caller.target));
    let callers = callers.map(|caller| format!("caller {}", caller.caller));
    let shadows = model.shadow == number && number != 0;
    let shadow = shadows.then(|| format!("shadow of {}%", model.shadow_percent));
    shares.chain(callers).chain(shadow).collect()
}

/// Why a version shall not serve.
pub(super) fn rejection(model: &ServedModel, number: u64) -> Option<&str> {
    let rejected = model.rejected.iter().find(|rejected| rejected.version == number);
    rejected.map(|rejected| rejected.reason.as_str())
}

/// What is to be known of a version: why it is in its state, and why it is rejected.
pub(super) fn note(model: &ServedModel, info: &ModelInfo) -> String {
    let reason = info.state_reason.as_str();
    match rejection(model, info.version) {
        // The state's reason is the same, in other words.
        Some(why) if reason.is_empty() || reason.contains(why) => why.to_owned(),
        Some(why) => format!("{reason}; {why}"),
        None => reason.to_owned(),
    }
}

/// Which version answers.
pub(super) fn serves(model: &ServedModel) -> String {
    match model.answering {
        0 => format!("no version of {} answers", model.name),
        version => format!("{}/{version} answers", model.name),
    }
}

/// The live version that the file names, and what comes of that.
pub(super) fn live(model: &ServedModel) -> String {
    match (model.live, model.answering) {
        (0, 0) => "latest, and none can be loaded".to_owned(),
        (0, answering) => format!("{answering} (the latest)"),
        (live, answering) if live == answering => live.to_string(),
        (live, 0) => format!("{live}, which is not loaded"),
        (live, answering) => format!("{live}, which is not loaded; {answering} answers"),
    }
}
