//! The SMSC simulator: ESMEs bind to it over SMPP, people and tests look at its virtual handsets over
//! HTTP.
//!
//! ```text
//!  ESME ─submit_sm─▶ wire ─▶ peers ─▶ desk ─▶ model: rules ─▶ records, handsets ─▶ http ─▶ page, tests
//!  ESME ◀─deliver_sm─ wire ◀─ pump ◀─ lines: outbox ◀─ smsc ◀─ agenda, mo ◀─ life, http
//! ```
//!
//! Every number that a message was sent to, or that wrote one through the API, is a handset. What the
//! simulator knows is in memory and bounded; nothing survives its end.
//!
//! `docs/simulator.md` says what it can be asked for: by flags, by a scenario file and over HTTP.
//!
//! # The code
//!
//! `scenario`, `script`, `rules`, `model`, `course`, `life`, `operations`, `records`, `agenda`, `handsets`,
//! `receipts`, `mo` and `outbox` are pure: they get the time and the seed. `lines`, `pump`, `desk` and
//! `peers` speak SMPP, `wire` stands between them and the socket, `http` serves.
//!
//! The model has one lock, taken once for a batch of requests; what takes long and needs nothing of the
//! model is done without it: copying what came, putting receipts in words, freeing what is forgotten.

mod accounts;
mod agenda;
mod behaviour;
#[cfg(test)]
mod bench;
mod clock;
mod conventions;
mod counts;
mod course;
mod desk;
mod dice;
mod door;
mod expect;
mod fate;
mod handsets;
mod http;
mod ids;
mod inject;
mod life;
mod lines;
mod lists;
mod loopback;
mod metrics;
mod mo;
mod model;
mod multi;
mod operations;
mod outbox;
mod outgoing;
mod peers;
mod pump;
mod receipts;
mod records;
mod requests;
mod rules;
mod scenario;
mod script;
mod settings;
mod smsc;
mod span;
mod status;
mod turn;
mod wire;
mod writers;
mod written;

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, DropGuard};

pub use matrix_smpp_session::{ListenError, TlsError};

pub use conventions::Conventions;
pub use scenario::{Scenario, ScenarioError};
pub use settings::{Account, AccountError, Certificate, Limits, Mode, SimSettings};
pub use span::{Span, SpanError};

use self::accounts::Accounts;
use self::behaviour::Behaviour;
use self::clock::Now;
use self::model::Model;
use self::peers::{Peers, Port};
use self::script::Script;
use self::smsc::Smsc;
use self::wire::capture::Capture;
use self::wire::faults::Faults;

/// How long [`Sim::stop`] waits for peers to answer its unbind.
const STOP_TIMEOUT: Duration = Duration::from_secs(3);

/// A running simulator. Dropped, it cuts its links; [`Sim::stop`] unbinds them first.
pub struct Sim {
    /// Where ESMEs bind.
    pub smpp_addr: SocketAddr,
    /// Where they bind over TLS, where that is another port.
    pub tls_addr: Option<SocketAddr>,
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
    #[error("cannot listen for SMPP on {address}: {cause} (--smpp chooses another address)")]
    Smpp {
        /// Where it was to listen.
        address: SocketAddr,
        /// What is wrong.
        cause: ListenError,
    },
    /// The TLS port could not be opened, or the certificate could not be read.
    #[error("cannot listen for SMPP over TLS on {address}: {cause}")]
    Tls {
        /// Where it was to listen.
        address: SocketAddr,
        /// What is wrong.
        cause: ListenError,
    },
    /// Two accounts have the same name.
    #[error("account {place}: {reason}")]
    Account {
        /// The how manieth, those of the settings first.
        place: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// The HTTP port could not be opened.
    #[error("cannot listen for HTTP on {address}: {cause} (--http chooses another address)")]
    Http {
        /// Where it was to listen.
        address: SocketAddr,
        /// What the system said.
        cause: std::io::Error,
    },
}

impl Sim {
    /// Opens its ports and serves them until [`Sim::stop`].
    pub async fn start(settings: SimSettings) -> Result<Self, StartError> {
        check_accounts(&settings)?;
        let both = settings.smpp_tls.is_some();
        let tls = settings.tls.as_ref();
        let first = open(settings.smpp, tls.filter(|_| !both)).await?;
        let second = match settings.smpp_tls {
            Some(address) => Some(open(address, tls).await?),
            None => None,
        };
        let refused = |cause| StartError::Http {
            address: settings.http,
            cause,
        };
        let pages = TcpListener::bind(settings.http).await.map_err(refused)?;
        let cut = CancellationToken::new();
        let smsc = Arc::new(centre(&settings, cut.child_token()));
        let peers = Peers::new(smsc, cut.child_token(), cut.clone());
        let sim = Self {
            smpp_addr: first.1,
            tls_addr: second.as_ref().map(|(_, address)| *address),
            http_addr: pages.local_addr().map_err(refused)?,
            cut: cut.drop_guard(),
            peers,
        };
        let ports = std::iter::once(first).chain(second);
        sim.serve(ports.map(|(port, _)| port), pages);
        Ok(sim)
    }

    fn serve(&self, ports: impl Iterator<Item = Port>, pages: TcpListener) {
        let Peers {
            smsc,
            tasks,
            stop,
            cut,
            ..
        } = self.peers.clone();
        for port in ports {
            tasks.spawn(self.peers.clone().accept(port));
        }
        let router = http::router(self.peers.clone());
        tasks.spawn(writers::run(Arc::clone(&smsc), stop.clone()));
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
        peers.smsc.halt();
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

async fn open(
    address: SocketAddr,
    tls: Option<&Certificate>,
) -> Result<(Port, SocketAddr), StartError> {
    let refused = |cause| match tls {
        Some(_) => StartError::Tls { address, cause },
        None => StartError::Smpp { address, cause },
    };
    let port = Port::open(address, tls).await.map_err(refused)?;
    let bound = port.address().map_err(|cause| refused(cause.into()))?;
    Ok((port, bound))
}

/// Whether each account of the settings and of the scenario has a name of its own.
fn check_accounts(settings: &SimSettings) -> Result<(), StartError> {
    let all = || settings.accounts.iter().chain(&settings.scenario.account);
    for (before, account) in all().enumerate() {
        let place = before + 1;
        let checked = account.is_new(all().take(before));
        checked.map_err(|reason| StartError::Account { place, reason })?;
    }
    Ok(())
}

/// The message centre with its scenario in force.
fn centre(settings: &SimSettings, stop: CancellationToken) -> Smsc {
    let mut scenario = settings.scenario.clone();
    if settings.conventions != Conventions::None {
        scenario.conventions = settings.conventions;
    }
    let seed = settings.seed.or(scenario.seed);
    let seed = seed.unwrap_or_else(Now::fresh_seed);
    tracing::info!(seed, "starting");
    let keep = scenario.keep.unwrap_or(settings.keep);
    let fresh = Behaviour::new(settings.receipt_delay);
    let script = Script::new(scenario.clone());
    let mut model = Model::new(Now::read(), seed, keep, script, fresh);
    let named = [&settings.accounts[..], &scenario.account].concat();
    model.accounts = Accounts::new(named);
    let faults = Arc::new(Faults::new(seed));
    let capture = Arc::new(Capture::new(settings.capture));
    let smsc = Smsc::new(model, faults, capture, stop);
    if let Err(reason) = smsc.follow(&scenario) {
        tracing::error!(reason, "the scenario is not in force as a whole");
    }
    smsc
}
