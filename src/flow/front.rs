//! What homeservers ask between transactions: which users are phones, and that one be made.

use axum::Router;
use ruma::{OwnedUserId, ServerName, UserId};
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::{Gateway, Trouble};
use crate::gateway::model::{E164Text, Handset};
use crate::gateway::names::Who;
use crate::gateway::number;
use crate::matrix::appservice::{self, Appservice, Caller, Phonebook, WantedGhost};

/// The routes that homeservers call.
pub fn router(gateway: &Gateway, wanted: mpsc::Sender<WantedGhost>) -> Router {
    let settings = &gateway.settings;
    let callers = settings.homeservers.iter().map(|one| Caller {
        homeserver: one.name.clone(),
        hs_token: one.hs_token.clone(),
    });
    let service = Appservice {
        callers: callers.collect(),
        sink: Box::new(Arc::clone(&gateway.store)),
        phonebook: Box::new(gateway.clone()),
        inbox: Arc::clone(&gateway.wakes.inbox.bell),
        wanted,
        clock: gateway.clock.clone(),
        counts: Arc::clone(&gateway.metrics.calls),
    };
    appservice::router(service, settings.appservice.max_body_bytes)
}

/// Makes the ghosts that homeservers ask for, until `stop`. One that cannot be made now is made
/// when its invitation is handled.
pub async fn make_ghosts(
    gateway: Gateway,
    mut wanted: mpsc::Receiver<WantedGhost>,
    stop: CancellationToken,
) {
    loop {
        let (homeserver, user) = tokio::select! {
            () = stop.cancelled() => return,
            wish = wanted.recv() => match wish {
                Some(wish) => wish,
                None => return stop.cancelled().await,
            },
        };
        if let Err(trouble) = make_ghost(&gateway, &homeserver, &user).await {
            warn!(%trouble, "a ghost will be made later");
        }
    }
}

async fn make_ghost(
    gateway: &Gateway,
    homeserver: &ServerName,
    user: &UserId,
) -> Result<(), Trouble> {
    let home = gateway.connected(homeserver)?;
    let Who::Ghost(handset) = home.names.who(user) else {
        return Ok(());
    };
    gateway
        .ghosts
        .ensure(&*home.api, user, &number::display(&handset))
        .await?;
    Ok(())
}

impl Phonebook for Gateway {
    fn is_ghost(&self, homeserver: &ServerName, user: &UserId) -> bool {
        self.is_phone(homeserver, user)
    }

    fn ghost_of(&self, homeserver: &ServerName, phone: &str) -> Option<OwnedUserId> {
        let number = number::parse_typed(phone).ok()?;
        let home = self.homeservers.get(homeserver)?;
        home.names.ghost(&Handset::Number(E164Text(number)))
    }

    fn phone_of(&self, homeserver: &ServerName, user: &UserId) -> Option<String> {
        let number = self.phone(homeserver, user)?.number()?;
        Some(number.to_string())
    }
}

impl Gateway {
    /// True for the Matrix user of a handset on this homeserver.
    pub(super) fn is_phone(&self, homeserver: &ServerName, user: &UserId) -> bool {
        self.phone(homeserver, user).is_some()
    }

    fn phone(&self, homeserver: &ServerName, user: &UserId) -> Option<Handset> {
        match self.homeservers.get(homeserver)?.names.who(user) {
            Who::Ghost(handset) => Some(handset),
            _ => None,
        }
    }
}
