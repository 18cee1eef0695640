//! A connection that came in, until it is bound.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use tokio::time::timeout;
use tokio_rustls::{TlsAcceptor, TlsStream};
use tokio_util::sync::CancellationToken;

use crate::error::CloseReason;
use crate::establish::{Arrival, Running};
use crate::operations::Role;
use crate::places::Place;
use crate::refused::Refusal;
use crate::server::{Authenticator, ListenerSettings, Peer};
use crate::settings::SessionSettings;
use crate::stream::{Stream, Transport};
use crate::tls;
use crate::watch::ListenerWatch;

/// A connection that is not bound yet.
#[derive(Debug)]
pub struct Incoming {
    pub(crate) stream: Stream,
    pub(crate) address: SocketAddr,
    pub(crate) tls: Option<Arc<ServerConfig>>,
    pub(crate) settings: Arc<ListenerSettings>,
    pub(crate) place: Option<Place>,
    /// What tells that its place is needed, and who counts what comes of it.
    pub(crate) hall: Option<(CancellationToken, ListenerWatch)>,
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
            hall: None,
        }
    }

    /// Where it comes from.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits for the bind and has it judged. Gives the session and the future that drives it.
    pub async fn establish(
        mut self,
        authenticator: &impl Authenticator,
    ) -> Result<(Peer, Running), CloseReason> {
        let Some((displaced, watch)) = self.hall.take() else {
            return self.bound(authenticator).await;
        };
        let outcome = tokio::select! {
            biased;
            () = displaced.cancelled() => Err(CloseReason::Displaced),
            outcome = self.bound(authenticator) => outcome,
        };
        if let Some(reason) = outcome
            .as_ref()
            .err()
            .and_then(|reason| Refusal::of(*reason))
        {
            watch.0.refused.count(reason);
        }
        outcome
    }

    async fn bound(
        self,
        authenticator: &impl Authenticator,
    ) -> Result<(Peer, Running), CloseReason> {
        let (mut session, ours) = (self.settings.session, self.settings.system_id);
        session.quirks = authenticator.quirks().unwrap_or(session.quirks);
        let arrival = self.secured().await?;
        let begun = arrival.begin(Role::Smsc, session, |_| {});
        begun.bound(ours, authenticator).await
    }

    /// Holds its place from now on, whoever needs it.
    pub(crate) fn keep_place(&mut self) {
        self.place.as_mut().map(Place::keep);
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
