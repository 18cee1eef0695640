//! Events of rooms, each put into JSON once: it is told to the application service as it is.

use serde::{Serialize, Serializer};
use serde_json::Value;
use serde_json::value::{RawValue, to_raw_value};

/// What an event says, before it has an id.
#[derive(Debug, Clone)]
pub(crate) struct Saying<'a> {
    pub(crate) room: &'a str,
    pub(crate) sender: &'a str,
    pub(crate) event_type: &'a str,
    pub(crate) state_key: Option<&'a str>,
    pub(crate) content: Content,
}

/// The content of an event.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
pub(crate) enum Content {
    /// One that may be looked at.
    Read(Value),
    /// One that is only passed on.
    Raw(Box<RawValue>),
}

/// One event of a room.
#[derive(Debug, Clone)]
pub(crate) struct Event {
    pub(crate) id: String,
    written: Box<RawValue>,
    /// Of a state event, what it says.
    pub(crate) content: Option<Value>,
}

/// An event as it is in JSON.
#[derive(Serialize)]
struct Written<'a> {
    event_id: &'a str,
    room_id: &'a str,
    sender: &'a str,
    #[serde(rename = "type")]
    event_type: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    state_key: Option<&'a str>,
    content: &'a Content,
    origin_server_ts: u64,
}

impl Event {
    pub(crate) fn new(id: String, saying: Saying<'_>, origin_server_ts: u64) -> Self {
        let written = to_raw_value(&Written {
            event_id: &id,
            room_id: saying.room,
            sender: saying.sender,
            event_type: saying.event_type,
            state_key: saying.state_key,
            content: &saying.content,
            origin_server_ts,
        });
        let content = match saying.content {
            Content::Read(value) if saying.state_key.is_some() => Some(value),
            _ => None,
        };
        Self {
            id,
            // Text and numbers can always be written.
            written: written.unwrap_or_default(),
            content,
        }
    }
}

impl Serialize for Event {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.written.serialize(serializer)
    }
}

impl From<Value> for Content {
    fn from(value: Value) -> Self {
        Self::Read(value)
    }
}

impl Content {
    /// One field of it, where it can be looked at and has a text there.
    pub(crate) fn text(&self, field: &str) -> Option<&str> {
        match self {
            Self::Read(value) => value.get(field)?.as_str(),
            Self::Raw(_) => None,
        }
    }
}
