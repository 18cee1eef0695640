//! The crate rusmpp, without its traces.

use bytes::BytesMut;
use rusmpp::Command;
use rusmpp::tokio_codec::CommandCodec;
use tokio_util::codec::{Decoder, Encoder};

/// The next PDU of a stream.
pub fn decode(codec: &mut CommandCodec, buffer: &mut BytesMut) -> Command {
    codec.decode(buffer).expect("well formed").expect("whole")
}

/// Appends the PDU to `out`.
pub fn encode(codec: &mut CommandCodec, pdu: &Command, out: &mut BytesMut) {
    codec.encode(pdu, out).expect("fits");
}
