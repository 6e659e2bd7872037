//! Where a model repository is, and what can be done there: list its bundles, bring one here, read and change `serving.toml`.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};

use crate::repository::{
    error::{Fault, RepositoryError},
    scan::{Found, scan},
    serving_file::{SERVING_FILE, ServingFile},
};

/// A `serving.toml` that is larger says something else.
const MOST_BYTES: u64 = 1 << 20;

/// Who changes `serving.toml` holds a lock on this file of the repository meanwhile.
const LOCK_FILE: &str = ".serving.toml.lock";

/// A model repository.
#[derive(Debug, Clone)]
pub struct Place {
    dir: PathBuf,
}

/// Which state of `serving.toml` a text is; none where there is no file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Revision(Option<String>);

/// What `serving.toml` says, as text, and which state of it that is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ServingText {
    /// The text; empty where there is no file.
    pub text: String,
    /// The state.
    pub revision: Revision,
}

impl std::fmt::Display for Revision {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0.as_deref().unwrap_or_default())
    }
}

impl Revision {
    /// The state that has this name; an empty one: there is no file.
    pub fn named(name: &str) -> Self {
        Self(Some(name.to_owned()).filter(|name| !name.is_empty()))
    }
}

impl Place {
    /// Takes a directory for a repository.
    pub fn directory(dir: PathBuf) -> Self {
        Self { dir }
    }

    /// Lists the bundles, by name and then by version as a number.
    ///
    /// # Errors
    /// [`RepositoryError::Unreadable`].
    pub async fn bundles(&self) -> Result<Vec<Found>, RepositoryError> {
        scan(&self.dir)
    }

    /// Has a bundle in a local directory, whose path ends in its name and version, and returns that.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub async fn bring(&self, found: &Path) -> Result<PathBuf, RepositoryError> {
        Ok(found.to_owned())
    }

    /// Reads the text of `serving.toml`.
    ///
    /// # Errors
    /// [`RepositoryError::Faulty`] where there is something by that name that cannot be read.
    pub async fn serving_text(&self) -> Result<ServingText, RepositoryError> {
        read(&self.dir.join(SERVING_FILE))
    }

    /// Reads `serving.toml` and what it says; without one, nothing is said of any model.
    ///
    /// # Errors
    /// [`RepositoryError::Faulty`] with everything that is wrong with it.
    pub async fn serving_file(&self) -> Result<ServingFile, RepositoryError> {
        let faulty = |faults| RepositoryError::Faulty { path: self.dir.join(SERVING_FILE), faults };
        ServingFile::parse(&self.serving_text().await?.text).map_err(faulty)
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
        let unwritable = |cause| RepositoryError::Unwritable { cause };
        let lock = fs::File::create(self.dir.join(LOCK_FILE)).map_err(unwritable)?;
        lock.lock().map_err(unwritable)?;
        let path = self.dir.join(SERVING_FILE);
        if read(&path)?.revision != *since {
            return Err(RepositoryError::Conflict);
        }
        let new = self.dir.join(format!(".{SERVING_FILE}.new"));
        fs::write(&new, text).and_then(|()| fs::rename(&new, &path)).map_err(unwritable)?;
        Ok(revision_of(text))
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.dir.display().fmt(f)
    }
}

fn read(path: &Path) -> Result<ServingText, RepositoryError> {
    let unreadable = |cause: io::Error| {
        let fix = "make it a file that the server may read, or take it away";
        let fault = Fault::new(SERVING_FILE, format!("cannot be read: {cause}"), fix);
        RepositoryError::Faulty { path: path.to_owned(), faults: vec![fault] }
    };
    match fs::metadata(path) {
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(ServingText::default()),
        Err(cause) => return Err(unreadable(cause)),
        Ok(metadata) if !metadata.is_file() => {
            return Err(unreadable(io::Error::other("it is no file")));
        }
        Ok(metadata) if metadata.len() > MOST_BYTES => {
            return Err(unreadable(io::Error::other("it is larger than 1 MiB")));
        }
        Ok(_) => {}
    }
    let text = fs::read_to_string(path).map_err(unreadable)?;
    Ok(ServingText { revision: revision_of(&text), text })
}

fn revision_of(text: &str) -> Revision {
    let sum = Sha256::digest(text.as_bytes());
    Revision(Some(sum.iter().take(8).map(|byte| format!("{byte:02x}")).collect()))
}

#[cfg(test)]
mod tests {
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
}
