//! One message on a phone, with its segments put together.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use bytes::Bytes;
use matrix_smpp_codec::udh::join;
use matrix_smpp_codec::{Address, Concat, DataCoding, InboundText, Reference};
use serde::{Deserialize, Serialize};

use super::{Delivery, Written, digits};

/// What stands in an incomplete text for each run of segments that are missing.
const GAP: &str = "[…]";

/// Whether a message came to the phone or left it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Direction {
    /// Mobile-terminated: towards the phone.
    Mt,
    /// Mobile-originated: from the phone.
    Mo,
}

/// A person's words. They are served to whoever asks over HTTP, and never printed.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Words(pub(crate) String);

impl fmt::Debug for Words {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{} chars]", self.0.chars().count())
    }
}

/// One message on a phone, as the API shows it.
#[derive(Serialize)]
pub(crate) struct Message {
    /// Counts up over all phones.
    pub(crate) id: u64,
    /// The sender: of an MT message the originator, of an MO message the phone.
    pub(crate) from: String,
    /// The other end.
    pub(crate) to: String,
    /// What is there so far; `[…]` stands where segments are missing.
    pub(crate) text: Words,
    /// How many different segments are there.
    pub(crate) segments: u8,
    /// How many there will be.
    pub(crate) total: u8,
    /// How many segments came that were there already.
    pub(crate) duplicates: u32,
    /// Which way it went.
    pub(crate) direction: Direction,
    /// When its first segment came, in milliseconds since 1970 (UTC).
    pub(crate) at: u64,
    /// Whether every segment is there.
    pub(crate) complete: bool,
    /// MT: `delivered`, or another fate; `deleted` and `replaced` where the sender did that. MO: `sending`, then the `command_status` of
    /// the answer (the first that is no `ESME_ROK`), or `unanswered`.
    pub(crate) status: Cow<'static, str>,
}

/// One message as a phone keeps it. Its text is put together when somebody looks, as most are never
/// looked at.
pub(super) struct Kept {
    pub(super) id: u64,
    pub(super) from: Address<21>,
    to: Address<21>,
    content: Content,
    segments: u8,
    pub(super) total: u8,
    duplicates: u32,
    direction: Direction,
    pub(super) at: u64,
    pub(super) complete: bool,
    status: Cow<'static, str>,
}

enum Content {
    /// What a phone wrote, or was put together of several segments.
    Words(Words),
    /// A single segment as it came.
    Whole(Segment),
    /// The first of several.
    Parts(Box<Parts>),
}

/// Octets and what they are coded in.
type Segment = (DataCoding, Bytes);

/// The segments of one message, by index.
struct Parts {
    reference: Reference,
    by_index: BTreeMap<u8, Segment>,
}

impl Kept {
    /// A segment that begins a message.
    pub(super) fn begun(id: u64, delivery: &Delivery<'_>, segment: InboundText) -> Self {
        let part = (segment.data_coding, segment.payload);
        let mut message = Self {
            id,
            from: address(delivery.from),
            to: address(delivery.to),
            content: Content::Words(Words::default()),
            segments: 1,
            total: 1,
            duplicates: 0,
            direction: Direction::Mt,
            at: delivery.at,
            complete: true,
            status: Cow::Borrowed(delivery.status),
        };
        match segment.concat.filter(|concat| concat.total > 1) {
            None => message.content = Content::Whole(part),
            Some(concat) => {
                message.total = concat.total;
                message.complete = false;
                message.content = Content::Parts(Box::new(Parts {
                    reference: concat.reference,
                    by_index: BTreeMap::from([(concat.index, part)]),
                }));
            }
        }
        message
    }

    /// What a phone writes.
    pub(super) fn written(id: u64, ends: (&str, &str), text: &Words, written: Written) -> Self {
        Self {
            id,
            from: address(ends.0),
            to: address(ends.1),
            content: Content::Words(text.clone()),
            segments: written.segments,
            total: written.segments,
            duplicates: 0,
            direction: Direction::Mo,
            at: written.at,
            complete: true,
            status: Cow::Borrowed("sending"),
        }
    }

    /// Whether this segment of this sender is one that it lacks or has.
    pub(super) fn continues(&self, from: Address<21>, concat: Concat) -> bool {
        matches!(&self.content, Content::Parts(parts)
            if parts.reference == concat.reference && self.total == concat.total && self.from == from)
    }

    pub(super) fn add(&mut self, index: u8, part: Segment) {
        let Content::Parts(parts) = &mut self.content else {
            return;
        };
        if parts.by_index.contains_key(&index) {
            self.duplicates = self.duplicates.saturating_add(1);
            return;
        }
        parts.by_index.insert(index, part);
        self.segments = self.segments.saturating_add(1);
        self.complete = self.segments >= self.total;
        if self.complete {
            let text = parts.text(self.total);
            self.content = Content::Words(Words(text));
        }
    }

    /// One segment that the phone did not get spoils the message.
    pub(super) fn fail(&mut self, status: &'static str) {
        if status != "delivered" {
            self.status = Cow::Borrowed(status);
        }
    }

    /// Another status, and where there is one another text.
    pub(super) fn correct(&mut self, status: &str, text: Option<Words>) {
        self.status = Cow::Owned(status.to_owned());
        if let Some(text) = text {
            self.content = Content::Words(text);
        }
    }

    /// What the API shows of it.
    pub(super) fn view(&self) -> Message {
        let text = match &self.content {
            Content::Words(words) => words.clone(),
            Content::Whole(segment) => Words(join(std::slice::from_ref(segment))),
            Content::Parts(parts) => Words(parts.text(self.total)),
        };
        Message {
            id: self.id,
            from: self.from.to_text(),
            to: self.to.to_text(),
            text,
            segments: self.segments,
            total: self.total,
            duplicates: self.duplicates,
            direction: self.direction,
            at: self.at,
            complete: self.complete,
            status: self.status.clone(),
        }
    }
}

/// A number as it is kept: what came in a PDU, or was checked to fit into one.
pub(super) fn address(number: &str) -> Address<21> {
    Address::try_from(digits(number)).unwrap_or_default()
}

impl Parts {
    /// Joins what follows each other, with [`GAP`] between.
    fn text(&self, total: u8) -> String {
        let mut text = String::new();
        let mut run = Vec::new();
        for index in 1..=total {
            if let Some(part) = self.by_index.get(&index) {
                run.push(part.clone());
                continue;
            }
            text.push_str(&join(&run));
            run.clear();
            if !text.ends_with(GAP) {
                text.push_str(GAP);
            }
        }
        text + &join(&run)
    }
}
