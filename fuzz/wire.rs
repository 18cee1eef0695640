//! Octets as they come from a socket.

use bytes::{BufMut, Bytes, BytesMut};
use matrix_smpp_codec::{
    Body, CommandId, HEADER_LEN, Inbound, Pdu, Quirk, Quirks, TlvTag, Tlvs, cut, decode,
};

/// The longest PDU that is taken.
const MAX_PDU: usize = 70_000;

fn encoded(pdu: &Pdu) -> Bytes {
    let mut out = BytesMut::new();
    pdu.encode(&mut out);
    out.freeze()
}

/// A stream of octets: cut, read, written and read again.
pub fn pdu(octets: &[u8]) {
    let mut buffer = BytesMut::from(octets);
    while let Ok(Some(frame)) = cut(&mut buffer, MAX_PDU) {
        whole(frame);
    }
    // And as one frame, whatever its length says.
    whole(Bytes::copy_from_slice(octets));
}

fn whole(frame: Bytes) {
    let quirks: Quirks = Quirk::ALL.iter().copied().collect();
    let mended = quirks.decode(frame.clone());
    if let Inbound::Pdu(pdu) = &mended {
        assert_eq!(decode(encoded(pdu)), mended);
    }
    let strict = decode(frame.clone());
    if !matches!(strict, Inbound::Malformed { .. }) {
        assert_eq!(strict, mended, "a quirk changed a good PDU");
    }
    match strict {
        Inbound::Pdu(pdu) => {
            let again = encoded(&pdu);
            assert_eq!(
                u32::from_be_bytes(again[..4].try_into().unwrap()) as usize,
                again.len()
            );
            assert_eq!(decode(again), Inbound::Pdu(pdu));
        }
        Inbound::Unknown { header, body } => {
            assert!(!CommandId::KNOWN.contains(&header.command_id));
            assert_eq!(body, frame.slice(HEADER_LEN..));
        }
        Inbound::Malformed { header, error } => {
            assert!(!error.status().is_ok());
            let _ = header.refusal(error.status());
        }
    }
}

/// The optional parameters of a `data_sm`: read by type, written by type, kept byte for byte.
pub fn tlv(octets: &[u8]) {
    let mut frame = BytesMut::new();
    frame.put_u32(0);
    frame.put_u32(CommandId::DATA_SM.0);
    frame.put_u64(1);
    frame.put_slice(&[0; 10]);
    frame.put_slice(octets);
    let Inbound::Pdu(Pdu {
        body: Body::DataSm(data_sm),
        ..
    }) = decode(frame.freeze())
    else {
        return;
    };
    let tlvs = data_sm.tlvs;
    assert!(octets.starts_with(tlvs.as_bytes()));
    let mut copy = Tlvs::default();
    for tlv in &tlvs {
        copy.push(tlv.tag, tlv.value).unwrap();
        let _ = format!("{tlv:?}");
    }
    assert_eq!(copy.as_bytes(), tlvs.as_bytes());
    typed(&tlvs, &mut copy);
    for tag in TlvTag::KNOWN {
        assert_eq!(copy.remove(*tag), tlvs.get(*tag).is_some());
        assert_eq!(copy.get(*tag), None);
    }
}

/// A value that was read by its type is written as it was.
fn typed(tlvs: &Tlvs, copy: &mut Tlvs) {
    if let Some(id) = tlvs.receipted_message_id() {
        copy.set_receipted_message_id(&id);
        assert_eq!(copy.receipted_message_id(), Some(id));
    }
    if let Some(error) = tlvs.network_error_code() {
        copy.set_network_error_code(error);
        assert_eq!(copy.network_error_code(), Some(error));
    }
    if let Some(state) = tlvs.message_state() {
        copy.set_message_state(state);
        assert_eq!(copy.message_state(), Some(state));
    }
    if let Some(concat) = tlvs.sar() {
        assert!((1..=concat.total).contains(&concat.index));
    }
    let _ = (
        tlvs.additional_status_info_text(),
        tlvs.message_payload(),
        tlvs.qos_time_to_live(),
    );
}
