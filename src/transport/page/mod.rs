//! The operations page: its files, served from the binary, and what a browser may do with them.

use axum::{
    Router,
    http::{HeaderName, HeaderValue, header},
    response::IntoResponse,
    routing::get,
};

const PAGE: &str = include_str!("index.html");
const STYLE: &str = include_str!("page.css");
const SCRIPTS: [(&str, &str); 3] = [
    ("/page/plots.js", include_str!("plots.js")),
    ("/page/trying.js", include_str!("trying.js")),
    ("/page/page.js", include_str!("page.js")),
];
const ICON: &str = include_str!("icon.svg");

/// Nothing comes from elsewhere, and nothing is run or styled that does not stand in a file of its own.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
    form-action 'none'; base-uri 'none'; frame-ancestors 'none'";

/// The page and its files.
pub(super) fn routes() -> Router {
    let file =
        |kind: &'static str, text: &'static str| get(move || async move { serve(kind, text) });
    let mut routes = Router::new()
        .route("/", file("text/html; charset=utf-8", PAGE))
        .route("/page/page.css", file("text/css; charset=utf-8", STYLE))
        .route("/page/icon.svg", file("image/svg+xml", ICON));
    for (path, text) in SCRIPTS {
        routes = routes.route(path, file("text/javascript; charset=utf-8", text));
    }
    routes
}

fn serve(kind: &'static str, text: &'static str) -> impl IntoResponse {
    let headers: [(HeaderName, HeaderValue); 6] = [
        (header::CONTENT_TYPE, HeaderValue::from_static(kind)),
        (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (
            HeaderName::from_static("cross-origin-resource-policy"),
            HeaderValue::from_static("same-origin"),
        ),
    ];
    (headers, text)
}
