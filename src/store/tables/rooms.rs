//! Rooms, conversations, and the numbers that they use.

use ruma::{OwnedRoomId, OwnedServerName, OwnedUserId, RoomId, ServerName, UserId};
use serde::{Deserialize, Serialize};

use super::Row;
use crate::gateway::model::{
    Conversation, ConversationId, E164Text, Handset, Originator, Timestamp,
};

/// A room.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RoomRow {
    /// Grows in the order of first sight.
    pub(crate) number: i64,
    pub(crate) encrypted: bool,
    /// Everyone invited or joined, by user id.
    pub(crate) members: Vec<MemberRow>,
}

impl Row for RoomRow {}

/// One person in a room.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MemberRow {
    pub(crate) user: OwnedUserId,
    /// Else invited.
    pub(crate) joined: bool,
    #[serde(default)]
    pub(crate) display_name: Option<String>,
}

impl std::fmt::Debug for MemberRow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = f.debug_struct("MemberRow");
        shown.field("joined", &self.joined).finish_non_exhaustive()
    }
}

/// A room that two people share with nobody else.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct TwoRow {
    /// [`RoomRow::number`].
    pub(crate) number: i64,
    pub(crate) room: OwnedRoomId,
}

impl Row for TwoRow {}

/// A conversation.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct ConversationRow(pub(crate) Conversation);

impl std::ops::Deref for ConversationRow {
    type Target = Conversation;

    fn deref(&self) -> &Conversation {
        &self.0
    }
}

impl Row for ConversationRow {}

/// A conversation of a room.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PortalRow {
    pub(crate) id: ConversationId,
    pub(crate) handset: Handset,
    pub(crate) active: bool,
}

impl Row for PortalRow {}

impl Row for ConversationId {}

/// A number that a phone sees, and the one conversation that it serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LeaseRow {
    pub(crate) vmn: E164Text,
    pub(crate) conversation: ConversationId,
    pub(crate) cooling_until: Option<Timestamp>,
}

impl Row for LeaseRow {}

/// The last concatenation reference between two numbers.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct ReferenceRow {
    pub(crate) value: u16,
    pub(crate) at: Timestamp,
}

impl Row for ReferenceRow {}

/// Key of [`super::Rooms`] and [`super::Portals`].
pub(crate) fn room_key(homeserver: &ServerName, room: &RoomId) -> String {
    [homeserver.as_str(), "|", room.as_str()].concat()
}

/// The homeserver and the room of such a key.
pub(crate) fn room_of(key: &str) -> Option<(OwnedServerName, OwnedRoomId)> {
    let (homeserver, room) = key.split_once('|')?;
    Some((homeserver.try_into().ok()?, room.try_into().ok()?))
}

/// Key of [`super::Twos`]; the order of the two does not matter.
pub(crate) fn two_key(homeserver: &ServerName, one: &UserId, other: &UserId) -> String {
    let (first, second) = if one < other {
        (one, other)
    } else {
        (other, one)
    };
    [
        homeserver.as_str(),
        "|",
        first.as_str(),
        "|",
        second.as_str(),
    ]
    .concat()
}

/// Key of [`super::Directs`].
pub(crate) fn pair_key(owner: &UserId, handset: &Handset) -> String {
    [owner.as_str(), "|", &handset.key()].concat()
}

/// Key of [`super::References`].
pub(crate) fn numbers_key(originator: &Originator, destination: &E164Text) -> String {
    format!("{}|{}", originator.digits(), destination.0)
}
