//! JSON over HTTP.

use std::sync::Once;
use std::time::Duration;

use reqwest::{Client, Method, StatusCode, Url};
use serde_json::Value;

/// Longer than any long poll that the tests ask for.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(90);

/// One peer's HTTP API.
#[derive(Debug, Clone)]
pub(crate) struct Api {
    client: Client,
    base: Url,
    token: Option<String>,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    /// The HTTP status.
    pub(crate) status: StatusCode,
    /// The body; `null` where it is empty or no JSON.
    pub(crate) body: Value,
}

impl Api {
    /// The API at an address such as `http://127.0.0.1:8008`.
    pub(crate) fn at(base: &str) -> Self {
        static TLS: Once = Once::new();
        TLS.call_once(|| {
            rustls::crypto::ring::default_provider()
                .install_default()
                .ok();
        });
        let client = Client::builder()
            .no_proxy()
            .timeout(REQUEST_TIMEOUT)
            .build();
        Self {
            client: client.expect("an HTTP client without options that can fail"),
            base: base.parse().expect("the base address of a peer"),
            token: None,
        }
    }

    /// The same API for whoever has this access token.
    pub(crate) fn with_token(&self, token: &str) -> Self {
        Self {
            token: Some(token.to_owned()),
            ..self.clone()
        }
    }

    /// `GET`; `None` while nobody listens or the answer is no success.
    pub(crate) async fn probe(&self, path: &str) -> Option<String> {
        let answer = self.client.get(self.url(&[path], &[])).send().await.ok()?;
        answer.error_for_status().ok()?.text().await.ok()
    }

    /// `GET` with path segments and a query, both unescaped. Fails unless it succeeds.
    pub(crate) async fn get(&self, path: &[&str], query: &[(&str, &str)]) -> Value {
        self.call(Method::GET, path, query, None)
            .await
            .expect_ok(path)
    }

    /// Sends a JSON body. Fails unless it succeeds.
    pub(crate) async fn send(&self, method: Method, path: &[&str], body: &Value) -> Value {
        self.call(method, path, &[], Some(body))
            .await
            .expect_ok(path)
    }

    /// Any request, with whatever answer.
    pub(crate) async fn call(
        &self,
        method: Method,
        path: &[&str],
        query: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Answer {
        self.attempt(method, path, query, body)
            .await
            .unwrap_or_else(|error| panic!("{path:?}: {error}"))
    }

    /// Any request, to a peer that may not be there.
    pub(crate) async fn attempt(
        &self,
        method: Method,
        path: &[&str],
        query: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Result<Answer, reqwest::Error> {
        let mut request = self.client.request(method, self.url(path, query));
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let answer = request.send().await?;
        let status = answer.status();
        let text = answer.text().await.unwrap_or_default();
        Ok(Answer {
            status,
            body: serde_json::from_str(&text).unwrap_or_default(),
        })
    }

    /// The first of `path` may hold slashes; every later one is escaped into one segment.
    fn url(&self, path: &[&str], query: &[(&str, &str)]) -> Url {
        let (first, rest) = path.split_first().expect("a path");
        let mut url = self
            .base
            .join(first)
            .expect("a path that joins to the base address");
        url.path_segments_mut()
            .expect("an http address")
            .extend(rest);
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        url
    }
}

impl Answer {
    fn expect_ok(self, path: &[&str]) -> Value {
        assert!(
            self.status.is_success(),
            "{path:?} answered {} {}",
            self.status,
            self.body
        );
        self.body
    }
}
