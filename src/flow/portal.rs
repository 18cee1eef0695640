//! Rooms that the gateway makes, and people whom it brings back into them.

use matrix_smpp_codec::e164::E164;
use ruma::{OwnedRoomId, RoomId, UserId};
use serde_json::Value;
use tracing::info;

use super::to_phone::{self, Sent};
use super::{Connected, Gateway, Trouble, bounds};
use crate::gateway::model::{Conversation, E164Text, Handset, Source};
use crate::gateway::{content, notice, number, plan};
use crate::matrix::homeserver::{ErrorKind, MARKER_TYPE, NewRoom};
use crate::store::{InboxEvent, Membership, OpenConversation, RoomFacts};

/// The room of a conversation, with its ghost in it and somebody to read: made where there is
/// none, its owner invited again where nobody is left.
pub(super) async fn ready(
    gateway: &Gateway,
    conversation: &Conversation,
) -> Result<OwnedRoomId, Trouble> {
    let home = gateway.connected(&conversation.homeserver)?;
    let phone = || number::display(&conversation.handset);
    gateway
        .ghosts
        .ensure(&*home.api, &conversation.ghost, phone)
        .await?;
    let Some(room) = &conversation.room else {
        return make(gateway, home, conversation).await;
    };
    if somebody_reads(gateway, conversation, room).await? {
        return Ok(room.clone());
    }
    match home
        .api
        .invite(
            &conversation.ghost,
            room,
            &conversation.owner,
            conversation.direct,
        )
        .await
    {
        Ok(()) => Ok(room.clone()),
        Err(error) if matches!(error.kind(), ErrorKind::Retry { .. }) => Err(error.into()),
        Err(_) => make(gateway, home, conversation).await,
    }
}

/// Makes a new room for the conversation in place of one that cannot be used any more.
pub(super) async fn replace(
    gateway: &Gateway,
    conversation: &Conversation,
) -> Result<OwnedRoomId, Trouble> {
    make(
        gateway,
        gateway.connected(&conversation.homeserver)?,
        conversation,
    )
    .await
}

/// The `text` command: a direct conversation, its room, and the first text if one is given.
pub(super) async fn open_by_command(
    gateway: &Gateway,
    item: &InboxEvent,
    owner: &UserId,
    number: E164,
    text: Option<&str>,
) -> Result<String, Trouble> {
    let phone = number::display_number(number);
    let route = match gateway.route_to(number).await? {
        Ok(route) => route,
        Err(why) => return Ok(notice::unreachable(&why, &phone)),
    };
    let handset = Handset::Number(E164Text(number));
    let known = gateway.store.direct_conversation(owner, &handset).await?;
    // A room that is there goes on, and so does one that was made just before a crash.
    if known.is_none_or(|known| known.room.is_none()) {
        let cost = plan::cost(&route, text.unwrap_or_default());
        if let Some(why) = bounds::no_room(gateway, owner, number, cost).await? {
            return Ok(why);
        }
    }
    let home = gateway.connected(&item.homeserver)?;
    let conversation = open_direct(gateway, home, owner, handset).await?;
    let room = ready(gateway, &conversation).await?;
    let opened = if is_joined(gateway, &conversation, &room).await? {
        notice::room_known(&phone)
    } else {
        notice::room_opened(&phone)
    };
    let Some(text) = text else {
        return Ok(opened);
    };
    let shown = show_first_text(gateway, home, item, (&conversation, &room), text).await?;
    let source = Source::Event {
        homeserver: item.homeserver.clone(),
        event: shown.event_id.clone(),
        edit: None,
        sender: owner.to_owned(),
    };
    let sent = to_phone::send(gateway, source, &conversation, owner.to_owned(), text).await?;
    let Sent::Refused(refused) = sent else {
        return Ok(opened);
    };
    let words = refused.to_payer(gateway);
    to_phone::tell_refused(gateway, &shown, owner, &[conversation], words.clone()).await?;
    Ok(words)
}

/// Shows in a conversation's room what was written elsewhere, so that its ✓ has a place.
async fn show_first_text(
    gateway: &Gateway,
    home: &Connected,
    item: &InboxEvent,
    (conversation, room): (&Conversation, &OwnedRoomId),
    text: &str,
) -> Result<InboxEvent, Trouble> {
    let body = content::notice(&notice::first_text(text), None);
    let txn = format!("{}-text-{}", gateway.store.instance(), item.event_id);
    let event_id = home
        .api
        .send(&conversation.ghost, room, "m.room.message", &txn, &body)
        .await?;
    Ok(InboxEvent {
        event_id,
        room: room.clone(),
        ..item.clone()
    })
}

async fn open_direct(
    gateway: &Gateway,
    home: &Connected,
    owner: &UserId,
    handset: Handset,
) -> Result<Conversation, Trouble> {
    let ghost = home
        .names
        .ghost(&handset)
        .ok_or_else(|| Trouble::Never("the sender's name is too long".to_owned()))?;
    let request = OpenConversation {
        homeserver: home.names.server().to_owned(),
        room: None,
        handset,
        ghost,
        owner: owner.to_owned(),
        direct: true,
        originator: None,
        now: gateway.clock.now(),
    };
    Ok(gateway.store.open_conversation(request).await?.conversation)
}

/// True where the owner, or in a group anybody but us, is in the room or invited.
async fn somebody_reads(
    gateway: &Gateway,
    conversation: &Conversation,
    room: &OwnedRoomId,
) -> Result<bool, Trouble> {
    let Some(view) = gateway.store.room(&conversation.homeserver, room).await? else {
        return Ok(false);
    };
    Ok(view.facts.members.iter().any(|member| {
        member.membership != Membership::Gone
            && !gateway.is_ours(&member.user)
            && (!conversation.direct || member.user == conversation.owner)
    }))
}

/// True where the owner is in the conversation's room.
async fn is_joined(
    gateway: &Gateway,
    conversation: &Conversation,
    room: &OwnedRoomId,
) -> Result<bool, Trouble> {
    let view = gateway.store.room(&conversation.homeserver, room).await?;
    let members = view.map(|view| view.facts.members).unwrap_or_default();
    Ok(members
        .iter()
        .any(|member| member.user == conversation.owner && member.membership == Membership::Joined))
}

/// True where the gateway made `room` for a conversation of `ghost` that has no other room with the
/// ghost in it: the homeserver's answer was lost. The conversation is in this room from now on.
pub(super) async fn find_own(
    gateway: &Gateway,
    home: &Connected,
    room: &RoomId,
    ghost: &UserId,
) -> Result<bool, Trouble> {
    let marker = match home.api.own_marker(ghost, room).await {
        Ok(marker) => marker.unwrap_or_default(),
        Err(error) if error.is_temporary() => return Err(error.into()),
        Err(_) => return Ok(false),
    };
    let Some(id) = content::conversation_of(&marker, gateway.store.instance()) else {
        return Ok(false);
    };
    let Some(conversation) = gateway.store.conversation(id).await? else {
        return Ok(false);
    };
    if !conversation.active
        || conversation.ghost != ghost
        || has_room(gateway, &conversation).await?
    {
        return Ok(false);
    }
    gateway.store.place_conversation(id, room).await?;
    info!(conversation = %id, "the room that was made for a phone is found");
    Ok(true)
}

/// True where the conversation has a room that its ghost is in, as far as the store knows.
async fn has_room(gateway: &Gateway, conversation: &Conversation) -> Result<bool, Trouble> {
    let Some(room) = &conversation.room else {
        return Ok(false);
    };
    let view = gateway.store.room(&conversation.homeserver, room).await?;
    let members = view.map(|view| view.facts.members).unwrap_or_default();
    Ok(members
        .iter()
        .any(|member| member.user == conversation.ghost))
}

/// Makes the conversation's room, or finds the one that was made just before a crash.
async fn make(
    gateway: &Gateway,
    home: &Connected,
    conversation: &Conversation,
) -> Result<OwnedRoomId, Trouble> {
    let marker = content::marker(conversation, gateway.store.instance());
    let room = if let Some(room) = find_made(gateway, home, conversation, &marker).await? {
        home.api
            .invite(&conversation.ghost, &room, &conversation.owner, true)
            .await?;
        room
    } else {
        home.api
            .create_room(&conversation.ghost, new_room(home, conversation, marker))
            .await?
    };
    gateway
        .store
        .place_conversation(conversation.id, &room)
        .await?;
    info!(conversation = %conversation.id, "a room was made for a phone");
    Ok(room)
}

fn new_room(home: &Connected, conversation: &Conversation, marker: Value) -> NewRoom {
    let phone = number::display(&conversation.handset);
    let bridge = content::bridge(conversation, home.names.bot(), &phone);
    let network = content::network(conversation);
    NewRoom {
        invite: vec![conversation.owner.clone()],
        is_direct: conversation.direct,
        initial_state: vec![
            (MARKER_TYPE.to_owned(), String::new(), marker),
            (content::BRIDGE.to_owned(), network, bridge),
        ],
    }
}

/// Creating a room cannot be repeated safely, so a room that bears this conversation's mark, and
/// is not the one that is being replaced, is taken instead.
async fn find_made(
    gateway: &Gateway,
    home: &Connected,
    conversation: &Conversation,
    marker: &Value,
) -> Result<Option<OwnedRoomId>, Trouble> {
    let ghost = &conversation.ghost;
    let phone = number::display(&conversation.handset);
    for room in joined_rooms(gateway, home, (ghost, &phone)).await? {
        if conversation.room.as_ref() != Some(&room) && is_made(home, ghost, &room, marker).await? {
            return Ok(Some(room));
        }
    }
    Ok(None)
}

/// Every room that one of ours, whose display name is `name`, is in. A homeserver that was restored
/// from a backup may have lost the user, and says no more of it than that it is forbidden: so the
/// user is made again.
async fn joined_rooms(
    gateway: &Gateway,
    home: &Connected,
    (user, name): (&UserId, &str),
) -> Result<Vec<OwnedRoomId>, Trouble> {
    match home.api.joined_rooms(user).await {
        Err(error) if error.kind() == ErrorKind::Forbidden => {
            gateway.ghosts.renew(&*home.api, user, name).await?;
            Ok(home.api.joined_rooms(user).await?)
        }
        rooms => Ok(rooms?),
    }
}

/// True where `user` made this room and marked it so. A room that cannot be read is another's:
/// strangers must not stand in the way of everything that follows.
async fn is_made(
    home: &Connected,
    user: &UserId,
    room: &RoomId,
    marker: &Value,
) -> Result<bool, Trouble> {
    match home.api.own_marker(user, room).await {
        Ok(found) => Ok(found.as_ref() == Some(marker)),
        Err(error) if error.is_temporary() && error.status() != Some(500) => Err(error.into()),
        Err(_) => Ok(false),
    }
}

/// The room that the gateway made for its bot and one person, and that nobody else is in; made
/// where there is none but `unusable`. Rooms that others made are never taken, whoever is in them:
/// what is said here is for one person alone.
pub(super) async fn bots_room(
    gateway: &Gateway,
    home: &Connected,
    person: &UserId,
    unusable: Option<&RoomId>,
) -> Result<OwnedRoomId, Trouble> {
    let (server, bot) = (home.names.server(), home.names.bot());
    let marker = content::bot_marker(person, gateway.store.instance());
    let newest = gateway.store.bot_room(server, bot, person).await?;
    if let Some(room) = newest.filter(|room| Some(&**room) != unusable)
        && is_made(home, bot, &room, &marker).await?
    {
        return Ok(room);
    }
    let name = &gateway.settings.gateway.public_name;
    for room in joined_rooms(gateway, home, (bot, name)).await? {
        if Some(&*room) != unusable
            && is_private(gateway, home, &room, person).await?
            && is_made(home, bot, &room, &marker).await?
            && is_invited(home, &room, person).await?
        {
            return learn_bots_room(gateway, home, room).await;
        }
    }
    let new = NewRoom {
        invite: vec![person.to_owned()],
        is_direct: true,
        initial_state: vec![(MARKER_TYPE.to_owned(), String::new(), marker)],
    };
    let room = home.api.create_room(bot, new).await?;
    learn_bots_room(gateway, home, room).await
}

/// False where the store knows of anybody in the room but the bot and this person.
async fn is_private(
    gateway: &Gateway,
    home: &Connected,
    room: &RoomId,
    person: &UserId,
) -> Result<bool, Trouble> {
    let view = gateway.store.room(home.names.server(), room).await?;
    let members = view.map(|view| view.facts.members).unwrap_or_default();
    Ok(members
        .iter()
        .all(|member| member.user == person || member.user == home.names.bot()))
}

/// Brings a person back into the bot's room with them, where the room lets it.
async fn is_invited(home: &Connected, room: &RoomId, person: &UserId) -> Result<bool, Trouble> {
    let bot = home.names.bot();
    match home.api.invite(bot, room, person, true).await {
        Err(error) if error.is_temporary() => Err(error.into()),
        invited => Ok(invited.is_ok()),
    }
}

async fn learn_bots_room(
    gateway: &Gateway,
    home: &Connected,
    room: OwnedRoomId,
) -> Result<OwnedRoomId, Trouble> {
    let state = home.api.room_state(home.names.bot(), &room).await?;
    let facts = RoomFacts {
        homeserver: home.names.server().to_owned(),
        room: room.clone(),
        encrypted: state.encrypted,
        members: state.members,
    };
    gateway.store.put_room(facts).await?;
    Ok(room)
}
