//! One version: from its directory to the registry, and out of it again.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use tokio::runtime::Handle;

use crate::{
    app::{
        example::load_example,
        memory,
        rehearsal::Rehearsal,
        trial::{Live, Outcome, Refusal, Report, Trials, Trying, judge},
    },
    ids::{ModelId, ModelName},
    priority::at_low_priority,
    ranking::{Encoder, Model, Ranker, RecentByModel, TensorModel},
    repository::{Bundle, EncoderRef, Fault, RepositoryError, Role, VersionLimits},
    runtime::Runtime,
    serving::{ColdModel, LoadOptions, ModelHandle, Registry, Selector, ServingError},
    telemetry::SWAP_SPANS,
    transport::Limits,
    users::{History, Shipped, UserStore, load_histories},
};

/// Loads, publishes and retires versions.
pub(super) struct Loader {
    pub(super) runtime: Runtime,
    pub(super) registry: Arc<Registry<Model>>,
    pub(super) shipped: Arc<Shipped>,
    pub(super) users: Arc<dyn UserStore>,
    pub(super) options: LoadOptions,
    pub(super) limits: Limits,
    /// Catalogues that the configuration names, by model.
    pub(super) catalogues: BTreeMap<String, PathBuf>,
    /// What tries versions before they are loaded; none where nothing does.
    pub(super) trials: Option<Trials>,
    /// Memory that stays free when a version is loaded, in MiB.
    pub(super) memory_reserve_mib: u64,
    /// The last requests of each model.
    pub(super) recent: RecentByModel,
}

/// A version that is ready to be published.
pub(super) struct Loaded {
    pub(super) id: ModelId,
    pub(super) model: Model,
    histories: Vec<(Arc<str>, History)>,
}

/// Users' histories as a bundle ships them.
type Histories = Vec<(Arc<str>, History)>;

const MIB: u64 = 1 << 20;

/// How many times as much memory as its files a version is taken to need that was not tried.
const MEMORY_PER_BYTE: u64 = 3;

impl Loader {
    /// Reads a bundle and holds its files against their sums and limits; gives it the catalogue of the configuration, where it takes one.
    ///
    /// # Errors
    /// Those of [`Bundle::open_within`].
    pub(super) fn open(
        &self,
        path: &Path,
        limits: &VersionLimits,
    ) -> Result<Bundle, RepositoryError> {
        let unstarted = |cause| RepositoryError::Unreadable { path: path.to_owned(), cause };
        let mut bundle =
            at_low_priority(|| Bundle::open_within(path, limits)).map_err(unstarted)??;
        let catalogue = self.catalogues.get(bundle.id.name.as_str());
        if let Some(path) = catalogue.filter(|_| bundle.manifest.catalogue.is_some()) {
            bundle.use_catalogue(path);
        }
        Ok(bundle)
    }

    /// Begins to try a version in a process of its own; tells what came of it.
    pub(super) fn begin_trial(&self, bundle: Bundle, limits: &VersionLimits) -> Trying {
        match &self.trials {
            Some(trials) => trials.begin(bundle, limits),
            None => Trying::untried(bundle),
        }
    }

    /// Whether a version may be loaded after what came of its trial, and there is memory for it beside all that serves.
    ///
    /// # Errors
    /// The [`Refusal`].
    pub(super) fn admit(
        &self,
        bundle: &Bundle,
        outcome: Outcome,
        limits: &VersionLimits,
    ) -> Result<(), Refusal> {
        let live = self.registry.resolve(bundle.id.name.as_str(), &Selector::Live).ok();
        let live = live.filter(|live| live.handle().id() != &bundle.id);
        let live = live
            .map(|live| Live { version: live.handle().id().version, cost: live.handle().cost() });
        let report = judge(outcome, limits, live.as_ref())?;
        let need = self.memory_for(bundle, report.as_ref());
        let reserve = self.memory_reserve_mib.saturating_mul(MIB);
        let missing =
            memory::available().and_then(|available| memory::missing(need, available, reserve));
        missing.map_or(Ok(()), |reason| Err(Refusal { reason, later: true }))
    }

    /// The memory that a version needs, in bytes: what one instance took in its trial for each, or an estimate.
    fn memory_for(&self, bundle: &Bundle, report: Option<&Report>) -> u64 {
        let of_one = report.map_or_else(
            || bundle.size_bytes().saturating_mul(MEMORY_PER_BYTE),
            |report| report.memory,
        );
        of_one.saturating_mul(self.options.of(bundle).instances as u64)
    }

    /// Loads a version, warms it up and rehearses it; tells when its sessions are there.
    ///
    /// # Errors
    /// [`ServingError`]; then nothing of it is held.
    pub(super) async fn load(
        &self,
        bundle: &Bundle,
        limits: &VersionLimits,
        warming: impl FnOnce(),
    ) -> Result<Loaded, ServingError> {
        for note in &bundle.notes {
            tracing::info!(model = %bundle.id, note, "config.pbtxt says something that is not used");
        }
        let encoder = bundle.manifest.encoder.as_ref();
        let encoder = encoder.map(|needed| self.encoder(bundle, needed)).transpose()?;
        let step = |name: &'static str| tracing::info_span!(target: SWAP_SPANS, "version.step", otel.name = name);
        let cold = step("version.sessions")
            .in_scope(|| ColdModel::load(&self.runtime, bundle, &self.options))?;
        warming();
        let handle = step("version.warm_up").in_scope(|| cold.warm_up())?;
        let compile = || self.compile(bundle, handle, encoder);
        let (histories, model) = step("version.compile").in_scope(compile)?;
        if let Model::Ranker(ranker) = &model {
            step("version.rehearsal").in_scope(|| self.rehearse(bundle, ranker, limits))?;
        }
        Ok(Loaded { id: bundle.id.clone(), model, histories })
    }

    /// Publishes a version.
    pub(super) fn publish(&self, loaded: Loaded) {
        let Loaded { id, model, histories } = loaded;
        if let Model::Encoder(encoder) = &model {
            self.users.serve(encoder.id(), encoder.shape());
        }
        self.shipped.publish(&id, histories);
        self.registry.publish(id, Arc::new(model));
    }

    /// Tries a ranker with requests, at low priority.
    fn rehearse(
        &self,
        bundle: &Bundle,
        ranker: &Ranker,
        limits: &VersionLimits,
    ) -> Result<(), ServingError> {
        let live = self.live(&bundle.id.name);
        let rehearsal = Rehearsal {
            bundle,
            ranker,
            live: live.as_deref(),
            limits: &self.limits,
            accept_new_signature: limits.accept_new_signature,
        };
        let (runtime, model) = (Handle::current(), bundle.id.to_string());
        at_low_priority(|| runtime.block_on(rehearsal.run()))
            .map_err(|cause| ServingError::Thread { model, cause })?
    }

    /// The version of a model that answers who names none, where it is a ranker.
    pub(super) fn live(&self, name: &ModelName) -> Option<Arc<Ranker>> {
        match self.registry.resolve(name.as_str(), &Selector::Live).ok()?.as_ref() {
            Model::Ranker(ranker) => Some(Arc::clone(ranker)),
            Model::Encoder(_) | Model::Tensors(_) => None,
        }
    }

    /// Compiles a loaded version, at low priority: it may read large tables.
    fn compile(
        &self,
        bundle: &Bundle,
        handle: ModelHandle,
        encoder: Option<Arc<Encoder>>,
    ) -> Result<(Histories, Model), ServingError> {
        let faulty = |fault| bundle.faulty(vec![fault]);
        let runtime = Handle::current();
        let work = || {
            let histories = load_histories(bundle).map_err(faulty)?;
            let model = match bundle.manifest.role {
                Role::UserEncoder => {
                    let compiled = runtime.block_on(Encoder::compile(bundle, handle))?;
                    Model::Encoder(Arc::new(compiled))
                }
                Role::Ranker => {
                    let example = load_example(bundle, &self.limits).map_err(faulty)?;
                    let ranker = Ranker::compile(bundle, handle, encoder, example)?;
                    Model::Ranker(Arc::new(ranker.remembering(self.recent.of(&bundle.id.name))))
                }
                Role::Tensors => Model::Tensors(Arc::new(TensorModel::new(handle))),
            };
            Ok((histories, model))
        };
        let model = bundle.id.to_string();
        at_low_priority(work).map_err(|cause| ServingError::Thread { model, cause })?
    }

    /// The encoder version that a ranker needs.
    fn encoder(&self, bundle: &Bundle, needed: &EncoderRef) -> Result<Arc<Encoder>, ServingError> {
        let found = self.registry.resolve(&needed.name, &Selector::Version(needed.version));
        match found.as_deref() {
            Ok(Model::Encoder(encoder)) => Ok(Arc::clone(encoder)),
            _ => {
                let wrong = format!("{}/{} is not loaded", needed.name, needed.version);
                let fix = "put that version of the encoder into the repository";
                Err(bundle.faulty(vec![Fault::new("encoder", wrong, fix)]).into())
            }
        }
    }

    /// Takes a version back; who has it keeps it.
    pub(super) fn retire(&self, id: &ModelId) -> Option<Model> {
        let model = self.registry.retire(id)?;
        self.shipped.retire(id);
        Some(model.as_ref().clone())
    }

    /// Frees a version that nobody else holds.
    pub(super) fn free(&self, model: Model) {
        if let Model::Encoder(encoder) = &model {
            self.users.retire(encoder.id());
        }
        drop(model);
    }
}
