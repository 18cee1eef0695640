//! Edits, redactions and reactions: what was said is taken back, replaced, or commented on.

use ruma::{EventId, OwnedEventId, UserId};

use super::{Gateway, Trouble, to_phone};
use crate::gateway::model::{Conversation, MessageState};
use crate::gateway::notice;
use crate::matrix::event::RoomMessage;
use crate::store::{InboxEvent, MessageView, RoomView};

/// A redaction: takes back what has not been sent, and says so either way.
pub(super) async fn redact(
    gateway: &Gateway,
    item: &InboxEvent,
    _sender: &UserId,
    redacts: &OwnedEventId,
) -> Result<(), Trouble> {
    let (cancelled, sent) = take_back(gateway, item, redacts).await?;
    if cancelled.is_empty() && sent.is_empty() {
        return Ok(());
    }
    let mut words = Vec::new();
    if !cancelled.is_empty() {
        words.push(notice::cancelled(&to_phone::phones(cancelled.iter())));
    }
    if !sent.is_empty() {
        words.push(notice::too_late_to_redact(&to_phone::phones(sent.iter())));
    }
    let told: Vec<_> = cancelled.into_iter().chain(sent).collect();
    to_phone::tell_refused(gateway, item, &told, words.join("\n")).await
}

/// An edit: replaces what has not been sent; says that it comes too late for the rest.
pub(super) async fn edit(
    gateway: &Gateway,
    item: &InboxEvent,
    sender: &UserId,
    room: &RoomView,
    message: &RoomMessage,
    original: &EventId,
) -> Result<(), Trouble> {
    let (cancelled, sent) = take_back(gateway, item, original).await?;
    if !cancelled.is_empty() {
        to_phone::say(gateway, item, sender, room, message, &cancelled).await?;
    }
    if sent.is_empty() {
        return Ok(());
    }
    let words = notice::too_late_to_edit(&to_phone::phones(sent.iter()));
    to_phone::tell_refused(gateway, item, &sent, words).await
}

/// A reaction of a Matrix user to something that went to or came from a phone.
pub(super) async fn react(gateway: &Gateway, item: &InboxEvent) -> Result<(), Trouble> {
    let Some(room) = gateway.store.room(&item.homeserver, &item.room).await? else {
        return Ok(());
    };
    to_phone::tell_refused(gateway, item, &room.conversations, notice::reaction()).await
}

/// Cancels what an event says to phones where no byte has left. Gives the conversations where that
/// was in time, and those where it was too late and the phone has or will have the text.
async fn take_back(
    gateway: &Gateway,
    item: &InboxEvent,
    original: &EventId,
) -> Result<(Vec<Conversation>, Vec<Conversation>), Trouble> {
    let now = gateway.clock.now();
    let messages = gateway
        .store
        .cancel_event(&item.homeserver, &original.to_owned(), now)
        .await?;
    let (mut cancelled, mut sent) = (Vec::new(), Vec::new());
    for message in &messages {
        let Some(conversation) = gateway.store.conversation(message.conversation).await? else {
            continue;
        };
        match fate(message) {
            Fate::Cancelled => cancelled.push(conversation),
            Fate::Sent => sent.push(conversation),
            Fate::Failed => {}
        }
    }
    Ok((cancelled, sent))
}

enum Fate {
    Cancelled,
    Sent,
    Failed,
}

fn fate(message: &MessageView) -> Fate {
    match message.state {
        MessageState::Cancelled => Fate::Cancelled,
        state if state.is_failure() => Fate::Failed,
        _ => Fate::Sent,
    }
}
