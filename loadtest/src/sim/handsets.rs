//! The virtual phones: what each has received and written, with segments put together.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fmt;

use bytes::Bytes;
use matrix_smpp_codec::udh::join;
use matrix_smpp_codec::{Concat, DataCoding, InboundText, Reference};
use serde::{Deserialize, Serialize};

/// How many messages all phones keep together; with one more, the phone that was first seen is
/// forgotten.
pub(crate) const MAX_KEPT: usize = 200_000;

/// How many messages one phone keeps; with one more, it forgets the oldest.
pub(crate) const MAX_MESSAGES: usize = 1_000;

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
#[derive(Clone, Serialize)]
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
    pub(crate) status: String,
    #[serde(skip)]
    parts: Parts,
}

/// One phone in the list of phones.
#[derive(Clone, Serialize)]
pub(crate) struct Summary {
    /// Digits, or the shortcode or name that was used.
    pub(crate) number: String,
    /// How many messages it keeps.
    pub(crate) messages: usize,
    /// When the last of them began, in milliseconds since 1970 (UTC).
    pub(crate) last_at: u64,
    /// Changes whenever anything about the phone does.
    pub(crate) version: u64,
}

/// What brings a segment to a phone.
#[derive(Clone, Copy)]
pub(crate) struct Delivery<'a> {
    /// The originator, as the phone shows it.
    pub(crate) from: &'a str,
    /// The phone.
    pub(crate) to: &'a str,
    /// Milliseconds since 1970 (UTC).
    pub(crate) at: u64,
    /// `delivered`, or why the phone did not get it.
    pub(crate) status: &'static str,
}

/// How and when a phone wrote something.
#[derive(Clone, Copy)]
pub(crate) struct Written {
    /// How many segments it takes.
    pub(crate) segments: u8,
    /// Milliseconds since 1970 (UTC).
    pub(crate) at: u64,
}

/// All phones.
#[derive(Default)]
pub(crate) struct Handsets {
    phones: HashMap<String, Handset>,
    first_seen: VecDeque<String>,
    /// How many messages there are on all phones.
    kept: usize,
    last_id: u64,
    version: u64,
}

#[derive(Default)]
struct Handset {
    messages: VecDeque<Message>,
    version: u64,
}

/// The segments of one message, by index.
#[derive(Clone, Default)]
struct Parts {
    reference: Option<Reference>,
    by_index: BTreeMap<u8, (DataCoding, Bytes)>,
}

/// A number as the simulator keys it: without the plus that people write before it.
pub(crate) fn digits(number: &str) -> &str {
    let number = number.trim();
    number.strip_prefix('+').unwrap_or(number)
}

impl Handsets {
    /// A segment reaches a phone: it completes, continues or begins a message. The payload is kept:
    /// it should not be a slice of something larger. Returns the message's id.
    pub(crate) fn deliver(&mut self, delivery: &Delivery<'_>, segment: InboundText) -> u64 {
        let concat = segment.concat.filter(|concat| concat.total > 1);
        let part = (segment.data_coding, segment.payload);
        if let Some(concat) = concat
            && let Some(handset) = self.touch(delivery.to)
            && let Some(message) = handset.open(delivery.from, concat)
        {
            message.add(concat.index, part);
            message.fail(delivery.status);
            return message.id;
        }
        self.last_id += 1;
        let message = Message::begun(self.last_id, delivery, concat, part);
        self.keep(delivery.to, message);
        self.last_id
    }

    /// Changes the status of a message, and where there is one its text.
    pub(crate) fn correct(&mut self, number: &str, id: u64, status: &str, text: Option<Words>) {
        let messages = self
            .touch(number)
            .map(|handset| handset.messages.iter_mut());
        let mut messages = messages.into_iter().flatten();
        if let Some(message) = messages.find(|message| message.id == id) {
            status.clone_into(&mut message.status);
            message.text = text.unwrap_or_else(|| message.text.clone());
        }
    }

    /// Forgets every phone.
    pub(crate) fn clear(&mut self) {
        self.phones.clear();
        self.first_seen.clear();
        self.kept = 0;
        self.version += 1;
    }

    /// A phone writes. Returns the message's id, to [`Handsets::settle`] it with.
    pub(crate) fn write(&mut self, from: &str, to: &str, text: &Words, written: Written) -> u64 {
        self.last_id += 1;
        let id = self.last_id;
        let message = Message {
            id,
            from: digits(from).to_owned(),
            to: digits(to).to_owned(),
            text: text.clone(),
            segments: written.segments,
            total: written.segments,
            duplicates: 0,
            direction: Direction::Mo,
            at: written.at,
            complete: true,
            status: "sending".to_owned(),
            parts: Parts::default(),
        };
        self.keep(from, message);
        id
    }

    /// Says what became of a message that a phone wrote.
    pub(crate) fn settle(&mut self, from: &str, id: u64, status: &str) {
        self.correct(from, id, status, None);
    }

    /// The phones with the latest traffic, at most so many, latest first.
    pub(crate) fn list(&self, most: usize) -> Vec<Summary> {
        let phones = self.phones.iter();
        let mut all: Vec<_> = phones
            .map(|(number, handset)| handset.summary(number))
            .collect();
        all.sort_unstable_by_key(|summary| Reverse((summary.last_at, summary.version)));
        all.truncate(most);
        all
    }

    /// The last messages of a phone, at most so many, oldest first; none for a number never seen.
    pub(crate) fn messages(&self, number: &str, most: usize) -> Vec<Message> {
        let messages = self
            .phones
            .get(digits(number))
            .map(|handset| &handset.messages);
        let skipped = messages.map_or(0, |messages| messages.len().saturating_sub(most));
        messages
            .into_iter()
            .flatten()
            .skip(skipped)
            .cloned()
            .collect()
    }

    /// How many complete messages this phone keeps.
    pub(crate) fn complete(&self, number: &str) -> usize {
        let handset = self.phones.get(digits(number));
        handset.map_or(0, |handset| {
            handset.messages.iter().filter(|one| one.complete).count()
        })
    }

    /// Puts a message on a phone, switched on if need be.
    fn keep(&mut self, number: &str, message: Message) {
        if self.kept >= MAX_KEPT {
            self.forget_first();
        }
        let number = digits(number);
        if !self.phones.contains_key(number) {
            self.first_seen.push_back(number.to_owned());
        }
        let version = self.next_version();
        let handset = self.phones.entry(number.to_owned()).or_default();
        handset.version = version;
        if handset.messages.len() >= MAX_MESSAGES {
            handset.messages.pop_front();
        } else {
            self.kept += 1;
        }
        handset.messages.push_back(message);
    }

    fn forget_first(&mut self) {
        let first = self.first_seen.pop_front();
        if let Some(handset) = first.and_then(|number| self.phones.remove(&number)) {
            self.kept -= handset.messages.len();
        }
    }

    fn next_version(&mut self) -> u64 {
        self.version += 1;
        self.version
    }

    /// A phone that is about to change, where there is one.
    fn touch(&mut self, number: &str) -> Option<&mut Handset> {
        let version = self.next_version();
        let handset = self.phones.get_mut(digits(number))?;
        handset.version = version;
        Some(handset)
    }
}

impl Handset {
    /// The newest message that still lacks segments of this set.
    fn open(&mut self, from: &str, concat: Concat) -> Option<&mut Message> {
        self.messages.iter_mut().rev().find(|message| {
            !message.complete
                && message.from == digits(from)
                && message.total == concat.total
                && message.parts.reference == Some(concat.reference)
        })
    }

    fn summary(&self, number: &str) -> Summary {
        Summary {
            number: number.to_owned(),
            messages: self.messages.len(),
            last_at: self.messages.back().map_or(0, |message| message.at),
            version: self.version,
        }
    }
}

impl Message {
    fn begun(
        id: u64,
        delivery: &Delivery<'_>,
        concat: Option<Concat>,
        part: (DataCoding, Bytes),
    ) -> Self {
        let reference = concat.map(|concat| concat.reference);
        let mut message = Self {
            id,
            from: digits(delivery.from).to_owned(),
            to: digits(delivery.to).to_owned(),
            text: Words::default(),
            segments: 0,
            total: concat.map_or(1, |concat| concat.total),
            duplicates: 0,
            direction: Direction::Mt,
            at: delivery.at,
            complete: false,
            status: delivery.status.to_owned(),
            parts: Parts {
                reference,
                by_index: BTreeMap::new(),
            },
        };
        message.add(concat.map_or(1, |concat| concat.index), part);
        message
    }

    fn add(&mut self, index: u8, part: (DataCoding, Bytes)) {
        if self.parts.by_index.contains_key(&index) {
            self.duplicates = self.duplicates.saturating_add(1);
            return;
        }
        self.parts.by_index.insert(index, part);
        self.segments = self.segments.saturating_add(1);
        self.complete = self.segments >= self.total;
        self.text = Words(self.parts.text(self.total));
        if self.complete {
            self.parts.by_index.clear();
        }
    }

    /// One segment that the phone did not get spoils the message.
    fn fail(&mut self, status: &'static str) {
        if status != "delivered" {
            status.clone_into(&mut self.status);
        }
    }
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PHONE: &str = "447700900123";
    const VMN: &str = "447700900001";

    fn segment(reference: u16, total: u8, index: u8, text: &str) -> InboundText {
        InboundText {
            concat: Some(Concat {
                reference: Reference::Sixteen(reference),
                total,
                index,
            }),
            payload: Bytes::copy_from_slice(text.as_bytes()),
            data_coding: DataCoding(0),
        }
    }

    fn whole(text: &str) -> InboundText {
        InboundText {
            concat: None,
            ..segment(0, 1, 1, text)
        }
    }

    fn from(from: &str) -> Delivery<'_> {
        Delivery {
            from,
            to: PHONE,
            at: 1,
            status: "delivered",
        }
    }

    fn texts(handsets: &Handsets) -> Vec<(String, bool)> {
        let messages = handsets.messages(PHONE, MAX_MESSAGES);
        messages
            .into_iter()
            .map(|message| (message.text.0, message.complete))
            .collect()
    }

    #[test]
    fn a_whole_message_is_there_at_once() {
        let mut handsets = Handsets::default();
        handsets.deliver(&from(VMN), whole("hello"));
        assert_eq!(texts(&handsets), [("hello".to_owned(), true)]);
        let message = handsets.messages("+447700900123", MAX_MESSAGES).remove(0);
        assert_eq!((message.from.as_str(), message.to.as_str()), (VMN, PHONE));
        assert_eq!((message.segments, message.direction), (1, Direction::Mt));
    }

    #[test]
    fn a_missing_segment_leaves_a_gap_that_closes_when_it_comes() {
        let mut handsets = Handsets::default();
        handsets.deliver(&from(VMN), segment(7, 3, 3, "three"));
        assert_eq!(texts(&handsets), [("[…]three".to_owned(), false)]);
        handsets.deliver(&from(VMN), segment(7, 3, 1, "one "));
        assert_eq!(texts(&handsets), [("one […]three".to_owned(), false)]);
        handsets.deliver(&from(VMN), segment(7, 3, 2, "two "));
        assert_eq!(texts(&handsets), [("one two three".to_owned(), true)]);
    }

    #[test]
    fn two_senders_with_one_reference_never_merge() {
        let mut handsets = Handsets::default();
        handsets.deliver(&from(VMN), segment(7, 2, 1, "a"));
        handsets.deliver(&from("447700900002"), segment(7, 2, 2, "b"));
        assert_eq!(
            texts(&handsets),
            [("a[…]".to_owned(), false), ("[…]b".to_owned(), false)]
        );
    }

    #[test]
    fn a_segment_that_comes_twice_is_counted_and_changes_nothing() {
        let mut handsets = Handsets::default();
        handsets.deliver(&from(VMN), segment(7, 2, 1, "a"));
        handsets.deliver(&from(VMN), segment(7, 2, 1, "a"));
        handsets.deliver(&from(VMN), segment(7, 2, 2, "b"));
        assert_eq!(texts(&handsets), [("ab".to_owned(), true)]);
        assert_eq!(
            handsets.messages(PHONE, MAX_MESSAGES).remove(0).duplicates,
            1
        );
    }

    #[test]
    fn a_message_sent_again_after_it_was_complete_is_seen_twice() {
        let mut handsets = Handsets::default();
        for _ in 0..2 {
            handsets.deliver(&from(VMN), segment(7, 2, 1, "a"));
            handsets.deliver(&from(VMN), segment(7, 2, 2, "b"));
        }
        assert_eq!(
            texts(&handsets),
            [("ab".to_owned(), true), ("ab".to_owned(), true)]
        );
        assert_eq!(handsets.complete(PHONE), 2);
    }

    #[test]
    fn one_undelivered_segment_spoils_its_message() {
        let mut handsets = Handsets::default();
        handsets.deliver(&from(VMN), segment(7, 2, 1, "a"));
        let lost = Delivery {
            status: "undeliverable",
            ..from(VMN)
        };
        handsets.deliver(&lost, segment(7, 2, 2, "b"));
        assert_eq!(
            handsets.messages(PHONE, MAX_MESSAGES).remove(0).status,
            "undeliverable"
        );
    }

    #[test]
    fn what_a_phone_writes_is_settled_with_its_answer() {
        let mut handsets = Handsets::default();
        let id = handsets.write(
            PHONE,
            VMN,
            &Words("hi".to_owned()),
            Written { segments: 1, at: 5 },
        );
        assert_eq!(
            handsets.messages(PHONE, MAX_MESSAGES).remove(0).status,
            "sending"
        );
        let before = handsets.list(10).remove(0).version;
        handsets.settle(PHONE, id, "ESME_ROK");
        let message = handsets.messages(PHONE, MAX_MESSAGES).remove(0);
        assert_eq!(
            (message.status.as_str(), message.direction),
            ("ESME_ROK", Direction::Mo)
        );
        assert_ne!(handsets.list(10).remove(0).version, before);
    }

    #[test]
    fn a_phone_forgets_its_oldest_message_when_it_is_full() {
        let mut handsets = Handsets::default();
        for number in 0..=MAX_MESSAGES {
            handsets.deliver(&from(VMN), whole(&number.to_string()));
        }
        let texts = texts(&handsets);
        assert_eq!(texts.len(), MAX_MESSAGES);
        assert_eq!(texts.first(), Some(&("1".to_owned(), true)));
    }

    #[test]
    fn the_phone_first_seen_is_forgotten_when_all_are_full() {
        let mut handsets = Handsets::default();
        for number in 0..MAX_KEPT {
            let to = (number / MAX_MESSAGES).to_string();
            handsets.deliver(
                &Delivery {
                    to: &to,
                    ..from(VMN)
                },
                whole("x"),
            );
        }
        assert_eq!(handsets.complete("0"), MAX_MESSAGES);
        handsets.deliver(&from(VMN), whole("x"));
        assert_eq!(
            (handsets.complete("0"), handsets.complete("1")),
            (0, MAX_MESSAGES)
        );
        assert_eq!(handsets.kept, MAX_KEPT - MAX_MESSAGES + 1);
    }

    #[test]
    fn the_latest_phones_and_messages_come_when_not_all_are_wanted() {
        let mut handsets = Handsets::default();
        for (at, number) in [(1, "1"), (3, "3"), (2, "2")] {
            handsets.deliver(
                &Delivery {
                    to: number,
                    at,
                    ..from(VMN)
                },
                whole("a"),
            );
            handsets.deliver(
                &Delivery {
                    to: number,
                    at,
                    ..from(VMN)
                },
                whole("b"),
            );
        }
        let latest: Vec<_> = handsets
            .list(2)
            .into_iter()
            .map(|phone| phone.number)
            .collect();
        assert_eq!(latest, ["3", "2"]);
        let last: Vec<_> = handsets
            .messages("1", 1)
            .into_iter()
            .map(|one| one.text.0)
            .collect();
        assert_eq!(last, ["b"]);
    }

    #[test]
    fn words_are_never_printed() {
        let mut handsets = Handsets::default();
        handsets.deliver(&from(VMN), segment(7, 2, 1, "a secret"));
        let message = handsets.messages(PHONE, MAX_MESSAGES).remove(0);
        assert!(message.text.0.contains("secret"));
        assert!(!format!("{:?}", message.text).contains("secret"));
    }

    proptest! {
        #[test]
        fn segments_join_in_any_order(
            order in Just((1..=9_u8).collect::<Vec<_>>()).prop_shuffle(),
        ) {
            let mut handsets = Handsets::default();
            for index in order {
                handsets.deliver(&from(VMN), segment(1, 9, index, &index.to_string()));
            }
            prop_assert_eq!(texts(&handsets), [("123456789".to_owned(), true)]);
        }
    }
}
