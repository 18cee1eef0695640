//! The SMSC's end: accepts the binds of ESMEs.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use matrix_smpp_codec::{
    Body, COctets, CommandStatus, InterfaceVersion, Npi, Password, Quirks, Ton,
};
use rustls::ServerConfig;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_rustls::{TlsAcceptor, TlsStream};
use tokio_util::task::TaskTracker;

use crate::accounts::Admission;
use crate::error::{CloseReason, SubmitError};
use crate::establish::{Arrival, Running};
use crate::link::{Link, LinkEvents};
use crate::operations::{BindMode, Role};
use crate::places::{Place, Places};
use crate::reply::Reply;
use crate::settings::SessionSettings;
use crate::stream::{Stream, Transport};
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

    /// What the peers do against the standard: by this a bind is read that makes no sense otherwise.
    /// `None` for what the listener's settings say.
    fn quirks(&self) -> Option<Quirks> {
        None
    }
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
            stream: Stream::Plain(stream),
            address,
            tls: self.tls.as_ref().map(ServerTls::config),
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
            let established = establish(
                incoming,
                Arc::clone(&authenticator),
                peers.clone(),
                tracker.clone(),
            );
            tracker.spawn(established);
        }
    }
}

/// The session is a task of its own from the bind on: what the handshake needs is not to be carried
/// for as long as it lives.
async fn establish(
    incoming: Incoming,
    authenticator: Arc<impl Authenticator>,
    peers: mpsc::Sender<Peer>,
    tracker: TaskTracker,
) {
    let address = incoming.address;
    match incoming.establish(&*authenticator).await {
        Ok((peer, running)) => {
            tracker.spawn(running);
            if peers.send(peer).await.is_err() {
                // Nobody left to take it: its events are dropped, and that closes the session.
                tracing::debug!(%address, "nobody serves it");
            }
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
    place: Option<Place>,
}

impl Incoming {
    /// A connection that the caller accepted, or made to send outbind over it, and secured itself:
    /// of the settings, TLS and the limits of connections mean nothing here.
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
        let (mut session, ours) = (self.settings.session, self.settings.system_id);
        session.quirks = authenticator.quirks().unwrap_or(session.quirks);
        let arrival = self.secured().await?;
        let begun = arrival.begin(Role::Smsc, session, |_| {});
        begun.bound(ours, authenticator).await
    }

    pub(crate) fn session(&self) -> SessionSettings {
        self.settings.session
    }

    /// Does the TLS handshake, where the listener speaks TLS.
    pub(crate) async fn secured(self) -> Result<Arrival, CloseReason> {
        let limit = self.settings.session.session_init;
        let (stream, names) = secure(self.stream, self.tls, limit).await?;
        Ok(Arrival {
            stream,
            address: self.address,
            names,
            place: self.place,
        })
    }
}

async fn secure(
    stream: Stream,
    tls: Option<Arc<ServerConfig>>,
    limit: Duration,
) -> Result<(Stream, Vec<String>), CloseReason> {
    let (stream, config) = match (stream, tls) {
        (Stream::Plain(stream), Some(config)) => (stream, config),
        (stream, _) => return Ok((stream, Vec::new())),
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
    pub fn respond(
        &self,
        sequence: u32,
        session_epoch: u64,
        status: CommandStatus,
        body: Body,
    ) -> Option<u64> {
        self.link.respond(sequence, session_epoch, status, body)
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
