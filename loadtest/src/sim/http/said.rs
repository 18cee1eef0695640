//! What a request says in its body and its path.

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Path, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::IntoResponse;
use serde::de::DeserializeOwned;

use super::Fault;

/// JSON, whatever its content type says: `curl -d` says that it is a form.
pub(super) struct Said<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Said<T> {
    type Rejection = Fault;

    async fn from_request(request: Request, state: &S) -> Result<Self, Fault> {
        let octets = Bytes::from_request(request, state).await;
        let octets = octets.map_err(|refused| Fault {
            reason: refused.body_text(),
            status: refused.into_response().status(),
        })?;
        let read = serde_json::from_slice(&octets);
        read.map(Self).map_err(|wrong| Fault {
            status: if wrong.is_data() {
                StatusCode::UNPROCESSABLE_ENTITY
            } else {
                StatusCode::BAD_REQUEST
            },
            reason: wrong.to_string(),
        })
    }
}

/// The number of a bind, a rule or a fault in the path.
pub(super) struct Numbered(pub(super) u64);

impl<S: Send + Sync> FromRequestParts<S> for Numbered {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Fault> {
        let read = Path::from_request_parts(parts, state).await;
        read.map(|Path(number)| Self(number)).map_err(|_| {
            let reason = "the path wants a number, as GET /binds, /rules and /faults give it";
            Fault::bad_request(&reason)
        })
    }
}
