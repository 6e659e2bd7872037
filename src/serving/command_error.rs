//! Why what serves is not changed as somebody asks.

use crate::{
    error_code::ErrorCode,
    ids::{ModelName, Version},
    repository::{EditError, RepositoryError},
};

/// A change that is not made.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// The repository has no such model.
    #[error("the model `{name}` is not in the repository; there are: {known}")]
    UnknownModel {
        /// The name asked for.
        name: String,
        /// The names that there are.
        known: String,
    },
    /// The repository does not have the model in that version.
    #[error("`{name}` is not in the repository in version {version}; there are: {known}")]
    UnknownVersion {
        /// The model.
        name: ModelName,
        /// The version asked for.
        version: Version,
        /// The versions that there are.
        known: String,
    },
    /// The model has no such label.
    #[error(
        "`{name}` has no label `{label}`; give it one in serving.toml, or name a version. Its labels are: {known}"
    )]
    UnknownLabel {
        /// The model.
        name: ModelName,
        /// The label asked for.
        label: String,
        /// The labels that it has.
        known: String,
    },
    /// It conflicts with the state, in all the ways listed.
    #[error("{}", .0.iter().map(|conflict| conflict.wrong.as_str()).collect::<Vec<_>>().join("; "))]
    Conflicts(Vec<Conflict>),
    /// The file does not take the change.
    #[error(transparent)]
    Edit(#[from] EditError),
    /// The file cannot be read or written, or has changed meanwhile.
    #[error(transparent)]
    Repository(#[from] RepositoryError),
}

/// One way in which a change conflicts with the state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    /// What it conflicts with, for machines, such as `LIVE`.
    pub kind: &'static str,
    /// Of what: a model and version, or the file.
    pub subject: String,
    /// What is wrong, and what to do.
    pub wrong: String,
}

impl CommandError {
    /// What kind of failure it is.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::UnknownModel { .. } | Self::UnknownVersion { .. } | Self::UnknownLabel { .. } => {
                ErrorCode::NotFound
            }
            Self::Conflicts(_) => ErrorCode::FailedPrecondition,
            Self::Edit(error) => error.code(),
            Self::Repository(error) => error.code(),
        }
    }

    /// A reason for machines.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::UnknownModel { .. } | Self::UnknownVersion { .. } | Self::UnknownLabel { .. } => {
                "MODEL_NOT_FOUND"
            }
            Self::Repository(RepositoryError::Conflict) => "REVISION_CONFLICT",
            Self::Repository(_) => "REPOSITORY_UNAVAILABLE",
            Self::Conflicts(_) => "STATE_CONFLICT",
            Self::Edit(_) => "SERVING_FILE_UNFIT",
        }
    }

    /// The resource that was not found, as type and name.
    pub fn resource(&self) -> Option<(&'static str, String)> {
        match self {
            Self::UnknownModel { name, .. } => Some(("model", name.clone())),
            Self::UnknownVersion { name, version, .. } => {
                Some(("model version", format!("{name}/{version}")))
            }
            Self::UnknownLabel { name, label, .. } => {
                Some(("model label", format!("{name}/{label}")))
            }
            _ => None,
        }
    }

    /// What it conflicts with.
    pub fn conflicts(&self) -> Vec<Conflict> {
        let of_file = |kind| Conflict {
            kind,
            subject: crate::repository::SERVING_FILE.to_owned(),
            wrong: self.to_string(),
        };
        match self {
            Self::Conflicts(conflicts) => conflicts.clone(),
            Self::Repository(RepositoryError::Conflict) => vec![of_file("REVISION")],
            Self::Edit(error) if error.code() == ErrorCode::FailedPrecondition => {
                vec![of_file("SERVING_FILE")]
            }
            _ => Vec::new(),
        }
    }
}
