//! The virtual phones: what each has received and written, with segments put together.

mod message;

use std::cmp::Reverse;
use std::collections::{HashMap, VecDeque};

use matrix_smpp_codec::{Concat, InboundText};
use serde::Serialize;

#[cfg(test)]
use self::message::Direction;
use self::message::{Kept, address};
pub(crate) use self::message::{Message, Words};

/// How many messages all phones keep together; with one more, the phone that was first seen is
/// forgotten.
pub(crate) const MAX_KEPT: usize = 200_000;

/// How many messages one phone keeps; with one more, it forgets the oldest.
pub(crate) const MAX_MESSAGES: usize = 1_000;

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
    messages: VecDeque<Kept>,
    version: u64,
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
        if let Some(concat) = segment.concat.filter(|concat| concat.total > 1)
            && let Some(handset) = self.touch(delivery.to)
            && let Some(message) = handset.open(delivery.from, concat)
        {
            message.add(concat.index, (segment.data_coding, segment.payload));
            message.fail(delivery.status);
            return message.id;
        }
        self.last_id += 1;
        let message = Kept::begun(self.last_id, delivery, segment);
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
            message.correct(status, text);
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
        let message = Kept::written(id, (from, to), text, written);
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
            .map(Kept::view)
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
    fn keep(&mut self, number: &str, message: Kept) {
        if self.kept >= MAX_KEPT {
            self.forget_first();
        }
        let number = digits(number);
        let version = self.next_version();
        if !self.phones.contains_key(number) {
            self.first_seen.push_back(number.to_owned());
            self.phones.insert(number.to_owned(), Handset::default());
        }
        let Some(handset) = self.phones.get_mut(number) else {
            return;
        };
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
    fn open(&mut self, from: &str, concat: Concat) -> Option<&mut Kept> {
        let from = address(from);
        let mut messages = self.messages.iter_mut().rev();
        messages.find(|message| message.continues(from, concat))
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

#[cfg(test)]
mod tests;
