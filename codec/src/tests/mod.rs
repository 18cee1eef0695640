//! The codec as a whole: vectors, hostile octets, properties.

mod arbitrary;
mod golden;
mod hostile;
mod peers;
mod properties;
mod wireshark;

use bytes::{Bytes, BytesMut};

use crate::{Inbound, Pdu, decode};

/// Octets from hexadecimal digits and blanks.
pub(crate) fn hex(text: &str) -> Bytes {
    let digits: Vec<char> = text
        .chars()
        .filter(|character| !character.is_whitespace())
        .collect();
    digits
        .chunks(2)
        .map(|pair| u8::from_str_radix(&pair.iter().collect::<String>(), 16).unwrap())
        .collect()
}

pub(crate) fn encoded(pdu: &Pdu) -> Bytes {
    let mut out = BytesMut::new();
    pdu.encode(&mut out);
    out.freeze()
}

fn decoded(frame: &Bytes) -> Pdu {
    match decode(frame.clone()) {
        Inbound::Pdu(pdu) => pdu,
        other => panic!("{other:?}"),
    }
}
