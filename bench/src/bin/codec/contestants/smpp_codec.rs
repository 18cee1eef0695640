//! The crate smpp-codec.

use std::hint::black_box;

use smpp_codec::pdus::{DeliverSmRequest, EnquireLinkRequest, SubmitSmRequest, SubmitSmResponse};

/// The PDUs of the samples; the crate leaves it to its user to choose by `command_id`.
pub enum Pdu {
    SubmitSm(SubmitSmRequest),
    SubmitSmResp(SubmitSmResponse),
    DeliverSm(DeliverSmRequest),
    EnquireLink(EnquireLinkRequest),
}

fn command_id(frame: &[u8]) -> u32 {
    let (_, rest) = frame.split_first_chunk::<4>().expect("whole");
    u32::from_be_bytes(*rest.first_chunk().expect("whole"))
}

/// Decodes one whole PDU.
#[inline]
pub fn decode(frame: &[u8]) {
    match command_id(frame) {
        4 => consume(&SubmitSmRequest::decode(frame)),
        5 => consume(&DeliverSmRequest::decode(frame)),
        0x15 => consume(&EnquireLinkRequest::decode(frame)),
        _ => consume(&SubmitSmResponse::decode(frame)),
    }
}

/// One whole PDU as a value.
pub fn pdu(frame: &[u8]) -> Pdu {
    match command_id(frame) {
        4 => Pdu::SubmitSm(SubmitSmRequest::decode(frame).expect("fair")),
        5 => Pdu::DeliverSm(DeliverSmRequest::decode(frame).expect("fair")),
        0x15 => Pdu::EnquireLink(EnquireLinkRequest::decode(frame).expect("fair")),
        _ => Pdu::SubmitSmResp(SubmitSmResponse::decode(frame).expect("fair")),
    }
}

/// Appends the PDU to `out`.
pub fn encode(pdu: &Pdu, out: &mut Vec<u8>) {
    let encoded = match pdu {
        Pdu::SubmitSm(pdu) => pdu.encode(out),
        Pdu::SubmitSmResp(pdu) => pdu.encode(out),
        Pdu::DeliverSm(pdu) => pdu.encode(out),
        Pdu::EnquireLink(pdu) => pdu.encode(out),
    };
    encoded.expect("fits");
}

fn consume<T>(value: &T) {
    black_box(value);
}
