//! The short way for what an application service asks most: to send a message. Whatever is not the
//! plainest form of that goes through the router, which knows all.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{FromRequestParts as _, Request};
use axum::http::{HeaderValue, Method, header};
use axum::response::{IntoResponse as _, Response};
use serde_json::value::RawValue;
use tower_service::Service;

use crate::homeserver::client::{As, token};
use crate::homeserver::content::Content;
use crate::homeserver::hub::Hub;
use crate::homeserver::model::{NOT_JSON, Refusal, Saying};

/// What the router takes of a body.
const MOST_OCTETS: usize = 2 * 1024 * 1024;

/// The router, and the way past it.
#[derive(Clone)]
pub(crate) struct Direct {
    pub(crate) hub: Arc<Hub>,
    pub(crate) router: Router,
}

impl Service<Request> for Direct {
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Self::Future {
        if is_plain(&request) && Place::of(request.uri().path()).is_some() && !self.hub.goes_wrong()
        {
            let hub = Arc::clone(&self.hub);
            Box::pin(async move { Ok(answer(&hub, request).await) })
        } else {
            Box::pin(self.router.call(request))
        }
    }
}

fn is_plain(request: &Request) -> bool {
    let content_type = request.headers().get(header::CONTENT_TYPE);
    request.method() == Method::PUT
        && content_type.is_some_and(|it| it.as_bytes() == b"application/json")
}

/// Where a message goes.
struct Place<'a> {
    room: &'a str,
    event_type: &'a str,
    txn_id: &'a str,
}

impl<'a> Place<'a> {
    /// That of `/_matrix/client/v3/rooms/{room}/send/{type}/{txn}`, where nothing is to be decoded.
    fn of(path: &'a str) -> Option<Self> {
        let rest = path.strip_prefix("/_matrix/client/v3/rooms/")?;
        let (room, rest) = rest.split_once("/send/")?;
        let (event_type, txn_id) = rest.split_once('/')?;
        let plain = |part: &str| !part.is_empty() && !part.contains(['/', '%']);
        let all = [room, event_type, txn_id].into_iter().all(plain);
        all.then_some(Self {
            room,
            event_type,
            txn_id,
        })
    }
}

async fn answer(hub: &Arc<Hub>, request: Request) -> Response {
    if token(request.headers()).is_some_and(|token| token == hub.settings.as_token) {
        hub.requests.count("send");
    }
    match send(hub, request).await {
        Ok(event_id) => {
            // There is nothing in it to be escaped.
            let body = format!(r#"{{"event_id":"{event_id}"}}"#);
            let mut response = Response::new(Body::from(body));
            let json = HeaderValue::from_static("application/json");
            response.headers_mut().insert(header::CONTENT_TYPE, json);
            response
        }
        Err(refusal) => refusal.into_response(),
    }
}

async fn send(hub: &Arc<Hub>, request: Request) -> Result<String, Refusal> {
    let (mut parts, body) = request.into_parts();
    let As(user) = As::from_request_parts(&mut parts, hub).await?;
    let body = to_bytes(body, MOST_OCTETS).await.map_err(|_| NOT_JSON)?;
    let content: Box<RawValue> = serde_json::from_slice(&body).map_err(|_| NOT_JSON)?;
    let Some(place) = Place::of(parts.uri.path()) else {
        return Err(NOT_JSON);
    };
    let saying = Saying {
        room: place.room,
        sender: &user,
        event_type: place.event_type,
        state_key: None,
        content: Content::Raw(content),
    };
    hub.model(|model, now| model.send(now, saying, place.txn_id))
}
