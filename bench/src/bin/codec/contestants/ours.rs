//! This project's codec.

use bytes::BytesMut;
use matrix_smpp_codec::{Inbound, Pdu, take, take_into};

/// The next PDU of a stream, in a place that is used again and again.
#[inline]
pub fn decode(buffer: &mut BytesMut, place: &mut Option<Inbound>) {
    take_into(buffer, 65_536, place).expect("a fair length");
}

/// A PDU of the samples.
pub fn pdu(mut wire: BytesMut) -> Pdu {
    match take(&mut wire, 65_536) {
        Ok(Some(Inbound::Pdu(pdu))) => pdu,
        other => panic!("{other:?}"),
    }
}
