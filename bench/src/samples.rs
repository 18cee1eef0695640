//! The PDUs that are measured, as they are on the wire.

use bytes::BytesMut;
use matrix_smpp_codec::{
    Body, DataCoding, DeliverSm, EsmClass, MessageState, Npi, Pdu, RegisteredDelivery,
    ShortMessage, SubmitSm, SubmitSmResp, Tlvs, Ton,
};

/// One kind of PDU, or several of one kind with different fields.
pub struct Sample {
    /// What the table calls it.
    pub name: &'static str,
    /// The PDUs, one by one.
    pub pdus: Vec<Vec<u8>>,
}

/// All of them.
#[must_use]
pub fn all() -> Vec<Sample> {
    let one = |name, body| Sample {
        name,
        pdus: vec![wire(7, body)],
    };
    vec![
        one("submit_sm, 140 octets", Body::SubmitSm(submit_sm(140))),
        one("deliver_sm, receipt + 2 TLVs", Body::DeliverSm(receipt())),
        one("submit_sm_resp", Body::SubmitSmResp(submit_sm_resp())),
        one("enquire_link", Body::EnquireLink),
        one("submit_sm, 1,000 in TLV + SAR", Body::SubmitSm(payload())),
        Sample {
            name: "submit_sm, 256 different",
            pdus: varied(),
        },
    ]
}

fn wire(sequence: u32, body: Body) -> Vec<u8> {
    let mut out = BytesMut::new();
    Pdu::new(sequence, body).encode(&mut out);
    out.to_vec()
}

fn text(length: usize) -> Vec<u8> {
    (b'a'..=b'z').cycle().take(length).collect()
}

fn short_message(length: usize) -> ShortMessage {
    ShortMessage::try_from(&text(length)[..]).expect("at most 254 octets")
}

/// A text of this many octets between two numbers of 12 digits.
#[must_use]
pub fn submit_sm(length: usize) -> SubmitSm {
    SubmitSm {
        source_addr_ton: Ton::INTERNATIONAL,
        source_addr_npi: Npi::ISDN,
        source_addr: "447700900123".parse().expect("fits"),
        dest_addr_ton: Ton::INTERNATIONAL,
        dest_addr_npi: Npi::ISDN,
        destination_addr: "447700900456".parse().expect("fits"),
        registered_delivery: RegisteredDelivery::RECEIPT,
        data_coding: DataCoding::LATIN1,
        short_message: short_message(length),
        ..SubmitSm::default()
    }
}

fn submit_sm_resp() -> SubmitSmResp {
    SubmitSmResp {
        message_id: ID.parse().expect("fits"),
        tlvs: Tlvs::default(),
    }
}

const ID: &str = "4f6c1d0e-7a3b-4b8e-9c55-0d1e2f3a4b5c";

fn receipt() -> DeliverSm {
    let text = format!(
        "id:{ID} sub:001 dlvrd:001 submit date:2611221200 done date:2611221201 stat:DELIVRD err:000 text:abcdefghijkl"
    );
    let mut tlvs = Tlvs::default();
    tlvs.set_receipted_message_id(&ID.parse().expect("fits"));
    tlvs.set_message_state(MessageState::DELIVERED);
    DeliverSm {
        source_addr_ton: Ton::INTERNATIONAL,
        source_addr_npi: Npi::ISDN,
        source_addr: "447700900456".parse().expect("fits"),
        dest_addr_ton: Ton::INTERNATIONAL,
        dest_addr_npi: Npi::ISDN,
        destination_addr: "447700900123".parse().expect("fits"),
        esm_class: EsmClass::RECEIPT,
        short_message: ShortMessage::try_from(text.as_bytes()).expect("fits"),
        tlvs,
        ..DeliverSm::default()
    }
}

fn payload() -> SubmitSm {
    let mut tlvs = Tlvs::default();
    tlvs.set_sar_msg_ref_num(0x1234);
    tlvs.set_sar_total_segments(3);
    tlvs.set_sar_segment_seqnum(1);
    tlvs.set_message_payload(&text(1000)).expect("fits");
    SubmitSm {
        tlvs,
        ..submit_sm(0)
    }
}

/// Lengths that no branch predictor learns by heart: a small generator with a fixed start.
fn varied() -> Vec<Vec<u8>> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut below = |limit: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % limit as u64).unwrap_or(0)
    };
    let digits = "44770090012345678901";
    (0..256)
        .map(|sequence| {
            let submit_sm = SubmitSm {
                service_type: "CMT"[..below(4)].parse().expect("fits"),
                source_addr: digits[..3 + below(13)].parse().expect("fits"),
                destination_addr: digits[..10 + below(6)].parse().expect("fits"),
                validity_period: ["", "000001000000000R"][below(2)].parse().expect("fits"),
                short_message: short_message(1 + below(160)),
                ..submit_sm(0)
            };
            wire(sequence, Body::SubmitSm(submit_sm))
        })
        .collect()
}
