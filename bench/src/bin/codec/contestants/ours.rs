//! This project's codec.

use bytes::BytesMut;
use matrix_smpp_codec::{FrameError, Inbound, Pdu, take};

/// The next PDU of a stream.
#[inline]
pub fn decode(buffer: &mut BytesMut) -> Result<Option<Inbound>, FrameError> {
    take(buffer, 65_536)
}

/// A PDU of the samples.
pub fn pdu(mut wire: BytesMut) -> Pdu {
    match decode(&mut wire) {
        Ok(Some(Inbound::Pdu(pdu))) => pdu,
        other => panic!("{other:?}"),
    }
}
