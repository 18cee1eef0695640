//! Conversations: one (room, ghost) pair each.

use std::time::Duration;

use async_trait::async_trait;
use ruma::{OwnedRoomId, OwnedServerName, OwnedUserId, RoomId, UserId};

use super::Result;
use crate::gateway::model::{Conversation, ConversationId, Handset, Originator, Timestamp};

/// Conversations from their beginning to their end. Done by `steps/conversations.rs` and, for the numbers
/// that they hold, `steps/leases.rs`; why that is atomic: [`Store`](super::Store).
#[async_trait]
pub trait ConversationStore {
    /// Finds the active conversation that fits, or makes it. A direct one takes over the number of
    /// the owner's other direct conversation with this handset, which ends: what is queued there is
    /// cancelled and its room is told, in the same commit. An ended conversation
    /// of the same room and handset becomes active again, with its number where that is still
    /// reserved for it.
    ///
    /// *Again*: the conversation is active, by room and handset, or by owner and handset where it is
    /// direct: it is found, and nothing ends for it a second time ([`Opened::replaced`] is `None` then).
    async fn open_conversation(&self, request: OpenConversation) -> Result<Opened>;

    /// Ends a conversation: what is queued is cancelled and refunded (which is news), what may have
    /// arrived already and waits to be sent again is given up instead (lost, which is news too), its
    /// numbers cool off.
    ///
    /// *Again*: it is not active any more, and its numbers cool off since the first time. Fails with
    /// [`Conflict`](super::StoreError::Conflict) where there never was such a conversation.
    async fn end_conversation(
        &self,
        id: ConversationId,
        cooling_off: Duration,
        now: Timestamp,
    ) -> Result<()>;

    /// Ties a conversation to the room that was made for it, or to another one. Fails with
    /// [`Conflict`](super::StoreError::Conflict) where another conversation with the same handset is active
    /// there.
    ///
    /// *Again*: it is in that room already.
    async fn place_conversation(&self, id: ConversationId, room: &RoomId) -> Result<()>;

    /// The active direct conversation of a Matrix user and a phone.
    async fn direct_conversation(
        &self,
        owner: &UserId,
        handset: &Handset,
    ) -> Result<Option<Conversation>>;

    /// One conversation, active or ended.
    async fn conversation(&self, id: ConversationId) -> Result<Option<Conversation>>;
}

/// Asks for a conversation.
#[derive(Clone)]
pub struct OpenConversation {
    /// Whose ghost it is.
    pub homeserver: OwnedServerName,
    /// The portal; `None` finds or makes the owner's direct conversation with the handset, whose
    /// room may still have to be created.
    pub room: Option<OwnedRoomId>,
    /// The phone.
    pub handset: Handset,
    /// Its Matrix user.
    pub ghost: OwnedUserId,
    /// Who invited the ghost, or owns the number that the phone texted.
    pub owner: OwnedUserId,
    /// Only one per (owner, handset).
    pub direct: bool,
    /// The number to use, when the phone texted a dedicated one first. Where it serves this handset
    /// in an active conversation of the same owner already, that conversation is the answer; where
    /// another owner's has it (cooling included), this one is opened without it.
    pub originator: Option<Originator>,
    /// Now.
    pub now: Timestamp,
}

/// The conversation that was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// It.
    pub conversation: Conversation,
    /// The direct conversation whose number it took over, if this call did; its room hears of it by
    /// [`OutboxItem::Moved`](super::OutboxItem::Moved).
    pub replaced: Option<Conversation>,
}
