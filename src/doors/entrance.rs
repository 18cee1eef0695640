//! A public door, and what comes through it in whatever way.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex as SyncMutex, PoisonError};
use std::time::Duration;

use matrix_smpp_session::Accept;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex, OnceCell, mpsc};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, warn};

/// Connections that may wait for the server.
const QUEUE: usize = 64;
/// Between two attempts to listen where somebody else does, or to accept where the system cannot.
const PAUSE: Duration = Duration::from_millis(500);

/// Which public door.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    /// HTTP of homeservers.
    Appservice,
    /// SMPP of accounts that bind to us.
    Smpp,
    /// Metrics and health.
    Operations,
}

impl Door {
    /// The doors that gateways forward.
    pub(super) const FORWARDED: [Self; 2] = [Self::Appservice, Self::Smpp];

    /// Its name in metrics, logs and calls.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Appservice => "appservice",
            Self::Smpp => "smpp",
            Self::Operations => "operations",
        }
    }

    /// The door of this name that gateways forward.
    pub(super) fn named(name: &str) -> Option<Self> {
        let mut all = Self::FORWARDED.into_iter();
        all.find(|door| door.name() == name)
    }
}

/// A connection, with the address of the peer at its other end.
pub(super) type Connection = (TcpStream, SocketAddr);

/// A public door. Clones are the same.
#[derive(Debug, Clone)]
pub struct Entrance(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    door: Door,
    at: SocketAddr,
    socket: OnceCell<Arc<TcpListener>>,
    sender: mpsc::Sender<Connection>,
    /// Until the server has it.
    queue: SyncMutex<Option<mpsc::Receiver<Connection>>>,
    /// The server accepts from the socket by itself.
    served: CancellationToken,
}

impl Entrance {
    /// A door at this address, not yet open.
    #[must_use]
    pub fn new(door: Door, at: SocketAddr) -> Self {
        let (sender, queue) = mpsc::channel(QUEUE);
        Self(Arc::new(Inner {
            door,
            at,
            socket: OnceCell::new(),
            sender,
            queue: SyncMutex::new(Some(queue)),
            served: CancellationToken::new(),
        }))
    }

    /// Which one it is.
    #[must_use]
    pub fn door(&self) -> Door {
        self.0.door
    }

    /// Where it is to be.
    #[must_use]
    pub fn at(&self) -> SocketAddr {
        self.0.at
    }

    /// Listens, where it does not yet.
    pub async fn open(&self) -> io::Result<Arc<TcpListener>> {
        let listen = || async { TcpListener::bind(self.0.at).await.map(Arc::new) };
        self.0.socket.get_or_try_init(listen).await.cloned()
    }

    /// The same, however long somebody else listens there.
    pub(super) async fn open_when_free(&self) -> Arc<TcpListener> {
        let mut told = false;
        loop {
            match self.open().await {
                Ok(socket) => return socket,
                Err(error) if !told => {
                    let (at, door) = (self.at(), self.door().name());
                    warn!(%at, door, %error, "a standby cannot listen there; it goes on trying");
                    told = true;
                }
                Err(_) => {}
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// What comes in, for the one server of this gateway; opens the door where it is not open yet.
    /// Nothing comes through a second inlet.
    pub async fn inlet(&self) -> io::Result<Inlet> {
        let socket = self.open().await?;
        self.0.served.cancel();
        let mut queue = self.0.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let queue = queue.take().unwrap_or_else(|| mpsc::channel(1).1);
        Ok(Inlet {
            socket,
            queue: Mutex::new(queue),
        })
    }

    /// The way to the server.
    pub(super) fn queue(&self) -> &mpsc::Sender<Connection> {
        &self.0.sender
    }

    /// Until the server accepts by itself.
    pub(super) async fn served(&self) {
        self.0.served.cancelled().await;
    }
}

/// What comes in through a public door: by its socket, and from other gateways.
#[derive(Debug)]
pub struct Inlet {
    socket: Arc<TcpListener>,
    queue: Mutex<mpsc::Receiver<Connection>>,
}

impl Inlet {
    /// The address that is listened on.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }
}

impl Accept for Inlet {
    async fn accept(&self) -> io::Result<Connection> {
        let forwarded = async {
            match self.queue.lock().await.recv().await {
                Some(connection) => connection,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            accepted = self.socket.accept() => accepted,
            connection = forwarded => Ok(connection),
        }
    }
}

impl axum::serve::Listener for Inlet {
    type Io = TcpStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        until_accepted(self).await
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.socket.local_addr()
    }
}

/// A socket that another server may have, too, before or after.
#[derive(Debug)]
pub struct Shared(pub Arc<TcpListener>);

impl axum::serve::Listener for Shared {
    type Io = TcpStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        until_accepted(&*self.0).await
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.0.local_addr()
    }
}

/// Accepts; again and again where it fails.
pub(super) async fn until_accepted(source: &impl Accept) -> Connection {
    loop {
        match source.accept().await {
            Ok((stream, address)) => {
                if let Err(error) = stream.set_nodelay(true) {
                    // It is gone already: its first read will tell.
                    debug!(%address, %error, "cannot set TCP_NODELAY");
                }
                return (stream, address);
            }
            // The peer went away meanwhile.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(error) => {
                // Out of file descriptors, most often: it passes when connections end.
                error!(%error, "cannot accept");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}
