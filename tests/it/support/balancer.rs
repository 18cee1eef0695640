//! A load balancer before several gateways: each request of the homeserver goes to the next one.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// How long a gateway may take to answer. One that stands still is passed by, and what it may have taken
/// is told again.
const LIMIT: Duration = Duration::from_secs(5);

/// A running balancer. Dropped, it ends.
#[derive(Debug)]
pub(crate) struct Balancer {
    inner: Arc<Inner>,
    _serving: JoinSet<std::io::Result<()>>,
}

#[derive(Debug)]
struct Inner {
    client: reqwest::Client,
    next: AtomicUsize,
    doors: Vec<Door>,
}

#[derive(Debug)]
struct Door {
    base: String,
    /// Requests that were answered with success.
    taken: AtomicUsize,
}

impl Balancer {
    /// Listens on a loopback port and passes on to these in turn.
    pub(crate) async fn start(port: u16, doors: &[u16]) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await;
        let door = |port: &u16| Door {
            base: format!("http://127.0.0.1:{port}"),
            taken: AtomicUsize::new(0),
        };
        let client = reqwest::Client::builder().no_proxy().timeout(LIMIT).build();
        let inner = Arc::new(Inner {
            client: client.expect("an HTTP client"),
            next: AtomicUsize::new(0),
            doors: doors.iter().map(door).collect(),
        });
        let router = Router::new()
            .fallback(handle)
            .layer(axum::extract::DefaultBodyLimit::disable())
            .with_state(Arc::clone(&inner));
        let mut serving = JoinSet::new();
        serving.spawn(axum::serve(listener.expect("a free port"), router).into_future());
        Self {
            inner,
            _serving: serving,
        }
    }

    /// How many requests each door has taken.
    pub(crate) fn taken(&self) -> Vec<usize> {
        let doors = self.inner.doors.iter();
        doors
            .map(|door| door.taken.load(Ordering::SeqCst))
            .collect()
    }
}

async fn handle(
    State(inner): State<Arc<Inner>>,
    (method, uri): (Method, Uri),
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    // Where nobody listens or answers, the next one is asked.
    for _ in &inner.doors {
        let at = inner.next.fetch_add(1, Ordering::SeqCst) % inner.doors.len();
        let door = &inner.doors[at];
        let mut passed = inner
            .client
            .request(method.clone(), format!("{}{uri}", door.base))
            .body(body.clone());
        for name in [header::AUTHORIZATION, header::CONTENT_TYPE] {
            if let Some(value) = headers.get(&name) {
                passed = passed.header(name, value);
            }
        }
        let answer = match passed.send().await {
            Ok(answer) => answer,
            Err(error) if error.is_connect() || error.is_timeout() => continue,
            Err(_) => break,
        };
        let status = answer.status();
        let Ok(body) = answer.bytes().await else {
            break;
        };
        if status.is_success() {
            door.taken.fetch_add(1, Ordering::SeqCst);
        }
        return (status, [(header::CONTENT_TYPE, "application/json")], body).into_response();
    }
    StatusCode::BAD_GATEWAY.into_response()
}
