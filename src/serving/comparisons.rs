//! How the versions that are tried have done so far.

use crate::serving::{
    comparison::Comparison, registry::Registry, tally::Evidence, traffic::Tried, verdict::verdict,
};
use crate::{
    ids::{ModelId, ModelName, Version},
    repository::GuardRails,
};

/// Every version that is tried beside the live one of its model, by model and version.
pub fn comparisons<T>(registry: &Registry<T>) -> Vec<Comparison> {
    let mut all = Vec::new();
    for (model, traffic) in registry.traffic() {
        let live = registry.live(&model);
        let rails = traffic.rules().rails.as_ref();
        for tried in traffic.tried().iter().filter(|tried| Some(tried.version) != live) {
            all.extend(comparison(&model, tried, (live, rails)));
        }
    }
    all
}

fn comparison(
    model: &ModelName,
    tried: &Tried,
    (live, rails): (Option<Version>, Option<&GuardRails>),
) -> Option<Comparison> {
    let evidence = tried.tally.evidence();
    let Evidence { baseline_side, version_side, .. } = &evidence;
    Some(Comparison {
        version: ModelId { name: model.clone(), version: tried.version },
        baseline: evidence.baseline.or(live)?,
        beside: tried.beside,
        requests: evidence.requests,
        skipped: evidence.skipped,
        kendall_tau: evidence.kendall_tau.value,
        top_k_overlap: evidence.top_k_overlap.value,
        psi: evidence.psi.value,
        error_rate: version_side.error_rate(),
        baseline_error_rate: baseline_side.error_rate(),
        latency: version_side.p95,
        baseline_latency: baseline_side.p95,
        rewards: evidence.rewards,
        reward_difference: evidence.reward.value,
        reward_error: evidence.reward.error,
        verdict: rails.map(|rails| verdict(&evidence, rails)),
    })
}
