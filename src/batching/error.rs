//! Why work was not run.

use crate::{error_code::ErrorCode, runtime::RuntimeError};

/// Why work was not run.
#[derive(Debug, thiserror::Error)]
pub enum BatchError {
    /// The queue holds as much as it may.
    #[error("the queue of {model} is full at {limit} requests")]
    QueueFull {
        /// The model.
        model: String,
        /// The limit, `batching.max_queue_size`.
        limit: usize,
    },
    /// The deadline passed before the run began.
    #[error("the deadline passed in the queue")]
    ExpiredInQueue,
    /// The deadline passed while the run went on.
    #[error("the deadline passed in the run")]
    ExpiredInRun,
    /// The model is being taken down.
    #[error("the model is stopping")]
    Stopped,
    /// The run failed.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
    /// The run panicked; only its own request suffers.
    #[error("the run panicked: {0}")]
    Panicked(String),
}

impl BatchError {
    /// What kind of failure it is.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::QueueFull { .. } => ErrorCode::ResourceExhausted,
            Self::ExpiredInQueue | Self::ExpiredInRun => ErrorCode::DeadlineExceeded,
            Self::Stopped => ErrorCode::Unavailable,
            Self::Runtime(error) => error.code(),
            Self::Panicked(_) => ErrorCode::Internal,
        }
    }
}
