//! The echo: what became of a message, shown in the room that it came from.

use ruma::{OwnedEventId, OwnedUserId, UserId};
use serde_json::Value;

use super::voice::{self, Voice};
use super::{Gateway, Trouble};
use crate::gateway::model::{Conversation, MessageId, MessageState, Source};
use crate::gateway::{content, notice, number};
use crate::store::{Lane, MessageView};

/// Shows the state of a message: a mark on the event when the phone has it, a notice in reply when
/// it failed, and the machine-readable status beside either.
pub(super) async fn show(
    gateway: &Gateway,
    voice: &Voice<'_>,
    message: &MessageView,
    state: MessageState,
) -> Result<(), Trouble> {
    let Some(news) = News::of(gateway, message.clone(), state).await? else {
        return Ok(());
    };
    match &news.message.source {
        Source::Event { event, sender, .. } => {
            for (kind, body) in news.echoes(event, gateway.settings.gateway.check_marks) {
                if !voice.say(&news.conversation, kind, &body).await? && kind == WORDS {
                    return news.tell_apart(gateway, voice, sender).await;
                }
            }
            Ok(())
        }
        Source::Sms { .. } if state.is_bad_news() => {
            let body = content::notice(&news.relay_words(), None);
            if voice.say(&news.conversation, WORDS, &body).await? {
                return Ok(());
            }
            let owner = &news.conversation.owner;
            news.tell_apart(gateway, voice, owner).await
        }
        Source::Sms { .. } => Ok(()),
    }
}

/// Whom a piece of bad news concerns, in which conversation, and its words.
pub(super) async fn bad_news(
    gateway: &Gateway,
    id: MessageId,
    state: MessageState,
) -> Result<Option<(Conversation, OwnedUserId, String)>, Trouble> {
    if !state.is_bad_news() {
        return Ok(None);
    }
    let Some(message) = gateway.store.message(id).await? else {
        return Ok(None);
    };
    let Some(news) = News::of(gateway, message, state).await? else {
        return Ok(None);
    };
    let told = match &news.message.source {
        Source::Event { sender, .. } => {
            let sender = sender.clone();
            news.words().map(|words| (sender, words))
        }
        Source::Sms { .. } => Some((news.conversation.owner.clone(), news.relay_words())),
    };
    Ok(told.map(|(person, words)| (news.conversation, person, words)))
}

/// The type of what people read.
const WORDS: &str = "m.room.message";

/// Whether a message is as far as it will get.
fn has_arrived(message: &MessageView, state: MessageState) -> bool {
    let submitted = state == MessageState::Submitted && !message.receipts;
    submitted || state == MessageState::Delivered
}

/// Whether a state only says how far a message has come: neither that it has arrived nor that it never
/// will.
pub(super) fn is_passing(message: &MessageView, state: MessageState) -> bool {
    !has_arrived(message, state) && !state.is_bad_news()
}

/// What became of a message.
struct News {
    message: MessageView,
    conversation: Conversation,
    state: MessageState,
}

impl News {
    async fn of(
        gateway: &Gateway,
        message: MessageView,
        state: MessageState,
    ) -> Result<Option<Self>, Trouble> {
        let conversation = gateway.store.conversation(message.conversation).await?;
        Ok(conversation.map(|conversation| Self {
            message,
            conversation,
            state,
        }))
    }

    fn phone(&self) -> String {
        number::display(&self.conversation.handset)
    }

    /// The words for what its writer must know: that the phone does not get it, or may have it
    /// twice.
    fn words(&self) -> Option<String> {
        let message = &self.message;
        match self.state {
            MessageState::Cancelled => {
                let is_over = !self.conversation.active;
                Some(notice::not_left(message, &self.phone(), is_over))
            }
            state if state.is_failure() => Some(notice::failed(message, state, &self.phone())),
            _ if self.has_arrived() && message.possible_duplicate => {
                Some(notice::maybe_twice(&self.phone()))
            }
            _ => None,
        }
    }

    /// The same for a text of another phone.
    fn relay_words(&self) -> String {
        match self.state {
            MessageState::Cancelled => notice::relay_not_left(&self.message, &self.phone()),
            state => notice::relay_failed(&self.message, state, &self.phone()),
        }
    }

    fn has_arrived(&self) -> bool {
        has_arrived(&self.message, self.state)
    }

    /// Tells the person whom it concerns, from the bot: the room cannot hear it any more. What was
    /// taken back together is told together.
    async fn tell_apart(
        &self,
        gateway: &Gateway,
        voice: &Voice<'_>,
        person: &UserId,
    ) -> Result<(), Trouble> {
        let conversation = &self.conversation;
        let relayed = matches!(self.message.source, Source::Sms { .. });
        let (key, text) = match self.state {
            MessageState::Cancelled => {
                let key = format!("not-left:{}:{}", conversation.id, voice.queued_at().0);
                let text = if relayed {
                    self.relay_words()
                } else {
                    notice::not_left_apart(&self.message, &self.phone())
                };
                (format!("{key}:{person}:{relayed}"), text)
            }
            state => {
                let text = if relayed {
                    self.relay_words()
                } else {
                    self.words().unwrap_or_default()
                };
                (format!("unheard:{}:{state:?}", self.message.id), text)
            }
        };
        let lane = Lane::Conversation(conversation.id);
        voice::tell_apart(gateway, (key, lane), &conversation.homeserver, person, text).await
    }

    /// The events that show it in its room, in order.
    fn echoes(&self, event: &OwnedEventId, check_marks: bool) -> Vec<(&'static str, Value)> {
        let network = content::network(&self.conversation);
        let ghost = &self.conversation.ghost;
        let mut status = content::status(event, &network, self.state, ghost);
        let words = self.words();
        if self.state.is_bad_news() {
            status["message"] = Value::from(words.as_deref());
        } else if self.state == MessageState::NoReceipt {
            status["message"] = Value::from(notice::no_receipt(&self.phone()));
        }
        let mark = check_marks && self.has_arrived();
        let mark = mark.then(|| ("m.reaction", content::check_mark(event)));
        let words = words.map(|words| (WORDS, content::notice(&words, Some(event))));
        mark.into_iter()
            .chain(words)
            .chain([(content::STATUS, status)])
            .collect()
    }
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

    fn echoes(message: MessageView, state: MessageState) -> Vec<(&'static str, Value)> {
        let news = News {
            message,
            conversation: conversation(),
            state,
        };
        news.echoes(&event(), true)
    }

    fn event() -> OwnedEventId {
        "$event".try_into().expect("an event")
    }

    fn kinds(receipts: bool, state: MessageState) -> Vec<&'static str> {
        let shown = echoes(message(receipts, None), state);
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
    fn who_wants_no_marks_has_the_status_alone() {
        let news = News {
            message: message(true, None),
            conversation: conversation(),
            state: MessageState::Delivered,
        };
        let shown = news.echoes(&event(), false);
        let kinds: Vec<_> = shown.iter().map(|(kind, _)| *kind).collect();
        assert_eq!(kinds, [content::STATUS]);
    }

    #[test]
    fn a_receipt_that_never_came_is_told_to_programs_only() {
        let shown = echoes(message(true, None), MessageState::NoReceipt);
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
            let shown = echoes(resent.clone(), state);
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
        let shown = echoes(failed, MessageState::Rejected);
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
