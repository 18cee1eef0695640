//! The gateway's doors: where connections come in, whichever of the gateways over one store works.
//!
//! ```text
//!            public socket ─▶ Entrance ──┬── this gateway works ──▶ Inlet ─▶ the server (HTTP, SMPP)
//!                                        │                            ▲
//!                              another one works                 its Entrance
//!                                        └──▶ call: who, which door, from where ─▶ its inner door
//!                                        ◀── "ok", then octets both ways ────────────┘
//! ```
//!
//! A gateway that stands by opens its public sockets at once and forwards what comes in, octet for octet
//! (TLS ends at the owner). Whom to call it learns from the store ([`Sight`]); with the owner's secret
//! comes the right to name the peer's true address, by which accounts are known and connections
//! counted. A connection that nobody takes waits for a take-over, for a bounded time. One whose owner
//! works no more is cut, so that its peer comes again.
//!
//! What the gateway dials itself (the SMSCs) is the owner's alone.

mod call;
mod entrance;
mod forward;
mod inner;
#[cfg(test)]
mod tests;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use matrix_smpp_config::{Engine, Settings};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

pub use self::entrance::{Door, Entrance, Inlet, Shared};
use self::forward::Forwarder;
use crate::crew::Crew;
use crate::ops::http as ops;
use crate::ops::metrics::Metrics;
use crate::store::{Reach, Sight, Standing};

/// What a standby waits beyond `takeover_after` until the next owner serves: the start of one.
const START: Duration = Duration::from_secs(5);
/// The longest that a peer waits for a gateway that works; shorter than what most peers wait.
const MOST_PATIENCE: Duration = Duration::from_secs(20);
/// The most connections of homeservers that a standby forwards at once.
const HOMESERVERS: usize = 1_000;
/// Connections that a standby forwards beyond the listener's own bound. It is for the owner to choose who
/// gives way, so its bound is to be met first.
const SLACK: usize = 64;

/// The doors of one gateway, from its start to its end.
#[derive(Debug)]
pub struct Doors {
    /// For homeservers.
    pub appservice: Entrance,
    /// For accounts that bind to us, where the configuration has a listener for them.
    pub smpp: Option<Entrance>,
    /// For metrics and health; each gateway has its own.
    pub ops: Entrance,
    standing: Standing,
    /// Until the gateway works.
    standing_by: CancellationToken,
}

impl Doors {
    /// Opens the inner door, where the configuration has one; the public ones are open then, too, and
    /// lead to whoever works.
    ///
    /// Fails where the inner door cannot be opened. Of the public ones, those whose address is in use are
    /// opened when it is free.
    pub async fn open(
        settings: &Settings,
        metrics: &Metrics,
        crew: &Crew,
    ) -> Result<Self, (SocketAddr, io::Error)> {
        let mut doors = Self {
            appservice: Entrance::new(Door::Appservice, settings.appservice.listen),
            smpp: settings
                .listener
                .listen
                .map(|at| Entrance::new(Door::Smpp, at)),
            ops: Entrance::new(Door::Operations, settings.ops.listen),
            standing: Standing::default(),
            standing_by: CancellationToken::new(),
        };
        let inner = settings.store.redis.inner_listen;
        let Some(at) = inner.filter(|_| settings.store.engine == Engine::Redis) else {
            return Ok(doors);
        };
        let refused = |cause| (at, cause);
        let socket = TcpListener::bind(at).await.map_err(refused)?;
        let address = match &settings.store.redis.inner_advertise {
            Some(address) => address.clone(),
            None => socket.local_addr().map_err(refused)?.to_string(),
        };
        info!(address, "the other gateways reach this one there");
        let reach = Reach::at(address);
        let inner = inner::Inner::new(&reach, doors.public(), metrics.doors.clone());
        crew.spawn("the inner door", inner.serve(socket, crew.clone()));
        doors.standing = Standing::reached_at(reach);
        doors.stand_by(settings, metrics, crew);
        Ok(doors)
    }

    fn public(&self) -> Vec<Entrance> {
        let appservice = Some(self.appservice.clone());
        appservice.into_iter().chain(self.smpp.clone()).collect()
    }

    /// Forwards what comes in, and tells of it, until the gateway works.
    fn stand_by(&self, settings: &Settings, metrics: &Metrics, crew: &Crew) {
        let takeover = settings.store.redis.takeover_after;
        for entrance in self.public() {
            let most = match entrance.door() {
                Door::Smpp => settings.listener.max_connections + SLACK,
                _ => HOMESERVERS,
            };
            let forwarder = Forwarder {
                entrance,
                sight: self.standing.watch(),
                patience: MOST_PATIENCE.min(takeover + START),
                tracker: crew.tracker.clone(),
                metrics: metrics.doors.clone(),
            };
            crew.tracker.spawn(forwarder.run(most));
        }
        let standby = ops::Standby {
            metrics: metrics.clone(),
            sight: self.standing.watch(),
        };
        let (ops, until) = (self.ops.clone(), self.standing_by.clone());
        crew.tracker.spawn(tell(ops, standby, until));
    }

    /// What the store is to be told of this gateway, and what it tells of the others.
    #[must_use]
    pub fn standing(&self) -> Standing {
        self.standing.clone()
    }

    /// The gateway works, and tells of itself.
    pub fn works(&self) {
        self.standing_by.cancel();
    }
}

/// Serves health and metrics of a standby.
async fn tell(entrance: Entrance, standby: ops::Standby, until: CancellationToken) {
    let socket = tokio::select! {
        () = until.cancelled() => return,
        socket = entrance.open_when_free() => socket,
    };
    let router: Router = ops::standby_router(standby);
    let serving = axum::serve(Shared(Arc::clone(&socket)), router)
        .with_graceful_shutdown(until.cancelled_owned());
    if let Err(error) = serving.await {
        error!(%error, "cannot tell how the standby is");
    }
}

/// Who works, in words for an operator.
#[must_use]
pub fn told(sight: &Sight) -> String {
    match sight {
        Sight::Nobody => "standing by, and no gateway that works is known".to_owned(),
        Sight::Other(reach) => format!("standing by, forwards to {}", reach.address),
        Sight::Ours => "taking over".to_owned(),
    }
}
