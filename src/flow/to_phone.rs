//! From a room to its phones: what a Matrix user says becomes one message for each phone.

use ruma::{OwnedUserId, UserId};

use super::{Gateway, Trouble};
use crate::gateway::model::{Conversation, Source};
use crate::gateway::outgoing::{self, Outgoing, Speaker};
use crate::gateway::plan::{self, Draft};
use crate::gateway::said::RoomMessage;
use crate::gateway::{notice, number};
use crate::store::{
    Acceptance, InboxEvent, Lane, Member, Membership, NewOutbox, OutboxItem, RoomView,
};

/// Sends what `message` says into `conversations` of `room`. Gives the words for what was not sent.
pub(super) async fn say(
    gateway: &Gateway,
    item: &InboxEvent,
    sender: &UserId,
    room: &RoomView,
    message: &RoomMessage,
    conversations: &[Conversation],
) -> Result<Vec<String>, Trouble> {
    let name = speaker_name(&room.facts.members, sender);
    let speaker = Speaker {
        name: &name,
        ambiguous: is_ambiguous(gateway, room),
    };
    let text = match outgoing::outgoing(message, speaker) {
        Outgoing::Silent => return Ok(Vec::new()),
        Outgoing::Unsendable(words) => return Ok(vec![words]),
        Outgoing::Text(text) => text,
        Outgoing::Partly { text, words } => {
            tell_left_out(gateway, item, sender, conversations, words).await?;
            text
        }
    };
    let source = source_of(item, sender, message);
    let mut refusals = Vec::new();
    for conversation in conversations {
        let payer = sender.to_owned();
        if let Some(words) = send(gateway, source.clone(), conversation, payer, &text).await? {
            refusals.push(words);
        }
    }
    Ok(refusals)
}

/// Has the store accept one text for one phone. Gives the words for the room where it is refused.
pub(super) async fn send(
    gateway: &Gateway,
    source: Source,
    conversation: &Conversation,
    payer: OwnedUserId,
    text: &str,
) -> Result<Option<String>, Trouble> {
    let phone = number::display(&conversation.handset);
    let dedicated = gateway.dedicated_numbers(&conversation.owner).await?;
    let now = gateway.clock.now();
    let draft = Draft {
        source,
        conversation,
        payer,
        text,
        dedicated,
        now,
    };
    let planned = match plan::plan(&gateway.settings, draft) {
        Ok(planned) => planned,
        Err(why) => {
            gateway.metrics.refused(&why);
            return Ok(Some(notice::unplannable(&why, &phone)));
        }
    };
    let group = planned.link_group.clone();
    match gateway.store.accept_message(planned).await? {
        Acceptance::Queued { .. } | Acceptance::Repeated(_) => {
            gateway.wakes.group(&group);
            Ok(None)
        }
        Acceptance::Refused(why) => {
            gateway.metrics.refused_by_store(&why);
            Ok(Some(notice::refused(&why, &phone, &gateway.currency())))
        }
    }
}

/// Answers an event with one notice, where there is something to say, from the first of these conversations' ghosts.
pub(super) async fn tell_refused(
    gateway: &Gateway,
    item: &InboxEvent,
    sender: &UserId,
    conversations: &[Conversation],
    text: String,
) -> Result<(), Trouble> {
    let Some(first) = conversations.first().filter(|_| !text.is_empty()) else {
        return Ok(());
    };
    let entry = NewOutbox {
        key: format!("refused:{}:{}", item.homeserver, item.event_id),
        lane: Lane::Conversation(first.id),
        item: OutboxItem::Refused {
            conversation: first.id,
            event: item.event_id.clone(),
            text,
            to: Some(sender.to_owned()),
        },
    };
    gateway.enqueue(entry).await
}

/// Says once in the room what of an event the phones do not get.
async fn tell_left_out(
    gateway: &Gateway,
    item: &InboxEvent,
    sender: &UserId,
    conversations: &[Conversation],
    text: String,
) -> Result<(), Trouble> {
    let Some(first) = conversations.first() else {
        return Ok(());
    };
    let entry = NewOutbox {
        key: format!("left-out:{}:{}", item.homeserver, item.event_id),
        lane: Lane::Conversation(first.id),
        item: OutboxItem::Notice {
            homeserver: item.homeserver.clone(),
            room: item.room.clone(),
            sender: first.ghost.clone(),
            text,
            reply_to: Some(item.event_id.clone()),
            to: Some(sender.to_owned()),
        },
    };
    gateway.enqueue(entry).await
}

/// More than two parties: a phone could not tell who speaks. A phone that is about to join is one.
pub(super) fn is_ambiguous(gateway: &Gateway, room: &RoomView) -> bool {
    let is_party = |member: &&Member| match member.membership {
        Membership::Joined => !gateway.is_ours(&member.user),
        Membership::Invited => gateway.is_phone(&room.facts.homeserver, &member.user),
        Membership::Gone => false,
    };
    let parties = room.facts.members.iter().filter(is_party).count();
    parties + room.conversations.len() > 2
}

/// The name by which the phones of a room know one of its Matrix users.
fn speaker_name(members: &[Member], user: &UserId) -> String {
    let member = members.iter().find(|member| member.user == user);
    outgoing::speaker_name(member.and_then(|one| one.display_name.as_deref()), user)
}

/// The phones of these conversations as people read them.
pub(super) fn phones<'a>(conversations: impl Iterator<Item = &'a Conversation>) -> String {
    let names: Vec<_> = conversations
        .map(|one| number::display(&one.handset))
        .collect();
    names.join(" and ")
}

/// The event as the source of a message; an edit speaks for the event that it replaces.
fn source_of(item: &InboxEvent, sender: &UserId, message: &RoomMessage) -> Source {
    let this = item.event_id.clone();
    let (event, edit) = match &message.replaces {
        Some(original) => (original.clone(), Some(this)),
        None => (this, None),
    };
    Source::Event {
        homeserver: item.homeserver.clone(),
        event,
        edit,
        sender: sender.to_owned(),
    }
}
