//! Encrypted rooms, and what cannot be read.

use ruma::UserId;

use super::rooms::say_and_leave;
use super::{bot_says, end};
use crate::flow::{Connected, Gateway, Trouble, to_phone};
use crate::gateway::model::Conversation;
use crate::gateway::{notice, number};
use crate::store::{InboxEvent, Member, Membership, RoomView};

/// A message came that cannot be read. Anybody can say so of any message, so the room's state
/// decides whether it is encrypted.
pub(in crate::flow) async fn unreadable(
    gateway: &Gateway,
    item: &InboxEvent,
    sender: &UserId,
) -> Result<(), Trouble> {
    let Some(room) = gateway.store.room(&item.homeserver, &item.room).await? else {
        return Ok(());
    };
    if room.facts.encrypted || is_encrypted(gateway, item, &room).await? {
        return leave_encrypted(gateway, item, sender).await;
    }
    to_phone::tell_refused(
        gateway,
        item,
        sender,
        &room.conversations,
        notice::unreadable(),
    )
    .await
}

/// What the homeserver says of a room's encryption, to whoever of ours is in it.
async fn is_encrypted(
    gateway: &Gateway,
    item: &InboxEvent,
    room: &RoomView,
) -> Result<bool, Trouble> {
    let home = gateway.connected(&item.homeserver)?;
    let phones = room.conversations.iter().map(|one| &*one.ghost);
    for user in phones.chain([home.names.bot()]) {
        match home.api.room_state(user, &item.room).await {
            Ok(state) => return Ok(state.encrypted),
            Err(error) if error.is_temporary() => return Err(error.into()),
            Err(_) => {}
        }
    }
    Ok(false)
}

/// The room is encrypted: every phone in it says so and leaves.
pub(in crate::flow) async fn leave_encrypted(
    gateway: &Gateway,
    item: &InboxEvent,
    sender: &UserId,
) -> Result<(), Trouble> {
    gateway
        .store
        .set_encrypted(&item.homeserver, &item.room)
        .await?;
    let Some(room) = gateway.store.room(&item.homeserver, &item.room).await? else {
        return Ok(());
    };
    let home = gateway.connected(&item.homeserver)?;
    for conversation in &room.conversations {
        refuse_encrypted(gateway, home, item, conversation).await?;
    }
    let bot = home.names.bot();
    let is_bot = |member: &Member| member.user == bot && member.membership == Membership::Joined;
    if !room.facts.members.iter().any(is_bot) {
        return Ok(());
    }
    // Once for a room.
    let key = format!("encrypted:{}:{}", item.homeserver, item.room);
    let says = (notice::encrypted_bot(), Some(sender));
    bot_says(gateway, home, item, key, says).await
}

/// A phone says that it cannot read what is said in the room of `item`, leaves, and its
/// conversation ends.
pub(in crate::flow) async fn refuse_encrypted(
    gateway: &Gateway,
    home: &Connected,
    item: &InboxEvent,
    conversation: &Conversation,
) -> Result<(), Trouble> {
    let words = notice::encrypted(&number::display(&conversation.handset));
    say_and_leave(gateway, home, &item.room, &conversation.ghost, &words, item).await?;
    end(gateway, conversation).await
}
