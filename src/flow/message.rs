//! What somebody says in a room, to whom it is: the bot, or the phones.

use ruma::UserId;

use super::inbox::Handled;
use super::{Gateway, Trouble, changes, membership, room_commands, to_phone};
use crate::gateway::command::{self, Command};
use crate::gateway::names::Who;
use crate::gateway::said::{MessageKind, RoomMessage};
use crate::store::{InboxEvent, Membership, RoomView};

/// Handles an `m.room.message` of a Matrix user that is an event of the inbox. Mostly all of it goes to
/// phones and nobody need be told anything: that is one step of the store.
pub(super) async fn handle_event(
    gateway: &Gateway,
    item: &InboxEvent,
    sender: &UserId,
    message: &RoomMessage,
) -> Result<Handled, Trouble> {
    let Some(room) = gateway.store.room(&item.homeserver, &item.room).await? else {
        return Ok(Handled::Done);
    };
    let is_plain = matches!(message.kind, MessageKind::Text { .. })
        && message.replaces.is_none()
        && !room.conversations.is_empty()
        && command_of(gateway, &room, message)?.is_none()
        && !membership::has_stragglers(gateway, &room)?;
    if is_plain && to_phone::say_at_once(gateway, item, sender, &room, message).await? {
        return Ok(Handled::Ended);
    }
    handle_in(gateway, item, sender, room, message).await?;
    Ok(Handled::Done)
}

/// Handles an `m.room.message` of a Matrix user.
pub(super) async fn handle(
    gateway: &Gateway,
    item: &InboxEvent,
    sender: &UserId,
    message: &RoomMessage,
) -> Result<(), Trouble> {
    match gateway.store.room(&item.homeserver, &item.room).await? {
        Some(room) => handle_in(gateway, item, sender, room, message).await,
        None => Ok(()),
    }
}

async fn handle_in(
    gateway: &Gateway,
    item: &InboxEvent,
    sender: &UserId,
    mut room: RoomView,
    message: &RoomMessage,
) -> Result<(), Trouble> {
    if matches!(message.kind, MessageKind::Notice) {
        return Ok(());
    }
    if let Some(command) = command_of(gateway, &room, message)? {
        return room_commands::answer(gateway, item, sender, &room, command).await;
    }
    if membership::settle_stragglers(gateway, item, &room).await? {
        let found = gateway.store.room(&item.homeserver, &item.room).await?;
        room = found.unwrap_or(room);
    }
    if room.conversations.is_empty() {
        return Ok(());
    }
    if let Some(original) = &message.replaces {
        return changes::edit(gateway, item, sender, &room, message, original).await;
    }
    let phones = &room.conversations;
    let unsaid = to_phone::say(gateway, item, sender, &room, message, phones).await?;
    let words = unsaid.words.join("\n");
    to_phone::tell_refused(gateway, item, sender, &unsaid.conversations, words).await
}

/// What a message tells the gateway to do, where it is for the gateway.
fn command_of(
    gateway: &Gateway,
    room: &RoomView,
    message: &RoomMessage,
) -> Result<Option<Command>, Trouble> {
    let own_room = is_bots_own(gateway, room)?;
    Ok(match &message.kind {
        MessageKind::Text { body } => command::parse(body, own_room),
        _ => own_room.then_some(Command::NotWords),
    })
}

/// True for a room of the bot and one person.
fn is_bots_own(gateway: &Gateway, room: &RoomView) -> Result<bool, Trouble> {
    if !room.conversations.is_empty() {
        return Ok(false);
    }
    let names = &gateway.connected(&room.facts.homeserver)?.names;
    let members = room.facts.members.iter();
    let present = members.filter(|member| member.membership != Membership::Gone);
    let (mut bot, mut people, mut phones) = (false, 0, 0);
    for member in present {
        match names.who(&member.user) {
            Who::Bot => bot = true,
            Who::Foreign => people += 1,
            Who::Ghost(_) => phones += 1,
            Who::Misnamed { .. } => {}
        }
    }
    Ok(bot && people <= 1 && phones == 0)
}
