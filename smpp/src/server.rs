//! The SMSC's end: accepts the binds of ESMEs.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use matrix_smpp_codec::{
    Body, COctets, CommandStatus, InterfaceVersion, Npi, Password, Quirks, Ton,
};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::accounts::Admission;
use crate::error::SubmitError;
use crate::incoming::Incoming;
use crate::link::{Link, LinkEvents};
use crate::operations::BindMode;
use crate::places::{Full, Place, Places};
use crate::refused::Refusal;
use crate::reply::Reply;
use crate::settings::SessionSettings;
use crate::stream::Stream;
use crate::tls::{ServerTls, ServerTlsSettings, TlsError};
use crate::watch::{Accepting, ListenerWatch};

/// How to accept sessions.
#[derive(Debug, Clone)]
pub struct ListenerSettings {
    /// Our own `system_id`, as the bind response tells it.
    pub system_id: COctets<16>,
    /// TLS, where the listener speaks it.
    pub tls: Option<ServerTlsSettings>,
    /// How the sessions behave. `session_init` is how long a peer may take to bind.
    pub session: SessionSettings,
    /// Most connections at once. For a further one the oldest gives way that has not bound, of the
    /// address that has most of these; where all are bound, it waits in the system's accept queue.
    pub max_connections: usize,
    /// Most connections at once from one address (of IPv6: from one network of 64 bits). For a
    /// further one the oldest from there gives way that has not bound; where all are bound, it is
    /// closed at once. `None` for no limit of their own.
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

/// Where a listener's connections come from: a socket, or what others have accepted in its place.
pub trait Accept: Send + Sync + 'static {
    /// The next connection, with the address of the peer at its other end. Can be dropped at any time.
    fn accept(&self) -> impl Future<Output = io::Result<(TcpStream, SocketAddr)>> + Send;
}

impl Accept for TcpListener {
    async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        Self::accept(self).await
    }
}

/// Accepts connections of ESMEs.
#[derive(Debug)]
pub struct Listener<A = TcpListener> {
    source: A,
    tls: Option<ServerTls>,
    settings: Arc<ListenerSettings>,
    watch: ListenerWatch,
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
        Ok(Self::with(socket, tls, settings))
    }

    /// The address that is listened on.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.source.local_addr()
    }
}

impl<A: Accept> Listener<A> {
    /// Serves the connections that come from `source`.
    pub fn over(source: A, settings: ListenerSettings) -> Result<Self, TlsError> {
        let tls = settings.tls.clone().map(ServerTls::new).transpose()?;
        Ok(Self::with(source, tls, settings))
    }

    fn with(source: A, tls: Option<ServerTls>, settings: ListenerSettings) -> Self {
        let places = Places::new(settings.max_connections, settings.max_per_address);
        Self {
            source,
            tls,
            settings: Arc::new(settings),
            watch: ListenerWatch::new(places),
        }
    }

    /// The listener's TLS, to be told when the files have changed; `None` where it speaks none.
    #[must_use]
    pub fn tls(&self) -> Option<ServerTls> {
        self.tls.clone()
    }

    /// How the listener is doing, for whoever serves it.
    #[must_use]
    pub fn watch(&self) -> ListenerWatch {
        self.watch.clone()
    }

    /// The next connection; waits while there are as many as allowed, all of them bound. Can be
    /// dropped at any time (one that waits for the last place is closed then).
    pub async fn accept(&self) -> io::Result<Incoming> {
        let (stream, address, (place, displaced)) = loop {
            self.watch.0.places.room().await?;
            let (stream, address) = self.source.accept().await?;
            if let Some(place) = self.place_for(address).await? {
                break (stream, address, place);
            }
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
            hall: Some((displaced, self.watch())),
        })
    }

    /// A place for a connection; `None` where there are too many from there.
    async fn place_for(
        &self,
        address: SocketAddr,
    ) -> io::Result<Option<(Place, CancellationToken)>> {
        let watched = &self.watch.0;
        loop {
            match watched.places.give(address.ip()) {
                Ok(place) => return Ok(Some(place)),
                Err(Full::InAll) => watched.places.room().await?,
                Err(Full::FromThere) => {
                    watched.refused.count(Refusal::TooManyConnections);
                    tracing::debug!(%address, "too many connections from there");
                    return Ok(None);
                }
            }
        }
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
        let accepting = Accepting(self.watch());
        while !peers.is_closed() {
            accepting.0.set_accepts(true);
            let incoming = match self.accept().await {
                Ok(incoming) => incoming,
                Err(error) => {
                    accepting.0.set_accepts(false);
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
