//! How an outbox entry speaks: every sentence carries a transaction id made of the entry, so that a
//! repeat is the same event.

use std::sync::atomic::{AtomicU32, Ordering};

use ruma::{OwnedServerName, RoomId, ServerName, UserId};
use serde_json::Value;
use tracing::warn;

use super::{Gateway, Trouble};
use crate::gateway::content;
use crate::gateway::model::{Conversation, OutboxId, Timestamp};
use crate::matrix::homeserver::ErrorKind;
use crate::store::{Lane, NewOutbox, OutboxEntry, OutboxItem};

/// Speaks for one outbox entry: its n-th sentence always has the same transaction id.
pub(super) struct Voice<'a> {
    gateway: &'a Gateway,
    entry: OutboxId,
    queued_at: Timestamp,
    said: AtomicU32,
}

impl<'a> Voice<'a> {
    /// The voice of one entry, which has said nothing yet.
    pub(super) fn of(gateway: &'a Gateway, entry: &OutboxEntry) -> Self {
        Self {
            gateway,
            entry: entry.id,
            queued_at: entry.queued_at,
            said: AtomicU32::new(0),
        }
    }

    /// As a conversation's ghost in its room. False where there is no room, or where the
    /// ghost may not speak any more: nobody has heard it.
    pub(super) async fn say(
        &self,
        conversation: &Conversation,
        kind: &str,
        body: &Value,
    ) -> Result<bool, Trouble> {
        let Some(room) = &conversation.room else {
            return Ok(false);
        };
        self.send(
            &conversation.homeserver,
            &conversation.ghost,
            room,
            kind,
            body,
        )
        .await
    }

    pub(super) async fn send(
        &self,
        homeserver: &ServerName,
        sender: &UserId,
        room: &RoomId,
        kind: &str,
        body: &Value,
    ) -> Result<bool, Trouble> {
        let api = &self.gateway.connected(homeserver)?.api;
        let txn = self.txn(self.said.fetch_add(1, Ordering::Relaxed));
        match api.send(sender, room, kind, &txn, body).await {
            Ok(_) => Ok(true),
            Err(error) if matches!(error.kind(), ErrorKind::Forbidden | ErrorKind::NotFound) => {
                warn!(%error, "nobody can be told in this room any more");
                Ok(false)
            }
            // A mark that is there already.
            Err(error) if error.errcode() == Some("M_DUPLICATE_ANNOTATION") => Ok(true),
            // The event is in another room: one that this room has replaced.
            Err(error) if error.kind() == ErrorKind::Permanent && is_mark(kind) => {
                warn!(%error, "a mark cannot be shown in this room");
                Ok(false)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The only sentence of this entry, whichever room it ends in; false where the sender may not
    /// speak in this room.
    pub(super) async fn try_send(
        &self,
        homeserver: &ServerName,
        sender: &UserId,
        room: &RoomId,
        body: &Value,
    ) -> Result<bool, Trouble> {
        let api = &self.gateway.connected(homeserver)?.api;
        let txn = self.txn(0);
        match api.send(sender, room, "m.room.message", &txn, body).await {
            Ok(_) => Ok(true),
            Err(error) if matches!(error.kind(), ErrorKind::Forbidden | ErrorKind::NotFound) => {
                Ok(false)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// When the entry was queued.
    pub(super) fn queued_at(&self) -> Timestamp {
        self.queued_at
    }

    /// Has the bot tell one person what their room cannot hear any more.
    pub(super) async fn tell_apart(
        &self,
        lane: Lane,
        homeserver: &ServerName,
        person: &UserId,
        text: String,
    ) -> Result<(), Trouble> {
        let key = format!("unheard:{}", self.entry);
        tell_apart(self.gateway, (key, lane), homeserver, person, text).await
    }

    fn txn(&self, n: u32) -> String {
        format!("{}-{}-{n}", self.gateway.store.instance(), self.entry)
    }
}

/// Has the bot tell one person something, once by its key.
pub(super) async fn tell_apart(
    gateway: &Gateway,
    (key, lane): (String, Lane),
    homeserver: &ServerName,
    person: &UserId,
    text: String,
) -> Result<(), Trouble> {
    let item = OutboxItem::TellOwner {
        homeserver: OwnedServerName::from(homeserver),
        owner: person.to_owned(),
        text,
    };
    gateway.enqueue(NewOutbox { key, lane, item }).await
}

/// True for what marks an event and says nothing by itself.
fn is_mark(kind: &str) -> bool {
    matches!(kind, "m.reaction" | content::STATUS)
}
