//! The SMPP side: takes connections and binds, makes connections for outbind, and serves each bind.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use bytes::BytesMut;
use matrix_smpp_codec::{Body, COctets, Outbind, Pdu};
use matrix_smpp_session::{
    CloseReason, Incoming, Link, ListenError, ListenerSettings, Peer, Running, ServerTls,
    ServerTlsSettings, SessionSettings,
};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::sim::clock::Now;
use crate::sim::desk::Desk;
use crate::sim::door::Door;
use crate::sim::lines::Line;
use crate::sim::scenario::Timers;
use crate::sim::settings::Certificate;
use crate::sim::smsc::Smsc;
use crate::sim::wire::capture::{Direction, Ends};
use crate::sim::wire::tap::Tap;
use crate::sim::wire::{Socket, Wire};

/// What the simulator calls itself in `bind_resp`.
const SYSTEM_ID: &str = "smsc-sim";

/// How many `deliver_sm` may wait for their answers on one bind, unless its account says otherwise. As
/// many as a load tool submits at once, so that receipts keep up with what they are for.
const WINDOW: usize = 1_000;

/// How long a link that is to be unbound may take over what is still unanswered.
const DRAIN: Duration = Duration::from_secs(1);

/// How many connections there may be at once.
const MAX_CONNECTIONS: usize = 20_000;

/// How long to wait when no connection can be taken (out of file descriptors, most often).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(10);

/// What every connection needs.
#[derive(Clone)]
pub(crate) struct Peers {
    pub(crate) smsc: Arc<Smsc>,
    pub(crate) tasks: TaskTracker,
    /// Takes no more connections.
    pub(crate) stop: CancellationToken,
    /// Cuts every connection.
    pub(crate) cut: CancellationToken,
    places: Arc<Semaphore>,
    connections: Arc<AtomicU64>,
}

/// An open SMPP port.
pub(crate) struct Port {
    socket: TcpListener,
    tls: Option<TlsAcceptor>,
}

impl Port {
    /// Opens a port, for TLS where there is a certificate.
    pub(crate) async fn open(
        address: SocketAddr,
        tls: Option<&Certificate>,
    ) -> Result<Self, ListenError> {
        let acceptor = tls.map(|files| {
            let settings = ServerTlsSettings {
                certificate: files.chain.clone(),
                key: files.key.clone(),
                client_ca: files.client_ca.clone(),
                ..ServerTlsSettings::default()
            };
            ServerTls::new(settings).map(|tls| tls.acceptor())
        });
        Ok(Self {
            tls: acceptor.transpose()?,
            socket: TcpListener::bind(address).await?,
        })
    }

    pub(crate) fn address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }
}

impl Peers {
    pub(crate) fn new(smsc: Arc<Smsc>, stop: CancellationToken, cut: CancellationToken) -> Self {
        Self {
            smsc,
            tasks: TaskTracker::new(),
            stop,
            cut,
            places: Arc::new(Semaphore::new(MAX_CONNECTIONS)),
            connections: Arc::default(),
        }
    }

    /// Takes connections until the simulator stops. Each is served by a task of its own.
    pub(crate) async fn accept(self, port: Port) {
        loop {
            // The semaphore is never closed.
            let place = Arc::clone(&self.places).acquire_owned().await;
            let accepted = tokio::select! {
                () = self.stop.cancelled() => return,
                accepted = port.socket.accept() => accepted,
            };
            match accepted {
                Ok((stream, address)) => {
                    let (peers, tls) = (self.clone(), port.tls.clone());
                    self.tasks.spawn(async move {
                        peers.receive(stream, address, tls).await;
                        drop(place);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    /// Connects to an ESME, asks it to bind, and serves the bind that comes (SMPP 3.4 §2.2.1).
    pub(crate) async fn outbind(&self, address: &str, outbind: Outbind) -> io::Result<SocketAddr> {
        let connecting = TcpStream::connect(address);
        let mut stream = timeout(CONNECT, connecting).await??;
        let peer = stream.peer_addr()?;
        stream.set_nodelay(true)?;
        let mut octets = BytesMut::new();
        Pdu::new(1, Body::Outbind(outbind)).encode(&mut octets);
        let tap = self.tap(&stream, peer, true)?;
        stream.write_all(&octets).await?;
        tap.capture.record(&tap.ends, Direction::Out, &octets);
        let peers = self.clone();
        self.tasks.spawn(async move {
            peers.serve(Socket::Plain(stream), tap).await;
        });
        Ok(peer)
    }

    async fn receive(self, stream: TcpStream, address: SocketAddr, tls: Option<TlsAcceptor>) {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%address, %error, "cannot set TCP_NODELAY");
        }
        let Ok(tap) = self.tap(&stream, address, false) else {
            return;
        };
        let socket = match tls {
            None => Socket::Plain(stream),
            Some(tls) => match timeout(CONNECT, tls.accept(stream)).await {
                Ok(Ok(stream)) => Socket::Tls(Box::new(stream)),
                refused => {
                    let refused = refused.map(Result::err);
                    tracing::info!(%address, ?refused, "no TLS");
                    return;
                }
            },
        };
        self.serve(socket, tap).await;
    }

    fn tap(&self, stream: &TcpStream, peer: SocketAddr, made: bool) -> io::Result<Arc<Tap>> {
        let number = self.connections.fetch_add(1, Relaxed);
        let ends = Arc::new(Ends::new(number, stream.local_addr()?, peer, made));
        let capture = Arc::clone(&self.smsc.capture);
        let faults = Arc::clone(&self.smsc.faults);
        Ok(Arc::new(Tap::new(ends, capture, faults)))
    }

    async fn serve(self, socket: Socket, tap: Arc<Tap>) {
        let timers = self.smsc.model().script.timers;
        let address = tap.ends.peer;
        let wire = Wire::new(socket, Arc::clone(&tap));
        let incoming = Incoming::over(Box::new(wire), address, Arc::new(settings(timers)));
        let door = Door::new(Arc::clone(&self.smsc));
        let bound = tokio::select! {
            () = self.cut.cancelled() => return,
            () = self.stop.cancelled() => return,
            bound = incoming.establish(&door) => bound,
        };
        match bound {
            Ok((peer, running)) => self.attend(peer, running, &door, tap).await,
            Err(reason) => tracing::info!(%address, %reason, "not bound"),
        }
    }

    /// Serves one bind until it ends.
    async fn attend(self, peer: Peer, running: Running, door: &Door, tap: Arc<Tap>) {
        let Peer {
            system_id,
            mode,
            address,
            link,
            mut events,
        } = peer;
        let system_id = system_id.to_text();
        let limits = self.smsc.model().accounts.limits(&system_id);
        link.set_limits(limits.deliver_window.unwrap_or(WINDOW), limits.deliver_rate);
        let cut = self.cut.child_token();
        let line = Line {
            system_id: system_id.as_str().into(),
            mode,
            address,
            link: link.clone(),
            cut: cut.clone(),
            tap: Arc::clone(&tap),
            since: Now::read().unix_ms,
        };
        let bind = self.smsc.open(line);
        tap.bound(&system_id, bind);
        tracing::info!(bind, system_id, ?mode, %address, "bound");
        self.unbind_later(&link, &cut);
        let desk = Desk::new(self, link, bind, system_id.into(), tap);
        let ended = async { tokio::join!(drive(running, cut), desk.read(&mut events)).0 };
        let reason = ended.await;
        desk.smsc().close(bind);
        door.leave(reason);
        tracing::info!(bind, "gone");
    }

    /// Unbinds a bind after its time, where the scenario gives it one.
    fn unbind_later(&self, link: &Link, cut: &CancellationToken) {
        let after = self.smsc.model().script.binds.unbind_after;
        let Some(after) = after else {
            return;
        };
        let (link, cut) = (link.clone(), cut.clone());
        self.tasks.spawn(async move {
            tokio::select! {
                () = sleep(after.0) => link.close(),
                () = cut.cancelled() => {}
            }
        });
    }
}

/// Carries the session until it ends or is cut. `None` where it was cut.
async fn drive(running: Running, cut: CancellationToken) -> Option<CloseReason> {
    let _ended = cut.clone().drop_guard();
    tokio::select! {
        reason = running => {
            tracing::info!(%reason, "link ended");
            Some(reason)
        }
        () = cut.cancelled() => {
            tracing::info!("link cut");
            None
        }
    }
}

fn settings(timers: Timers) -> ListenerSettings {
    let usual = SessionSettings::default();
    ListenerSettings {
        system_id: COctets::try_from(SYSTEM_ID).unwrap_or_default(),
        session: SessionSettings {
            window: WINDOW,
            drain: DRAIN,
            enquire_link: timers
                .enquire_link
                .map_or(usual.enquire_link, |span| span.0),
            response_timeout: timers
                .response
                .map_or(usual.response_timeout, |span| span.0),
            session_init: timers
                .session_init
                .map_or(usual.session_init, |span| span.0),
            inactivity: timers.inactivity.map(|span| span.0),
            ..usual
        },
        ..ListenerSettings::default()
    }
}
