//! The crate smpp34.

use std::hint::black_box;

use smpp34::{CommandHeader, deliver_sm, enquire_link, submit_sm, submit_sm_resp};

/// The PDUs of the samples; the crate leaves it to its user to choose by `command_id`.
#[derive(Clone)]
pub enum Pdu {
    SubmitSm(submit_sm),
    SubmitSmResp(submit_sm_resp),
    DeliverSm(deliver_sm),
    EnquireLink(enquire_link),
}

/// Decodes one whole PDU.
#[inline]
pub fn decode(frame: &[u8]) {
    let header = CommandHeader::decode(frame).expect("whole");
    match header.command_id {
        4 => consume(&submit_sm::decode(header, frame)),
        5 => consume(&deliver_sm::decode(header, frame)),
        0x15 => consume(&enquire_link::decode(header, frame)),
        _ => consume(&submit_sm_resp::decode(header, frame)),
    }
}

/// One whole PDU as a value.
pub fn pdu(frame: &[u8]) -> Pdu {
    let header = CommandHeader::decode(frame).expect("whole");
    match header.command_id {
        4 => Pdu::SubmitSm(submit_sm::decode(header, frame).expect("fair")),
        5 => Pdu::DeliverSm(deliver_sm::decode(header, frame).expect("fair")),
        0x15 => Pdu::EnquireLink(enquire_link::decode(header, frame).expect("fair")),
        _ => Pdu::SubmitSmResp(submit_sm_resp::decode(header, frame).expect("fair")),
    }
}

/// The PDU as octets, always in a vector of their own.
pub fn encode(pdu: Pdu) -> Vec<u8> {
    match pdu {
        Pdu::SubmitSm(pdu) => pdu.encode(),
        Pdu::SubmitSmResp(pdu) => pdu.encode(),
        Pdu::DeliverSm(pdu) => pdu.encode(),
        Pdu::EnquireLink(pdu) => pdu.encode(),
    }
}

fn consume<T>(value: &T) {
    black_box(value);
}
