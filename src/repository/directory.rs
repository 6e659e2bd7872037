//! A model repository that is a directory.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};

use crate::repository::{
    error::{Fault, RepositoryError},
    scan::{Found, scan},
    serving_file::SERVING_FILE,
    serving_text::{MOST_BYTES, Revision, ServingText},
};

/// Who changes `serving.toml` holds a lock on this file of the repository meanwhile.
const LOCK_FILE: &str = ".serving.toml.lock";

/// A directory of bundles.
#[derive(Debug, Clone)]
pub(super) struct Directory {
    dir: PathBuf,
}

impl Directory {
    pub(super) fn new(dir: PathBuf) -> Self {
        Self { dir }
    }

    pub(super) fn path(&self) -> &Path {
        &self.dir
    }

    /// Lists the bundles.
    pub(super) fn bundles(&self) -> Result<Vec<Found>, RepositoryError> {
        scan(&self.dir)
    }

    /// Reads the text of `serving.toml`.
    pub(super) fn serving_text(&self) -> Result<ServingText, RepositoryError> {
        read(&self.dir.join(SERVING_FILE))
    }

    /// Replaces `serving.toml`, unless it is no longer what it was at a revision.
    pub(super) fn set_serving_text(
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
    let name: String = sum.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    Revision::named(&name)
}
