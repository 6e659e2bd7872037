//! Errors: what a server, or the way to it, says, with everything that was said.

use std::{collections::HashMap, fmt, time::Duration};

use tonic::{Code, Status, TimeoutExpired};
use tonic_types::StatusExt;

use crate::pb;

/// What to do about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// Mend the request: [`Error::violations`] names each faulty field.
    InvalidArgument,
    /// [`Error::resource`] is not there.
    NotFound,
    /// Come back after [`Error::retry_after`]; show a default order meanwhile.
    Overloaded,
    /// Time ran out; [`Error::reason`] names the stage, if the server was the one to notice.
    DeadlineExceeded,
    /// Nobody answers, or the server is starting or draining.
    Unavailable,
    /// Look up [`Error::request_id`] in the server's log.
    Internal,
    /// Anything else; see [`Error::code`].
    Other,
}

/// One faulty field of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldViolation {
    /// Its path, such as `candidates.ids[3]`.
    pub field: String,
    /// What is wrong, and what to do.
    pub description: String,
}

/// A call that failed.
#[derive(Debug, Clone)]
pub struct Error(Box<Facts>);

#[derive(Debug, Clone)]
struct Facts {
    code: Code,
    message: String,
    reason: String,
    metadata: HashMap<String, String>,
    violations: Vec<FieldViolation>,
    resource: String,
    retry_after: Option<Duration>,
    request_id: String,
    attempts: u32,
}

impl Error {
    fn new(code: Code, message: impl Into<String>) -> Self {
        Self(Box::new(Facts {
            code,
            message: message.into(),
            reason: String::new(),
            metadata: HashMap::new(),
            violations: Vec::new(),
            resource: String::new(),
            retry_after: None,
            request_id: String::new(),
            attempts: 1,
        }))
    }

    /// A call that the caller stopped waiting for.
    pub(crate) fn late() -> Self {
        Self::new(Code::DeadlineExceeded, "no answer came within the deadline")
    }

    /// A status that has a source was made on this side: time ran out, or the connection is not there or broke. What code it has depends
    /// on how far the call was.
    fn unreached(source: &(dyn std::error::Error + 'static)) -> Self {
        let chain = || std::iter::successors(Some(source), |error| error.source());
        let causes: Vec<String> = chain().map(ToString::to_string).collect();
        match chain().any(|error| error.is::<TimeoutExpired>()) {
            true => Self::late(),
            false => Self::new(Code::Unavailable, causes.join(": ")),
        }
    }

    /// Something that was given to the client and cannot be used.
    pub(crate) fn unusable(message: impl Into<String>) -> Self {
        Self::new(Code::InvalidArgument, message)
    }

    /// What one request of a stream is told.
    pub(crate) fn of_stream(error: pb::RankError, request_id: String) -> Self {
        let mut facts = Self::new(Code::from(error.code), error.message).0;
        facts.reason = error.reason;
        facts.violations = error
            .field_violations
            .into_iter()
            .map(|one| FieldViolation { field: one.field, description: one.description })
            .collect();
        facts.retry_after = Some(Duration::from_millis(error.retry_after_ms.into()))
            .filter(|after| !after.is_zero());
        facts.request_id = request_id;
        Self(facts)
    }

    /// The same, for the request of that id, after so many attempts.
    pub(crate) fn with_call(mut self, request_id: &str, attempts: u32) -> Self {
        request_id.clone_into(&mut self.0.request_id);
        self.0.attempts = attempts;
        self
    }

    /// What to do about it.
    pub fn kind(&self) -> ErrorKind {
        match self.0.code {
            Code::InvalidArgument => ErrorKind::InvalidArgument,
            Code::NotFound => ErrorKind::NotFound,
            Code::ResourceExhausted => ErrorKind::Overloaded,
            Code::DeadlineExceeded => ErrorKind::DeadlineExceeded,
            Code::Unavailable => ErrorKind::Unavailable,
            Code::Internal => ErrorKind::Internal,
            _ => ErrorKind::Other,
        }
    }

    /// The gRPC code.
    pub fn code(&self) -> Code {
        self.0.code
    }

    /// What is wrong, in words for people.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// What is wrong, for programs, such as `QUEUE_FULL`; empty where the failure is not the server's.
    pub fn reason(&self) -> &str {
        &self.0.reason
    }

    /// Facts that go with the reason.
    pub fn metadata(&self) -> &HashMap<String, String> {
        &self.0.metadata
    }

    /// The faulty fields.
    pub fn violations(&self) -> &[FieldViolation] {
        &self.0.violations
    }

    /// What was not found.
    pub fn resource(&self) -> &str {
        &self.0.resource
    }

    /// After how long it is worth to try again, where the server says so.
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// The request's id.
    pub fn request_id(&self) -> &str {
        &self.0.request_id
    }

    /// How often it was tried.
    pub fn attempts(&self) -> u32 {
        self.0.attempts
    }
}

impl From<Status> for Error {
    fn from(status: Status) -> Self {
        if let Some(source) = std::error::Error::source(&status) {
            return Self::unreached(source);
        }
        let details = status.get_error_details();
        let mut facts = Self::new(status.code(), status.message()).0;
        if let Some(info) = details.error_info() {
            facts.reason.clone_from(&info.reason);
            facts.metadata.clone_from(&info.metadata);
        }
        if let Some(request) = details.bad_request() {
            let violation = |one: &tonic_types::FieldViolation| FieldViolation {
                field: one.field.clone(),
                description: one.description.clone(),
            };
            facts.violations = request.field_violations.iter().map(violation).collect();
        }
        if let Some(resource) = details.resource_info() {
            facts.resource.clone_from(&resource.resource_name);
        }
        facts.retry_after = details.retry_info().and_then(|info| info.retry_delay);
        Self(facts)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Facts { code, message, reason, request_id, attempts, .. } = self.0.as_ref();
        write!(f, "{code:?}")?;
        if !reason.is_empty() {
            write!(f, " {reason}")?;
        }
        write!(f, ": {message}")?;
        if *attempts > 1 {
            write!(f, " ({attempts} attempts)")?;
        }
        match request_id.is_empty() {
            true => Ok(()),
            false => write!(f, " (request {request_id})"),
        }
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use tonic_types::ErrorDetails;

    use super::*;

    #[test]
    fn everything_that_was_said_is_kept() {
        let mut details = ErrorDetails::with_error_info(
            "QUEUE_FULL",
            "podium",
            [("limit".to_owned(), "9".to_owned())],
        );
        details.set_retry_info(Some(Duration::from_millis(40)));
        details.add_bad_request_violation("candidates.ids[3]", "is empty");
        details.set_resource_info("model", "books", "", "");
        let status = Status::with_error_details(Code::ResourceExhausted, "full", details);
        let error = Error::from(status).with_call("r1", 3);
        assert_eq!((error.kind(), error.reason()), (ErrorKind::Overloaded, "QUEUE_FULL"));
        assert_eq!(error.metadata()["limit"], "9");
        assert_eq!(error.violations()[0].field, "candidates.ids[3]");
        assert_eq!(
            (error.resource(), error.retry_after()),
            ("books", Some(Duration::from_millis(40)))
        );
        let told = "ResourceExhausted QUEUE_FULL: full (3 attempts) (request r1)";
        assert_eq!(error.to_string(), told);
    }

    #[test]
    fn a_request_of_a_stream_is_told_the_same() {
        let told = pb::RankError {
            code: 3,
            message: "wrong".to_owned(),
            reason: "INVALID_FIELD".to_owned(),
            field_violations: vec![pb::FieldViolation {
                field: "top_k".to_owned(),
                description: "is too large".to_owned(),
            }],
            retry_after_ms: 0,
        };
        let error = Error::of_stream(told, "r2".to_owned());
        assert_eq!((error.kind(), error.request_id()), (ErrorKind::InvalidArgument, "r2"));
        assert_eq!((error.violations()[0].field.as_str(), error.retry_after()), ("top_k", None));
    }
}
