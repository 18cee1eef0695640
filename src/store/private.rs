//! `Debug` of the contract's values that hold what people said, or their full numbers: everything
//! but that.

use std::fmt::{Debug, Formatter, Result};

use super::{
    Claimed, InboxEvent, Member, NewEvent, OpenConversation, OutboxItem, Party, Replacement, Sms,
    SmsIn, SubmissionIn, SubmissionRef, Transaction,
};

/// Shows these fields, and that there are more.
macro_rules! debug_without_the_private {
    ($($name:ident { $($field:ident),* })*) => {$(
        impl Debug for $name {
            fn fmt(&self, f: &mut Formatter<'_>) -> Result {
                f.debug_struct(stringify!($name))
                    $(.field(stringify!($field), &self.$field))*
                    .finish_non_exhaustive()
            }
        }
    )*};
}

debug_without_the_private! {
    Transaction { homeserver, txn_id, events, at }
    NewEvent { event_id, room }
    InboxEvent { seq, homeserver, event_id, room, at }
    Claimed { segment, attempt, possible_duplicate, route, conversation, originator, destination }
    SmsIn { link_group, session, from, concat, data_coding, at }
    Member { membership }
    OpenConversation { homeserver, room, handset, owner, direct, originator, now }
    SubmissionIn { source, destination, receipt, deliver_at, valid_until }
    Party { ton, npi }
    SubmissionRef { link_group, id }
    Replacement { of, receipt, deliver_at, valid_until, at }
    Sms { id, link_group, from, missing_parts, recipient, at }
}

impl Debug for OutboxItem {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Self::SmsText { sms, conversation } => {
                write!(f, "SmsText {{ sms: {sms}, conversation: {conversation} }}")
            }
            Self::MessageNews { message, state } => {
                write!(f, "MessageNews {{ message: {message}, state: {state:?} }}")
            }
            Self::Notice { room, .. } => write!(f, "Notice {{ room: {room}, .. }}"),
            Self::Refused {
                conversation,
                event,
                ..
            } => {
                write!(
                    f,
                    "Refused {{ conversation: {conversation}, event: {event}, .. }}"
                )
            }
            Self::Moved { conversation } => write!(f, "Moved {{ conversation: {conversation} }}"),
            Self::TellOwner { homeserver, .. } => {
                write!(f, "TellOwner {{ homeserver: {homeserver}, .. }}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_said_is_not_shown() {
        let event = NewEvent {
            is_over: false,
            event_id: "$event".try_into().expect("an event"),
            room: "!room:example.org".try_into().expect("a room"),
            json: r#"{"content":{"body":"secret"}}"#.to_owned(),
        };
        let item = OutboxItem::Refused {
            conversation: crate::gateway::model::ConversationId(1),
            event: event.event_id.clone(),
            text: "secret".to_owned(),
            to: None,
            wordless: false,
        };
        let shown = format!("{event:?} {item:?}");
        assert!(
            shown.contains("$event") && !shown.contains("secret"),
            "{shown}"
        );
    }

    #[test]
    fn an_entry_of_an_older_store_without_its_person_is_understood() {
        let stored = r#"{"refused":{"conversation":1,"event":"$e","text":"no"}}"#;
        let item: OutboxItem = serde_json::from_str(stored).expect("an item");
        assert!(matches!(item, OutboxItem::Refused { to: None, .. }));
    }
}
