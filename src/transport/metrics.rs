//! `/metrics` on the admin listener.

use std::sync::Arc;

use axum::{
    Router,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};

use crate::{
    observing::Gatherer,
    telemetry::{Exposition, Snapshot, metrics},
    transport::flow::Flow,
};

/// `/metrics`, in the format that the client prefers.
pub(super) fn scrapes(gatherer: Arc<Gatherer>) -> Router {
    Router::new().route("/metrics", get(scrape)).with_state(gatherer)
}

/// Adds how many of the places for calls in flight are taken.
pub(super) fn places(flow: Flow) -> impl Fn(&mut Snapshot) + Send + Sync + 'static {
    move |snapshot| {
        snapshot.count(&metrics::IN_FLIGHT, &[], flow.in_flight() as u64);
        snapshot.count(&metrics::IN_FLIGHT_LIMIT, &[], flow.options.max_in_flight as u64);
    }
}

async fn scrape(State(gatherer): State<Arc<Gatherer>>, headers: HeaderMap) -> Response {
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
    let exposition = Exposition::accepted(accept.unwrap_or_default());
    // Some of it is read from files.
    let text = tokio::task::spawn_blocking(move || exposition.text(&gatherer.snapshot())).await;
    match text {
        Ok(text) => ([(header::CONTENT_TYPE, exposition.content_type())], text).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}
