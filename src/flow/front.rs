//! What homeservers ask between transactions: which users are phones, and that one be made.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use axum::Router;
use ruma::{OwnedServerName, OwnedUserId, ServerName, UserId};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::{Gateway, Trouble};
use crate::gateway::model::{E164Text, Handset};
use crate::gateway::names::Who;
use crate::gateway::number;
use crate::matrix::appservice::{
    self, Appservice, Caller, Phonebook, TransactionSink, WantedGhost,
};
use crate::store::{StoreError, Taken, Transaction};

/// The routes that homeservers call.
pub fn router(gateway: &Gateway, wanted: mpsc::Sender<WantedGhost>) -> Router {
    let settings = &gateway.settings;
    let callers = settings.homeservers.iter().map(|one| Caller {
        homeserver: one.name.clone(),
        hs_token: one.hs_token.clone(),
    });
    let service = Appservice {
        callers: callers.collect(),
        sink: Box::new(Brought::new(gateway.clone())),
        phonebook: Box::new(gateway.clone()),
        inbox: Arc::clone(&gateway.wakes.inbox.bell),
        wanted,
        clock: gateway.clock.clone(),
        counts: Arc::clone(&gateway.metrics.calls),
    };
    appservice::router(service, settings.appservice.max_body_bytes)
}

/// Takes transactions in, and watches their numbers: Synapse counts from 1 again after some of its
/// starts.
#[derive(Debug)]
struct Brought {
    gateway: Gateway,
    latest: Mutex<HashMap<OwnedServerName, u64>>,
}

impl Brought {
    fn new(gateway: Gateway) -> Self {
        let latest = Mutex::default();
        Self { gateway, latest }
    }

    /// True where the number of a transaction is lower than that of the one before.
    fn falls(&self, transaction: &Transaction) -> bool {
        let Ok(number) = transaction.txn_id.parse::<u64>() else {
            return false;
        };
        let mut latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        let before = latest.insert(transaction.homeserver.clone(), number);
        before.is_some_and(|before| before > number)
    }
}

#[async_trait]
impl TransactionSink for Brought {
    async fn take(&self, transaction: Transaction) -> Result<Taken, StoreError> {
        if self.falls(&transaction) {
            self.gateway.look_back(&transaction.homeserver);
        }
        self.gateway.store.take_transaction(transaction).await
    }
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
        .ensure(&*home.api, user, || number::display(&handset))
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
