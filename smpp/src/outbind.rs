//! Outbind, SMPP 3.4 §2.2.1: the SMSC connects to the ESME and asks to be bound to.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use matrix_smpp_codec::{COctets, Outbind, Password};
use tokio::time::timeout;

use crate::client::connect;
use crate::error::CloseReason;
use crate::establish::{Arrival, Running};
use crate::incoming::Incoming;
use crate::link::{Link, LinkEvents};
use crate::operations::Role;
use crate::server::{Authenticator, ListenError, Listener, ListenerSettings, Peer};
use crate::settings::{BindSettings, SessionSettings};
use crate::shared::Shared;
use crate::tls::TlsSettings;

/// How an SMSC asks an ESME to bind.
#[derive(Debug, Clone)]
pub struct OutbindSettings {
    /// Where the ESME listens, `host:port`.
    pub address: String,
    /// TLS, where the ESME speaks it.
    pub tls: Option<TlsSettings>,
    /// Who we are.
    pub system_id: COctets<16>,
    /// The proof of it; never printed.
    pub password: Password,
    /// How the session behaves. `session_init` is how long connecting may take, and then how long
    /// the ESME may take to bind.
    pub session: SessionSettings,
}

/// The SMSC's side: connects, sends outbind and waits for the ESME to bind as a receiver (or, as many
/// do, as a transceiver). From there on it is as if the ESME had come by itself. An ESME that does not
/// want it closes the connection.
pub async fn outbind(
    settings: &OutbindSettings,
    authenticator: &impl Authenticator,
) -> Result<(Peer, Running), CloseReason> {
    let connecting = connect(&settings.address, settings.tls.as_ref());
    let (stream, address) = timeout(settings.session.session_init, connecting)
        .await
        .unwrap_or(Err(CloseReason::ConnectFailed(io::ErrorKind::TimedOut)))?;
    let arrival = Arrival {
        stream,
        address,
        names: Vec::new(),
        place: None,
    };
    let outbind = Outbind {
        system_id: settings.system_id,
        password: settings.password,
    };
    arrival
        .begin(Role::Smsc, settings.session, |session| {
            session.outbind(outbind);
        })
        .bound(settings.system_id, authenticator)
        .await
}

/// The ESME's side: waits for SMSCs that have something for us.
#[derive(Debug)]
pub struct OutbindListener {
    listener: Listener,
}

impl OutbindListener {
    /// Listens on `address` (`host:port`; port 0 for any free one). Of the settings, `system_id` is
    /// not used.
    pub async fn bind(address: &str, settings: ListenerSettings) -> Result<Self, ListenError> {
        let listener = Listener::bind(address, settings).await?;
        Ok(Self { listener })
    }

    /// The address that is listened on.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// The next connection; waits while there are as many as allowed. Can be dropped at any time.
    pub async fn accept(&self) -> io::Result<OutbindIncoming> {
        let mut incoming = self.listener.accept().await?;
        incoming.keep_place();
        Ok(OutbindIncoming(incoming))
    }
}

/// A connection of what may be an SMSC.
#[derive(Debug)]
pub struct OutbindIncoming(Incoming);

impl OutbindIncoming {
    /// Where it comes from.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.0.address()
    }

    /// Waits for the outbind, no longer than `session_init`.
    pub async fn asked(self) -> Result<OutbindRequest, CloseReason> {
        let session = self.0.session();
        let arrival = self.0.secured().await?;
        let mut begun = arrival.begin(Role::Esme, session, |_| {});
        let Outbind {
            system_id,
            password,
        } = *begun.asked(|inner| inner.outbind_asked.take()).await?;
        Ok(OutbindRequest {
            address: begun.address,
            certificate_names: std::mem::take(&mut begun.names),
            system_id,
            password,
            running: begun.running,
            shared: begun.shared,
        })
    }
}

/// An SMSC that wants to be bound to. Dropped, the connection is closed.
#[derive(Debug)]
pub struct OutbindRequest {
    /// Where it comes from.
    pub address: SocketAddr,
    /// Its name.
    pub system_id: COctets<16>,
    /// Its password; never printed. Compare it in constant time.
    pub password: Password,
    /// The names in its TLS certificate, where it showed one.
    pub certificate_names: Vec<String>,
    running: Running,
    shared: Arc<Shared>,
}

impl OutbindRequest {
    /// Binds to it. The link is up when its events say so, and ends with the connection: the SMSC
    /// connects again when it has something.
    pub fn bind(self, settings: &BindSettings) -> (Link, LinkEvents, Running) {
        self.shared
            .command(|session, now| session.bind(now, settings));
        let link = Link {
            shared: Arc::clone(&self.shared),
        };
        let events = LinkEvents {
            shared: self.shared,
        };
        (link, events, self.running)
    }
}
