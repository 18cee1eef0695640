//! What users of other SMPP programs complained about, so that it does not happen here: each test
//! is named after the promise and says whose users missed it.

use std::time::Duration;

use bytes::{Bytes, BytesMut};

use super::{decoded, encoded, hex};
use crate::message_id::IdForm;
use crate::reassembly::{Limits, Taken};
use crate::text::ucs2;
use crate::{
    AlertNotification, Body, Carriage, CommandStatus, DataCoding, DataSm, DeliverSm, DeliverSmResp,
    EsmClass, FrameError, HEADER_LEN, Inbound, InboundText, Language, MessageState, Pdu, Quirk,
    Quirks, Reassembler, Receipt, ReferenceWidth, RegisteredDelivery, ShortMessage, SplitError,
    Splitter, SubmitSm, SubmitSmResp, TlvTag, Tlvs, cut, decode,
};

/// A `deliver_sm` up to `sm_length`.
const DELIVER_SM: &str = "00000000 00000005 00000000 00000007 \
                          00 01 01 31323300 01 01 34353600 00 00 00 00 00 00 00 00 00";

fn receipt_of(text: &[u8], data_coding: DataCoding) -> Receipt {
    let pdu = DeliverSm {
        esm_class: EsmClass::RECEIPT,
        data_coding,
        short_message: text.try_into().unwrap(),
        ..DeliverSm::default()
    };
    Receipt::of(&pdu).unwrap()
}

fn receipt(text: &str) -> Receipt {
    receipt_of(text.as_bytes(), DataCoding::GSM_DEFAULT)
}

fn deliver_sm(rest: &str) -> DeliverSm {
    match decoded(&hex(&format!("{DELIVER_SM} {rest}"))).body {
        Body::DeliverSm(pdu) => pdu,
        other => panic!("{other:?}"),
    }
}

// === Receipts and their ids ===

/// jasmin#366, #423, #643.
#[test]
fn the_zeros_that_pad_an_id_are_kept_and_do_not_hide_its_message() {
    let receipt = receipt("id:0000012345 stat:DELIVRD");
    assert_eq!(receipt.message_id, "0000012345");
    assert_eq!(
        IdForm::between("12345", &receipt.message_id),
        Some(IdForm::Same)
    );
}

/// jasmin#521, #916.
#[test]
fn an_id_in_another_case_means_the_same_message() {
    let receipt = receipt("id:4FAB29C1 stat:DELIVRD");
    assert_eq!(
        IdForm::between("4fab29c1", &receipt.message_id),
        Some(IdForm::Same)
    );
}

/// jasmin#535, #586.
#[test]
fn an_id_may_be_a_uuid_or_a_number_of_64_bits() {
    let uuid = "c449ab97-44eb-4fd2-8f1e-d1c1fbf7a2a3";
    assert_eq!(receipt(&format!("id:{uuid} stat:DELIVRD")).message_id, uuid);
    let number = "18446744073709551615";
    assert_eq!(
        receipt(&format!("id:{number} stat:DELIVRD")).message_id,
        number
    );
}

/// Kannel's msg-id-type; telenordigital/sms-smpp#153.
#[test]
fn a_decimal_receipt_finds_its_hexadecimal_answer() {
    assert_eq!(IdForm::between("1FF", "511"), Some(IdForm::DecimalOfHex));
    assert_eq!(
        IdForm::between("511", "000001FF"),
        Some(IdForm::HexOfDecimal)
    );
}

/// ksmppd dropped those above 9 octets.
#[test]
fn a_receipted_id_has_up_to_64_octets() {
    let id = "a".repeat(64);
    let mut pdu = DeliverSm {
        esm_class: EsmClass::RECEIPT,
        ..DeliverSm::default()
    };
    pdu.tlvs.set_receipted_message_id(&id.parse().unwrap());
    let Body::DeliverSm(pdu) = decoded(&encoded(&Pdu::new(1, Body::DeliverSm(pdu)))).body else {
        panic!("not a deliver_sm")
    };
    assert_eq!(Receipt::of(&pdu).unwrap().message_id, id);
}

/// jsmpp#9, #181.
#[test]
fn vendors_words_for_states_are_known_and_unknown_ones_spoil_nothing() {
    for (word, state) in [
        ("BUFFRED", MessageState::ENROUTE),
        ("ACKED", MessageState::ACCEPTED),
        ("FAILED", MessageState::UNDELIVERABLE),
        ("DELIVERED", MessageState::DELIVERED),
        ("DLVRY-42", MessageState::UNKNOWN),
    ] {
        let receipt = receipt(&format!("id:7 stat:{word} err:1"));
        assert_eq!(
            (receipt.state, receipt.error.as_deref()),
            (state, Some("1")),
            "{word}"
        );
    }
}

/// jsmpp#62, #74; cloudhopper#105.
#[test]
fn a_receipt_needs_neither_counts_nor_dates() {
    let receipt = receipt("id:7 stat:DELIVRD err:000 text:");
    assert_eq!(
        (receipt.sub, receipt.submitted, receipt.done),
        (None, None, None)
    );
    assert_eq!(receipt.state, MessageState::DELIVERED);
}

/// jasmin#70.
#[test]
fn the_dates_of_a_receipt_may_have_seconds() {
    let receipt = receipt("id:7 submit date:260228123456 done date:20260228123456 stat:DELIVRD");
    let read = |date: &Option<String>| {
        crate::AbsoluteTime::from_receipt_date(date.as_ref().unwrap()).map(|time| time.unix())
    };
    assert_eq!(read(&receipt.submitted), read(&receipt.done));
    assert!(read(&receipt.done).is_some());
}

/// twitter-archive/cloudhopper-smpp#40, #42.
#[test]
fn the_error_of_a_receipt_need_not_be_a_number() {
    assert_eq!(
        receipt("id:7 stat:UNDELIV err:E1C").error.as_deref(),
        Some("E1C")
    );
}

/// jsmpp#80.
#[test]
fn the_text_of_a_receipt_is_written_in_20_characters_and_read_whole() {
    let long = "twenty characters and more of them";
    assert_eq!(
        receipt(&format!("id:7 text:{long}")).text.as_deref(),
        Some(long)
    );
    let written = Receipt {
        message_id: "7".into(),
        text: Some(long.into()),
        ..Receipt::default()
    };
    assert!(written.write().ends_with(&format!("text:{}", &long[..20])));
}

/// node-smpp#68.
#[test]
fn a_receipt_in_ascii_that_says_ucs2_is_not_taken_for_chinese() {
    let text = b"id:7 sub:001 dlvrd:001 submit date:2602281234 done date:2602281234 stat:DELIVRD err:000 text:hi";
    assert_eq!(receipt_of(text, DataCoding::UCS2).message_id, "7");
    let ucs2 = ucs2::encode("id:7 stat:DELIVRD text:hi");
    assert_eq!(
        receipt_of(&ucs2, DataCoding::UCS2).text.as_deref(),
        Some("hi")
    );
}

/// vumi#637.
#[test]
fn the_parameters_of_a_receipt_win_over_its_text() {
    let mut pdu = DeliverSm {
        esm_class: EsmClass::RECEIPT,
        short_message: b"id:9 stat:UNDELIV"[..].try_into().unwrap(),
        ..DeliverSm::default()
    };
    pdu.tlvs.set_receipted_message_id(&"7".parse().unwrap());
    pdu.tlvs.set_message_state(MessageState::DELIVERED);
    let receipt = Receipt::of(&pdu).unwrap();
    assert_eq!(
        (receipt.message_id.as_str(), receipt.state),
        ("7", MessageState::DELIVERED)
    );
}

/// Kannel meets SMSCs that write the three octets as digits.
#[test]
fn a_network_error_code_may_be_written_in_ascii() {
    let mut pdu = DeliverSm {
        esm_class: EsmClass::RECEIPT,
        ..DeliverSm::default()
    };
    pdu.tlvs.set_receipted_message_id(&"7".parse().unwrap());
    pdu.tlvs.set(TlvTag::NETWORK_ERROR_CODE, b"027").unwrap();
    assert_eq!(Receipt::of(&pdu).unwrap().error.as_deref(), Some("027"));
}

/// RestComm/smscgateway#62, #77; Kannel's mask.
#[test]
fn a_receipt_is_one_by_any_of_its_two_bits() {
    for (bits, intermediate) in [
        (0x04, false),
        (0x20, true),
        (0x24, false),
        (0x44, false),
        (0x0c, false),
    ] {
        let pdu = DeliverSm {
            esm_class: EsmClass(bits),
            short_message: b"id:7 stat:ENROUTE"[..].try_into().unwrap(),
            ..DeliverSm::default()
        };
        // A header that esm_class speaks of and that is not there is text.
        let receipt = Receipt::of(&pdu).unwrap_or_else(|| panic!("{bits:#x}"));
        assert_eq!(receipt.intermediate, intermediate, "{bits:#x}");
    }
}

/// SMSCs that forget the bit: for them there is a quirk, and for others a text stays a text.
#[test]
fn a_receipt_without_its_bit_is_one_for_the_peers_that_forget_it() {
    let quirks = Quirks::NONE.with(Quirk::UnmarkedReceipts);
    let unmarked = DeliverSm {
        esm_class: EsmClass::DEFAULT,
        ..receipt("id:7 stat:DELIVRD").deliver_sm()
    };
    assert_eq!(Receipt::of(&unmarked), None);
    assert_eq!(Receipt::with(&unmarked, quirks).unwrap().message_id, "7");
    let said = DeliverSm {
        short_message: b"my id:7 stat:DELIVRD lol"[..].try_into().unwrap(),
        ..DeliverSm::default()
    };
    assert_eq!(Receipt::with(&said, quirks), None);
}

/// RestComm/smscgateway#232.
#[test]
fn the_message_id_of_a_deliver_sm_resp_is_one_nul() {
    let frame = encoded(&Pdu::new(1, Body::DeliverSmResp(DeliverSmResp::default())));
    assert_eq!(frame[HEADER_LEN..], [0]);
}

/// jasmin#183, #885.
#[test]
fn receipts_are_owed_by_the_low_bits_whatever_the_others_say() {
    for (bits, delivered, failed) in [
        (0x00, false, false),
        (0x01, true, true),
        (0x02, false, true),
        (0x03, true, false),
        (0x11, true, true),
        (0x1c, false, false),
        (0xfd, true, true),
    ] {
        let wanted = RegisteredDelivery(bits);
        assert_eq!(wanted.wants_receipt(true), delivered, "{bits:#x}");
        assert_eq!(wanted.wants_receipt(false), failed, "{bits:#x}");
    }
}

// === Frames and fields ===

/// jasmin#124, #128; gosmpp#113, #117; smppex#6.
#[test]
fn an_error_response_is_read_with_and_without_its_body() {
    for body in ["", "00", "61626300"] {
        let pdu = decoded(&hex(&format!("00000000 80000004 00000058 00000001 {body}")));
        assert_eq!(pdu.status, CommandStatus::ESME_RTHROTTLED, "{body}");
        assert!(matches!(pdu.body, Body::SubmitSmResp(_)), "{body}");
    }
}

/// jasmin#117, #120, #322; python-smpplib#188, #190; smpp34 1.4.0.
#[test]
fn an_unknown_parameter_status_or_character_spoils_no_pdu() {
    let pdu = deliver_sm("01 ff 1401 0002 cafe 3fff 0000 0427 0001 ee");
    assert_eq!(pdu.tlvs.get(TlvTag(0x1401)), Some(&[0xca, 0xfe][..]));
    assert_eq!(pdu.tlvs.message_state(), Some(MessageState(0xee)));
    assert_eq!(InboundText::from(&pdu).text(), "\u{fffd}");
    let pdu = decoded(&hex("00000000 80000004 00000499 00000001"));
    assert_eq!(pdu.status, CommandStatus(0x499));
}

/// twitter-archive/cloudhopper-smpp#64; opensips#3846; node-smpp#109.
#[test]
fn a_length_that_lies_reaches_no_further_than_its_frame() {
    for rest in [
        "ff",
        "fe 61",
        "05 6869",
        "00 0424 ffff 61",
        "00 0424 0002 61",
        "01 68656c6c6f",
    ] {
        let inbound = decode(hex(&format!("{DELIVER_SM} {rest}")));
        assert!(matches!(inbound, Inbound::Malformed { .. }), "{rest}");
    }
    let quirks = Quirks::NONE.with(Quirk::WrongTextLength);
    let Inbound::Pdu(pdu) = quirks.decode(hex(&format!("{DELIVER_SM} 01 68656c6c6f"))) else {
        panic!("malformed")
    };
    let Body::DeliverSm(pdu) = pdu.body else {
        panic!("not a deliver_sm")
    };
    assert_eq!(&pdu.short_message[..], b"hello");
}

/// node-smpp#101, #168, #230; jsmpp#5.
#[test]
fn a_length_of_garbage_is_an_error_at_once() {
    for (octets, max) in [
        ("47455420", 70_000),
        ("ffffffff", 70_000),
        ("00000000", 70_000),
    ] {
        let mut buffer = BytesMut::from(&hex(octets)[..]);
        assert!(cut(&mut buffer, max).is_err(), "{octets}");
    }
    let mut http = BytesMut::from(&b"GET / HTTP/1.1\r\n"[..]);
    assert!(matches!(
        cut(&mut http, 70_000),
        Err(FrameError::TooLong { .. })
    ));
}

/// jasmin#218.
#[test]
fn a_stray_nul_behind_the_text_is_no_parameter() {
    let pdu = deliver_sm("02 6869 00");
    assert_eq!(
        (&pdu.short_message[..], pdu.tlvs.is_empty()),
        (&b"hi"[..], true)
    );
}

/// praekelt/python-smpp PR 6; node-smpp#145.
#[test]
fn a_text_above_254_octets_goes_into_message_payload() {
    assert!(ShortMessage::try_from(&[b'a'; 255][..]).is_err());
    let splitter = Splitter {
        carriage: Carriage::Payload,
        ..Splitter::default()
    };
    let text = "a".repeat(1_000);
    let carried = splitter.split(&text).unwrap().parts[0].carried(1);
    assert!(carried.short_message.is_empty() && !carried.udhi);
    let pdu = DataSm {
        tlvs: carried.tlvs,
        ..DataSm::default()
    };
    assert_eq!(InboundText::from(&pdu).text(), text);
    let short = splitter.split("hi").unwrap().parts[0].carried(1);
    assert_eq!(
        (&short.short_message[..], short.tlvs.is_empty()),
        (&b"hi"[..], true)
    );
}

/// twitter-archive/cloudhopper-smpp#65.
#[test]
fn a_password_above_8_octets_cannot_be_sent() {
    assert!("12345678".parse::<crate::Password>().is_ok());
    assert!("123456789".parse::<crate::Password>().is_err());
}

/// onlinecity/php-smpp#49.
#[test]
fn an_answer_without_fields_may_have_octets() {
    for id in ["80000015", "80000006", "80000007", "80000008", "80000000"] {
        let frame = hex(&format!("00000000 {id} 00000000 00000009 00"));
        assert!(
            matches!(decode(frame), Inbound::Pdu(pdu) if pdu.sequence == 9),
            "{id}"
        );
    }
}

/// twitter-archive/cloudhopper-smpp tests; smppjs PR 25; Kannel's `generic_nack`.
#[test]
fn any_sequence_number_and_any_command_are_kept_to_be_answered() {
    for sequence in [0, 1, 0x7fff_ffff, 0x8000_0000, 0x806a_179b, u32::MAX] {
        let frame = encoded(&Pdu::new(sequence, Body::EnquireLink));
        assert_eq!(decoded(&frame).sequence, sequence);
    }
    let Inbound::Unknown { header, .. } = decode(hex("00000010 00010200 00000000 000000ab")) else {
        panic!("not unknown")
    };
    let nack = header.refusal(CommandStatus::ESME_RINVCMDID).unwrap();
    assert_eq!((nack.sequence, &nack.body), (0xab, &Body::GenericNack));
}

/// smpp34 1.4.1; opensmppbox 2013; jsmpp#5.
#[test]
fn pdus_may_be_cut_and_joined_by_the_network_anywhere() {
    let pdus = [
        Pdu::new(1, Body::BindTransceiver(crate::Bind::default())),
        Pdu::new(1, Body::SubmitSmResp(SubmitSmResp::default())),
        Pdu::new(2, Body::EnquireLink),
    ];
    let wire: Vec<u8> = pdus.iter().flat_map(|pdu| encoded(pdu).to_vec()).collect();
    for at in 0..=wire.len() {
        let mut buffer = BytesMut::new();
        let mut received = Vec::new();
        for octets in [&wire[..at], &wire[at..]] {
            buffer.extend_from_slice(octets);
            while let Some(frame) = cut(&mut buffer, 70_000).unwrap() {
                received.push(decoded(&frame));
            }
        }
        assert_eq!(received, pdus, "cut at {at}");
    }
}

/// smpp34 1.4.0 was 16 octets off; go-smpp#116 lost the link at a `data_sm`.
#[test]
fn an_alert_notification_and_a_data_sm_are_read_to_their_end() {
    let frame =
        hex("00000000 00000102 00000000 00000001 01 01 31323300 01 01 34353600 0422 0001 02");
    let Body::AlertNotification(AlertNotification {
        esme_addr, tlvs, ..
    }) = decoded(&frame).body
    else {
        panic!("not an alert_notification")
    };
    assert_eq!(
        (esme_addr.to_text().as_str(), tlvs.ms_availability_status()),
        ("456", Some(2))
    );
    let frame = hex(
        "00000000 00000103 00000000 00000001 00 01 01 31323300 01 01 34353600 00 00 08 0424 0002 0416",
    );
    let Body::DataSm(pdu) = decoded(&frame).body else {
        panic!("not a data_sm")
    };
    assert_eq!(InboundText::from(&pdu).text(), "Ж");
}

// === Texts ===

/// node-smpp#82, #181, #26, #133; python-smpplib#79.
#[test]
fn the_default_alphabet_and_ascii_are_not_one() {
    let text = |data_coding| {
        InboundText::from(&DeliverSm {
            data_coding,
            short_message: b"\x00@$_"[..].try_into().unwrap(),
            ..DeliverSm::default()
        })
        .text()
    };
    assert_eq!(text(DataCoding::GSM_DEFAULT), "@¡¤§");
    assert_eq!(text(DataCoding::IA5), "\0@$_");
}

/// node-smpp#66, #252.
#[test]
fn a_flash_text_is_read_by_its_low_bits() {
    let text = |data_coding, octets: &[u8]| {
        InboundText::from(&DeliverSm {
            data_coding: DataCoding(data_coding),
            short_message: octets.try_into().unwrap(),
            ..DeliverSm::default()
        })
        .text()
    };
    assert_eq!(text(0x10, b"\x00"), "@");
    assert_eq!(text(0xf0, b"\x00"), "@");
    assert_eq!(text(0x18, b"\x04\x16"), "Ж");
}

/// node-smpp#125.
#[test]
fn national_tables_are_named_in_the_header_and_read_from_it() {
    let mut splitter = Splitter::default();
    splitter.allowed = splitter.allowed.with_language(Language::Turkish);
    let text = "ığdır ".repeat(20);
    let part = splitter.split(&text).unwrap().parts.remove(0);
    assert_eq!(part.header(1), [3, 0x25, 1, 1]);
    let carried = part.carried(1);
    let pdu = SubmitSm {
        esm_class: EsmClass::UDHI,
        short_message: carried.short_message,
        ..SubmitSm::default()
    };
    assert!(carried.udhi);
    assert_eq!(InboundText::from(&pdu).text(), text);
}

/// jasmin#256, #437, #619; gammu#95, #104; python-smpplib cut escapes; Rusmpp refused emoji.
#[test]
fn no_cut_is_inside_an_escape_a_pair_or_what_people_see_as_one() {
    for (unit, text) in [
        ("€", "€".repeat(200)),
        ("👍", "👍".repeat(90)),
        ("👩‍🚀", "👩‍🚀".repeat(60)),
    ] {
        for width in [ReferenceWidth::Eight, ReferenceWidth::Sixteen] {
            let segments = crate::segment::split(&text, width).unwrap();
            assert!(segments.parts.len() > 1);
            for part in &segments.parts {
                let piece = segments.alphabet.decode(&part.payload());
                assert_eq!(piece.replace(unit, ""), "", "{unit}");
            }
        }
    }
}

/// telenordigital/sms-smpp#172.
#[test]
fn a_unit_of_utf_16_that_a_sender_cut_in_two_is_whole_again() {
    let octets = ucs2::encode("жук");
    let parts = [&octets[..3], &octets[3..]]
        .map(|octets| (DataCoding::UCS2, Bytes::copy_from_slice(octets)));
    assert_eq!(crate::udh::join(&parts), "жук");
}

/// jasmin#1253, #1257; fizzed/cloudhopper-smpp#11.
#[test]
fn segments_join_whichever_comes_last_and_whichever_link_brings_them() {
    let text = "a long text ".repeat(40);
    let parts = crate::segment::split(&text, ReferenceWidth::Eight)
        .unwrap()
        .parts;
    let mut reassembler = Reassembler::new(Limits::default());
    let mut whole = None;
    for part in parts.iter().rev() {
        let carried = part.carried(77);
        let pdu = DeliverSm {
            esm_class: EsmClass::UDHI,
            short_message: carried.short_message,
            ..DeliverSm::default()
        };
        // The links of a group are one sender.
        let (taken, _) = reassembler.take(Duration::ZERO, "group", &InboundText::from(&pdu));
        if let Taken::Whole(message) = taken {
            whole = Some(message.text("?"));
        }
    }
    assert_eq!(whole, Some(text));
}

/// jasmin's `long_content_max_parts` cuts silently.
#[test]
fn a_text_that_is_too_long_is_refused_and_never_cut() {
    let text = "a".repeat(153 * 255 + 1);
    assert_eq!(
        crate::segment::split(&text, ReferenceWidth::Eight),
        Err(SplitError::TooManySegments { needed: 256 })
    );
}

/// node-smpp#231, #261.
#[test]
fn a_vendors_parameter_is_written_and_read() {
    let mut tlvs = Tlvs::default();
    tlvs.push(TlvTag(0x1501), b"\x01\x02").unwrap();
    let sent = SubmitSm {
        tlvs,
        ..SubmitSm::default()
    };
    let Body::SubmitSm(read) = decoded(&encoded(&Pdu::new(1, Body::SubmitSm(sent)))).body else {
        panic!("not a submit_sm")
    };
    assert_eq!(read.tlvs.get(TlvTag(0x1501)), Some(&[1, 2][..]));
}

/// SMSCs whose default alphabet is not GSM 03.38, whose UCS-2 is turned round, whose septets are
/// packed, or that forget to announce a header.
#[test]
fn each_quirk_of_a_text_is_read_for_the_peers_that_have_it() {
    let read = |quirk, data_coding, octets: &[u8]| {
        let pdu = DeliverSm {
            data_coding,
            short_message: octets.try_into().unwrap(),
            ..DeliverSm::default()
        };
        InboundText::with(&pdu, Quirks::NONE.with(quirk))
    };
    let default = DataCoding::GSM_DEFAULT;
    assert_eq!(
        read(Quirk::DefaultIsLatin1, default, b"caf\xe9@").text(),
        "café@"
    );
    assert_eq!(
        read(Quirk::DefaultIsUtf8, default, "café@".as_bytes()).text(),
        "café@"
    );
    assert_eq!(
        read(Quirk::Windows1252, DataCoding::LATIN1, b"\x80 \xe9").text(),
        "€ é"
    );
    assert_eq!(
        read(Quirk::LittleEndianUcs2, DataCoding::UCS2, &[0x16, 0x04]).text(),
        "Ж"
    );
    assert_eq!(
        read(Quirk::PackedSeptets, default, &hex("e8329bfd4697d9ec37")).text(),
        "hellohello"
    );
    let text = read(
        Quirk::UnannouncedHeader,
        default,
        &[5, 0, 3, 7, 2, 1, b'h', b'i'],
    );
    assert_eq!(
        (text.text().as_str(), text.concat.unwrap().total),
        ("hi", 2)
    );
    let text = read(Quirk::UnannouncedHeader, default, b"just a text");
    assert_eq!((text.text().as_str(), text.concat), ("just a text", None));
}

#[test]
fn every_quirk_is_known_by_its_name() {
    for quirk in Quirk::ALL {
        assert_eq!(quirk.name().parse(), Ok(*quirk));
        assert!(Quirks::NONE.with(*quirk).iter().eq([*quirk]));
    }
    assert!("no_such_quirk".parse::<Quirk>().is_err());
}
