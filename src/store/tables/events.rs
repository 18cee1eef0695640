//! What homeservers say.

use ruma::{OwnedEventId, OwnedRoomId, OwnedServerName, ServerName};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Row;
use crate::gateway::model::Timestamp;
use crate::store::indexes::Indexes;

/// An event that is known.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct EventRow {
    /// Its number in [`super::Inbox`], where it came as an event; 0 where only messages name it.
    pub(crate) seq: i64,
    /// When it came.
    pub(crate) at: Timestamp,
    /// The event that it edited, redacted or otherwise referred to; known once it is finished.
    #[serde(default)]
    pub(crate) about: Option<String>,
    /// The numbers of the messages that come from it.
    #[serde(default)]
    pub(crate) messages: Vec<i64>,
}

impl Row for EventRow {}

/// An event that is not finished.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct InboxRow {
    pub(crate) seq: i64,
    pub(crate) homeserver: OwnedServerName,
    pub(crate) event: OwnedEventId,
    pub(crate) room: OwnedRoomId,
    pub(crate) json: String,
    pub(crate) at: Timestamp,
    /// Set where it was set aside.
    #[serde(default)]
    pub(crate) aside: Option<AsideRow>,
}

impl std::fmt::Debug for InboxRow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = f.debug_struct("InboxRow");
        shown.field("seq", &self.seq).finish_non_exhaustive()
    }
}

/// That something was set aside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct AsideRow {
    pub(crate) reason: String,
    pub(crate) at: Timestamp,
}

impl Row for InboxRow {
    fn index(indexes: &mut Indexes, _: &str, old: Option<&Self>, new: Option<&Self>) {
        if let Some(old) = old {
            indexes
                .inbox
                .remove(old.seq, old.aside.as_ref().map(|aside| aside.at));
        }
        if let Some(new) = new {
            indexes
                .inbox
                .insert(new.seq, new.aside.as_ref().map(|aside| aside.at));
        }
    }
}

/// What a transaction has beside events.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct ExtrasRow {
    pub(crate) number: i64,
    pub(crate) homeserver: OwnedServerName,
    pub(crate) txn_id: String,
    pub(crate) json: String,
    pub(crate) at: Timestamp,
}

impl std::fmt::Debug for ExtrasRow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = f.debug_struct("ExtrasRow");
        shown.field("number", &self.number).finish_non_exhaustive()
    }
}

impl Row for ExtrasRow {
    fn index(indexes: &mut Indexes, key: &str, old: Option<&Self>, new: Option<&Self>) {
        if let Some(old) = old {
            indexes.extras.remove(&(old.number, key.to_owned()));
        }
        if let Some(new) = new {
            indexes.extras.insert((new.number, key.to_owned()));
        }
    }
}

/// What keys of [`super::Extras`] are made in.
const EXTRAS_NAMESPACE: Uuid = Uuid::from_u128(0x6d61_7472_6978_2d73_6d70_702d_6578_7472);

/// Key of [`super::Extras`]: the same for the same content of the same transaction.
pub(crate) fn extras_key(homeserver: &ServerName, txn_id: &str, json: &str) -> String {
    let name = format!("{homeserver}\0{txn_id}\0{json}");
    let id = Uuid::new_v5(&EXTRAS_NAMESPACE, name.as_bytes());
    id.simple().to_string()
}

/// Key of [`super::Events`].
pub(crate) fn event_key(homeserver: &ServerName, event: &str) -> String {
    [homeserver.as_str(), "|", event].concat()
}
