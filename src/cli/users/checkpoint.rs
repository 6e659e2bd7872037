//! How far the import of a file is, so that the next run goes on there.

use std::{
    ffi::OsString,
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Bytes at the beginning of a file that are summed.
const HEAD: u64 = 64 << 10;

/// What the rows that were sent belong to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Identity {
    size: u64,
    /// The SHA-256 of the file's beginning.
    head: String,
}

impl Identity {
    fn of(file: &Path) -> io::Result<Self> {
        let file = File::open(file)?;
        let size = file.metadata()?.len();
        let mut head = Vec::new();
        file.take(HEAD).read_to_end(&mut head)?;
        let head = Sha256::digest(&head).iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Self { size, head })
    }
}

/// What stands in the checkpoint file.
#[derive(Debug, Serialize, Deserialize)]
struct Written {
    file: Identity,
    /// Rows from the beginning that the server has.
    rows: u64,
}

/// Where a run begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Begin {
    /// At the first row.
    First,
    /// After rows that an earlier run has sent.
    After(u64),
    /// At the first row, because the file is not the one that the checkpoint was made for.
    Changed,
}

/// The checkpoint of one file.
#[derive(Debug)]
pub(super) struct Checkpoint {
    path: PathBuf,
    identity: Identity,
}

impl Checkpoint {
    /// Finds the checkpoint of a file, and where to begin.
    ///
    /// # Errors
    /// What keeps the file from being read.
    pub(super) fn of(file: &Path) -> Result<(Self, Begin), String> {
        let identity = Identity::of(file).map_err(|e| format!("{}: {e}", file.display()))?;
        let mut path = OsString::from(file);
        path.push(".podium-import");
        let checkpoint = Self { path: path.into(), identity };
        let begin = match fs::read(&checkpoint.path) {
            Err(_) => Begin::First,
            Ok(bytes) => match serde_json::from_slice::<Written>(&bytes) {
                Ok(written) if written.file == checkpoint.identity => Begin::After(written.rows),
                _ => Begin::Changed,
            },
        };
        Ok((checkpoint, begin))
    }

    /// Notes that the server has so many rows from the beginning.
    ///
    /// # Errors
    /// What keeps it from being written.
    pub(super) fn note(&self, rows: u64) -> Result<(), String> {
        let written = Written { file: self.identity.clone(), rows };
        let told = |e: &dyn std::fmt::Display| format!("{}: {e}", self.path.display());
        let json = serde_json::to_vec(&written).map_err(|e| told(&e))?;
        let mut fresh = self.path.clone().into_os_string();
        fresh.push(".new");
        fs::write(&fresh, json).map_err(|e| told(&e))?;
        fs::rename(&fresh, &self.path).map_err(|e| told(&e))
    }

    /// Forgets it: the whole file is sent.
    pub(super) fn remove(&self) {
        let _ = fs::remove_file(&self.path);
    }

    /// Where it stands.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_begins_where_the_last_one_ended_unless_the_file_has_changed() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("shop.csv");
        fs::write(&file, "user,item,time\n").unwrap();
        let begin = || Checkpoint::of(&file).unwrap();
        let (checkpoint, first) = begin();
        assert_eq!(first, Begin::First);
        checkpoint.note(5).unwrap();
        checkpoint.note(7).unwrap();
        assert_eq!(begin().1, Begin::After(7));
        fs::write(&file, "user,item,tame\n").unwrap();
        assert_eq!(begin().1, Begin::Changed);
        begin().0.note(1).unwrap();
        assert_eq!(begin().1, Begin::After(1));
        checkpoint.remove();
        assert_eq!(begin().1, Begin::First);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
