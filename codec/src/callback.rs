//! The optional parameters that are more than a number: subaddresses and callback numbers.

use std::fmt;
use std::ops::RangeInclusive;

use crate::field::OctetsError;
use crate::tlv::Tlvs;
use crate::values::{DataCoding, Npi, TlvTag, Ton};

/// Which part behind an address a message is from or for (§5.3.2.15). `Debug` shows its length
/// only.
#[derive(Clone, PartialEq, Eq)]
pub struct Subaddress {
    /// 0x80 NSAP (even), 0x88 NSAP (odd), 0xa0 user specified.
    pub kind: u8,
    /// The subaddress itself, 1 to 22 octets.
    pub octets: Vec<u8>,
}

/// A number to call back (§5.3.2.36). `Debug` shows only that there is one.
#[derive(Clone, PartialEq, Eq)]
pub struct CallbackNum {
    /// 0 where the handset gets the digits as DTMF, 1 as ASCII.
    pub digit_mode: u8,
    /// Type of number.
    pub ton: Ton,
    /// Numbering plan.
    pub npi: Npi,
    /// The digits in ASCII, 1 to 16.
    pub digits: Vec<u8>,
}

/// What the handset shows with a callback number (§5.3.2.38). `Debug` shows its length only.
#[derive(Clone, PartialEq, Eq)]
pub struct CallbackNumAtag {
    /// How to read the octets.
    pub data_coding: DataCoding,
    /// The words, up to 64 octets.
    pub octets: Vec<u8>,
}

impl CallbackNumAtag {
    /// The words, with U+FFFD for what cannot be read.
    #[must_use]
    pub fn text(&self) -> String {
        crate::text::decode(self.data_coding, &self.octets)
    }
}

impl fmt::Debug for Subaddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Subaddress {:#x} [{} octets]",
            self.kind,
            self.octets.len()
        )
    }
}

impl fmt::Debug for CallbackNum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CallbackNum [{} digits]", self.digits.len())
    }
}

impl fmt::Debug for CallbackNumAtag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CallbackNumAtag [{} octets]", self.octets.len())
    }
}

/// Adds a value of `head` and `tail`, whose tail has so many octets.
fn push(
    tlvs: &mut Tlvs,
    tag: TlvTag,
    head: &[u8],
    tail: &[u8],
    octets: RangeInclusive<usize>,
) -> Result<(), OctetsError> {
    let (min, max) = octets.into_inner();
    if tail.len() < min {
        return Err(OctetsError::TooShort { min });
    }
    if tail.len() > max {
        return Err(OctetsError::TooLong { max });
    }
    tlvs.push(tag, &[head, tail].concat())
}

/// The dialogue of an interactive teleservice (§5.3.2.43).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ItsSession {
    /// Which session.
    pub session: u8,
    /// Which unit of its dialogue, 0 to 127.
    pub sequence: u8,
    /// Whether this ends it.
    pub end: bool,
}

impl From<u16> for ItsSession {
    fn from(value: u16) -> Self {
        let [session, low] = value.to_be_bytes();
        Self {
            session,
            sequence: low >> 1,
            end: low & 1 != 0,
        }
    }
}

impl From<ItsSession> for u16 {
    fn from(value: ItsSession) -> Self {
        let low = value.sequence.wrapping_shl(1) | u8::from(value.end);
        Self::from_be_bytes([value.session, low])
    }
}

impl Tlvs {
    const MAX_SUBADDRESS: usize = 22;
    const MAX_CALLBACK_DIGITS: usize = 16;
    const MAX_CALLBACK_WORDS: usize = 64;

    /// The subaddress of the source (§5.3.2.15).
    #[must_use]
    pub fn source_subaddress(&self) -> Option<Subaddress> {
        self.subaddress(TlvTag::SOURCE_SUBADDRESS)
    }

    /// Sets `source_subaddress`; fails without an octet and above 22.
    pub fn set_source_subaddress(&mut self, subaddress: &Subaddress) -> Result<(), OctetsError> {
        self.set_subaddress(TlvTag::SOURCE_SUBADDRESS, subaddress)
    }

    /// The subaddress of the destination (§5.3.2.16).
    #[must_use]
    pub fn dest_subaddress(&self) -> Option<Subaddress> {
        self.subaddress(TlvTag::DEST_SUBADDRESS)
    }

    /// Sets `dest_subaddress`; fails without an octet and above 22.
    pub fn set_dest_subaddress(&mut self, subaddress: &Subaddress) -> Result<(), OctetsError> {
        self.set_subaddress(TlvTag::DEST_SUBADDRESS, subaddress)
    }

    fn subaddress(&self, tag: TlvTag) -> Option<Subaddress> {
        let (kind, octets) = self.get(tag)?.split_first()?;
        (!octets.is_empty() && octets.len() <= Self::MAX_SUBADDRESS).then(|| Subaddress {
            kind: *kind,
            octets: octets.to_vec(),
        })
    }

    fn set_subaddress(&mut self, tag: TlvTag, value: &Subaddress) -> Result<(), OctetsError> {
        let mut tlvs = Self::default();
        push(
            &mut tlvs,
            tag,
            &[value.kind],
            &value.octets,
            1..=Self::MAX_SUBADDRESS,
        )?;
        self.set(tag, tlvs.get(tag).unwrap_or_default())
    }

    /// The numbers to call back, in their order (§5.3.2.36).
    pub fn callback_nums(&self) -> impl Iterator<Item = CallbackNum> {
        self.all(TlvTag::CALLBACK_NUM)
            .filter_map(|value| match value {
                [digit_mode, ton, npi, digits @ ..]
                    if (1..=Self::MAX_CALLBACK_DIGITS).contains(&digits.len()) =>
                {
                    Some(CallbackNum {
                        digit_mode: *digit_mode,
                        ton: Ton(*ton),
                        npi: Npi(*npi),
                        digits: digits.to_vec(),
                    })
                }
                _ => None,
            })
    }

    /// Adds a number to call back; fails without a digit and above 16.
    pub fn push_callback_num(&mut self, number: &CallbackNum) -> Result<(), OctetsError> {
        let head = [number.digit_mode, number.ton.0, number.npi.0];
        let digits = 1..=Self::MAX_CALLBACK_DIGITS;
        push(self, TlvTag::CALLBACK_NUM, &head, &number.digits, digits)
    }

    /// The words shown with the callback numbers, in the order of the numbers (§5.3.2.38).
    pub fn callback_num_atags(&self) -> impl Iterator<Item = CallbackNumAtag> {
        self.all(TlvTag::CALLBACK_NUM_ATAG).filter_map(|value| {
            let (data_coding, octets) = value.split_first()?;
            (octets.len() <= Self::MAX_CALLBACK_WORDS).then(|| CallbackNumAtag {
                data_coding: DataCoding(*data_coding),
                octets: octets.to_vec(),
            })
        })
    }

    /// Adds the words for a callback number; fails above 64 octets.
    pub fn push_callback_num_atag(&mut self, words: &CallbackNumAtag) -> Result<(), OctetsError> {
        let head = [words.data_coding.0];
        let octets = 0..=Self::MAX_CALLBACK_WORDS;
        push(
            self,
            TlvTag::CALLBACK_NUM_ATAG,
            &head,
            &words.octets,
            octets,
        )
    }

    /// Whether the handset is to alert its user; the parameter has no value (§5.3.2.41).
    #[must_use]
    pub fn alert_on_message_delivery(&self) -> bool {
        self.get(TlvTag::ALERT_ON_MESSAGE_DELIVERY).is_some()
    }

    /// `its_session_info` by its parts (§5.3.2.43).
    #[must_use]
    pub fn its_session(&self) -> Option<ItsSession> {
        self.its_session_info().map(ItsSession::from)
    }

    /// All values with this tag, in the order of the wire.
    fn all(&self, tag: TlvTag) -> impl Iterator<Item = &[u8]> {
        self.iter()
            .filter(move |tlv| tlv.tag == tag)
            .map(|tlv| tlv.value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subaddress_survives_its_parameter() {
        let subaddress = Subaddress {
            kind: 0xa0,
            octets: b"desk 7".to_vec(),
        };
        let mut tlvs = Tlvs::default();
        tlvs.set_source_subaddress(&subaddress).unwrap();
        tlvs.set_dest_subaddress(&subaddress).unwrap();
        assert_eq!(tlvs.get(TlvTag(0x0202)), Some(&b"\xa0desk 7"[..]));
        assert_eq!(tlvs.source_subaddress().as_ref(), Some(&subaddress));
        assert_eq!(tlvs.dest_subaddress().as_ref(), Some(&subaddress));
        let long = Subaddress {
            kind: 0xa0,
            octets: vec![1; 23],
        };
        assert!(tlvs.set_source_subaddress(&long).is_err());
        assert_eq!(
            tlvs.source_subaddress(),
            Some(subaddress),
            "a failure changes nothing"
        );
    }

    #[test]
    fn several_callback_numbers_keep_their_order() {
        let mut tlvs = Tlvs::default();
        let numbers = ["447700900123", "5551234"].map(|digits| CallbackNum {
            digit_mode: 1,
            ton: Ton::INTERNATIONAL,
            npi: Npi::ISDN,
            digits: digits.as_bytes().to_vec(),
        });
        for number in &numbers {
            tlvs.push_callback_num(number).unwrap();
        }
        let words = CallbackNumAtag {
            data_coding: DataCoding::LATIN1,
            octets: b"Caf\xe9".to_vec(),
        };
        tlvs.push_callback_num_atag(&words).unwrap();
        assert_eq!(tlvs.callback_nums().collect::<Vec<_>>(), numbers);
        assert_eq!(tlvs.callback_num_atags().next().unwrap().text(), "Café");
        let shown = format!("{:?} {tlvs:?}", tlvs.callback_nums().collect::<Vec<_>>());
        assert!(!shown.contains("4477009"), "{shown}");
        let long = CallbackNum {
            digits: vec![b'1'; 17],
            ..numbers[0].clone()
        };
        assert!(tlvs.push_callback_num(&long).is_err());
    }

    #[test]
    fn what_would_not_be_read_as_its_type_is_not_written() {
        let too_short = Err(OctetsError::TooShort { min: 1 });
        let mut tlvs = Tlvs::default();
        let subaddress = Subaddress {
            kind: 0xa0,
            octets: Vec::new(),
        };
        assert_eq!(tlvs.set_source_subaddress(&subaddress), too_short);
        let number = CallbackNum {
            digit_mode: 1,
            ton: Ton::INTERNATIONAL,
            npi: Npi::ISDN,
            digits: Vec::new(),
        };
        assert_eq!(tlvs.push_callback_num(&number), too_short);
        let text = "x".repeat(256);
        assert_eq!(
            tlvs.set_additional_status_info_text(&text),
            Err(OctetsError::TooLong { max: 255 })
        );
        assert_eq!(
            tlvs.set_additional_status_info_text("a\0b"),
            Err(OctetsError::Nul)
        );
        assert!(tlvs.is_empty());
    }

    #[test]
    fn a_value_of_the_wrong_length_is_not_read_as_its_type() {
        let mut tlvs = Tlvs::default();
        tlvs.push(TlvTag::CALLBACK_NUM, &[1, 1, 1]).unwrap();
        tlvs.push(TlvTag::CALLBACK_NUM_ATAG, &[]).unwrap();
        tlvs.push(TlvTag::SOURCE_SUBADDRESS, &[0x80]).unwrap();
        assert_eq!(tlvs.callback_nums().count(), 0);
        assert_eq!(tlvs.callback_num_atags().count(), 0);
        assert_eq!(tlvs.source_subaddress(), None);
    }

    #[test]
    fn an_alert_is_a_parameter_without_a_value() {
        let mut tlvs = Tlvs::default();
        assert!(!tlvs.alert_on_message_delivery());
        tlvs.set_alert_on_message_delivery();
        assert!(tlvs.alert_on_message_delivery());
        assert_eq!(tlvs.as_bytes(), [0x13, 0x0c, 0, 0]);
    }

    #[test]
    fn any_session_info_survives_its_parts() {
        for value in 0..=u16::MAX {
            assert_eq!(u16::from(ItsSession::from(value)), value);
        }
        let mut tlvs = Tlvs::default();
        tlvs.set_its_session_info(0x0705);
        let session = ItsSession {
            session: 7,
            sequence: 2,
            end: true,
        };
        assert_eq!(tlvs.its_session(), Some(session));
    }
}
