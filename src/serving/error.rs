//! Why there is no model.

use crate::{
    error_code::ErrorCode, ids::ModelId, repository::RepositoryError, runtime::RuntimeError,
};

/// Why there is no model.
#[derive(Debug, thiserror::Error)]
pub enum ServingError {
    /// No model of that name is loaded.
    #[error("the model `{name}` is not loaded; loaded are: {known}")]
    UnknownModel {
        /// The name asked for.
        name: String,
        /// The names that are loaded.
        known: String,
    },
    /// The model is loaded, but not in that version.
    #[error("the model `{name}` is not loaded in version {version}; loaded are: {known}")]
    UnknownVersion {
        /// The model.
        name: String,
        /// The version asked for.
        version: u64,
        /// The versions that are loaded.
        known: String,
    },
    /// The model has no such label.
    #[error("the model `{name}` has no label `{label}`; its labels are: {known}")]
    UnknownLabel {
        /// The model.
        name: String,
        /// The label asked for.
        label: String,
        /// The labels that it has.
        known: String,
    },
    /// The version is in the repository, and does not answer.
    #[error("{model} is {state} and does not answer; its state tells when, or why not")]
    NotReady {
        /// The model and version.
        model: ModelId,
        /// Where in its life it is.
        state: &'static str,
    },
    /// A bundle is at fault.
    #[error(transparent)]
    Repository(#[from] RepositoryError),
    /// The runtime refused.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
    /// A thread could not be started.
    #[error("a thread for {model} cannot be started: {cause}")]
    Thread {
        /// The model.
        model: String,
        /// What went wrong.
        cause: std::io::Error,
    },
}

impl ServingError {
    /// What kind of failure it is.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::UnknownModel { .. } | Self::UnknownVersion { .. } | Self::UnknownLabel { .. } => {
                ErrorCode::NotFound
            }
            Self::NotReady { .. } => ErrorCode::Unavailable,
            Self::Repository(error) => error.code(),
            Self::Runtime(error) => error.code(),
            Self::Thread { .. } => ErrorCode::Internal,
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
}

/// Things one after the other, as an error tells them.
pub(super) fn joined<T: ToString>(all: impl Iterator<Item = T>) -> String {
    match all.map(|one| one.to_string()).collect::<Vec<_>>() {
        none if none.is_empty() => "none".to_owned(),
        some => some.join(", "),
    }
}
