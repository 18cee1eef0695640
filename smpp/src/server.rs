//! The SMSC's end: accepts the binds of ESMEs.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use matrix_smpp_codec::{Body, COctets, CommandStatus, InterfaceVersion, Npi, Password, Ton};
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_rustls::{TlsAcceptor, TlsStream};
use tokio_util::task::TaskTracker;

use crate::accounts::{Admission, Seat};
use crate::driver::Driver;
use crate::error::{CloseReason, SubmitError};
use crate::link::{Link, LinkEvents};
use crate::operations::{BindMode, Role};
use crate::places::{Place, Places};
use crate::reply::Reply;
use crate::settings::SessionSettings;
use crate::shared::Shared;
use crate::stream::Stream;
use crate::tls::{self, ServerTls, ServerTlsSettings, TlsError};

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
    /// Most connections at once from one address (of IPv6: from one network of 64 bits); further
    /// ones are closed at once. `None` for no limit of their own.
    pub max_per_address: Option<usize>,
}

impl Default for ListenerSettings {
    fn default() -> Self {
        Self {
            system_id: COctets::default(),
            tls: None,
            session: SessionSettings::default(),
            max_connections: 1_000,
            max_per_address: None,
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
    /// The names in its TLS certificate, which the listener's `client_ca` has signed; none where it
    /// showed none.
    pub certificate_names: Vec<String>,
}

/// Decides who may bind.
///
/// [`Accounts`](crate::Accounts) is one that knows accounts; any
/// `Fn(BindRequest) -> impl Future<Output = Result<(), CommandStatus>>` (or with an [`Admission`]) is
/// one too. The session's init timer goes on while it decides.
pub trait Authenticator: Send + Sync + 'static {
    /// `Err` refuses with this status, such as `ESME_RINVPASWD`; the connection is then closed.
    fn authenticate(
        &self,
        request: BindRequest,
    ) -> impl Future<Output = Result<Admission, CommandStatus>> + Send;
}

impl<F, Decision, Granted> Authenticator for F
where
    F: Fn(BindRequest) -> Decision + Send + Sync + 'static,
    Decision: Future<Output = Result<Granted, CommandStatus>> + Send,
    Granted: Into<Admission>,
{
    async fn authenticate(&self, request: BindRequest) -> Result<Admission, CommandStatus> {
        self(request).await.map(Into::into)
    }
}

/// Accepts connections of ESMEs.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    tls: Option<ServerTls>,
    settings: Arc<ListenerSettings>,
    places: Places,
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
        let tls = settings.tls.clone().map(ServerTls::new).transpose()?;
        let socket = TcpListener::bind(address).await?;
        let places = Places::new(settings.max_connections, settings.max_per_address);
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

    /// The listener's TLS, to be told when the files have changed; `None` where it speaks none.
    #[must_use]
    pub fn tls(&self) -> Option<ServerTls> {
        self.tls.clone()
    }

    /// The next connection; waits while there are as many as allowed. Can be dropped at any time.
    pub async fn accept(&self) -> io::Result<Incoming> {
        let (stream, address, place) = loop {
            let place = self.places.one().await?;
            let (stream, address) = self.socket.accept().await?;
            if let Some(place) = self.places.give(place, address.ip()) {
                break (stream, address, place);
            }
            tracing::debug!(%address, "too many connections from there");
        };
        if let Err(error) = stream.set_nodelay(true) {
            // It is gone already: its first read will tell.
            tracing::debug!(%address, %error, "cannot set TCP_NODELAY");
        }
        Ok(Incoming {
            stream,
            address,
            tls: self.tls.as_ref().map(ServerTls::config),
            settings: Arc::clone(&self.settings),
            place,
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
    stream: TcpStream,
    address: SocketAddr,
    tls: Option<Arc<ServerConfig>>,
    settings: Arc<ListenerSettings>,
    place: Place,
}

impl Incoming {
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
        let (stream, names) = secure(stream, tls, settings.session.session_init).await?;
        let shared = Shared::new(address.to_string(), settings.session);
        shared.begin(Role::Smsc, |_, _| {});
        let mut running = Running {
            driver: Driver::new(Arc::clone(&shared), stream),
            shared: Ending(Arc::clone(&shared)),
            seat: None,
            _place: place,
        };
        let events = LinkEvents {
            shared: Arc::clone(&shared),
        };
        let mut request = bind_asked(&mut running, &shared, address).await?;
        request.certificate_names = names;
        let (system_id, mode) = (request.system_id, request.mode);
        let verdict = tokio::select! {
            biased;
            reason = &mut running => return Err(reason),
            verdict = authenticator.authenticate(request) => verdict,
        };
        let admission = match verdict {
            Ok(admission) => admission,
            Err(status) => {
                let nobody = COctets::default();
                shared.command(|session, now| session.answer_bind(now, status, nobody));
                return Err(running.await);
            }
        };
        let link = Link {
            shared: Arc::clone(&shared),
        };
        running.seat = admission.enter(&link);
        let (ours, ok) = (settings.system_id, CommandStatus::ESME_ROK);
        shared.command(|session, now| session.answer_bind(now, ok, ours));
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
    stream: TcpStream,
    tls: Option<Arc<ServerConfig>>,
    limit: Duration,
) -> Result<(Stream, Vec<String>), CloseReason> {
    let Some(config) = tls else {
        return Ok((Stream::Plain(stream), Vec::new()));
    };
    match timeout(limit, TlsAcceptor::from(config).accept(stream)).await {
        Ok(Ok(stream)) => {
            let names = tls::client_names(stream.get_ref().1);
            Ok((Stream::Tls(Box::new(TlsStream::Server(stream))), names))
        }
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
        certificate_names: Vec::new(),
    })
}

/// Drives an accepted session; ends when it does. Dropped before, it hands back every request
/// without an answer and ends the events.
#[derive(Debug)]
#[must_use = "the session lives only while this is polled"]
pub struct Running {
    driver: Driver,
    shared: Ending,
    seat: Option<Seat>,
    _place: Place,
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
            self.seat = None;
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

    /// A handle for the answer to a request, to be given from anywhere and at any time.
    pub fn reply(&self, sequence: u32, session_epoch: u64) -> Reply {
        self.link.reply(sequence, session_epoch)
    }

    /// See [`Link::close`].
    pub fn close(&self) {
        self.link.close();
    }
}
