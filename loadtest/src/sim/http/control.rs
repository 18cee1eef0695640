//! How the simulator is told what to do: scenario, rules, faults.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get};
use axum::{Json, Router};
use serde_json::json;

use super::said::{Numbered, Said};
use super::{Fault, Shared};
use crate::sim::rules::Rule;
use crate::sim::scenario::Scenario;
use crate::sim::smsc::Smsc;
use crate::sim::wire::faults;

pub(super) fn router() -> Router<Arc<Smsc>> {
    Router::new()
        .route("/scenario", get(scenario).post(follow).delete(fresh))
        .route("/rules", get(rules).post(add_rule).delete(clear_rules))
        .route("/rules/{id}", delete(remove_rule))
        .route("/faults", get(faults).post(add_fault).delete(clear_faults))
        .route("/faults/{id}", delete(remove_fault))
}

async fn scenario(State(smsc): Shared) -> Response {
    Json(smsc.model().script.scenario()).into_response()
}

/// TOML or JSON: JSON begins with a brace, and no scenario in TOML does.
async fn follow(State(smsc): Shared, text: String) -> Result<Response, Fault> {
    let read = if text.trim_start().starts_with('{') {
        Scenario::from_json(&text)
    } else {
        Scenario::from_toml(&text)
    };
    let scenario = read.map_err(|wrong| Fault::bad_request(&wrong))?;
    smsc.follow(&scenario)
        .map_err(|wrong| Fault::bad_request(&wrong))?;
    Ok(Json(smsc.model().script.scenario()).into_response())
}

async fn fresh(State(smsc): Shared) -> Response {
    smsc.start_over();
    Json(smsc.model().script.scenario()).into_response()
}

async fn rules(State(smsc): Shared) -> Response {
    Json(smsc.model().script.rules.list()).into_response()
}

async fn add_rule(State(smsc): Shared, Said(rule): Said<Rule>) -> Result<Response, Fault> {
    let added = smsc.model().script.rules.add(rule);
    let id = added.map_err(|wrong| Fault::bad_request(&wrong))?;
    Ok(Json(json!({ "id": id })).into_response())
}

async fn clear_rules(State(smsc): Shared) -> Response {
    smsc.model().script.rules.clear();
    Json(json!({ "cleared": true })).into_response()
}

async fn remove_rule(State(smsc): Shared, Numbered(id): Numbered) -> Result<Response, Fault> {
    if smsc.model().script.rules.remove(id) {
        return Ok(Json(json!({ "removed": id })).into_response());
    }
    Err(Fault::missing("no such rule"))
}

async fn faults(State(smsc): Shared) -> Response {
    Json(smsc.faults.list()).into_response()
}

async fn add_fault(
    State(smsc): Shared,
    Said(fault): Said<faults::Fault>,
) -> Result<Response, Fault> {
    let added = smsc.faults.add(fault);
    let id = added.map_err(|wrong| Fault::bad_request(&wrong))?;
    Ok(Json(json!({ "id": id })).into_response())
}

async fn clear_faults(State(smsc): Shared) -> Response {
    smsc.faults.clear();
    Json(json!({ "cleared": true })).into_response()
}

async fn remove_fault(State(smsc): Shared, Numbered(id): Numbered) -> Result<Response, Fault> {
    if smsc.faults.remove(id) {
        return Ok(Json(json!({ "removed": id })).into_response());
    }
    Err(Fault::missing("no such fault"))
}
