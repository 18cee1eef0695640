//! Reads the body of `PUT /transactions/{txnId}`. Lenient: what stands in one event never stops
//! the others, because a homeserver sends a refused transaction again for ever.

use std::collections::BTreeMap;

use ruma::{OwnedEventId, OwnedRoomId};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::store::NewEvent;

/// What a transaction brings.
pub(super) struct Content {
    /// Its events, in order, each exactly as it came.
    pub(super) events: Vec<NewEvent>,
    /// One JSON object of what the homeserver never sends again; `None` when there is nothing.
    pub(super) extras: Option<String>,
    /// The places of events that have no id or no room.
    pub(super) skipped: Vec<usize>,
}

/// Typing, receipts and presence: not kept, they are not for phones.
const EPHEMERAL: [&str; 2] = ["ephemeral", "de.sorunome.msc2409.ephemeral"];

/// Parts that a homeserver forgets once it has sent them, under their stable names.
const NEVER_SENT_AGAIN: [&str; 5] = [
    "to_device",
    "device_lists",
    "device_one_time_keys_count",
    "device_one_time_key_counts",
    "device_unused_fallback_key_types",
];

/// Reads a body. `None` where it is no JSON object.
pub(super) fn read(body: &[u8]) -> Option<Content> {
    let text = String::from_utf8_lossy(body);
    let mut parts: BTreeMap<String, &RawValue> = serde_json::from_str(&text).ok()?;
    let listed = parts.remove("events");
    for name in EPHEMERAL {
        parts.remove(name);
    }
    let listed: Option<Vec<&RawValue>> =
        listed.and_then(|raw| serde_json::from_str(raw.get()).ok());
    let (mut events, mut skipped) = (Vec::new(), Vec::new());
    for (place, raw) in listed.unwrap_or_default().into_iter().enumerate() {
        match event(raw) {
            Some(event) => events.push(event),
            None => skipped.push(place),
        }
    }
    Some(Content {
        events,
        extras: extras(&parts),
        skipped,
    })
}

#[derive(Deserialize)]
struct Head {
    event_id: OwnedEventId,
    room_id: OwnedRoomId,
}

fn event(raw: &RawValue) -> Option<NewEvent> {
    let head: Head = serde_json::from_str(raw.get()).ok()?;
    Some(NewEvent {
        is_over: false,
        event_id: head.event_id,
        room: head.room_id,
        json: raw.get().to_owned(),
    })
}

/// All parts as one object, if any of them is one that is never sent again and says something.
fn extras(parts: &BTreeMap<String, &RawValue>) -> Option<String> {
    let kept = parts
        .iter()
        .any(|(name, raw)| is_never_sent_again(name) && says_something(raw));
    if !kept {
        return None;
    }
    serde_json::to_string(parts).ok()
}

/// Unstable names put a prefix before the stable one: `org.matrix.msc3202.device_lists`.
fn is_never_sent_again(name: &str) -> bool {
    let stable = name.rsplit('.').next().unwrap_or(name);
    NEVER_SENT_AGAIN.contains(&stable)
}

fn says_something(raw: &RawValue) -> bool {
    // Too deep to be read: rather kept than lost.
    serde_json::from_str(raw.get()).map_or(true, |value| !is_empty(&value))
}

/// `{"changed": [], "left": []}` is empty too.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(values) => values.is_empty(),
        Value::Object(values) => values.values().all(is_empty),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn content(body: &Value) -> Content {
        read(body.to_string().as_bytes()).expect("an object")
    }

    #[test]
    fn an_event_is_kept_exactly_as_it_came() {
        let event = r#"{ "room_id":"!r" , "n":1.50,"event_id":"$e","é":"\u00e9" }"#;
        let body = format!(r#"{{"events":[{event}]}}"#);
        let content = read(body.as_bytes()).expect("an object");
        let [kept] = content.events.as_slice() else {
            panic!("one event")
        };
        assert_eq!(kept.json, event);
        assert_eq!((kept.event_id.as_str(), kept.room.as_str()), ("$e", "!r"));
        assert_eq!((content.extras, content.skipped), (None, vec![]));
    }

    #[test]
    fn events_without_id_or_room_are_left_out() {
        let good = json!({ "event_id": "$e", "room_id": "!r" });
        let content = content(&json!({ "events": [
            good, {}, 7, null, "x", [],
            { "event_id": "$e" }, { "event_id": 1, "room_id": "!r" },
            { "event_id": "no id", "room_id": "!r" }, { "event_id": "$e", "room_id": "no room" },
            good,
        ] }));
        assert_eq!(content.events.len(), 2);
        assert_eq!(content.skipped, (1..=9).collect::<Vec<_>>());
    }

    #[test]
    fn a_transaction_without_events_is_fine() {
        for body in [json!({}), json!({ "events": null }), json!({ "events": 7 })] {
            let content = content(&body);
            assert_eq!((content.events.len(), content.extras), (0, None), "{body}");
        }
    }

    #[test]
    fn what_is_never_sent_again_is_kept_under_every_name() {
        for name in [
            "to_device",
            "de.sorunome.msc2409.to_device",
            "org.matrix.msc3202.device_one_time_keys_count",
            "org.matrix.msc3202.device_one_time_key_counts",
            "org.matrix.msc3202.device_unused_fallback_key_types",
        ] {
            let body = json!({ "events": [], name: [1], "ephemeral": [2], "x": 3 });
            let extras = content(&body).extras.expect("kept");
            let extras: Value = serde_json::from_str(&extras).expect("JSON");
            assert_eq!(extras, json!({ name: [1], "x": 3 }));
        }
    }

    #[test]
    fn nothing_is_kept_of_what_says_nothing() {
        let body = json!({
            "events": [], "ephemeral": [1], "de.sorunome.msc2409.ephemeral": [1],
            "to_device": [], "device_lists": { "changed": [], "left": [] }, "x": 3,
        });
        assert_eq!(content(&body).extras, None);
    }

    #[test]
    fn broken_utf8_costs_no_event() {
        let body = b"{\"events\":[{\"event_id\":\"$e\",\"room_id\":\"!r\",\"x\":\"\xff\"}]}";
        assert_eq!(read(body).expect("an object").events.len(), 1);
    }

    #[test]
    fn a_body_that_is_no_object_is_refused() {
        for body in ["", "[]", "{", "7", "{} x"] {
            assert!(read(body.as_bytes()).is_none(), "{body}");
        }
    }

    proptest! {
        #[test]
        fn every_event_is_either_taken_or_skipped(
            events in prop::collection::vec("[a-z!$\"{}:,\\\\]{0,20}", 0..8),
            whole in prop::collection::vec(any::<bool>(), 8),
        ) {
            let events: Vec<Value> = events
                .into_iter()
                .zip(whole)
                .map(|(text, whole)| {
                    if whole {
                        json!({ "event_id": "$e", "room_id": "!r", "body": text })
                    } else {
                        json!({ "event_id": text })
                    }
                })
                .collect();
            let content = content(&json!({ "events": events }));
            prop_assert_eq!(content.events.len() + content.skipped.len(), events.len());
            for event in &content.events {
                let json: Value = serde_json::from_str(&event.json).expect("JSON");
                prop_assert!(events.contains(&json));
            }
        }

        #[test]
        fn any_octets_can_be_read(body in prop::collection::vec(any::<u8>(), 0..64)) {
            let told = read(&body).is_some();
            let object = serde_json::from_str::<Value>(&String::from_utf8_lossy(&body));
            prop_assert_eq!(told, object.is_ok_and(|value| value.is_object()));
        }
    }
}
