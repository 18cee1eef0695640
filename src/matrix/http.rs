//! HTTP as we speak it with homeservers: bounded in time and size, and silent about URLs.

use std::io;
use std::time::Duration;

use axum::http::{Response, header};
use bytes::{Bytes, BytesMut};
use serde_json::Value;

use super::homeserver::{MatrixError, Result};

/// No answer of a homeserver that we can use is longer; a state of ten thousand members is 5 MB.
const MAX_ANSWER: usize = 32 << 20;

/// Bounds of the HTTP client that all homeservers share.
#[derive(Debug, Clone, Copy)]
pub struct HttpLimits {
    /// To open a connection.
    pub connect_timeout: Duration,
    /// From the first byte of a request to the last of its answer.
    pub request_timeout: Duration,
    /// Connections kept open per homeserver.
    pub idle_connections: usize,
}

impl Default for HttpLimits {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(10),
            request_timeout: Duration::from_mins(1),
            idle_connections: 32,
        }
    }
}

/// The HTTP client that all homeservers share. Follows no redirect: it would carry the token along.
pub fn http_client(
    mut tls: rustls::ClientConfig,
    limits: HttpLimits,
) -> reqwest::Result<reqwest::Client> {
    tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(limits.connect_timeout)
        .timeout(limits.request_timeout)
        .pool_max_idle_per_host(limits.idle_connections)
        .tcp_nodelay(true)
        .no_proxy()
        .build()
}

/// Reads an answer to its end, but no more than [`MAX_ANSWER`].
pub(super) async fn whole(mut response: reqwest::Response) -> Result<Response<Bytes>> {
    let mut body = BytesMut::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| unanswered(&error))? {
        if body.len() + chunk.len() > MAX_ANSWER {
            return Err(MatrixError::impossible(
                "the homeserver's answer is too long",
            ));
        }
        body.extend_from_slice(&chunk);
    }
    let mut answer = Response::new(body.freeze());
    *answer.status_mut() = response.status();
    *answer.headers_mut() = std::mem::take(response.headers_mut());
    Ok(answer)
}

/// The error that an answer without success tells.
pub(super) fn refusal(answer: &Response<Bytes>) -> MatrixError {
    let body: Value = serde_json::from_slice(answer.body()).unwrap_or_default();
    let seconds = answer.headers().get(header::RETRY_AFTER);
    let seconds = seconds.and_then(|value| value.to_str().ok()?.trim().parse().ok());
    let after = body
        .get("retry_after_ms")
        .and_then(Value::as_u64)
        .map(Duration::from_millis);
    let after = after.or_else(|| seconds.map(Duration::from_secs));
    let errcode = body.get("errcode").and_then(Value::as_str);
    MatrixError::refused(answer.status().as_u16(), errcode, after)
}

/// Only the kind of trouble: the text of a [`reqwest::Error`] holds the URL, and so phone numbers.
pub(super) fn unanswered(error: &reqwest::Error) -> MatrixError {
    let trouble = match error {
        error if error.is_timeout() => "timed out",
        error if error.is_connect() => "cannot connect",
        _ => "the connection broke",
    };
    match io_error(error) {
        Some(kind) => MatrixError::unanswered(format!("{trouble} ({kind})")),
        None => MatrixError::unanswered(trouble),
    }
}

fn io_error(error: &reqwest::Error) -> Option<io::ErrorKind> {
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        if let Some(error) = error.downcast_ref::<io::Error>() {
            return Some(error.kind());
        }
        source = error.source();
    }
    None
}

/// A server on loopback, for the tests of this module's users.
#[cfg(test)]
pub(super) mod testing {
    use std::sync::Arc;

    use axum::Router;
    use tokio::task::JoinHandle;

    /// Serves until dropped.
    pub(crate) struct Listener {
        pub(crate) url: String,
        task: JoinHandle<()>,
    }

    pub(crate) async fn listen(app: Router) -> Listener {
        let socket = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port");
        let url = format!("http://{}", socket.local_addr().expect("an address"));
        #[expect(clippy::disallowed_methods, reason = "aborted when the test drops it")]
        let task = tokio::spawn(async move {
            axum::serve(socket, app).await.expect("served");
        });
        Listener { url, task }
    }

    impl Drop for Listener {
        fn drop(&mut self) {
            self.task.abort();
        }
    }

    pub(crate) fn tls() -> rustls::ClientConfig {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(rustls::RootCertStore::empty())
            .with_no_client_auth()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::Router;
    use axum::http::StatusCode;

    async fn ask(app: Router, limits: HttpLimits) -> Result<Response<Bytes>> {
        let listener = testing::listen(app).await;
        let http = http_client(testing::tls(), limits).expect("a client");
        let sent = http.get(&listener.url).send().await;
        whole(sent.map_err(|error| unanswered(&error))?).await
    }

    #[tokio::test]
    async fn a_server_that_says_nothing_is_given_up() {
        let limits = HttpLimits {
            request_timeout: Duration::from_millis(50),
            ..HttpLimits::default()
        };
        let silent = Router::new().fallback(std::future::pending::<StatusCode>);
        let error = ask(silent, limits).await.expect_err("silence");
        assert_eq!(
            error.to_string(),
            "no answer from the homeserver: timed out"
        );
        assert!(error.is_temporary());
    }

    #[tokio::test]
    async fn an_endless_answer_is_cut_off() {
        let app = Router::new().fallback(async || vec![b' '; MAX_ANSWER + 1]);
        let error = ask(app, HttpLimits::default()).await.expect_err("too long");
        assert!(!error.is_temporary());
    }

    #[tokio::test]
    async fn a_redirect_is_not_followed() {
        let app = Router::new()
            .fallback(async || (StatusCode::FOUND, [("location", "http://127.0.0.1:1/")], ""));
        let answer = ask(app, HttpLimits::default()).await.expect("an answer");
        assert!(refusal(&answer).is_temporary());
    }

    #[test]
    fn a_refusal_is_read_from_body_or_header() {
        let mut answer = Response::new(Bytes::from_static(b"{\"errcode\":\"M_LIMIT_EXCEEDED\"}"));
        *answer.status_mut() = StatusCode::TOO_MANY_REQUESTS;
        answer
            .headers_mut()
            .insert("retry-after", "7".parse().expect("a header"));
        let after = Some(Duration::from_secs(7));
        let expected = MatrixError::refused(429, Some("M_LIMIT_EXCEEDED"), after);
        assert_eq!(refusal(&answer), expected);
    }
}
