//! What a Matrix message becomes on a phone.

use ruma::UserId;
use unicode_segmentation::UnicodeSegmentation;

use std::fmt;

use super::said::{Media, MessageKind, RoomMessage};

/// What to do with a Matrix message.
#[derive(Clone, PartialEq, Eq)]
pub enum Outgoing {
    /// Send this text.
    Text(String),
    /// Send the text, and tell the room what stayed behind, in these words.
    Partly {
        /// What the phone gets.
        text: String,
        /// What it does not get.
        words: String,
    },
    /// Cannot be a text: tell the room so, in these words.
    Unsendable(String),
    /// Not meant for phones (notices of bots).
    Silent,
}

impl fmt::Debug for Outgoing {
    /// The text is private.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => write!(f, "Text([{} octets])", text.len()),
            Self::Partly { text, .. } => write!(f, "Partly([{} octets])", text.len()),
            Self::Unsendable(why) => write!(f, "Unsendable({why:?})"),
            Self::Silent => f.write_str("Silent"),
        }
    }
}

/// Who speaks, where more than two parties are present.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Speaker<'a> {
    /// The name that phones see.
    pub name: &'a str,
    /// The phone could not tell who speaks.
    pub ambiguous: bool,
}

/// The most of a name that goes before a text, in characters as people see them.
const MAX_NAME: usize = 30;

/// The name by which phones know a Matrix user: one line without control characters and not too
/// long, for phones pay for it with each text; the localpart where nothing is left.
#[must_use]
pub fn speaker_name(display_name: Option<&str>, user: &UserId) -> String {
    let visible = |c: &char| !c.is_control() && !is_direction(*c);
    let name = display_name.unwrap_or_default();
    let name: Vec<String> = name
        .split_whitespace()
        .map(|word| word.chars().filter(visible).collect())
        .collect();
    let name = name.join(" ");
    let short: String = name.trim().graphemes(true).take(MAX_NAME).collect();
    let short = short.trim_end();
    // A name that reads like a number would make this person look like another phone.
    if short.is_empty() || is_number(short) {
        user.localpart().to_owned()
    } else {
        short.to_owned()
    }
}

/// True for what phones show as a number: digits of any script, with the signs between them.
fn is_number(name: &str) -> bool {
    let is_sign = |c: char| c.is_whitespace() || "+-–()./#*".contains(c);
    name.chars().filter(|c| c.is_numeric()).count() >= 3
        && name.chars().all(|c| c.is_numeric() || is_sign(c))
}

/// Characters that turn the direction of the text after them.
fn is_direction(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// The text with one kind of line end and without control characters, which no phone shows and
/// some take for the end of the text.
fn printable(text: &str) -> String {
    let text = text.replace("\r\n", "\n").replace(['\t', '\r'], " ");
    text.chars()
        .filter(|c| *c == '\n' || !c.is_control())
        .collect()
}

/// What a message becomes on the phones of its room.
#[must_use]
pub fn outgoing(message: &RoomMessage, speaker: Speaker<'_>) -> Outgoing {
    match &message.kind {
        MessageKind::Text { body } => text(&printable(body), speaker),
        MessageKind::Emote { body } => emote(&printable(body), speaker),
        MessageKind::Notice => Outgoing::Silent,
        MessageKind::Location {
            geo_uri,
            description,
        } => location(geo_uri, description.as_deref(), speaker),
        MessageKind::Media { kind, caption } => media(*kind, caption.as_deref(), speaker),
        MessageKind::Other { .. } => unsendable("This kind of message"),
    }
}

/// The text as the phone sees it, with the speaker's name where it is needed.
#[must_use]
pub fn spoken(text: &str, speaker: Speaker<'_>) -> String {
    if speaker.ambiguous {
        format!("{}: {text}", speaker.name)
    } else {
        text.to_owned()
    }
}

fn text(body: &str, speaker: Speaker<'_>) -> Outgoing {
    let body = body.trim_end();
    if body.trim_start().is_empty() {
        empty()
    } else {
        Outgoing::Text(spoken(body, speaker))
    }
}

fn emote(body: &str, speaker: Speaker<'_>) -> Outgoing {
    match body.trim() {
        "" => empty(),
        body => Outgoing::Text(format!("* {} {body}", speaker.name)),
    }
}

fn empty() -> Outgoing {
    Outgoing::Unsendable("The message has no text, so nothing was sent.".to_owned())
}

fn unsendable(what: &str) -> Outgoing {
    Outgoing::Unsendable(format!(
        "{what} cannot be sent as a text message, so nothing was sent."
    ))
}

/// A caption goes out with a word for what it belongs to; media alone cannot.
fn media(kind: Media, caption: Option<&str>, speaker: Speaker<'_>) -> Outgoing {
    let what = match kind {
        Media::Picture => "picture",
        Media::File => "file",
        Media::Sound => "sound message",
        Media::Video => "video",
        Media::Sticker => "sticker",
    };
    let caption = caption.map(printable).unwrap_or_default();
    match caption.trim() {
        "" => unsendable(&format!("A {what}")),
        caption => Outgoing::Partly {
            text: spoken(&format!("[{what}] {caption}"), speaker),
            words: format!("Only the words were sent: a {what} cannot be sent as a text message."),
        },
    }
}

fn location(geo_uri: &str, description: Option<&str>, speaker: Speaker<'_>) -> Outgoing {
    let Some((latitude, longitude)) = coordinates(geo_uri) else {
        return unsendable("A location without coordinates");
    };
    let place = description
        .map(printable)
        .filter(|words| !words.trim().is_empty())
        .unwrap_or_else(|| "Location".to_owned());
    let place = place.trim();
    let map = format!("https://www.openstreetmap.org/?mlat={latitude}&mlon={longitude}");
    Outgoing::Text(spoken(&format!("{place}: {map}"), speaker))
}

/// Latitude and longitude of a `geo:` URI (RFC 5870 §3.3), as they stand there.
fn coordinates(geo_uri: &str) -> Option<(&str, &str)> {
    let path = geo_uri.strip_prefix("geo:")?.split(';').next()?;
    let mut parts = path.split(',');
    let (latitude, longitude) = (parts.next()?, parts.next()?);
    let number = |text: &str| text.parse::<f64>().is_ok_and(f64::is_finite);
    (number(latitude) && number(longitude)).then_some((latitude, longitude))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALONE: Speaker<'_> = Speaker {
        name: "Alice",
        ambiguous: false,
    };
    const GROUP: Speaker<'_> = Speaker {
        name: "Alice",
        ambiguous: true,
    };

    fn said(kind: MessageKind, speaker: Speaker<'_>) -> Outgoing {
        outgoing(
            &RoomMessage {
                kind,
                replaces: None,
            },
            speaker,
        )
    }

    fn sent(text: &str) -> Outgoing {
        Outgoing::Text(text.to_owned())
    }

    #[test]
    fn the_speaker_is_named_where_there_are_more_than_two() {
        let text = || MessageKind::Text {
            body: "hello".to_owned(),
        };
        assert_eq!(said(text(), ALONE), sent("hello"));
        assert_eq!(said(text(), GROUP), sent("Alice: hello"));
    }

    #[test]
    fn an_emote_reads_like_one() {
        let emote = MessageKind::Emote {
            body: "waves".to_owned(),
        };
        assert_eq!(said(emote, ALONE), sent("* Alice waves"));
    }

    #[test]
    fn a_location_becomes_a_link_to_a_map() {
        let kind = MessageKind::Location {
            geo_uri: "geo:51.5008,-0.1247;u=35".to_owned(),
            description: Some("Big Ben".to_owned()),
        };
        let map = "Big Ben: https://www.openstreetmap.org/?mlat=51.5008&mlon=-0.1247";
        assert_eq!(said(kind, ALONE), sent(map));
    }

    #[test]
    fn what_cannot_be_sent_says_so() {
        for kind in [
            MessageKind::Text {
                body: " \n ".to_owned(),
            },
            MessageKind::Media {
                kind: Media::Sticker,
                caption: None,
            },
            MessageKind::Location {
                geo_uri: "geo:x,y".to_owned(),
                description: None,
            },
        ] {
            assert!(
                matches!(said(kind.clone(), ALONE), Outgoing::Unsendable(_)),
                "{kind:?}"
            );
        }
    }

    #[test]
    fn a_caption_goes_out_and_the_picture_stays_behind() {
        let kind = MessageKind::Media {
            kind: Media::Picture,
            caption: Some("the cat ".to_owned()),
        };
        let Outgoing::Partly { text, words } = said(kind, GROUP) else {
            panic!("the words can be sent");
        };
        assert_eq!(text, "Alice: [picture] the cat");
        assert!(words.contains("a picture cannot be sent"), "{words}");
    }

    #[test]
    fn nobody_looks_like_a_phone() {
        let user = ruma::user_id!("@mallory:example.org");
        for name in ["+44 7700 900123", "(0)7700-900.123", "٠١٢٣٤"] {
            assert_eq!(speaker_name(Some(name), user), "mallory", "{name}");
        }
        assert_eq!(speaker_name(Some("Agent 007"), user), "Agent 007");
        assert_eq!(speaker_name(Some("R2"), user), "R2");
    }

    #[test]
    fn control_characters_stay_off_the_phone() {
        let text = |body: &str| MessageKind::Text {
            body: body.to_owned(),
        };
        assert_eq!(said(text("a\0b\u{7}c\u{1b}d"), ALONE), sent("abcd"));
        assert_eq!(
            said(text("one\r\ntwo\tthree"), ALONE),
            sent("one\ntwo three")
        );
        assert!(matches!(said(text("\0"), ALONE), Outgoing::Unsendable(_)));
    }

    #[test]
    fn a_speakers_name_is_one_short_line() {
        let name = |name: Option<&str>| speaker_name(name, ruma::user_id!("@alice:example.org"));
        assert_eq!(name(Some("  Alice\n  Smith ")), "Alice Smith");
        assert_eq!(name(Some("Evil\r\nBob: hi\u{202e}")), "Evil Bob: hi");
        assert_eq!(name(Some(&"👨‍👩‍👧‍👦".repeat(300))), "👨‍👩‍👧‍👦".repeat(30));
        assert_eq!(
            name(Some(&"Very ".repeat(60))),
            "Very ".repeat(6).trim_end()
        );
        for nothing in [None, Some(""), Some(" \n "), Some("\u{202e}")] {
            assert_eq!(name(nothing), "alice");
        }
    }

    #[test]
    fn notices_are_never_relayed() {
        assert_eq!(said(MessageKind::Notice, GROUP), Outgoing::Silent);
    }
}
