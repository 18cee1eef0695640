//! Ghosts that were made, and what the state of rooms says.

use async_trait::async_trait;
use ruma::{OwnedRoomId, OwnedServerName, OwnedUserId, RoomId, ServerName, UserId};

use super::{Membership, Result};
use crate::gateway::model::Conversation;

/// A copy of what homeservers have told of ghosts and rooms. Done by `steps/rooms.rs`; why that is atomic:
/// [`Store`](super::Store).
///
/// *Again*: each change says what is so from now on, not by how much it differs, so a repetition finds
/// it so. Which of two counts is up to the order in which they are asked for: the events of one room are
/// handled one after the other.
#[async_trait]
pub trait RoomStore {
    /// True once the ghost is registered, named and has its device.
    async fn ghost_is_ready(&self, ghost: &UserId) -> Result<bool>;

    /// Remembers that the ghost is registered, named and has its device; for ever, as the homeserver does.
    async fn set_ghost_ready(&self, ghost: &UserId) -> Result<()>;

    /// Replaces all that is known of a room by what its state says now, but for its encryption, from which
    /// there is no way back.
    async fn put_room(&self, room: RoomFacts) -> Result<()>;

    /// One membership changed. Members that are not invited or joined any more are forgotten; so is
    /// a room that the last ready ghost has left and in which no conversation is active.
    /// Nothing is kept of a room that [`put_room`](Self::put_room) has not told yet: it will tell all.
    async fn put_member(
        &self,
        homeserver: &ServerName,
        room: &RoomId,
        member: Member,
    ) -> Result<()>;

    /// The room is encrypted from now on; there is no way back. Nothing is kept of a room never
    /// put.
    async fn set_encrypted(&self, homeserver: &ServerName, room: &RoomId) -> Result<()>;

    /// What is known of a room with its active conversations; `None` for one never seen.
    async fn room(&self, homeserver: &ServerName, room: &RoomId) -> Result<Option<RoomView>>;

    /// About `limit` of all rooms, in no order, from the beginning or from where the last page ended.
    /// A room that is known throughout is in at least one page.
    async fn rooms(&self, from: Option<String>, limit: usize) -> Result<RoomsPage>;

    /// The room that only `bot` and `user` share (either may still be invited); the newest of
    /// several.
    async fn bot_room(
        &self,
        homeserver: &ServerName,
        bot: &UserId,
        user: &UserId,
    ) -> Result<Option<OwnedRoomId>>;
}

/// What a room's state says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoomFacts {
    /// Whose room this is.
    pub homeserver: OwnedServerName,
    /// The room.
    pub room: OwnedRoomId,
    /// It has an `m.room.encryption` event.
    pub encrypted: bool,
    /// Everyone invited or joined.
    pub members: Vec<Member>,
}

/// One person in a room.
#[derive(Clone, PartialEq, Eq)]
pub struct Member {
    /// Who.
    pub user: OwnedUserId,
    /// Their standing.
    pub membership: Membership,
    /// Their name in this room.
    pub display_name: Option<String>,
}

/// Some rooms.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RoomsPage {
    /// Them.
    pub rooms: Vec<RoomFacts>,
    /// Where the next page begins; `None` after the last.
    pub next: Option<String>,
}

/// A room with its active conversations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoomView {
    /// What its state says.
    pub facts: RoomFacts,
    /// Its active conversations, oldest first.
    pub conversations: Vec<Conversation>,
}
