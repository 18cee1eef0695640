//! The page of phones and the API: all that tests and people see of the simulator.

mod control;
mod links;
mod look;
mod said;

use std::sync::Arc;
use std::time::Duration;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, Uri};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use serde_json::json;

use self::said::Said;
use crate::sim::behaviour::Change;
use crate::sim::clock::Now;
use crate::sim::inject::Injected;
use crate::sim::mo::Writing;
use crate::sim::peers::Peers;
use crate::sim::smsc::{SendError, Smsc};

/// The longest that a request may ask to wait.
const MAX_WAIT_MS: u64 = 60_000;

/// How many submissions one answer holds unless it is told.
const SUBMITS_PER_ANSWER: usize = 10_000;

/// What the library says before what is wrong with a query.
const QUERY: &str = "Failed to deserialize query string: ";

type Shared = State<Arc<Smsc>>;

/// Every address of the simulator.
pub(crate) fn router(peers: Peers) -> Router {
    let smsc = Arc::clone(&peers.smsc);
    let pages = Router::new()
        .route("/", get(async || Html(include_str!("../page.html"))))
        .route("/handsets", get(handsets))
        .route("/handsets/{number}/messages", get(messages))
        .route("/handsets/{number}/send", post(send))
        .route("/inject_mo", get(inject).post(inject_form))
        .route("/counters", get(counters))
        .route("/binds", get(binds))
        .route("/binds/drop", post(drop_binds))
        .route("/behaviour", get(behaviour).post(change_behaviour))
        .route("/submits", get(submits))
        .merge(look::router())
        .merge(control::router())
        .merge(links::router())
        .with_state(smsc);
    let router = pages.merge(links::outbind_router(peers));
    router
        .fallback(async || Fault::missing("no such address"))
        .method_not_allowed_fallback(async || Fault {
            status: StatusCode::METHOD_NOT_ALLOWED,
            reason: "not with this method".to_owned(),
        })
}

/// How many phones are wanted: those with the latest traffic.
#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Latest {
    latest: usize,
}

impl Default for Latest {
    fn default() -> Self {
        Self { latest: usize::MAX }
    }
}

async fn handsets(
    State(smsc): Shared,
    latest: Result<Query<Latest>, QueryRejection>,
) -> Result<Response, Fault> {
    let Query(Latest { latest }) = latest?;
    Ok(Json(smsc.model().handsets.list(latest)).into_response())
}

/// Waits until the phone keeps so many complete messages, or the time is over; then gives the last.
#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Until {
    count: usize,
    wait_ms: u64,
    last: usize,
}

impl Default for Until {
    fn default() -> Self {
        Self {
            count: 0,
            wait_ms: 0,
            last: usize::MAX,
        }
    }
}

async fn messages(
    State(smsc): Shared,
    Path(number): Path<String>,
    until: Result<Query<Until>, QueryRejection>,
) -> Result<Response, Fault> {
    let Query(until) = until?;
    let wait = Duration::from_millis(until.wait_ms.min(MAX_WAIT_MS));
    smsc.wait_for(wait, |model| {
        model.handsets.complete(&number) >= until.count
    })
    .await;
    Ok(Json(smsc.model().handsets.messages(&number, until.last)).into_response())
}

#[derive(Serialize)]
struct Sent {
    statuses: Vec<String>,
}

async fn send(
    State(smsc): Shared,
    Path(number): Path<String>,
    Said(writing): Said<Writing>,
) -> Result<Json<Sent>, Fault> {
    let statuses = smsc.write(&number, &writing).await?;
    Ok(Json(Sent { statuses }))
}

async fn inject(
    State(smsc): Shared,
    injected: Result<Query<Injected>, QueryRejection>,
) -> Result<Response, Fault> {
    let Query(injected) = injected?;
    inject_one(&smsc, &injected)
}

async fn inject_form(State(smsc): Shared, form: String) -> Result<Response, Fault> {
    let query = Uri::try_from(format!("/?{}", form.trim_end()));
    let query = query.map_err(|wrong| Fault::bad_request(&wrong))?;
    let Query(injected) = Query::try_from_uri(&query)?;
    inject_one(&smsc, &injected)
}

/// Answers before the ESME does, as `SMPPSim`.
fn inject_one(smsc: &Smsc, injected: &Injected) -> Result<Response, Fault> {
    let writing = injected.writing();
    let writing = writing.map_err(|wrong| Fault::bad_request(&wrong))?;
    let waits = smsc.inject(injected.from(), writing)?;
    let state = if waits { "waits for a bind" } else { "sent" };
    Ok(Json(json!({ "state": state })).into_response())
}

async fn counters(State(smsc): Shared) -> Response {
    Json(smsc.counters()).into_response()
}

async fn binds(State(smsc): Shared) -> Response {
    Json(smsc.binds()).into_response()
}

async fn drop_binds(State(smsc): Shared) -> Response {
    Json(json!({ "dropped": smsc.drop_binds() })).into_response()
}

async fn behaviour(State(smsc): Shared) -> Response {
    Json(&smsc.model().behaviour).into_response()
}

async fn change_behaviour(
    State(smsc): Shared,
    Said(change): Said<Change>,
) -> Result<Response, Fault> {
    let changed = smsc.change_behaviour(&change);
    let behaviour = changed.map_err(|wrong| Fault::bad_request(&wrong))?;
    Ok(Json(behaviour).into_response())
}

/// Which submissions are asked for.
#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Which {
    after: u64,
    limit: usize,
}

impl Default for Which {
    fn default() -> Self {
        Self {
            after: 0,
            limit: SUBMITS_PER_ANSWER,
        }
    }
}

async fn submits(
    State(smsc): Shared,
    which: Result<Query<Which>, QueryRejection>,
) -> Result<Response, Fault> {
    let Query(which) = which?;
    let now = Now::read();
    let model = smsc.model();
    let records = model.records.after(which.after).take(which.limit);
    let views: Vec<_> = records.map(|record| record.view(now.unix_ms)).collect();
    Ok(Json(views).into_response())
}

/// An answer that says what is wrong: `{"error": "…"}`.
struct Fault {
    status: StatusCode,
    reason: String,
}

impl Fault {
    fn missing(reason: &str) -> Self {
        Self {
            status: StatusCode::NOT_FOUND,
            reason: reason.to_owned(),
        }
    }

    fn bad_request(reason: &impl ToString) -> Self {
        Self {
            status: StatusCode::BAD_REQUEST,
            reason: reason.to_string(),
        }
    }
}

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        (self.status, Json(json!({ "error": self.reason }))).into_response()
    }
}

impl From<QueryRejection> for Fault {
    fn from(wrong: QueryRejection) -> Self {
        Self {
            status: wrong.status(),
            reason: wrong.body_text().replace(QUERY, "the query: "),
        }
    }
}

impl From<SendError> for Fault {
    fn from(wrong: SendError) -> Self {
        let status = match wrong {
            SendError::Text(_) => StatusCode::BAD_REQUEST,
            SendError::NoReceiver | SendError::Busy => StatusCode::SERVICE_UNAVAILABLE,
        };
        Self {
            status,
            reason: wrong.to_string(),
        }
    }
}
