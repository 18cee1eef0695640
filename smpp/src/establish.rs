//! From a connection to a bound session, seen from the end that was not the one to bind.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use matrix_smpp_codec::{Bind, COctets, CommandStatus};

use crate::accounts::{Admission, Seat};
use crate::driver::Driver;
use crate::error::CloseReason;
use crate::link::{Link, LinkEvents};
use crate::operations::{BindMode, Role};
use crate::places::Place;
use crate::server::{Authenticator, BindRequest, Peer};
use crate::session::Session;
use crate::settings::SessionSettings;
use crate::shared::{Inner, Shared};
use crate::stream::Stream;

/// A connection, its TLS handshake done.
#[derive(Debug)]
pub(crate) struct Arrival {
    pub(crate) stream: Stream,
    pub(crate) address: SocketAddr,
    /// The names in the peer's certificate.
    pub(crate) names: Vec<String>,
    /// Its place among those of its listener.
    pub(crate) place: Option<Place>,
}

/// A session that is not bound yet.
#[derive(Debug)]
pub(crate) struct Begun {
    pub(crate) address: SocketAddr,
    pub(crate) names: Vec<String>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) running: Running,
}

impl Arrival {
    /// Begins a session of this role, with what `start` has it say first.
    pub(crate) fn begin(
        self,
        role: Role,
        settings: SessionSettings,
        start: impl FnOnce(&mut Session),
    ) -> Begun {
        let shared = Shared::new(self.address.to_string(), settings);
        shared.begin(role, |session, _| start(session));
        let running = Running {
            driver: Driver::new(Arc::clone(&shared), self.stream),
            shared: Ending(Arc::clone(&shared)),
            seat: None,
            place: self.place,
        };
        Begun {
            address: self.address,
            names: self.names,
            shared,
            running,
        }
    }
}

impl Begun {
    /// Drives the session until the peer asks for what `take` takes.
    pub(crate) async fn asked<T>(
        &mut self,
        take: impl Fn(&mut Inner) -> Option<T>,
    ) -> Result<T, CloseReason> {
        let (running, shared) = (&mut self.running, &self.shared);
        std::future::poll_fn(|cx| {
            let ended = Pin::new(&mut *running).poll(cx);
            match (take(&mut shared.lock()), ended) {
                (Some(asked), _) => Poll::Ready(Ok(asked)),
                (None, Poll::Ready(reason)) => Poll::Ready(Err(reason)),
                (None, Poll::Pending) => Poll::Pending,
            }
        })
        .await
    }

    /// Waits for the bind and has it judged. `ours` is our own `system_id`.
    pub(crate) async fn bound(
        mut self,
        ours: COctets<16>,
        authenticator: &impl Authenticator,
    ) -> Result<(Peer, Running), CloseReason> {
        let events = LinkEvents {
            shared: Arc::clone(&self.shared),
        };
        let (mode, bind) = self.asked(|inner| inner.bind_asked.take()).await?;
        let request = self.request(mode, &bind);
        let verdict = tokio::select! {
            biased;
            reason = &mut self.running => return Err(reason),
            verdict = authenticator.authenticate(request) => verdict,
        };
        let link = match verdict {
            Ok(_) if !self.keeps_its_place() => return Err(CloseReason::Displaced),
            Ok(admission) => self.admit(admission, ours),
            Err(status) => {
                self.answer(status, COctets::default());
                return Err(self.running.await);
            }
        };
        let peer = Peer {
            system_id: bind.system_id,
            mode,
            address: self.address,
            link,
            events,
        };
        Ok((peer, self.running))
    }

    fn request(&mut self, mode: BindMode, bind: &Bind) -> BindRequest {
        BindRequest {
            address: self.address,
            mode,
            system_id: bind.system_id,
            password: bind.password,
            system_type: bind.system_type,
            interface_version: bind.interface_version,
            addr_ton: bind.addr_ton,
            addr_npi: bind.addr_npi,
            address_range: bind.address_range,
            certificate_names: std::mem::take(&mut self.names),
        }
    }

    fn keeps_its_place(&mut self) -> bool {
        self.running.place.as_mut().is_none_or(Place::keep)
    }

    fn admit(&mut self, admission: Admission, ours: COctets<16>) -> Link {
        let link = Link {
            shared: Arc::clone(&self.shared),
        };
        self.running.seat = admission.enter(&link);
        self.answer(CommandStatus::ESME_ROK, ours);
        link
    }

    fn answer(&self, status: CommandStatus, ours: COctets<16>) {
        self.shared
            .command(|session, now| session.answer_bind(now, status, ours));
    }
}

/// Drives an accepted session; ends when it does. Dropped before, it hands back every request
/// without an answer and ends the events.
#[derive(Debug)]
#[must_use = "the session lives only while this is polled"]
pub struct Running {
    driver: Driver,
    shared: Ending,
    seat: Option<Seat>,
    place: Option<Place>,
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
