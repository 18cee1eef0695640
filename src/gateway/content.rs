//! The content of the events that the gateway sends (Matrix Client-Server API §11).

use ruma::{EventId, UserId};
use serde_json::{Value, json};

use super::model::{Conversation, ConversationId, MessageState};

/// The type of the machine-readable status event.
pub const STATUS: &str = "com.beeper.message_send_status";

/// The type of the bridge information state event (MSC2346).
pub const BRIDGE: &str = "m.bridge";

/// What a phone says.
#[must_use]
pub fn text(body: &str) -> Value {
    json!({ "msgtype": "m.text", "body": body })
}

/// What the gateway says; in reply to an event, where it is about one.
#[must_use]
pub fn notice(body: &str, reply_to: Option<&EventId>) -> Value {
    let mut content = json!({ "msgtype": "m.notice", "body": body });
    if let Some(event) = reply_to {
        content["m.relates_to"] = json!({ "m.in_reply_to": { "event_id": event } });
    }
    content
}

/// The mark on a message that the phone has.
#[must_use]
pub fn check_mark(event: &EventId) -> Value {
    json!({ "m.relates_to": { "rel_type": "m.annotation", "event_id": event, "key": "✓" } })
}

/// How far a message is, for clients that show it.
#[must_use]
pub fn status(event: &EventId, network: &str, state: MessageState, ghost: &UserId) -> Value {
    let mut content = json!({
        "m.relates_to": { "rel_type": "m.reference", "event_id": event },
        "network": network,
    });
    match state {
        MessageState::Delivered => {
            content["status"] = json!("SUCCESS");
            content["delivered_to_users"] = json!([ghost]);
        }
        MessageState::Submitted | MessageState::NoReceipt => content["status"] = json!("SUCCESS"),
        state if state.is_failure() => {
            content["status"] = json!("FAIL_PERMANENT");
            content["reason"] = json!("m.foreign_network_error");
        }
        MessageState::Cancelled => {
            content["status"] = json!("FAIL_PERMANENT");
            content["reason"] = json!("m.event_not_handled");
        }
        _ => content["status"] = json!("PENDING"),
    }
    content
}

/// How far a message is that was refused before it was accepted.
#[must_use]
pub fn refused_status(event: &EventId, network: &str, words: &str) -> Value {
    json!({
        "m.relates_to": { "rel_type": "m.reference", "event_id": event },
        "network": network,
        "status": "FAIL_PERMANENT",
        "reason": "m.event_not_handled",
        "message": words,
    })
}

/// The state key of [`BRIDGE`], and the `network` of status events: one per conversation's phone.
#[must_use]
pub fn network(conversation: &Conversation) -> String {
    format!(
        "dev.matrix-smpp://{}/{}",
        conversation.homeserver,
        conversation.handset.key()
    )
}

/// Which bridge a room is part of, and whom it leads to.
#[must_use]
pub fn bridge(conversation: &Conversation, bot: &UserId, phone: &str) -> Value {
    json!({
        "bridgebot": bot,
        "creator": conversation.owner,
        "protocol": { "id": "sms", "displayname": "SMS" },
        "channel": { "id": conversation.handset.key(), "displayname": phone },
    })
}

/// By which a room that was made for a conversation is found again after a crash.
#[must_use]
pub fn marker(conversation: &Conversation, instance: &str) -> Value {
    json!({ "conversation": conversation.id, "instance": instance })
}

/// The conversation that a [`marker`] of this instance names.
#[must_use]
pub fn conversation_of(marker: &Value, instance: &str) -> Option<ConversationId> {
    let ours = marker.get("instance").and_then(Value::as_str) == Some(instance);
    let id = marker.get("conversation").filter(|_| ours)?;
    serde_json::from_value(id.clone()).ok()
}

/// By which the room that was made for the bot and one person is known.
#[must_use]
pub fn bot_marker(person: &UserId, instance: &str) -> Value {
    json!({ "bot_room_of": person, "instance": instance })
}
