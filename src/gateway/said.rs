//! What a person says in a room, whatever the form it came in.

use std::fmt;

use ruma::OwnedEventId;

/// Something said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoomMessage {
    /// What; of an edit, the new content.
    pub kind: MessageKind,
    /// The event that it replaces: this is an edit.
    pub replaces: Option<OwnedEventId>,
}

/// What was said.
#[derive(Clone, PartialEq, Eq)]
pub enum MessageKind {
    /// Words.
    Text {
        /// Plain text; rendered from HTML where the message has nothing else.
        body: String,
    },
    /// "/me does something".
    Emote {
        /// Plain text.
        body: String,
    },
    /// The words of a bot.
    Notice,
    /// What no text message can carry.
    Media {
        /// What it is.
        kind: Media,
        /// Words that belong to it (Client-Server API §11.37.1.1, "Media captions").
        caption: Option<String>,
    },
    /// A place.
    Location {
        /// `geo:` URI (RFC 5870); empty where the event has none.
        geo_uri: String,
        /// What people call it.
        description: Option<String>,
    },
    /// Anything else that a person says.
    Other {
        /// Its `msgtype`, or the type of its event.
        msgtype: String,
    },
}

/// A kind of media.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Media {
    /// `m.image`.
    Picture,
    /// `m.file`.
    File,
    /// `m.audio`.
    Sound,
    /// `m.video`.
    Video,
    /// `m.sticker`.
    Sticker,
}

impl fmt::Debug for MessageKind {
    /// Names the kind and nothing that was said.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Text { .. } => "Text(…)",
            Self::Emote { .. } => "Emote(…)",
            Self::Notice => "Notice",
            Self::Media { .. } => "Media(…)",
            Self::Location { .. } => "Location(…)",
            Self::Other { .. } => "Other(…)",
        })
    }
}
