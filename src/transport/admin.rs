//! The admin listener's plain HTTP: probes, the status, and the operations page.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{DefaultBodyLimit, Request, State},
    http::StatusCode,
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use tokio_util::sync::CancellationToken;

use crate::transport::{
    origin::{self, Stranger},
    page,
    rank_service::RankApi,
    refusing::Refusal,
    report::Report,
    reporting::Reporting,
    trying,
};

/// `/livez`, `/readyz`, `/statusz`, and the operations page with what it asks for.
pub(super) fn pages(reporting: Reporting, rank: RankApi, hosts: Vec<String>) -> Router {
    let largest = DefaultBodyLimit::max(rank.limits.max_message_bytes);
    let probes = Router::new()
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .with_state(reporting.draining.clone());
    let trying = Router::new()
        .route("/rank", post(trying::rank).layer(largest))
        .route("/example.json", get(trying::example))
        .with_state(Arc::new(rank));
    let status = Router::new().route("/statusz", get(status)).with_state(Arc::new(reporting));
    let guarded = page::routes().merge(trying).merge(status);
    let hosts: Arc<[String]> = hosts.into();
    probes.merge(guarded.layer(middleware::from_fn_with_state(hosts, guard)))
}

async fn ready(State(draining): State<CancellationToken>) -> (StatusCode, &'static str) {
    match draining.is_cancelled() {
        true => (StatusCode::SERVICE_UNAVAILABLE, "draining\n"),
        false => (StatusCode::OK, "ok\n"),
    }
}

async fn status(State(reporting): State<Arc<Reporting>>) -> Json<Report> {
    Json(reporting.report())
}

/// Answers nobody whom another site's page sends.
async fn guard(State(hosts): State<Arc<[String]>>, request: Request, next: Next) -> Response {
    match origin::check(request.uri(), request.headers(), &hosts) {
        Ok(()) => next.run(request).await,
        Err(Stranger::Host(host)) => {
            let wrong = format!(
                "`{host}` is no host of this listener: use its address or localhost, or list the name in server.admin_hosts"
            );
            let status = StatusCode::MISDIRECTED_REQUEST;
            Refusal::new(status, "UNKNOWN_HOST", wrong).into_response()
        }
        Err(Stranger::Origin) => {
            let wrong =
                "the request comes from another site's page; open the operations page itself";
            Refusal::new(StatusCode::FORBIDDEN, "FOREIGN_ORIGIN", wrong).into_response()
        }
    }
}
