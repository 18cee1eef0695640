//! What a test or a person asks of the stub itself.

use std::sync::Arc;

use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::homeserver::faults::Fault;
use crate::homeserver::flood::{Flood, Pair, flood};
use crate::homeserver::hub::{CountsView, Hub, lock};
use crate::homeserver::model::Refusal;

/// The most rooms of one request.
const MOST_ROOMS: u64 = 100_000;

/// The most events shown at once.
const MOST_SENDS: usize = 1_000;

type Stub = State<Arc<Hub>>;

pub(crate) fn router(hub: Arc<Hub>) -> Router {
    let routes = Router::new()
        .route("/rooms", post(rooms))
        .route("/joined", post(joined))
        .route("/say", post(say))
        .route("/flood", post(start).delete(end))
        .route("/faults", get(faults).put(set_faults))
        .route("/counts", get(counts))
        .route("/sends", get(sends));
    Router::new().nest("/_stub", routes).with_state(hub)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rooms {
    count: u64,
    /// The first phone, in digits.
    first: u64,
}

/// As many people as asked for make a room each and invite a phone.
async fn rooms(State(hub): Stub, Json(wanted): Json<Rooms>) -> Result<Json<Vec<Pair>>, Refusal> {
    let prefix = hub.settings.ghost_prefix.clone();
    let one = |number: u64| {
        hub.model(|model, now| {
            let phone = wanted.first.saturating_add(number);
            let user = model.user_id(&format!("user{phone}"));
            let ghost = model.user_id(&format!("{prefix}{phone}"));
            let room = model.create_room(now, &user);
            model.invite(now, &room, (&user, &ghost), true)?;
            Ok(Pair { room, user, ghost })
        })
    };
    let pairs: Result<_, Refusal> = (0..wanted.count.min(MOST_ROOMS)).map(one).collect();
    pairs.map(Json)
}

/// In how many of these rooms the phone is.
async fn joined(State(hub): Stub, Json(pairs): Json<Vec<Pair>>) -> Json<usize> {
    let joined = |pair: &&Pair| {
        hub.model(|model, _| model.membership(&pair.room, &pair.ghost) == Some("join"))
    };
    Json(pairs.iter().filter(joined).count())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Say {
    room: String,
    user: String,
    body: String,
}

/// A person writes.
async fn say(State(hub): Stub, Json(said): Json<Say>) -> Json<Value> {
    let content = json!({ "msgtype": "m.text", "body": said.body });
    let event_id = hub.model(|model, now| model.say(now, &said.room, &said.user, content));
    Json(json!({ "event_id": event_id }))
}

/// Begins a flood, and ends the one before.
async fn start(State(hub): Stub, Json(wanted): Json<Flood>) -> StatusCode {
    let token = hub.stop.child_token();
    std::mem::replace(&mut *lock(&hub.flood), token.clone()).cancel();
    let flooding = flood(Arc::clone(&hub), wanted);
    hub.tasks.spawn(token.run_until_cancelled_owned(flooding));
    StatusCode::ACCEPTED
}

async fn end(State(hub): Stub) -> StatusCode {
    lock(&hub.flood).cancel();
    StatusCode::NO_CONTENT
}

async fn faults(State(hub): Stub) -> Json<Vec<Fault>> {
    Json(hub.faults().list().to_vec())
}

async fn set_faults(State(hub): Stub, Json(list): Json<Vec<Fault>>) -> StatusCode {
    hub.set_faults(list);
    StatusCode::NO_CONTENT
}

async fn counts(State(hub): Stub) -> Json<CountsView> {
    Json(hub.view())
}

#[derive(Deserialize)]
struct Page {
    #[serde(default)]
    after: u64,
    limit: Option<usize>,
}

/// What the application service sent, oldest first.
async fn sends(State(hub): Stub, Query(page): Query<Page>) -> Json<Vec<Value>> {
    let limit = page.limit.unwrap_or(100).min(MOST_SENDS);
    let sends = hub.model(|model, _| model.sends(page.after, limit));
    let shown = sends
        .iter()
        .map(|(number, event)| json!({ "number": number, "event": &**event }));
    Json(shown.collect())
}
