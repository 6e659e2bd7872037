//! What kind of failure an error is; `transport::status` alone turns it into a gRPC status.

/// The kinds of failure that a caller can tell apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorCode {
    /// The request breaks a rule that the caller can see.
    InvalidArgument,
    /// The model, version, label or thing asked for does not exist.
    NotFound,
    /// A limit is reached; trying again later can help.
    ResourceExhausted,
    /// The answer could not be had in time.
    DeadlineExceeded,
    /// Not now: loading, draining, or a dependency is down.
    Unavailable,
    /// The change conflicts with the state; look at that and ask again.
    FailedPrecondition,
    /// A failure of ours; the cause is logged, not sent.
    Internal,
}

impl ErrorCode {
    /// The name of its gRPC code.
    pub fn name(self) -> &'static str {
        match self {
            Self::InvalidArgument => "INVALID_ARGUMENT",
            Self::NotFound => "NOT_FOUND",
            Self::ResourceExhausted => "RESOURCE_EXHAUSTED",
            Self::DeadlineExceeded => "DEADLINE_EXCEEDED",
            Self::Unavailable => "UNAVAILABLE",
            Self::FailedPrecondition => "FAILED_PRECONDITION",
            Self::Internal => "INTERNAL",
        }
    }
}
