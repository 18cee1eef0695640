//! Segments back into messages: in any order, over any link, bounded. Pure: the clock is the
//! caller's, and nothing outlives the value.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;
use std::time::Duration;

use bytes::Bytes;

use crate::octets::Address;
use crate::pdu::{DeliverSm, SubmitSm};
use crate::udh::{Concat, InboundText, Reference, join};
use crate::values::{DataCoding, Npi, Ton};

/// The two ends of a message, as the PDU has them. Together with the link group that it came over it
/// says whose message a segment is part of: references are unique for one sender only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Ends {
    /// Who sends.
    pub source: (Ton, Npi, Address<21>),
    /// Who receives.
    pub destination: (Ton, Npi, Address<21>),
}

macro_rules! ends {
    ($($pdu:ty),*) => {$(
        impl From<&$pdu> for Ends {
            fn from(pdu: &$pdu) -> Self {
                Self {
                    source: (pdu.source_addr_ton, pdu.source_addr_npi, pdu.source_addr),
                    destination: (pdu.dest_addr_ton, pdu.dest_addr_npi, pdu.destination_addr),
                }
            }
        }
    )*};
}

ends!(DeliverSm, SubmitSm);

/// What a [`Reassembler`] holds at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Messages that wait for more of their segments.
    pub messages: usize,
    /// Octets of their texts together.
    pub octets: usize,
    /// How long a message waits from its first segment on.
    pub age: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            messages: 10_000,
            octets: 16 << 20,
            age: Duration::from_hours(1),
        }
    }
}

/// A message from the segments that came. `Debug` shows lengths only.
#[derive(Clone, PartialEq, Eq)]
pub struct Message<S> {
    /// Who sent it, in the caller's words.
    pub sender: S,
    /// What its segments are called; `None` for one that came whole.
    pub reference: Option<Reference>,
    /// How many segments it has.
    pub total: u8,
    parts: BTreeMap<u8, (DataCoding, Bytes)>,
}

impl<S> Message<S> {
    /// Whether no segment is missing.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.parts.len() == usize::from(self.total)
    }

    /// The segments that came, by their number from 1.
    pub fn parts(&self) -> impl Iterator<Item = (u8, DataCoding, &Bytes)> {
        self.parts
            .iter()
            .map(|(index, (data_coding, octets))| (*index, *data_coding, octets))
    }

    /// The text, with `gap` once for each row of segments that are missing.
    #[must_use]
    pub fn text(&self, gap: &str) -> String {
        let mut text = String::new();
        let mut run = Vec::new();
        let mut in_gap = false;
        for index in 1..=self.total {
            if let Some(part) = self.parts.get(&index) {
                run.push(part.clone());
                in_gap = false;
                continue;
            }
            text.push_str(&join(&run));
            run.clear();
            if !in_gap {
                text.push_str(gap);
            }
            in_gap = true;
        }
        text + &join(&run)
    }
}

impl<S: std::fmt::Debug> std::fmt::Debug for Message<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Message")
            .field("sender", &self.sender)
            .field("reference", &self.reference)
            .field("total", &self.total)
            .field("parts", &self.parts.len())
            .finish_non_exhaustive()
    }
}

/// What became of a segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Taken<S> {
    /// It was the last one missing, or a message of its own.
    Whole(Message<S>),
    /// Its message waits for more.
    Waiting,
    /// It has come before.
    Duplicate,
}

/// Which message a segment belongs to.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Key<S> {
    sender: S,
    reference: Reference,
    total: u8,
}

struct Open {
    serial: u64,
    since: Duration,
    parts: BTreeMap<u8, (DataCoding, Bytes)>,
}

/// Joins segments into messages.
///
/// `S` says who sent a segment: the link group and both addresses, such as `(group, Ends)`. Links of
/// one group count as one, for an SMSC spreads segments over them. Two senders never merge, nor do
/// references of different widths or messages of different lengths.
///
/// A message whose last segment came is forgotten: a segment that comes again after that waits in
/// vain and is given out when it is too old.
pub struct Reassembler<S> {
    limits: Limits,
    open: HashMap<Key<S>, Open>,
    /// The keys of `open`, the oldest first.
    order: BTreeMap<u64, Key<S>>,
    next_serial: u64,
    octets: usize,
}

impl<S> std::fmt::Debug for Reassembler<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reassembler")
            .field("messages", &self.open.len())
            .field("octets", &self.octets)
            .finish_non_exhaustive()
    }
}

impl<S: Clone + Eq + Hash> Reassembler<S> {
    /// One that holds nothing yet.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            open: HashMap::new(),
            order: BTreeMap::new(),
            next_serial: 0,
            octets: 0,
        }
    }

    /// Messages that wait.
    #[must_use]
    pub fn messages(&self) -> usize {
        self.open.len()
    }

    /// The octets of their texts together.
    #[must_use]
    pub const fn octets(&self) -> usize {
        self.octets
    }

    /// When the oldest message will have waited too long, on the clock of [`Self::take`].
    #[must_use]
    pub fn next_expiry(&self) -> Option<Duration> {
        let (_, key) = self.order.first_key_value()?;
        let since = self.open.get(key)?.since;
        Some(since.saturating_add(self.limits.age))
    }

    /// Takes a text that came in; `now` is any clock that does not go back.
    ///
    /// What has to make room comes out in the list, incomplete, the oldest first: a message with
    /// the same name and another text in this place (its sender uses references again), and what is
    /// above the limits, be it the message of this segment.
    pub fn take(
        &mut self,
        now: Duration,
        sender: S,
        text: &InboundText,
    ) -> (Taken<S>, Vec<Message<S>>) {
        let part = (text.data_coding, Bytes::copy_from_slice(&text.payload));
        let Some(concat) = text.concat else {
            let parts = BTreeMap::from([(1, part)]);
            let whole = Message {
                sender,
                reference: None,
                total: 1,
                parts,
            };
            return (Taken::Whole(whole), Vec::new());
        };
        let key = Key {
            sender,
            reference: concat.reference,
            total: concat.total,
        };
        let mut given_up = Vec::new();
        if let Some(known) = self
            .open
            .get(&key)
            .and_then(|open| open.parts.get(&concat.index))
        {
            if *known == part {
                return (Taken::Duplicate, given_up);
            }
            given_up.extend(self.give_up(&key));
        }
        self.insert(now, &key, concat, part);
        if let Some(whole) = self.finish(&key) {
            return (Taken::Whole(whole), given_up);
        }
        while self.is_above_limits() {
            let Some(oldest) = self.give_up_oldest() else {
                break;
            };
            given_up.push(oldest);
        }
        (Taken::Waiting, given_up)
    }

    /// The messages that have waited too long, incomplete, the oldest first.
    pub fn expire(&mut self, now: Duration) -> Vec<Message<S>> {
        let mut expired = Vec::new();
        while self.next_expiry().is_some_and(|expiry| expiry <= now) {
            expired.extend(self.give_up_oldest());
        }
        expired
    }

    fn insert(&mut self, now: Duration, key: &Key<S>, concat: Concat, part: (DataCoding, Bytes)) {
        self.octets = self.octets.saturating_add(part.1.len());
        let serial = self.next_serial;
        let open = self.open.entry(key.clone()).or_insert_with(|| Open {
            serial,
            since: now,
            parts: BTreeMap::new(),
        });
        if open.parts.is_empty() {
            self.order.insert(serial, key.clone());
            self.next_serial = serial.wrapping_add(1);
        }
        open.parts.insert(concat.index, part);
    }

    /// Takes a message out whose last segment has come.
    fn finish(&mut self, key: &Key<S>) -> Option<Message<S>> {
        let open = self.open.get(key)?;
        let whole = open.parts.len() == usize::from(key.total);
        whole.then(|| self.give_up(key)).flatten()
    }

    fn give_up_oldest(&mut self) -> Option<Message<S>> {
        let (_, key) = self.order.first_key_value()?;
        let key = key.clone();
        self.give_up(&key)
    }

    fn give_up(&mut self, key: &Key<S>) -> Option<Message<S>> {
        let (key, open) = self.open.remove_entry(key)?;
        self.order.remove(&open.serial);
        let octets = open.parts.values().map(|(_, octets)| octets.len());
        self.octets = self
            .octets
            .saturating_sub(octets.fold(0, usize::saturating_add));
        Some(Message {
            sender: key.sender,
            reference: Some(key.reference),
            total: key.total,
            parts: open.parts,
        })
    }

    fn is_above_limits(&self) -> bool {
        self.open.len() > self.limits.messages || self.octets > self.limits.octets
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: Duration = Duration::from_secs(100);

    fn limits() -> Limits {
        Limits {
            messages: 3,
            octets: 100,
            age: Duration::from_mins(1),
        }
    }

    fn segment(reference: Reference, total: u8, index: u8, text: &str) -> InboundText {
        InboundText {
            concat: Some(Concat {
                reference,
                total,
                index,
            }),
            payload: Bytes::copy_from_slice(text.as_bytes()),
            data_coding: DataCoding::IA5,
        }
    }

    fn eight(index: u8, text: &str) -> InboundText {
        segment(Reference::Eight(7), 2, index, text)
    }

    fn whole(taken: &Taken<&str>) -> String {
        match taken {
            Taken::Whole(message) => message.text("?"),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_text_without_a_place_is_a_message_of_its_own() {
        let mut reassembler = Reassembler::new(limits());
        let text = InboundText {
            concat: None,
            ..eight(1, "hi")
        };
        let (taken, given_up) = reassembler.take(NOW, "a", &text);
        assert_eq!(whole(&taken), "hi");
        assert!(given_up.is_empty() && reassembler.messages() == 0);
    }

    #[test]
    fn two_senders_with_one_reference_never_merge() {
        let mut reassembler = Reassembler::new(limits());
        assert_eq!(reassembler.take(NOW, "a", &eight(1, "x")).0, Taken::Waiting);
        assert_eq!(reassembler.take(NOW, "b", &eight(2, "y")).0, Taken::Waiting);
        assert_eq!(whole(&reassembler.take(NOW, "a", &eight(2, "z")).0), "xz");
    }

    #[test]
    fn one_number_in_two_kinds_of_reference_never_merges() {
        let mut reassembler = Reassembler::new(limits());
        for (index, reference) in [
            (1, Reference::Eight(7)),
            (2, Reference::Sixteen(7)),
            (2, Reference::Sar(7)),
        ] {
            let (taken, _) = reassembler.take(NOW, "a", &segment(reference, 2, index, "x"));
            assert_eq!(taken, Taken::Waiting);
        }
        assert_eq!(reassembler.messages(), 3);
        let (taken, _) = reassembler.take(NOW, "a", &segment(Reference::Eight(7), 3, 2, "x"));
        assert_eq!(taken, Taken::Waiting, "another length is another message");
    }

    #[test]
    fn a_segment_that_comes_twice_is_a_duplicate() {
        let mut reassembler = Reassembler::new(limits());
        reassembler.take(NOW, "a", &eight(1, "x"));
        assert_eq!(
            reassembler.take(NOW, "a", &eight(1, "x")).0,
            Taken::Duplicate
        );
        assert_eq!(reassembler.octets(), 1);
        assert_eq!(whole(&reassembler.take(NOW, "a", &eight(2, "y")).0), "xy");
        assert_eq!(reassembler.octets(), 0);
    }

    #[test]
    fn another_text_in_the_same_place_begins_a_new_message_and_loses_nothing() {
        let mut reassembler = Reassembler::new(limits());
        reassembler.take(NOW, "a", &eight(1, "old "));
        let (taken, given_up) = reassembler.take(NOW, "a", &eight(1, "new "));
        assert_eq!(taken, Taken::Waiting);
        assert_eq!(given_up.len(), 1);
        assert!(!given_up[0].is_whole());
        assert_eq!(given_up[0].text("[…]"), "old […]");
        assert_eq!(
            whole(&reassembler.take(NOW, "a", &eight(2, "text")).0),
            "new text"
        );
    }

    #[test]
    fn what_is_above_the_limits_comes_out_the_oldest_first() {
        let mut reassembler = Reassembler::new(limits());
        for sender in ["a", "b", "c"] {
            assert!(reassembler.take(NOW, sender, &eight(1, "x")).1.is_empty());
        }
        let (_, given_up) = reassembler.take(NOW, "d", &eight(1, "x"));
        assert_eq!(
            given_up.iter().map(|one| one.sender).collect::<Vec<_>>(),
            ["a"]
        );
        let (_, given_up) = reassembler.take(NOW, "d", &eight(2, &"y".repeat(101)));
        assert!(given_up.is_empty(), "a message that is whole needs no room");
        let long = segment(Reference::Eight(1), 3, 1, &"y".repeat(101));
        let (_, given_up) = reassembler.take(NOW, "e", &long);
        assert_eq!(
            given_up.iter().map(|one| one.sender).collect::<Vec<_>>(),
            ["b", "c", "e"]
        );
        assert_eq!((reassembler.messages(), reassembler.octets()), (0, 0));
    }

    #[test]
    fn a_message_that_waits_too_long_comes_out_with_gaps() {
        let mut reassembler = Reassembler::new(limits());
        let of_five = |index, text| segment(Reference::Sixteen(9), 5, index, text);
        reassembler.take(NOW, "a", &of_five(4, "four"));
        reassembler.take(NOW + Duration::from_secs(30), "a", &of_five(1, "one"));
        let expiry = reassembler.next_expiry().unwrap();
        assert_eq!(expiry, NOW + limits().age, "the first segment counts");
        assert!(
            reassembler
                .expire(expiry.saturating_sub(Duration::from_millis(1)))
                .is_empty()
        );
        let expired = reassembler.expire(expiry);
        assert_eq!(expired[0].text("[…]"), "one[…]four[…]");
        assert_eq!(reassembler.next_expiry(), None);
    }

    #[test]
    fn the_ends_of_a_message_are_its_addresses_with_their_kinds() {
        let pdu = DeliverSm {
            source_addr: "123".parse().unwrap(),
            ..DeliverSm::default()
        };
        let other = DeliverSm {
            source_addr_ton: Ton::INTERNATIONAL,
            ..pdu.clone()
        };
        assert_ne!(Ends::from(&pdu), Ends::from(&other));
        assert!(!format!("{:?}", Reassembler::<Ends>::new(limits())).contains("123"));
    }

    proptest! {
        #[test]
        fn segments_join_in_any_order_and_mixed_with_others(
            order in Just((1..=9_u8).flat_map(|index| [("a", index), ("b", index)]).collect::<Vec<_>>())
                .prop_shuffle(),
        ) {
            let mut reassembler = Reassembler::new(limits());
            let mut texts = Vec::new();
            for (sender, index) in order {
                let text = format!("{sender}{index}");
                let (taken, given_up) =
                    reassembler.take(NOW, sender, &segment(Reference::Sar(1), 9, index, &text));
                prop_assert!(given_up.is_empty());
                if let Taken::Whole(message) = taken {
                    texts.push(message.text("?"));
                }
            }
            texts.sort();
            prop_assert_eq!(texts, ["a1a2a3a4a5a6a7a8a9", "b1b2b3b4b5b6b7b8b9"]);
        }

        #[test]
        fn the_limits_hold_and_no_segment_is_lost(
            segments in proptest::collection::vec((0..3_u8, 0..4_u8, 1..4_u8, ".{0,30}"), 0..60),
        ) {
            let mut reassembler = Reassembler::new(limits());
            let (mut came, mut left) = (0, 0);
            for (sender, reference, index, text) in segments {
                let text = segment(Reference::Eight(reference), 3, index, &text);
                let (taken, given_up) = reassembler.take(NOW, sender, &text);
                came += usize::from(taken != Taken::Duplicate);
                if let Taken::Whole(message) = &taken {
                    left += message.parts().count();
                }
                left += given_up.iter().map(|one| one.parts().count()).sum::<usize>();
                prop_assert!(reassembler.messages() <= 3 && reassembler.octets() <= 100);
            }
            let rest = reassembler.expire(Duration::MAX);
            left += rest.iter().map(|one| one.parts().count()).sum::<usize>();
            prop_assert_eq!(came, left);
            prop_assert_eq!(reassembler.octets(), 0);
        }
    }
}
