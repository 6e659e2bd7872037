//! Why a request got no order.

use std::{fmt, sync::Arc, time::Duration};

use crate::{
    batching::BatchError, error_code::ErrorCode, serving::ServingError, users::StoreError,
};

/// A field of a request that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldFault {
    /// The field's path, such as `candidates.ids[3]`.
    pub field: String,
    /// What is wrong, with the limit, and what to do; values that tell of a shopper are not in it.
    pub wrong: String,
}

impl FieldFault {
    /// Makes a fault.
    pub fn new(field: impl Into<String>, wrong: impl Into<String>) -> Self {
        Self { field: field.into(), wrong: wrong.into() }
    }
}

impl fmt::Display for FieldFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.wrong)
    }
}

/// Where on its way a request was when its deadline passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Before anything was done.
    Arrival,
    /// While the request was still being received.
    Receiving,
    /// Getting the user's side.
    User,
    /// Building the model's inputs.
    Features,
    /// Waiting for the model.
    Queue,
    /// In the model's run.
    Run,
    /// Waiting for the user store.
    Store,
}

impl Stage {
    /// Its name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Arrival => "EXPIRED_ON_ARRIVAL",
            Self::Receiving => "EXPIRED_IN_RECEIVING",
            Self::User => "EXPIRED_IN_USER_SIDE",
            Self::Features => "EXPIRED_IN_FEATURES",
            Self::Queue => "EXPIRED_IN_QUEUE",
            Self::Run => "EXPIRED_IN_RUN",
            Self::Store => "EXPIRED_IN_USER_STORE",
        }
    }
}

/// Why a request got no order.
#[derive(Debug, thiserror::Error)]
pub enum RankError {
    /// The request is wrong in these fields.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Invalid(Vec<FieldFault>),
    /// The deadline passed.
    #[error("the deadline passed ({})", .0.name())]
    Expired(Stage),
    /// The server has as many requests in flight as it may.
    #[error("the server has {limit} requests in flight, which is its limit; try again")]
    TooManyInFlight {
        /// The limit, `server.max_in_flight`.
        limit: usize,
    },
    /// The server stops.
    #[error("the server is about to stop; try again, another one may answer")]
    Draining,
    /// There is no such model.
    #[error(transparent)]
    Serving(#[from] ServingError),
    /// The model is loaded, but does not rank.
    #[error("the model `{0}` is a user encoder and does not rank; name a ranker")]
    NotARanker(String),
    /// The model is loaded, but is asked by its tensors.
    #[error(
        "the model `{0}` is asked by its tensors and does not rank: call ModelInfer, or give it a manifest (`podium quickstart` writes a first one)"
    )]
    OnlyTensors(String),
    /// The model could not be run.
    #[error(transparent)]
    Batch(BatchError),
    /// The user store does not do what it is asked for.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The request wants no order for an unknown shopper, and nothing is known of this one.
    #[error(
        "nothing is known of the user that `user.id` names, and `require_user_state` is set; record events, or leave it out"
    )]
    UserUnknown,
    /// The request wants no order for an unknown shopper, and what is known of this one cannot be had.
    #[error("the user's embedding cannot be had now, and `require_user_state` is set; try again")]
    UserUnavailable,
    /// The model answered something that is no finite number, or of the wrong shape.
    #[error("{model}: the output `{output}` {wrong}")]
    BadOutput {
        /// The model and version.
        model: String,
        /// The output.
        output: String,
        /// What is wrong with it.
        wrong: &'static str,
    },
    /// Inputs could not be built for a reason that is ours.
    #[error("inputs could not be built: {0}")]
    Features(String),
    /// A computation that others waited for as well failed.
    #[error(transparent)]
    Shared(Arc<RankError>),
}

impl RankError {
    /// A single faulty field.
    pub fn field(field: impl Into<String>, wrong: impl Into<String>) -> Self {
        Self::Invalid(vec![FieldFault::new(field, wrong)])
    }

    /// What kind of failure it is.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Invalid(_) | Self::NotARanker(_) | Self::OnlyTensors(_) => {
                ErrorCode::InvalidArgument
            }
            Self::Expired(_) => ErrorCode::DeadlineExceeded,
            Self::TooManyInFlight { .. } => ErrorCode::ResourceExhausted,
            Self::Serving(error) => error.code(),
            Self::Batch(error) => error.code(),
            Self::Store(error) => error.code(),
            Self::UserUnknown => ErrorCode::NotFound,
            Self::UserUnavailable | Self::Draining => ErrorCode::Unavailable,
            Self::BadOutput { .. } | Self::Features(_) => ErrorCode::Internal,
            Self::Shared(error) => error.code(),
        }
    }

    /// When it is worth to ask again, where that is known.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Batch(error) => error.retry_after(),
            Self::Shared(error) => error.retry_after(),
            _ => None,
        }
    }

    /// A reason for machines.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Invalid(_) => "INVALID_FIELD",
            Self::NotARanker(_) | Self::OnlyTensors(_) => "NOT_A_RANKER",
            Self::Expired(stage) => stage.name(),
            Self::TooManyInFlight { .. } => "TOO_MANY_IN_FLIGHT",
            Self::Draining => "SERVER_STOPPING",
            Self::Serving(ServingError::NotReady { .. }) => "MODEL_NOT_READY",
            Self::Serving(_) => "MODEL_NOT_FOUND",
            Self::Batch(error) => error.kind(),
            Self::Store(error) => error.reason(),
            Self::UserUnknown => "USER_UNKNOWN",
            Self::UserUnavailable => "USER_STATE_UNAVAILABLE",
            Self::BadOutput { .. } => "BAD_OUTPUT",
            Self::Features(_) => "FEATURES_FAILED",
            Self::Shared(error) => error.reason(),
        }
    }
}

impl From<BatchError> for RankError {
    fn from(error: BatchError) -> Self {
        match error {
            BatchError::ExpiredInQueue => Self::Expired(Stage::Queue),
            BatchError::ExpiredInRun => Self::Expired(Stage::Run),
            other => Self::Batch(other),
        }
    }
}
