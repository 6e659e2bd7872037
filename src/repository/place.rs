//! Where a model repository is, and what can be done there: list its bundles, bring one here, read and change `serving.toml`.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::repository::{
    bucket::Bucket,
    directory::Directory,
    error::RepositoryError,
    place_options::PlaceOptions,
    scan::Found,
    serving_file::{SERVING_FILE, ServingFile},
    serving_text::{Revision, ServingText},
};

/// A model repository.
#[derive(Debug, Clone)]
pub struct Place {
    kind: Kind,
}

#[derive(Debug, Clone)]
enum Kind {
    Directory(Directory),
    Bucket(Arc<Bucket>),
}

impl Place {
    /// Takes a directory for a repository.
    pub fn directory(dir: PathBuf) -> Self {
        Self { kind: Kind::Directory(Directory::new(dir)) }
    }

    /// Takes what an address names: an object store for a URL, else a directory; nothing is asked of it yet.
    ///
    /// # Errors
    /// [`RepositoryError::Unusable`] where an object store cannot be reached by these options.
    pub fn open(options: &PlaceOptions) -> Result<Self, RepositoryError> {
        match options.address.split_once("://") {
            None => Ok(Self::directory(options.address.clone().into())),
            Some(("file", path)) => Ok(Self::directory(path.into())),
            Some(_) => {
                let bucket = Bucket::open(options)?;
                Ok(Self { kind: Kind::Bucket(Arc::new(bucket)) })
            }
        }
    }

    /// Lists the bundles, by name and then by version as a number.
    ///
    /// # Errors
    /// [`RepositoryError::Unreadable`], [`RepositoryError::Unreachable`], or one of the cache.
    pub async fn bundles(&self) -> Result<Vec<Found>, RepositoryError> {
        match &self.kind {
            Kind::Directory(directory) => directory.bundles(),
            Kind::Bucket(bucket) => bucket.bundles().await,
        }
    }

    /// Whether bundles stand where they are read from, so that none has to be fetched.
    pub fn is_here(&self) -> bool {
        matches!(self.kind, Kind::Directory(_))
    }

    /// Has a bundle in a local directory, whose path ends in its name and version, and returns that; for its sake other
    /// bundles may leave the cache, but none of those that are in use.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub async fn bring(
        &self,
        found: &Path,
        in_use: &[PathBuf],
    ) -> Result<PathBuf, RepositoryError> {
        match &self.kind {
            Kind::Directory(_) => Ok(found.to_owned()),
            Kind::Bucket(bucket) => bucket.bring(found, in_use).await,
        }
    }

    /// What was seen when it last answered, in this process or an earlier one: its bundles and what `serving.toml` said.
    pub fn last_seen(&self) -> Option<(Vec<Found>, ServingFile)> {
        match &self.kind {
            Kind::Directory(_) => None,
            Kind::Bucket(bucket) => {
                let (found, text) = bucket.last_seen()?;
                Some((found, ServingFile::parse(&text).ok()?))
            }
        }
    }

    /// Reads the text of `serving.toml`.
    ///
    /// # Errors
    /// [`RepositoryError::Faulty`] where there is something by that name that cannot be read, [`RepositoryError::Unreachable`].
    pub async fn serving_text(&self) -> Result<ServingText, RepositoryError> {
        match &self.kind {
            Kind::Directory(directory) => directory.serving_text(),
            Kind::Bucket(bucket) => bucket.serving_text().await,
        }
    }

    /// Reads `serving.toml` and what it says; without one, nothing is said of any model.
    ///
    /// # Errors
    /// [`RepositoryError::Faulty`] with everything that is wrong with it, [`RepositoryError::Unreachable`].
    pub async fn serving_file(&self) -> Result<ServingFile, RepositoryError> {
        let faulty = |faults| RepositoryError::Faulty { path: self.serving_path(), faults };
        ServingFile::parse(&self.serving_text().await?.text).map_err(faulty)
    }

    fn serving_path(&self) -> PathBuf {
        match &self.kind {
            Kind::Directory(directory) => directory.path().join(SERVING_FILE),
            Kind::Bucket(_) => format!("{self}/{SERVING_FILE}").into(),
        }
    }

    /// Replaces `serving.toml`, unless it is no longer what it was at a revision; returns what it is now.
    ///
    /// # Errors
    /// [`RepositoryError::Conflict`] where it has changed since, [`RepositoryError::Unwritable`].
    pub async fn set_serving_text(
        &self,
        text: &str,
        since: &Revision,
    ) -> Result<Revision, RepositoryError> {
        match &self.kind {
            Kind::Directory(directory) => directory.set_serving_text(text, since),
            Kind::Bucket(bucket) => bucket.set_serving_text(text, since).await,
        }
    }

    /// Where it is, and where bundles are kept that come from there.
    pub fn describe(&self) -> String {
        match &self.kind {
            Kind::Directory(_) => self.to_string(),
            Kind::Bucket(bucket) => format!("{self}, kept in {}", bucket.kept_in().display()),
        }
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.kind {
            Kind::Directory(directory) => directory.path().display().fmt(f),
            Kind::Bucket(bucket) => f.write_str(bucket.address()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[tokio::test]
    async fn a_change_is_made_to_what_was_read_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let place = Place::directory(folder.path().to_owned());
        let nothing = place.serving_text().await.unwrap();
        assert_eq!(nothing, ServingText::default());
        let first = place.set_serving_text("[models.a]\n", &nothing.revision).await.unwrap();
        let late = place.set_serving_text("[models.b]\n", &nothing.revision).await;
        assert!(matches!(late, Err(RepositoryError::Conflict)), "{late:?}");
        let said = place.serving_text().await.unwrap();
        assert_eq!((said.text.as_str(), &said.revision), ("[models.a]\n", &first));
        assert_eq!(Revision::named(&first.to_string()), first);
        place.set_serving_text("", &first).await.unwrap();
        assert_ne!(place.serving_text().await.unwrap().revision, Revision::default());
    }

    #[tokio::test]
    async fn what_is_no_file_cannot_be_read() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join(SERVING_FILE)).unwrap();
        let place = Place::directory(folder.path().to_owned());
        assert!(place.serving_text().await.unwrap_err().to_string().contains("no file"));
    }

    #[track_caller]
    fn check(address: &str, want: Result<&str, &str>) {
        let options = PlaceOptions { address: address.to_owned(), ..Default::default() };
        let got = Place::open(&options).map(|place| place.to_string()).map_err(|e| e.to_string());
        match (got, want) {
            (Ok(got), Ok(want)) => assert_eq!(got, want),
            (Err(got), Err(want)) => assert!(got.contains(want), "{got}"),
            (got, want) => panic!("{address}: {got:?} is not {want:?}"),
        }
    }

    #[test]
    fn an_address_is_a_directory_or_a_place_in_a_store() {
        check("models", Ok("models"));
        check("/srv/models/", Ok("/srv/models/"));
        check("file:///srv/models", Ok("/srv/models"));
        check("s3://shop", Ok("s3://shop"));
        check("s3://shop/models/", Ok("s3://shop/models"));
        check("gs://shop/a/b", Ok("gs://shop/a/b"));
        check("ftp://shop/models", Err("such as s3://BUCKET/PREFIX, gs://"));
        check("s3:///models", Err("s3:///models"));
        check("memory:///models", Err("such as s3://BUCKET/PREFIX, gs://"));
        check("s3://me:word@shop", Err("holds a password"));
    }
}
