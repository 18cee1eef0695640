//! What homeservers ask between transactions: which users are phones, and that one be made.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use axum::Router;
use ruma::{OwnedServerName, OwnedUserId, ServerName, UserId};
use serde::Deserialize;
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
        most_waiting: settings.limits.inbox_events,
        counts: Arc::clone(&gateway.metrics.calls),
    };
    appservice::router(service, settings.appservice.max_body_bytes)
}

/// Takes transactions in, and watches their numbers: Synapse counts from 1 again after some of its
/// starts.
#[derive(Debug)]
struct Brought {
    gateway: Gateway,
    latest: Mutex<HashMap<OwnedServerName, Latest>>,
}

/// The transaction that came last.
#[derive(Debug, Clone, Copy)]
struct Latest {
    number: u64,
    /// It was stored; till then it comes again as it was.
    is_taken: bool,
}

impl Latest {
    /// Whether a transaction of this number tells, before it is read, that the homeserver has begun to count
    /// anew since the last one. Where this gateway has seen none, the first one may have been counted by a
    /// homeserver that has ended since this gateway's start.
    fn falls(last: Option<Self>, number: u64) -> bool {
        last.map_or(number <= 1, |last| last.number > number)
    }

    /// The same of one that was stored, and was new: it is none that came again.
    fn repeats(last: Option<Self>, number: u64) -> bool {
        last.is_some_and(|last| last.is_taken && last.number == number)
    }
}

impl Brought {
    fn new(gateway: Gateway) -> Self {
        let latest = Mutex::default();
        Self { gateway, latest }
    }

    /// Notes a transaction; gives the one before it.
    fn note(&self, homeserver: &ServerName, latest: Latest) -> Option<Latest> {
        let mut all = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert(homeserver.to_owned(), latest)
    }
}

/// Whether an event is what one of ours has said: homeservers bring that back, and it asks for nothing. Who
/// comes and goes is looked at, whoever it is.
pub(super) fn is_own_echo(gateway: &Gateway, json: &str) -> bool {
    #[derive(Deserialize)]
    struct Head<'a> {
        #[serde(borrow)]
        sender: Cow<'a, str>,
        #[serde(borrow, rename = "type")]
        event_type: Cow<'a, str>,
    }
    let Ok(head) = serde_json::from_str::<Head<'_>>(json) else {
        return false;
    };
    let sender = <&UserId>::try_from(&*head.sender);
    head.event_type != "m.room.member" && sender.is_ok_and(|sender| gateway.is_ours(sender))
}

#[async_trait]
impl TransactionSink for Brought {
    async fn take(&self, mut transaction: Transaction) -> Result<Taken, StoreError> {
        for event in &mut transaction.events {
            event.is_over = is_own_echo(&self.gateway, &event.json);
        }
        let Ok(number) = transaction.txn_id.parse::<u64>() else {
            return self.gateway.store.take_transaction(transaction).await;
        };
        let homeserver = transaction.homeserver.clone();
        let is_taken = false;
        let last = self.note(&homeserver, Latest { number, is_taken });
        let falls = Latest::falls(last, number);
        if falls {
            self.gateway.look_back(&homeserver);
        }
        let taken = self.gateway.store.take_transaction(transaction).await?;
        let is_taken = true;
        self.note(&homeserver, Latest { number, is_taken });
        if !falls && taken.new > 0 && Latest::repeats(last, number) {
            self.gateway.look_back(&homeserver);
        }
        Ok(taken)
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

#[cfg(test)]
mod tests {
    use super::*;

    const fn latest(number: u64, is_taken: bool) -> Latest {
        Latest { number, is_taken }
    }

    #[test]
    fn a_homeserver_that_counts_anew_is_seen_by_a_lower_number_or_by_a_first_one() {
        assert!(Latest::falls(Some(latest(7, true)), 1));
        assert!(Latest::falls(Some(latest(7, false)), 6));
        assert!(!Latest::falls(Some(latest(7, true)), 8));
        assert!(!Latest::falls(Some(latest(7, true)), 7));
        assert!(Latest::falls(None, 1));
        assert!(!Latest::falls(None, 5_000));
    }

    #[test]
    fn a_number_that_was_stored_and_brings_something_new_was_counted_anew() {
        assert!(Latest::repeats(Some(latest(1, true)), 1));
        assert!(
            !Latest::repeats(Some(latest(1, false)), 1),
            "it comes again"
        );
        assert!(!Latest::repeats(Some(latest(1, true)), 2));
        assert!(!Latest::repeats(None, 1));
    }
}
