//! The part of the Client-Server API (Matrix 1.15) that application services use.

use std::sync::Arc;

use axum::extract::rejection::JsonRejection;
use axum::extract::{FromRequestParts, MatchedPath, Path, Query, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header, request};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::homeserver::faults::Fault;
use crate::homeserver::hub::Hub;
use crate::homeserver::model::{Event, NOT_JSON, Refusal, Saying};

type Reply = Result<Json<Value>, Refusal>;
type Body = Result<Json<Value>, JsonRejection>;
type Stub = State<Arc<Hub>>;

/// The most events of a room that one request gets.
const MOST_EVENTS: usize = 1_000;

const MISSING_TOKEN: &str = "M_MISSING_TOKEN";

pub(crate) fn router(hub: Arc<Hub>) -> Router {
    let rooms = Router::new()
        .route("/{room}/join", post(join))
        .route("/{room}/leave", post(leave))
        .route("/{room}/invite", post(invite))
        .route("/{room}/send/{type}/{txn}", put(send))
        .route("/{room}/state", get(state))
        .route("/{room}/state/{type}", get(state_event).put(set_state))
        .route("/{room}/state/{type}/", get(state_event).put(set_state))
        .route(
            "/{room}/state/{type}/{key}",
            get(state_event).put(set_state),
        )
        .route("/{room}/messages", get(messages));
    let v3 = Router::new()
        .route("/register", post(register))
        .route("/account/whoami", get(whoami))
        .route("/devices/{device}", put(device))
        .route("/profile/{user}/displayname", get(profile).put(set_name))
        .route("/profile/{user}", get(profile))
        .route("/join/{room}", post(join))
        .route("/createRoom", post(create_room))
        .route("/joined_rooms", get(joined_rooms))
        .nest("/rooms", rooms);
    Router::new()
        .route("/_matrix/client/versions", get(versions))
        .route("/_matrix/client/v1/appservice/{id}/ping", post(ping))
        .nest("/_matrix/client/v3", v3)
        .route_layer(from_fn_with_state(Arc::clone(&hub), go_wrong))
        .with_state(hub)
}

/// Counts the application service's request, and lets it go wrong where a fault says so.
async fn go_wrong(State(hub): Stub, path: MatchedPath, request: Request, next: Next) -> Response {
    let bearer = token(request.headers());
    if bearer.is_none_or(|token| token != hub.settings.as_token) {
        return next.run(request).await;
    }
    let name = name(request.method(), path.as_str());
    hub.requests.count(name);
    let Some(fault) = hub.fault(name) else {
        return next.run(request).await;
    };
    sleep(fault.delay()).await;
    let works = fault.status.is_none() && !fault.never;
    let right = if works || fault.after_effect {
        Some(next.run(request).await)
    } else {
        None
    };
    match right {
        _ if fault.never => std::future::pending().await,
        Some(right) if works => right,
        _ => wrong(&fault),
    }
}

fn wrong(fault: &Fault) -> Response {
    let status = fault
        .status
        .and_then(|status| StatusCode::from_u16(status).ok());
    let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let limited = status == StatusCode::TOO_MANY_REQUESTS;
    let errcode = if limited {
        "M_LIMIT_EXCEEDED"
    } else {
        "M_UNKNOWN"
    };
    let mut body = json!({ "errcode": errcode, "error": "a fault was asked for" });
    let mut headers = HeaderMap::new();
    if let Some(after) = fault.retry_after_ms {
        body["retry_after_ms"] = after.into();
        headers.insert(
            header::RETRY_AFTER,
            HeaderValue::from(after.div_ceil(1_000)),
        );
    }
    (status, headers, Json(body)).into_response()
}

/// What faults and counts call a request.
fn name(method: &Method, path: &str) -> &'static str {
    let last = path
        .rsplit('/')
        .find(|part| !part.starts_with('{') && !part.is_empty());
    match (last.unwrap_or_default(), method == Method::GET) {
        ("register", _) => "register",
        ("whoami", _) => "whoami",
        ("devices", _) => "create_device",
        ("displayname" | "profile", false) => "set_display_name",
        ("displayname" | "profile", true) => "profile",
        ("join", _) => "join",
        ("leave", _) => "leave",
        ("invite", _) => "invite",
        ("createRoom", _) => "create_room",
        ("joined_rooms", _) => "joined_rooms",
        ("state", true) => "room_state",
        ("state", false) => "send_state",
        ("messages", _) => "messages",
        ("send", _) => "send",
        ("ping", _) => "ping",
        ("versions", _) => "versions",
        _ => "other",
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::BAD_REQUEST);
        let body = json!({ "errcode": self.errcode, "error": self.errcode });
        (status, Json(body)).into_response()
    }
}

/// The access token of a request.
pub(crate) fn token(headers: &HeaderMap) -> Option<&str> {
    let header = headers.get(header::AUTHORIZATION)?;
    header.to_str().ok()?.strip_prefix("Bearer ")
}

/// The application service as one of its users, or a person.
pub(crate) struct As(pub(crate) String);

#[derive(Deserialize)]
struct Identity {
    #[serde(rename = "user_id")]
    user: Option<String>,
    #[serde(rename = "device_id")]
    device: Option<String>,
    #[serde(rename = "org.matrix.msc3202.device_id")]
    unstable_device: Option<String>,
}

impl FromRequestParts<Arc<Hub>> for As {
    type Rejection = Refusal;

    async fn from_request_parts(
        parts: &mut request::Parts,
        hub: &Arc<Hub>,
    ) -> Result<Self, Refusal> {
        let refused = |errcode| Refusal {
            status: 401,
            errcode,
        };
        let token = token(&parts.headers).ok_or_else(|| refused(MISSING_TOKEN))?;
        if token != hub.settings.as_token {
            let person = hub.model(|model, _| model.person(token).map(str::to_owned));
            return person.map(Self).ok_or_else(|| refused("M_UNKNOWN_TOKEN"));
        }
        let identity = Query::<Identity>::try_from_uri(&parts.uri);
        let Query(identity) = identity.map_err(|_| refused("M_INVALID_PARAM"))?;
        let user = identity.user.unwrap_or_else(|| hub.bot.clone());
        let device = identity.device.or(identity.unstable_device);
        hub.look(|model| {
            model.registered(&user)?;
            device.map_or(Ok(()), |device| model.device_known(&user, &device))
        })?;
        Ok(Self(user))
    }
}

fn content(body: Body) -> Result<Value, Refusal> {
    body.map(|Json(value)| value).map_err(|_| NOT_JSON)
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_default()
}

fn nothing() -> Json<Value> {
    Json(json!({}))
}

async fn versions() -> Json<Value> {
    Json(json!({ "versions": ["v1.15"] }))
}

async fn ping(As(_): As) -> Json<Value> {
    Json(json!({ "duration_ms": 1 }))
}

async fn whoami(As(user): As) -> Json<Value> {
    Json(json!({ "user_id": user, "is_guest": false }))
}

/// With a token the application service makes one of its users; without one, a person joins.
async fn register(State(hub): Stub, by: Result<As, Refusal>, body: Body) -> Reply {
    let body = content(body)?;
    let nobody = |refusal: &Refusal| refusal.errcode == MISSING_TOKEN;
    if by.as_ref().is_err_and(nobody) {
        let account = hub.model(|model, _| model.register_person(text(&body, "username")));
        let (user, token) = account?;
        return Ok(Json(json!({ "user_id": user, "access_token": token })));
    }
    by?;
    let user = hub.model(|model, _| model.register(text(&body, "username")))?;
    Ok(Json(json!({ "user_id": user })))
}

async fn device(State(hub): Stub, As(user): As, Path(device): Path<String>) -> Reply {
    hub.model(|model, _| model.add_device(&user, &device))?;
    Ok(nothing())
}

async fn profile(State(hub): Stub, Path(user): Path<String>) -> Reply {
    let name = hub.model(|model, _| model.name(&user))?;
    Ok(Json(json!({ "displayname": name })))
}

async fn set_name(State(hub): Stub, As(_): As, Path(user): Path<String>, body: Body) -> Reply {
    let body = content(body)?;
    hub.model(|model, _| model.set_name(&user, text(&body, "displayname")))?;
    Ok(nothing())
}

async fn join(State(hub): Stub, As(user): As, Path(room): Path<String>) -> Reply {
    hub.model(|model, now| model.join(now, &room, &user))?;
    Ok(Json(json!({ "room_id": room })))
}

async fn leave(State(hub): Stub, As(user): As, Path(room): Path<String>, body: Body) -> Reply {
    let body = content(body).unwrap_or_default();
    let reason = body["reason"].as_str();
    hub.model(|model, now| model.leave(now, &room, &user, reason))?;
    Ok(nothing())
}

async fn invite(State(hub): Stub, As(user): As, Path(room): Path<String>, body: Body) -> Reply {
    let body = content(body)?;
    let invitee = text(&body, "user_id");
    hub.model(|model, now| model.invite(now, &room, (&user, invitee), false))?;
    Ok(nothing())
}

async fn create_room(State(hub): Stub, As(user): As, body: Body) -> Reply {
    let body = content(body)?;
    let is_direct = body["is_direct"].as_bool().unwrap_or(false);
    let list = |field: &str| body[field].as_array().cloned().unwrap_or_default();
    let room = hub.model(|model, now| {
        let room = model.create_room(now, &user);
        for event in list("initial_state") {
            let saying = Saying {
                room: &room,
                sender: &user,
                event_type: text(&event, "type"),
                state_key: Some(text(&event, "state_key")),
                content: event["content"].clone().into(),
            };
            model.set_state(now, saying)?;
        }
        for invitee in list("invite") {
            let invitee = invitee.as_str().unwrap_or_default();
            model.invite(now, &room, (&user, invitee), is_direct)?;
        }
        Ok(room)
    })?;
    Ok(Json(json!({ "room_id": room })))
}

async fn joined_rooms(State(hub): Stub, As(user): As) -> Json<Value> {
    hub.model(|model, _| Json(json!({ "joined_rooms": model.joined_rooms(&user) })))
}

async fn state(State(hub): Stub, As(user): As, Path(room): Path<String>) -> Reply {
    let events = hub.model(|model, _| model.state(&room, &user))?;
    let events: Vec<&Event> = events.iter().map(|event| &**event).collect();
    Ok(Json(json!(events)))
}

/// Where a piece of state is. An empty key may be left out.
#[derive(Deserialize)]
struct Place {
    room: String,
    #[serde(rename = "type")]
    event_type: String,
    #[serde(default)]
    key: String,
}

#[derive(Deserialize)]
struct Format {
    format: Option<String>,
}

async fn state_event(
    State(hub): Stub,
    As(user): As,
    Path(place): Path<Place>,
    Query(format): Query<Format>,
) -> Reply {
    let at = (place.event_type.as_str(), place.key.as_str());
    let event = hub.model(|model, _| model.state_event(&place.room, &user, at))?;
    if format.format.as_deref() == Some("event") {
        return Ok(Json(json!(&*event)));
    }
    Ok(Json(json!(event.content)))
}

async fn set_state(State(hub): Stub, As(user): As, Path(place): Path<Place>, body: Body) -> Reply {
    let saying = Saying {
        room: &place.room,
        sender: &user,
        event_type: &place.event_type,
        state_key: Some(&place.key),
        content: content(body)?.into(),
    };
    let event_id = hub.model(|model, now| model.set_state(now, saying))?;
    Ok(Json(json!({ "event_id": event_id })))
}

#[derive(Deserialize)]
struct Limit {
    limit: Option<usize>,
    from: Option<String>,
}

async fn messages(
    State(hub): Stub,
    As(user): As,
    Path(room): Path<String>,
    Query(Limit { limit, from }): Query<Limit>,
) -> Reply {
    let page = (from.as_deref(), limit.unwrap_or(10).min(MOST_EVENTS));
    let events = hub.model(|model, _| model.latest(&room, &user, page))?;
    let chunk: Vec<&Event> = events.iter().map(|event| &**event).collect();
    let end = chunk.last().map(|event| &event.id);
    let start = from.as_deref().unwrap_or("latest");
    Ok(Json(json!({ "start": start, "end": end, "chunk": chunk })))
}

async fn send(
    State(hub): Stub,
    As(user): As,
    Path((room, event_type, txn)): Path<(String, String, String)>,
    body: Body,
) -> Reply {
    let saying = Saying {
        room: &room,
        sender: &user,
        event_type: &event_type,
        state_key: None,
        content: content(body)?.into(),
    };
    let event_id = hub.model(|model, now| model.send(now, saying, &txn))?;
    Ok(Json(json!({ "event_id": event_id })))
}
