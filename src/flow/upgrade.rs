//! Rooms that are replaced by another (Client-Server API §11.38, room upgrades): the conversations
//! go on in the new room, with the same numbers.

use ruma::{OwnedRoomId, RoomId, UserId};
use tracing::info;

use super::{Connected, Gateway, Trouble, membership};
use crate::gateway::model::Conversation;
use crate::gateway::{notice, number};
use crate::store::{InboxEvent, Lane, NewOutbox, OutboxItem};

/// The room of an event is closed: each of its phones goes to the new room where it may, and else
/// its owner hears how to bring it there.
pub(super) async fn follow(
    gateway: &Gateway,
    item: &InboxEvent,
    replacement: Option<OwnedRoomId>,
) -> Result<(), Trouble> {
    let Some(room) = gateway.store.room(&item.homeserver, &item.room).await? else {
        return Ok(());
    };
    let home = gateway.connected(&item.homeserver)?;
    for conversation in &room.conversations {
        let followed = match &replacement {
            Some(new) => enter(gateway, home, item, conversation, new).await?,
            None => false,
        };
        if !followed {
            tell_how(gateway, item, conversation).await?;
        }
    }
    Ok(())
}

/// The ghost goes to the new room, if its rules let it. It is invited there later, if at all, in
/// most private rooms: see [`continue_in`].
async fn enter(
    gateway: &Gateway,
    home: &Connected,
    item: &InboxEvent,
    conversation: &Conversation,
    new: &OwnedRoomId,
) -> Result<bool, Trouble> {
    let phone = number::display(&conversation.handset);
    match membership::join(gateway, home, (&conversation.ghost, &phone), new).await {
        Ok(true) => {}
        Ok(false) | Err(Trouble::Never(_)) => return Ok(false),
        Err(later) => return Err(later),
    }
    let in_new = InboxEvent {
        room: new.clone(),
        ..item.clone()
    };
    let (facts, _) = membership::learn_room(gateway, home, &in_new, &conversation.ghost).await?;
    if facts.encrypted {
        membership::refuse_encrypted(gateway, home, &in_new, conversation).await?;
        return Ok(true);
    }
    go_on(gateway, home, conversation, &item.room, new).await?;
    Ok(true)
}

/// A ghost has come into `new`, which says that it continues `old`. Where `old` says so too, the
/// conversation of the old room goes on here.
pub(super) async fn continue_in(
    gateway: &Gateway,
    home: &Connected,
    ghost: &UserId,
    old: &OwnedRoomId,
    new: &OwnedRoomId,
) -> Result<(), Trouble> {
    let room = gateway.store.room(home.names.server(), old).await?;
    let conversations = room.map(|room| room.conversations).unwrap_or_default();
    let Some(conversation) = conversations.iter().find(|one| one.ghost == ghost) else {
        return Ok(());
    };
    match home.api.room_state(ghost, old).await {
        Ok(state) if state.replacement.as_ref() == Some(new) => {
            go_on(gateway, home, conversation, old, new).await
        }
        Err(error) if error.is_temporary() => Err(error.into()),
        Ok(_) | Err(_) => Ok(()),
    }
}

async fn go_on(
    gateway: &Gateway,
    home: &Connected,
    conversation: &Conversation,
    old: &OwnedRoomId,
    new: &RoomId,
) -> Result<(), Trouble> {
    let there = gateway.store.room(&conversation.homeserver, new).await?;
    let others = there.map(|room| room.conversations).unwrap_or_default();
    let is_other =
        |one: &Conversation| one.ghost == conversation.ghost && one.id != conversation.id;
    if others.iter().any(is_other) {
        // The phone was invited before the old room was closed: that conversation goes on.
        return membership::leave(home, &conversation.ghost, old, "This room was replaced.").await;
    }
    gateway
        .store
        .place_conversation(conversation.id, new)
        .await?;
    info!(conversation = %conversation.id, "a conversation goes on in the room that replaced its own");
    membership::leave(home, &conversation.ghost, old, "This room was replaced.").await
}

/// Nobody can speak in a room that was replaced, so the bot tells the owner.
async fn tell_how(
    gateway: &Gateway,
    item: &InboxEvent,
    conversation: &Conversation,
) -> Result<(), Trouble> {
    let phone = number::display(&conversation.handset);
    let entry = NewOutbox {
        key: format!("upgraded:{}:{}", conversation.id, item.event_id),
        lane: Lane::Conversation(conversation.id),
        item: OutboxItem::TellOwner {
            homeserver: item.homeserver.clone(),
            owner: conversation.owner.clone(),
            text: notice::room_replaced(&phone, &conversation.ghost),
        },
    };
    gateway.enqueue(entry).await
}
