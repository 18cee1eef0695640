//! The crate rusmpp, without its traces.

use bytes::BytesMut;
use rusmpp::Command;
use rusmpp::tokio_codec::{CommandCodec, DecodeError};
use tokio_util::codec::{Decoder, Encoder};

/// The next PDU of a stream.
#[inline]
pub fn decode(
    codec: &mut CommandCodec,
    buffer: &mut BytesMut,
) -> Result<Option<Command>, DecodeError> {
    codec.decode(buffer)
}

/// A PDU of the samples.
pub fn pdu(codec: &mut CommandCodec, wire: &mut BytesMut) -> Command {
    decode(codec, wire).expect("well formed").expect("whole")
}

/// Appends the PDU to `out`.
pub fn encode(codec: &mut CommandCodec, pdu: &Command, out: &mut BytesMut) {
    codec.encode(pdu, out).expect("fits");
}
