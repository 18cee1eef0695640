//! What is done to one bind, and how the simulator makes contact by itself.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use matrix_smpp_codec::{Address, AlertNotification, Body, Outbind, Tlvs};
use matrix_smpp_session::Link;
use serde::Deserialize;
use serde_json::json;

use super::said::{Numbered, Said};
use super::{Fault, Shared};
use crate::sim::mo::{MoError, Party};
use crate::sim::peers::Peers;
use crate::sim::smsc::Smsc;
use crate::sim::wire::mangle::Hex;
use crate::sim::wire::tap::End;

pub(super) fn router() -> Router<Arc<Smsc>> {
    Router::new()
        .route("/binds/unbind", post(unbind_all))
        .route("/binds/{bind}/unbind", post(unbind))
        .route(
            "/binds/{bind}/reset",
            post(async |s: Shared, b: Numbered| end(&s.0, b.0, End::Reset)),
        )
        .route(
            "/binds/{bind}/close",
            post(async |s: Shared, b: Numbered| end(&s.0, b.0, End::Close)),
        )
        .route(
            "/binds/{bind}/half_open",
            post(async |s: Shared, b: Numbered| end(&s.0, b.0, End::HalfOpen)),
        )
        .route("/binds/{bind}/raw", post(raw))
        .route("/alert", post(alert))
}

pub(super) fn outbind_router(peers: Peers) -> Router {
    Router::new()
        .route("/outbind", post(outbind))
        .with_state(peers)
}

async fn unbind_all(State(smsc): Shared) -> Response {
    smsc.unbind();
    Json(json!({ "unbound": smsc.load().0 })).into_response()
}

async fn unbind(State(smsc): Shared, Numbered(bind): Numbered) -> Result<Response, Fault> {
    let unbound = smsc.with_link(bind, Link::close);
    unbound.ok_or_else(no_bind)?;
    Ok(Json(json!({ "bind": bind })).into_response())
}

fn end(smsc: &Smsc, bind: u64, end: End) -> Result<Response, Fault> {
    smsc.tap(bind).ok_or_else(no_bind)?.end(end);
    Ok(Json(json!({ "bind": bind })).into_response())
}

fn no_bind() -> Fault {
    Fault::missing("no such bind")
}

/// Octets for between two PDUs.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    hex: Hex,
}

async fn raw(
    State(smsc): Shared,
    Numbered(bind): Numbered,
    Said(raw): Said<Raw>,
) -> Result<Response, Fault> {
    let Raw { hex } = raw;
    let octets = hex.0.len();
    if !smsc.tap(bind).ok_or_else(no_bind)?.inject(hex.0) {
        return Err(Fault {
            status: StatusCode::SERVICE_UNAVAILABLE,
            reason: "too much is waiting for this bind already".to_owned(),
        });
    }
    Ok(Json(json!({ "octets": octets })).into_response())
}

/// A phone that has become reachable (SMPP 3.4 §4.12).
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Alert {
    /// The phone.
    from: String,
    /// Whom to tell.
    account: String,
    /// The number of the account's that wanted to know.
    #[serde(default)]
    to: String,
    /// `ms_availability_status`: 0 available, 1 denied, 2 unavailable.
    status: Option<u8>,
}

async fn alert(State(smsc): Shared, Said(alert): Said<Alert>) -> Result<Response, Fault> {
    let wrong = || Fault::bad_request(&MoError::BadNumber);
    let phone = Party::parse(&alert.from).ok_or_else(wrong)?;
    let mut tlvs = Tlvs::default();
    if let Some(status) = alert.status {
        tlvs.set_ms_availability_status(status);
    }
    let mut body = AlertNotification {
        source_addr_ton: phone.ton,
        source_addr_npi: phone.npi,
        source_addr: Address::try_from(phone.address.as_bytes()).unwrap_or_default(),
        tlvs,
        ..AlertNotification::default()
    };
    if let Some(esme) = Party::parse(&alert.to) {
        body.esme_addr_ton = esme.ton;
        body.esme_addr_npi = esme.npi;
        body.esme_addr = Address::try_from(esme.address.as_bytes()).unwrap_or_default();
    }
    let told = smsc.alert(&alert.account, &Body::AlertNotification(body));
    Ok(Json(json!({ "binds": told })).into_response())
}

/// An ESME that is to be asked to bind (SMPP 3.4 §4.1.7).
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Ask {
    /// `host:port` where it listens.
    address: String,
    #[serde(default)]
    system_id: String,
    #[serde(default)]
    password: String,
}

async fn outbind(State(peers): State<Peers>, Said(ask): Said<Ask>) -> Result<Response, Fault> {
    let outbind = Outbind {
        system_id: ask
            .system_id
            .parse()
            .map_err(|_| Fault::bad_request(&"a system_id has at most 15 octets"))?,
        password: ask
            .password
            .parse()
            .map_err(|_| Fault::bad_request(&"a password has at most 8 octets"))?,
    };
    match peers.outbind(&ask.address, outbind).await {
        Ok(address) => Ok(Json(json!({ "connected": address.to_string() })).into_response()),
        Err(error) => Err(Fault {
            status: StatusCode::BAD_GATEWAY,
            reason: error.to_string(),
        }),
    }
}
