//! Long texts as several messages. GSM 03.40 §9.2.3.24.1 and §9.2.3.24.8.

use bytes::{BufMut, Bytes, BytesMut};
use thiserror::Error;
use unicode_segmentation::UnicodeSegmentation;

use crate::text::{Alphabet, alphabet_for};
use crate::udh::{Concat, Reference};
use crate::values::DataCoding;

/// How many bits tell the segments of one message from those of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum ReferenceWidth {
    /// 8 bits: 153 septets or 67 UTF-16 units in each segment.
    Eight,
    /// 16 bits: 152 septets or 66 UTF-16 units in each segment.
    #[default]
    Sixteen,
}

/// The most segments that one message can have: the count is one octet.
pub const MAX_SEGMENTS: usize = 255;

/// Septets or UTF-16 units of a message that is sent whole.
const fn whole_units(alphabet: Alphabet) -> usize {
    match alphabet {
        Alphabet::Gsm7 => 160,
        Alphabet::Ucs2 => 70,
    }
}

/// Septets or UTF-16 units of one of several segments: what 140 octets leave beside the header.
const fn segment_units(alphabet: Alphabet, width: ReferenceWidth) -> usize {
    match (alphabet, width) {
        (Alphabet::Gsm7, ReferenceWidth::Eight) => 153,
        (Alphabet::Gsm7, ReferenceWidth::Sixteen) => 152,
        (Alphabet::Ucs2, ReferenceWidth::Eight) => 67,
        (Alphabet::Ucs2, ReferenceWidth::Sixteen) => 66,
    }
}

/// A text that would need more than [`MAX_SEGMENTS`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the text needs {needed} segments, {MAX_SEGMENTS} is the most")]
pub struct TooManySegments {
    /// How many it would need.
    pub needed: usize,
}

/// What a text costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Count {
    /// The alphabet it needs.
    pub alphabet: Alphabet,
    /// Its length: septets or UTF-16 units.
    pub units: usize,
    /// How many messages it is; 1 for the empty text.
    pub segments: usize,
}

/// A text, encoded and split.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segments {
    /// The alphabet of all parts.
    pub alphabet: Alphabet,
    /// The `data_coding` of all parts.
    pub data_coding: DataCoding,
    /// The parts in order: 1 to [`MAX_SEGMENTS`].
    pub parts: Vec<Part>,
}

/// One message of a text. `Debug` shows its length only.
#[derive(Clone, PartialEq, Eq)]
pub struct Part {
    octets: Bytes,
    index: u8,
    total: u8,
    width: ReferenceWidth,
}

impl Part {
    /// The text of this part, without a header.
    #[must_use]
    pub fn payload(&self) -> Bytes {
        self.octets.clone()
    }

    /// Whether this is one of several, so that `esm_class` needs the UDHI bit where
    /// [`Self::short_message`] is what is sent.
    #[must_use]
    pub const fn udhi(&self) -> bool {
        self.total > 1
    }

    /// Which part this is, from 1.
    #[must_use]
    pub const fn index(&self) -> u8 {
        self.index
    }

    /// Of how many.
    #[must_use]
    pub const fn total(&self) -> u8 {
        self.total
    }

    /// The place of this part in the message with that reference, of which a narrow width keeps
    /// the low octet; `None` where the text is sent whole.
    #[must_use]
    pub fn concat(&self, reference: u16) -> Option<Concat> {
        let [_high, low] = reference.to_be_bytes();
        let reference = match self.width {
            ReferenceWidth::Eight => Reference::Eight(low),
            ReferenceWidth::Sixteen => Reference::Sixteen(reference),
        };
        self.udhi().then_some(Concat {
            reference,
            total: self.total,
            index: self.index,
        })
    }

    /// What goes into `short_message`: header and text, or the text alone where it is sent whole.
    #[must_use]
    pub fn short_message(&self, reference: u16) -> Bytes {
        let Some(concat) = self.concat(reference) else {
            return self.payload();
        };
        let header = concat.header();
        let mut octets = BytesMut::with_capacity(header.len().saturating_add(self.octets.len()));
        octets.put_slice(&header);
        octets.put_slice(&self.octets);
        octets.freeze()
    }
}

impl std::fmt::Debug for Part {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "Part {}/{} [{} octets]",
            self.index,
            self.total,
            self.octets.len()
        )
    }
}

/// Splits a text into the messages that carry it. No cut is inside an escape sequence, a
/// surrogate pair or a grapheme cluster; only a cluster longer than a whole segment is cut, between
/// its characters.
pub fn split(text: &str, width: ReferenceWidth) -> Result<Segments, TooManySegments> {
    let alphabet = alphabet_for(text);
    let pieces: Vec<&str> = Pieces::new(text, alphabet, width).collect();
    let too_many = TooManySegments {
        needed: pieces.len(),
    };
    let total = u8::try_from(pieces.len()).map_err(|_| too_many)?;
    let parts = (1..=total)
        .zip(pieces)
        .map(|(index, piece)| Part {
            octets: alphabet.encode(piece).into(),
            index,
            total,
            width,
        })
        .collect();
    Ok(Segments {
        alphabet,
        data_coding: alphabet.data_coding(),
        parts,
    })
}

/// What [`split`] would make of the text, without building it, and without its limit.
#[must_use]
pub fn count(text: &str, width: ReferenceWidth) -> Count {
    let alphabet = alphabet_for(text);
    let segments = Pieces::new(text, alphabet, width).count();
    Count {
        alphabet,
        units: alphabet.units(text),
        segments,
    }
}

/// The pieces of a text, each as long as its segment allows; one empty piece for the empty text.
struct Pieces<'a> {
    rest: Option<&'a str>,
    /// The units of `rest`.
    units: usize,
    alphabet: Alphabet,
    limit: usize,
}

impl<'a> Pieces<'a> {
    fn new(text: &'a str, alphabet: Alphabet, width: ReferenceWidth) -> Self {
        let units = alphabet.units(text);
        let whole = whole_units(alphabet);
        let limit = if units <= whole {
            whole
        } else {
            segment_units(alphabet, width)
        };
        Self {
            rest: Some(text),
            units,
            alphabet,
            limit,
        }
    }

    /// The length of the next piece in octets and in units; more than none where there are any.
    fn next_len(&self, text: &str) -> (usize, usize) {
        if self.units <= self.limit {
            return (text.len(), self.units);
        }
        let (mut len, mut used): (usize, usize) = (0, 0);
        for grapheme in text.graphemes(true) {
            let room = self.limit.saturating_sub(used);
            let (taken, units) = self.fitting(grapheme, room, len == 0);
            len = len.saturating_add(taken);
            used = used.saturating_add(units);
            if taken < grapheme.len() {
                break;
            }
        }
        (len, used)
    }

    /// How much of the grapheme goes into the room that is left, in octets and in units: all, none,
    /// or, at the start of a piece where no room would do, as many characters as fit.
    fn fitting(&self, grapheme: &str, room: usize, at_start: bool) -> (usize, usize) {
        let units = self.alphabet.units(grapheme);
        if units <= room {
            return (grapheme.len(), units);
        }
        if !at_start {
            return (0, 0);
        }
        let (mut len, mut used): (usize, usize) = (0, 0);
        for character in grapheme.chars() {
            let next = used.saturating_add(self.alphabet.units(character.encode_utf8(&mut [0; 4])));
            if next > room {
                break;
            }
            used = next;
            len = len.saturating_add(character.len_utf8());
        }
        (len, used)
    }
}

impl<'a> Iterator for Pieces<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let text = self.rest?;
        let (len, units) = self.next_len(text);
        let (piece, rest) = text.split_at_checked(len).unwrap_or((text, ""));
        self.units = self.units.saturating_sub(units);
        self.rest = (!rest.is_empty()).then_some(rest);
        Some(piece)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::udh::join;

    fn lengths(text: &str, width: ReferenceWidth) -> Vec<usize> {
        let segments = split(text, width).unwrap();
        segments
            .parts
            .iter()
            .map(|part| part.octets.len())
            .collect()
    }

    fn joined(segments: &Segments) -> String {
        let parts: Vec<_> = segments
            .parts
            .iter()
            .map(|part| (segments.data_coding, part.payload()))
            .collect();
        join(&parts)
    }

    #[test]
    fn a_text_is_sent_whole_up_to_160_septets_or_70_units() {
        let sixteen = ReferenceWidth::Sixteen;
        assert_eq!(lengths(&"a".repeat(160), sixteen), [160]);
        assert_eq!(lengths(&"a".repeat(161), sixteen), [152, 9]);
        assert_eq!(lengths(&"a".repeat(161), ReferenceWidth::Eight), [153, 8]);
        assert_eq!(lengths(&"ж".repeat(70), sixteen), [140]);
        assert_eq!(lengths(&"ж".repeat(71), sixteen), [132, 10]);
        assert_eq!(lengths(&"ж".repeat(71), ReferenceWidth::Eight), [134, 8]);
    }

    #[test]
    fn the_empty_text_is_one_empty_message() {
        assert_eq!(lengths("", ReferenceWidth::Sixteen), [0]);
        assert_eq!(count("", ReferenceWidth::Sixteen).segments, 1);
    }

    #[test]
    fn an_escape_sequence_is_not_cut() {
        let text = format!("{}€{}", "a".repeat(151), "b".repeat(20));
        assert_eq!(lengths(&text, ReferenceWidth::Sixteen), [151, 22]);
    }

    #[test]
    fn a_surrogate_pair_is_not_cut() {
        let text = format!("{}👍{}", "ж".repeat(65), "ж".repeat(20));
        assert_eq!(lengths(&text, ReferenceWidth::Sixteen), [130, 44]);
    }

    #[test]
    fn a_grapheme_is_not_cut() {
        let family = "👨‍👩‍👧‍👦";
        let text = format!("{}{family}{}", "ж".repeat(60), "ж".repeat(10));
        let segments = split(&text, ReferenceWidth::Sixteen).unwrap();
        assert_eq!(segments.parts.first().unwrap().octets.len(), 120);
        assert_eq!(joined(&segments), text);
    }

    #[test]
    fn a_grapheme_longer_than_a_segment_is_cut_between_characters() {
        let zalgo = format!("e{}", "\u{301}".repeat(200));
        let segments = split(&zalgo, ReferenceWidth::Sixteen).unwrap();
        let lengths: Vec<_> = segments
            .parts
            .iter()
            .map(|part| part.octets.len())
            .collect();
        assert_eq!(lengths, [132, 132, 132, 6]);
        assert_eq!(joined(&segments), zalgo);
    }

    #[test]
    fn a_text_of_more_than_255_segments_is_refused_and_still_counted() {
        let text = "a".repeat(152 * 255 + 1);
        assert_eq!(
            split(&text, ReferenceWidth::Sixteen),
            Err(TooManySegments { needed: 256 })
        );
        assert_eq!(count(&text, ReferenceWidth::Sixteen).segments, 256);
        assert_eq!(
            split(&text[1..], ReferenceWidth::Sixteen)
                .unwrap()
                .parts
                .len(),
            255
        );
    }

    #[test]
    fn each_part_carries_the_header_of_its_width() {
        let text = "a".repeat(200);
        let short_message = |width| {
            let segments = split(&text, width).unwrap();
            segments.parts.last().unwrap().short_message(0x1234)
        };
        let sixteen = short_message(ReferenceWidth::Sixteen);
        assert_eq!(sixteen[..8], [0x06, 0x08, 0x04, 0x12, 0x34, 2, 2, b'a']);
        let eight = short_message(ReferenceWidth::Eight);
        assert_eq!(eight[..7], [0x05, 0x00, 0x03, 0x34, 2, 2, b'a']);
    }

    #[test]
    fn a_text_sent_whole_has_no_header() {
        let segments = split("hi", ReferenceWidth::Sixteen).unwrap();
        let part = segments.parts.first().unwrap();
        assert!(!part.udhi());
        assert_eq!(&part.short_message(7)[..], b"hi");
        assert_eq!(part.concat(7), None);
    }

    #[test]
    fn debug_does_not_show_the_text() {
        let segments = split("secret", ReferenceWidth::Sixteen).unwrap();
        assert!(!format!("{segments:?}").contains("secret"));
        assert!(!format!("{segments:?}").contains("115"));
    }
}
