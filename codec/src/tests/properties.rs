//! What must hold for every value and for every row of octets.

use bytes::{BufMut, Bytes, BytesMut};
use proptest::collection::vec;
use proptest::prelude::*;
use unicode_segmentation::UnicodeSegmentation;

use super::{decoded, encoded};
use crate::segment::{count, split};
use crate::text::{alphabet_for, gsm7};
use crate::time::{AbsoluteTime, RelativeTime, Time};
use crate::{
    Alphabet, Body, CommandId, DataCoding, E164, EsmClass, HEADER_LEN, Inbound, InboundText,
    MessageState, Pdu, Receipt, Reference, ReferenceWidth, ShortMessage, Tlvs, cut, decode, udh,
};

/// Octets that look like a PDU of a known operation up to the body.
fn frame_with_any_body() -> impl Strategy<Value = Bytes> {
    let command_id = prop_oneof![
        proptest::sample::select(CommandId::KNOWN),
        any::<u32>().prop_map(CommandId)
    ];
    (
        command_id,
        any::<u32>(),
        any::<u32>(),
        vec(any::<u8>(), 0..200),
    )
        .prop_map(|(command_id, status, sequence, body)| {
            let mut frame = BytesMut::new();
            frame.put_u32(u32::try_from(HEADER_LEN + body.len()).unwrap());
            frame.put_u32(command_id.0);
            frame.put_u32(status);
            frame.put_u32(sequence);
            frame.put_slice(&body);
            frame.freeze()
        })
}

/// Texts of the characters that make splitting hard, and of any others.
fn hard_text() -> impl Strategy<Value = String> {
    let gsm = proptest::sample::select(vec!["a", "€", "[", "ü", "\r\n", " "]);
    let piece = proptest::sample::select(vec![
        "a",
        "€",
        "ж",
        "👍",
        "👨‍👩‍👧‍👦",
        "e\u{301}",
        "🇩🇪",
        "\r\n",
        "각",
        "👍🏽",
        "\u{301}",
    ]);
    prop_oneof![
        vec(gsm, 0..500).prop_map(|pieces| pieces.concat()),
        vec(piece, 0..300).prop_map(|pieces| pieces.concat()),
        ".{0,300}",
    ]
    .prop_map(|text| without_byte_order_marks(&text))
}

/// Reading takes a byte order mark at the start away, and that alone.
fn without_byte_order_marks(text: &str) -> String {
    text.replace(['\u{feff}', '\u{fffe}'], "")
}

fn width() -> impl Strategy<Value = ReferenceWidth> {
    prop_oneof![Just(ReferenceWidth::Eight), Just(ReferenceWidth::Sixteen)]
}

proptest! {
    #[test]
    fn every_pdu_survives_the_wire(pdu: Pdu) {
        let frame = encoded(&pdu);
        let length = u32::from_be_bytes(*frame.first_chunk().unwrap());
        prop_assert_eq!(usize::try_from(length).unwrap(), frame.len());
        prop_assert_eq!(decoded(&frame), pdu);
    }

    #[test]
    fn what_was_decoded_encodes_to_itself(pdu: Pdu) {
        let frame = encoded(&pdu);
        prop_assert_eq!(encoded(&decoded(&frame)), frame);
    }

    #[test]
    fn pdus_in_one_buffer_come_out_one_by_one_however_they_are_split(
        pdus in vec(any::<Pdu>(), 1..4),
        chunk in 1_usize..50,
    ) {
        let mut wire = BytesMut::new();
        for pdu in &pdus {
            pdu.encode(&mut wire);
        }
        let mut buffer = BytesMut::new();
        let mut received = Vec::new();
        for octets in wire.chunks(chunk) {
            buffer.put_slice(octets);
            while let Some(frame) = cut(&mut buffer, 100_000).unwrap() {
                received.push(decoded(&frame));
            }
        }
        prop_assert!(buffer.is_empty());
        prop_assert_eq!(received, pdus);
    }

    #[test]
    fn any_octets_decode_to_something(octets in vec(any::<u8>(), 0..300)) {
        let frame = Bytes::from(octets);
        let malformed = matches!(decode(frame.clone()), Inbound::Malformed { .. });
        prop_assert!(malformed || frame.len() >= HEADER_LEN);
    }

    #[test]
    fn any_body_decodes_to_a_value_with_the_header_that_came(frame in frame_with_any_body()) {
        let header = match decode(frame.clone()) {
            Inbound::Pdu(pdu) => pdu.header(),
            Inbound::Unknown { header, body } => {
                prop_assert_eq!(&body[..], &frame[HEADER_LEN..]);
                header
            }
            Inbound::Malformed { header, error } => {
                prop_assert!(!error.status().is_ok());
                header
            }
        };
        prop_assert_eq!(&header.command_id.0.to_be_bytes()[..], &frame[4..8]);
        prop_assert_eq!(&header.status.0.to_be_bytes()[..], &frame[8..12]);
        prop_assert_eq!(&header.sequence.to_be_bytes()[..], &frame[12..16]);
    }

    #[test]
    fn what_decodes_from_any_body_is_stable(frame in frame_with_any_body()) {
        if let Inbound::Pdu(pdu) = decode(frame) {
            prop_assert_eq!(decoded(&encoded(&pdu)), pdu);
        }
    }

    #[test]
    fn a_pdu_cut_short_is_malformed_or_still_itself(pdu: Pdu, at: proptest::sample::Index) {
        let frame = encoded(&pdu);
        let kept = HEADER_LEN + at.index(frame.len() - HEADER_LEN + 1);
        match decode(frame.slice(..kept)) {
            Inbound::Pdu(shorter) => prop_assert_eq!(shorter.header(), pdu.header()),
            Inbound::Malformed { header, .. } => prop_assert_eq!(header, pdu.header()),
            Inbound::Unknown { .. } => prop_assert!(false, "the operation is known"),
        }
    }

    #[test]
    fn unknown_parameters_stay_byte_for_byte(
        entries in vec((any::<u16>(), vec(any::<u8>(), 0..40)), 0..8),
    ) {
        let mut tlvs = Tlvs::default();
        for (tag, value) in &entries {
            tlvs.push(crate::TlvTag(*tag), value).unwrap();
        }
        let body = Body::DataSm(crate::DataSm { tlvs, ..crate::DataSm::default() });
        let Body::DataSm(data_sm) = decoded(&encoded(&Pdu::new(1, body))).body else {
            panic!("not a data_sm")
        };
        let read: Vec<_> = data_sm.tlvs.iter().map(|tlv| (tlv.tag.0, tlv.value.to_vec())).collect();
        prop_assert_eq!(read, entries);
    }

    #[test]
    fn the_parts_of_a_text_joined_are_the_text(text in hard_text(), width in width()) {
        let segments = split(&text, width).unwrap();
        let parts: Vec<_> = segments
            .parts
            .iter()
            .map(|part| (segments.data_coding, part.payload()))
            .collect();
        prop_assert_eq!(udh::join(&parts), text);
    }

    #[test]
    fn every_part_fits_and_the_count_agrees(text in hard_text(), width in width()) {
        let segments = split(&text, width).unwrap();
        let counted = count(&text, width);
        prop_assert_eq!(counted.segments, segments.parts.len());
        prop_assert_eq!(counted.alphabet, segments.alphabet);
        let units: usize = match segments.alphabet {
            Alphabet::Gsm7 => segments.parts.iter().map(|part| part.payload().len()).sum(),
            Alphabet::Ucs2 => segments.parts.iter().map(|part| part.payload().len() / 2).sum(),
        };
        prop_assert_eq!(counted.units, units);
        for part in &segments.parts {
            let header = part.concat(1).map_or(0, |concat| concat.header().len());
            let bits = match segments.alphabet {
                // A header is filled up to a whole septet.
                Alphabet::Gsm7 => (header * 8).next_multiple_of(7) + part.payload().len() * 7,
                Alphabet::Ucs2 => (header + part.payload().len()) * 8,
            };
            prop_assert!(bits <= 140 * 8);
            prop_assert!(part.short_message(1).len() <= ShortMessage::MAX_LEN);
        }
    }

    #[test]
    fn no_cut_is_inside_an_escape_a_pair_or_a_grapheme(text in hard_text(), width in width()) {
        let segments = split(&text, width).unwrap();
        let boundaries: Vec<usize> =
            text.grapheme_indices(true).map(|(at, _)| at).chain([text.len()]).collect();
        let longest = text.graphemes(true).map(|one| segments.alphabet.units(one)).max();
        let mut at = 0;
        for part in &segments.parts {
            // Each part reads on its own: nothing in it is cut in two.
            let piece = crate::text::decode(segments.data_coding, &part.payload());
            at += piece.len();
            prop_assert_eq!(&text[at - piece.len()..at], &piece[..]);
            prop_assert!(boundaries.contains(&at) || longest > Some(66));
        }
        prop_assert_eq!(at, text.len());
    }

    #[test]
    fn a_part_that_was_sent_is_read_back(text in hard_text(), reference: u16, width in width()) {
        let segments = split(&text, width).unwrap();
        for part in &segments.parts {
            let esm_class = if part.udhi() { EsmClass::UDHI } else { EsmClass::DEFAULT };
            let short_message = ShortMessage::try_from(part.short_message(reference)).unwrap();
            let read = InboundText::of(
                esm_class,
                segments.data_coding,
                &short_message,
                &Tlvs::default(),
            );
            prop_assert_eq!(read.payload, part.payload());
            prop_assert_eq!(read.concat, part.concat(reference));
            if let Some(Reference::Eight(low)) = read.concat.map(|concat| concat.reference) {
                prop_assert_eq!(low, reference.to_be_bytes()[1]);
            }
        }
    }

    #[test]
    fn the_alphabet_that_is_chosen_loses_nothing(text in ".*") {
        let text = without_byte_order_marks(&text);
        let alphabet = alphabet_for(&text);
        let octets = alphabet.encode(&text);
        prop_assert_eq!(crate::text::decode(alphabet.data_coding(), &octets), text);
    }

    #[test]
    fn gsm_septets_are_septets(text in ".*") {
        prop_assert!(gsm7::encode(&text).iter().all(|octet| *octet < 0x80));
    }

    #[test]
    fn any_octets_are_some_text_in_any_coding(data_coding: u8, octets in vec(any::<u8>(), 0..100)) {
        let text = crate::text::decode(DataCoding(data_coding), &octets);
        prop_assert!(text.chars().count() <= octets.len());
    }

    #[test]
    fn any_octets_are_some_inbound_text(
        esm_class: u8,
        data_coding: u8,
        short_message: ShortMessage,
        tlvs: Tlvs,
    ) {
        let text = InboundText::of(EsmClass(esm_class), DataCoding(data_coding), &short_message, &tlvs);
        prop_assert!(text.concat.is_none_or(|concat| (1..=concat.total).contains(&concat.index)));
    }

    #[test]
    fn a_receipt_survives_its_own_text(
        id in "[0-9A-Za-z_-]{1,64}",
        state in proptest::sample::select(MessageState::KNOWN),
        error in "[0-9A-Z]{3}",
        date in "[0-9]{10}",
        text in "[ -~]{0,20}",
    ) {
        let receipt = Receipt {
            message_id: id,
            state,
            intermediate: false,
            error: Some(error),
            sub: Some(1),
            dlvrd: Some(0),
            submitted: Some(date.clone()),
            done: Some(date),
            text: Some(text),
        };
        prop_assert_eq!(Receipt::parse(&receipt.write()), Some(receipt.clone()));
        prop_assert_eq!(Receipt::of(&receipt.deliver_sm()), Some(receipt));
    }

    #[test]
    fn any_text_may_be_asked_for_a_receipt(text in ".*", octets: ShortMessage, data_coding: u8) {
        let parsed = Receipt::parse(&text);
        prop_assert!(parsed.is_none_or(|receipt| !receipt.message_id.is_empty()));
        let pdu = crate::DeliverSm {
            esm_class: EsmClass::RECEIPT,
            data_coding: DataCoding(data_coding),
            short_message: octets,
            ..crate::DeliverSm::default()
        };
        prop_assert!(Receipt::of(&pdu).is_none_or(|receipt| !receipt.message_id.is_empty()));
    }

    #[test]
    fn a_moment_survives_its_field(seconds in -1_009_843_200_i64..2_145_916_800) {
        let time = AbsoluteTime::from_unix(seconds).unwrap();
        prop_assert_eq!(Time::of(&time.field()), Ok(Some(Time::Absolute(time))));
        prop_assert_eq!(time.unix(), seconds);
    }

    #[test]
    fn a_span_survives_its_field(seconds in 0_u64..100 * 86_400) {
        let span = RelativeTime::from_duration(std::time::Duration::from_secs(seconds));
        prop_assert_eq!(span.duration().as_secs(), seconds);
        prop_assert_eq!(Time::of(&span.field()), Ok(Some(Time::Relative(span))));
    }

    #[test]
    fn a_canonical_number_is_its_own_text(digits in "[1-9][0-9]{2,14}") {
        prop_assert_eq!(digits.parse::<E164>().unwrap().to_string(), digits);
    }
}
