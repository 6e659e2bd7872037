//! Where a model without a manifest stands: `<name>/<version>/model.onnx`, or `<name>/model.onnx`, with `<name>/config.pbtxt` or without.

use std::path::{Path, PathBuf};

use crate::{
    ids::{ModelId, ModelName, Version},
    repository::contents::{GRAPH, MANIFEST},
};

/// The file in which Triton Inference Server has a model described.
pub(super) const CONFIG: &str = "config.pbtxt";

/// Whether a version's directory holds a model without a manifest, or is said by a `config.pbtxt` to hold one.
pub fn is_plain_model(path: &Path) -> bool {
    let is_described = || is_version(path) && config_path(path).is_file();
    !has_manifest(path) && (path.join(GRAPH).exists() || is_described())
}

/// Whether a directory has a manifest, be it one that cannot be read.
pub(super) fn has_manifest(path: &Path) -> bool {
    path.join(MANIFEST).symlink_metadata().is_ok()
}

/// Whether a model's own directory holds its only version.
pub(super) fn is_only_version(path: &Path) -> bool {
    !is_version(path) && !has_manifest(path) && path.join(GRAPH).exists()
}

/// What a directory that holds its model's only version is called.
pub(super) fn only_version_of(path: &Path) -> Option<ModelId> {
    let name = ModelName::parse(path.file_name()?.to_str()?)?;
    is_only_version(path).then_some(ModelId { name, version: Version(1) })
}

/// Where a version's `config.pbtxt` is, if there is one: in the directory of its model.
pub(super) fn config_path(path: &Path) -> PathBuf {
    let model = if is_version(path) { path.parent() } else { None };
    model.unwrap_or(path).join(CONFIG)
}

fn is_version(path: &Path) -> bool {
    path.file_name().and_then(|name| Version::parse(name.to_str()?)).is_some()
}
