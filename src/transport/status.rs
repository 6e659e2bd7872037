//! The one place where an error becomes a gRPC status.

use std::time::Duration;

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, FieldViolation, PreconditionViolation, StatusExt};

use crate::{
    error_code::ErrorCode,
    ranking::{FieldFault, RankError, Stage},
    serving::{CommandError, Conflict},
    transport::{limits::Limits, pb},
};

const DOMAIN: &str = "podium";

/// How long a caller is asked to wait where trying again helps.
const RETRY_AFTER: Duration = Duration::from_millis(100);

/// Longest text of a status in bytes: gRPC clients refuse answers whose headers are larger than 8 KiB.
const LONGEST_MESSAGE: usize = 600;

/// Longest description of one faulty field in bytes.
const LONGEST_FAULT: usize = 240;

/// Conflicts that are told of one change.
const MOST_CONFLICTS: usize = 8;

/// An error as a caller sees it.
#[derive(Debug)]
struct Failure {
    code: Code,
    message: String,
    reason: &'static str,
    violations: Vec<FieldFault>,
    resource: Option<(&'static str, String)>,
    retry_after: Option<Duration>,
}

impl Failure {
    fn of(error: &RankError) -> Self {
        let error = match error {
            RankError::Shared(shared) => shared.as_ref(),
            own => own,
        };
        let code = grpc_code(error.code());
        Self {
            code,
            message: match code {
                Code::Internal => {
                    "the server failed; its log has the cause under this request_id".to_owned()
                }
                _ => cut(&error.to_string(), LONGEST_MESSAGE),
            },
            reason: error.reason(),
            violations: match error {
                RankError::Invalid(faults) => faults.iter().map(shortened).collect(),
                RankError::NotARanker(_) | RankError::OnlyTensors(_) => {
                    vec![FieldFault::new("model.name", error.to_string())]
                }
                _ => Vec::new(),
            },
            resource: match error {
                RankError::Serving(error) => error.resource(),
                RankError::UserUnknown => Some(("podium.v1.User", "user.id".to_owned())),
                _ => None,
            },
            retry_after: matches!(code, Code::ResourceExhausted | Code::Unavailable)
                .then(|| error.retry_after().unwrap_or(RETRY_AFTER)),
        }
    }
}

fn shortened(fault: &FieldFault) -> FieldFault {
    FieldFault::new(cut(&fault.field, LONGEST_FAULT / 2), cut(&fault.wrong, LONGEST_FAULT))
}

/// The text, or as many whole characters of it as fit into `most` bytes on the wire, where others than ASCII take
/// three for one.
fn cut(text: &str, most: usize) -> String {
    let size = |c: char| if c.is_ascii() { 1 } else { 3 * c.len_utf8() };
    let mut left = most;
    let fits = text.chars().take_while(|c| {
        let fits = size(*c) <= left;
        left = left.saturating_sub(size(*c));
        fits
    });
    let short: String = fits.collect();
    if short.len() < text.len() { short + "…" } else { short }
}

fn grpc_code(code: ErrorCode) -> Code {
    match code {
        ErrorCode::InvalidArgument => Code::InvalidArgument,
        ErrorCode::NotFound => Code::NotFound,
        ErrorCode::ResourceExhausted => Code::ResourceExhausted,
        ErrorCode::DeadlineExceeded => Code::DeadlineExceeded,
        ErrorCode::Unavailable => Code::Unavailable,
        ErrorCode::FailedPrecondition => Code::FailedPrecondition,
        ErrorCode::Internal => Code::Internal,
    }
}

/// The status of a failed call; logs it once.
pub(super) fn status_of(error: &RankError, request_id: &str) -> Status {
    let failure = Failure::of(error);
    log(&failure, error, request_id);
    let mut details = ErrorDetails::new();
    details.set_error_info(failure.reason, DOMAIN, std::collections::HashMap::new());
    if !failure.violations.is_empty() {
        let violation = |f: &FieldFault| FieldViolation::new(&f.field, &f.wrong);
        details.set_bad_request(failure.violations.iter().map(violation).collect::<Vec<_>>());
    }
    if let Some((kind, name)) = &failure.resource {
        details.set_resource_info(*kind, name, "", &failure.message);
    }
    if failure.retry_after.is_some() {
        details.set_retry_info(failure.retry_after);
    }
    if failure.code == Code::Internal {
        details.set_request_info(request_id, "");
    }
    Status::with_error_details(failure.code, failure.message, details)
}

/// The status of a change to what serves that is not made; logs it once.
pub(super) fn command_status_of(error: &CommandError) -> Status {
    let (code, reason) = (grpc_code(error.code()), error.reason());
    tracing::info!(?code, reason, %error, "what serves is not changed");
    let message = cut(&error.to_string(), LONGEST_MESSAGE);
    let mut details = ErrorDetails::new();
    details.set_error_info(reason, DOMAIN, std::collections::HashMap::new());
    if let Some((kind, name)) = error.resource() {
        details.set_resource_info(kind, name, "", &message);
    }
    let violation = |conflict: &Conflict| {
        let wrong = cut(&conflict.wrong, LONGEST_FAULT);
        PreconditionViolation::new(conflict.kind, &conflict.subject, wrong)
    };
    let conflicts = error.conflicts();
    let violations: Vec<_> = conflicts.iter().take(MOST_CONFLICTS).map(violation).collect();
    if !violations.is_empty() {
        details.set_precondition_failure(violations);
    }
    if code == Code::Unavailable {
        details.set_retry_info(Some(RETRY_AFTER));
    }
    Status::with_error_details(code, message, details)
}

/// The status of a failed call with one more fact in its ErrorInfo.
pub(super) fn with_fact(status: &Status, name: &str, value: impl ToString) -> Status {
    let mut details = status.get_error_details();
    let info = details.error_info();
    let (reason, domain) = info.map_or(("", DOMAIN), |info| (&info.reason, &info.domain));
    let facts = std::collections::HashMap::from([(name.to_owned(), value.to_string())]);
    let (reason, domain) = (reason.to_owned(), domain.to_owned());
    details.set_error_info(reason, domain, facts);
    Status::with_error_details(status.code(), status.message(), details)
}

/// The same facts for one request of a stream; logs them once.
pub(super) fn stream_error_of(error: &RankError, request_id: &str) -> pb::RankError {
    let failure = Failure::of(error);
    log(&failure, error, request_id);
    pb::RankError {
        code: failure.code as i32,
        message: failure.message,
        reason: failure.reason.to_owned(),
        field_violations: failure
            .violations
            .into_iter()
            .map(|fault| pb::FieldViolation { field: fault.field, description: fault.wrong })
            .collect(),
        retry_after_ms: failure.retry_after.map_or(0, |wait| wait.as_millis() as u32),
    }
}

fn log(failure: &Failure, error: &RankError, request_id: &str) {
    let (code, reason) = (failure.code, failure.reason);
    match code {
        Code::Internal => tracing::error!(?code, reason, request_id, %error, "request failed"),
        _ => tracing::debug!(?code, reason, request_id, "request refused"),
    }
}

/// The status of bytes that are no message.
pub(super) fn undecodable(cause: &prost::DecodeError) -> Status {
    let wrong = format!("the bytes are no such message: {cause}; send what the proto file says");
    status_of(&RankError::field("message", wrong), "")
}

/// The status of a call that expired before the pipeline had it.
pub(super) fn expired(stage: Stage) -> Status {
    status_of(&RankError::Expired(stage), "")
}

/// The status of a message beyond the limit, which tonic says in `theirs` with the message's size.
pub(super) fn message_too_large(theirs: &Status, limits: &Limits) -> Status {
    let limit = limits.max_message_bytes;
    let digits = |c: char| c.is_ascii_digit();
    let size = theirs.message().split(|c| !digits(c)).find(|number| !number.is_empty());
    let size = size.map_or("more".to_owned(), |size| format!("{size} bytes"));
    let wrong =
        format!("has {size}, and max_message_bytes is {limit}; send fewer candidates or columns");
    status_of(&RankError::field("message", wrong), "")
}

#[cfg(test)]
mod tests {
    use crate::batching::BatchError;

    use super::*;

    #[track_caller]
    fn check(error: RankError, code: Code, reason: &str) -> Status {
        let status = status_of(&error, "r1");
        assert_eq!(status.code(), code);
        let info = status.get_details_error_info();
        assert_eq!(info.map(|i| i.reason).as_deref(), Some(reason));
        status
    }

    #[test]
    fn every_kind_of_error_has_its_code_and_details() {
        let status =
            check(RankError::field("top_k", "bad"), Code::InvalidArgument, "INVALID_FIELD");
        assert_eq!(status.get_details_bad_request().map(|b| b.field_violations.len()), Some(1));
        let full = BatchError::QueueFull {
            model: "m".to_owned(),
            limit: "1 requests".to_owned(),
            retry_after: Duration::from_millis(7),
        };
        let status = check(full.into(), Code::ResourceExhausted, "QUEUE_FULL");
        let retry = status.get_details_retry_info().and_then(|info| info.retry_delay);
        assert_eq!(retry, Some(Duration::from_millis(7)));
        check(BatchError::ExpiredInQueue.into(), Code::DeadlineExceeded, "EXPIRED_IN_QUEUE");
        check(BatchError::ExpiredInRun.into(), Code::DeadlineExceeded, "EXPIRED_IN_RUN");
        check(BatchError::Stopped.into(), Code::Unavailable, "MODEL_STOPPING");
    }

    #[test]
    fn a_message_beyond_the_limit_names_its_size_and_the_limit() {
        let theirs = Status::out_of_range(
            "decoded message length too large: found 99 bytes, the limit is: 7 bytes",
        );
        let limits = Limits { max_message_bytes: 7, ..Limits::default() };
        let status = message_too_large(&theirs, &limits);
        assert_eq!(status.code(), Code::InvalidArgument);
        assert!(status.message().contains("has 99 bytes, and max_message_bytes is 7"), "{status}");
    }

    #[test]
    fn a_fact_leaves_the_rest_as_it_is() {
        let status = status_of(&RankError::field("embeddings[3].values", "bad"), "");
        let told = with_fact(&status, "stored", 7);
        assert_eq!((told.code(), told.message()), (status.code(), status.message()));
        let info = told.get_details_error_info().unwrap();
        assert_eq!(info.reason, "INVALID_FIELD");
        assert_eq!(info.metadata.get("stored").map(String::as_str), Some("7"));
        assert!(told.get_details_bad_request().is_some());
        let bare = with_fact(&Status::cancelled("gone"), "stored", 0);
        assert_eq!((bare.code(), bare.message()), (Code::Cancelled, "gone"));
    }

    #[test]
    fn a_long_text_is_cut_at_a_character() {
        assert_eq!(cut("short", 5), "short");
        assert_eq!(cut("longer", 5), "longe…");
        assert_eq!(cut(&"ü".repeat(10), 13), "üü…");
    }

    #[test]
    fn an_internal_error_keeps_its_cause_to_itself() {
        let error = RankError::Features("secret".to_owned());
        let status = check(error, Code::Internal, "FEATURES_FAILED");
        assert!(!status.message().contains("secret"));
        assert!(status.get_details_request_info().is_some());
    }
}
