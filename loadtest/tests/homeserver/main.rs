//! The stub homeserver as an application service meets it.
#![expect(
    clippy::unwrap_used,
    reason = "a helper that panics fails its test, as it should"
)]

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::put;
use axum::{Json, Router};
use matrix_smpp_loadtest::homeserver::{HomeserverSettings, StubHomeserver};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// Longer than anything here takes; only a failing test waits so long.
const PATIENCE: Duration = Duration::from_secs(20);

const GHOST: &str = "@.tel.447700900100:example.org";

/// What an application service has received, and how many transactions it is to refuse first.
#[derive(Clone)]
struct Inbox {
    transactions: mpsc::Sender<(u64, Vec<Value>)>,
    refuse: Arc<AtomicU64>,
}

struct Service {
    stub: StubHomeserver,
    transactions: mpsc::Receiver<(u64, Vec<Value>)>,
    refuse: Arc<AtomicU64>,
    _serving: JoinSet<()>,
}

impl Service {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let appservice = format!("http://{}", listener.local_addr().unwrap());
        let (sender, transactions) = mpsc::channel(1_000);
        let refuse = Arc::default();
        let inbox = Inbox {
            transactions: sender,
            refuse: Arc::clone(&refuse),
        };
        let path = "/_matrix/app/v1/transactions/{txn}";
        let router = Router::new().route(path, put(take)).with_state(inbox);
        let mut serving = JoinSet::new();
        serving.spawn(async move { axum::serve(listener, router).await.unwrap() });
        let stub = StubHomeserver::start(HomeserverSettings {
            appservice,
            as_token: "as-secret".to_owned(),
            hs_token: "hs-secret".to_owned(),
            batch: 10,
            retry: Duration::from_millis(1),
            ..HomeserverSettings::default()
        });
        Self {
            stub: stub.await.unwrap(),
            transactions,
            refuse,
            _serving: serving,
        }
    }

    /// Makes one room and invites the phone of [`GHOST`].
    async fn pair(&self) -> Value {
        let wanted = json!({ "count": 1, "first": 447_700_900_100_u64 });
        let (status, pairs) = self.control("POST", "/rooms", &wanted).await;
        assert_eq!(status, 200);
        pairs[0].clone()
    }

    /// Registers the phone of [`GHOST`] and has it join.
    async fn join(&self, pair: &Value) {
        let username = json!({ "username": ".tel.447700900100" });
        assert_eq!(self.ask("POST", "/register", &username).await.0, 200);
        let path = format!("/rooms/{}/join?user_id={GHOST}", room(pair));
        assert_eq!(self.ask("POST", &path, &json!({})).await.0, 200);
    }

    async fn ask(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let path = format!("/_matrix/client/v3{path}");
        http(self.stub.address, method, &path, body).await
    }

    async fn control(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        http(self.stub.address, method, &format!("/_stub{path}"), body).await
    }

    async fn counts(&self) -> Value {
        self.control("GET", "/counts", &Value::Null).await.1
    }

    async fn transaction(&mut self) -> (u64, Vec<Value>) {
        let taken = timeout(PATIENCE, self.transactions.recv()).await;
        taken.expect("a transaction in time").unwrap()
    }

    /// Takes transactions until one holds an event that is wanted.
    async fn told(&mut self, wanted: impl Fn(&Value) -> bool) -> Value {
        loop {
            let (_, events) = self.transaction().await;
            if let Some(event) = events.into_iter().find(|event| wanted(event)) {
                return event;
            }
        }
    }
}

async fn take(
    State(inbox): State<Inbox>,
    Path(txn): Path<u64>,
    headers: HeaderMap,
    Json(mut body): Json<Value>,
) -> (StatusCode, Json<Value>) {
    assert_eq!(headers["authorization"], "Bearer hs-secret");
    let more = inbox
        .refuse
        .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| {
            left.checked_sub(1)
        });
    if more.is_ok() {
        return (StatusCode::INTERNAL_SERVER_ERROR, Json(json!({})));
    }
    let events = body["events"].as_array_mut().unwrap();
    inbox
        .transactions
        .send((txn, std::mem::take(events)))
        .await
        .unwrap();
    (StatusCode::OK, Json(json!({})))
}

fn room(pair: &Value) -> &str {
    pair["room"].as_str().unwrap()
}

/// A request with the token of the application service.
async fn http(address: SocketAddr, method: &str, path: &str, body: &Value) -> (u16, Value) {
    http_as(address, "Bearer as-secret", (method, path), body).await
}

/// One request of HTTP/1.1 on a connection of its own.
async fn http_as(
    address: SocketAddr,
    authorization: &str,
    (method, path): (&str, &str),
    body: &Value,
) -> (u16, Value) {
    let line = format!("{method} {path}");
    let kinds = (authorization, "application/json");
    http_of(address, &line, kinds, &body.to_string()).await
}

async fn http_of(
    address: SocketAddr,
    line: &str,
    (authorization, content_type): (&str, &str),
    body: &str,
) -> (u16, Value) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!(
        "{line} HTTP/1.1\r\nhost: stub\r\nconnection: close\r\n\
         authorization: {authorization}\r\ncontent-type: {content_type}\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    timeout(PATIENCE, stream.read_to_string(&mut answer))
        .await
        .expect("an answer")
        .unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, serde_json::from_str(body).unwrap_or_default())
}

#[tokio::test]
async fn an_invited_ghost_joins_and_speaks_and_is_told_of_it() {
    let mut service = Service::start().await;
    let pair = service.pair().await;
    let invite = service.told(|event| event["state_key"] == GHOST).await;
    assert_eq!(
        invite["content"],
        json!({ "membership": "invite", "is_direct": true })
    );
    service.join(&pair).await;
    let joined = service.control("POST", "/joined", &json!([pair])).await;
    assert_eq!(joined, (200, json!(1)));
    let path = format!(
        "/rooms/{}/send/m.room.message/t1?user_id={GHOST}",
        room(&pair)
    );
    let body = json!({ "msgtype": "m.text", "body": "hello" });
    let (status, first) = service.ask("PUT", &path, &body).await;
    assert_eq!(status, 200);
    assert_eq!(service.ask("PUT", &path, &body).await.1, first);
    let echo = service
        .told(|event| event["type"] == "m.room.message")
        .await;
    assert_eq!(
        (&echo["event_id"], &echo["sender"]),
        (&first["event_id"], &GHOST.into())
    );
    let sends = service.control("GET", "/sends", &Value::Null).await.1;
    assert_eq!(sends.as_array().unwrap().len(), 1);
    assert_eq!(sends[0]["event"]["content"]["body"], "hello");
    let counts = service.counts().await;
    assert_eq!(
        (
            &counts["requests"]["send"],
            &counts["sent"]["m.room.message"]
        ),
        (&2.into(), &1.into())
    );
}

#[tokio::test]
async fn a_named_device_must_exist_and_state_is_read_back() {
    let service = Service::start().await;
    let pair = service.pair().await;
    service.join(&pair).await;
    let path = format!(
        "/rooms/{}/send/m.room.message/t1?user_id={GHOST}&device_id=D",
        room(&pair)
    );
    let body = json!({ "body": "hello" });
    let (status, refusal) = service.ask("PUT", &path, &body).await;
    assert_eq!(
        (status, &refusal["errcode"]),
        (400, &"M_UNKNOWN_DEVICE".into())
    );
    let device = format!("/devices/D?user_id={GHOST}");
    assert_eq!(service.ask("PUT", &device, &json!({})).await.0, 200);
    assert_eq!(service.ask("PUT", &path, &body).await.0, 200);
    let marker = format!("/rooms/{}/state/dev.marker/?user_id={GHOST}", room(&pair));
    assert_eq!(service.ask("GET", &marker, &Value::Null).await.0, 404);
    assert_eq!(service.ask("PUT", &marker, &json!({ "a": 1 })).await.0, 200);
    assert_eq!(
        service.ask("GET", &marker, &Value::Null).await.1,
        json!({ "a": 1 })
    );
    let whole = format!("{marker}&format=event");
    assert_eq!(
        service.ask("GET", &whole, &Value::Null).await.1["sender"],
        GHOST
    );
    let state = format!("/rooms/{}/state?user_id={GHOST}", room(&pair));
    let state = service.ask("GET", &state, &Value::Null).await.1;
    assert!(
        state
            .as_array()
            .unwrap()
            .iter()
            .any(|event| event["state_key"] == GHOST)
    );
    let other = format!("{path}&user_id=@.tel.1:example.org");
    assert_ne!(service.ask("PUT", &other, &body).await.0, 200);
}

#[tokio::test]
async fn a_flood_arrives_in_order_in_bounded_transactions_through_refusals_and_repeats() {
    let mut service = Service::start().await;
    let pair = service.pair().await;
    service.told(|event| event["state_key"] == GHOST).await;
    service.refuse.store(3, Ordering::SeqCst);
    let repeat = json!([{ "on": "transactions", "repeat": true, "times": 1 }]);
    assert_eq!(service.control("PUT", "/faults", &repeat).await.0, 204);
    let flood = json!({ "rate": 100_000, "count": 200, "rooms": [pair] });
    assert_eq!(service.control("POST", "/flood", &flood).await.0, 202);
    let (mut numbers, mut bodies, mut transactions) = (Vec::new(), Vec::new(), HashSet::new());
    while bodies.len() < 200 {
        let (number, events) = service.transaction().await;
        numbers.push(number);
        assert!(events.len() <= 10);
        if transactions.insert(number) {
            let body = |event: &Value| event["content"]["body"].as_str().unwrap().to_owned();
            bodies.extend(events.iter().map(body));
        }
    }
    for (number, body) in bodies.iter().enumerate() {
        assert!(body.starts_with(&format!("load #{number} @")), "{body}");
    }
    assert!(numbers.is_sorted());
    let settled = async {
        loop {
            let counts = service.counts().await;
            if counts["waiting"] == 0 {
                return counts;
            }
        }
    };
    let counts = timeout(PATIENCE, settled).await.unwrap();
    assert_eq!(counts["transactions"]["failed"], 3);
    assert_eq!(counts["flooded"], 200);
    assert!(counts["push_us"]["count"].as_u64().unwrap() >= 200);
    // The fault is drawn for each attempt: the first attempt was refused, so nothing was repeated.
    assert_eq!(counts["transactions"]["repeated"], 0);
}

#[tokio::test]
async fn a_taken_transaction_is_repeated_on_request() {
    let mut service = Service::start().await;
    let repeat = json!([{ "on": "transactions", "repeat": true, "times": 1 }]);
    service.control("PUT", "/faults", &repeat).await;
    service.pair().await;
    let first = service.transaction().await;
    assert_eq!(service.transaction().await, first);
}

#[tokio::test]
async fn requests_go_wrong_as_asked() {
    let service = Service::start().await;
    let pair = service.pair().await;
    service.join(&pair).await;
    let faults = json!([
        { "on": "send", "status": 429, "retry_after_ms": 1_500, "times": 1 },
        { "on": "send", "status": 500, "after_effect": true, "times": 1 },
        { "on": "whoami", "never": true },
    ]);
    service.control("PUT", "/faults", &faults).await;
    let path = format!(
        "/rooms/{}/send/m.room.message/t1?user_id={GHOST}",
        room(&pair)
    );
    let body = json!({ "body": "hello" });
    let (status, refusal) = service.ask("PUT", &path, &body).await;
    assert_eq!(
        (status, &refusal["errcode"]),
        (429, &"M_LIMIT_EXCEEDED".into())
    );
    assert_eq!(refusal["retry_after_ms"], 1_500);
    assert_eq!(service.counts().await["sent"], json!({}));
    assert_eq!(service.ask("PUT", &path, &body).await.0, 500);
    assert_eq!(service.counts().await["sent"]["m.room.message"], 1);
    assert_eq!(service.ask("PUT", &path, &body).await.0, 200);
    assert_eq!(service.counts().await["sent"]["m.room.message"], 1);
    let silent = service.ask("GET", "/account/whoami", &Value::Null);
    assert!(timeout(Duration::from_millis(100), silent).await.is_err());
    assert_eq!(service.counts().await["faults"], 3);
}

#[tokio::test]
async fn a_message_is_taken_alike_the_short_way_and_the_long_one() {
    const PLAIN: &str = "application/json";
    const OTHER: &str = "application/json; charset=utf-8";
    let mut service = Service::start().await;
    let pair = service.pair().await;
    service.join(&pair).await;
    let address = service.stub.address;
    let send = async |kinds: (&str, &str), (user, txn): (&str, &str), body: &str| {
        let line = format!(
            "PUT /_matrix/client/v3/rooms/{}/send/m.room.message/{txn}?user_id={user}",
            room(&pair)
        );
        http_of(address, &line, kinds, body).await
    };
    let right = "Bearer as-secret";
    let words = r#"{"z": 1, "body": "caf\u00e9", "msgtype": "m.text"}"#;
    let short = send((right, PLAIN), (GHOST, "1"), words).await;
    let long = send((right, OTHER), (GHOST, "1"), words).await;
    let encoded = send((right, PLAIN), (GHOST, "%31"), words).await;
    assert_eq!(short.0, 200);
    assert_eq!((&short, &short), (&long, &encoded), "one event");
    let told = service.told(|event| event["event_id"] == short.1["event_id"]);
    let told = told.await;
    assert_eq!(told["content"]["body"], "café");
    assert_eq!(told["sender"], GHOST);
    assert_eq!(service.counts().await["requests"]["send"], 3);
    assert_eq!(service.counts().await["sent"]["m.room.message"], 1);
    for (token, who, body, status, errcode) in [
        ("Bearer wrong", GHOST, words, 401, "M_UNKNOWN_TOKEN"),
        ("Basic x", GHOST, words, 401, "M_MISSING_TOKEN"),
        (right, "@nobody:example.org", words, 403, "M_FORBIDDEN"),
        (right, GHOST, "{", 400, "M_NOT_JSON"),
    ] {
        let short = send((token, PLAIN), (who, "2"), body).await;
        let long = send((token, OTHER), (who, "2"), body).await;
        assert_eq!(short, long);
        assert_eq!(
            (short.0, short.1["errcode"].as_str()),
            (status, Some(errcode))
        );
    }
}

#[tokio::test]
async fn a_wrong_token_is_refused() {
    let service = Service::start().await;
    let mut stream = TcpStream::connect(service.stub.address).await.unwrap();
    let request = "GET /_matrix/client/v3/account/whoami HTTP/1.1\r\nhost: stub\r\n\
                   connection: close\r\nauthorization: Bearer wrong\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(
        answer.starts_with("HTTP/1.1 401") && answer.contains("M_UNKNOWN_TOKEN"),
        "{answer}"
    );
}

#[tokio::test]
async fn people_write_and_read_and_what_they_said_outlives_a_stub_with_a_journal() {
    let home = tempfile::tempdir().unwrap();
    let settings = HomeserverSettings {
        journal: Some(home.path().join("journal")),
        ..HomeserverSettings::default()
    };
    let v3 = |path: &str| format!("/_matrix/client/v3{path}");
    let stub = StubHomeserver::start(settings.clone()).await.unwrap();
    let name = json!({ "username": "alice" });
    let register = v3("/register");
    let (status, alice) = http_as(stub.address, "", ("POST", &register), &name).await;
    assert_eq!(
        (status, &alice["user_id"]),
        (200, &"@alice:example.org".into())
    );
    let token = format!("Bearer {}", alice["access_token"].as_str().unwrap());
    let create = v3("/createRoom");
    let (_, room) = http_as(stub.address, &token, ("POST", &create), &json!({})).await;
    let room = room["room_id"].as_str().unwrap();
    let target = v3(&format!("/rooms/{room}/send/m.room.message/1"));
    let body = json!({ "body": "hello" });
    let (_, sent) = http_as(stub.address, &token, ("PUT", &target), &body).await;
    let counts = http(stub.address, "GET", "/_stub/counts", &Value::Null)
        .await
        .1;
    assert_eq!(
        counts["sent"],
        json!({}),
        "a person is no application service"
    );
    stub.stop().await;

    let stub = StubHomeserver::start(settings).await.unwrap();
    let again = http_as(stub.address, &token, ("PUT", &target), &body).await;
    assert_eq!(again, (200, sent.clone()));
    let page = v3(&format!("/rooms/{room}/messages?limit=1"));
    let (_, latest) = http_as(stub.address, &token, ("GET", &page), &Value::Null).await;
    assert_eq!(latest["chunk"][0]["event_id"], sent["event_id"]);
    let older = format!("{page}&from={}", latest["end"].as_str().unwrap());
    let (_, older) = http_as(stub.address, &token, ("GET", &older), &Value::Null).await;
    assert_eq!(older["chunk"][0]["type"], "m.room.member");
}
