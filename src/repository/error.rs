//! What can be wrong with a bundle.

use std::{fmt, path::PathBuf};

use crate::error_code::ErrorCode;

/// One thing that is wrong with a bundle, and its mend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Where: a file, or a key of the manifest such as `inputs.price.dtype`.
    pub at: String,
    /// What is wrong.
    pub wrong: String,
    /// What to do.
    pub fix: String,
}

impl Fault {
    /// Makes a fault.
    pub fn new(at: impl Into<String>, wrong: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { at: at.into(), wrong: wrong.into(), fix: fix.into() }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}. Fix: {}", self.at, self.wrong, self.fix)
    }
}

/// A bundle, or the repository, that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RepositoryError {
    /// The directory cannot be listed.
    #[error(
        "the model repository {path} cannot be read: {cause}. Name a directory with `--models DIR`"
    )]
    Unreadable {
        /// The directory.
        path: PathBuf,
        /// What went wrong.
        cause: std::io::Error,
    },
    /// An object store cannot be reached by what the configuration says of it.
    #[error("models.dir: {cause}")]
    Unusable {
        /// What is wrong, and what to do.
        cause: String,
    },
    /// An object store does not answer, or not as it should.
    #[error("the model repository {place} cannot be read: {cause}")]
    Unreachable {
        /// Where it is.
        place: String,
        /// What went wrong.
        cause: String,
    },
    /// Nothing can be kept on this machine.
    #[error(
        "bundles cannot be kept in {path}: {cause}. Make it writable for the server, or name another with `models.cache_dir`"
    )]
    Uncacheable {
        /// The directory or file.
        path: PathBuf,
        /// What went wrong.
        cause: std::io::Error,
    },
    /// The disk is full.
    #[error(
        "the disk is full: {missing} bytes are missing in {path}. Make room, or name another place with `models.cache_dir`"
    )]
    DiskFull {
        /// Where bundles are kept.
        path: PathBuf,
        /// What it lacks, as far as is known.
        missing: u64,
    },
    /// The cache's bound leaves no room for a bundle.
    #[error(
        "there is no room for {needed} more bytes in the cache of bundles: {missing} are missing, as `models.cache_bytes` is {bound} and versions in use take the rest. Raise it, or unload versions"
    )]
    CacheFull {
        /// What the bundle needs.
        needed: u64,
        /// What it lacks.
        missing: u64,
        /// The bound.
        bound: u64,
    },
    /// Nothing is left of what was there.
    #[error(
        "no bundle is left in the model repository {place}; it is taken for one that is out of reach, and what is loaded goes on. Put the bundles back, or stop the server"
    )]
    Vanished {
        /// Where it is.
        place: String,
    },
    /// `serving.toml` is not what a change was made for.
    #[error("serving.toml has changed since it was read; look at what it says now, and try again")]
    Conflict,
    /// `serving.toml` cannot be written.
    #[error(
        "serving.toml cannot be written: {cause}. See to it that the server may write to the repository, or edit the file there"
    )]
    Unwritable {
        /// What went wrong.
        cause: std::io::Error,
    },
    /// The path is no `<name>/<version>` directory.
    #[error(
        "{path} is not a bundle: its last two parts must be a model's name ({rule}) and a positive whole number",
        rule = "1 to 64 of a-z 0-9 - _ ."
    )]
    NotABundle {
        /// The path.
        path: PathBuf,
    },
    /// The bundle is at fault, in all the ways listed.
    #[error("{path} has {n} fault(s):{list}", n = faults.len(), list = listed(faults))]
    Faulty {
        /// The bundle's directory.
        path: PathBuf,
        /// Everything that is wrong with it.
        faults: Vec<Fault>,
    },
}

impl RepositoryError {
    /// What kind of failure it is.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Conflict => ErrorCode::FailedPrecondition,
            _ => ErrorCode::Unavailable,
        }
    }

    /// Whether it may be otherwise at the next look although the bundle has not changed.
    pub fn may_pass(&self) -> bool {
        matches!(
            self,
            Self::Unreachable { .. }
                | Self::Uncacheable { .. }
                | Self::DiskFull { .. }
                | Self::CacheFull { .. }
        )
    }

    /// Whether there is no room for its files.
    pub fn lacks_room(&self) -> bool {
        matches!(self, Self::DiskFull { .. } | Self::CacheFull { .. })
    }
}

fn listed(faults: &[Fault]) -> String {
    faults.iter().map(|fault| format!("\n  - {fault}")).collect()
}
