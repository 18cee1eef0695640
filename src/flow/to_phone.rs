//! From a room to its phones: what a Matrix user says becomes one message for each phone.

use std::collections::BTreeSet;

use matrix_smpp_config::Money;
use ruma::{OwnedUserId, UserId};
use tracing::warn;

use super::{Gateway, Trouble, bounds};
use crate::gateway::allowance::Permission;
use crate::gateway::model::{Conversation, Source};
use crate::gateway::outgoing::{self, Outgoing, Speaker};
use crate::gateway::plan::{self, Draft, Unplannable};
use crate::gateway::said::RoomMessage;
use crate::gateway::{notice, number};
use crate::store::{
    Acceptance, InboxEvent, Lane, Member, Membership, NewMessage, NewOutbox, OutboxItem, Refusal,
    RoomView, StoreError,
};

/// What an event says and phones do not get.
#[derive(Default)]
pub(super) struct Unsaid {
    /// The conversations of these phones.
    pub(super) conversations: Vec<Conversation>,
    /// Why, for the one who said it. Without any words there is nothing to tell.
    pub(super) words: Vec<String>,
}

/// Sends what `message` says into `conversations` of `room`. Gives what was not sent.
pub(super) async fn say(
    gateway: &Gateway,
    item: &InboxEvent,
    sender: &UserId,
    room: &RoomView,
    message: &RoomMessage,
    conversations: &[Conversation],
) -> Result<Unsaid, Trouble> {
    let unsaid = |words| {
        Ok(Unsaid {
            conversations: conversations.to_vec(),
            words,
        })
    };
    let name = speaker_name(&room.facts.members, sender);
    let speaker = Speaker {
        name: &name,
        ambiguous: is_ambiguous(gateway, room),
    };
    let text = match outgoing::outgoing(message, speaker) {
        Outgoing::Silent => return unsaid(Vec::new()),
        Outgoing::Unsendable(words) => return unsaid(vec![words]),
        Outgoing::Text(text) => text,
        Outgoing::Partly { text, words } => {
            tell_left_out(gateway, (item, sender), conversations, words).await?;
            text
        }
    };
    let source = source_of(item, sender, message);
    let (mut refusals, mut paid) = (Vec::new(), Vec::new());
    let mut without = Vec::new();
    for conversation in conversations {
        let payer = sender.to_owned();
        match send(gateway, source.clone(), conversation, payer, &text).await? {
            Sent::Queued { cost } if conversation.owner != sender => {
                paid.push((conversation, cost));
            }
            Sent::Queued { .. } => {}
            Sent::Refused(refused) => {
                refusals.push(refused);
                without.push(conversation.clone());
            }
        }
    }
    tell_who_pays(gateway, (item, sender), &paid).await?;
    let mut words = refusals.iter().map(|one| one.to_payer(gateway)).collect();
    let uncovered = refusals.iter().all(Refused::is_uncovered) && !refusals.is_empty();
    if uncovered && is_without_account(gateway, sender).await? {
        words = tell_unpaid(gateway, (item, sender), &without, words).await?;
    }
    Ok(Unsaid {
        conversations: without,
        words,
    })
}

/// Sends what an event says into all conversations of its room and ends the event, where that is all
/// that is to be done: every phone gets it, and nobody need be told. False where it is not; then nothing
/// has been done.
pub(super) async fn say_at_once(
    gateway: &Gateway,
    item: &InboxEvent,
    sender: &UserId,
    room: &RoomView,
    message: &RoomMessage,
) -> Result<bool, Trouble> {
    // Who pays for phones that others have invited is told so.
    if room.conversations.iter().any(|one| one.owner != sender) {
        return Ok(false);
    }
    let name = speaker_name(&room.facts.members, sender);
    let speaker = Speaker {
        name: &name,
        ambiguous: is_ambiguous(gateway, room),
    };
    let Outgoing::Text(text) = outgoing::outgoing(message, speaker) else {
        return Ok(false);
    };
    let source = source_of(item, sender, message);
    let mut messages = Vec::with_capacity(room.conversations.len());
    for conversation in &room.conversations {
        let payer = sender.to_owned();
        match planned(gateway, source.clone(), conversation, payer, &text).await? {
            Ok(new) => messages.push(new),
            Err(_) => return Ok(false),
        }
    }
    let groups: BTreeSet<_> = messages.iter().map(|one| one.link_group.clone()).collect();
    match gateway.store.accept_event(item.seq, messages).await {
        Ok(()) => {}
        Err(StoreError::Conflict(_)) => return Ok(false),
        Err(error) => return Err(error.into()),
    }
    for group in &groups {
        gateway.wakes.group(group);
    }
    Ok(true)
}

/// True for somebody who has never had credit.
async fn is_without_account(gateway: &Gateway, user: &UserId) -> Result<bool, Trouble> {
    let account = gateway.store.account(user).await?;
    Ok(
        (account.top_ups, account.limit, account.settled)
            == (Money::ZERO, Money::ZERO, Money::ZERO),
    )
}

/// The words for somebody without an account; where they had them often enough, none but the status
/// of their message.
async fn tell_unpaid(
    gateway: &Gateway,
    (item, sender): (&InboxEvent, &UserId),
    conversations: &[Conversation],
    words: Vec<String>,
) -> Result<Vec<String>, Trouble> {
    match bounds::unpaid(gateway, item, sender) {
        Permission::Given => return Ok(words),
        Permission::Last => return Ok(vec![notice::no_more_notices(&words.join("\n"))]),
        Permission::Spent => {}
    }
    let Some(first) = conversations.first() else {
        return Ok(Vec::new());
    };
    let entry = NewOutbox {
        key: format!("unpaid:{}:{}", item.homeserver, item.event_id),
        lane: Lane::Conversation(first.id),
        item: OutboxItem::Refused {
            conversation: first.id,
            event: item.event_id.clone(),
            text: words.join("\n"),
            to: None,
            wordless: true,
        },
    };
    gateway.enqueue(entry).await?;
    Ok(Vec::new())
}

/// Tells somebody who pays for phones that others have invited, at their first text in the room.
async fn tell_who_pays(
    gateway: &Gateway,
    (item, sender): (&InboxEvent, &UserId),
    paid: &[(&Conversation, Money)],
) -> Result<(), Trouble> {
    let costs = paid.iter().map(|(_, cost)| *cost);
    let cost = costs.fold(Money::ZERO, |sum, cost| {
        sum.checked_add(cost).unwrap_or(sum)
    });
    let Some((first, _)) = paid.first().filter(|_| cost > Money::ZERO) else {
        return Ok(());
    };
    let names = phones(paid.iter().map(|(one, _)| *one));
    let entry = NewOutbox {
        key: format!("first-paid:{}:{}:{sender}", item.homeserver, item.room),
        lane: Lane::Conversation(first.id),
        item: OutboxItem::Notice {
            homeserver: item.homeserver.clone(),
            room: item.room.clone(),
            sender: first.ghost.clone(),
            text: notice::first_paid(&names, cost, &gateway.currency()),
            reply_to: Some(item.event_id.clone()),
            to: Some(sender.to_owned()),
        },
    };
    gateway.enqueue(entry).await
}

/// What became of one text for one phone.
pub(super) enum Sent {
    /// It is on its way, or was already.
    Queued {
        /// What all of it costs.
        cost: Money,
    },
    /// It is not sent.
    Refused(Refused),
}

/// Why a text is not sent to a phone.
pub(super) struct Refused {
    phone: String,
    why: Why,
}

enum Why {
    Unplannable(Unplannable),
    Refusal(Refusal),
}

impl Refused {
    /// The words for the person who would have paid.
    pub(super) fn to_payer(&self, gateway: &Gateway) -> String {
        match &self.why {
            Why::Unplannable(why) => notice::unplannable(why, &self.phone),
            Why::Refusal(why) => notice::refused(why, &self.phone, &gateway.currency()),
        }
    }

    /// The words for others: nothing of the payer's credit.
    pub(super) fn to_others(&self, gateway: &Gateway) -> String {
        match &self.why {
            Why::Unplannable(why) => notice::unplannable(why, &self.phone),
            Why::Refusal(why) => notice::relay_refused(why, &self.phone, &gateway.currency()),
        }
    }

    fn is_uncovered(&self) -> bool {
        matches!(self.why, Why::Refusal(Refusal::NoCredit { .. }))
    }
}

/// Has the store accept one text for one phone.
pub(super) async fn send(
    gateway: &Gateway,
    source: Source,
    conversation: &Conversation,
    payer: OwnedUserId,
    text: &str,
) -> Result<Sent, Trouble> {
    let refused = |why| {
        let phone = number::display(&conversation.handset);
        Ok(Sent::Refused(Refused { phone, why }))
    };
    let planned = match planned(gateway, source, conversation, payer, text).await? {
        Ok(planned) => planned,
        Err(why) => {
            gateway.metrics.refused(&why);
            return refused(Why::Unplannable(why));
        }
    };
    let group = planned.link_group.clone();
    let cost = planned.cost();
    match gateway.store.accept_message(planned).await? {
        Acceptance::Queued { .. } | Acceptance::Repeated(_) => {
            gateway.wakes.group(&group);
            Ok(Sent::Queued { cost })
        }
        Acceptance::Refused(why) => {
            gateway.metrics.refused_by_store(&why);
            warn_of_limit(&why);
            refused(Why::Refusal(why))
        }
    }
}

/// Tells operators of a limit that begins to refuse, without whose it is.
fn warn_of_limit(why: &Refusal) {
    if let Refusal::Limited(hit) = why
        && hit.is_first
    {
        let limit = hit.limit.name();
        warn!(
            limit,
            "a limit refuses messages: `matrix-smpp limits list` tells whose"
        );
    }
}

/// One text for one phone as the store is to accept it.
async fn planned(
    gateway: &Gateway,
    source: Source,
    conversation: &Conversation,
    payer: OwnedUserId,
    text: &str,
) -> Result<Result<NewMessage, Unplannable>, Trouble> {
    let dedicated = gateway.dedicated_numbers(&conversation.owner).await?;
    let draft = Draft {
        source,
        conversation,
        payer,
        text,
        dedicated,
        most_waiting: gateway.settings.limits.queued_messages,
        now: gateway.clock.now(),
    };
    Ok(plan::plan(&gateway.routing(), draft))
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
            wordless: false,
        },
    };
    gateway.enqueue(entry).await
}

/// Says once in the room what of an event the phones do not get.
async fn tell_left_out(
    gateway: &Gateway,
    (item, sender): (&InboxEvent, &UserId),
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
