//! Finds the bundles of a repository by their directories' names.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use crate::{
    ids::{ModelId, ModelName, Version},
    repository::{error::RepositoryError, stamp::Stamp},
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

/// Lists the `<name>/<version>` directories below `root` that hold a manifest, by name and then by version as a number.
///
/// Other entries of the repository, such as a `README.md` or code, are none of its business and passed over.
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
        for (version, path) in versions {
            let Some(version) = Version::parse(&version) else {
                continue;
            };
            if path.join("model.toml").exists() {
                let id = ModelId { name: name.clone(), version };
                found.push(Found { id, stamp: Stamp::of(&path), path });
            }
        }
    }
    found.sort_by(|a, b| a.id.cmp(&b.id));
    Ok(found)
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

    #[test]
    fn versions_come_in_the_order_of_numbers() -> io::Result<()> {
        let root = tempfile::tempdir()?;
        for path in ["m/10", "m/9", "m/01", "m/tmp", "B/1", "a/2", "m/11"] {
            fs::create_dir_all(root.path().join(path))?;
            fs::write(root.path().join(path).join("model.toml"), "")?;
        }
        fs::remove_file(root.path().join("m/11/model.toml"))?;
        fs::write(root.path().join("README.md"), "")?;
        let ids: Vec<String> = scan(root.path())
            .map_err(io::Error::other)?
            .iter()
            .map(|found| found.id.to_string())
            .collect();
        assert_eq!(ids, ["a/2", "m/9", "m/10"]);
        Ok(())
    }
}
