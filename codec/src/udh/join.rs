//! Segments in order as one text.

use bytes::Bytes;

use crate::text::ucs2::continued;
use crate::text::{Charset, Shifts};
use crate::values::DataCoding;

/// The text of the segments in order, each as [`InboundText`](super::InboundText) has it. Neighbours
/// in one alphabet are joined before they are read, so that an escape, a surrogate pair or a unit that
/// a sender cut in two is whole again.
#[must_use]
pub fn join(parts: &[(DataCoding, Bytes)]) -> String {
    let pieces: Vec<_> = parts
        .iter()
        .map(|(data_coding, octets)| Piece::of(*data_coding, octets))
        .collect();
    pieces
        .chunk_by(Piece::is_in_one_alphabet_with)
        .map(join_one_alphabet)
        .collect()
}

/// The octets of one segment, and what they are in.
pub(super) struct Piece<'a> {
    charset: Charset,
    /// The national tables of septets.
    shifts: Shifts,
    octets: &'a [u8],
}

impl<'a> Piece<'a> {
    pub(super) fn of(data_coding: DataCoding, payload: &'a [u8]) -> Self {
        let charset = Charset::of(data_coding);
        let (shifts, octets) = match charset {
            Charset::Gsm7 => Shifts::named(payload),
            _ => (Shifts::NONE, payload),
        };
        Self {
            charset,
            shifts,
            octets,
        }
    }

    fn is_in_one_alphabet_with(&self, other: &Self) -> bool {
        (self.charset, self.shifts) == (other.charset, other.shifts)
    }

    pub(super) fn decode(&self) -> String {
        match self.charset {
            Charset::Gsm7 => self.shifts.decode(self.octets),
            charset => charset.decode(self.octets),
        }
    }
}

fn join_one_alphabet(pieces: &[Piece<'_>]) -> String {
    let octets: Vec<_> = match pieces {
        [first, others @ ..] if first.charset == Charset::Ucs2 => std::iter::once(first.octets)
            .chain(
                others
                    .iter()
                    .map(|piece| continued(first.octets, piece.octets)),
            )
            .collect(),
        _ => pieces.iter().map(|piece| piece.octets).collect(),
    };
    let octets = octets.concat();
    match pieces {
        // One part has an octet too many: joined, all parts behind it would be read shifted.
        [first, _, ..] if first.charset == Charset::Ucs2 && octets.len() % 2 != 0 => {
            pieces.iter().map(Piece::decode).collect()
        }
        [first, ..] => Piece {
            octets: &octets,
            ..*first
        }
        .decode(),
        [] => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::Language;
    use crate::udh::{Concat, InboundText, Reference, header};
    use crate::{DeliverSm, EsmClass, Quirk, Quirks};

    fn deliver_sm(esm_class: EsmClass, octets: &[u8]) -> DeliverSm {
        DeliverSm {
            esm_class,
            short_message: octets.try_into().unwrap(),
            ..DeliverSm::default()
        }
    }

    #[test]
    fn what_a_sender_cut_in_two_is_whole_after_joining() {
        let part = |octets: &[u8]| (DataCoding::UCS2, Bytes::copy_from_slice(octets));
        assert_eq!(join(&[part(&[0xd8, 0x3d]), part(&[0xdc, 0x4d])]), "👍");
        assert_eq!(join(&[part(&[0x04]), part(&[0x16])]), "Ж");
        let part = |octets: &[u8]| (DataCoding::GSM_DEFAULT, Bytes::copy_from_slice(octets));
        assert_eq!(join(&[part(&[b'a', 0x1b]), part(&[0x65])]), "a€");
    }

    /// A segment of two, of a sender that cuts anywhere, in the tables of a language.
    fn cut(index: u8, language: Language, septets: &[u8]) -> (DataCoding, Bytes) {
        let concat = Concat {
            reference: Reference::Eight(7),
            total: 2,
            index,
        };
        let shifts = Shifts {
            locking: Some(language),
            single: Some(language),
        };
        let octets = [&header(Some(concat), shifts), septets].concat();
        let text = InboundText::from(&deliver_sm(EsmClass::UDHI, &octets));
        assert_eq!(text.concat, Some(concat));
        (text.data_coding, text.payload)
    }

    #[test]
    fn an_escape_in_national_tables_that_a_sender_cut_in_two_is_whole_after_joining() {
        // 0x1b 0x69 is the dotless i of the Turkish extension.
        let parts = [
            cut(1, Language::Turkish, b"k\x1b"),
            cut(2, Language::Turkish, b"is"),
        ];
        assert_eq!(join(&parts), "kıs");
        // Apart each is read for itself.
        assert_eq!(join(&parts[..1]) + &join(&parts[1..]), "k is");
    }

    #[test]
    fn an_escape_at_the_end_of_a_segment_takes_nothing_from_one_in_other_tables() {
        let plain = (DataCoding::GSM_DEFAULT, Bytes::from_static(b"is"));
        let turkish = cut(1, Language::Turkish, b"k\x1b");
        assert_eq!(join(&[turkish.clone(), plain.clone()]), "k is");
        let spanish = cut(2, Language::Spanish, b"is");
        assert_eq!(join(&[turkish, spanish]), "k is");
        let ucs2 = (DataCoding::UCS2, Bytes::from_static(&[0, b'i']));
        assert_eq!(join(&[plain, ucs2]), "isi");
    }

    #[test]
    fn octets_that_are_no_septets_name_no_tables() {
        let sent = [0x81, 0x81, b'i', 0x1b, 0x65];
        let text = InboundText::from(&deliver_sm(EsmClass::DEFAULT, &sent));
        assert_eq!(text.text(), "\u{fffd}\u{fffd}i€");
        assert_eq!(
            join(&[(text.data_coding, text.payload)]),
            "\u{fffd}\u{fffd}i€"
        );
        let text = InboundText::from(&deliver_sm(EsmClass::DEFAULT, &[0x81, b'i']));
        assert_eq!(text.text(), "\u{fffd}i");
    }

    #[test]
    fn a_part_with_an_octet_too_many_does_not_shift_the_next() {
        let part = |octets: &[u8]| (DataCoding::UCS2, Bytes::copy_from_slice(octets));
        assert_eq!(
            join(&[part(&[0x04, 0x16, 0x00]), part(&[0x04, 0x16])]),
            "ЖЖ"
        );
    }

    /// The text of segments that a little-endian peer makes of these octets.
    fn little_endian(segments: &[&[u8]]) -> String {
        let total = u8::try_from(segments.len()).unwrap();
        let parts = (1..).zip(segments).map(|(index, octets)| {
            let concat = Concat {
                reference: Reference::Eight(7),
                total,
                index,
            };
            let octets = [&header(Some(concat), Shifts::NONE), *octets].concat();
            let sm = DeliverSm {
                data_coding: DataCoding::UCS2,
                ..deliver_sm(EsmClass::UDHI, &octets)
            };
            let quirks = Quirks::NONE.with(Quirk::LittleEndianUcs2);
            let text = InboundText::with(&sm, quirks);
            (text.data_coding, text.payload)
        });
        join(&parts.collect::<Vec<_>>())
    }

    #[test]
    fn a_little_endian_text_that_is_cut_anywhere_is_whole_after_joining() {
        let octets: Vec<u8> = "Жaб👍".encode_utf16().flat_map(u16::to_le_bytes).collect();
        for first in 0..=octets.len() {
            for second in first..=octets.len() {
                let (one, two) = (&octets[..first], &octets[first..second]);
                let text = little_endian(&[one, two, &octets[second..]]);
                assert_eq!(text, "Жaб👍", "cut at {first} and {second}");
            }
        }
        let marked = [&[0xff, 0xfe], &octets[..]].concat();
        assert_eq!(little_endian(&[&marked[..5], &marked[5..]]), "Жaб👍");
        assert_eq!(
            little_endian(&[&[0x16, 0x04], &[0x16, 0x04, 0x00], &[0x16, 0x04]]),
            "ЖЖЖ"
        );
    }

    #[test]
    fn a_byte_order_mark_in_each_part_is_obeyed_and_not_shown() {
        let part = |octets: &[u8]| (DataCoding::UCS2, Bytes::copy_from_slice(octets));
        let little = [
            part(&[0xff, 0xfe, 0x16, 0x04]),
            part(&[0xff, 0xfe, 0x16, 0x04]),
        ];
        assert_eq!(join(&little), "ЖЖ");
        let big = [
            part(&[0xfe, 0xff, 0x04, 0x16]),
            part(&[0xfe, 0xff, 0x04, 0x16]),
        ];
        assert_eq!(join(&big), "ЖЖ");
        // What the first does not begin with is text.
        let later = [part(&[0x04, 0x16]), part(&[0xfe, 0xff, 0x04, 0x16])];
        assert_eq!(join(&later), "Ж\u{feff}Ж");
    }

    #[test]
    fn parts_in_different_charsets_are_read_each_in_its_own() {
        let parts = [
            (DataCoding::GSM_DEFAULT, Bytes::from_static(&[0x00])),
            (DataCoding::UCS2, Bytes::from_static(&[0x04, 0x16])),
        ];
        assert_eq!(join(&parts), "@Ж");
    }
}
