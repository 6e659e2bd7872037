//! What has changed from one state of the models to the next, a line for each change.

use crate::{
    cli::models::{tables, words},
    transport::pb::{ListModelsResponse, ModelComparison, ServedModel},
};

/// The lines; none where nothing that is shown has changed.
pub(super) fn changes(before: &ListModelsResponse, now: &ListModelsResponse) -> Vec<String> {
    let mut lines = Vec::new();
    if before.revision != now.revision {
        lines.push(match now.revision.as_str() {
            "" => "serving.toml is gone".to_owned(),
            revision => format!("serving.toml is at revision {revision}"),
        });
    }
    if before.repository_fault != now.repository_fault {
        lines.push(match now.repository_fault.as_str() {
            "" => "the repository is right again".to_owned(),
            fault => format!("FAULT: {fault}"),
        });
    }
    let empty = ServedModel::default();
    for model in &now.models {
        let old = before.models.iter().find(|old| old.name == model.name).unwrap_or(&empty);
        of_model(old, model, &mut lines);
    }
    let gone = before.models.iter().filter(|old| !now.models.iter().any(|m| m.name == old.name));
    lines.extend(gone.map(|model| format!("{}: is gone", model.name)));
    lines.into_iter().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

fn of_model(old: &ServedModel, now: &ServedModel, lines: &mut Vec<String>) {
    let name = &now.name;
    for info in &now.versions {
        let number = info.version;
        let told = |model: &ServedModel| {
            let info = words::version(model, number)?;
            let labels = info.labels.iter().map(|label| format!("label {label}"));
            let roles: Vec<String> =
                words::roles(model, number).into_iter().chain(labels).collect();
            let mut text = words::state(info).to_owned();
            if !roles.is_empty() {
                text = format!("{text} ({})", roles.join(", "));
            }
            Some(match words::note(model, info).as_str() {
                "" => text,
                note => format!("{text}: {note}"),
            })
        };
        let (was, is) = (told(old), told(now));
        if was != is {
            lines.push(format!("{name}/{number}: {}", is.unwrap_or_default()));
        }
    }
    let gone = old.versions.iter().filter(|info| words::version(now, info.version).is_none());
    lines.extend(gone.map(|info| format!("{name}/{}: is gone", info.version)));
    for comparison in now.comparisons.iter().filter(|own| !old.comparisons.contains(own)) {
        lines.push(format!("{name}/{}", compared(comparison)));
    }
}

fn compared(comparison: &ModelComparison) -> String {
    format!(
        "{} beside {}: {} requests, kendall tau {:.3}, top-k overlap {:.3}, psi {:.3}, errors {:.2}%, guard rails: {}",
        comparison.version,
        comparison.baseline_version,
        comparison.requests,
        comparison.kendall_tau,
        comparison.top_k_overlap,
        comparison.psi,
        comparison.error_rate * 100.0,
        tables::verdict(comparison)
    )
}

#[cfg(test)]
mod tests {
    use crate::transport::pb::{ModelInfo, ModelState, TrafficShare};

    use super::*;

    fn state(answering: u64, versions: &[(u64, ModelState, &str)]) -> ListModelsResponse {
        let info = |(version, state, label): &(u64, ModelState, &str)| ModelInfo {
            version: *version,
            state: (*state).into(),
            labels: label.split_whitespace().map(str::to_owned).collect(),
            ..ModelInfo::default()
        };
        let model = ServedModel {
            name: "m".to_owned(),
            versions: versions.iter().map(info).collect(),
            answering,
            ..ServedModel::default()
        };
        ListModelsResponse { models: vec![model], ..ListModelsResponse::default() }
    }

    #[track_caller]
    fn check(before: &ListModelsResponse, now: &ListModelsResponse, want: &[&str]) {
        assert_eq!(changes(before, now), want);
        assert_eq!(changes(now, now), [""; 0]);
    }

    #[test]
    fn each_change_has_a_line() {
        use ModelState::{Draining, Found, Loading, Ready};
        let one = state(1, &[(1, Ready, "stable"), (2, Found, "")]);
        check(
            &ListModelsResponse::default(),
            &one,
            &["m/1: ready (live, label stable)", "m/2: found"],
        );
        let loading = state(1, &[(1, Ready, "stable"), (2, Loading, "")]);
        check(&one, &loading, &["m/2: loading"]);
        let mut split = state(2, &[(1, Draining, ""), (2, Ready, "")]);
        split.revision = "abc".to_owned();
        split.models[0].split.push(TrafficShare { target: "2".to_owned(), percent: 2.5 });
        split.models[0].versions[0].state_reason = "why:\n  - so".to_owned();
        check(
            &loading,
            &split,
            &[
                "serving.toml is at revision abc",
                "m/1: draining: why: - so",
                "m/2: ready (live, 2.5% of users)",
            ],
        );
        check(&loading, &state(1, &[(1, Ready, "stable")]), &["m/2: is gone"]);
        check(&loading, &ListModelsResponse::default(), &["m: is gone"]);
    }
}
