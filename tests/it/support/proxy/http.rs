//! Between the gateway and its homeserver, one for each direction: lets requests go wrong on the way
//! there and answers on the way back, and tells transactions twice, under one id or under two.

use std::collections::{HashMap, HashSet, VecDeque};
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use super::lock;

/// Where transactions go.
const TRANSACTIONS: &str = "/_matrix/app/v1/transactions/";

/// How one request goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mishap {
    /// It is not passed on, and this is its answer.
    Refuse(u16),
    /// It is passed on, and this is its answer.
    LoseAnswer(u16),
    /// It is passed on so much later.
    Delay(Duration),
    /// It is not passed on, and there is no answer until all is healed.
    Never,
    /// (Transactions) It is passed on twice.
    Repeat,
    /// (Transactions) It is passed on, and then under another id.
    AsAnother,
    /// (Transactions) It is passed on under the id of one that was taken before.
    UnderOldId,
}

/// A running proxy. Dropped, it ends.
#[derive(Debug)]
pub(crate) struct HttpProxy {
    inner: Arc<Inner>,
    _end: DropGuard,
}

#[derive(Debug)]
struct Inner {
    /// One of them works, or passes on to the one that does.
    targets: Vec<String>,
    client: reqwest::Client,
    tasks: TaskTracker,
    /// What happens to the next requests.
    faults: Mutex<VecDeque<Mishap>>,
    sent: AtomicUsize,
    struck: AtomicU64,
    under_way: AtomicU64,
    passed: AtomicU64,
    told: Mutex<Told>,
    healed: Mutex<CancellationToken>,
}

/// What the gateway was told, as it took it.
#[derive(Debug, Default)]
struct Told {
    /// The place of each event, by the first transaction with it that was answered with 200.
    places: HashMap<String, usize>,
    /// Events that were told without a 200 before they were told with one: nobody knows when the
    /// gateway took them.
    unsure: HashSet<String>,
    /// The id of the latest transaction that was taken.
    latest: Option<String>,
    /// Ids that we made up.
    made_up: u64,
}

impl HttpProxy {
    /// Listens on a loopback port and passes on to another one: to any of these that listens.
    pub(crate) async fn start(port: u16, targets: &[u16]) -> Self {
        let address = |target: &u16| format!("http://127.0.0.1:{target}");
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await;
        let client = reqwest::Client::builder().no_proxy().build();
        let inner = Arc::new(Inner {
            targets: targets.iter().map(address).collect(),
            client: client.expect("an HTTP client"),
            tasks: TaskTracker::new(),
            faults: Mutex::default(),
            sent: AtomicUsize::new(0),
            struck: AtomicU64::new(0),
            under_way: AtomicU64::new(0),
            passed: AtomicU64::new(0),
            told: Mutex::default(),
            healed: Mutex::default(),
        });
        let router = Router::new()
            .fallback(handle)
            .layer(axum::extract::DefaultBodyLimit::disable())
            .with_state(Arc::clone(&inner));
        let serving = axum::serve(listener.expect("a free port"), router).into_future();
        let end = CancellationToken::new();
        let serving = end.clone().run_until_cancelled_owned(serving);
        inner.tasks.spawn(serving);
        Self {
            inner,
            _end: end.drop_guard(),
        }
    }

    /// This happens to the next so many requests.
    pub(crate) fn strike(&self, mishap: Mishap, times: u32) {
        let mut faults = lock(&self.inner.faults);
        faults.extend((0..times).map(|_| mishap));
    }

    /// No more faults, and whoever waits for an answer gets one.
    pub(crate) fn heal(&self) {
        lock(&self.inner.faults).clear();
        let healed = std::mem::take(&mut *lock(&self.inner.healed));
        healed.cancel();
    }

    /// How many requests went wrong.
    pub(crate) fn struck(&self) -> u64 {
        self.inner.struck.load(Ordering::Relaxed)
    }

    /// How many requests are under way, and how many there were.
    pub(crate) fn motion(&self) -> (u64, u64) {
        let load = |count: &AtomicU64| count.load(Ordering::SeqCst);
        (load(&self.inner.under_way), load(&self.inner.passed))
    }

    /// In which order the gateway took the events that it was told; without those of which nobody
    /// knows when it took them.
    pub(crate) fn places(&self) -> HashMap<String, usize> {
        let told = lock(&self.inner.told);
        let mut places = told.places.clone();
        places.retain(|event, _| !told.unsure.contains(event));
        places
    }
}

/// One request on its way.
#[derive(Clone)]
struct Request {
    method: Method,
    uri: String,
    headers: HeaderMap,
    body: Bytes,
}

async fn handle(
    State(inner): State<Arc<Inner>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    inner.passed.fetch_add(1, Ordering::SeqCst);
    inner.under_way.fetch_add(1, Ordering::SeqCst);
    // The connection may break off before the answer: what is under way goes on all the same.
    let under_way = Arc::clone(&inner);
    let request = Request {
        method,
        uri: uri.to_string(),
        headers,
        body,
    };
    let answering = inner.tasks.spawn(async move {
        let answer = under_way.answer(request).await;
        under_way.under_way.fetch_sub(1, Ordering::SeqCst);
        answer
    });
    answering.await.unwrap_or_else(|_| answer_of(500))
}

impl Inner {
    async fn answer(&self, request: Request) -> Response {
        let transaction = request.uri.starts_with(TRANSACTIONS);
        let mishap = self.draw();
        match mishap {
            Some(Mishap::Refuse(status)) => answer_of(status),
            Some(Mishap::Never) => self.never().await,
            Some(Mishap::LoseAnswer(status)) => {
                self.pass(&request, transaction).await;
                answer_of(status)
            }
            Some(Mishap::Delay(by)) => {
                tokio::time::sleep(by).await;
                self.pass(&request, transaction).await
            }
            Some(Mishap::Repeat) if transaction => {
                // Both at once, as when the first one's answer was given up.
                let (_, answer) =
                    tokio::join!(self.pass(&request, true), self.pass(&request, true));
                answer
            }
            Some(Mishap::AsAnother) if transaction => {
                let another = self.under_another_id(&request);
                self.pass(&another, true).await;
                self.pass(&request, true).await
            }
            Some(Mishap::UnderOldId) if transaction => {
                let old = self.under_old_id(&request);
                self.pass(&old, true).await
            }
            _ => self.pass(&request, transaction).await,
        }
    }

    fn draw(&self) -> Option<Mishap> {
        let mishap = lock(&self.faults).pop_front()?;
        self.struck.fetch_add(1, Ordering::Relaxed);
        Some(mishap)
    }

    async fn never(&self) -> Response {
        let healed = lock(&self.healed).clone();
        healed.cancelled().await;
        answer_of(502)
    }

    fn under_another_id(&self, request: &Request) -> Request {
        let mut told = lock(&self.told);
        told.made_up += 1;
        Request {
            uri: format!("{TRANSACTIONS}again-{}", told.made_up),
            ..request.clone()
        }
    }

    /// The transaction under the id of the latest one; where that was itself, as it is.
    fn under_old_id(&self, request: &Request) -> Request {
        let told = lock(&self.told);
        let uri = told.latest.clone();
        Request {
            uri: uri.unwrap_or_else(|| request.uri.clone()),
            ..request.clone()
        }
    }

    async fn pass(&self, request: &Request, transaction: bool) -> Response {
        let answer = match self.send(request).await {
            Some(answer) => back(answer).await,
            None => answer_of(502),
        };
        if transaction {
            self.note(request, answer.status().is_success());
        }
        answer
    }

    /// Sends it to one that listens, each time beginning with another one.
    async fn send(&self, request: &Request) -> Option<reqwest::Response> {
        let first = self.sent.fetch_add(1, Ordering::Relaxed);
        for at in 0..self.targets.len() {
            let target = &self.targets[(first + at) % self.targets.len()];
            match self.send_to(target, request).await {
                Err(error) if error.is_connect() => {}
                answer => return answer.ok(),
            }
        }
        None
    }

    async fn send_to(
        &self,
        target: &str,
        request: &Request,
    ) -> Result<reqwest::Response, reqwest::Error> {
        let url = format!("{target}{}", request.uri);
        let mut sent = self.client.request(request.method.clone(), url);
        sent = sent.body(request.body.clone());
        for name in [header::AUTHORIZATION, header::CONTENT_TYPE] {
            if let Some(value) = request.headers.get(&name) {
                sent = sent.header(name, value);
            }
        }
        sent.send().await
    }

    fn note(&self, request: &Request, taken: bool) {
        let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        let events = body["events"].as_array().into_iter().flatten();
        let mut told = lock(&self.told);
        for event in events.filter_map(|event| event["event_id"].as_str()) {
            if told.places.contains_key(event) {
                continue;
            }
            if taken {
                let place = told.places.len();
                told.places.insert(event.to_owned(), place);
            } else {
                told.unsure.insert(event.to_owned());
            }
        }
        if taken {
            told.latest = Some(request.uri.clone());
        }
    }
}

async fn back(answer: reqwest::Response) -> Response {
    let status = answer.status();
    let keep = |name: &HeaderName| answer.headers().get(name).cloned();
    let kind = keep(&header::CONTENT_TYPE);
    let after = keep(&header::RETRY_AFTER);
    let Ok(body) = answer.bytes().await else {
        return answer_of(502);
    };
    let mut response = (status, body).into_response();
    let headers = response.headers_mut();
    headers.remove(header::CONTENT_TYPE);
    for (name, value) in [(header::CONTENT_TYPE, kind), (header::RETRY_AFTER, after)] {
        if let Some(value) = value {
            headers.insert(name, value);
        }
    }
    response
}

/// What a homeserver, or the proxy before it, says when something is wrong.
fn answer_of(status: u16) -> Response {
    let code = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let body = match status {
        429 => json!({ "errcode": "M_LIMIT_EXCEEDED", "error": "slower", "retry_after_ms": 200 }),
        _ => json!({ "errcode": "M_UNKNOWN", "error": "a fault of the campaign" }),
    };
    (code, axum::Json(body)).into_response()
}
