//! From what serves to the messages of `podium.v1.ModelService`.

use std::collections::BTreeMap;

use crate::{
    ids::{ModelId, ModelName, Version},
    repository::{ServingFile, ServingSpec},
    serving::{Beside, Comparison, Verdict},
    transport::pb,
};

/// What is known of all models.
pub(in crate::transport) struct Served<'a> {
    /// The versions.
    pub(in crate::transport) infos: BTreeMap<ModelId, pb::ModelInfo>,
    /// What `serving.toml` says.
    pub(in crate::transport) file: &'a ServingFile,
    /// The version that answers, by model.
    pub(in crate::transport) answering: BTreeMap<ModelName, Version>,
    /// Versions beside the live ones.
    pub(in crate::transport) comparisons: Vec<Comparison>,
}

/// The models, or the one of a name.
pub(in crate::transport) fn served_models(
    served: Served<'_>,
    only: Option<&ModelName>,
) -> Vec<pb::ServedModel> {
    let mut all: BTreeMap<ModelName, pb::ServedModel> = BTreeMap::new();
    let infos = served.infos.into_iter();
    for (id, info) in infos.filter(|(id, _)| only.is_none_or(|name| *name == id.name)) {
        let spec = served.file.of(&id.name);
        let answering = served.answering.get(&id.name).copied();
        let model = all.entry(id.name.clone());
        model.or_insert_with(|| served_model(&id.name, &spec, answering)).versions.push(info);
    }
    for comparison in served.comparisons {
        if let Some(model) = all.get_mut(&comparison.version.name) {
            model.comparisons.push(comparison_message(comparison));
        }
    }
    all.into_values().collect()
}

fn served_model(
    name: &ModelName,
    spec: &ServingSpec,
    answering: Option<Version>,
) -> pb::ServedModel {
    let shadow = spec.shadow.as_ref();
    let shadowed = shadow.and_then(|shadow| spec.version_of(&shadow.version));
    pb::ServedModel {
        name: name.to_string(),
        versions: Vec::new(),
        live: spec.live_version().map_or(0, |version| version.0),
        answering: answering.map_or(0, |version| version.0),
        previous: spec.previous.unwrap_or(0),
        split: spec
            .split
            .iter()
            .map(|(target, percent)| pb::TrafficShare {
                target: target.to_string(),
                percent: *percent,
            })
            .collect(),
        callers: spec
            .callers
            .iter()
            .map(|(caller, target)| pb::CallerVersion {
                caller: caller.clone(),
                target: target.to_string(),
            })
            .collect(),
        shadow: shadowed.map_or(0, |version| version.0),
        shadow_percent: shadowed.and(shadow).map_or(0.0, |shadow| shadow.share),
        rejected: rejected(spec),
        comparisons: Vec::new(),
    }
}

fn rejected(spec: &ServingSpec) -> Vec<pb::RejectedVersion> {
    let parsed = spec.rejected.iter().filter_map(|(version, reason)| {
        let version = Version::parse(version)?.0;
        Some(pb::RejectedVersion { version, reason: reason.clone() })
    });
    let mut all: Vec<pb::RejectedVersion> = parsed.collect();
    all.sort_by_key(|rejected| rejected.version);
    all
}

fn comparison_message(comparison: Comparison) -> pb::ModelComparison {
    let (verdict, reason) = match comparison.verdict {
        None => (pb::ComparisonVerdict::Unspecified, String::new()),
        Some(Verdict::Waits(why)) => (pb::ComparisonVerdict::Waits, why),
        Some(Verdict::Passes) => (pb::ComparisonVerdict::Passes, String::new()),
        Some(Verdict::Fails(why)) => (pb::ComparisonVerdict::Fails, why),
    };
    let time = |time: std::time::Duration| prost_types::Duration::try_from(time).ok();
    pb::ModelComparison {
        version: comparison.version.version.0,
        baseline_version: comparison.baseline.0,
        shadow: comparison.beside == Beside::Shadow,
        requests: comparison.requests,
        skipped: comparison.skipped,
        kendall_tau: comparison.kendall_tau,
        top_k_overlap: comparison.top_k_overlap,
        psi: comparison.psi,
        error_rate: comparison.error_rate,
        baseline_error_rate: comparison.baseline_error_rate,
        latency: time(comparison.latency),
        baseline_latency: time(comparison.baseline_latency),
        verdict: verdict.into(),
        verdict_reason: reason,
        rewards: comparison.rewards,
        reward_difference: comparison.reward_difference,
        reward_error: comparison.reward_error,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn id(text: &str) -> ModelId {
        let (name, version) = text.split_once('/').unwrap();
        ModelId { name: ModelName::parse(name).unwrap(), version: Version::parse(version).unwrap() }
    }

    fn served(file: &ServingFile) -> Served<'_> {
        let ids = ["a/1", "m/2", "m/10"].map(id);
        let info = |id: &ModelId| pb::ModelInfo { version: id.version.0, ..Default::default() };
        Served {
            infos: ids.iter().map(|id| (id.clone(), info(id))).collect(),
            file,
            answering: BTreeMap::from([(id("m/2").name, Version(2))]),
            comparisons: vec![Comparison {
                version: id("m/10"),
                baseline: Version(2),
                beside: Beside::Shadow,
                requests: 7,
                skipped: 1,
                kendall_tau: 0.5,
                top_k_overlap: 0.25,
                psi: 0.1,
                error_rate: 0.0,
                baseline_error_rate: 0.0,
                latency: Duration::from_millis(3),
                baseline_latency: Duration::from_millis(2),
                rewards: 0,
                reward_difference: 0.0,
                reward_error: 0.0,
                verdict: Some(Verdict::Waits("for requests".to_owned())),
            }],
        }
    }

    #[test]
    fn a_model_has_what_the_file_says_and_what_is_known() {
        let text = "[models.m]\nlive = 2\nprevious = 1\nlabels = { canary = 10 }\nsplit = { canary = 5 }\ncallers = { batch = 2 }\nshadow = { version = \"canary\", share = 20 }\nrejected = { 9 = \"b\", 10 = \"c\", 8 = \"a\" }";
        let file = ServingFile::parse(text).unwrap();
        let models = served_models(served(&file), None);
        assert_eq!(models.iter().map(|model| model.name.as_str()).collect::<Vec<_>>(), ["a", "m"]);
        assert_eq!((models[0].live, models[0].answering), (0, 0));
        let model = &models[1];
        let versions: Vec<u64> = model.versions.iter().map(|info| info.version).collect();
        assert_eq!((versions, model.live, model.answering, model.previous), (vec![2, 10], 2, 2, 1));
        assert_eq!((model.shadow, model.shadow_percent), (10, 20.0));
        let rejected: Vec<u64> = model.rejected.iter().map(|rejected| rejected.version).collect();
        assert_eq!(rejected, [8, 9, 10]);
        assert_eq!((model.split[0].target.as_str(), model.split[0].percent), ("canary", 5.0));
        let comparison = &model.comparisons[0];
        assert_eq!((comparison.version, comparison.shadow, comparison.requests), (10, true, 7));
        assert_eq!(comparison.verdict, pb::ComparisonVerdict::Waits as i32);
        assert_eq!(comparison.latency.map(|time| time.nanos), Some(3_000_000));
        let one = served_models(served(&file), Some(&id("a/1").name));
        assert_eq!(one.len(), 1);
    }
}
