//! What a room holds, as one of its people reads it from the homeserver.

use std::fmt;

use serde_json::Value;

/// The events of a room that one person can see, oldest first.
#[derive(Debug, Clone, Default)]
pub(crate) struct Timeline(pub(crate) Vec<Value>);

impl Timeline {
    /// The ordinary messages and notices.
    pub(crate) fn messages(&self) -> impl Iterator<Item = &Value> {
        self.0
            .iter()
            .filter(|event| event["type"] == "m.room.message")
    }

    /// The notices of the gateway that hold all of these words, in any case.
    pub(crate) fn notices<'a>(&'a self, words: &'a [&'a str]) -> impl Iterator<Item = &'a Value> {
        self.messages()
            .filter(move |event| is_notice(event) && says(event, words))
    }

    /// Texts of one sender, with exactly this body.
    pub(crate) fn texts(&self, sender: &str, body: &str) -> usize {
        let exactly = |event: &&Value| {
            event["sender"] == sender && event["content"]["body"] == body && !is_notice(event)
        };
        self.messages().filter(exactly).count()
    }

    /// What somebody's membership is now.
    pub(crate) fn membership(&self, user: &str) -> Option<&Value> {
        let of_user =
            |event: &&Value| event["type"] == "m.room.member" && event["state_key"] == user;
        self.0
            .iter()
            .rev()
            .find(of_user)
            .map(|event| &event["content"])
    }

    /// The reactions to an event that have not been taken back.
    pub(crate) fn reactions<'a>(&'a self, to: &'a str) -> impl Iterator<Item = &'a Value> {
        self.0.iter().filter(move |event| {
            event["type"] == "m.reaction" && event["content"]["m.relates_to"]["event_id"] == to
        })
    }

    /// Whether one user's ✓ stands at an event.
    pub(crate) fn has_check(&self, by: &str, to: &str) -> bool {
        self.reactions(to)
            .any(|event| event["sender"] == by && is_check(event))
    }

    /// The notices that answer an event.
    pub(crate) fn replies<'a>(&'a self, to: &'a str) -> impl Iterator<Item = &'a Value> {
        let answers = move |event: &Value| {
            event["content"]["m.relates_to"]["m.in_reply_to"]["event_id"] == to
        };
        self.messages()
            .filter(move |event| is_notice(event) && answers(event))
    }

    /// The latest machine-readable status of an event.
    pub(crate) fn status(&self, of: &str) -> Option<&Value> {
        let latest = self.statuses(of).pop();
        latest.map(|event| &event["content"])
    }

    /// Whether this user has told a machine-readable status of an event.
    pub(crate) fn has_status(&self, by: &str, of: &str) -> bool {
        self.statuses(of).iter().any(|event| event["sender"] == by)
    }

    fn statuses<'a>(&'a self, of: &str) -> Vec<&'a Value> {
        let about = |event: &&Value| {
            event["type"] == "com.beeper.message_send_status"
                && event["content"]["m.relates_to"]["event_id"] == of
        };
        self.0.iter().filter(about).collect()
    }
}

/// One line for each event, for the messages of failing tests.
impl fmt::Display for Timeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for event in &self.0 {
            let (kind, sender) = (text(&event["type"]), text(&event["sender"]));
            writeln!(
                f,
                "  {} {kind} {sender} {}",
                text(&event["event_id"]),
                event["content"]
            )?;
        }
        Ok(())
    }
}

/// Whether an event's text holds all of these words, in any case.
pub(crate) fn says(event: &Value, words: &[&str]) -> bool {
    let body = text(&event["content"]["body"]).to_lowercase();
    words.iter().all(|word| body.contains(&word.to_lowercase()))
}

/// The id of an event.
pub(crate) fn id(event: &Value) -> &str {
    text(&event["event_id"])
}

/// A JSON string; empty for anything else.
pub(crate) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn is_notice(event: &Value) -> bool {
    event["content"]["msgtype"] == "m.notice"
}

fn is_check(event: &Value) -> bool {
    text(&event["content"]["m.relates_to"]["key"]).starts_with('✓')
}
