//! What tests and people look at: messages, expectations, counters, the capture.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::json;

use super::said::Said;
use super::{Fault, MAX_WAIT_MS, SUBMITS_PER_ANSWER, Shared};
use crate::sim::clock::Now;
use crate::sim::expect::{Expectation, Filter, Verdict};
use crate::sim::metrics;
use crate::sim::smsc::Smsc;
use crate::sim::wire::pcapng;

pub(super) fn router() -> Router<Arc<Smsc>> {
    Router::new()
        .route("/messages", get(messages))
        .route("/expect", post(expect))
        .route("/assert", get(assert))
        .route("/metrics", get(page))
        .route("/capture.pcapng", get(capture))
        .route("/reset", post(reset))
        .route("/health", get(async || Json(json!({ "status": "ok" }))))
}

async fn messages(
    State(smsc): Shared,
    filter: Result<Query<Filter>, QueryRejection>,
) -> Result<Response, Fault> {
    let Query(filter) = filter?;
    let now = Now::read().unix_ms;
    let model = smsc.model();
    let records = model.records.after(filter.after);
    let taken = records.filter(|record| filter.takes(record, now));
    let limit = filter.limit.unwrap_or(SUBMITS_PER_ANSWER);
    let views: Vec<_> = taken.take(limit).map(|record| record.view(now)).collect();
    Ok(Json(views).into_response())
}

async fn expect(
    State(smsc): Shared,
    Said(expectation): Said<Expectation>,
) -> Result<Response, Fault> {
    Ok(judged(&smsc, &expectation).await)
}

/// An expectation in the query of a GET.
#[derive(Deserialize)]
struct Asserted {
    count: Option<usize>,
    min: Option<usize>,
    max: Option<usize>,
    #[serde(default)]
    within_ms: u64,
    #[serde(default)]
    settle_ms: u64,
    #[serde(flatten)]
    messages: serde_json::Map<String, serde_json::Value>,
}

async fn assert(
    State(smsc): Shared,
    asserted: Result<Query<Asserted>, QueryRejection>,
) -> Result<Response, Fault> {
    let Query(asserted) = asserted?;
    let expectation = json!({
        "count": asserted.count, "min": asserted.min, "max": asserted.max,
        "within_ms": asserted.within_ms, "settle_ms": asserted.settle_ms,
        "messages": numbers(asserted.messages),
    });
    let expectation =
        serde_json::from_value(expectation).map_err(|error| Fault::bad_request(&error))?;
    Ok(judged(&smsc, &expectation).await)
}

/// In a query everything is text: what the filter wants as a number becomes one.
fn numbers(
    mut messages: serde_json::Map<String, serde_json::Value>,
) -> serde_json::Map<String, serde_json::Value> {
    for name in ["bind", "data_coding", "after", "limit"] {
        if let Some(value) = messages.get_mut(name)
            && let Some(number) = value.as_str().and_then(|text| text.parse::<u64>().ok())
        {
            *value = number.into();
        }
    }
    messages
}

async fn judged(smsc: &Smsc, expectation: &Expectation) -> Response {
    let verdict = |model: &crate::sim::model::Model| {
        let now = Now::read().unix_ms;
        Verdict::of(
            expectation,
            model.records.after(expectation.messages.after),
            now,
        )
    };
    let matched = |model: &crate::sim::model::Model| {
        let now = Now::read().unix_ms;
        let filter = &expectation.messages;
        let records = model.records.after(filter.after);
        records.filter(|record| filter.takes(record, now)).count()
    };
    let wait = Duration::from_millis(expectation.within_ms.min(MAX_WAIT_MS));
    smsc.watch(wait, |model| expectation.is_settled(matched(model)))
        .await;
    let settle = expectation.settle().min(Duration::from_millis(MAX_WAIT_MS));
    if !settle.is_zero() {
        smsc.watch(settle, |model| !verdict(model).pass).await;
    }
    let verdict = verdict(&smsc.model());
    let status = if verdict.pass {
        StatusCode::OK
    } else {
        StatusCode::EXPECTATION_FAILED
    };
    (status, Json(verdict)).into_response()
}

async fn page(State(smsc): Shared) -> Response {
    let kind = "text/plain; version=0.0.4";
    ([(header::CONTENT_TYPE, kind)], metrics::page(&smsc)).into_response()
}

async fn capture(State(smsc): Shared) -> Response {
    let kind = "application/x-pcapng";
    let file = pcapng::file(&smsc.capture.pieces());
    ([(header::CONTENT_TYPE, kind)], file).into_response()
}

async fn reset(State(smsc): Shared) -> Response {
    smsc.forget();
    Json(json!({ "reset": true })).into_response()
}
