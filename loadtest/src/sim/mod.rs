//! The SMSC simulator: ESMEs bind to it over SMPP, people and tests look at its virtual handsets over
//! HTTP.
//!
//! ```text
//!  ESME ─submit_sm─▶ peers ─▶ smsc ─▶ model ─▶ handsets ─▶ http ─▶ page, tests
//!  ESME ◀─deliver_sm─ lines ◀─ outbox ◀─ smsc ◀─ mo, receipts ◀─ http, model
//! ```
//!
//! Every number that a message was sent to, or that wrote one through the API, is a handset. What the
//! simulator knows is in memory and bounded; nothing survives its end.
//!
//! # HTTP
//!
//! Answers are JSON; one that is no success is `{"error": "…"}`. Times are milliseconds since 1970
//! (UTC). A number may be written with or without its plus.
//!
//! | request | what it does |
//! |---|---|
//! | `GET /` | the page of phones |
//! | `GET /handsets?latest=n` | the phones, latest traffic first: `number`, `messages`, `last_at`, `version` |
//! | `GET /handsets/{number}/messages` | what a phone keeps, oldest first: `id`, `from`, `to`, `text`, `segments`, `total`, `duplicates`, `direction` (`mt`, `mo`), `at`, `complete`, `status`. With `?count=n&wait_ms=t` it waits up to t ms (60,000 at most) until there are n complete messages; `?last=n` gives the last n |
//! | `POST /handsets/{number}/send` | a phone writes: `{"to", "text", "order": "natural" \| "reversed" \| "shuffled", "account", "redeliver": true, "source_ton": 2}`, all but the first two optional. Waits for the answers and gives `{"statuses": ["ESME_ROK", …]}` in the order of the segments, `unanswered` where none came within a minute; with `redeliver` it goes out again until it is answered for good; 503 where nobody is bound to receive |
//! | `GET /submits?after=n&limit=m` | each `submit_sm` as it was received, in order of `arrival`, with its answer and what became of its receipt |
//! | `GET /counters` | PDUs `in` and `out` by command name; `deliver_sm` that are `waiting` or were `dropped` for want of room |
//! | `GET /binds` | the binds that are up |
//! | `POST /binds/drop` | cuts every bind without a word |
//! | `GET /behaviour` | how it answers at present |
//! | `POST /behaviour` | changes that, see below |
//!
//! A change of behaviour names what is to change, and is refused as a whole when anything in it is
//! wrong:
//!
//! - `{"submit_status": "ESME_RTHROTTLED", "next": 3}`: the status of the next 3 `submit_sm_resp`, or
//!   without `next` of all; numbers as `"0x400"` are statuses too;
//! - `{"submit_status_for": {"447700900999": "ESME_RINVDSTADR"}}`: the status for a destination, which
//!   wins over the above; `ESME_ROK` takes it back;
//! - `{"silent": true}`: each `submit_sm` is noted and swallowed;
//! - `{"receipts": "delivered" | "undeliverable" | "expired" | "none"}`: what becomes of accepted
//!   messages;
//! - `{"receipt_delay_ms": 500}` and `{"response_delay_ms": 0}`, both counted from the `submit_sm`: a
//!   receipt may so come before the answer;
//! - `{"lose_answers": 1}`: the next answer to a `deliver_sm` is lost, and every bind with it;
//! - `{"reset": true}`: as after a fresh start, before the rest of the change.
//!
//! Receipts go to any bind of the account that can receive, wait until there is one, and come again
//! after a temporary refusal or a lost link. What a phone wrote is sent once.
//!
//! # The code
//!
//! `model`, `handsets`, `behaviour`, `submits`, `receipts`, `mo` and `outbox` are pure: they get the
//! time and the seed. `lines` and `peers` speak SMPP, `http` serves.

mod behaviour;
mod clock;
mod counts;
mod handsets;
mod http;
mod ids;
mod lines;
mod mo;
mod model;
mod outbox;
mod peers;
mod receipts;
mod settings;
mod smsc;
mod status;
mod submits;

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use matrix_smpp_session::Listener;
use tokio::net::TcpListener;
use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

pub use matrix_smpp_session::{ListenError, TlsError};

pub use settings::{Account, AccountError, Certificate, SimSettings};

use self::clock::Now;
use self::model::Model;
use self::peers::Peers;
use self::smsc::Smsc;

/// How long [`Sim::stop`] waits for peers to answer its unbind.
const STOP_TIMEOUT: Duration = Duration::from_secs(3);

/// A running simulator. Dropped, it cuts its links; [`Sim::stop`] unbinds them first.
pub struct Sim {
    /// Where ESMEs bind.
    pub smpp_addr: SocketAddr,
    /// Where the page and the API are.
    pub http_addr: SocketAddr,
    peers: Peers,
    /// Ends everything, without a word to the peers.
    cut: DropGuard,
}

/// Why a simulator did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The SMPP port could not be opened, or the certificate could not be read.
    #[error("cannot listen for SMPP on {address}: {cause}")]
    Smpp {
        /// Where it was to listen.
        address: SocketAddr,
        /// What is wrong.
        cause: ListenError,
    },
    /// The HTTP port could not be opened.
    #[error("cannot listen for HTTP on {address}: {cause}")]
    Http {
        /// Where it was to listen.
        address: SocketAddr,
        /// What the system said.
        cause: std::io::Error,
    },
}

impl Sim {
    /// Opens both ports and serves them until [`Sim::stop`].
    pub async fn start(settings: SimSettings) -> Result<Self, StartError> {
        let (smpp, http) = (settings.smpp, settings.http);
        let listener = peers::listen(&settings).await;
        let listener = listener.map_err(|cause| StartError::Smpp {
            address: smpp,
            cause,
        })?;
        let pages = TcpListener::bind(http).await;
        let pages = pages.map_err(|cause| StartError::Http {
            address: http,
            cause,
        })?;
        let http_addr = pages.local_addr();
        let http_addr = http_addr.map_err(|cause| StartError::Http {
            address: http,
            cause,
        })?;
        let smpp_addr = listener.local_addr();
        let smpp_addr = smpp_addr.map_err(|cause| StartError::Smpp {
            address: smpp,
            cause: cause.into(),
        })?;
        let cut = CancellationToken::new();
        let stop = cut.child_token();
        let seed = settings.seed.unwrap_or_else(Now::fresh_seed);
        tracing::info!(seed, "starting");
        let model = Model::new(seed, settings.receipt_delay);
        let peers = Peers {
            smsc: Arc::new(Smsc::new(model, stop.clone())),
            accounts: settings.accounts.into(),
            tasks: TaskTracker::new(),
            stop,
            cut,
        };
        let sim = Self {
            smpp_addr,
            http_addr,
            cut: peers.cut.clone().drop_guard(),
            peers,
        };
        sim.serve(listener, pages);
        Ok(sim)
    }

    fn serve(&self, listener: Listener, pages: TcpListener) {
        let Peers {
            smsc,
            tasks,
            stop,
            cut,
            ..
        } = self.peers.clone();
        tasks.spawn(self.peers.clone().accept(listener));
        let router = http::router(Arc::clone(&smsc));
        tasks.spawn(async move { smsc.pump().await });
        let pages = axum::serve(pages, router).with_graceful_shutdown(stop.cancelled_owned());
        tasks.spawn(async move {
            tokio::select! {
                ended = pages => tracing::debug!(?ended, "the HTTP side has ended"),
                () = cut.cancelled() => {}
            }
        });
    }

    /// Takes no more binds, unbinds those that are up, and ends. A peer that does not answer in
    /// time is cut off.
    pub async fn stop(self) {
        let Self { peers, cut, .. } = self;
        peers.stop.cancel();
        peers.smsc.unbind();
        peers.tasks.close();
        if timeout(STOP_TIMEOUT, peers.tasks.wait()).await.is_err() {
            drop(cut);
            peers.tasks.wait().await;
        }
    }
}

impl fmt::Debug for Sim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sim")
            .field("smpp_addr", &self.smpp_addr)
            .field("http_addr", &self.http_addr)
            .finish_non_exhaustive()
    }
}
