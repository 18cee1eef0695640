//! What homeservers call: the server side of the Application Service API. One listener serves all
//! homeservers; each is known by its `hs_token`.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, FromRequestParts, Path, Query, State};
use axum::http::{StatusCode, header, request};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use axum::{Json, Router};
use ruma::{OwnedServerName, OwnedUserId, ServerName, UserId};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};
use subtle::ConstantTimeEq;
use tokio::sync::{Notify, mpsc};
use tracing::{debug, warn};

use super::transaction;
use crate::clock::Clock;
use crate::store::{Store, StoreError, Taken, Transaction};

/// Where transactions become durable.
#[async_trait]
pub trait TransactionSink: fmt::Debug + Send + Sync {
    /// Takes a transaction in; `Ok` means that it is durable.
    async fn take(&self, transaction: Transaction) -> Result<Taken, StoreError>;
}

#[async_trait]
impl TransactionSink for Arc<dyn Store> {
    async fn take(&self, transaction: Transaction) -> Result<Taken, StoreError> {
        self.take_transaction(transaction).await
    }
}

/// Which Matrix users are phones. Answers at once: a homeserver holds everything back meanwhile.
pub trait Phonebook: fmt::Debug + Send + Sync {
    /// True for the canonical name of a ghost.
    fn is_ghost(&self, homeserver: &ServerName, user: &UserId) -> bool;

    /// The ghost of a number as people write it.
    fn ghost_of(&self, homeserver: &ServerName, phone: &str) -> Option<OwnedUserId>;

    /// The number of a ghost, in digits.
    fn phone_of(&self, homeserver: &ServerName, user: &UserId) -> Option<String>;
}

/// A homeserver that may call.
#[derive(Debug, Clone)]
pub struct Caller {
    /// Its name.
    pub homeserver: OwnedServerName,
    /// `hs_token` of the registration.
    pub hs_token: SecretString,
}

/// A ghost that a homeserver asks for; it is made when somebody finds time.
pub type WantedGhost = (OwnedServerName, OwnedUserId);

/// What the listener needs.
#[derive(Debug)]
pub struct Appservice {
    /// Who may call.
    pub callers: Vec<Caller>,
    /// Where transactions become durable. An `Arc<dyn Store>` is one.
    pub sink: Box<dyn TransactionSink>,
    /// Which Matrix users are phones.
    pub phonebook: Box<dyn Phonebook>,
    /// Rung after events came.
    pub inbox: Arc<Notify>,
    /// Ghosts to make soon. When it is full they are made later, on their first invitation.
    pub wanted: mpsc::Sender<WantedGhost>,
    /// Tells the time.
    pub clock: Clock,
    /// How many events may wait to be handled; where as many do, no more are taken in.
    pub most_waiting: usize,
    /// Counts.
    pub counts: Arc<Counts>,
}

/// What came in since the start.
#[derive(Debug, Default)]
#[expect(missing_docs, reason = "each is named for what it counts")]
pub struct Counts {
    pub transactions: AtomicU64,
    pub new_events: AtomicU64,
    pub repeated_events: AtomicU64,
    pub skipped_events: AtomicU64,
    /// Transactions that could not be made durable.
    pub failed_transactions: AtomicU64,
    /// Calls with a wrong token or none.
    pub refused_calls: AtomicU64,
}

/// The routes. `max_body` is the longest transaction in octets; a homeserver sends one that is too
/// long again for ever, so it should be far more than the 6.5 MB of 100 events.
pub fn router(service: Appservice, max_body: usize) -> Router {
    let v1 = Router::new()
        .route("/transactions/{txn_id}", put(transactions))
        .route("/users/{user}", get(users))
        .route("/rooms/{alias}", get(rooms))
        .route("/ping", post(ping))
        .route("/thirdparty/protocol/{protocol}", get(protocol))
        .route("/thirdparty/user/{protocol}", get(users_of_number))
        .route("/thirdparty/user", get(number_of_user))
        .route("/thirdparty/location/{protocol}", get(no_locations))
        .route("/thirdparty/location", get(no_locations));
    Router::new()
        .nest("/_matrix/app/v1", v1)
        .fallback(async || Refusal::Unrecognized(StatusCode::NOT_FOUND))
        .method_not_allowed_fallback(async || Refusal::Unrecognized(StatusCode::METHOD_NOT_ALLOWED))
        .layer(DefaultBodyLimit::max(max_body))
        .with_state(Arc::new(service))
}

type Service = State<Arc<Appservice>>;
type Reply = Result<Json<Value>, Refusal>;

/// `PUT /transactions/{txnId}`: answered only after what it brings is durable.
async fn transactions(
    State(service): Service,
    CalledBy(homeserver): CalledBy,
    Path(txn_id): Path<String>,
    body: Result<Bytes, BytesRejection>,
) -> Reply {
    let body = body.map_err(|rejection| Refusal::Unread(rejection.status()))?;
    let content = transaction::read(&body).ok_or(Refusal::NotJson)?;
    let counts = &service.counts;
    for place in &content.skipped {
        warn!(%homeserver, txn_id, place, "an event without id or room is left out");
    }
    add(&counts.skipped_events, content.skipped.len());
    let transaction = Transaction {
        homeserver,
        txn_id,
        events: content.events,
        extras: content.extras,
        at: service.clock.now(),
        most_waiting: service.most_waiting,
    };
    let taken = service.sink.take(transaction).await.map_err(|error| {
        warn!(%error, "a transaction could not be stored; the homeserver will send it again");
        add(&counts.failed_transactions, 1);
        Refusal::Unavailable
    })?;
    add(&counts.transactions, 1);
    add(&counts.new_events, taken.new);
    add(&counts.repeated_events, taken.repeated);
    service.inbox.notify_one();
    Ok(done())
}

/// `GET /users/{userId}`.
async fn users(
    State(service): Service,
    CalledBy(homeserver): CalledBy,
    Path(user): Path<String>,
) -> Reply {
    let user = UserId::parse(user).map_err(|_| Refusal::NotFound)?;
    if !service.phonebook.is_ghost(&homeserver, &user) {
        return Err(Refusal::NotFound);
    }
    if service.wanted.try_send((homeserver, user)).is_err() {
        debug!("too many ghosts are wanted at once; this one is made on its invitation");
    }
    Ok(done())
}

/// `GET /rooms/{roomAlias}`: we have no aliases.
async fn rooms(_: CalledBy) -> Reply {
    Err(Refusal::NotFound)
}

/// `POST /ping`.
async fn ping(_: CalledBy) -> Json<Value> {
    done()
}

// === Third-party lookups ===

/// The only protocol that we know.
const TEL: &str = "tel";

/// `GET /thirdparty/protocol/{protocol}`.
async fn protocol(_: CalledBy, Path(protocol): Path<String>) -> Reply {
    if protocol != TEL {
        return Err(Refusal::NotFound);
    }
    Ok(Json(json!({
        "user_fields": ["phone"],
        "location_fields": [],
        "icon": "",
        "field_types": {
            "phone": { "regexp": "\\+?[0-9 ()./-]{4,24}", "placeholder": "+44 7700 900123" },
        },
        "instances": [{ "desc": "Phone numbers", "network_id": TEL, "fields": {} }],
    })))
}

#[derive(Deserialize)]
struct Number {
    phone: Option<String>,
}

/// `GET /thirdparty/user/{protocol}?phone=…`: the Matrix user of a number.
async fn users_of_number(
    State(service): Service,
    CalledBy(homeserver): CalledBy,
    Path(protocol): Path<String>,
    Query(number): Query<Number>,
) -> Reply {
    if protocol != TEL {
        return Err(Refusal::NotFound);
    }
    let phone = number.phone.unwrap_or_default();
    let ghost = service.phonebook.ghost_of(&homeserver, &phone);
    Ok(service.found(&homeserver, ghost))
}

#[derive(Deserialize)]
struct User {
    userid: Option<String>,
}

/// `GET /thirdparty/user?userid=…`: the number of a Matrix user.
async fn number_of_user(
    State(service): Service,
    CalledBy(homeserver): CalledBy,
    Query(user): Query<User>,
) -> Json<Value> {
    let user = user.userid.and_then(|user| UserId::parse(user).ok());
    service.found(&homeserver, user)
}

/// `GET /thirdparty/location…`: phones have no rooms of their own.
async fn no_locations(_: CalledBy) -> Json<Value> {
    Json(json!([]))
}

impl Appservice {
    /// The user as a third-party lookup answers it; an empty list for what is no phone.
    fn found(&self, homeserver: &ServerName, user: Option<OwnedUserId>) -> Json<Value> {
        let found = user.and_then(|user| {
            let phone = self.phonebook.phone_of(homeserver, &user)?;
            Some(json!({ "userid": user, "protocol": TEL, "fields": { "phone": phone } }))
        });
        Json(Value::from_iter(found))
    }

    /// Who bears this token. Looks at every one, in a time that does not depend on the token.
    fn caller(&self, token: &str) -> Option<&Caller> {
        let bears = |caller: &Caller| {
            bool::from(
                caller
                    .hs_token
                    .expose_secret()
                    .as_bytes()
                    .ct_eq(token.as_bytes()),
            )
        };
        let callers = self.callers.iter();
        callers.fold(
            None,
            |found, caller| if bears(caller) { Some(caller) } else { found },
        )
    }
}

fn done() -> Json<Value> {
    // An empty body would count as a failure.
    Json(json!({}))
}

fn add(count: &AtomicU64, by: usize) {
    count.fetch_add(u64::try_from(by).unwrap_or(u64::MAX), Ordering::Relaxed);
}

// === Who calls ===

/// The homeserver that a request comes from, by its token.
struct CalledBy(OwnedServerName);

impl FromRequestParts<Arc<Appservice>> for CalledBy {
    type Rejection = Refusal;

    async fn from_request_parts(
        parts: &mut request::Parts,
        service: &Arc<Appservice>,
    ) -> Result<Self, Refusal> {
        let caller = token(parts).and_then(|token| {
            let caller = service.caller(&token);
            caller
                .map(|caller| Self(caller.homeserver.clone()))
                .ok_or(Refusal::WrongToken)
        });
        if caller.is_err() {
            add(&service.counts.refused_calls, 1);
        }
        caller
    }
}

#[derive(Deserialize)]
struct LegacyToken {
    access_token: Option<String>,
}

/// The token of the `Authorization` header or, from homeservers older than Matrix 1.4, of the
/// query; where both are given they must be the same.
fn token(parts: &request::Parts) -> Result<String, Refusal> {
    let header = parts.headers.get(header::AUTHORIZATION);
    let header = header.and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    let query = Query::<LegacyToken>::try_from_uri(&parts.uri).ok();
    let query = query.and_then(|Query(query)| query.access_token);
    match (header, query) {
        (Some(header), Some(query)) if !bool::from(header.as_bytes().ct_eq(query.as_bytes())) => {
            Err(Refusal::WrongToken)
        }
        (Some(header), _) => Ok(header.to_owned()),
        (None, Some(query)) => Ok(query),
        (None, None) => Err(Refusal::NoToken),
    }
}

/// A call that is not served, as the specification's error objects.
#[derive(Debug)]
enum Refusal {
    NoToken,
    WrongToken,
    NotFound,
    Unrecognized(StatusCode),
    NotJson,
    Unread(StatusCode),
    Unavailable,
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (status, errcode, error) = match self {
            Self::NoToken => (
                StatusCode::UNAUTHORIZED,
                "M_MISSING_TOKEN",
                "hs_token is missing",
            ),
            Self::WrongToken => (StatusCode::FORBIDDEN, "M_FORBIDDEN", "hs_token is wrong"),
            Self::NotFound => (
                StatusCode::NOT_FOUND,
                "M_NOT_FOUND",
                "there is no such thing",
            ),
            Self::Unrecognized(status) => (status, "M_UNRECOGNIZED", "there is no such endpoint"),
            Self::NotJson => (
                StatusCode::BAD_REQUEST,
                "M_NOT_JSON",
                "the body is no JSON object",
            ),
            Self::Unread(StatusCode::PAYLOAD_TOO_LARGE) => (
                StatusCode::PAYLOAD_TOO_LARGE,
                "M_TOO_LARGE",
                "the transaction is too long",
            ),
            Self::Unread(status) => (status, "M_UNKNOWN", "the body cannot be read"),
            Self::Unavailable => (
                StatusCode::SERVICE_UNAVAILABLE,
                "M_UNKNOWN",
                "the store is unavailable",
            ),
        };
        (status, Json(json!({ "errcode": errcode, "error": error }))).into_response()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::sync::Mutex;

    use super::*;
    use crate::gateway::model::Timestamp;
    use crate::matrix::http::{HttpLimits, http_client, testing};
    use reqwest::Method;
    use ruma::{owned_server_name, owned_user_id};

    const GHOST: &str = "@.tel.447700900123:example.org";
    const TXN: &str = "/_matrix/app/v1/transactions/7";

    /// Keeps transactions; fails as often as it is told.
    #[derive(Debug, Clone, Default)]
    struct FakeInbox(Arc<Mutex<Inbox>>);

    #[derive(Debug, Default)]
    struct Inbox {
        taken: Vec<Transaction>,
        failures: VecDeque<StoreError>,
    }

    #[async_trait]
    impl TransactionSink for FakeInbox {
        async fn take(&self, transaction: Transaction) -> Result<Taken, StoreError> {
            let mut inbox = self.0.lock().expect("lock");
            if let Some(failure) = inbox.failures.pop_front() {
                return Err(failure);
            }
            let new = transaction.events.len();
            inbox.taken.push(transaction);
            Ok(Taken { new, repeated: 0 })
        }
    }

    #[derive(Debug)]
    struct OnePhone;

    impl Phonebook for OnePhone {
        fn is_ghost(&self, homeserver: &ServerName, user: &UserId) -> bool {
            self.phone_of(homeserver, user).is_some()
        }

        fn ghost_of(&self, _: &ServerName, phone: &str) -> Option<OwnedUserId> {
            (phone == "+44 7700 900123").then(|| UserId::parse(GHOST).expect("a user"))
        }

        fn phone_of(&self, _: &ServerName, user: &UserId) -> Option<String> {
            (user == GHOST).then(|| "447700900123".to_owned())
        }
    }

    /// The listener, as two homeservers with the tokens `one` and `two` see it.
    struct Fixture {
        http: reqwest::Client,
        inbox: FakeInbox,
        bell: Arc<Notify>,
        wanted: mpsc::Receiver<WantedGhost>,
        counts: Arc<Counts>,
        listener: testing::Listener,
    }

    async fn fixture() -> Fixture {
        let caller = |homeserver, token: &str| Caller {
            homeserver,
            hs_token: token.into(),
        };
        let (inbox, bell, counts) = (FakeInbox::default(), Arc::default(), Arc::default());
        let (sender, wanted) = mpsc::channel(1);
        let service = Appservice {
            callers: vec![
                caller(owned_server_name!("example.org"), "one"),
                caller(owned_server_name!("example.com"), "two"),
            ],
            sink: Box::new(inbox.clone()),
            phonebook: Box::new(OnePhone),
            inbox: Arc::clone(&bell),
            wanted: sender,
            clock: Clock::manual(Timestamp(1234)),
            most_waiting: usize::MAX,
            counts: Arc::clone(&counts),
        };
        let listener = testing::listen(router(service, 3 << 20)).await;
        let http = http_client(testing::tls(), HttpLimits::default()).expect("a client");
        Fixture {
            http,
            inbox,
            bell,
            wanted,
            counts,
            listener,
        }
    }

    impl Fixture {
        async fn send(&self, request: reqwest::RequestBuilder) -> (u16, Value) {
            let answer = request.send().await.expect("an answer");
            let status = answer.status().as_u16();
            (status, answer.json().await.expect("JSON"))
        }

        fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
            self.http
                .request(method, format!("{}{path}", self.listener.url))
        }

        async fn get(&self, path: &str) -> (u16, Value) {
            self.send(self.request(Method::GET, path).bearer_auth("one"))
                .await
        }

        async fn put(&self, token: &str, body: impl Into<reqwest::Body>) -> (u16, Value) {
            self.send(self.request(Method::PUT, TXN).bearer_auth(token).body(body))
                .await
        }

        fn count(&self, of: impl FnOnce(&Counts) -> &AtomicU64) -> u64 {
            of(&self.counts).load(Ordering::Relaxed)
        }
    }

    fn one_event() -> String {
        json!({ "events": [{ "event_id": "$e", "room_id": "!r" }, {}] }).to_string()
    }

    #[tokio::test]
    async fn a_transaction_is_stored_then_answered_and_the_bell_rings() {
        let fixture = fixture().await;
        assert_eq!(fixture.put("two", one_event()).await, (200, json!({})));
        let taken = std::mem::take(&mut fixture.inbox.0.lock().expect("lock").taken);
        let [transaction] = taken.as_slice() else {
            panic!("one transaction")
        };
        assert_eq!(transaction.homeserver, "example.com");
        assert_eq!(
            (transaction.txn_id.as_str(), transaction.at),
            ("7", Timestamp(1234))
        );
        assert_eq!(transaction.events.len(), 1);
        fixture.bell.notified().await;
        assert_eq!(fixture.count(|counts| &counts.new_events), 1);
        assert_eq!(fixture.count(|counts| &counts.skipped_events), 1);
    }

    #[tokio::test]
    async fn a_transaction_that_cannot_be_stored_is_not_answered_ok() {
        let fixture = fixture().await;
        let full = StoreError::Unavailable("disk full".to_owned());
        fixture
            .inbox
            .0
            .lock()
            .expect("lock")
            .failures
            .push_back(full);
        let (status, body) = fixture.put("one", one_event()).await;
        assert_eq!((status, &body["errcode"]), (503, &json!("M_UNKNOWN")));
        assert_eq!(fixture.count(|counts| &counts.failed_transactions), 1);
        assert_eq!(fixture.put("one", one_event()).await.0, 200);
        assert_eq!(fixture.inbox.0.lock().expect("lock").taken.len(), 1);
    }

    #[tokio::test]
    async fn a_large_transaction_is_taken_and_a_too_large_one_is_named() {
        let fixture = fixture().await;
        let body = |filler: usize| json!({ "events": [], "x": "x".repeat(filler) }).to_string();
        assert_eq!(fixture.put("one", body((3 << 20) - 100)).await.0, 200);
        let (status, body) = fixture.put("one", body(3 << 20)).await;
        assert_eq!((status, &body["errcode"]), (413, &json!("M_TOO_LARGE")));
    }

    #[tokio::test]
    async fn a_body_that_is_no_json_is_refused() {
        let fixture = fixture().await;
        let (status, body) = fixture.put("one", "events").await;
        assert_eq!((status, &body["errcode"]), (400, &json!("M_NOT_JSON")));
    }

    #[tokio::test]
    async fn only_a_homeserver_with_its_token_is_heard() {
        let fixture = fixture().await;
        let ping = "/_matrix/app/v1/ping";
        let legacy = |token: &str| format!("{ping}?access_token={token}");
        let post = |path: &str| fixture.request(Method::POST, path);
        for (request, status) in [
            (post(ping), 401),
            (post(ping).bearer_auth("three"), 403),
            (post(ping).bearer_auth(""), 401),
            (post(ping).header("authorization", "Basic one"), 401),
            (post(ping).bearer_auth("one"), 200),
            (post(ping).bearer_auth("two"), 200),
            (post(&legacy("one")), 200),
            (post(&legacy("three")), 403),
            (post(&legacy("one")).bearer_auth("one"), 200),
            (post(&legacy("one")).bearer_auth("two"), 403),
        ] {
            assert_eq!(fixture.send(request).await.0, status);
        }
        assert_eq!(fixture.count(|counts| &counts.refused_calls), 6);
    }

    #[tokio::test]
    async fn every_endpoint_asks_for_the_token() {
        let fixture = fixture().await;
        for (method, path) in [
            (Method::PUT, "transactions/1"),
            (Method::GET, "users/@a:b"),
            (Method::GET, "rooms/%23a:b"),
            (Method::GET, "thirdparty/protocol/tel"),
            (Method::GET, "thirdparty/user/tel"),
            (Method::GET, "thirdparty/user"),
            (Method::GET, "thirdparty/location/tel"),
            (Method::GET, "thirdparty/location"),
        ] {
            let path = format!("/_matrix/app/v1/{path}");
            assert_eq!(
                fixture.send(fixture.request(method, &path)).await.0,
                401,
                "{path}"
            );
        }
        assert!(fixture.inbox.0.lock().expect("lock").taken.is_empty());
    }

    #[tokio::test]
    async fn a_ghost_exists_when_asked_for_and_is_made_soon() {
        let mut fixture = fixture().await;
        let escaped = "/_matrix/app/v1/users/%40.tel.447700900123%3Aexample.org";
        assert_eq!(fixture.get(escaped).await, (200, json!({})));
        let full = "the channel is full, and the answer is the same";
        assert_eq!(fixture.get(escaped).await, (200, json!({})), "{full}");
        let wanted = fixture.wanted.recv().await.expect("a ghost");
        assert_eq!(
            wanted,
            (
                owned_server_name!("example.org"),
                owned_user_id!("@.tel.447700900123:example.org")
            )
        );
        for user in ["@.tel.x:example.org", "nobody", "%40alice%3Aexample.org"] {
            let (status, body) = fixture.get(&format!("/_matrix/app/v1/users/{user}")).await;
            assert_eq!(
                (status, &body["errcode"]),
                (404, &json!("M_NOT_FOUND")),
                "{user}"
            );
        }
    }

    #[tokio::test]
    async fn there_are_no_aliases_and_no_locations() {
        let fixture = fixture().await;
        let (status, body) = fixture
            .get("/_matrix/app/v1/rooms/%23sms%3Aexample.org")
            .await;
        assert_eq!((status, &body["errcode"]), (404, &json!("M_NOT_FOUND")));
        for path in ["location/tel?x=y", "location?alias=%23a%3Ab"] {
            let path = format!("/_matrix/app/v1/thirdparty/{path}");
            assert_eq!(fixture.get(&path).await, (200, json!([])));
        }
    }

    #[tokio::test]
    async fn a_number_is_looked_up_both_ways() {
        let fixture = fixture().await;
        let found =
            json!([{ "userid": GHOST, "protocol": "tel", "fields": { "phone": "447700900123" } }]);
        for (path, expected) in [
            ("user/tel?phone=%2B44%207700%20900123", found.clone()),
            ("user/tel?phone=1", json!([])),
            ("user/tel", json!([])),
            ("user?userid=%40.tel.447700900123%3Aexample.org", found),
            ("user?userid=%40alice%3Aexample.org", json!([])),
            ("user", json!([])),
        ] {
            let answer = fixture
                .get(&format!("/_matrix/app/v1/thirdparty/{path}"))
                .await;
            assert_eq!(answer, (200, expected), "{path}");
        }
        let (status, protocol) = fixture.get("/_matrix/app/v1/thirdparty/protocol/tel").await;
        assert_eq!((status, &protocol["user_fields"]), (200, &json!(["phone"])));
        assert!(protocol["instances"].is_array());
        for path in ["protocol/irc", "user/irc?phone=1"] {
            assert_eq!(
                fixture
                    .get(&format!("/_matrix/app/v1/thirdparty/{path}"))
                    .await
                    .0,
                404
            );
        }
    }

    #[tokio::test]
    async fn an_unknown_endpoint_says_so() {
        let fixture = fixture().await;
        for (method, path, expected) in [
            (
                Method::POST,
                "/_matrix/app/unstable/org.matrix.msc3983/keys/claim",
                404,
            ),
            (Method::GET, "/", 404),
            (Method::GET, TXN, 405),
            (Method::PUT, "/_matrix/app/v1/ping", 405),
        ] {
            let (status, body) = fixture.send(fixture.request(method, path)).await;
            assert_eq!(
                (status, &body["errcode"]),
                (expected, &json!("M_UNRECOGNIZED")),
                "{path}"
            );
        }
    }
}
