//! The HTTP endpoint: `/metrics` for Prometheus, `/health` for whoever restarts the process, `/ready`
//! for load balancers. It serves reads only and knows no SQL.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;

use crate::admin::prometheus;
use crate::backend::cluster::Group;
use crate::metrics::Metrics;

/// What the endpoint reads.
#[derive(Clone)]
pub struct Sources {
    /// Counters of the process.
    pub metrics: Arc<Metrics>,
    /// How many transactions are open.
    pub open: Arc<dyn Fn() -> usize + Send + Sync>,
    /// The groups as of now.
    pub groups: Arc<dyn Fn() -> Vec<Arc<Group>> + Send + Sync>,
    /// Whether new clients are taken: not while draining.
    pub accepting: Arc<dyn Fn() -> bool + Send + Sync>,
}

/// Serves until the listener fails or the task is dropped.
///
/// # Errors
/// What the listener says.
pub async fn serve(listener: TcpListener, sources: Sources) -> std::io::Result<()> {
    let router = Router::new()
        .route("/metrics", get(metrics))
        .route("/health", get(|| async { "alive\n" }))
        .route("/ready", get(ready))
        .with_state(sources);
    axum::serve(listener, router).await
}

async fn metrics(State(sources): State<Sources>) -> Response {
    match prometheus::render(&sources.metrics, (sources.open)(), (sources.groups)()) {
        Ok(page) => ([(header::CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], page)
            .into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
    }
}

/// Ready while clients are accepted and every group has a primary.
async fn ready(State(sources): State<Sources>) -> Response {
    if !(sources.accepting)() {
        return (StatusCode::SERVICE_UNAVAILABLE, "draining\n").into_response();
    }
    let headless: Vec<String> = (sources.groups)()
        .iter()
        .filter(|group| group.current_primary().is_none())
        .map(|group| format!("group {} has no primary\n", group.name))
        .collect();
    if headless.is_empty() {
        "ready\n".into_response()
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, headless.concat()).into_response()
    }
}
