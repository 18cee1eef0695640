//! Edits, redactions and reactions: what was said is taken back, replaced, or commented on.

use std::collections::BTreeMap;

use ruma::{OwnedEventId, UserId};

use super::to_phone::{self, Unsaid};
use super::{Gateway, Trouble};
use crate::gateway::model::{Conversation, ConversationId, MessageState, Source};
use crate::gateway::notice;
use crate::gateway::said::RoomMessage;
use crate::store::{InboxEvent, MessageView, RoomView};

/// A redaction: takes back what has not been sent, and says so either way.
pub(super) async fn redact(
    gateway: &Gateway,
    item: &InboxEvent,
    sender: &UserId,
    redacts: &OwnedEventId,
) -> Result<(), Trouble> {
    let messages = take_back(gateway, item, redacts).await?;
    let told = conversations(gateway, &fates(&messages)).await?;
    let (cancelled, sent) = (told.of(Fate::Cancelled), told.of(Fate::Sent));
    let mut words = Vec::new();
    if !cancelled.is_empty() {
        words.push(notice::cancelled(&to_phone::phones(cancelled.iter())));
    }
    if !sent.is_empty() {
        words.push(notice::too_late_to_redact(&to_phone::phones(sent.iter())));
    }
    let told = [cancelled, sent].concat();
    to_phone::tell_refused(gateway, item, sender, &told, words.join("\n")).await
}

/// An edit: replaces what has not been sent; says that it comes too late for the rest.
pub(super) async fn edit(
    gateway: &Gateway,
    item: &InboxEvent,
    sender: &UserId,
    room: &RoomView,
    message: &RoomMessage,
    original: &OwnedEventId,
) -> Result<(), Trouble> {
    let store = &gateway.store;
    let known = store.messages_of_event(&item.homeserver, original).await?;
    if !known.iter().all(|message| is_from(message, sender)) {
        return Ok(()); // Nobody edits the words of others (Client-Server API, "Event replacements").
    }
    let is_repeat = known.iter().any(|message| is_edit(message, item));
    let mut messages = if is_repeat {
        known
    } else {
        take_back(gateway, item, original).await?
    };
    messages.retain(|message| !is_edit(message, item));
    let told = conversations(gateway, &fates(&messages)).await?;
    let cancelled = told.of(Fate::Cancelled);
    let unsaid = if cancelled.is_empty() {
        Unsaid::default()
    } else {
        to_phone::say(gateway, item, sender, room, message, &cancelled).await?
    };
    tell_not_edited(gateway, (item, sender), room, &told, unsaid).await
}

/// Tells of the phones that an edit does not reach: it was refused, they have the first version, or
/// they had none.
async fn tell_not_edited(
    gateway: &Gateway,
    (item, sender): (&InboxEvent, &UserId),
    room: &RoomView,
    told: &Told,
    unsaid: Unsaid,
) -> Result<(), Trouble> {
    let mut words = unsaid.words;
    let sent = told.of(Fate::Sent);
    let is_new = |one: &&Conversation| told.0.iter().all(|(known, _)| known.id != one.id);
    let new = room.conversations.iter().filter(is_new).cloned();
    let unsent: Vec<_> = told.of(Fate::Failed).into_iter().chain(new).collect();
    if !sent.is_empty() {
        words.push(notice::too_late_to_edit(&to_phone::phones(sent.iter())));
    }
    if !unsent.is_empty() {
        words.push(notice::nothing_to_edit(&to_phone::phones(unsent.iter())));
    }
    let told = [unsaid.conversations, sent, unsent].concat();
    to_phone::tell_refused(gateway, item, sender, &told, words.join("\n")).await
}

/// A reaction of a Matrix user to something that went to or came from a phone.
pub(super) async fn react(
    gateway: &Gateway,
    item: &InboxEvent,
    sender: &UserId,
) -> Result<(), Trouble> {
    let Some(room) = gateway.store.room(&item.homeserver, &item.room).await? else {
        return Ok(());
    };
    to_phone::tell_refused(
        gateway,
        item,
        sender,
        &room.conversations,
        notice::reaction(),
    )
    .await
}

/// Cancels what an event and its edits say to phones, where no byte has left. Gives all of it.
async fn take_back(
    gateway: &Gateway,
    item: &InboxEvent,
    original: &OwnedEventId,
) -> Result<Vec<MessageView>, Trouble> {
    let now = gateway.clock.now();
    let store = &gateway.store;
    Ok(store.cancel_event(&item.homeserver, original, now).await?)
}

/// What became of an event's text on one phone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fate {
    /// Nothing was sent, and nothing will be.
    Failed,
    /// Taken back in time.
    Cancelled,
    /// The phone has it, will have it, or may have it.
    Sent,
}

fn fate(message: &MessageView) -> Fate {
    match message.state {
        MessageState::Cancelled => Fate::Cancelled,
        state if state.is_failure() => Fate::Failed,
        _ => Fate::Sent,
    }
}

/// The fate in each conversation: the last version that went out counts.
fn fates(messages: &[MessageView]) -> BTreeMap<ConversationId, Fate> {
    let mut fates = BTreeMap::new();
    for message in messages {
        let known = fates.entry(message.conversation).or_insert(Fate::Failed);
        *known = fate(message).max(*known);
    }
    fates
}

/// Conversations with the fate of one event's text.
struct Told(Vec<(Conversation, Fate)>);

impl Told {
    fn of(&self, fate: Fate) -> Vec<Conversation> {
        let matching = self.0.iter().filter(|(_, one)| *one == fate);
        matching.map(|(one, _)| one.clone()).collect()
    }
}

async fn conversations(
    gateway: &Gateway,
    fates: &BTreeMap<ConversationId, Fate>,
) -> Result<Told, Trouble> {
    let mut told = Vec::new();
    for (id, fate) in fates {
        if let Some(conversation) = gateway.store.conversation(*id).await? {
            told.push((conversation, *fate));
        }
    }
    Ok(Told(told))
}

fn is_from(message: &MessageView, user: &UserId) -> bool {
    matches!(&message.source, Source::Event { sender, .. } if sender == user)
}

fn is_edit(message: &MessageView, item: &InboxEvent) -> bool {
    matches!(&message.source, Source::Event { edit: Some(edit), .. } if *edit == item.event_id)
}

#[cfg(test)]
mod tests {
    use matrix_smpp_config::Money;
    use uuid::Uuid;

    use super::*;
    use crate::gateway::model::MessageId;

    fn message(conversation: i64, state: MessageState) -> MessageView {
        MessageView {
            id: MessageId(Uuid::nil()),
            source: Source::Event {
                homeserver: "example.org".try_into().expect("a server"),
                event: "$event".try_into().expect("an event"),
                edit: None,
                sender: "@alice:example.org".try_into().expect("a user"),
            },
            conversation: ConversationId(conversation),
            destination: "447700900123".parse().expect("a number"),
            state,
            receipts: true,
            segments: 1,
            price: Money::ZERO,
            failure: None,
            possible_duplicate: false,
        }
    }

    #[test]
    fn an_edit_that_went_out_counts_more_than_the_original_that_was_cancelled() {
        let versions = [
            message(1, MessageState::Cancelled),
            message(1, MessageState::Submitted),
            message(2, MessageState::Cancelled),
            message(2, MessageState::Cancelled),
            message(3, MessageState::Rejected),
        ];
        let expected = [Fate::Sent, Fate::Cancelled, Fate::Failed];
        let expected = (1..).map(ConversationId).zip(expected).collect();
        assert_eq!(fates(&versions), expected);
    }

    #[test]
    fn only_the_writer_edits() {
        let message = message(1, MessageState::Queued);
        assert!(is_from(&message, ruma::user_id!("@alice:example.org")));
        assert!(!is_from(&message, ruma::user_id!("@bob:example.org")));
    }
}
