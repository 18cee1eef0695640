//! `/metrics`, `/health` and `/ready`, on a listener of their own.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use tokio::sync::watch;

use crate::doors;
use crate::ops::metrics::Metrics;
use crate::smsc::Links;
use crate::store::{self, Sight, Store};

/// What the operations listener tells about.
#[derive(Debug, Clone)]
pub struct Ops {
    /// Counts.
    pub metrics: Metrics,
    /// For the sizes of what waits, and asked to commit as a sign of life.
    pub store: Arc<dyn Store>,
    /// The SMPP links.
    pub links: Links,
    /// True while all homeservers answer.
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

/// What a gateway tells that stands by.
#[derive(Debug, Clone)]
pub struct Standby {
    /// Counts.
    pub metrics: Metrics,
    /// Who works instead.
    pub sight: watch::Receiver<Sight>,
}

/// The same routes for a gateway that stands by.
pub fn standby_router(standby: Standby) -> Router {
    Router::new()
        .route("/metrics", get(metrics_of_standby))
        .route("/health", get(health_of_standby))
        .route("/ready", get(ready_of_standby))
        .with_state(standby)
}

async fn metrics_of_standby(State(standby): State<Standby>) -> String {
    standby.metrics.render()
}

/// The process lives.
async fn health_of_standby(State(standby): State<Standby>) -> String {
    format!("{}\n", doors::told(&standby.sight.borrow()))
}

/// What comes in is taken to a gateway that works.
async fn ready_of_standby(State(standby): State<Standby>) -> (StatusCode, String) {
    let sight = standby.sight.borrow();
    let status = match *sight {
        Sight::Other(_) => StatusCode::OK,
        Sight::Nobody | Sight::Ours => StatusCode::SERVICE_UNAVAILABLE,
    };
    (status, format!("{}\n", doors::told(&sight)))
}

async fn metrics(State(ops): State<Ops>) -> String {
    if let Ok(sizes) = ops.store.sizes().await {
        ops.metrics.set_sizes(&sizes);
    }
    ops.metrics.set_work(ops.store.work());
    ops.metrics.set_durability(ops.store.durability());
    ops.metrics.set_unreadable(&ops.store.unreadable());
    ops.links.export(&ops.metrics);
    ops.metrics.render()
}

/// How long a commit may take in a store that works.
const COMMIT_LIMIT: Duration = Duration::from_secs(10);

/// The process lives and its store commits.
async fn health(State(ops): State<Ops>) -> (StatusCode, String) {
    if commits(&*ops.store).await {
        return (StatusCode::OK, well(&ops.store.unreadable()));
    }
    waiting("the store does not commit\n".to_owned())
}

/// What is said of a store that commits. Rows that it cannot read are no reason to start again: that
/// would not mend them.
fn well(unreadable: &[(&'static str, u64)]) -> String {
    let tables = unreadable.iter();
    let lines = tables.map(|(table, count)| {
        format!("error: {count} rows of table {table} cannot be read; nothing becomes of them\n")
    });
    std::iter::once("ok\n".to_owned()).chain(lines).collect()
}

/// True when the store commits within [`COMMIT_LIMIT`].
pub(crate) async fn commits(store: &dyn Store) -> bool {
    in_time(COMMIT_LIMIT, store.probe()).await
}

async fn in_time(limit: Duration, probe: impl Future<Output = store::Result<()>>) -> bool {
    matches!(tokio::time::timeout(limit, probe).await, Ok(Ok(())))
}

/// Texts can pass: the homeservers have answered, every link group has a bound link, and accounts can
/// bind where there is a listener for them.
async fn ready(State(ops): State<Ops>) -> (StatusCode, String) {
    if !ops.homeservers_answer.load(Ordering::Relaxed) {
        return waiting("a homeserver does not answer\n".to_owned());
    }
    if !ops.links.accepts() {
        return waiting("the SMPP listener does not accept connections\n".to_owned());
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

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;
    use crate::store::StoreError;

    #[test]
    fn rows_that_cannot_be_read_are_told_and_end_nothing() {
        assert_eq!(well(&[]), "ok\n");
        let told = well(&[("inbox", 2), ("sms", 1)]);
        assert!(told.starts_with("ok\n") && told.contains("2 rows of table inbox"));
    }

    #[tokio::test]
    async fn a_store_is_well_only_when_it_commits_in_time() {
        let short = Duration::from_millis(1);
        let full = StoreError::Unavailable("the disk is full".to_owned());
        assert!(in_time(short, ready(Ok(()))).await);
        assert!(!in_time(short, ready(Err(full))).await);
        assert!(!in_time(short, pending()).await, "a hung commit");
    }
}
