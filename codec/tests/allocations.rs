//! What decoding and encoding ask of the allocator, counted.
#![expect(clippy::unwrap_used, reason = "a test that panics has failed")]

use allocation_counter::measure;
use bytes::BytesMut;
use matrix_smpp_codec::{
    Bind, Body, CommandStatus, DataSm, DeliverSm, Inbound, MessageState, Pdu, QuerySmResp,
    ShortMessage, SubmitSm, SubmitSmResp, Tlvs, take,
};

const MAX_LEN: usize = 64 * 1024;

fn short_message() -> ShortMessage {
    ShortMessage::try_from(&[b'a'; 140][..]).unwrap()
}

fn tlvs() -> Tlvs {
    let mut tlvs = Tlvs::default();
    tlvs.set_receipted_message_id(&"0123456789abcdef".parse().unwrap());
    tlvs.set_message_state(MessageState::DELIVERED);
    tlvs.set_message_payload(&[b'a'; 1000]).unwrap();
    tlvs
}

/// Every kind of field but the lists of `submit_multi`.
fn pdus() -> Vec<Pdu> {
    let submit_sm = SubmitSm {
        source_addr: "447700900123".parse().unwrap(),
        destination_addr: "447700900456".parse().unwrap(),
        short_message: short_message(),
        ..SubmitSm::default()
    };
    let payload = SubmitSm {
        short_message: ShortMessage::default(),
        tlvs: tlvs(),
        ..submit_sm.clone()
    };
    let deliver_sm = DeliverSm {
        short_message: short_message(),
        tlvs: tlvs(),
        ..DeliverSm::default()
    };
    let data_sm = DataSm {
        tlvs: tlvs(),
        ..DataSm::default()
    };
    let submit_sm_resp = SubmitSmResp {
        message_id: "0123456789abcdef".parse().unwrap(),
        ..SubmitSmResp::default()
    };
    let mut refused = Pdu::new(2, Body::SubmitSmResp(SubmitSmResp::default()));
    refused.status = CommandStatus::ESME_RTHROTTLED;
    let bodies = [
        Body::SubmitSm(submit_sm),
        Body::SubmitSm(payload),
        Body::DeliverSm(deliver_sm),
        Body::DataSm(data_sm),
        Body::SubmitSmResp(submit_sm_resp),
        Body::QuerySmResp(QuerySmResp::default()),
        Body::BindTransceiver(Bind::default()),
        Body::EnquireLink,
        Body::Unbind,
        Body::GenericNack,
    ];
    bodies
        .into_iter()
        .map(|body| Pdu::new(1, body))
        .chain([refused])
        .collect()
}

fn wire(pdus: &[Pdu]) -> BytesMut {
    let mut wire = BytesMut::new();
    for pdu in pdus {
        pdu.encode(&mut wire);
    }
    wire
}

#[test]
fn a_pdu_is_decoded_without_an_allocation() {
    let pdus = pdus();
    let mut buffer = wire(&[&pdus[..1], &pdus, &pdus].concat());
    // The first slice that is taken off a buffer makes the buffer shared: once for all its PDUs.
    drop(take(&mut buffer, MAX_LEN));
    for expected in pdus.iter().chain(&pdus) {
        let mut decoded = None;
        let counted = measure(|| decoded = take(&mut buffer, MAX_LEN).unwrap());
        assert_eq!(decoded, Some(Inbound::Pdu(expected.clone())));
        assert_eq!(counted.count_total, 0, "{}", expected.command_id());
    }
    assert!(buffer.is_empty());
}

#[test]
fn a_pdu_that_cannot_be_read_costs_no_allocation_either() {
    let mut buffer = wire(&pdus()[..2]);
    let first_len = usize::from(buffer[3]);
    // An sm_length that the frame does not have.
    buffer[first_len - 141] = 200;
    let mut decoded = None;
    let counted = measure(|| decoded = take(&mut buffer, MAX_LEN).unwrap());
    assert!(matches!(decoded, Some(Inbound::Malformed { .. })));
    assert_eq!(counted.count_total, 0);
}

#[test]
fn a_pdu_is_encoded_into_room_that_is_there_without_an_allocation() {
    let mut out = BytesMut::with_capacity(4096);
    for pdu in pdus() {
        out.clear();
        let counted = measure(|| pdu.encode(&mut out));
        assert_eq!(counted.count_total, 0, "{}", pdu.command_id());
    }
}

#[test]
fn an_allocation_would_be_counted() {
    let counted = measure(|| drop(std::hint::black_box(vec![1_u8])));
    assert_eq!(counted.count_total, 1);
}
