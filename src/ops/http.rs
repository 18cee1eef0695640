//! `/metrics`, `/health` and `/ready`, on a listener of their own.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;

use crate::ops::metrics::Metrics;
use crate::smsc::Links;
use crate::store::Store;

/// What the operations listener tells about.
#[derive(Debug, Clone)]
pub struct Ops {
    /// Counts.
    pub metrics: Metrics,
    /// For the sizes of what waits, and as a sign of life.
    pub store: Arc<dyn Store>,
    /// The SMPP links.
    pub links: Links,
    /// True once the homeservers have answered.
    pub homeservers_answer: Arc<AtomicBool>,
}

/// The routes.
pub fn router(ops: Ops) -> Router {
    Router::new()
        .route("/metrics", get(metrics))
        .route("/health", get(health))
        .route("/ready", get(ready))
        .with_state(ops)
}

async fn metrics(State(ops): State<Ops>) -> String {
    if let Ok(sizes) = ops.store.sizes().await {
        ops.metrics.set_sizes(&sizes);
    }
    ops.links.export(&ops.metrics);
    ops.metrics.render()
}

/// The process lives and its store answers.
async fn health(State(ops): State<Ops>) -> (StatusCode, &'static str) {
    match ops.store.sizes().await {
        Ok(_) => (StatusCode::OK, "ok\n"),
        Err(_) => (
            StatusCode::SERVICE_UNAVAILABLE,
            "the store does not answer\n",
        ),
    }
}

/// Texts can pass: the homeservers have answered and every link group has a bound link.
async fn ready(State(ops): State<Ops>) -> (StatusCode, String) {
    if !ops.homeservers_answer.load(Ordering::Relaxed) {
        return waiting("a homeserver has not answered yet\n".to_owned());
    }
    let down = ops.links.groups_down();
    if down.is_empty() {
        return (StatusCode::OK, "ready\n".to_owned());
    }
    waiting(format!("no bound link in: {}\n", down.join(", ")))
}

fn waiting(why: String) -> (StatusCode, String) {
    (StatusCode::SERVICE_UNAVAILABLE, why)
}
