//! Edits, redactions and reactions: what was said is taken back, replaced, or commented on.

use ruma::{EventId, OwnedEventId};

use super::to_phone::{self, Said};
use super::{Gateway, Trouble};
use crate::gateway::model::{Conversation, ConversationId, MessageState, Source};
use crate::gateway::notice;
use crate::store::{InboxEvent, MessageView};

/// A redaction: takes back what has not been sent, and says so either way.
pub(super) async fn redact(
    gateway: &Gateway,
    item: &InboxEvent,
    redacts: &OwnedEventId,
) -> Result<(), Trouble> {
    let now = gateway.clock.now();
    let store = &gateway.store;
    let messages = store.cancel_event(&item.homeserver, redacts, now).await?;
    let concerned = conversations(gateway, &messages).await?;
    let fates = Fates::of(&concerned, &messages);
    let mut words = Vec::new();
    if !fates.cancelled.is_empty() {
        words.push(notice::cancelled(&to_phone::phones(&fates.cancelled)));
    }
    if !fates.sent.is_empty() {
        words.push(notice::too_late_to_redact(&to_phone::phones(&fates.sent)));
    }
    to_phone::tell_refused(gateway, item, &concerned, words).await
}

/// An edit: replaces what has not been sent. Gives the words for what it could not replace.
pub(super) async fn edit(
    gateway: &Gateway,
    said: Said<'_>,
    original: &EventId,
) -> Result<Vec<String>, Trouble> {
    let store = &gateway.store;
    let (homeserver, original) = (&said.item.homeserver, original.to_owned());
    let mut versions = store.messages_of_event(homeserver, &original).await?;
    if versions.iter().any(|one| !is_by(one, said)) {
        // Clients do not show it either (Client-Server API, "Validity of replacement events").
        return Ok(Vec::new());
    }
    if !versions.iter().any(|one| is_of(one, said)) {
        let now = gateway.clock.now();
        versions = store.cancel_event(homeserver, &original, now).await?;
    }
    // Else this is a repeat, and what it replaces has been taken back.
    versions.retain(|one| !is_of(one, said));
    let fates = Fates::of(&said.room.conversations, &versions);
    let mut words = to_phone::say(gateway, said, &fates.cancelled).await?;
    if !fates.sent.is_empty() {
        words.push(notice::too_late_to_edit(&to_phone::phones(&fates.sent)));
    }
    if versions.is_empty() {
        let everybody = to_phone::phones(&said.room.conversations);
        words.push(notice::edit_of_nothing(&everybody));
    } else if !fates.failed.is_empty() {
        words.push(notice::edit_of_nothing(&to_phone::phones(&fates.failed)));
    }
    Ok(words)
}

/// A reaction of a Matrix user to something that went to or came from a phone.
pub(super) async fn react(gateway: &Gateway, item: &InboxEvent) -> Result<(), Trouble> {
    let Some(room) = gateway.store.room(&item.homeserver, &item.room).await? else {
        return Ok(());
    };
    let words = vec![notice::reaction()];
    to_phone::tell_refused(gateway, item, &room.conversations, words).await
}

fn is_by(message: &MessageView, said: Said<'_>) -> bool {
    matches!(&message.source, Source::Event { sender, .. } if sender == said.sender)
}

fn is_of(message: &MessageView, said: Said<'_>) -> bool {
    let this = &said.item.event_id;
    matches!(&message.source, Source::Event { edit: Some(edit), .. } if edit == this)
}

/// The conversations of these messages, each once.
async fn conversations(
    gateway: &Gateway,
    messages: &[MessageView],
) -> Result<Vec<Conversation>, Trouble> {
    let mut ids: Vec<ConversationId> = messages.iter().map(|one| one.conversation).collect();
    ids.sort();
    ids.dedup();
    let mut found = Vec::new();
    for id in ids {
        found.extend(gateway.store.conversation(id).await?);
    }
    Ok(found)
}

/// What became of the versions of an event, phone by phone. Phones that it never concerned are in
/// none of these.
#[derive(Debug, Default)]
struct Fates {
    /// No byte of any version has left or will.
    cancelled: Vec<Conversation>,
    /// The phone has or will have one.
    sent: Vec<Conversation>,
    /// The phone does not have it, and people know.
    failed: Vec<Conversation>,
}

impl Fates {
    fn of(conversations: &[Conversation], messages: &[MessageView]) -> Self {
        let mut fates = Self::default();
        for conversation in conversations {
            let of = messages
                .iter()
                .filter(|one| one.conversation == conversation.id);
            let states: Vec<_> = of.map(|one| one.state).collect();
            let place = if states.is_empty() {
                continue;
            } else if states.iter().any(|state| is_sent(*state)) {
                &mut fates.sent
            } else if states.contains(&MessageState::Cancelled) {
                &mut fates.cancelled
            } else {
                &mut fates.failed
            };
            place.push(conversation.clone());
        }
        fates
    }
}

fn is_sent(state: MessageState) -> bool {
    state != MessageState::Cancelled && !state.is_failure()
}
