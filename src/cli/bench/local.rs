//! What the bench reads of a model repository on this machine: the ranker, its users, its items.

use std::path::PathBuf;

use crate::{
    catalogue::Catalogue,
    ids::ModelId,
    repository::{Bundle, DimSpec, Found, Place, PlaceOptions, ServingSpec, Source},
    transport::pb::{ModelSelector, model_selector::Selector},
    users::load_histories,
};

/// The ranker that is measured, as its directory has it.
pub(super) struct LocalModel {
    /// The bundle.
    pub(super) bundle: Bundle,
    /// Users with a history, sorted.
    pub(super) users: Vec<String>,
    /// Items of the catalogue, sorted.
    pub(super) items: Vec<String>,
    /// The shape of the user's embedding; empty where the ranker reads none.
    pub(super) embedding: Vec<usize>,
}

impl LocalModel {
    /// Reads the version that `model` chooses, and the histories of its encoder, or its own.
    pub(super) async fn read(models: &PlaceOptions, model: &ModelSelector) -> Result<Self, String> {
        let place = Place::open(models).map_err(|e| e.to_string())?;
        let bundles = place.bundles().await.map_err(|e| e.to_string())?;
        let file = place.serving_file().await.map_err(|e| e.to_string())?;
        let live = file.models.get(&model.name).and_then(ServingSpec::live_version);
        let wanted = |id: &ModelId| match &model.selector {
            Some(Selector::Version(version)) => id.version.0 == *version,
            Some(Selector::Label(_)) => true,
            None => live.is_none_or(|live| id.version == live),
        };
        let found = bundles
            .iter()
            .filter(|found| found.id.name.as_str() == model.name && wanted(&found.id))
            .max_by_key(|found| found.id.version)
            .ok_or_else(|| format!("{place} has no {}", model.name))?;
        let bundle = open(&place, found, &[]).await?;
        let owner = bundle.manifest.encoder.as_ref().and_then(|encoder| {
            bundles.iter().find(|found| {
                found.id.name.as_str() == encoder.name && found.id.version.0 == encoder.version
            })
        });
        let mut users = users_of(&bundle)?;
        if let Some(owner) = owner {
            let in_use = [found.path.clone()];
            users.extend(users_of(&open(&place, owner, &in_use).await?)?);
        }
        users.sort();
        users.dedup();
        let mut items = items_of(&bundle)?;
        items.sort();
        let inputs = &bundle.manifest.inputs;
        let reads = inputs.iter().find(|input| input.source == Source::UserEmbedding);
        let embedding = reads.map_or_else(Vec::new, |input| DimSpec::fixed(&input.shape));
        Ok(Self { bundle, users, items, embedding })
    }
}

async fn open(place: &Place, found: &Found, in_use: &[PathBuf]) -> Result<Bundle, String> {
    let path = place.bring(&found.path, in_use).await.map_err(|e| e.to_string())?;
    Bundle::open(&path).map_err(|e| e.to_string())
}

fn users_of(bundle: &Bundle) -> Result<Vec<String>, String> {
    let histories = load_histories(bundle).map_err(|fault| fault.to_string())?;
    Ok(histories.into_iter().map(|(user, _)| user.to_string()).collect())
}

fn items_of(bundle: &Bundle) -> Result<Vec<String>, String> {
    let catalogue = Catalogue::load(bundle).map_err(|fault| fault.to_string())?;
    let ids = |all: &Catalogue| all.ids().iter().map(str::to_owned).collect();
    Ok(catalogue.as_ref().map_or_else(Vec::new, ids))
}
