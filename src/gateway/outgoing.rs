//! What a Matrix message becomes on a phone.

use crate::matrix::event::{MessageKind, RoomMessage};

/// What to do with a Matrix message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outgoing {
    /// Send this text.
    Text(String),
    /// Cannot be a text: tell the room so, in these words.
    Unsendable(String),
    /// Not meant for phones (notices of bots).
    Silent,
}

/// Who speaks, where more than two parties are present.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Speaker<'a> {
    /// The name that phones see.
    pub name: &'a str,
    /// The phone could not tell who speaks.
    pub ambiguous: bool,
}

/// What a message becomes on the phones of its room.
#[must_use]
pub fn outgoing(message: &RoomMessage, speaker: Speaker<'_>) -> Outgoing {
    match &message.kind {
        MessageKind::Text { body } => text(body, speaker),
        MessageKind::Emote { body } if body.trim().is_empty() => empty(),
        MessageKind::Emote { body } => {
            Outgoing::Text(format!("* {} {}", speaker.name, body.trim()))
        }
        MessageKind::Notice => Outgoing::Silent,
        MessageKind::Location {
            geo_uri,
            description,
        } => location(geo_uri, description.as_deref(), speaker),
        MessageKind::Image { .. } => unsendable("A picture"),
        MessageKind::Sticker => unsendable("A sticker"),
        MessageKind::Audio => unsendable("A sound message"),
        MessageKind::Video => unsendable("A video"),
        MessageKind::File => unsendable("A file"),
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

fn empty() -> Outgoing {
    Outgoing::Unsendable("The message has no text, so nothing was sent.".to_owned())
}

fn unsendable(what: &str) -> Outgoing {
    Outgoing::Unsendable(format!(
        "{what} cannot be sent as a text message, so nothing was sent."
    ))
}

fn location(geo_uri: &str, description: Option<&str>, speaker: Speaker<'_>) -> Outgoing {
    let Some((latitude, longitude)) = coordinates(geo_uri) else {
        return unsendable("A location without coordinates");
    };
    let place = description
        .map(str::trim)
        .filter(|words| !words.is_empty())
        .unwrap_or("Location");
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
                reply: None,
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
            MessageKind::Sticker,
            MessageKind::File,
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
    fn notices_are_never_relayed() {
        assert_eq!(said(MessageKind::Notice, GROUP), Outgoing::Silent);
    }
}
