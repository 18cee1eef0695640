//! The SMSC simulator: ESMEs bind to it over SMPP, people and tests look at its virtual handsets over
//! HTTP.
//!
//! ```text
//!  ESME ─submit_sm─▶ peers ─▶ smsc ─▶ model ─▶ handsets ─▶ http ─▶ page, tests
//!  ESME ◀─deliver_sm─ lines ◀─ outbox ◀─ smsc ◀─ mo, receipts ◀─ http, model
//! ```
//!
//! [`model`], [`handsets`], [`behaviour`], [`submits`], [`receipts`], [`mo`] and [`outbox`] are pure:
//! they get the time and the seed. [`lines`] and [`peers`] speak SMPP, [`http`] serves.

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

use self::model::Model;
use self::peers::Peers;
use self::smsc::Smsc;

/// How long [`Sim::stop`] waits for peers to answer its unbind.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);

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
        let model = Model::new(settings.seed, settings.receipt_delay);
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
            smsc, tasks, stop, ..
        } = self.peers.clone();
        tasks.spawn(self.peers.clone().accept(listener));
        let router = http::router(Arc::clone(&smsc));
        tasks.spawn(async move { smsc.pump().await });
        let pages = axum::serve(pages, router).with_graceful_shutdown(stop.cancelled_owned());
        tasks.spawn(async move {
            if let Err(error) = pages.await {
                tracing::error!(%error, "the HTTP side has ended");
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
