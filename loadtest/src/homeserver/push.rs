//! Tells the application service what happens: one transaction after the other, each until it is
//! taken, as homeservers do.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use reqwest::Client;
use serde::Serialize;
use tokio::task::yield_now;
use tokio::time::sleep;

use crate::homeserver::hub::Hub;
use crate::homeserver::model::{Event, Owed};
use crate::load::{clock, tally};

/// The longest wait for the answer to a transaction.
const TIMEOUT: Duration = Duration::from_mins(1);

/// The pause between two attempts doubles until it is so many times the first.
const MOST_RETRY: u32 = 60;

/// The client that transactions go out with.
pub(crate) fn client() -> Result<Client, reqwest::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map(|builder| {
            let nobody = rustls::RootCertStore::empty();
            builder.with_root_certificates(nobody).with_no_client_auth()
        });
    let mut builder = Client::builder()
        .timeout(TIMEOUT)
        .tcp_nodelay(true)
        .no_proxy();
    if let Ok(tls) = tls {
        builder = builder.tls_backend_preconfigured(tls);
    }
    builder.build()
}

/// Sends what is owed until the stub stops.
pub(crate) async fn push(hub: Arc<Hub>, http: Client) {
    let mut number = hub.settings.first_transaction;
    let mut ready = None;
    loop {
        let Some(batch) = ready.take().or_else(|| Batch::of(&hub, 0)) else {
            hub.owed.notified().await;
            continue;
        };
        // The next one is written while this one is under way, if it is as large as any.
        let next = async {
            // Whoever writes to the wire goes before.
            yield_now().await;
            Batch::of(&hub, batch.owed.len()).filter(|next| next.is_full(&hub))
        };
        ((), ready) = tokio::join!(until_taken(&hub, &http, number, &batch), next);
        hub.model(|model, _| model.told(batch.owed.len()));
        number += 1;
    }
}

/// The events of one transaction.
struct Batch {
    owed: Vec<Owed>,
    body: Bytes,
}

impl Batch {
    /// What is owed behind the first `skip` events; `None` where nothing is.
    fn of(hub: &Hub, skip: usize) -> Option<Self> {
        let owed = hub.model(|model, _| model.owed(skip, hub.settings.batch));
        let body = transaction(&owed)?;
        (!owed.is_empty()).then_some(Self { owed, body })
    }

    fn is_full(&self, hub: &Hub) -> bool {
        self.owed.len() >= hub.settings.batch
    }
}

async fn until_taken(hub: &Hub, http: &Client, number: u64, batch: &Batch) {
    let Batch { owed, body } = batch;
    let mut pause = hub.settings.retry;
    let repeat = loop {
        let fault = hub.fault("transactions");
        if let Some(fault) = &fault {
            sleep(fault.delay()).await;
            if fault.lose {
                return;
            }
        }
        if put(hub, http, number, body).await {
            break fault.is_some_and(|fault| fault.repeat);
        }
        hub.counts().transactions.failed += 1;
        sleep(pause).await;
        pause = (pause * 2).min(hub.settings.retry * MOST_RETRY);
    };
    let now = clock::now();
    {
        let mut counts = hub.counts();
        counts.transactions.taken += 1;
        counts.transactions.events += u64::try_from(owed.len()).unwrap_or(u64::MAX);
        for one in owed {
            tally::note(&mut counts.push, now.saturating_duration_since(one.since));
        }
    }
    if repeat && put(hub, http, number, body).await {
        hub.counts().transactions.repeated += 1;
    }
}

#[derive(Serialize)]
struct Transaction<'a> {
    events: Vec<&'a Event>,
}

/// The body of a transaction. There is always one: text and numbers can be written as JSON.
fn transaction(owed: &[Owed]) -> Option<Bytes> {
    let events = owed.iter().map(|one| &*one.event).collect();
    let written = serde_json::to_vec(&Transaction { events });
    written.map(Bytes::from).ok()
}

/// Sends one transaction; whether it was taken.
async fn put(hub: &Hub, http: &Client, number: u64, body: &Bytes) -> bool {
    let base = hub.settings.appservice.trim_end_matches('/');
    let answer = http
        .put(format!("{base}/_matrix/app/v1/transactions/{number}"))
        .bearer_auth(&hub.settings.hs_token)
        .header("content-type", "application/json")
        .body(body.clone())
        .send()
        .await;
    match answer {
        Ok(answer) if answer.status().is_success() => true,
        Ok(answer) => {
            tracing::info!(number, status = answer.status().as_u16(), "not taken");
            false
        }
        Err(error) => {
            tracing::info!(number, error = %error.without_url(), "not answered");
            false
        }
    }
}
