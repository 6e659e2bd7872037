//! Reads all metrics where they are counted, at one moment.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use crate::{
    batching::{Backlog, BatchCounts, BatchMetrics},
    observing::{observer::Observer, process},
    ranking::Engine,
    serving::{Beside, Comparison, Lives, ModelHandle},
    telemetry::{Snapshot, Spec, metrics},
    users::{UserCounts, UserStore},
};

/// Adds figures that are counted elsewhere.
type Source = Box<dyn Fn(&mut Snapshot) + Send + Sync>;

/// Reads all metrics; one for the whole server.
pub struct Gatherer {
    engine: Arc<Engine>,
    lives: Arc<Lives>,
    observer: Arc<Observer>,
    sources: Mutex<Vec<Source>>,
}

impl fmt::Debug for Gatherer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gatherer").finish_non_exhaustive()
    }
}

impl Gatherer {
    /// Reads what requests, versions and the user store have counted.
    pub fn new(engine: Arc<Engine>, lives: Arc<Lives>, observer: Arc<Observer>) -> Self {
        Self { engine, lives, observer, sources: Mutex::default() }
    }

    /// Has another one add its figures each time.
    pub fn add(&self, source: impl Fn(&mut Snapshot) + Send + Sync + 'static) {
        let mut sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        sources.push(Box::new(source));
    }

    /// All metrics now, in the order of their documentation; reads some files of the kernel's.
    pub fn snapshot(&self) -> Snapshot {
        let mut snapshot = Snapshot::of(metrics::ALL);
        self.observer.tell(&mut snapshot);
        let registry = self.engine.registry();
        for (id, model) in registry.held() {
            let (name, version) = (id.name.as_str(), id.version.to_string());
            let labels = [name, &version];
            self.observer.tell_version(&mut snapshot, labels, model.figures());
            tell_batches(&mut snapshot, labels, model.handle());
        }
        for (id, _) in registry.all() {
            let live = u64::from(registry.is_live(&id));
            let labels = [id.name.as_str(), &id.version.to_string()];
            snapshot.count(&metrics::VERSION_LIVE, &labels, live);
        }
        tell_lives(&mut snapshot, &self.lives);
        for comparison in self.engine.comparisons() {
            tell_comparison(&mut snapshot, &comparison);
        }
        tell_users(&mut snapshot, self.engine.users());
        process::tell(&mut snapshot);
        let sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        sources.iter().for_each(|source| source(&mut snapshot));
        snapshot
    }
}

fn tell_batches(snapshot: &mut Snapshot, [model, version]: [&str; 2], handle: &ModelHandle) {
    let own = &[model, version];
    let Backlog { requests, rows, busy } = handle.backlog();
    snapshot.count(&metrics::QUEUE_REQUESTS, own, requests as u64);
    snapshot.count(&metrics::QUEUE_ROWS, own, rows as u64);
    snapshot.count(&metrics::INSTANCES_BUSY, own, busy as u64);
    let on_device = &[model, version, handle.device()];
    snapshot.count(&metrics::INSTANCES, on_device, handle.instances() as u64);
    let batches: &BatchMetrics = handle.batch_metrics();
    let distributions = [
        (&metrics::BATCH_RUN, &batches.run),
        (&metrics::BATCH_WAIT, &batches.turn_wait),
        (&metrics::BATCH_ASSEMBLY, &batches.assembly),
        (&metrics::BATCH_ROWS, &batches.rows),
        (&metrics::BATCH_REQUESTS, &batches.requests),
        (&metrics::BATCH_FILL, &batches.fill),
        (&metrics::BATCH_PADDING, &batches.padding),
        (&metrics::BATCH_FORESEEN, &batches.foreseen),
    ];
    for (spec, values) in distributions {
        snapshot.distribution(spec, own, values.read());
    }
    let by_word = [
        (&metrics::BATCHES_CLOSED, &batches.closed),
        (&metrics::BATCHES_ENDED, &batches.ended),
        (&metrics::QUEUE_ERRORS, &batches.errors),
    ];
    for (spec, words) in by_word {
        for (word, count) in words.read() {
            snapshot.count(spec, &[model, version, word], count);
        }
    }
    snapshot.count(&metrics::BATCHES_COLD, own, batches.cold.read());
    let BatchCounts { rows, abandoned_rows, elements, padding, .. } = handle.counts();
    let counts: [(&'static Spec, u64); 4] = [
        (&metrics::ROWS_RUN, rows),
        (&metrics::ROWS_ABANDONED, abandoned_rows),
        (&metrics::ELEMENTS_RUN, elements),
        (&metrics::ELEMENTS_PADDING, padding),
    ];
    counts.into_iter().for_each(|(spec, count)| snapshot.count(spec, own, count));
}

fn tell_lives(snapshot: &mut Snapshot, lives: &Lives) {
    for (id, life) in lives.all() {
        let (version, state) = (id.version.to_string(), life.state.name());
        snapshot.count(&metrics::VERSION_STATE, &[id.name.as_str(), &version, state], 1);
    }
    for (id, phase, took) in lives.took() {
        let labels = [id.name.as_str(), &id.version.to_string(), phase.name()];
        snapshot.number(&metrics::VERSION_PHASE, &labels, took.as_secs_f64());
    }
    for (state, steps) in lives.steps() {
        snapshot.count(&metrics::VERSION_STEPS, &[state.name()], steps);
    }
}

fn tell_comparison(snapshot: &mut Snapshot, comparison: &Comparison) {
    let (model, version) = (&comparison.version.name, comparison.version.version.to_string());
    let beside = match comparison.beside {
        Beside::Canary => "canary",
        Beside::Shadow => "shadow",
    };
    let own = [model.as_str(), &version, beside];
    let figures = [
        (&metrics::COMPARED_REQUESTS, comparison.requests as f64),
        (&metrics::COMPARISON_SKIPPED, comparison.skipped as f64),
        (&metrics::COMPARISON_TAU, comparison.kendall_tau),
        (&metrics::COMPARISON_OVERLAP, comparison.top_k_overlap),
        (&metrics::COMPARISON_PSI, comparison.psi),
        (&metrics::COMPARISON_REWARDS, comparison.rewards as f64),
        (&metrics::COMPARISON_GAIN, comparison.reward_difference),
    ];
    for (spec, figure) in figures {
        snapshot.number(spec, &own, figure);
    }
    let sides = [
        ("version", comparison.error_rate, comparison.latency),
        ("baseline", comparison.baseline_error_rate, comparison.baseline_latency),
    ];
    for (side, errors, latency) in sides {
        let labels = [own[0], own[1], own[2], side];
        snapshot.number(&metrics::COMPARISON_ERRORS, &labels, errors);
        snapshot.number(&metrics::COMPARISON_P95, &labels, latency.as_secs_f64());
    }
}

fn tell_users(snapshot: &mut Snapshot, users: &dyn UserStore) {
    let counts: UserCounts = users.counts();
    let mut told =
        |spec: &'static Spec, labels: &[&str], count| snapshot.count(spec, labels, count);
    told(&metrics::USER_READS, &["store"], counts.store_reads);
    told(&metrics::USER_READS, &["local"], counts.local_reads);
    told(&metrics::USER_READS, &["failed"], counts.failed_reads);
    told(&metrics::USER_READ_RETRIES, &[], counts.retried_reads);
    told(&metrics::USER_UNFIT, &["embedding"], counts.unfit_embeddings);
    told(&metrics::USER_UNFIT, &["history"], counts.unfit_histories);
    told(&metrics::USER_EMBEDDINGS, &["written"], counts.embeddings_written);
    told(&metrics::USER_EMBEDDINGS, &["dropped"], counts.embeddings_dropped);
    told(&metrics::USER_EVENTS, &[], counts.events_recorded);
    told(&metrics::USER_LEASES, &[], counts.leases_waited_for);
    told(&metrics::USER_INVALIDATIONS, &[], counts.invalidations);
    told(&metrics::USER_BREAKER_OPENED, &[], counts.breaker_opened);
    told(&metrics::USER_STORE_UP, &[], u64::from(users.answers()));
}
