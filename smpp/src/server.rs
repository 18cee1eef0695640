//! The SMSC's end: accepts the binds of ESMEs.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use matrix_smpp_codec::{Body, COctets, CommandStatus, InterfaceVersion, Npi, Password, Ton};
use rustls::ServerConfig;
use tokio::net::TcpListener;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::timeout;
use tokio_rustls::{TlsAcceptor, TlsStream};
use tokio_util::task::TaskTracker;

use crate::driver::Driver;
use crate::error::{CloseReason, SubmitError};
use crate::link::{Link, LinkEvents};
use crate::operations::{BindMode, Role};
use crate::settings::SessionSettings;
use crate::shared::Shared;
use crate::stream::{Stream, Transport};
use crate::tls::{ServerTlsSettings, TlsError};

/// How to accept sessions.
#[derive(Debug, Clone)]
pub struct ListenerSettings {
    /// Our own `system_id`, as the bind response tells it.
    pub system_id: COctets<16>,
    /// TLS, where the listener speaks it.
    pub tls: Option<ServerTlsSettings>,
    /// How the sessions behave. `session_init` is how long a peer may take to bind.
    pub session: SessionSettings,
    /// Most connections at once; further ones wait in the system's accept queue.
    pub max_connections: usize,
}

impl Default for ListenerSettings {
    fn default() -> Self {
        Self {
            system_id: COctets::default(),
            tls: None,
            session: SessionSettings::default(),
            max_connections: 1_000,
        }
    }
}

/// What a peer says of itself when it binds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BindRequest {
    /// Where it connects from.
    pub address: SocketAddr,
    /// What it wants to be bound for.
    pub mode: BindMode,
    /// Its name.
    pub system_id: COctets<16>,
    /// Its password; never printed.
    pub password: Password,
    /// What kind of system it is.
    pub system_type: COctets<13>,
    /// The version of SMPP that it speaks.
    pub interface_version: InterfaceVersion,
    /// Type of number of `address_range`.
    pub addr_ton: Ton,
    /// Numbering plan of `address_range`.
    pub addr_npi: Npi,
    /// The addresses that it wants to serve.
    pub address_range: COctets<41>,
}

/// Decides who may bind.
///
/// Any `Fn(BindRequest) -> impl Future<Output = Result<(), CommandStatus>>` is one. The session's
/// init timer goes on while it decides.
pub trait Authenticator: Send + Sync + 'static {
    /// `Err` refuses with this status, such as `ESME_RINVPASWD`; the connection is then closed.
    fn authenticate(
        &self,
        request: BindRequest,
    ) -> impl Future<Output = Result<(), CommandStatus>> + Send;
}

impl<F, Decision> Authenticator for F
where
    F: Fn(BindRequest) -> Decision + Send + Sync + 'static,
    Decision: Future<Output = Result<(), CommandStatus>> + Send,
{
    fn authenticate(
        &self,
        request: BindRequest,
    ) -> impl Future<Output = Result<(), CommandStatus>> + Send {
        self(request)
    }
}

/// Accepts connections of ESMEs.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    tls: Option<Arc<ServerConfig>>,
    settings: Arc<ListenerSettings>,
    places: Arc<Semaphore>,
}

/// Why a listener could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ListenError {
    /// The address cannot be listened on.
    #[error("cannot listen: {0}")]
    Socket(#[from] io::Error),
    /// The TLS settings cannot be used.
    #[error("cannot use the TLS settings: {0}")]
    Tls(#[from] TlsError),
}

impl Listener {
    /// Listens on `address` (`host:port`; port 0 for any free one).
    pub async fn bind(address: &str, settings: ListenerSettings) -> Result<Self, ListenError> {
        let tls = settings
            .tls
            .as_ref()
            .map(ServerTlsSettings::config)
            .transpose()?;
        let socket = TcpListener::bind(address).await?;
        let places = Arc::new(Semaphore::new(settings.max_connections));
        Ok(Self {
            socket,
            tls,
            settings: Arc::new(settings),
            places,
        })
    }

    /// The address that is listened on.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// The next connection; waits while there are as many as allowed. Can be dropped at any time.
    pub async fn accept(&self) -> io::Result<Incoming> {
        let place = Arc::clone(&self.places)
            .acquire_owned()
            .await
            .map_err(io::Error::other)?;
        let (stream, address) = self.socket.accept().await?;
        if let Err(error) = stream.set_nodelay(true) {
            // It is gone already: its first read will tell.
            tracing::debug!(%address, %error, "cannot set TCP_NODELAY");
        }
        Ok(Incoming {
            stream: Stream::Plain(stream),
            address,
            tls: self.tls.clone(),
            settings: Arc::clone(&self.settings),
            place: Some(place),
        })
    }

    /// Accepts until dropped (or until nobody receives `peers` any more). The sessions run as tasks
    /// of `tracker`; each one that is bound is sent to `peers`.
    pub async fn serve(
        self,
        authenticator: impl Authenticator,
        peers: mpsc::Sender<Peer>,
        tracker: TaskTracker,
    ) {
        let authenticator = Arc::new(authenticator);
        while !peers.is_closed() {
            let incoming = match self.accept().await {
                Ok(incoming) => incoming,
                Err(error) => {
                    // Out of file descriptors, most often: it passes when connections end.
                    tracing::warn!(%error, "cannot accept");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            };
            tracker.spawn(run(incoming, Arc::clone(&authenticator), peers.clone()));
        }
    }
}

async fn run(
    incoming: Incoming,
    authenticator: Arc<impl Authenticator>,
    peers: mpsc::Sender<Peer>,
) {
    let address = incoming.address;
    match incoming.establish(&*authenticator).await {
        Ok((peer, running)) => {
            // Nobody left to take it: the peer's events are dropped, and that closes the session.
            let (_, _reason) = tokio::join!(peers.send(peer), running);
        }
        Err(reason) => tracing::debug!(%address, %reason, "not bound"),
    }
}

/// A connection that is not bound yet.
#[derive(Debug)]
pub struct Incoming {
    stream: Stream,
    address: SocketAddr,
    tls: Option<Arc<ServerConfig>>,
    settings: Arc<ListenerSettings>,
    place: Option<OwnedSemaphorePermit>,
}

impl Incoming {
    /// A connection that the caller accepted, or made to send outbind over it, and secured itself:
    /// of the settings, `tls` and `max_connections` mean nothing here.
    #[must_use]
    pub fn over(
        stream: Box<dyn Transport>,
        address: SocketAddr,
        settings: Arc<ListenerSettings>,
    ) -> Self {
        Self {
            stream: Stream::Own(stream),
            address,
            tls: None,
            settings,
            place: None,
        }
    }

    /// Where it comes from.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits for the bind and has it judged. Gives the session and the future that drives it.
    pub async fn establish(
        self,
        authenticator: &impl Authenticator,
    ) -> Result<(Peer, Running), CloseReason> {
        let Self {
            stream,
            address,
            tls,
            settings,
            place,
        } = self;
        let stream = secure(stream, tls, settings.session.session_init).await?;
        let shared = Shared::new(address.to_string(), settings.session);
        shared.begin(Role::Smsc, |_, _| {});
        let mut running = Running {
            driver: Driver::new(Arc::clone(&shared), stream),
            shared: Ending(Arc::clone(&shared)),
            _place: place,
        };
        let events = LinkEvents {
            shared: Arc::clone(&shared),
        };
        let request = bind_asked(&mut running, &shared, address).await?;
        let (system_id, mode) = (request.system_id, request.mode);
        let verdict = tokio::select! {
            biased;
            reason = &mut running => return Err(reason),
            verdict = authenticator.authenticate(request) => verdict,
        };
        let status = verdict.err().unwrap_or(CommandStatus::ESME_ROK);
        let ours = if verdict.is_ok() {
            settings.system_id
        } else {
            COctets::default()
        };
        shared.command(|session, now| session.answer_bind(now, status, ours));
        if verdict.is_err() {
            return Err(running.await);
        }
        let link = Link { shared };
        Ok((
            Peer {
                system_id,
                mode,
                address,
                link,
                events,
            },
            running,
        ))
    }
}

async fn secure(
    stream: Stream,
    tls: Option<Arc<ServerConfig>>,
    limit: Duration,
) -> Result<Stream, CloseReason> {
    let (stream, config) = match (stream, tls) {
        (Stream::Plain(stream), Some(config)) => (stream, config),
        (stream, _) => return Ok(stream),
    };
    match timeout(limit, TlsAcceptor::from(config).accept(stream)).await {
        Ok(Ok(stream)) => Ok(Stream::Tls(Box::new(TlsStream::Server(stream)))),
        Ok(Err(_refused)) => Err(CloseReason::TlsHandshake),
        Err(_elapsed) => Err(CloseReason::NotBoundInTime),
    }
}

/// Drives the session until the peer wants to bind.
async fn bind_asked(
    running: &mut Running,
    shared: &Shared,
    address: SocketAddr,
) -> Result<BindRequest, CloseReason> {
    let (mode, bind) = std::future::poll_fn(|cx| {
        let ended = Pin::new(&mut *running).poll(cx);
        match (shared.lock().bind_asked.take(), ended) {
            (Some(asked), _) => Poll::Ready(Ok(asked)),
            (None, Poll::Ready(reason)) => Poll::Ready(Err(reason)),
            (None, Poll::Pending) => Poll::Pending,
        }
    })
    .await?;
    Ok(BindRequest {
        address,
        mode,
        system_id: bind.system_id,
        password: bind.password,
        system_type: bind.system_type,
        interface_version: bind.interface_version,
        addr_ton: bind.addr_ton,
        addr_npi: bind.addr_npi,
        address_range: bind.address_range,
    })
}

/// Drives an accepted session; ends when it does. Dropped before, it hands back every request
/// without an answer and ends the events.
#[derive(Debug)]
#[must_use = "the session lives only while this is polled"]
pub struct Running {
    driver: Driver,
    shared: Ending,
    _place: Option<OwnedSemaphorePermit>,
}

#[derive(Debug)]
struct Ending(Arc<Shared>);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.finish();
    }
}

impl Future for Running {
    type Output = CloseReason;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<CloseReason> {
        Pin::new(&mut self.driver).poll(cx).map(|(reason, _held)| {
            self.shared.0.report_down(reason, None);
            self.shared.0.finish();
            reason
        })
    }
}

/// One bound session of an ESME. Dropping the peer closes the session.
#[derive(Debug)]
pub struct Peer {
    /// The ESME's name.
    pub system_id: COctets<16>,
    /// What it is bound for.
    pub mode: BindMode,
    /// Where it connects from.
    pub address: SocketAddr,
    /// Sends to it; the methods of this type are short for those of the link.
    pub link: Link,
    /// What happens: `Up` first, `Down` last.
    pub events: LinkEvents,
}

impl Peer {
    /// See [`Link::capacity`].
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.link.capacity()
    }

    /// See [`Link::ready`].
    pub async fn ready(&self) {
        self.link.ready().await;
    }

    /// See [`Link::submit`].
    pub fn submit(&self, ticket: crate::Ticket, body: Body) -> Result<(), SubmitError> {
        self.link.submit(ticket, body)
    }

    /// See [`Link::respond`].
    pub fn respond(&self, sequence: u32, session_epoch: u64, status: CommandStatus, body: Body) {
        self.link.respond(sequence, session_epoch, status, body);
    }

    /// See [`Link::close`].
    pub fn close(&self) {
        self.link.close();
    }
}
