//! Long texts as several messages. GSM 03.40 §9.2.3.24.1 and §9.2.3.24.8; SMPP 3.4 §5.3.2.22 to
//! §5.3.2.24 and §5.3.2.32.

use bytes::{BufMut, Bytes, BytesMut};
use thiserror::Error;
use unicode_segmentation::GraphemeCursor;

use crate::octets::ShortMessage;
use crate::text::{Allowed, Alphabet, alphabet_for, gsm7, header_octets};
use crate::tlv::Tlvs;
use crate::udh::{Concat, Reference, fill_bits, header};
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

impl ReferenceWidth {
    /// The octets of the information element.
    const fn element_octets(self) -> usize {
        match self {
            Self::Eight => 5,
            Self::Sixteen => 6,
        }
    }
}

/// What says that the segments of a long text belong together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Carriage {
    /// A user data header in each `short_message`: what every SMSC passes on.
    Header(ReferenceWidth),
    /// The three SAR parameters. Segments are as long as a 16-bit header would leave them, for the
    /// SMSC makes one of the parameters; national tables are not used, for a header of our own must
    /// not stand beside them.
    Sar,
    /// Nothing: one PDU with the whole text, in `message_payload` where it is long, which the SMSC
    /// splits. National tables are not used.
    Payload,
}

impl Carriage {
    /// What a place in a long message takes of each segment.
    const fn element_octets(self) -> usize {
        match self {
            Self::Header(width) => width.element_octets(),
            Self::Sar => ReferenceWidth::Sixteen.element_octets(),
            Self::Payload => ReferenceWidth::Eight.element_octets(),
        }
    }
}

/// How texts are split for one peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Splitter {
    /// What ties segments together.
    pub carriage: Carriage,
    /// The alphabets that the peer takes.
    pub allowed: Allowed,
    /// Whether septets go out packed, 8 in 7 octets, which few peers want.
    pub packed: bool,
}

impl Default for Splitter {
    fn default() -> Self {
        Self::headers(ReferenceWidth::default())
    }
}

/// The most segments that one message can have: the count is one octet.
pub const MAX_SEGMENTS: usize = 255;

/// Why a text cannot be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SplitError {
    /// It would need more than [`MAX_SEGMENTS`].
    #[error("the text needs {needed} segments, {MAX_SEGMENTS} is the most")]
    TooManySegments {
        /// How many it would need.
        needed: usize,
    },
    /// More octets than `message_payload` can hold.
    #[error("the text needs {octets} octets, {} is the most", Tlvs::MAX_VALUE_LEN)]
    TooLong {
        /// How many it would need.
        octets: usize,
    },
    /// None of the alphabets that the peer takes has all its characters.
    #[error("no alphabet that the peer takes has all characters of the text")]
    NoAlphabet,
}

/// What a text costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Preview {
    /// The alphabet it needs.
    pub alphabet: Alphabet,
    /// Its length: septets, octets or UTF-16 units.
    pub units: usize,
    /// How many messages it is on the air; 1 for the empty text. For [`Carriage::Payload`] what the
    /// SMSC will most likely make of it.
    pub segments: usize,
    /// How many units more the last of them has room for.
    pub left: usize,
}

impl Preview {
    fn of(text: &str, alphabet: Alphabet, carriage: Carriage) -> Self {
        let mut pieces = Pieces::new(text, alphabet, carriage);
        let (limit, units) = (pieces.limit, pieces.units);
        let (mut segments, mut last) = (0_usize, 0);
        while pieces.rest.is_some() {
            last = pieces.units;
            pieces.next();
            segments = segments.saturating_add(1);
        }
        Self {
            alphabet,
            units,
            segments,
            left: limit.saturating_sub(last),
        }
    }
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
    alphabet: Alphabet,
    splitter: Splitter,
}

/// What a part puts into its PDU beside `data_coding`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Carried {
    /// Whether `esm_class` needs the UDHI bit.
    pub udhi: bool,
    /// The text, its header first; empty where the parameters have it.
    pub short_message: ShortMessage,
    /// The SAR parameters or `message_payload`.
    pub tlvs: Tlvs,
}

impl Part {
    /// The text of this part, without a header and one septet in each octet.
    #[must_use]
    pub fn payload(&self) -> Bytes {
        self.octets.clone()
    }

    /// Whether [`Self::short_message`] begins with a header, so that `esm_class` needs the UDHI bit.
    #[must_use]
    pub fn udhi(&self) -> bool {
        !self.header(0).is_empty()
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
        let reference = match self.splitter.carriage {
            Carriage::Header(ReferenceWidth::Eight) => Reference::Eight(low),
            Carriage::Header(ReferenceWidth::Sixteen) => Reference::Sixteen(reference),
            Carriage::Sar | Carriage::Payload => Reference::Sar(reference),
        };
        (self.total > 1).then_some(Concat {
            reference,
            total: self.total,
            index: self.index,
        })
    }

    /// The user data header that comes before the text; empty where there is none.
    #[must_use]
    pub fn header(&self, reference: u16) -> Vec<u8> {
        let in_header = matches!(self.splitter.carriage, Carriage::Header(_));
        let concat = self.concat(reference).filter(|_| in_header);
        header(concat, self.alphabet.shifts())
    }

    /// Header and text, or the text alone where it needs no header: what goes into `short_message`,
    /// but for a text above 254 octets, which only [`Carriage::Payload`] makes.
    #[must_use]
    pub fn short_message(&self, reference: u16) -> Bytes {
        let header = self.header(reference);
        let packs = self.splitter.packed && matches!(self.alphabet, Alphabet::Gsm7(_));
        let text = if packs {
            Bytes::from(gsm7::pack(&self.octets, fill_bits(header.len())))
        } else {
            self.payload()
        };
        if header.is_empty() {
            return text;
        }
        let mut octets = BytesMut::with_capacity(header.len().saturating_add(text.len()));
        octets.put_slice(&header);
        octets.put_slice(&text);
        octets.freeze()
    }

    /// What this part of the message with that reference puts into its PDU.
    #[must_use]
    pub fn carried(&self, reference: u16) -> Carried {
        let mut tlvs = Tlvs::default();
        if let (Carriage::Sar, Some(concat)) = (self.splitter.carriage, self.concat(reference)) {
            tlvs.set_sar(reference, concat.total, concat.index);
        }
        let octets = self.short_message(reference);
        let short_message = ShortMessage::try_from(octets.clone()).unwrap_or_default();
        if short_message.is_empty() && !octets.is_empty() {
            let fits = tlvs.set_message_payload(&octets);
            debug_assert!(fits.is_ok(), "a text that is too long is not split");
        }
        Carried {
            udhi: self.udhi(),
            short_message,
            tlvs,
        }
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

impl Splitter {
    /// Segments with headers of this width, in the alphabets that every handset reads.
    #[must_use]
    pub fn headers(width: ReferenceWidth) -> Self {
        Self {
            carriage: Carriage::Header(width),
            allowed: Allowed::default(),
            packed: false,
        }
    }

    /// Splits a text into the messages that carry it, in the cheapest alphabet that loses nothing. No
    /// cut is inside an escape sequence, a surrogate pair or a grapheme cluster; only a cluster longer
    /// than a whole segment is cut, between its characters.
    pub fn split(self, text: &str) -> Result<Segments, SplitError> {
        let alphabet = self.alphabet(text)?;
        let pieces: Vec<&str> = if self.carriage == Carriage::Payload {
            vec![text]
        } else {
            Pieces::new(text, alphabet, self.carriage).collect()
        };
        let too_many = SplitError::TooManySegments {
            needed: pieces.len(),
        };
        let total = u8::try_from(pieces.len()).map_err(|_| too_many)?;
        let parts: Vec<Part> = (1..=total)
            .zip(pieces)
            .map(|(index, piece)| Part {
                octets: alphabet.encode(piece).into(),
                index,
                total,
                alphabet,
                splitter: self,
            })
            .collect();
        let longest = parts.iter().map(|part| part.octets.len()).max();
        if let Some(octets) = longest.filter(|octets| *octets > Tlvs::MAX_VALUE_LEN) {
            return Err(SplitError::TooLong { octets });
        }
        Ok(Segments {
            alphabet,
            data_coding: alphabet.data_coding(),
            parts,
        })
    }

    /// What [`Self::split`] would make of the text, without building it, and without its limits.
    pub fn preview(self, text: &str) -> Result<Preview, SplitError> {
        let alphabet = self.alphabet(text)?;
        Ok(Preview::of(text, alphabet, self.carriage))
    }

    fn alphabet(self, text: &str) -> Result<Alphabet, SplitError> {
        let allowed = match self.carriage {
            Carriage::Header(_) => self.allowed,
            Carriage::Sar | Carriage::Payload => self.allowed.without_tables(),
        };
        let concat_octets = self.carriage.element_octets();
        let cheapest = allowed.cheapest(text, concat_octets);
        cheapest.ok_or(SplitError::NoAlphabet)
    }
}

/// [`Splitter::split`] with headers of this width, in the alphabets that every handset reads.
pub fn split(text: &str, width: ReferenceWidth) -> Result<Segments, SplitError> {
    Splitter::headers(width).split(text)
}

/// What [`split`] would make of the text, without building it, and without its limit.
#[must_use]
pub fn count(text: &str, width: ReferenceWidth) -> Preview {
    Preview::of(text, alphabet_for(text), Carriage::Header(width))
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
    fn new(text: &'a str, alphabet: Alphabet, carriage: Carriage) -> Self {
        let units = alphabet.units(text);
        let shifts = alphabet.shifts();
        let whole = alphabet.capacity(header_octets(shifts, 0));
        let limit = if units <= whole {
            whole
        } else {
            alphabet.capacity(header_octets(shifts, carriage.element_octets()))
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
        let (room, units) = self.alphabet.prefix(text, self.limit);
        match last_boundary(text, room) {
            0 => (room, units),
            whole if whole == room => (room, units),
            whole => {
                let cut = text.get(whole..room).unwrap_or_default();
                (whole, units.saturating_sub(self.alphabet.units(cut)))
            }
        }
    }
}

/// Where the last grapheme cluster that ends within the first `len` octets ends; 0 where none does.
fn last_boundary(text: &str, len: usize) -> usize {
    let mut cursor = GraphemeCursor::new(len, text.len(), true);
    // The cursor has the whole text, so it never asks for more of it.
    if cursor.is_boundary(text, 0).unwrap_or(true) {
        return len;
    }
    cursor.prev_boundary(text, 0).ok().flatten().unwrap_or(0)
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
            Err(SplitError::TooManySegments { needed: 256 })
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

    /// Known from phones: behind a header of 6 octets one bit is left to the next septet.
    #[test]
    fn packed_septets_begin_at_a_septet_behind_each_width_of_header() {
        let packed = |width| {
            let splitter = Splitter {
                packed: true,
                ..Splitter::headers(width)
            };
            let segments = splitter.split(&"a".repeat(200)).unwrap();
            segments.parts.first().unwrap().short_message(1)
        };
        let eight = packed(ReferenceWidth::Eight);
        assert_eq!((eight.len(), &eight[6..8]), (140, &[0xc2, 0xe1][..]));
        let sixteen = packed(ReferenceWidth::Sixteen);
        assert_eq!((sixteen.len(), &sixteen[7..9]), (140, &[0xe1, 0x70][..]));
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
