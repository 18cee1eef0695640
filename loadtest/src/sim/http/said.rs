//! What a request says in its body.

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::http::StatusCode;
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
