//! Puts together what `/statusz` answers.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use tokio_util::sync::CancellationToken;

use crate::{
    ids::{ModelId, Version},
    observing::Observer,
    ranking::{Engine, Model},
    repository::Role,
    serving::{
        Beside, Change, Changed, Comparison, Life, Lives, Registry, State, Traffic, Verdict,
    },
    transport::{
        flow::Flow,
        report::{
            ChangeReport, ComparisonReport, QueueReport, Report, UserStoreReport, VersionReport,
        },
    },
    users::UserStore,
};

/// What a report is made of.
#[derive(Clone)]
pub(super) struct Reporting {
    pub(super) engine: Arc<Engine>,
    pub(super) lives: Arc<Lives>,
    pub(super) observer: Arc<Observer>,
    pub(super) flow: Flow,
    pub(super) draining: CancellationToken,
    pub(super) repository: Arc<str>,
    pub(super) onnxruntime_build: Arc<str>,
    pub(super) listen: Arc<str>,
}

impl Reporting {
    /// The report of now.
    pub(super) fn report(&self) -> Report {
        let live = &self.observer.live;
        Report {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            now_ms: unix_ms(SystemTime::now()),
            uptime_s: live.begun().elapsed().as_secs_f64(),
            draining: self.draining.is_cancelled(),
            default_model: self.engine.default_model(),
            listen: self.listen.to_string(),
            repository: self.repository.to_string(),
            repository_fault: self.lives.fault().unwrap_or_default(),
            onnxruntime_build: self.onnxruntime_build.to_string(),
            in_flight: self.flow.in_flight() as u64,
            max_in_flight: self.flow.options.max_in_flight as u64,
            models: versions(self.engine.registry(), &self.lives),
            comparisons: self.engine.comparisons().into_iter().map(comparison).collect(),
            changes: self.lives.recent().into_iter().map(change).collect(),
            user_store: user_store(self.engine.users()),
            live: live.figures(),
        }
    }
}

/// The published versions, and those others that have a life.
fn versions(registry: &Registry<Model>, lives: &Lives) -> Vec<VersionReport> {
    let lives = lives.all();
    let without = |(id, life): (&ModelId, &Life)| {
        let report = VersionReport {
            name: id.name.to_string(),
            version: id.version.0,
            state: life.state.name().to_owned(),
            state_reason: life.reason.as_deref().unwrap_or_default().to_owned(),
            ..VersionReport::default()
        };
        (id.clone(), report)
    };
    let mut all: BTreeMap<ModelId, VersionReport> = lives.iter().map(without).collect();
    let traffic = registry.traffic();
    for (id, model) in registry.all() {
        let known = all.entry(id.clone()).or_default();
        let own = traffic.get(&id.name).map(Arc::as_ref);
        *known = published(registry, (&id, &model), own, known);
    }
    all.into_values().collect()
}

fn published(
    registry: &Registry<Model>,
    (id, model): (&ModelId, &Model),
    traffic: Option<&Traffic>,
    known: &VersionReport,
) -> VersionReport {
    let handle = model.handle();
    let (depth, counts) = (handle.backlog(), handle.counts());
    let is_shadow = known.state == State::Shadow.name();
    let state = if is_shadow { State::Shadow } else { State::Ready };
    let encoder = match model {
        Model::Ranker(ranker) => ranker.encoder().map(|encoder| encoder.id().to_string()),
        Model::Encoder(_) | Model::Tensors(_) => None,
    };
    let rules = traffic.map(Traffic::rules);
    let callers = rules.into_iter().flat_map(|rules| &rules.callers);
    let callers = callers.filter(|(_, version)| **version == id.version);
    VersionReport {
        name: id.name.to_string(),
        version: id.version.0,
        state: state.name().to_owned(),
        state_reason: known.state_reason.clone(),
        role: match model.role() {
            Role::Ranker => "ranker".to_owned(),
            Role::UserEncoder => "user_encoder".to_owned(),
            Role::Tensors => "tensors".to_owned(),
        },
        labels: registry.labels(id),
        live: registry.is_live(id),
        split_percent: rules.and_then(|rules| rules.shares.get(&id.version).copied()),
        compared_percent: rules
            .and_then(|rules| rules.trials.get(&id.version).map(|(_, percent)| *percent)),
        callers: callers.map(|(caller, _)| caller.clone()).collect(),
        device: handle.device().to_owned(),
        instances: handle.instances() as u64,
        encoder: encoder.unwrap_or_default(),
        queue: QueueReport {
            requests: depth.requests as u64,
            rows: depth.rows as u64,
            running: depth.busy as u64,
        },
        batches: counts.batches,
        rows: counts.rows,
    }
}

fn comparison(of: Comparison) -> ComparisonReport {
    // Before there is something to tell, some figures are no numbers, which JSON does not have.
    let finite = |value: f64| value.is_finite().then_some(value);
    let (verdict, verdict_reason) = match of.verdict {
        None => ("", String::new()),
        Some(Verdict::Waits(why)) => ("waits", why),
        Some(Verdict::Passes) => ("passes", String::new()),
        Some(Verdict::Fails(why)) => ("fails", why),
    };
    ComparisonReport {
        name: of.version.name.to_string(),
        version: of.version.version.0,
        baseline: of.baseline.0,
        beside: match of.beside {
            Beside::Canary => "canary".to_owned(),
            Beside::Shadow => "shadow".to_owned(),
        },
        requests: of.requests,
        skipped: of.skipped,
        kendall_tau: finite(of.kendall_tau),
        top_k_overlap: finite(of.top_k_overlap),
        psi: finite(of.psi),
        error_rate: finite(of.error_rate),
        baseline_error_rate: finite(of.baseline_error_rate),
        p95_ms: ms(of.latency),
        baseline_p95_ms: ms(of.baseline_latency),
        verdict: verdict.to_owned(),
        verdict_reason,
    }
}

fn change(of: Change) -> ChangeReport {
    let at_ms = unix_ms(of.at);
    let name = of.model.to_string();
    let text = |version: Option<Version>| version.map(|v| v.to_string()).unwrap_or_default();
    match of.changed {
        Changed::Life { version, from, to, reason } => ChangeReport {
            at_ms,
            name,
            version: version.0,
            kind: "life".to_owned(),
            label: String::new(),
            from: from.map(State::name).unwrap_or_default().to_owned(),
            to: to.name().to_owned(),
            reason: reason.as_deref().unwrap_or_default().to_owned(),
        },
        Changed::Route { label, from, to } => ChangeReport {
            at_ms,
            name,
            version: to.map_or(0, |version| version.0),
            kind: "route".to_owned(),
            label: label.as_deref().unwrap_or_default().to_owned(),
            from: text(from),
            to: text(to),
            reason: String::new(),
        },
    }
}

fn user_store(users: &dyn UserStore) -> UserStoreReport {
    let counts = users.counts();
    let named = [
        ("store_reads", counts.store_reads),
        ("local_reads", counts.local_reads),
        ("failed_reads", counts.failed_reads),
        ("retried_reads", counts.retried_reads),
        ("unfit_embeddings", counts.unfit_embeddings),
        ("unfit_histories", counts.unfit_histories),
        ("embeddings_written", counts.embeddings_written),
        ("embeddings_dropped", counts.embeddings_dropped),
        ("events_recorded", counts.events_recorded),
        ("leases_waited_for", counts.leases_waited_for),
        ("invalidations", counts.invalidations),
        ("breaker_opened", counts.breaker_opened),
    ];
    UserStoreReport {
        description: users.describe(),
        counts: named.map(|(name, count)| (name.to_owned(), count)).into(),
    }
}

fn unix_ms(at: SystemTime) -> u64 {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

fn ms(time: Duration) -> f64 {
    time.as_micros() as f64 / 1e3
}
