//! What broken and unfriendly peers send. Each test names the peer's mistake.

use bytes::Bytes;

use super::{decoded, encoded, hex};
use crate::{
    Body, CommandStatus, DeliverSm, FieldError, Inbound, Pdu, SubmitMulti, SubmitSm, TlvTag, decode,
};

/// A `deliver_sm` up to `sm_length`: ESME 1, from 123 to 456.
const DELIVER_SM: &str = "00000000 00000005 00000000 00000007 \
                          00 01 01 31323300 01 01 34353600 00 00 00 00 00 00 00 00 00";

fn malformed(text: &str) -> (&'static str, FieldError, CommandStatus) {
    match decode(hex(text)) {
        Inbound::Malformed { header, error } => {
            assert_eq!(header.sequence, 7);
            (error.field, error.cause, error.status())
        }
        other => panic!("{other:?}"),
    }
}

fn deliver_sm(text: &str) -> DeliverSm {
    match decoded(&hex(text)).body {
        Body::DeliverSm(deliver_sm) => deliver_sm,
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_sm_length_beyond_the_frame_is_malformed() {
    assert_eq!(
        malformed(&format!("{DELIVER_SM} 05 68656c6c")),
        (
            "short_message",
            FieldError::Truncated,
            CommandStatus::ESME_RINVMSGLEN
        )
    );
}

#[test]
fn an_sm_length_of_255_is_malformed() {
    let text = format!("{DELIVER_SM} ff {}", "61".repeat(255));
    assert_eq!(
        malformed(&text),
        (
            "short_message",
            FieldError::TooLong { max: 254 },
            CommandStatus::ESME_RINVMSGLEN
        )
    );
    let longest = deliver_sm(&format!("{DELIVER_SM} fe {}", "61".repeat(254)));
    assert_eq!(longest.short_message.len(), 254);
}

#[test]
fn an_sm_length_below_the_text_leaves_a_broken_parameter() {
    let (field, _, status) = malformed(&format!("{DELIVER_SM} 01 68656c6c6f"));
    assert_eq!(
        (field, status),
        ("tlvs", CommandStatus::ESME_RINVOPTPARSTREAM)
    );
}

#[test]
fn a_parameter_beyond_the_frame_is_malformed() {
    let expected = (
        "tlvs",
        FieldError::Truncated,
        CommandStatus::ESME_RINVOPTPARSTREAM,
    );
    assert_eq!(
        malformed(&format!("{DELIVER_SM} 00 0427 0002 02")),
        expected
    );
    assert_eq!(
        malformed(&format!("{DELIVER_SM} 00 0427 ffff 02")),
        expected
    );
    assert_eq!(malformed(&format!("{DELIVER_SM} 00 0427 00")), expected);
}

#[test]
fn a_stray_nul_behind_the_text_is_dropped() {
    let pdu = deliver_sm(&format!("{DELIVER_SM} 02 6869 00"));
    assert_eq!(&pdu.short_message[..], b"hi");
    assert!(pdu.tlvs.is_empty());
    let pdu = deliver_sm(&format!("{DELIVER_SM} 02 6869 0427 0001 02 00"));
    assert_eq!(pdu.tlvs.as_bytes(), &hex("0427 0001 02")[..]);
}

#[test]
fn an_address_longer_than_the_standard_allows_is_malformed() {
    let body = format!("00 01 01 {} 00", "31".repeat(21));
    assert_eq!(
        malformed(&format!("00000000 00000005 00000000 00000007 {body}")),
        (
            "source_addr",
            FieldError::TooLong { max: 21 },
            CommandStatus::ESME_RINVPARLEN
        )
    );
}

#[test]
fn a_system_id_without_its_nul_is_malformed_and_takes_no_more_than_its_frame() {
    let bind = "00000000 00000009 00000000 00000007 61616161616161616161616161616161";
    assert_eq!(
        malformed(&format!("{bind} 7077 00")),
        (
            "system_id",
            FieldError::TooLong { max: 16 },
            CommandStatus::ESME_RINVPARLEN
        )
    );
    let short = "00000000 00000009 00000000 00000007 616161";
    assert_eq!(
        malformed(short),
        (
            "password",
            FieldError::Truncated,
            CommandStatus::ESME_RINVCMDLEN
        )
    );
}

#[test]
fn a_bind_taken_by_an_smsc_with_too_long_a_name_is_taken() {
    let name = "61".repeat(16);
    let taken = decoded(&hex(&format!(
        "00000000 80000009 00000000 00000007 {name} 00"
    )));
    assert!(taken.status.is_ok());
    assert_eq!(
        taken.body,
        Body::BindTransceiverResp(crate::BindResp::default())
    );
    let (field, ..) = malformed("00000000 80000009 00000000 00000007 6100 0210 0002 34");
    assert_eq!(field, "tlvs");
}

#[test]
fn a_message_id_that_the_frame_ends_needs_no_nul() {
    let frame = hex("00000013 80000004 00000000 00000001 414243");
    let Body::SubmitSmResp(resp) = decoded(&frame).body else {
        panic!("not a submit_sm_resp")
    };
    assert_eq!(resp.message_id.as_str(), Some("ABC"));
}

#[test]
fn a_response_that_says_ok_may_have_no_body() {
    for id in [
        "80000004", "80000005", "80000009", "80000103", "80000021", "80000003",
    ] {
        let pdu = decoded(&hex(&format!("00000010 {id} 00000000 00000001")));
        assert!(pdu.status.is_ok());
        assert_eq!(
            Some(pdu.body),
            Body::empty(crate::CommandId(u32::from_str_radix(id, 16).unwrap()))
        );
    }
}

#[test]
fn an_error_response_keeps_the_body_that_comes_with_it() {
    let frame = hex("00000014 80000004 00000058 00000001 61626300");
    let pdu = decoded(&frame);
    assert_eq!(pdu.status, CommandStatus::ESME_RTHROTTLED);
    let Body::SubmitSmResp(resp) = &pdu.body else {
        panic!("not a submit_sm_resp")
    };
    assert_eq!(resp.message_id.as_str(), Some("abc"));
    assert_eq!(encoded(&pdu), frame);
}

#[test]
fn a_vendors_status_survives() {
    let pdu = decoded(&hex("00000010 80000004 00000451 00000001"));
    assert_eq!(pdu.status, CommandStatus(0x451));
}

#[test]
fn octets_behind_a_pdu_without_a_body_are_ignored() {
    let pdu = decoded(&hex("00000013 80000015 00000000 00000009 616263"));
    assert_eq!(pdu, Pdu::new(9, Body::EnquireLinkResp));
    let pdu = decoded(&hex("00000012 80000000 00000003 00000009 0000"));
    assert_eq!(pdu.body, Body::GenericNack);
}

#[test]
fn unknown_and_repeated_parameters_come_back_byte_for_byte() {
    let parameters = "1501 0003 616263 0427 0001 02 9999 0000 0427 0001 05";
    let text = format!("{DELIVER_SM} 00 {parameters}");
    let pdu = deliver_sm(&text);
    assert_eq!(pdu.tlvs.as_bytes(), &hex(parameters)[..]);
    assert_eq!(
        pdu.tlvs.message_state(),
        Some(crate::MessageState::DELIVERED)
    );
    assert_eq!(pdu.tlvs.iter().count(), 4);
    assert_eq!(pdu.tlvs.get(TlvTag(0x9999)), Some(&[][..]));
    let again = encoded(&Pdu::new(7, Body::DeliverSm(pdu)));
    assert_eq!(again[4..], hex(&text)[4..]);
}

#[test]
fn a_parameter_of_the_wrong_length_is_not_read_as_its_type() {
    let pdu = deliver_sm(&format!(
        "{DELIVER_SM} 00 0427 0002 0203 020c 0001 01 0423 0002 0304"
    ));
    assert_eq!(pdu.tlvs.message_state(), None);
    assert_eq!(pdu.tlvs.sar_msg_ref_num(), None);
    assert_eq!(pdu.tlvs.network_error_code(), None);
}

#[test]
fn a_receipted_id_without_its_nul_or_with_octets_behind_it_is_read() {
    for value in ["0003 414243", "0004 41424300", "0006 414243004445"] {
        let pdu = deliver_sm(&format!("{DELIVER_SM} 00 001e {value}"));
        assert_eq!(
            pdu.tlvs.receipted_message_id().unwrap().as_str(),
            Some("ABC")
        );
    }
}

#[test]
fn a_destination_flag_that_nobody_knows_is_malformed() {
    let text = "00000000 00000021 00000000 00000007 00 0000 00 01 03 0000 00";
    assert_eq!(
        malformed(text),
        (
            "dest_addresses",
            FieldError::DestFlag(3),
            CommandStatus::ESME_RINVDESTFLAG
        )
    );
}

#[test]
fn a_count_of_destinations_that_lies_is_malformed_and_costs_nothing() {
    let text = "00000000 00000021 00000000 00000007 00 0000 00 fe";
    assert_eq!(
        malformed(text),
        (
            "dest_addresses",
            FieldError::Truncated,
            CommandStatus::ESME_RINVCMDLEN
        )
    );
    let text = "00000000 00000021 00000000 00000007 00 0000 00 ff";
    assert_eq!(malformed(text).2, CommandStatus::ESME_RINVNUMDESTS);
}

#[test]
fn debug_of_a_pdu_shows_no_number_no_text_and_no_password() {
    let mut submit_sm = SubmitSm {
        source_addr: "447700900123".parse().unwrap(),
        destination_addr: "447700900456".parse().unwrap(),
        short_message: b"secret words"[..].try_into().unwrap(),
        ..SubmitSm::default()
    };
    submit_sm.tlvs.set_message_payload(b"secret words").unwrap();
    let bind = crate::Bind {
        password: "hunter2".parse().unwrap(),
        ..crate::Bind::default()
    };
    let destination = crate::DestAddress::Sme {
        dest_addr_ton: crate::Ton::INTERNATIONAL,
        dest_addr_npi: crate::Npi::ISDN,
        destination_addr: "447700900123".parse().unwrap(),
    };
    let submit_multi = SubmitMulti {
        dest_addresses: vec![destination].try_into().unwrap(),
        ..SubmitMulti::default()
    };
    let shown = format!("{submit_sm:?} {bind:?} {submit_multi:?}");
    for private in [
        "447700900123",
        "447700900456",
        "secret",
        "115, 101",
        "hunter2",
    ] {
        assert!(!shown.contains(private), "{private} in {shown}");
    }
}

#[test]
fn a_decoded_value_encodes_after_its_parameters_are_changed() {
    let mut pdu = deliver_sm(&format!("{DELIVER_SM} 02 6869 0427 0001 02 1501 0001 09"));
    pdu.tlvs.set_message_state(crate::MessageState::EXPIRED);
    pdu.tlvs.set_user_message_reference(0x0102);
    assert!(pdu.tlvs.remove(TlvTag(0x1501)));
    assert!(!pdu.tlvs.remove(TlvTag(0x1501)));
    assert_eq!(pdu.tlvs.as_bytes(), &hex("0427 0001 03 0204 0002 0102")[..]);
}

#[test]
fn a_value_too_long_for_its_field_is_refused_when_it_is_made() {
    assert!(
        "123456789012345678901"
            .parse::<crate::Address<21>>()
            .is_err()
    );
    assert!("12345678901234567890".parse::<crate::Address<21>>().is_ok());
    assert!(crate::COctets::<16>::try_from(&b"a\0b"[..]).is_err());
    assert!(crate::ShortMessage::try_from(Bytes::from(vec![0; 255])).is_err());
    assert!(
        crate::Tlvs::default()
            .set_message_payload(&vec![0; 65_536])
            .is_err()
    );
    assert!(
        crate::Tlvs::default()
            .set_message_payload(&vec![0; 65_535])
            .is_ok()
    );
}
