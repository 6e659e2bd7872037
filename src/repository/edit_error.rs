//! Why `serving.toml` cannot be changed.

use crate::{
    error_code::ErrorCode,
    ids::{ModelName, Version},
    repository::{error::Fault, serving_file::SERVING_FILE},
};

/// A change that cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum EditError {
    /// The file is at fault already.
    #[error(
        "{SERVING_FILE} is at fault, and only a person can mend it:{}",
        .0.iter().map(|fault| format!("\n  - {fault}")).collect::<String>()
    )]
    AtFault(Vec<Fault>),
    /// Nothing says which version was live before.
    #[error(
        "models.{model}: {version} is live, and nothing says what was live before; promote another version, or name one to go back to"
    )]
    NothingBefore {
        /// The model.
        model: ModelName,
        /// Its live version.
        version: Version,
    },
    /// The change would leave a file at fault.
    #[error(
        "the change cannot be written into {SERVING_FILE}; make it there by hand:{}",
        .0.iter().map(|fault| format!("\n  - {fault}")).collect::<String>()
    )]
    Unfit(Vec<Fault>),
}

impl EditError {
    /// What kind of failure it is.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::AtFault(_) | Self::NothingBefore { .. } => ErrorCode::FailedPrecondition,
            Self::Unfit(_) => ErrorCode::InvalidArgument,
        }
    }
}
