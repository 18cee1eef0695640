//! This project's codec.

use bytes::BytesMut;
use matrix_smpp_codec::{Inbound, Pdu, take};

/// The next PDU of a stream.
pub fn decode(buffer: &mut BytesMut) -> Inbound {
    take(buffer, 65_536).expect("a fair length").expect("whole")
}

/// A PDU of the samples.
pub fn pdu(mut wire: BytesMut) -> Pdu {
    match decode(&mut wire) {
        Inbound::Pdu(pdu) => pdu,
        other => panic!("{other:?}"),
    }
}
