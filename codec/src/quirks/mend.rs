//! Frames of peers with quirks, rewritten as the standard has them. Only what is malformed is looked
//! at, so that a good PDU costs nothing and is never changed.

use bytes::Bytes;

use super::{Quirk, Quirks};
use crate::field::{DecodeError, FieldError, take_tlv};
use crate::frame::{Inbound, decode};
use crate::octets::ShortMessage;

/// More than the fields that one PDU can have wrong.
const MAX_MENDS: usize = 16;

impl Quirks {
    /// Reads a frame as [`decode`] does, and once more for each fault that one of these quirks
    /// explains.
    #[must_use]
    pub fn decode(self, frame: Bytes) -> Inbound {
        let mut frame = frame;
        for _ in 0..MAX_MENDS {
            let inbound = decode(frame.clone());
            let Inbound::Malformed { error, .. } = &inbound else {
                return inbound;
            };
            match self.mended(&frame, *error) {
                Some(mended) => frame = mended.into(),
                None => return inbound,
            }
        }
        decode(frame)
    }

    /// The frame without this fault; `None` where no quirk explains it.
    fn mended(self, frame: &[u8], error: DecodeError) -> Option<Vec<u8>> {
        let (before, rest) = frame.split_at_checked(error.at)?;
        match (error.field, error.cause) {
            ("dest_addresses" | "unsuccess_smes", _) => None,
            ("short_message", FieldError::Truncated) if self.contains(Quirk::WrongTextLength) => {
                with_text(before, rest.get(1..)?)
            }
            ("tlvs", _) => self.mended_tlvs(frame, error, before, rest),
            (field, FieldError::TooLong { max }) if field != "short_message" => {
                self.mended_string(before, rest, max)
            }
            _ => None,
        }
    }

    fn mended_string(self, before: &[u8], rest: &[u8], max: usize) -> Option<Vec<u8>> {
        let kept = rest.get(..max.saturating_sub(1))?;
        let behind = if self.contains(Quirk::LongStrings) {
            let end = rest.iter().position(|octet| *octet == 0);
            end.map_or(&[][..], |end| rest.get(end..).unwrap_or_default())
                .get(1..)
                .unwrap_or_default()
        } else if self.contains(Quirk::UnterminatedStrings) {
            rest.get(max..)?
        } else {
            return None;
        };
        Some([before, kept, &[0], behind].concat())
    }

    fn mended_tlvs(
        self,
        frame: &[u8],
        error: DecodeError,
        before: &[u8],
        rest: &[u8],
    ) -> Option<Vec<u8>> {
        let text = self.contains(Quirk::WrongTextLength);
        if let Some(mended) = text.then(|| text_to_the_end(frame, error.at)).flatten() {
            return Some(mended);
        }
        let padded = self.contains(Quirk::PaddedTlvs);
        let broken = self.contains(Quirk::BrokenTlvs);
        if !padded && !broken {
            return None;
        }
        let (tlvs, left) = whole_tlvs(rest, padded);
        let changed = tlvs.len() < rest.len();
        (changed && (left == 0 || broken)).then(|| [before, &tlvs].concat())
    }
}

/// The frame with all that follows as its text.
fn with_text(before: &[u8], text: &[u8]) -> Option<Vec<u8>> {
    let length = u8::try_from(text.len()).ok();
    let length = length.filter(|length| usize::from(*length) <= ShortMessage::MAX_LEN)?;
    Some([before, &[length], text].concat())
}

/// The frame with its text up to the end, where the text ends at `tlvs` by its length. The text is
/// found by taking its last octet away: then it is what is broken.
fn text_to_the_end(frame: &[u8], tlvs: usize) -> Option<Vec<u8>> {
    let shorter = frame.get(..tlvs.checked_sub(1)?)?;
    let Inbound::Malformed { error, .. } = decode(Bytes::copy_from_slice(shorter)) else {
        return None;
    };
    let (before, rest) = frame.split_at_checked(error.at)?;
    (error.field == "short_message")
        .then(|| with_text(before, rest.get(1..)?))
        .flatten()
}

/// The octets of the parameters that are whole, and how many octets are behind them. Where they are
/// `padded`, NULs between them are dropped: tags begin at 5.
fn whole_tlvs(rest: &[u8], padded: bool) -> (Vec<u8>, usize) {
    let (mut tlvs, mut rest) = (Vec::new(), rest);
    loop {
        if let Some((0, behind)) = rest.split_first().filter(|_| padded && is_padding(rest)) {
            rest = behind;
            continue;
        }
        let Ok((behind, _)) = take_tlv(rest) else {
            return (tlvs, rest.len());
        };
        let whole = rest.len().saturating_sub(behind.len());
        tlvs.extend_from_slice(rest.get(..whole).unwrap_or_default());
        rest = behind;
    }
}

fn is_padding(rest: &[u8]) -> bool {
    matches!(rest, [0] | [0, 0..=4, ..])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::tests::{encoded, hex};
    use crate::{Body, DeliverSm, Pdu};

    /// A `deliver_sm` up to `sm_length`.
    const DELIVER_SM: &str = "00000000 00000005 00000000 00000007 \
                              00 01 01 31323300 01 01 34353600 00 00 00 00 00 00 00 00 00";

    fn deliver_sm(quirk: Quirk, rest: &str) -> DeliverSm {
        let frame = hex(&format!("{DELIVER_SM} {rest}"));
        assert!(
            matches!(decode(frame.clone()), Inbound::Malformed { .. }),
            "strict"
        );
        match Quirks::NONE.with(quirk).decode(frame) {
            Inbound::Pdu(Pdu {
                body: Body::DeliverSm(pdu),
                ..
            }) => pdu,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_string_that_is_too_long_is_cut() {
        let frame = hex(&format!(
            "00000000 00000009 00000000 00000007 {} 00 7077 00 00 34 00 00 00",
            "61".repeat(20)
        ));
        let Inbound::Pdu(pdu) = Quirks::NONE.with(Quirk::LongStrings).decode(frame.clone()) else {
            panic!("malformed")
        };
        let Body::BindTransceiver(bind) = pdu.body else {
            panic!("not a bind")
        };
        assert_eq!(bind.system_id.to_text(), "a".repeat(15));
        assert_eq!(bind.password.to_text(), "pw");
        assert!(matches!(
            Quirks::NONE.decode(frame),
            Inbound::Malformed { .. }
        ));
    }

    #[test]
    fn a_string_that_fills_its_field_needs_no_nul() {
        let frame = hex(&format!(
            "00000000 00000009 00000000 00000007 {} 7077 00 00 34 00 00 00",
            "61".repeat(16)
        ));
        let quirks = Quirks::NONE.with(Quirk::UnterminatedStrings);
        let Inbound::Pdu(pdu) = quirks.decode(frame) else {
            panic!("malformed")
        };
        let Body::BindTransceiver(bind) = pdu.body else {
            panic!("not a bind")
        };
        assert_eq!(bind.system_id.to_text(), "a".repeat(15));
        assert_eq!(bind.password.to_text(), "pw");
    }

    #[test]
    fn an_sm_length_that_lies_gives_all_of_the_text() {
        let pdu = deliver_sm(Quirk::WrongTextLength, "01 68656c6c6f");
        assert_eq!(&pdu.short_message[..], b"hello");
        let pdu = deliver_sm(Quirk::WrongTextLength, "09 68656c6c6f");
        assert_eq!(&pdu.short_message[..], b"hello");
        let pdu = deliver_sm(Quirk::WrongTextLength, "00 68656c6c6f");
        assert_eq!(&pdu.short_message[..], b"hello");
        assert!(pdu.tlvs.is_empty());
    }

    #[test]
    fn what_is_behind_the_last_whole_parameter_is_dropped() {
        let pdu = deliver_sm(Quirk::BrokenTlvs, "02 6869 0427 0001 02 0424 00ff 61");
        assert_eq!(pdu.tlvs.as_bytes(), &hex("0427 0001 02")[..]);
        assert_eq!(&pdu.short_message[..], b"hi");
    }

    #[test]
    fn padding_between_parameters_is_dropped() {
        let pdu = deliver_sm(
            Quirk::PaddedTlvs,
            "00 00 0427 0001 02 0000 001e 0002 6100 00",
        );
        assert_eq!(pdu.tlvs.as_bytes(), &hex("0427 0001 02 001e 0002 6100")[..]);
    }

    #[test]
    fn a_quirk_mends_its_own_fault_alone() {
        let broken = hex(&format!("{DELIVER_SM} 00 00 0427 0001 02 0424 00ff 61"));
        for quirk in [Quirk::PaddedTlvs, Quirk::LongStrings, Quirk::PackedSeptets] {
            let inbound = Quirks::NONE.with(quirk).decode(broken.clone());
            assert!(matches!(inbound, Inbound::Malformed { .. }), "{quirk}");
        }
    }

    proptest! {
        #[test]
        fn a_good_pdu_is_read_the_same_with_all_quirks(pdu: Pdu) {
            let all = Quirk::ALL.iter().copied().collect::<Quirks>();
            prop_assert_eq!(all.decode(encoded(&pdu)), decode(encoded(&pdu)));
        }

        #[test]
        fn any_octets_decode_to_something_with_any_quirks(
            octets in proptest::collection::vec(any::<u8>(), 0..80),
            known in proptest::sample::select(crate::CommandId::KNOWN),
            quirks in proptest::collection::vec(proptest::sample::select(Quirk::ALL), 0..5),
        ) {
            let mut frame = vec![0; 4];
            frame.extend(known.0.to_be_bytes());
            frame.extend([0, 0, 0, 0, 0, 0, 0, 1]);
            frame.extend(octets);
            let quirks: Quirks = quirks.into_iter().collect();
            if let Inbound::Pdu(pdu) = quirks.decode(frame.into()) {
                prop_assert_eq!(decode(encoded(&pdu)), Inbound::Pdu(pdu));
            }
        }
    }
}
