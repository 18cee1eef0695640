//! What one event of a room means to the gateway. Lenient: an event that cannot be read is
//! [`RoomEvent::Other`] with a reason, so that it stops nothing behind it.

use ruma::{OwnedEventId, OwnedRoomId, OwnedUserId, user_id};
use serde_json::Value;

use super::html;
use crate::gateway::model::Membership;
use crate::gateway::said::{Media, MessageKind, RoomMessage};

/// An event of a room, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parsed {
    /// Who sent it; `@nobody:invalid` where it does not say.
    pub sender: OwnedUserId,
    /// What it says.
    pub event: RoomEvent,
}

/// What an event says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RoomEvent {
    /// Somebody was invited, joined, or is gone.
    Member(MemberChange),
    /// Somebody says something: a message, a sticker, a poll.
    Message(RoomMessage),
    /// Somebody takes an event back.
    Redaction {
        /// The event.
        redacts: OwnedEventId,
    },
    /// Somebody reacts to an event.
    Reaction,
    /// The room is encrypted from now on.
    Encryption,
    /// Something that we cannot read, because it is encrypted.
    Encrypted,
    /// The room is replaced by another one.
    Tombstone {
        /// The other one, where the event names it.
        replacement: Option<OwnedRoomId>,
    },
    /// Nothing for the gateway to do.
    Other {
        /// Why not.
        reason: &'static str,
    },
}

/// A change of one membership.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberChange {
    /// Whose.
    pub user: OwnedUserId,
    /// What it is now.
    pub membership: Membership,
    /// Their name in this room.
    pub display_name: Option<String>,
    /// The invite is to a direct chat.
    pub is_direct: bool,
}

/// Reads an event in client format.
#[must_use]
pub fn parse(json: &str) -> Parsed {
    let event: Value = serde_json::from_str(json).unwrap_or_default();
    let sender = text(&event, "sender").and_then(|sender| sender.try_into().ok());
    match sender {
        Some(sender) => Parsed {
            sender,
            event: room_event(&event),
        },
        None => Parsed {
            sender: nobody(),
            event: other("it has no sender or is no JSON"),
        },
    }
}

fn nobody() -> OwnedUserId {
    user_id!("@nobody:invalid").to_owned()
}

fn other(reason: &'static str) -> RoomEvent {
    RoomEvent::Other { reason }
}

fn room_event(event: &Value) -> RoomEvent {
    let content = event.get("content").unwrap_or(&Value::Null);
    let Some(event_type) = text(event, "type") else {
        return other("it has no type");
    };
    match (event_type, text(event, "state_key")) {
        ("m.room.member", Some(user)) => member(content, user),
        ("m.room.encryption", Some("")) => RoomEvent::Encryption,
        ("m.room.tombstone", Some("")) => {
            let replacement = text(content, "replacement_room").and_then(|id| id.try_into().ok());
            RoomEvent::Tombstone { replacement }
        }
        (_, Some(_)) => other("no state that matters"),
        ("m.room.message", None) => message(content),
        ("m.sticker", None) if !is_redacted(content) => said(media(Media::Sticker, &Value::Null)),
        ("m.room.redaction", None) => redaction(event, content),
        ("m.reaction", None) => reaction(content),
        ("m.room.encrypted", None) => RoomEvent::Encrypted,
        ("m.poll.start" | "org.matrix.msc3381.poll.start" | "m.call.invite", None) => {
            let msgtype = event_type.to_owned();
            said(MessageKind::Other { msgtype })
        }
        _ => other("no type that matters"),
    }
}

fn member(content: &Value, user: &str) -> RoomEvent {
    let membership = match text(content, "membership") {
        Some("invite") => Membership::Invited,
        Some("join") => Membership::Joined,
        Some(_) => Membership::Gone,
        None => return other("a member without membership"),
    };
    let Ok(user) = user.try_into() else {
        return other("a member who is no user");
    };
    RoomEvent::Member(MemberChange {
        user,
        membership,
        display_name: owned(content, "displayname"),
        is_direct: content
            .get("is_direct")
            .and_then(Value::as_bool)
            .unwrap_or(false),
    })
}

fn redaction(event: &Value, content: &Value) -> RoomEvent {
    let redacts = text(content, "redacts").or_else(|| text(event, "redacts"));
    match redacts.and_then(|id| id.try_into().ok()) {
        Some(redacts) => RoomEvent::Redaction { redacts },
        None => other("a redaction of nothing"),
    }
}

fn reaction(content: &Value) -> RoomEvent {
    let relation = content.get("m.relates_to").unwrap_or(&Value::Null);
    match (text(relation, "event_id"), text(relation, "key")) {
        (Some(_), Some(_)) => RoomEvent::Reaction,
        _ => other("a reaction to nothing"),
    }
}

// === Messages ===

fn message(content: &Value) -> RoomEvent {
    if is_redacted(content) {
        return other("a message that was redacted");
    }
    let relation = content.get("m.relates_to").unwrap_or(&Value::Null);
    if text(relation, "rel_type") != Some("m.replace") {
        return said(kind(content, is_reply(content)));
    }
    let Some(original) = text(relation, "event_id").and_then(|id| id.try_into().ok()) else {
        return other("an edit of nothing");
    };
    RoomEvent::Message(RoomMessage {
        kind: edited(content),
        replaces: Some(original),
    })
}

/// The new content of an edit; where it is missing, what clients show that know no edits.
fn edited(content: &Value) -> MessageKind {
    let answers = is_reply(content);
    match content.get("m.new_content").filter(|new| new.is_object()) {
        Some(new) => kind(new, answers || is_reply(new)),
        None => match kind(content, answers) {
            MessageKind::Text { body } => MessageKind::Text {
                body: without_star(&body),
            },
            kind => kind,
        },
    }
}

fn without_star(body: &str) -> String {
    body.strip_prefix("* ").unwrap_or(body).to_owned()
}

fn said(kind: MessageKind) -> RoomEvent {
    RoomEvent::Message(RoomMessage {
        kind,
        replaces: None,
    })
}

/// True for a message that answers another one. Messages in a thread name one only for clients that
/// know no threads.
fn is_reply(content: &Value) -> bool {
    let relation = content.get("m.relates_to").unwrap_or(&Value::Null);
    let fallback = relation.get("is_falling_back").and_then(Value::as_bool);
    let answered = relation
        .get("m.in_reply_to")
        .and_then(|to| text(to, "event_id"));
    answered.is_some() && fallback != Some(true)
}

fn kind(content: &Value, is_reply: bool) -> MessageKind {
    match text(content, "msgtype") {
        Some("m.text") | None => MessageKind::Text {
            body: words(content, is_reply),
        },
        Some("m.emote") => MessageKind::Emote {
            body: words(content, is_reply),
        },
        Some("m.notice" | "m.server_notice") => MessageKind::Notice,
        Some("m.image") => media(Media::Picture, content),
        Some("m.file") => media(Media::File, content),
        Some("m.audio") => media(Media::Sound, content),
        Some("m.video") => media(Media::Video, content),
        Some("m.location") => location(content),
        Some(msgtype) => MessageKind::Other {
            msgtype: msgtype.to_owned(),
        },
    }
}

/// The plain text of a message, without the quotation that goes before a reply.
fn words(content: &Value, is_reply: bool) -> String {
    let body = text(content, "body").unwrap_or_default();
    let formatted = text(content, "formatted_body");
    match formatted {
        Some(formatted) if body.trim().is_empty() => html::to_text(formatted),
        _ if is_reply => without_quotation(body).to_owned(),
        _ => body.to_owned(),
    }
}

/// Removes the reply fallback (Client-Server API before 1.13, "Fallbacks for rich replies"): the
/// quoted lines, of which the first names a user, and the empty line after them.
fn without_quotation(body: &str) -> &str {
    if !body.starts_with("> <@") && !body.starts_with("> * <@") {
        return body;
    }
    let mut rest = body;
    while rest.starts_with('>') {
        rest = rest.split_once('\n').map_or("", |(_, rest)| rest);
    }
    rest.strip_prefix('\n').unwrap_or(rest)
}

/// The body is the caption where it is not the file's name.
fn media(kind: Media, content: &Value) -> MessageKind {
    let filename = text(content, "filename");
    let body = text(content, "body").filter(|_| filename.is_some());
    let caption = body.filter(|body| filename != Some(body) && !body.trim().is_empty());
    MessageKind::Media {
        kind,
        caption: caption.map(str::to_owned),
    }
}

fn location(content: &Value) -> MessageKind {
    let extensible = ["m.location", "org.matrix.msc3488.location"];
    let extensible = extensible
        .iter()
        .find_map(|key| content.get(key))
        .unwrap_or(&Value::Null);
    let geo_uri = text(content, "geo_uri")
        .or_else(|| text(extensible, "uri"))
        .unwrap_or_default();
    // Clients that have no description put the URI into a sentence of their own.
    let body = text(content, "body").filter(|body| !body.contains("geo:"));
    let description = text(extensible, "description").or(body);
    MessageKind::Location {
        geo_uri: geo_uri.to_owned(),
        description: description
            .filter(|words| !words.trim().is_empty())
            .map(str::to_owned),
    }
}

/// A redacted event keeps its type and loses its content.
fn is_redacted(content: &Value) -> bool {
    content.as_object().is_none_or(serde_json::Map::is_empty)
}

fn text<'a>(object: &'a Value, key: &str) -> Option<&'a str> {
    object.get(key)?.as_str()
}

fn owned(object: &Value, key: &str) -> Option<String> {
    text(object, key).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use ruma::{owned_event_id, owned_user_id};
    use serde_json::json;

    #[expect(
        clippy::needless_pass_by_value,
        reason = "so that the tests can write it in place"
    )]
    fn event(event_type: &str, content: Value) -> Value {
        json!({
            "type": event_type, "sender": "@alice:example.org", "event_id": "$e",
            "room_id": "!r", "content": content,
        })
    }

    fn state(event_type: &str, key: &str, content: Value) -> Value {
        let mut event = event(event_type, content);
        event["state_key"] = json!(key);
        event
    }

    fn read(event: &Value) -> RoomEvent {
        let parsed = parse(&event.to_string());
        assert_eq!(parsed.sender, "@alice:example.org");
        parsed.event
    }

    fn read_message(content: Value) -> RoomMessage {
        match read(&event("m.room.message", content)) {
            RoomEvent::Message(message) => message,
            event => panic!("no message: {event:?}"),
        }
    }

    fn kind_of(content: Value) -> MessageKind {
        read_message(content).kind
    }

    fn says(body: &str) -> MessageKind {
        MessageKind::Text {
            body: body.to_owned(),
        }
    }

    #[test]
    fn an_invite_tells_who_and_how() {
        let content = json!({
            "membership": "invite", "is_direct": true, "displayname": "Bob",
        });
        let invite = state("m.room.member", "@.tel.447700900123:example.org", content);
        let expected = MemberChange {
            user: owned_user_id!("@.tel.447700900123:example.org"),
            membership: Membership::Invited,
            display_name: Some("Bob".to_owned()),
            is_direct: true,
        };
        assert_eq!(read(&invite), RoomEvent::Member(expected));
    }

    #[test]
    fn whoever_leaves_is_kicked_or_banned_is_gone() {
        for (membership, expected) in [
            ("join", Membership::Joined),
            ("leave", Membership::Gone),
            ("ban", Membership::Gone),
            ("knock", Membership::Gone),
        ] {
            let content = json!({ "membership": membership });
            let RoomEvent::Member(change) = read(&state("m.room.member", "@b:c.d", content)) else {
                panic!("{membership}");
            };
            assert_eq!(change.membership, expected, "{membership}");
        }
    }

    #[test]
    fn a_text_is_its_body() {
        let content = json!({ "msgtype": "m.text", "body": "hi\n> a quote of mine" });
        let expected = RoomMessage {
            kind: says("hi\n> a quote of mine"),
            replaces: None,
        };
        assert_eq!(read_message(content), expected);
    }

    #[test]
    fn html_is_read_only_where_there_is_nothing_else() {
        let html = "<p>one<br>two &amp; <b>three</b></p>";
        let content = json!({ "msgtype": "m.text", "body": " ", "formatted_body": html });
        assert_eq!(kind_of(content), says("one\ntwo & three"));
        let content = json!({ "msgtype": "m.text", "body": "plain", "formatted_body": html });
        assert_eq!(kind_of(content), says("plain"));
        assert_eq!(kind_of(json!({ "msgtype": "m.text" })), says(""));
    }

    #[test]
    fn a_reply_loses_its_quotation_and_nothing_else() {
        let replying = |body: &str| {
            let relation = json!({ "m.in_reply_to": { "event_id": "$first" } });
            read_message(json!({ "msgtype": "m.text", "body": body, "m.relates_to": relation }))
        };
        for (body, left) in [
            ("> <@a:b.c> one\n> two\n\nanswer", "answer"),
            ("> * <@a:b.c> waves\n\nanswer", "answer"),
            (
                "> <@a:b.c> one\n\n> my own quote\nanswer",
                "> my own quote\nanswer",
            ),
            ("> <@a:b.c> one\n\n\nanswer", "\nanswer"),
            ("> <@a:b.c> one\n>\n> two\nanswer", "answer"),
            ("> my own quote\n\nanswer", "> my own quote\n\nanswer"),
            ("answer", "answer"),
            ("> <@a:b.c> nothing more", ""),
        ] {
            let message = replying(body);
            assert_eq!(message.kind, says(left), "{body}");
        }
    }

    #[test]
    fn what_looks_like_a_quotation_stays_where_nothing_is_answered() {
        let body = "> <@a:b.c> one\n\nanswer";
        assert_eq!(
            kind_of(json!({ "msgtype": "m.text", "body": body })),
            says(body)
        );
    }

    #[test]
    fn a_message_in_a_thread_is_no_reply() {
        let relation = json!({
            "rel_type": "m.thread", "event_id": "$root", "is_falling_back": true,
            "m.in_reply_to": { "event_id": "$last" },
        });
        let body = "> <@a:b.c> one\n\nmine";
        let content = json!({ "msgtype": "m.text", "body": body, "m.relates_to": relation });
        assert_eq!(kind_of(content), says(body));
    }

    #[test]
    fn an_edit_tells_the_new_content() {
        let relation = json!({ "rel_type": "m.replace", "event_id": "$first" });
        let content = json!({
            "msgtype": "m.text", "body": "* new", "m.relates_to": relation,
            "m.new_content": { "msgtype": "m.emote", "body": "new" },
        });
        let edit = read_message(content);
        assert_eq!(
            edit.kind,
            MessageKind::Emote {
                body: "new".to_owned()
            }
        );
        assert_eq!(edit.replaces, Some(owned_event_id!("$first")));
        let without = json!({ "msgtype": "m.text", "body": "* new", "m.relates_to": relation });
        assert_eq!(read_message(without).kind, says("new"));
    }

    #[test]
    fn an_edit_of_nothing_is_set_aside() {
        for relation in [
            json!({ "rel_type": "m.replace" }),
            json!({ "rel_type": "m.replace", "event_id": "no id" }),
        ] {
            let content = json!({ "msgtype": "m.text", "body": "* x", "m.relates_to": relation });
            let event = read(&event("m.room.message", content));
            assert_eq!(event, other("an edit of nothing"));
        }
    }

    #[test]
    fn files_and_bots_are_told_apart() {
        for (msgtype, expected) in [
            ("m.notice", MessageKind::Notice),
            ("m.server_notice", MessageKind::Notice),
            ("m.image", silent(Media::Picture)),
            ("m.file", silent(Media::File)),
            ("m.audio", silent(Media::Sound)),
            ("m.video", silent(Media::Video)),
            (
                "x.y",
                MessageKind::Other {
                    msgtype: "x.y".to_owned(),
                },
            ),
        ] {
            let content = json!({ "msgtype": msgtype, "body": "b" });
            assert_eq!(kind_of(content), expected, "{msgtype}");
        }
        let sticker = read(&event("m.sticker", json!({ "body": "x" })));
        let expected = RoomMessage {
            kind: silent(Media::Sticker),
            replaces: None,
        };
        assert_eq!(sticker, RoomEvent::Message(expected));
    }

    fn silent(kind: Media) -> MessageKind {
        MessageKind::Media {
            kind,
            caption: None,
        }
    }

    #[test]
    fn a_body_beside_a_file_name_is_a_caption() {
        let picture = |body: &str, filename: Option<&str>| {
            let mut content = json!({ "msgtype": "m.image", "body": body });
            if let Some(filename) = filename {
                content["filename"] = Value::from(filename);
            }
            kind_of(content)
        };
        let captioned = MessageKind::Media {
            kind: Media::Picture,
            caption: Some("the cat".to_owned()),
        };
        assert_eq!(picture("the cat", Some("cat.jpg")), captioned);
        assert_eq!(picture("cat.jpg", Some("cat.jpg")), silent(Media::Picture));
        assert_eq!(picture(" ", Some("cat.jpg")), silent(Media::Picture));
        assert_eq!(picture("cat.jpg", None), silent(Media::Picture));
    }

    #[test]
    fn a_poll_or_a_call_is_said_too() {
        for event_type in [
            "m.poll.start",
            "org.matrix.msc3381.poll.start",
            "m.call.invite",
        ] {
            let RoomEvent::Message(message) = read(&event(event_type, json!({ "x": 1 }))) else {
                panic!("{event_type}");
            };
            assert_eq!(
                message.kind,
                MessageKind::Other {
                    msgtype: event_type.to_owned()
                }
            );
        }
    }

    #[test]
    fn a_location_is_read_in_both_forms() {
        let place = |geo: &str, words: Option<&str>| MessageKind::Location {
            geo_uri: geo.to_owned(),
            description: words.map(str::to_owned),
        };
        let old = json!({ "msgtype": "m.location", "body": "Big Ben", "geo_uri": "geo:1,2" });
        assert_eq!(kind_of(old), place("geo:1,2", Some("Big Ben")));
        let sentence = "Location was shared at geo:1,2 as of now";
        let element = json!({ "msgtype": "m.location", "body": sentence, "geo_uri": "geo:1,2" });
        assert_eq!(kind_of(element), place("geo:1,2", None));
        let extensible = json!({
            "msgtype": "m.location", "body": sentence,
            "org.matrix.msc3488.location": { "uri": "geo:3,4", "description": "Home" },
        });
        assert_eq!(kind_of(extensible), place("geo:3,4", Some("Home")));
        assert_eq!(kind_of(json!({ "msgtype": "m.location" })), place("", None));
    }

    #[test]
    fn a_redaction_is_read_in_both_room_versions() {
        let expected = RoomEvent::Redaction {
            redacts: owned_event_id!("$first"),
        };
        let new = event("m.room.redaction", json!({ "redacts": "$first" }));
        assert_eq!(read(&new), expected);
        let mut old = event("m.room.redaction", json!({}));
        old["redacts"] = json!("$first");
        assert_eq!(read(&old), expected);
        let none = event("m.room.redaction", json!({}));
        assert_eq!(read(&none), other("a redaction of nothing"));
    }

    #[test]
    fn a_redacted_message_says_nothing() {
        for event_type in ["m.room.message", "m.sticker"] {
            let event = read(&event(event_type, json!({})));
            assert!(matches!(event, RoomEvent::Other { .. }), "{event_type}");
        }
    }

    #[test]
    fn a_reaction_names_its_event_and_key() {
        let relation = json!({ "rel_type": "m.annotation", "event_id": "$first", "key": "👍" });
        let expected = RoomEvent::Reaction;
        assert_eq!(
            read(&event("m.reaction", json!({ "m.relates_to": relation }))),
            expected
        );
    }

    #[test]
    fn encryption_and_tombstones_are_state() {
        assert_eq!(
            read(&state("m.room.encryption", "", json!({}))),
            RoomEvent::Encryption
        );
        assert_eq!(
            read(&event("m.room.encrypted", json!({}))),
            RoomEvent::Encrypted
        );
        let tombstone = state(
            "m.room.tombstone",
            "",
            json!({ "replacement_room": "!new" }),
        );
        let replacement = "!new".try_into().ok();
        assert_eq!(read(&tombstone), RoomEvent::Tombstone { replacement });
        for event_type in ["m.room.encryption", "m.room.tombstone", "m.room.member"] {
            let event = read(&event(event_type, json!({ "membership": "join" })));
            assert!(matches!(event, RoomEvent::Other { .. }), "{event_type}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_other_and_says_why() {
        for json in [
            "",
            "{",
            "[]",
            "{\"type\":\"m.room.message\"}",
            "{\"sender\":\"alice\"}",
        ] {
            let expected = Parsed {
                sender: owned_user_id!("@nobody:invalid"),
                event: other("it has no sender or is no JSON"),
            };
            assert_eq!(parse(json), expected, "{json}");
        }
        let bad = [
            json!({ "sender": "@alice:example.org" }),
            state("m.room.member", "nobody", json!({ "membership": "join" })),
            state("m.room.member", "@b:c.d", json!({ "membership": 7 })),
            state(
                "m.room.message",
                "",
                json!({ "msgtype": "m.text", "body": "x" }),
            ),
            event("m.reaction", json!({})),
            event("m.room.message", json!("no object")),
        ];
        for event in bad {
            assert!(matches!(read(&event), RoomEvent::Other { .. }), "{event}");
        }
    }

    #[test]
    fn debug_tells_nothing_that_was_said() {
        let content = json!({ "msgtype": "m.text", "body": "a secret" });
        let told = format!("{:?}", parse(&event("m.room.message", content).to_string()));
        assert!(
            told.contains("Text(…)") && !told.contains("secret"),
            "{told}"
        );
    }

    /// Values of the kinds that stand where an event's fields should be.
    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            "\\PC{0,12}".prop_map(Value::from),
            "(> <@a:b.c>|[$!@]|\\* |\n|geo:|<br>|&#x){0,4}".prop_map(Value::from),
            any_key().prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map(any_key(), inner, 0..6)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    /// Names that the parser looks for.
    fn any_key() -> impl Strategy<Value = String> {
        prop::sample::select(vec![
            "type",
            "sender",
            "state_key",
            "content",
            "membership",
            "msgtype",
            "body",
            "m.text",
            "formatted_body",
            "filename",
            "geo_uri",
            "m.image",
            "m.emote",
            "m.location",
            "uri",
            "m.relates_to",
            "m.in_reply_to",
            "rel_type",
            "m.replace",
            "m.new_content",
            "event_id",
            "redacts",
            "key",
            "unsigned",
            "invite_room_state",
            "$e",
            "@a:b.c",
            "is_falling_back",
            "m.room.message",
            "m.room.member",
            "m.reaction",
            "m.room.redaction",
            "m.sticker",
            "m.room.tombstone",
            "replacement_room",
        ])
        .prop_map(str::to_owned)
    }

    proptest! {
        #[test]
        fn any_text_can_be_parsed(json in "\\PC*") {
            let ignored = matches!(parse(&json).event, RoomEvent::Other { .. });
            prop_assert!(ignored);
        }

        #[test]
        fn any_json_can_be_parsed(json in any_json()) {
            drop(parse(&json.to_string()));
        }

        #[test]
        fn any_content_and_state_key_can_be_parsed(
            event_type in any_key(),
            content in any_json(),
            relation in any_json(),
            state_key in proptest::option::of(any_json()),
        ) {
            let mut event = event(&event_type, content);
            if event["content"].is_object() {
                event["content"]["m.relates_to"] = relation;
            }
            if let Some(key) = state_key {
                event["state_key"] = key;
            }
            let parsed = parse(&event.to_string());
            prop_assert_eq!(parsed.sender, "@alice:example.org");
        }
    }
}
