//! User data headers (GSM 03.40 §9.2.3.24), segments that come in, and joining them.

mod join;

use bytes::Bytes;

use self::join::Piece;
use crate::octets::ShortMessage;
use crate::pdu::{DataSm, DeliverSm, SubmitMulti, SubmitSm};
use crate::quirks::{Quirk, Quirks};
use crate::text::{Charset, Language, Shifts, gsm7, ucs2, windows_1252};
use crate::tlv::Tlvs;
use crate::values::{DataCoding, EsmClass};

pub use self::join::join;

/// Which message a segment belongs to. References of different kinds never mean the same one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reference {
    /// Of 8 bits, from information element 0x00.
    Eight(u8),
    /// Of 16 bits, from information element 0x08.
    Sixteen(u16),
    /// From the TLV `sar_msg_ref_num`.
    Sar(u16),
}

/// The place of a segment in its message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Concat {
    /// Which message.
    pub reference: Reference,
    /// How many segments it has, from 1.
    pub total: u8,
    /// Which of them this is, 1 to `total`.
    pub index: u8,
}

const CONCAT_8_BIT: u8 = 0x00;
const CONCAT_16_BIT: u8 = 0x08;
const SINGLE_SHIFT: u8 = 0x24;
const LOCKING_SHIFT: u8 = 0x25;

impl Concat {
    /// A place that can be: neither number 0, `index` not above `total`.
    fn checked(reference: Reference, total: u8, index: u8) -> Option<Self> {
        (0 < index && index <= total).then_some(Self {
            reference,
            total,
            index,
        })
    }

    /// The user data header that says so, its length octet first; a SAR reference becomes one of
    /// 16 bits.
    #[must_use]
    pub fn header(&self) -> Vec<u8> {
        header(Some(*self), Shifts::NONE)
    }

    fn put_element(self, octets: &mut Vec<u8>) {
        match self.reference {
            Reference::Eight(reference) => {
                octets.extend([CONCAT_8_BIT, 3, reference, self.total, self.index]);
            }
            Reference::Sixteen(reference) | Reference::Sar(reference) => {
                let [high, low] = reference.to_be_bytes();
                octets.extend([CONCAT_16_BIT, 4, high, low, self.total, self.index]);
            }
        }
    }
}

/// The user data header of a segment in these tables, its length octet first; empty where there is
/// nothing to say. 3GPP TS 23.040 §9.2.3.24.1, §9.2.3.24.15, §9.2.3.24.16.
#[must_use]
pub fn header(concat: Option<Concat>, shifts: Shifts) -> Vec<u8> {
    let mut octets = vec![0];
    if let Some(concat) = concat {
        concat.put_element(&mut octets);
    }
    if let Some(language) = shifts.locking {
        octets.extend([LOCKING_SHIFT, 1, language.id()]);
    }
    if let Some(language) = shifts.single {
        octets.extend([SINGLE_SHIFT, 1, language.id()]);
    }
    let length = octets.len().saturating_sub(1);
    if length == 0 {
        return Vec::new();
    }
    if let (Some(first), Ok(length)) = (octets.first_mut(), u8::try_from(length)) {
        *first = length;
    }
    octets
}

/// The bits between a header of so many octets, its length octet counted, and the first septet of a
/// packed text. GSM 03.40 §9.2.3.24.
#[must_use]
pub fn fill_bits(header_octets: usize) -> u8 {
    let bits = header_octets.saturating_mul(8) % 7;
    u8::try_from(7_usize.saturating_sub(bits) % 7).unwrap_or_default()
}

impl Tlvs {
    /// The place of the segment, where all three SAR parameters are there and make sense
    /// (§5.3.2.22 to §5.3.2.24).
    #[must_use]
    pub fn sar(&self) -> Option<Concat> {
        let reference = Reference::Sar(self.sar_msg_ref_num()?);
        Concat::checked(
            reference,
            self.sar_total_segments()?,
            self.sar_segment_seqnum()?,
        )
    }

    /// Sets the three SAR parameters.
    pub fn set_sar(&mut self, reference: u16, total: u8, index: u8) {
        self.set_sar_msg_ref_num(reference);
        self.set_sar_total_segments(total);
        self.set_sar_segment_seqnum(index);
    }
}

/// One information element of a user data header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Element<'a> {
    /// What it is.
    pub id: u8,
    /// Its data.
    pub data: &'a [u8],
}

/// Splits the user data header off a text: its elements' octets and what follows. `None` where
/// the header's length runs past the end, so that there is no header.
#[must_use]
pub fn split_header(octets: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = octets.split_first()?;
    rest.split_at_checked(usize::from(*length))
}

/// The information elements of a header, up to the first that runs past its end.
pub fn elements(header: &[u8]) -> impl Iterator<Item = Element<'_>> {
    let mut rest = header;
    std::iter::from_fn(move || {
        let [id, length, after @ ..] = rest else {
            return None;
        };
        let (data, after) = after.split_at_checked(usize::from(*length))?;
        rest = after;
        Some(Element { id: *id, data })
    })
}

/// The place of a segment that its header gives. Where there are several, the last one counts
/// (§9.2.3.24).
fn concat_of_header(header: &[u8]) -> Option<Concat> {
    elements(header).filter_map(concat_of_element).last()
}

/// The national tables that a header names; numbers that are reserved name none.
fn shifts_of_header(header: &[u8]) -> Shifts {
    let mut shifts = Shifts::NONE;
    for element in elements(header) {
        match (element.id, element.data) {
            (LOCKING_SHIFT, [id]) => shifts.locking = Language::of(*id),
            (SINGLE_SHIFT, [id]) => shifts.single = Language::of(*id),
            _ => {}
        }
    }
    shifts
}

fn concat_of_element(element: Element<'_>) -> Option<Concat> {
    match (element.id, element.data) {
        (CONCAT_8_BIT, [reference, total, index]) => {
            Concat::checked(Reference::Eight(*reference), *total, *index)
        }
        (CONCAT_16_BIT, [high, low, total, index]) => {
            let reference = Reference::Sixteen(u16::from_be_bytes([*high, *low]));
            Concat::checked(reference, *total, *index)
        }
        _ => None,
    }
}

/// The fields of a PDU that say what its text is.
#[derive(Debug, Clone, Copy)]
pub struct TextFields<'a> {
    /// Says whether a header comes first.
    pub esm_class: EsmClass,
    /// How to read the octets.
    pub data_coding: DataCoding,
    /// The octets; none where `message_payload` has them.
    pub short_message: Option<&'a ShortMessage>,
    /// `message_payload` and the SAR parameters.
    pub tlvs: &'a Tlvs,
}

impl TextFields<'_> {
    /// `short_message`, or `message_payload` where that is empty.
    fn octets(&self) -> Bytes {
        match self.short_message {
            Some(short_message) if !short_message.is_empty() => short_message.bytes(),
            _ => self.tlvs.message_payload().unwrap_or_default(),
        }
    }

    /// The header's octets and those of the text behind it.
    fn split<'b>(&self, octets: &'b [u8], quirks: Quirks) -> Option<(&'b [u8], &'b [u8])> {
        let unannounced = quirks.contains(Quirk::UnannouncedHeader) && begins_with_concat(octets);
        (self.esm_class.udhi() || unannounced)
            .then(|| split_header(octets))
            .flatten()
    }
}

/// Whether a header with the place of a segment seems to begin here.
fn begins_with_concat(octets: &[u8]) -> bool {
    matches!(
        octets,
        [5, CONCAT_8_BIT, 3, _, _, _, ..] | [6, CONCAT_16_BIT, 4, _, _, _, _, ..]
    )
}

/// The text of a message that came in, its header taken off. `Debug` shows its length only.
#[derive(Clone, PartialEq, Eq)]
pub struct InboundText {
    /// The place of this segment; `None` for a message that is whole.
    pub concat: Option<Concat>,
    /// The octets of the text, one septet in each octet. Those in national tables, and those in none
    /// that begin with an octet above 0x7f, stand behind two octets above 0x7f, which are no septets
    /// and name the tables: [`join`] reads them so, and then nothing of the header is needed any more.
    pub payload: Bytes,
    /// How to read them.
    pub data_coding: DataCoding,
}

impl InboundText {
    /// The text of a PDU as the standard has it. The header's place counts before that of the SAR
    /// parameters.
    #[must_use]
    pub fn of<'a>(fields: impl Into<TextFields<'a>>) -> Self {
        Self::with(fields, Quirks::NONE)
    }

    /// The text of a PDU from a peer with these quirks.
    #[must_use]
    pub fn with<'a>(fields: impl Into<TextFields<'a>>, quirks: Quirks) -> Self {
        let fields = fields.into();
        let octets = fields.octets();
        let split = fields.split(&octets, quirks);
        let header = split.map(|(header, _)| header);
        let concat = header
            .and_then(concat_of_header)
            .or_else(|| fields.tlvs.sar());
        let text = Self {
            concat,
            payload: split.map_or_else(|| octets.clone(), |(_, text)| octets.slice_ref(text)),
            data_coding: fields.data_coding,
        };
        let header_octets = header.map_or(0, |header| header.len().saturating_add(1));
        let shifts = header.map_or(Shifts::NONE, shifts_of_header);
        match Charset::of(fields.data_coding) {
            Charset::Gsm7 => text.of_septets(shifts, header_octets, quirks),
            Charset::Ucs2 if quirks.contains(Quirk::LittleEndianUcs2) => text.of_little_endian(),
            Charset::Latin1 if quirks.contains(Quirk::Windows1252) => text.of_windows_1252(),
            _ => text,
        }
    }

    fn of_septets(self, shifts: Shifts, header_octets: usize, quirks: Quirks) -> Self {
        let packed = quirks.contains(Quirk::PackedSeptets);
        let payload = if packed {
            gsm7::unpack(&self.payload, fill_bits(header_octets)).into()
        } else {
            self.payload
        };
        let default_is = quirks.default_charset().filter(|_| {
            shifts == Shifts::NONE && self.data_coding == DataCoding::GSM_DEFAULT && !packed
        });
        match default_is {
            Some(charset) => Self {
                payload,
                data_coding: charset.data_coding(),
                ..self
            },
            None => Self {
                payload: shifts.name(payload),
                ..self
            },
        }
    }

    /// A whole text is turned round. A segment may begin or end within a unit: it stays as it came
    /// and says by a byte order mark what it is, which [`join`] takes out of all but the first.
    fn of_little_endian(self) -> Self {
        let payload = match self.concat {
            None => ucs2::swapped(&self.payload).into(),
            Some(_) if ucs2::is_marked(&self.payload) => self.payload,
            Some(_) => ucs2::marked_little_endian(&self.payload).into(),
        };
        Self { payload, ..self }
    }

    fn of_windows_1252(self) -> Self {
        if self
            .payload
            .iter()
            .any(|octet| (0x80..0xa0).contains(octet))
        {
            Self {
                payload: ucs2::encode(&windows_1252(&self.payload)).into(),
                data_coding: DataCoding::UCS2,
                ..self
            }
        } else {
            self
        }
    }

    /// The text, with U+FFFD for what cannot be read.
    #[must_use]
    pub fn text(&self) -> String {
        Piece::of(self.data_coding, &self.payload).decode()
    }

    /// The same text in octets of which `data_coding` says all.
    pub(crate) fn unnamed(self) -> Self {
        if Charset::of(self.data_coding) != Charset::Gsm7 {
            return self;
        }
        let (shifts, septets) = Shifts::named(&self.payload);
        if shifts == Shifts::NONE {
            return Self {
                payload: self.payload.slice_ref(septets),
                ..self
            };
        }
        Self {
            payload: ucs2::encode(&shifts.decode(septets)).into(),
            data_coding: DataCoding::UCS2,
            ..self
        }
    }
}

impl std::fmt::Debug for InboundText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("InboundText")
            .field("concat", &self.concat)
            .field("payload_len", &self.payload.len())
            .field("data_coding", &self.data_coding)
            .finish()
    }
}

/// Where each PDU has its text.
macro_rules! text_fields {
    ($($pdu:ident $(. $short_message:ident)?;)*) => {$(
        impl<'a> From<&'a $pdu> for TextFields<'a> {
            fn from(pdu: &'a $pdu) -> Self {
                Self {
                    esm_class: pdu.esm_class,
                    data_coding: pdu.data_coding,
                    short_message: [$(&pdu.$short_message)?].first().copied(),
                    tlvs: &pdu.tlvs,
                }
            }
        }

        impl From<&$pdu> for InboundText {
            fn from(pdu: &$pdu) -> Self {
                Self::of(pdu)
            }
        }
    )*};
}

text_fields! {
    DeliverSm.short_message;
    SubmitSm.short_message;
    SubmitMulti.short_message;
    DataSm;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deliver_sm(esm_class: EsmClass, octets: &[u8]) -> DeliverSm {
        DeliverSm {
            esm_class,
            short_message: octets.try_into().unwrap(),
            ..DeliverSm::default()
        }
    }

    #[test]
    fn a_segments_place_comes_from_either_width_of_header() {
        let text = InboundText::from(&deliver_sm(
            EsmClass::UDHI,
            &[0x05, 0x00, 0x03, 0xaa, 3, 2, b'h', b'i'],
        ));
        let reference = Reference::Eight(0xaa);
        assert_eq!(
            text.concat,
            Some(Concat {
                reference,
                total: 3,
                index: 2
            })
        );
        assert_eq!(text.text(), "hi");

        let text = InboundText::from(&deliver_sm(
            EsmClass::UDHI,
            &[0x06, 0x08, 0x04, 0xaa, 0xbb, 3, 1, b'h', b'i'],
        ));
        let reference = Reference::Sixteen(0xaabb);
        assert_eq!(
            text.concat,
            Some(Concat {
                reference,
                total: 3,
                index: 1
            })
        );
        assert_eq!(text.text(), "hi");
    }

    #[test]
    fn other_elements_are_skipped_and_the_last_place_counts() {
        let header = [
            0x0e, 0x05, 0x04, 1, 2, 3, 4, 0x00, 0x03, 9, 2, 1, 0x00, 0x01, 7, b'x',
        ];
        let text = InboundText::from(&deliver_sm(EsmClass::UDHI, &header));
        assert_eq!(
            text.concat,
            Some(Concat {
                reference: Reference::Eight(9),
                total: 2,
                index: 1
            })
        );
        assert_eq!(text.text(), "x");
        let twice = [0x0a, 0, 3, 1, 2, 1, 0, 3, 5, 2, 2];
        let text = InboundText::from(&deliver_sm(EsmClass::UDHI, &twice));
        assert_eq!(
            text.concat,
            Some(Concat {
                reference: Reference::Eight(5),
                total: 2,
                index: 2
            })
        );
    }

    #[test]
    fn a_header_that_runs_past_the_end_is_text() {
        let text = InboundText::from(&deliver_sm(EsmClass::UDHI, b"hi"));
        assert_eq!(text.concat, None);
        assert_eq!(text.text(), "hi");
    }

    #[test]
    fn a_place_that_cannot_be_is_none() {
        for (total, index) in [(0, 0), (0, 1), (2, 0), (2, 3)] {
            let octets = [0x05, 0x00, 0x03, 1, total, index, b'x'];
            let text = InboundText::from(&deliver_sm(EsmClass::UDHI, &octets));
            assert_eq!(text.concat, None, "{index} of {total}");
            assert_eq!(text.text(), "x");
        }
    }

    #[test]
    fn without_the_udhi_bit_a_header_is_text() {
        let text = InboundText::from(&deliver_sm(EsmClass::DEFAULT, &[0x05, 0, 3, 1, 2, 1]));
        assert_eq!(text.concat, None);
        assert_eq!(text.payload.len(), 6);
    }

    #[test]
    fn a_segments_place_comes_from_the_sar_parameters_when_all_are_there() {
        let mut pdu = deliver_sm(EsmClass::DEFAULT, b"hi");
        pdu.tlvs.set_sar_msg_ref_num(700);
        pdu.tlvs.set_sar_total_segments(2);
        assert_eq!(InboundText::from(&pdu).concat, None);
        pdu.tlvs.set_sar_segment_seqnum(2);
        let reference = Reference::Sar(700);
        assert_eq!(
            InboundText::from(&pdu).concat,
            Some(Concat {
                reference,
                total: 2,
                index: 2
            })
        );
    }

    #[test]
    fn the_payload_parameter_is_read_when_the_short_message_is_empty() {
        let mut pdu = DataSm {
            data_coding: DataCoding::UCS2,
            ..DataSm::default()
        };
        pdu.tlvs.set_message_payload(&[0x04, 0x16]).unwrap();
        assert_eq!(InboundText::from(&pdu).text(), "Ж");
        let mut pdu = deliver_sm(EsmClass::DEFAULT, b"short");
        pdu.tlvs.set_message_payload(b"long").unwrap();
        assert_eq!(InboundText::from(&pdu).text(), "short");
    }

    #[test]
    fn debug_does_not_show_the_text() {
        let text = InboundText::from(&deliver_sm(EsmClass::DEFAULT, b"secret"));
        assert!(!format!("{text:?}").contains("secret"));
    }
}
