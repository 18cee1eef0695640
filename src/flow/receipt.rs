//! The echo: what became of a message, shown in the room that it came from.

use ruma::{OwnedEventId, UserId};
use serde_json::Value;

use super::voice::Voice;
use super::{Gateway, Trouble};
use crate::gateway::model::{Conversation, MessageId, MessageState, Source};
use crate::gateway::{content, notice, number};
use crate::store::{Lane, MessageView, NewOutbox, OutboxItem};

/// Shows the state of a message: a mark on the event when the phone has it, a notice in reply when
/// it failed, and the machine-readable status beside either.
pub(super) async fn show(
    gateway: &Gateway,
    voice: &Voice<'_>,
    id: MessageId,
    state: MessageState,
) -> Result<(), Trouble> {
    let Some(message) = gateway.store.message(id).await? else {
        return Ok(());
    };
    let Some(conversation) = gateway.store.conversation(message.conversation).await? else {
        return Ok(());
    };
    match &message.source {
        Source::Event { event, sender, .. } => {
            let mut heard = true;
            for (kind, body) in echoes(&message, &conversation, event, state) {
                heard &= voice.say(&conversation, kind, &body).await? || kind != WORDS;
            }
            if heard {
                return Ok(());
            }
            let phone = number::display(&conversation.handset);
            let words = notice::failed(&message, state, &phone);
            tell_apart(gateway, &conversation, (id, state), sender, words).await
        }
        Source::Sms { .. } if state.is_failure() => {
            let phone = number::display(&conversation.handset);
            let words = notice::relay_failed(&message, state, &phone);
            let body = content::notice(&words, None);
            if voice.say(&conversation, WORDS, &body).await? {
                return Ok(());
            }
            let owner = &conversation.owner;
            tell_apart(gateway, &conversation, (id, state), owner, words).await
        }
        Source::Sms { .. } => Ok(()),
    }
}

/// The type of what people read.
const WORDS: &str = "m.room.message";

/// Tells a failure to the person whom it concerns, from the bot: the room cannot hear it any more.
async fn tell_apart(
    gateway: &Gateway,
    conversation: &Conversation,
    (id, state): (MessageId, MessageState),
    person: &UserId,
    text: String,
) -> Result<(), Trouble> {
    let entry = NewOutbox {
        key: format!("unheard:{id}:{state:?}"),
        lane: Lane::Conversation(conversation.id),
        item: OutboxItem::TellOwner {
            homeserver: conversation.homeserver.clone(),
            owner: person.to_owned(),
            text,
        },
    };
    gateway.enqueue(entry).await
}

/// The events that show a state, in order.
fn echoes(
    message: &MessageView,
    conversation: &Conversation,
    event: &OwnedEventId,
    state: MessageState,
) -> Vec<(&'static str, Value)> {
    let network = content::network(conversation);
    let mut status = content::status(event, &network, state, &conversation.ghost);
    if state.is_failure() {
        let phone = number::display(&conversation.handset);
        let words = notice::failed(message, state, &phone);
        status["message"] = Value::from(words.as_str());
        let notice = content::notice(&words, Some(event));
        return vec![(WORDS, notice), (content::STATUS, status)];
    }
    if state == MessageState::NoReceipt {
        let words = notice::no_receipt(&number::display(&conversation.handset));
        status["message"] = Value::from(words);
    }
    let arrived =
        state == MessageState::Delivered || (state == MessageState::Submitted && !message.receipts);
    let mark = arrived.then(|| ("m.reaction", content::check_mark(event)));
    let twice = (arrived && message.possible_duplicate).then(|| {
        let words = notice::maybe_twice(&number::display(&conversation.handset));
        (WORDS, content::notice(&words, Some(event)))
    });
    mark.into_iter()
        .chain(twice)
        .chain([(content::STATUS, status)])
        .collect()
}

#[cfg(test)]
mod tests {
    use matrix_smpp_config::Money;
    use uuid::Uuid;

    use super::*;
    use crate::gateway::model::{ConversationId, E164Text, Handset};
    use crate::store::Failure;

    fn conversation() -> Conversation {
        Conversation {
            id: ConversationId(1),
            homeserver: "example.org".try_into().expect("a server"),
            handset: Handset::Number(E164Text("447700900123".parse().expect("a number"))),
            ghost: "@.tel.447700900123:example.org".try_into().expect("a user"),
            room: Some("!room:example.org".try_into().expect("a room")),
            owner: "@alice:example.org".try_into().expect("a user"),
            direct: true,
            originator: None,
            active: true,
        }
    }

    fn message(receipts: bool, failure: Option<Failure>) -> MessageView {
        MessageView {
            id: MessageId(Uuid::nil()),
            source: Source::Event {
                homeserver: "example.org".try_into().expect("a server"),
                event: event(),
                edit: None,
                sender: "@alice:example.org".try_into().expect("a user"),
            },
            conversation: ConversationId(1),
            destination: "447700900123".parse().expect("a number"),
            state: MessageState::Submitted,
            receipts,
            segments: 1,
            price: Money::ZERO,
            failure,
            possible_duplicate: false,
        }
    }

    fn event() -> OwnedEventId {
        "$event".try_into().expect("an event")
    }

    fn kinds(receipts: bool, state: MessageState) -> Vec<&'static str> {
        let shown = echoes(&message(receipts, None), &conversation(), &event(), state);
        shown.into_iter().map(|(kind, _)| kind).collect()
    }

    #[test]
    fn the_mark_waits_for_the_receipt_where_one_is_to_be_expected() {
        assert_eq!(kinds(true, MessageState::Submitted), [content::STATUS]);
        assert_eq!(
            kinds(true, MessageState::Delivered),
            ["m.reaction", content::STATUS]
        );
        assert_eq!(
            kinds(false, MessageState::Submitted),
            ["m.reaction", content::STATUS]
        );
    }

    #[test]
    fn a_receipt_that_never_came_is_told_to_programs_only() {
        let sent = message(true, None);
        let shown = echoes(&sent, &conversation(), &event(), MessageState::NoReceipt);
        let [(content::STATUS, status)] = &shown[..] else {
            panic!("{shown:?}")
        };
        assert_eq!(status["status"], "SUCCESS");
        assert!(status.get("delivered_to_users").is_none());
        let words = status["message"].as_str().expect("words");
        assert!(words.contains("never said"), "{words}");
    }

    #[test]
    fn a_text_that_may_have_arrived_twice_says_so_once() {
        let resent = MessageView {
            possible_duplicate: true,
            ..message(true, None)
        };
        let told = |state| {
            let shown = echoes(&resent, &conversation(), &event(), state);
            let words = shown.into_iter().filter(|(kind, _)| *kind == WORDS);
            words.map(|(_, notice)| notice).collect::<Vec<_>>()
        };
        assert!(told(MessageState::Submitted).is_empty());
        let delivered = told(MessageState::Delivered);
        assert_eq!(delivered.len(), 1);
        let body = delivered[0]["body"].as_str().expect("a body");
        assert!(
            body.contains("+44 7700 900123") && body.contains("twice"),
            "{body}"
        );
    }

    #[test]
    fn a_failure_is_a_reply_that_names_the_phone_and_the_reason() {
        let failed = message(true, Some(Failure::Status(0x0b)));
        let shown = echoes(&failed, &conversation(), &event(), MessageState::Rejected);
        let (kind, notice) = &shown[0];
        assert_eq!(*kind, "m.room.message");
        assert_eq!(
            notice["m.relates_to"]["m.in_reply_to"]["event_id"],
            "$event"
        );
        let body = notice["body"].as_str().expect("a body");
        assert!(
            body.contains("+44 7700 900123") && body.contains("number"),
            "{body}"
        );
    }
}
