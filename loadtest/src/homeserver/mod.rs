//! A stub homeserver: the part of Matrix that an application service needs, in memory and fast, with
//! people who write as told and with faults on request. For load tests, and for tests that no real
//! homeserver can play along in.
//!
//! ```text
//!  gateway ─register, join, send, …─▶ client ─▶ model ─owed─▶ push ─PUT transactions─▶ gateway
//!  test    ─faults, flood, counts───▶ control ────┘
//! ```
//!
//! It keeps the rules that bite application services: users register before they act, are invited
//! before they join, and joined before they speak; a device that is named must exist; a repeated
//! transaction id of a user is the same event; what happens in rooms, the application service's own
//! events among it, comes back in transactions of at most 100 events, one after the other, each sent
//! again until it is answered with 200. People register, make rooms, write and read over the same API.
//! It knows no access rules beyond that, no encryption and no federation; without a journal nothing
//! survives its end, with one all does, but the numbers of its transactions begin anew.
//!
//! # HTTP
//!
//! Beside the Client-Server API there is, without a token (so keep it on the loopback interface):
//!
//! | request | what it does |
//! |---|---|
//! | `POST /_stub/rooms` | `{"count": 10, "first": 447700900100}`: so many people make a room each and invite a phone; gives a list of `{"room", "user", "ghost"}` |
//! | `POST /_stub/joined` | such a list; gives in how many of them the phone has joined |
//! | `POST /_stub/say` | `{"room", "user", "body"}`: a person writes |
//! | `POST /_stub/flood` | `{"rate", "count", "ramp_ms", "text", "rooms"}`: they write in turn, at a constant rate whatever becomes of it: `TEXT #NUMBER @MILLISECONDS`, counted from 0, with the time (Unix) at which each was due; gives 202 at once. `DELETE` ends it |
//! | `PUT /_stub/faults` | a list of [`Fault`]s, which replaces the one before; `GET` shows it |
//! | `GET /_stub/counts` | `requests` by name; events `sent` by type; `transactions` `taken`, `failed`, `repeated` and their `events`; `push_us`, from an event's origin to the 200 for it; events `waiting` and `dropped`; messages `flooded`; `faults` that happened |
//! | `GET /_stub/sends?after=n&limit=m` | what the application service sent: `number`, `event` |

mod client;
mod content;
mod control;
mod direct;
mod faults;
mod flood;
mod hub;
mod journal;
mod model;
mod push;
mod settings;

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::ServiceExt as _;
use axum::serve::ListenerExt as _;
use tokio::net::TcpListener;
use tokio_util::sync::DropGuard;

pub use faults::Fault;
pub use flood::{Flood, Pair};
pub use settings::HomeserverSettings;

use self::direct::Direct;
use self::hub::Hub;

/// A running stub. Dropped, it ends.
pub struct StubHomeserver {
    /// Where it listens.
    pub address: SocketAddr,
    hub: Arc<Hub>,
    _end: DropGuard,
}

/// Why a stub did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HomeserverError {
    /// The port cannot be opened.
    #[error("cannot listen on {address}: {cause}")]
    Listen {
        /// Where it was to listen.
        address: SocketAddr,
        /// What the system said.
        cause: std::io::Error,
    },
    /// There is nothing to send transactions with.
    #[error("cannot make an HTTP client: {0}")]
    Client(#[from] reqwest::Error),
    /// The journal cannot be read or made.
    #[error("cannot open the journal: {0}")]
    Journal(std::io::Error),
}

impl StubHomeserver {
    /// Opens the port and serves until it is stopped.
    ///
    /// # Errors
    ///
    /// When the port is taken, or the journal is none.
    pub async fn start(settings: HomeserverSettings) -> Result<Self, HomeserverError> {
        let address = settings.listen;
        let failed = |cause| HomeserverError::Listen { address, cause };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let http = push::client()?;
        let hub = Arc::new(Hub::new(settings).map_err(HomeserverError::Journal)?);
        let router = client::router(Arc::clone(&hub)).merge(control::router(Arc::clone(&hub)));
        let stop = hub.stop.clone();
        let listener = listener.tap_io(|stream| {
            if let Err(error) = stream.set_nodelay(true) {
                tracing::debug!(%error, "cannot set TCP_NODELAY");
            }
        });
        let direct = Direct {
            hub: Arc::clone(&hub),
            router,
        };
        let served = axum::serve(listener, direct.into_make_service()).into_future();
        hub.tasks
            .spawn(stop.clone().run_until_cancelled_owned(async move {
                if let Err(error) = served.await {
                    tracing::error!(%error, "the HTTP side has ended");
                }
            }));
        let push = push::push(Arc::clone(&hub), http);
        hub.tasks
            .spawn(stop.clone().run_until_cancelled_owned(push));
        Ok(Self {
            address,
            hub,
            _end: stop.drop_guard(),
        })
    }

    /// Ends it, whatever is under way.
    pub async fn stop(self) {
        self.hub.stop.cancel();
        self.hub.tasks.close();
        self.hub.tasks.wait().await;
    }
}

impl fmt::Debug for StubHomeserver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StubHomeserver")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}
