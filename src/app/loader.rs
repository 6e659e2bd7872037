//! One version: from its directory to the registry, and out of it again.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::{
    app::{example::load_example, rehearsal::Rehearsal},
    ids::{ModelId, ModelName},
    ranking::{Encoder, Model, Ranker, RecentByModel},
    repository::{Bundle, EncoderRef, Fault, RepositoryError, Role, VersionLimits},
    runtime::Runtime,
    serving::{ColdModel, LoadOptions, Registry, Selector, ServingError},
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
    /// The last requests of each model.
    pub(super) recent: RecentByModel,
}

/// A version that is ready to be published.
pub(super) struct Loaded {
    pub(super) id: ModelId,
    pub(super) model: Model,
    histories: Vec<(Arc<str>, History)>,
}

impl Loader {
    /// Reads a bundle and holds its files against their sums; gives it the catalogue of the configuration, where it takes one.
    ///
    /// # Errors
    /// Those of [`Bundle::open`].
    pub(super) fn open(&self, path: &Path) -> Result<Bundle, RepositoryError> {
        let mut bundle = Bundle::open(path)?;
        let catalogue = self.catalogues.get(bundle.id.name.as_str());
        if let Some(path) = catalogue.filter(|_| bundle.manifest.catalogue.is_some()) {
            bundle.use_catalogue(path);
        }
        Ok(bundle)
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
        let faulty = |fault| bundle.faulty(vec![fault]);
        let encoder = bundle.manifest.encoder.as_ref();
        let encoder = encoder.map(|needed| self.encoder(bundle, needed)).transpose()?;
        let cold = ColdModel::load(&self.runtime, bundle, &self.options)?;
        warming();
        let handle = cold.warm_up()?;
        let histories = load_histories(bundle).map_err(faulty)?;
        let model = match bundle.manifest.role {
            Role::UserEncoder => Model::Encoder(Arc::new(Encoder::compile(bundle, handle).await?)),
            Role::Ranker => {
                let example = load_example(bundle, &self.limits).map_err(faulty)?;
                let ranker = Ranker::compile(bundle, handle, encoder, example)?;
                let ranker = ranker.remembering(self.recent.of(&bundle.id.name));
                self.rehearse(bundle, &ranker, limits).await?;
                Model::Ranker(Arc::new(ranker))
            }
        };
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

    async fn rehearse(
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
        rehearsal.run().await
    }

    /// The version of a model that answers who names none, where it is a ranker.
    pub(super) fn live(&self, name: &ModelName) -> Option<Arc<Ranker>> {
        match self.registry.resolve(name.as_str(), &Selector::Live).ok()?.as_ref() {
            Model::Ranker(ranker) => Some(Arc::clone(ranker)),
            Model::Encoder(_) => None,
        }
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
