//! Finds the bundles of a repository by their directories' names.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use crate::{
    ids::{ModelId, ModelName, Version},
    repository::{
        error::RepositoryError,
        plain_place::{config_path, has_manifest, is_only_version, is_plain_model},
        stamp::Stamp,
    },
};

/// A directory that claims to be a bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Its model and version.
    pub id: ModelId,
    /// The directory.
    pub path: PathBuf,
    /// What it looks like.
    pub stamp: Stamp,
}

/// Lists the `<name>/<version>` directories below `root` that hold a manifest, by name and then by version as a number; of models that
/// have none anywhere, those that hold a graph alone, or the model's own directory where it holds one.
///
/// Other entries of the repository, such as a `README.md` or code, are none of its business and passed over. So is a graph without a
/// manifest beside versions that have one: there, the manifest is still to come.
///
/// # Errors
/// [`RepositoryError::Unreadable`] when `root` cannot be listed.
pub fn scan(root: &Path) -> Result<Vec<Found>, RepositoryError> {
    let unreadable = |cause| RepositoryError::Unreadable { path: root.to_owned(), cause };
    let mut found = Vec::new();
    for (name, path) in directories(root).map_err(unreadable)? {
        let Some(name) = ModelName::parse(&name) else {
            continue;
        };
        let versions = match directories(&path) {
            // It was there a moment ago: somebody takes the model away.
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => continue,
            versions => versions.map_err(unreadable)?,
        };
        let versions = versions.into_iter();
        let versions: Vec<(Version, PathBuf)> = versions
            .filter_map(|(version, path)| Some((Version::parse(&version)?, path)))
            .collect();
        found.extend(of_model(&name, &path, versions));
    }
    found.sort_by(|a, b| a.id.cmp(&b.id));
    Ok(found)
}

/// The versions of one model, which stand in these directories below its own.
fn of_model(name: &ModelName, path: &Path, versions: Vec<(Version, PathBuf)>) -> Vec<Found> {
    let found = |version: Version, path: PathBuf, stamp: Stamp| {
        let id = ModelId { name: name.clone(), version };
        Found { id, path, stamp }
    };
    let (bound, bare): (Vec<_>, Vec<_>) =
        versions.into_iter().partition(|(_, path)| has_manifest(path));
    if !bound.is_empty() {
        let bound = bound.into_iter();
        return bound
            .map(|(version, path)| found(version, path.clone(), Stamp::of(&path)))
            .collect();
    }
    let plain = bare.into_iter().filter(|(_, path)| is_plain_model(path));
    let mut all: Vec<Found> = plain
        .map(|(version, path)| {
            let stamp = Stamp::of(&path).with(&config_path(&path));
            found(version, path, stamp)
        })
        .collect();
    if all.is_empty() && is_only_version(path) {
        all.push(found(Version(1), path.to_owned(), Stamp::of(path)));
    }
    all
}

fn directories(path: &Path) -> io::Result<Vec<(String, PathBuf)>> {
    let mut all = Vec::new();
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        if entry.file_type()?.is_dir()
            && let Ok(name) = entry.file_name().into_string()
        {
            all.push((name, entry.path()));
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Holds what is found where these files are.
    #[track_caller]
    fn check(files: &[&str], want: &[&str]) {
        let root = tempfile::tempdir().unwrap();
        for file in files {
            let path = root.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        let found = scan(root.path()).unwrap();
        let ids: Vec<String> = found.iter().map(|found| found.id.to_string()).collect();
        assert_eq!(ids, want, "{files:?}");
    }

    #[test]
    fn versions_come_in_the_order_of_numbers() {
        let manifests = ["m/10", "m/9", "m/01", "m/tmp", "B/1", "a/2"];
        let manifests = manifests.map(|path| format!("{path}/model.toml"));
        let mut files: Vec<&str> = manifests.iter().map(String::as_str).collect();
        files.extend(["m/11/tokenizer.json", "README.md"]);
        check(&files, &["a/2", "m/9", "m/10"]);
    }

    #[test]
    fn a_graph_alone_is_a_model_where_none_of_its_versions_has_a_manifest() {
        check(&["m/1/model.onnx", "m/2/model.onnx", "m/3/model.plan"], &["m/1", "m/2"]);
        check(&["m/1/model.toml", "m/1/model.onnx", "m/2/model.onnx"], &["m/1"]);
        check(&["m/model.onnx", "m/README.md", "m/assets/x"], &["m/1"]);
        check(&["m/model.onnx", "m/2/model.onnx"], &["m/2"]);
        check(&["m/model.onnx", "m/model.toml"], &[]);
        check(&["12/model.onnx"], &[]);
        check(&["m/config.pbtxt", "m/1/model.plan", "m/x/model.onnx"], &["m/1"]);
        check(&["m/config.pbtxt"], &[]);
    }

    #[test]
    fn a_version_looks_otherwise_when_what_stands_beside_it_changes() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("m/1");
        fs::create_dir_all(&path).unwrap();
        fs::write(path.join("model.onnx"), "").unwrap();
        let before = scan(root.path()).unwrap();
        fs::write(root.path().join("m/config.pbtxt"), "max_batch_size: 8").unwrap();
        let after = scan(root.path()).unwrap();
        assert_eq!(after, scan(root.path()).unwrap());
        assert_ne!(before[0].stamp, after[0].stamp);
    }
}
