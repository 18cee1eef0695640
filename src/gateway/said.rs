//! What a person says in a room, whatever the form it came in.

use std::fmt;

use ruma::OwnedEventId;

/// Something said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoomMessage {
    /// What; of an edit, the new content.
    pub kind: MessageKind,
    /// The event that it answers; the quotation of it has been removed from the text.
    pub reply: Option<OwnedEventId>,
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
    /// A picture.
    Image {
        /// Its file name.
        filename: String,
        /// Words that belong to it.
        caption: Option<String>,
    },
    /// A file.
    File,
    /// Sound.
    Audio,
    /// A video.
    Video,
    /// A sticker.
    Sticker,
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

impl fmt::Debug for MessageKind {
    /// Names the kind and nothing that was said.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Text { .. } => "Text(…)",
            Self::Emote { .. } => "Emote(…)",
            Self::Notice => "Notice",
            Self::Image { .. } => "Image(…)",
            Self::File => "File",
            Self::Audio => "Audio",
            Self::Video => "Video",
            Self::Sticker => "Sticker",
            Self::Location { .. } => "Location(…)",
            Self::Other { .. } => "Other(…)",
        })
    }
}
