//! A place to try a Rank: the same request and answer as JSON, by the same way through limits, checks and observer.

use std::{sync::Arc, time::Instant};

use axum::{
    Extension,
    body::Bytes,
    extract::{RawQuery, State, rejection::BytesRejection},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use tonic::metadata::MetadataMap;
use url::form_urlencoded;

use crate::{
    deadline::Deadline,
    ranking::{ModelChoice, RankError},
    serving::Selector,
    transport::{
        call::Call,
        convert::request_message,
        json::{from_json, to_json},
        pb,
        rank_service::{RankApi, caller_of},
        refusing::Refusal,
        status::status_of,
    },
};

/// The method, as traces and metrics name it.
const TRIED: &str = "admin/rank";

/// Tells whose trace an answer belongs to.
const TRACE_ID: HeaderName = HeaderName::from_static("podium-trace-id");

/// `POST /rank`: a `podium.v1.RankRequest` in proto3's JSON mapping, answered with a `RankResponse`.
pub(super) async fn rank(
    State(api): State<Arc<RankApi>>,
    call: Option<Extension<Call>>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let Some(Extension(call)) = call else {
        return Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "NO_CALL", "this is a bug")
            .into_response();
    };
    let trace_id = format!("{:032x}", call.trace.trace_id);
    let mut response = match answer(&api, call, &headers, body).await {
        Ok(json) => ([(header::CONTENT_TYPE, "application/json")], json).into_response(),
        Err(refusal) => refusal.into_response(),
    };
    if let Ok(trace_id) = HeaderValue::from_str(&trace_id) {
        response.headers_mut().insert(TRACE_ID, trace_id);
    }
    response
}

async fn answer(
    api: &RankApi,
    call: Call,
    headers: &HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<String, Refusal> {
    // A form of another site can send plain text without being asked whether it may, and JSON not.
    if !is_json(headers) {
        let wrong = "send `content-type: application/json`";
        return Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "CONTENT_TYPE", wrong));
    }
    let body = body.map_err(|rejection| {
        let most = api.limits.max_message_bytes;
        let wrong = format!("the body cannot be read, or has more than max_message_bytes = {most}");
        Refusal::new(rejection.status(), "BODY", wrong)
    })?;
    let text = std::str::from_utf8(&body).map_err(|_| not_a_request("it is not UTF-8"))?;
    let message: pb::RankRequest =
        from_json(text).map_err(|error| not_a_request(&without_values(&error.to_string())))?;
    // A tenth of the time is kept back for the JSON: the layer around all calls answers in gRPC's way.
    let left = call.deadline.remaining(Instant::now());
    let call = Call { deadline: Deadline::after(Instant::now(), left * 9 / 10), ..call };
    let caller = caller_of(&MetadataMap::from_headers(headers.clone()));
    let request_id = message.request_id.clone();
    let answer = api.answer(message, caller, (TRIED, call)).await;
    let response = answer.map_err(|error| Refusal::of(&status_of(&error, &request_id)))?;
    to_json(&response).map_err(|error| {
        let error = RankError::Features(error.to_string());
        Refusal::of(&status_of(&error, &request_id))
    })
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let kind = kind.and_then(|kind| kind.split(';').next()).unwrap_or_default();
    kind.trim().eq_ignore_ascii_case("application/json")
}

fn not_a_request(why: &str) -> Refusal {
    let wrong = format!("the body is no podium.v1.RankRequest in proto3's JSON mapping: {why}");
    Refusal::new(StatusCode::BAD_REQUEST, "INVALID_JSON", wrong)
}

/// What a parser says, without the values that it quotes: they may be somebody's.
fn without_values(said: &str) -> String {
    let mut told = String::with_capacity(said.len());
    for (at, part) in said.split('"').enumerate() {
        match at % 2 {
            0 => told.push_str(part),
            _ => told.push('…'),
        }
    }
    for kind in ["integer `", "floating point `", "boolean `", "character `"] {
        if let Some((before, rest)) = told.clone().split_once(kind) {
            let after = rest.split_once('`').map_or("", |(_, after)| after);
            told = format!("{before}{}…{after}", kind.trim_end_matches('`'));
        }
    }
    told
}

/// `GET /example.json?model=NAME&version=N`: the example request that the model's bundle ships.
pub(super) async fn example(
    State(api): State<Arc<RankApi>>,
    RawQuery(query): RawQuery,
) -> Response {
    match example_of(&api, query.as_deref().unwrap_or_default()) {
        Ok(json) => ([(header::CONTENT_TYPE, "application/json")], json).into_response(),
        Err(error) => Refusal::of(&status_of(&error, "")).into_response(),
    }
}

fn example_of(api: &RankApi, query: &str) -> Result<String, RankError> {
    let mut choice = ModelChoice::default();
    for (key, value) in form_urlencoded::parse(query.as_bytes()) {
        match (key.as_ref(), value.parse()) {
            ("model", _) => choice.name = value.into_owned(),
            ("version", Ok(version)) => choice.selector = Selector::Version(version),
            ("version", Err(_)) => {
                return Err(RankError::field(
                    "version",
                    "is no number; leave it out for the live one",
                ));
            }
            _ => return Err(RankError::field("query", "takes `model` and `version` only")),
        }
    }
    let ranker = api.engine.ranker(&choice)?;
    let mut message = ranker.example().map(request_message).unwrap_or_default();
    message.model = Some(pb::ModelSelector {
        name: ranker.id().name.to_string(),
        selector: match choice.selector {
            Selector::Version(version) => Some(pb::model_selector::Selector::Version(version)),
            _ => None,
        },
    });
    to_json(&message).map_err(|error| RankError::Features(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(json: &str, secret: &str, want: &str) {
        let error = from_json::<pb::RankRequest>(json).unwrap_err().to_string();
        let told = without_values(&error);
        assert!(!told.contains(secret), "{told}");
        assert!(told.contains(want), "{told}");
    }

    #[test]
    fn what_is_wrong_with_json_is_told_without_its_values() {
        check(r#"{"topk": "ann"}"#, "ann", "topk");
        check(r#"{"top_k": "ann"}"#, "ann", "line 1");
        check(r#"{"query": 8675309}"#, "8675309", "line 1");
        check(r#"{"query": 86753.09}"#, "86753.09", "line 1");
        check(r#"{"query": "ann"#, "ann", "line 1");
        check(r#"{"user": "ann"}"#, "ann", "line 1");
        check(r#"{"user": {"id": ["ann"]}}"#, "ann", "line 1");
    }

    #[test]
    fn json_is_told_by_its_content_type() {
        let says = |kind: &'static str| {
            is_json(&HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_static(kind))]))
        };
        assert!(says("application/json") && says("Application/JSON; charset=utf-8"));
        assert!(!says("text/plain") && !says("application/x-www-form-urlencoded"));
        assert!(!is_json(&HeaderMap::new()));
    }
}
