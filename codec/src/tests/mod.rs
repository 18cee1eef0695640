//! The codec as a whole: vectors, hostile octets, properties.

mod arbitrary;
mod dice;
mod golden;
mod hostile;
mod peers;
mod properties;
mod reassembly;
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

/// How many of something, where a variable says so.
fn number(variable: &str, otherwise: u64) -> u64 {
    let given = std::env::var(variable).ok();
    given.map_or(otherwise, |text| text.parse().expect("a whole number"))
}

fn decoded(frame: &Bytes) -> Pdu {
    match decode(frame.clone()) {
        Inbound::Pdu(pdu) => pdu,
        other => panic!("{other:?}"),
    }
}
