//! Why work was not run.

use std::time::Duration;

use crate::{batching::scatter::WrongLead, error_code::ErrorCode, runtime::RuntimeError};

/// Why work was not run.
#[derive(Debug, Clone, thiserror::Error)]
pub enum BatchError {
    /// The queue holds as much as it may.
    #[error("the queue of {model} is full at {limit}")]
    QueueFull {
        /// The model.
        model: String,
        /// The limit with its unit, such as `1024 requests`.
        limit: String,
        /// When there will be room again.
        retry_after: Duration,
    },
    /// What waits before it leaves no time for it before its deadline.
    #[error("{model} cannot answer in time: {needed_ms} ms are needed, and {left_ms} ms are left")]
    TooLate {
        /// The model.
        model: String,
        /// How long the wait and the run are expected to take.
        needed_ms: u64,
        /// How long the caller waits.
        left_ms: u64,
        /// When as long a deadline will be enough.
        retry_after: Duration,
    },
    /// The deadline passed before the run began, or would have passed during it.
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
    /// The graph answered another number of rows than it was given.
    #[error("output {output} has {has} entries for {wanted}")]
    WrongLead {
        /// The output's place in the manifest.
        output: usize,
        /// The entries that it has.
        has: usize,
        /// The entries that the batch has.
        wanted: usize,
    },
    /// The run panicked; only the requests of its batch suffer.
    #[error("the run panicked: {0}")]
    Panicked(String),
}

impl From<WrongLead> for BatchError {
    fn from(wrong: WrongLead) -> Self {
        Self::WrongLead { output: wrong.output, has: wrong.has, wanted: wrong.wanted }
    }
}

impl BatchError {
    /// What kind of failure it is.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::QueueFull { .. } | Self::TooLate { .. } => ErrorCode::ResourceExhausted,
            Self::ExpiredInQueue | Self::ExpiredInRun => ErrorCode::DeadlineExceeded,
            Self::Stopped => ErrorCode::Unavailable,
            Self::Runtime(error) => error.code(),
            Self::WrongLead { .. } | Self::Panicked(_) => ErrorCode::Internal,
        }
    }

    /// A word for machines.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::QueueFull { .. } => "QUEUE_FULL",
            Self::TooLate { .. } => "DEADLINE_TOO_SHORT",
            Self::ExpiredInQueue => "EXPIRED_IN_QUEUE",
            Self::ExpiredInRun => "EXPIRED_IN_RUN",
            Self::Stopped => "MODEL_STOPPING",
            Self::Runtime(_) | Self::WrongLead { .. } | Self::Panicked(_) => "RUN_FAILED",
        }
    }

    /// When it is worth to ask again, where that is known.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::QueueFull { retry_after, .. } | Self::TooLate { retry_after, .. } => {
                Some(*retry_after)
            }
            _ => None,
        }
    }
}
