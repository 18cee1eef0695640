//! What must hold for every value and for every row of octets.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use proptest::collection::vec;
use proptest::prelude::*;
use unicode_segmentation::UnicodeSegmentation;

use super::{decoded, encoded};
use crate::text::{alphabet_for, gsm7};
use crate::time::{AbsoluteTime, RelativeTime, Time};
use crate::{
    Allowed, Alphabet, Body, Carriage, Charset, CommandId, DataCoding, E164, EsmClass, HEADER_LEN,
    Inbound, InboundText, Language, MessageState, Pdu, Quirk, Quirks, Receipt, Reference,
    ReferenceWidth, ShortMessage, Splitter, Tlvs, cut, decode, take_into, udh,
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
    let national =
        proptest::sample::select(vec!["ş", "ığ", "हि", "क्", "ñá", "ã", "€", "A", "a", "か"]);
    prop_oneof![
        vec(national, 0..300).prop_map(|pieces| pieces.concat()),
        vec(gsm, 0..500).prop_map(|pieces| pieces.concat()),
        vec(piece, 0..300).prop_map(|pieces| pieces.concat()),
        // A carriage return at the end of a packed text may be taken for filling.
        "[^\r\n]{0,300}",
    ]
    .prop_map(|text| without_byte_order_marks(&text))
}

/// Reading takes a byte order mark at the start away, and that alone.
fn without_byte_order_marks(text: &str) -> String {
    text.replace(['\u{feff}', '\u{fffe}'], "")
}

/// Any settings with which every text can be sent.
fn splitter() -> impl Strategy<Value = Splitter> {
    let carriage = proptest::sample::select(vec![
        Carriage::Header(ReferenceWidth::Eight),
        Carriage::Header(ReferenceWidth::Sixteen),
        Carriage::Sar,
        Carriage::Payload,
    ]);
    let charsets = vec(
        proptest::sample::select(vec![
            Charset::Gsm7,
            Charset::Ascii,
            Charset::Latin1,
            Charset::Cyrillic,
            Charset::Hebrew,
            Charset::ShiftJis,
            Charset::EucJp,
            Charset::EucKr,
        ]),
        0..4,
    );
    let languages = || vec(proptest::sample::select(&Language::ALL[..]), 0..3);
    (carriage, charsets, languages(), languages(), any::<bool>()).prop_map(
        |(carriage, charsets, locking, single, packed)| {
            let mut allowed = Allowed::NONE.with(Charset::Ucs2);
            for charset in charsets {
                allowed = allowed.with(charset);
            }
            allowed.locking = locking.into_iter().collect();
            allowed.single = single.into_iter().collect();
            Splitter {
                carriage,
                allowed,
                packed,
            }
        },
    )
}

fn split_whole(splitter: Splitter, text: &str) -> crate::Segments {
    splitter.split(text).unwrap()
}

/// What a peer reads of a part, quirks of its sender known.
fn received(
    splitter: Splitter,
    segments: &crate::Segments,
    part: &crate::Part,
    reference: u16,
) -> InboundText {
    let carried = part.carried(reference);
    let esm_class = if carried.udhi {
        EsmClass::UDHI
    } else {
        EsmClass::DEFAULT
    };
    let pdu = crate::SubmitSm {
        esm_class,
        data_coding: segments.data_coding,
        short_message: carried.short_message,
        tlvs: carried.tlvs,
        ..crate::SubmitSm::default()
    };
    let packed = splitter.packed && segments.alphabet.charset() == Charset::Gsm7;
    let quirks = if packed {
        Quirks::NONE.with(Quirk::PackedSeptets)
    } else {
        Quirks::NONE
    };
    InboundText::with(&pdu, quirks)
}

fn bits_of(alphabet: Alphabet) -> i64 {
    match alphabet.charset() {
        Charset::Gsm7 | Charset::Ascii => 7,
        Charset::Ucs2 => 16,
        _ => 8,
    }
}

/// The bits of a message on the air that header and text leave free.
fn bits_left(segments: &crate::Segments, part: &crate::Part) -> i64 {
    let by_sar = part.total() > 1 && part.concat(1).unwrap().reference == Reference::Sar(1);
    // An SMSC makes a header of SAR parameters.
    let header = if by_sar { 7 } else { part.header(1).len() };
    let bits = bits_of(segments.alphabet);
    let text = segments.alphabet.decode(&part.payload());
    let units = i64::try_from(segments.alphabet.units(&text)).unwrap();
    // A header is filled up to a whole unit.
    let room = (1120 - i64::try_from(header).unwrap() * 8) / bits * bits;
    room - units * bits
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
    fn a_pdu_is_appended_with_and_without_room_for_it(pdu: Pdu, room in 0_usize..200) {
        let frame = encoded(&pdu);
        let mut out = BytesMut::with_capacity(1 + room);
        out.put_u8(0xAA);
        pdu.encode(&mut out);
        prop_assert_eq!(out.get_u8(), 0xAA);
        prop_assert_eq!(out, frame);
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
    fn a_frame_reads_the_same_alone_and_before_another(
        frame in frame_with_any_body(),
        before: Pdu,
    ) {
        let next = encoded(&Pdu::new(1, Body::EnquireLink));
        let mut buffer = BytesMut::from(&[&frame[..], &next].concat()[..]);
        let mut place = Some(Inbound::Pdu(before));
        take_into(&mut buffer, 65_536, &mut place).unwrap();
        prop_assert_eq!(place, Some(decode(frame)));
        prop_assert_eq!(buffer, next);
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
    fn the_parts_of_a_text_joined_are_the_text(text in hard_text(), splitter in splitter()) {
        let segments = split_whole(splitter, &text);
        let parts: Vec<_> = segments
            .parts
            .iter()
            .map(|part| {
                let read = received(splitter, &segments, part, 7);
                (read.data_coding, read.payload)
            })
            .collect();
        prop_assert_eq!(udh::join(&parts), text);
    }

    #[test]
    fn every_part_fits_and_the_preview_agrees(text in hard_text(), splitter in splitter()) {
        let segments = split_whole(splitter, &text);
        let preview = splitter.preview(&text).unwrap();
        prop_assert_eq!(preview.alphabet, segments.alphabet);
        prop_assert_eq!(preview.units, segments.alphabet.units(&text));
        if splitter.carriage == Carriage::Payload {
            prop_assert_eq!(segments.parts.len(), 1);
            return Ok(());
        }
        prop_assert_eq!(preview.segments, segments.parts.len());
        for part in &segments.parts {
            prop_assert!(bits_left(&segments, part) >= 0);
            prop_assert!(part.short_message(1).len() <= ShortMessage::MAX_LEN);
        }
        let left = bits_left(&segments, segments.parts.last().unwrap());
        let bits = bits_of(segments.alphabet);
        prop_assert_eq!(i64::try_from(preview.left).unwrap(), left / bits);
    }

    #[test]
    fn no_cut_is_inside_an_escape_a_pair_or_a_grapheme(text in hard_text(), splitter in splitter()) {
        let segments = split_whole(splitter, &text);
        let boundaries: Vec<usize> =
            text.grapheme_indices(true).map(|(at, _)| at).chain([text.len()]).collect();
        let longest = text.graphemes(true).map(|one| segments.alphabet.units(one)).max();
        let mut at = 0;
        for part in &segments.parts {
            // Each part reads on its own: nothing in it is cut in two.
            let piece = segments.alphabet.decode(&part.payload());
            at += piece.len();
            prop_assert_eq!(&text[at - piece.len()..at], &piece[..]);
            prop_assert!(boundaries.contains(&at) || longest > Some(63));
            // Nor is there room in it for what comes behind it.
            if let Some(next) = text[at..].graphemes(true).next() {
                let room = bits_left(&segments, part) / bits_of(segments.alphabet);
                let units = i64::try_from(segments.alphabet.units(next)).unwrap();
                prop_assert!(splitter.carriage == Carriage::Payload || units > room);
            }
        }
        prop_assert_eq!(at, text.len());
    }

    #[test]
    fn a_part_that_was_sent_is_read_back(
        text in hard_text(),
        reference: u16,
        splitter in splitter(),
    ) {
        let segments = split_whole(splitter, &text);
        for part in &segments.parts {
            let read = received(splitter, &segments, part, reference);
            let piece = segments.alphabet.decode(&part.payload());
            prop_assert_eq!(read.text(), piece);
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
        quirks in vec(proptest::sample::select(Quirk::ALL), 0..5),
    ) {
        let quirks = quirks.into_iter().collect();
        let fields = crate::TextFields {
            esm_class: EsmClass(esm_class),
            data_coding: DataCoding(data_coding),
            short_message: Some(&short_message),
            tlvs: &tlvs,
        };
        let text = InboundText::with(fields, quirks);
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
