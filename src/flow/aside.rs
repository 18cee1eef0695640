//! What is set aside is told: in its room where that can be, else to the person whom it concerns,
//! and in the same commit that sets it aside. A tell that fails is told apart; one that was told
//! apart and fails ends there, counted and listed by `matrix-smpp queue`.

use ruma::{OwnedUserId, UserId};
use serde_json::Value;

use super::lanes::Doom;
use super::{Gateway, Trouble, receipt, room_commands};
use crate::gateway::model::{Conversation, ConversationId};
use crate::gateway::{notice, number};
use crate::store::{
    AsideId, Ending, InboxEvent, Lane, NewOutbox, OutboxEntry, OutboxItem, RoomView, Sms,
    SmsRecipient,
};

/// What somebody hears: where in order, and what.
type Told = Option<(Lane, OutboxItem)>;

/// The end of an event.
pub(super) async fn event(
    gateway: &Gateway,
    event: &InboxEvent,
    doom: Doom,
) -> Result<Ending, Trouble> {
    let id = AsideId::Event(event.seq);
    let report = id.to_string();
    let told = tell_event(gateway, event, &report);
    ending(gateway, id, doom, told).await
}

/// The end of a text of a phone.
pub(super) async fn sms(gateway: &Gateway, sms: &Sms, doom: Doom) -> Result<Ending, Trouble> {
    let id = AsideId::Sms(sms.id);
    let report = id.to_string();
    let told = tell_sms(gateway, sms, &report);
    ending(gateway, id, doom, told).await
}

/// The end of something to do at the homeserver.
pub(super) async fn entry(
    gateway: &Gateway,
    entry: &OutboxEntry,
    doom: Doom,
) -> Result<Ending, Trouble> {
    let id = AsideId::Outbox(entry.id);
    let report = id.to_string();
    let told = tell_entry(gateway, &entry.item, &report);
    ending(gateway, id, doom, told).await
}

/// Whoever cannot be found cannot be told; what may be known later is waited for.
async fn ending(
    gateway: &Gateway,
    id: AsideId,
    doom: Doom,
    told: impl Future<Output = Result<Told, Trouble>>,
) -> Result<Ending, Trouble> {
    let told = if doom.silent { Ok(None) } else { told.await };
    let told = match told {
        Err(later @ Trouble::Later { .. }) => return Err(later),
        Err(Trouble::Never(_)) => None,
        Ok(told) => told,
    };
    let at = gateway.clock.now();
    // One that is tried again by hand and fails again is told again.
    let key = format!("aside:{id}:{}", at.0);
    Ok(Ending::SetAside {
        reason: doom.why,
        at,
        tell: told.map(|(lane, item)| Box::new(NewOutbox { key, lane, item })),
    })
}

async fn tell_event(gateway: &Gateway, event: &InboxEvent, report: &str) -> Result<Told, Trouble> {
    // As little as can be is read here: reading it all may be what went wrong.
    let json: Value = serde_json::from_str(&event.json).unwrap_or_default();
    let sender = json.get("sender").and_then(Value::as_str);
    let sender = sender.and_then(|sender| OwnedUserId::try_from(sender).ok());
    let Some(sender) = sender.filter(|sender| !gateway.is_ours(sender)) else {
        return Ok(None);
    };
    let room = gateway.store.room(&event.homeserver, &event.room).await?;
    let said = json.get("type").and_then(Value::as_str) == Some("m.room.message");
    Ok(Some(match room {
        Some(room) => tell_event_in(gateway, event, &room, (sender, said), report)?,
        None => apart(event, sender, report),
    }))
}

fn tell_event_in(
    gateway: &Gateway,
    event: &InboxEvent,
    room: &RoomView,
    (sender, said): (OwnedUserId, bool),
    report: &str,
) -> Result<(Lane, OutboxItem), Trouble> {
    let text = notice::event_set_aside(report);
    if let Some(first) = room.conversations.first().filter(|_| said) {
        let item = OutboxItem::Refused {
            conversation: first.id,
            event: event.event_id.clone(),
            text,
            to: Some(sender),
            wordless: false,
        };
        return Ok((Lane::Conversation(first.id), item));
    }
    let Some(speaker) = room_commands::speaker(gateway, room)? else {
        return Ok(apart(event, sender, report));
    };
    let item = OutboxItem::Notice {
        homeserver: event.homeserver.clone(),
        room: event.room.clone(),
        sender: speaker,
        text,
        reply_to: Some(event.event_id.clone()),
        to: Some(sender),
    };
    Ok((
        Lane::Room(event.homeserver.clone(), event.room.clone()),
        item,
    ))
}

fn apart(event: &InboxEvent, owner: OwnedUserId, report: &str) -> (Lane, OutboxItem) {
    let item = OutboxItem::TellOwner {
        homeserver: event.homeserver.clone(),
        owner,
        text: notice::event_set_aside_apart(report),
    };
    (
        Lane::Room(event.homeserver.clone(), event.room.clone()),
        item,
    )
}

async fn tell_sms(gateway: &Gateway, sms: &Sms, report: &str) -> Result<Told, Trouble> {
    let text = notice::text_set_aside(&number::display(&sms.from), report);
    let id = match &sms.recipient {
        SmsRecipient::Conversation(id) | SmsRecipient::Former(id) => *id,
        SmsRecipient::Owner(owner) => {
            let homeserver = gateway.home_of(owner)?.names.server().to_owned();
            let item = OutboxItem::TellOwner {
                homeserver,
                owner: owner.clone(),
                text,
            };
            return Ok(Some((Lane::Person(owner.clone()), item)));
        }
    };
    let Some(conversation) = gateway.store.conversation(id).await? else {
        return Ok(None);
    };
    let former = matches!(sms.recipient, SmsRecipient::Former(_));
    let room = conversation.room.clone();
    let Some(room) = room.filter(|_| conversation.active && !former) else {
        return Ok(Some(to_person(&conversation, &conversation.owner, text)));
    };
    let item = OutboxItem::Notice {
        homeserver: conversation.homeserver.clone(),
        room,
        sender: conversation.ghost.clone(),
        text,
        reply_to: None,
        to: Some(conversation.owner.clone()),
    };
    Ok(Some((Lane::Conversation(id), item)))
}

/// What the room could not be told is told apart, unless it only marks that all is well.
async fn tell_entry(gateway: &Gateway, item: &OutboxItem, report: &str) -> Result<Told, Trouble> {
    let conversation = |id: ConversationId| gateway.store.conversation(id);
    Ok(match item {
        OutboxItem::SmsText {
            conversation: id, ..
        } => conversation(*id).await?.map(|one| {
            let text = notice::text_set_aside(&number::display(&one.handset), report);
            to_person(&one, &one.owner, text)
        }),
        OutboxItem::MessageNews { message, state } => {
            let news = receipt::bad_news(gateway, *message, *state).await?;
            news.map(|(one, person, words)| {
                to_person(&one, &person, notice::reported(&words, report))
            })
        }
        OutboxItem::Refused {
            conversation: id,
            text,
            to: Some(person),
            wordless: false,
            ..
        } => conversation(*id)
            .await?
            .map(|one| to_person(&one, person, notice::reported(text, report))),
        OutboxItem::Notice {
            homeserver,
            room,
            text,
            to: Some(person),
            ..
        } => {
            let item = OutboxItem::TellOwner {
                homeserver: homeserver.clone(),
                owner: person.clone(),
                text: notice::reported(text, report),
            };
            Some((Lane::Room(homeserver.clone(), room.clone()), item))
        }
        OutboxItem::Moved { conversation: id } => conversation(*id).await?.map(|one| {
            let text = notice::moved_apart(&number::display(&one.handset));
            to_person(&one, &one.owner, notice::reported(&text, report))
        }),
        OutboxItem::Refused { .. }
        | OutboxItem::Notice { to: None, .. }
        | OutboxItem::TellOwner { .. } => None,
    })
}

fn to_person(conversation: &Conversation, person: &UserId, text: String) -> (Lane, OutboxItem) {
    let item = OutboxItem::TellOwner {
        homeserver: conversation.homeserver.clone(),
        owner: person.to_owned(),
        text,
    };
    (Lane::Conversation(conversation.id), item)
}
