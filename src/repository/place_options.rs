//! What is needed to reach a model repository.

use std::{collections::BTreeMap, path::PathBuf};

/// What is needed to reach a model repository.
#[derive(Clone, Default)]
pub struct PlaceOptions {
    /// A directory, or the URL of a place in an object store.
    pub address: String,
    /// Options of the object store, by the names that it has for them.
    pub store: BTreeMap<String, String>,
    /// What the environment says of object stores; `store` goes before it.
    pub environment: Vec<(String, String)>,
    /// Where bundles that came from an object store are kept.
    pub cache_dir: PathBuf,
    /// How many bytes those may take.
    pub cache_bytes: u64,
}
