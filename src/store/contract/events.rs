//! What homeservers say: events, each taken in once and handled once.

use async_trait::async_trait;
use ruma::{OwnedEventId, OwnedRoomId, OwnedServerName, ServerName};

use super::{Ending, Result};
use crate::gateway::model::{InboxSeq, Timestamp};

/// Events of homeservers, from the transaction that brings them to their end. Done by `steps/inbox.rs`;
/// why that is atomic: [`Store`](super::Store).
#[async_trait]
pub trait EventStore {
    /// Takes a transaction in: every event whose id is new, and whatever the homeserver never
    /// sends again. All of it is there or nothing, so that a homeserver that heard no answer may say
    /// all of it again. Fails with [`StoreError::Unavailable`](super::StoreError::Unavailable) where as many events
    /// wait as may.
    ///
    /// *Again*: an event is known by its id, never by the transaction's, which repeats after a restart of
    /// Synapse; one that is known is counted as repeated and left as it is, whatever stands in it now. What
    /// is no event is known by homeserver, transaction id and content together.
    async fn take_transaction(&self, transaction: Transaction) -> Result<Taken>;

    /// Those of these events that never came, in the same order. An event that came is known for 30
    /// days after it, and as long as it is not finished.
    async fn unknown_events(
        &self,
        homeserver: &ServerName,
        events: Vec<OwnedEventId>,
    ) -> Result<Vec<OwnedEventId>>;

    /// Events not finished yet, after `after`, oldest first.
    async fn pending_events(&self, after: InboxSeq, limit: usize) -> Result<Vec<InboxEvent>>;

    /// Ends an event. Its id stays known, so that a repeat is recognised; its content goes unless
    /// it is set aside. What people hear of that is queued in the same commit.
    ///
    /// *Again*: the row is gone, or is set aside: nothing changes, and nobody hears of it twice.
    async fn finish_event(&self, seq: InboxSeq, ending: Ending) -> Result<()>;
}

/// One transaction of a homeserver (Application Service API, `PUT /transactions/{txnId}`).
#[derive(Clone)]
pub struct Transaction {
    /// Who sends.
    pub homeserver: OwnedServerName,
    /// The homeserver's id for it: a hint for people, never a key.
    pub txn_id: String,
    /// The room events, in order.
    pub events: Vec<NewEvent>,
    /// What the homeserver never sends again, as one JSON object: `to_device`, `device_lists`,
    /// one-time-key counts, fallback-key types. `None` when the transaction has none.
    pub extras: Option<String>,
    /// When it came.
    pub at: Timestamp,
    /// How many events may wait to be handled before this one, if it brings more.
    pub most_waiting: usize,
}

/// A room event as it came.
#[derive(Clone)]
pub struct NewEvent {
    /// Unique in one homeserver.
    pub event_id: OwnedEventId,
    /// The lane in which it is handled.
    pub room: OwnedRoomId,
    /// The event's JSON, client format.
    pub json: String,
    /// Nothing follows from it: it is to be known, and never handled.
    pub is_over: bool,
}

/// What became of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Taken {
    /// Events that are new.
    pub new: usize,
    /// Events that we had.
    pub repeated: usize,
}

/// An event that waits to be handled.
#[derive(Clone)]
pub struct InboxEvent {
    /// Its place.
    pub seq: InboxSeq,
    /// Who sent it to us.
    pub homeserver: OwnedServerName,
    /// Its id.
    pub event_id: OwnedEventId,
    /// Its room.
    pub room: OwnedRoomId,
    /// Its JSON, client format.
    pub json: String,
    /// When it came.
    pub at: Timestamp,
}
