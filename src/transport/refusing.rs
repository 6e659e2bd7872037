//! Errors as JSON by HTTP, for the operations page.

use std::time::Duration;

use axum::{
    Json,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::Serialize;
use tonic::{Code, Status};
use tonic_types::StatusExt;

/// Why something was refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Refusal {
    /// The name of the gRPC code.
    code: &'static str,
    /// A reason for machines.
    reason: String,
    /// What is wrong and what to do.
    message: String,
    /// The faulty fields, where it is those.
    fields: Vec<FieldRefusal>,
    /// When it is worth to ask again, in milliseconds, where that is known.
    retry_after_ms: Option<u64>,
    #[serde(skip)]
    status: StatusCode,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct FieldRefusal {
    field: String,
    wrong: String,
}

#[derive(Serialize)]
struct Body {
    error: Refusal,
}

impl Refusal {
    /// A refusal that is told by an HTTP status of its own.
    pub(super) fn new(status: StatusCode, reason: &str, message: impl Into<String>) -> Self {
        let code = match status {
            StatusCode::FORBIDDEN | StatusCode::MISDIRECTED_REQUEST => "PERMISSION_DENIED",
            _ => "INVALID_ARGUMENT",
        };
        let (fields, retry_after_ms) = (Vec::new(), None);
        let (reason, message) = (reason.to_owned(), message.into());
        Self { code, reason, message, fields, retry_after_ms, status }
    }

    /// That of a gRPC status, with its details.
    pub(super) fn of(status: &Status) -> Self {
        let (code, http) = names(status.code());
        let violations = status.get_details_bad_request().map(|bad| bad.field_violations);
        let fields = violations.unwrap_or_default().into_iter();
        let retry = status.get_details_retry_info().and_then(|info| info.retry_delay);
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        Self {
            code,
            reason: status.get_details_error_info().map(|info| info.reason).unwrap_or_default(),
            message: status.message().to_owned(),
            fields: fields.map(|f| FieldRefusal { field: f.field, wrong: f.description }).collect(),
            retry_after_ms: retry.map(millis),
            status: http,
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.status, Json(Body { error: self })).into_response()
    }
}

/// The code's name, and the HTTP status that says the same.
///
/// Source: google/rpc/code.proto, "HTTP Mapping".
fn names(code: Code) -> (&'static str, StatusCode) {
    match code {
        Code::InvalidArgument => ("INVALID_ARGUMENT", StatusCode::BAD_REQUEST),
        Code::NotFound => ("NOT_FOUND", StatusCode::NOT_FOUND),
        Code::ResourceExhausted => ("RESOURCE_EXHAUSTED", StatusCode::TOO_MANY_REQUESTS),
        Code::DeadlineExceeded => ("DEADLINE_EXCEEDED", StatusCode::GATEWAY_TIMEOUT),
        Code::Unavailable => ("UNAVAILABLE", StatusCode::SERVICE_UNAVAILABLE),
        Code::FailedPrecondition => ("FAILED_PRECONDITION", StatusCode::CONFLICT),
        _ => ("INTERNAL", StatusCode::INTERNAL_SERVER_ERROR),
    }
}

#[cfg(test)]
mod tests {
    use crate::{
        ranking::{RankError, Stage},
        transport::status::status_of,
    };

    use super::*;

    #[track_caller]
    fn check(error: &RankError, want: (&str, u16, &str)) -> Refusal {
        let refusal = Refusal::of(&status_of(error, ""));
        assert_eq!((refusal.code, refusal.status.as_u16(), refusal.reason.as_str()), want);
        refusal
    }

    #[test]
    fn a_refusal_says_what_the_status_says() {
        let fields =
            check(&RankError::field("top_k", "bad"), ("INVALID_ARGUMENT", 400, "INVALID_FIELD"));
        let want = FieldRefusal { field: "top_k".to_owned(), wrong: "bad".to_owned() };
        assert_eq!(fields.fields, [want]);
        let full = RankError::TooManyInFlight { limit: 3 };
        let full = check(&full, ("RESOURCE_EXHAUSTED", 429, "TOO_MANY_IN_FLIGHT"));
        assert_eq!(full.retry_after_ms, Some(100));
        check(&RankError::Expired(Stage::Run), ("DEADLINE_EXCEEDED", 504, "EXPIRED_IN_RUN"));
        check(&RankError::Draining, ("UNAVAILABLE", 503, "SERVER_STOPPING"));
        let ours =
            check(&RankError::Features("secret".into()), ("INTERNAL", 500, "FEATURES_FAILED"));
        assert!(!ours.message.contains("secret"));
    }
}
