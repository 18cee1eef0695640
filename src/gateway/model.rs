//! The words of the domain as types: handsets, conversations, messages, segments and their states.

use std::fmt;

use matrix_smpp_codec::e164::E164;
use matrix_smpp_config::Money;
use ruma::{OwnedEventId, OwnedRoomId, OwnedServerName, OwnedUserId};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Milliseconds since the Unix epoch, UTC. The only form in which the store keeps a time.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// This time and `duration` more; stays at the largest value instead of wrapping.
    #[must_use]
    pub fn after(self, duration: std::time::Duration) -> Self {
        let millis = i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        Self(self.0.saturating_add(millis))
    }
}

/// The phone-network party of a conversation.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Handset {
    /// An ordinary number; both directions.
    Number(E164Text),
    /// A short code that texted us; inbound only.
    Shortcode(String),
    /// An alphanumeric sender, such as a bank's name; inbound only, unverified.
    Alphanumeric(String),
}

/// An [`E164`] that serialises as its digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct E164Text(pub E164);

impl Serialize for E164Text {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for E164Text {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let digits = String::deserialize(deserializer)?;
        digits.parse().map(Self).map_err(serde::de::Error::custom)
    }
}

impl fmt::Debug for E164Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Handset {
    /// The number, where the handset has one that can be texted.
    #[must_use]
    pub fn number(&self) -> Option<E164> {
        match self {
            Self::Number(number) => Some(number.0),
            Self::Shortcode(_) | Self::Alphanumeric(_) => None,
        }
    }

    /// The form the store keys by: digits, `=s<shortcode>` or `=a<hex of the name>`; equal to the
    /// ghost's localpart without its prefix.
    #[must_use]
    pub fn key(&self) -> String {
        match self {
            Self::Number(number) => number.0.to_string(),
            Self::Shortcode(code) => format!("=s{code}"),
            Self::Alphanumeric(name) => name
                .bytes()
                .fold("=a".to_owned(), |key, octet| format!("{key}{octet:02x}")),
        }
    }

    /// The inverse of [`Handset::key`]. `None` for anything that is not its exact output.
    #[must_use]
    pub fn from_key(key: &str) -> Option<Self> {
        if let Some(code) = key.strip_prefix("=s") {
            let digits = !code.is_empty() && code.bytes().all(|octet| octet.is_ascii_digit());
            return digits.then(|| Self::Shortcode(code.to_owned()));
        }
        if let Some(hex) = key.strip_prefix("=a") {
            return decode_hex(hex).map(Self::Alphanumeric);
        }
        key.parse()
            .ok()
            .map(|number| Self::Number(E164Text(number)))
    }
}

fn decode_hex(hex: &str) -> Option<String> {
    let lower = |octet: &u8| matches!(octet, b'0'..=b'9' | b'a'..=b'f');
    if hex.is_empty() || !hex.len().is_multiple_of(2) || !hex.as_bytes().iter().all(lower) {
        return None;
    }
    let octets: Option<Vec<u8>> = (0..hex.len())
        .step_by(2)
        .map(|at| {
            hex.get(at..at + 2)
                .and_then(|pair| u8::from_str_radix(pair, 16).ok())
        })
        .collect();
    String::from_utf8(octets?).ok()
}

impl fmt::Debug for Handset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Shortcode(_) => f.write_str("Shortcode(…)"),
            Self::Alphanumeric(_) => f.write_str("Alphanumeric(…)"),
        }
    }
}

/// The number a handset sees as the sender.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Originator {
    /// A virtual mobile number leased for the conversation: the handset can answer.
    Vmn(E164Text),
    /// A shared short code, digits only: the handset cannot answer into the conversation.
    Shortcode(String),
}

impl Originator {
    /// The digits as they stand in `source_addr`.
    #[must_use]
    pub fn digits(&self) -> String {
        match self {
            Self::Vmn(number) => number.0.to_string(),
            Self::Shortcode(code) => code.clone(),
        }
    }
}

impl fmt::Debug for Originator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Vmn(number) => number.fmt(f),
            Self::Shortcode(code) => f.write_str(code),
        }
    }
}

macro_rules! row_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub i64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

row_id! {
    /// One (portal, ghost) pair. Given by the store, never used again.
    ConversationId
}
row_id! {
    /// The place of a Matrix event in the durable inbox; grows in order of arrival.
    InboxSeq
}
row_id! {
    /// One inbound SMS. Given by the store when it is whole (or given up), so that ids grow in the
    /// order in which SMS become pending.
    SmsId
}
row_id! {
    /// What the store remembers of an inbound PDU that it has taken. Given by the store, forgotten
    /// after a while.
    TakenId
}
row_id! {
    /// One thing to do at the homeserver.
    OutboxId
}

/// One Matrix event (or one inbound SMS that is relayed) bound for one handset. Computed from its
/// source and its handset, so that accepting the same thing twice finds the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MessageId(pub Uuid);

const MESSAGE_NAMESPACE: Uuid = Uuid::from_u128(0x6d61_7472_6978_2d73_6d70_702d_6d65_7373);

impl MessageId {
    /// The id of what `source` says to `handset` through `conversation`.
    #[must_use]
    pub fn of(source: &Source, conversation: ConversationId) -> Self {
        let name = match source {
            Source::Event {
                homeserver,
                event,
                edit,
                ..
            } => {
                let said = edit.as_ref().unwrap_or(event);
                format!("event|{homeserver}|{said}|{conversation}")
            }
            Source::Sms { sms } => format!("sms|{sms}|{conversation}"),
        };
        Self(Uuid::new_v5(&MESSAGE_NAMESPACE, name.as_bytes()))
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.simple().fmt(f)
    }
}

impl std::str::FromStr for MessageId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

/// Where the text of a message comes from.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// A Matrix event.
    Event {
        /// The homeserver that sent the event to us.
        homeserver: OwnedServerName,
        /// The event.
        event: OwnedEventId,
        /// The edit of it whose text this is.
        #[serde(default)]
        edit: Option<OwnedEventId>,
        /// Who wrote it.
        sender: OwnedUserId,
    },
    /// An inbound SMS that is relayed to the other phones of its room.
    Sms {
        /// The SMS.
        sms: SmsId,
    },
}

/// One (portal, ghost) pair: the SMS session that a room maps to, the unit of ordering.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conversation {
    /// Given by the store.
    pub id: ConversationId,
    /// The homeserver whose ghost this is.
    pub homeserver: OwnedServerName,
    /// The phone.
    pub handset: Handset,
    /// The phone's Matrix user.
    pub ghost: OwnedUserId,
    /// The portal; `None` until one has been created for a phone that texted first.
    pub room: Option<OwnedRoomId>,
    /// Who invited the ghost, or owns the dedicated number: pays what other phones say to this
    /// one, and is invited again when the room is empty.
    pub owner: OwnedUserId,
    /// A (Matrix user, handset) pair has one direct conversation; a group's is keyed by room.
    pub direct: bool,
    /// What the handset sees as sender, once the first message needed one.
    pub originator: Option<Originator>,
    /// False after the ghost was kicked or left.
    pub active: bool,
}

/// The tie between a VMN, a handset and one conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// The number.
    pub vmn: E164,
    /// The phone that it works from.
    pub handset: Handset,
    /// The only conversation that it serves.
    pub conversation: ConversationId,
    /// Set after the conversation ended: free again from then on.
    pub cooling_until: Option<Timestamp>,
}

impl fmt::Debug for Conversation {
    /// Everything but the ghost, which is the full number.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Conversation")
            .field("id", &self.id)
            .field("homeserver", &self.homeserver)
            .field("handset", &self.handset)
            .field("room", &self.room)
            .field("owner", &self.owner)
            .field("direct", &self.direct)
            .field("originator", &self.originator)
            .field("active", &self.active)
            .finish_non_exhaustive()
    }
}

/// The life of a message towards a phone. A message is as far as its least advanced segment,
/// except that one failed segment fails it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MessageState {
    /// Accepted and paid for; waits for its turn, a link, or a retry time.
    Queued,
    /// About to be on the wire: recorded before the bytes are written.
    Intent,
    /// The bytes may have left and no answer will come on that link any more.
    Uncertain,
    /// The peer took it and gave a message id.
    Submitted,
    /// The peer took it, and the receipt that was asked for never came. A late one still counts.
    NoReceipt,
    /// The phone has it.
    Delivered,
    /// The peer says that the phone will not get it.
    Undeliverable,
    /// Its validity ended first, at the peer or in our queue.
    Expired,
    /// The peer refused it for good.
    Rejected,
    /// No answer and no receipt came within the route's hold, or its policy is to fail.
    Lost,
    /// Taken back before the bytes left: redacted, or the conversation ended.
    Cancelled,
}

impl MessageState {
    /// True where nothing will change any more, except by a late receipt for one that was uncertain
    /// or had none.
    #[must_use]
    pub fn is_final(self) -> bool {
        !matches!(
            self,
            Self::Queued | Self::Intent | Self::Uncertain | Self::Submitted
        )
    }

    /// True where the phone does not get the message, whoever is the cause.
    #[must_use]
    pub fn is_bad_news(self) -> bool {
        self.is_failure() || self == Self::Cancelled
    }

    /// True where the network failed to bring the message to the phone.
    #[must_use]
    pub fn is_failure(self) -> bool {
        matches!(
            self,
            Self::Undeliverable | Self::Expired | Self::Rejected | Self::Lost
        )
    }
}

/// One segment of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SegmentRef {
    /// The message.
    pub message: MessageId,
    /// 1 for the first.
    pub index: u8,
}

/// What becomes of a segment whose answer never came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UncertainPolicy {
    /// Wait this many milliseconds for a receipt as evidence, then fail.
    Hold(i64),
    /// Send again, flagged as a possible duplicate.
    Resend,
    /// Fail at once.
    Fail,
}

/// The credit of one full Matrix ID. `top_ups = balance + reserved + settled`, always.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Account {
    /// What can still be spent.
    pub balance: Money,
    /// Held for accepted segments without an answer yet.
    pub reserved: Money,
    /// Spent.
    pub settled: Money,
    /// Everything ever paid in.
    pub top_ups: Money,
    /// How far below zero the balance may go; 0 or more.
    pub limit: Money,
}

/// A standing that the gateway tells apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Membership {
    /// Invited.
    Invited,
    /// Joined.
    Joined,
    /// Left, kicked, banned, or knocking.
    Gone,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handset_survives_its_key() {
        for key in ["447700900123", "=s12345", "=a4d7942616e6b"] {
            let handset = Handset::from_key(key).expect("a key");
            assert_eq!(handset.key(), key);
        }
    }

    #[test]
    fn a_conversation_does_not_show_its_phone() {
        let digits = "447700900123";
        let conversation = Conversation {
            id: ConversationId(1),
            homeserver: "example.org".try_into().expect("a server"),
            handset: Handset::from_key(digits).expect("a handset"),
            ghost: "@.tel.447700900123:example.org".try_into().expect("a user"),
            room: None,
            owner: "@alice:example.org".try_into().expect("a user"),
            direct: true,
            originator: None,
            active: true,
        };
        let shown = format!("{conversation:?}");
        assert!(!shown.contains(digits), "{shown}");
    }

    #[test]
    fn what_is_not_a_key_is_no_handset() {
        for key in [
            "",
            "+447700900123",
            "0447700",
            "=s",
            "=s12a",
            "=a",
            "=a4",
            "=a4D",
            "=aff",
            "abc",
        ] {
            assert_eq!(Handset::from_key(key), None, "{key}");
        }
    }

    #[test]
    fn the_same_source_and_conversation_make_the_same_message() {
        let source = Source::Sms { sms: SmsId(7) };
        let id = MessageId::of(&source, ConversationId(1));
        assert_eq!(id, MessageId::of(&source, ConversationId(1)));
        assert_ne!(id, MessageId::of(&source, ConversationId(2)));
        assert_eq!(id.to_string().parse::<MessageId>().expect("hex"), id);
    }
}
