//! The admin listener's plain HTTP, for probes.

use std::sync::Arc;

use axum::{Json, Router, extract::State, http::StatusCode, routing::get};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::ranking::Engine;

#[derive(Clone)]
struct Admin {
    engine: Arc<Engine>,
    draining: CancellationToken,
}

/// `/livez`, `/readyz` and `/statusz`.
pub(super) fn probes(engine: Arc<Engine>, draining: CancellationToken) -> Router {
    Router::new()
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/statusz", get(status))
        .with_state(Admin { engine, draining })
}

async fn ready(State(admin): State<Admin>) -> (StatusCode, &'static str) {
    match admin.draining.is_cancelled() {
        true => (StatusCode::SERVICE_UNAVAILABLE, "draining\n"),
        false => (StatusCode::OK, "ok\n"),
    }
}

async fn status(State(admin): State<Admin>) -> Json<Value> {
    let registry = admin.engine.registry();
    let model = |(id, model): &(crate::ids::ModelId, Arc<crate::ranking::Model>)| {
        json!({
            "name": id.name.as_str(),
            "version": id.version.0,
            "labels": registry.labels(id),
            "device": model.handle().device(),
            "instances": model.handle().instances(),
        })
    };
    Json(json!({
        "version": env!("CARGO_PKG_VERSION"),
        "draining": admin.draining.is_cancelled(),
        "default_model": admin.engine.default_model(),
        "models": registry.all().iter().map(model).collect::<Vec<_>>(),
    }))
}
