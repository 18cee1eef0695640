use bytes::BytesMut;
use matrix_smpp_codec::{
    AlertNotification, BindResp, Body, DataSm, DeliverSm, Inbound, InterfaceVersion, Pdu,
    ShortMessage, SubmitSmResp, TlvTag, decode,
};

use super::*;

fn encoded(body: Body) -> Vec<u8> {
    let mut out = BytesMut::new();
    Pdu::new(7, body).encode(&mut out);
    out.to_vec()
}

fn response() -> Vec<u8> {
    encoded(Body::SubmitSmResp(SubmitSmResp {
        message_id: "abc".parse().unwrap(),
        ..SubmitSmResp::default()
    }))
}

fn delivery() -> Vec<u8> {
    let mut pdu = DeliverSm {
        source_addr: "447700900123".parse().unwrap(),
        destination_addr: "60777".parse().unwrap(),
        short_message: ShortMessage::try_from(&b"hello"[..]).unwrap(),
        ..DeliverSm::default()
    };
    pdu.tlvs.push(TlvTag(0x1400), b"xy").unwrap();
    encoded(Body::DeliverSm(pdu))
}

fn after(mut pdu: Vec<u8>, json: &str) -> Vec<u8> {
    let mangle: Mangle = serde_json::from_str(json).unwrap();
    mangle.rewrite(&mut pdu);
    pdu
}

#[test]
fn the_header_can_be_changed_word_by_word() {
    let pdu = after(response(), r#"{"kind": "sequence", "add": 3}"#);
    assert_eq!(name(&pdu), (0x8000_0004, 10));
    let pdu = after(response(), r#"{"kind": "sequence", "set": 0}"#);
    assert_eq!(name(&pdu).1, 0);
    let pdu = after(response(), r#"{"kind": "command", "set": "0x80000fff"}"#);
    assert_eq!(name(&pdu).0, 0x8000_0fff);
    let pdu = after(response(), r#"{"kind": "status", "set": "0x4ff"}"#);
    assert_eq!(word(&pdu, STATUS), 0x4ff);
}

#[test]
fn a_body_can_go_or_be_another() {
    let pdu = after(response(), r#"{"kind": "no_body"}"#);
    assert_eq!((pdu.len(), word(&pdu, LENGTH)), (16, 16));
    let pdu = after(response(), r#"{"kind": "body", "hex": "41 00"}"#);
    assert_eq!((&pdu[16..], word(&pdu, LENGTH)), (&b"A\0"[..], 18));
    let pdu = after(response(), r#"{"kind": "generic_nack"}"#);
    assert_eq!((name(&pdu), word(&pdu, STATUS)), ((NACK, 7), 3));
}

#[test]
fn a_nul_can_be_missing_and_a_tlv_be_added_and_taken() {
    let pdu = after(response(), r#"{"kind": "missing_nul"}"#);
    assert_eq!(&pdu[16..], b"abc");
    let with = after(
        response(),
        r#"{"kind": "tlv", "tag": "0x3fff", "hex": "01"}"#,
    );
    assert_eq!(&with[20..], [0x3f, 0xff, 0, 1, 1]);
    assert_eq!(after(with, r#"{"kind": "no_tlvs"}"#), response());
}

#[test]
fn every_length_can_lie() {
    let pdu = after(response(), r#"{"kind": "command_length", "add": 5}"#);
    assert_eq!(word(&pdu, LENGTH), 25);
    let pdu = after(delivery(), r#"{"kind": "sm_length", "add": -2}"#);
    match decode(pdu.into()) {
        Inbound::Pdu(Pdu {
            body: Body::DeliverSm(body),
            ..
        }) => assert_eq!(&*body.short_message, b"hel"),
        Inbound::Malformed { .. } => {}
        other => panic!("{other:?}"),
    }
    let pdu = after(delivery(), r#"{"kind": "tlv_length", "add": 9}"#);
    assert!(matches!(decode(pdu.into()), Inbound::Malformed { .. }));
}

#[test]
fn a_kind_that_nobody_knows_is_refused() {
    for wrong in [
        r#"{"kind": "nonsense"}"#,
        r#"{"kind": "delay"}"#,
        r#"{"kind": "delay", "by": "1s", "times": 2}"#,
        r#"{"kind": "body", "hex": "0"}"#,
        r#"{"kind": "command", "set": "0xg"}"#,
        r#"{"kind": "tlv", "tag": 65536}"#,
    ] {
        assert!(serde_json::from_str::<Mangle>(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn what_does_nothing_or_says_too_much_is_refused() {
    for nothing in [
        r#"{"kind": "sequence"}"#,
        r#"{"kind": "hold", "behind": 0}"#,
        r#"{"kind": "duplicate", "times": 0}"#,
        r#"{"kind": "split", "octets": 0}"#,
        r#"{"kind": "coalesce", "pdus": 1}"#,
        r#"{"kind": "sm_length", "add": 0}"#,
    ] {
        let mangle: Mangle = serde_json::from_str(nothing).unwrap();
        assert!(mangle.check().is_err(), "{nothing}");
    }
    for much in [
        r#"{"kind": "drop", "by": "3s"}"#,
        r#"{"kind": "half_open", "after": 3}"#,
        r#"{"kind": "delay", "by": "3s", "for": "1s"}"#,
    ] {
        assert!(serde_json::from_str::<Mangle>(much).is_err(), "{much}");
    }
    for enough in [
        r#"{"kind": "drop"}"#,
        r#"{"kind": "sequence", "set": 0}"#,
        r#"{"kind": "sequence", "set": "0x80000000"}"#,
    ] {
        let mangle: Mangle = serde_json::from_str(enough).unwrap();
        assert_eq!(mangle.check(), Ok(()), "{enough}");
        let again = serde_json::to_string(&mangle).unwrap();
        assert_eq!(serde_json::from_str::<Mangle>(&again).unwrap(), mangle);
    }
}

#[test]
fn the_tlvs_of_each_kind_of_pdu_are_found() {
    let mut data = DataSm {
        source_addr: "447700900123".parse().unwrap(),
        destination_addr: "60777".parse().unwrap(),
        ..DataSm::default()
    };
    data.tlvs.set_message_payload(b"hello").unwrap();
    let mut alert = AlertNotification {
        source_addr: "447700900123".parse().unwrap(),
        esme_addr: "60777".parse().unwrap(),
        ..AlertNotification::default()
    };
    alert.tlvs.set_ms_availability_status(1_u8);
    let mut bound = BindResp::default();
    bound.tlvs.set_sc_interface_version(InterfaceVersion::V3_4);
    for (whole, bare, last) in [
        (delivery(), b"hello".len(), 6),
        (encoded(Body::DataSm(data)), 0, 9),
        (encoded(Body::AlertNotification(alert)), 0, 5),
        (encoded(Body::BindTransceiverResp(bound)), 0, 5),
    ] {
        let cut = after(whole.clone(), r#"{"kind": "no_tlvs"}"#);
        assert_eq!(
            (cut.len(), u32::try_from(cut.len()).unwrap()),
            (whole.len() - last, word(&cut, LENGTH))
        );
        let Inbound::Pdu(pdu) = decode(cut.clone().into()) else {
            panic!("not whole any more: {cut:?}")
        };
        if let Body::DeliverSm(pdu) = pdu.body {
            assert_eq!((pdu.short_message.len(), pdu.tlvs.is_empty()), (bare, true));
        }
        let lying = after(whole.clone(), r#"{"kind": "tlv_length", "add": 3}"#);
        let place = whole.len() - last + 3;
        assert_eq!(lying[place], whole[place] + 3);
        assert!(matches!(decode(lying.into()), Inbound::Malformed { .. }));
    }
    let query = encoded(Body::EnquireLink);
    assert_eq!(after(query.clone(), r#"{"kind": "no_tlvs"}"#), query);
}
