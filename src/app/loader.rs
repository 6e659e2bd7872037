//! One version: from its directory to the registry, and out of it again.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::{
    app::example::load_example,
    ids::ModelId,
    ranking::{Encoder, Model, Ranker},
    repository::{Bundle, EncoderRef, Fault, RepositoryError, Role, VersionLimits},
    runtime::Runtime,
    serving::{ColdModel, LoadOptions, Registry, Selector, ServingError},
    transport::Limits,
    users::{Shipped, UserStore, load_histories},
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
}

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
        let mut bundle = Bundle::open_within(path, limits)?;
        let catalogue = self.catalogues.get(bundle.id.name.as_str());
        if let Some(path) = catalogue.filter(|_| bundle.manifest.catalogue.is_some()) {
            bundle.use_catalogue(path);
        }
        Ok(bundle)
    }

    /// Loads a version, warms it up and publishes it; tells when its sessions are there.
    ///
    /// # Errors
    /// [`ServingError`]; then nothing of it is held.
    pub(super) async fn load(
        &self,
        bundle: &Bundle,
        warming: impl FnOnce(),
    ) -> Result<(), ServingError> {
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
                Model::Ranker(Arc::new(Ranker::compile(bundle, handle, encoder, example)?))
            }
        };
        if let Model::Encoder(encoder) = &model {
            self.users.serve(encoder.id(), encoder.shape());
        }
        self.shipped.publish(&bundle.id, histories);
        self.registry.publish(bundle.id.clone(), Arc::new(model));
        Ok(())
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
