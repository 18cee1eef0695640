//! What can be done to a PDU on its last step to the socket. Octets in, octets out: no rule of the
//! protocol holds here.

use std::time::Duration;

use bytes::Bytes;
use matrix_smpp_codec::CommandId;
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::sim::span::Span;
use crate::sim::status::StatusName;
use crate::sim::written::{self, Written};

/// Octets as people write them: `00ff`, blanks allowed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Hex(pub(crate) Vec<u8>);

/// What to do with one PDU that goes out. What has no parameters has none by its braces: so serde
/// refuses those that somebody gives it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Mangle {
    /// It does not go out.
    Drop {},
    /// It goes out so much later; what comes behind it waits too.
    Delay {
        /// How much.
        by: Span,
    },
    /// It goes out behind the next so many PDUs (or after two seconds without them).
    Hold {
        /// How many.
        #[serde(default = "one")]
        behind: u32,
    },
    /// It goes out several times more.
    Duplicate {
        /// How many times more.
        #[serde(default = "one")]
        times: u32,
    },
    /// `sequence_number` becomes this, or is moved by so much.
    Sequence {
        /// The new number; 0 is as good as none.
        #[serde(skip_serializing_if = "Option::is_none")]
        set: Option<Number>,
        /// What is added to it.
        #[serde(default)]
        add: i32,
    },
    /// `command_status` becomes this; the body stays.
    Status {
        /// The new status.
        set: StatusName,
    },
    /// `command_id` becomes this.
    Command {
        /// The new id, `0x80000fff` for example.
        set: Number,
    },
    /// A `generic_nack` with the same number goes instead.
    GenericNack {
        /// Its status.
        #[serde(default = "invalid_command")]
        status: StatusName,
    },
    /// Only the header is left of it.
    NoBody {},
    /// These octets are its body.
    Body {
        /// The octets.
        hex: Hex,
    },
    /// A TLV comes behind the others.
    Tlv {
        /// Its tag, `0x3fff` for example.
        #[serde(deserialize_with = "two_octets")]
        tag: Number,
        /// Its value.
        #[serde(default)]
        hex: Hex,
    },
    /// The TLVs of a message, or of a response that begins with a C-octet string, are cut off.
    NoTlvs {},
    /// The first NUL of the body is taken out.
    MissingNul {},
    /// `command_length` lies by so much; the octets stay.
    CommandLength {
        /// What is added to it.
        add: i32,
    },
    /// `sm_length` of a `deliver_sm` lies by so much.
    SmLength {
        /// What is added to it.
        add: i32,
    },
    /// The length of the last TLV lies by so much.
    TlvLength {
        /// What is added to it.
        add: i32,
    },
    /// Only so many octets go out; nothing fills the gap.
    Truncate {
        /// How many.
        octets: u32,
    },
    /// These octets go out instead.
    Replace {
        /// The octets.
        hex: Hex,
    },
    /// These octets go out before it.
    Before {
        /// The octets.
        hex: Hex,
    },
    /// It goes out in pieces.
    Split {
        /// How long a piece is.
        #[serde(default = "one")]
        octets: u32,
        /// How long to wait between two.
        #[serde(default)]
        pause: Span,
    },
    /// It waits for more, so that several PDUs go out in one write.
    Coalesce {
        /// How many PDUs to wait for.
        pdus: u32,
        /// How long to wait at most.
        #[serde(default = "half_a_second")]
        within: Span,
    },
    /// The connection is reset (TCP RST), and the PDU does not go out.
    Reset {},
    /// The connection is closed, and the PDU does not go out.
    Close {},
    /// From here on nothing goes out and nothing is read, and the connection stays open.
    HalfOpen {},
}

const fn one() -> u32 {
    1
}

const fn invalid_command() -> StatusName {
    StatusName(matrix_smpp_codec::CommandStatus::ESME_RINVCMDID)
}

const fn half_a_second() -> Span {
    Span(Duration::from_millis(500))
}

/// A number as people write it: 4095 or `0xfff`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Number(pub(crate) u32);

impl Mangle {
    /// Whether it does anything, or what it lacks.
    pub(crate) fn check(&self) -> Result<(), String> {
        let lacks = match self {
            Self::Sequence { set: None, add: 0 } => "`sequence` needs `set` or `add`",
            Self::Hold { behind: 0 } => "`behind` counts from 1",
            Self::Duplicate { times: 0 } => "`times` counts from 1",
            Self::Split { octets: 0, .. } => "`octets` counts from 1",
            Self::Coalesce { pdus: 0 | 1, .. } => "`pdus` counts from 2",
            Self::CommandLength { add: 0 }
            | Self::SmLength { add: 0 }
            | Self::TlvLength { add: 0 } => "`add` is another number than 0",
            _ => return Ok(()),
        };
        Err(lacks.to_owned())
    }

    /// Rewrites one whole PDU. What only concerns when and whether it goes leaves it as it is.
    pub(crate) fn rewrite(&self, pdu: &mut Vec<u8>) {
        match self {
            Self::Sequence { set, add } => {
                let old = word(pdu, SEQUENCE);
                let new = set.map_or_else(|| old.wrapping_add_signed(*add), |set| set.0);
                put_word(pdu, SEQUENCE, new);
            }
            Self::Status { set } => put_word(pdu, STATUS, set.0.0),
            Self::Command { set } => put_word(pdu, COMMAND, set.0),
            Self::GenericNack { status } => {
                pdu.truncate(HEADER);
                put_word(pdu, COMMAND, NACK);
                put_word(pdu, STATUS, status.0.0);
                measure(pdu);
            }
            Self::NoBody {} => {
                pdu.truncate(HEADER);
                measure(pdu);
            }
            Self::Body { hex } => {
                pdu.truncate(HEADER);
                pdu.extend_from_slice(&hex.0);
                measure(pdu);
            }
            Self::Replace { hex } => pdu.clone_from(&hex.0),
            Self::Truncate { octets } => pdu.truncate(usize::try_from(*octets).unwrap_or(0)),
            other => other.rewrite_fields(pdu),
        }
    }

    fn rewrite_fields(&self, pdu: &mut Vec<u8>) {
        match self {
            Self::Tlv { tag, hex } => {
                let tag = u16::try_from(tag.0 & 0xffff).unwrap_or(0);
                let length = u16::try_from(hex.0.len()).unwrap_or(u16::MAX);
                pdu.extend_from_slice(&tag.to_be_bytes());
                pdu.extend_from_slice(&length.to_be_bytes());
                pdu.extend_from_slice(&hex.0);
                measure(pdu);
            }
            Self::NoTlvs {} => {
                let end = tlvs(pdu).unwrap_or(pdu.len());
                pdu.truncate(end);
                measure(pdu);
            }
            Self::MissingNul {} => {
                if let Some(nul) = first_nul(pdu) {
                    pdu.remove(nul);
                    measure(pdu);
                }
            }
            Self::CommandLength { add } => {
                let lie = word(pdu, LENGTH).wrapping_add_signed(*add);
                put_word(pdu, LENGTH, lie);
            }
            Self::SmLength { add } => {
                let place = sm_length(pdu);
                lie_at(pdu, place, *add);
            }
            Self::TlvLength { add } => {
                let place = last_tlv(pdu).map(|tlv| tlv + 3);
                lie_at(pdu, place, *add);
            }
            _ => {}
        }
    }
}

const HEADER: usize = 16;
const LENGTH: usize = 0;
const COMMAND: usize = 4;
const STATUS: usize = 8;
const SEQUENCE: usize = 12;
const NACK: u32 = 0x8000_0000;

/// The word of the header at this place; 0 where the PDU is too short to have one.
pub(crate) fn word(pdu: &[u8], place: usize) -> u32 {
    let word = pdu.get(place..).and_then(<[u8]>::first_chunk::<4>);
    word.map_or(0, |octets| u32::from_be_bytes(*octets))
}

/// `command_id` and `sequence_number` of a PDU.
pub(crate) fn name(pdu: &[u8]) -> (u32, u32) {
    (word(pdu, COMMAND), word(pdu, SEQUENCE))
}

fn put_word(pdu: &mut [u8], place: usize, value: u32) {
    if let Some(word) = pdu.get_mut(place..).and_then(<[u8]>::first_chunk_mut::<4>) {
        *word = value.to_be_bytes();
    }
}

fn measure(pdu: &mut [u8]) {
    let length = u32::try_from(pdu.len()).unwrap_or(u32::MAX);
    put_word(pdu, LENGTH, length);
}

fn first_nul(pdu: &[u8]) -> Option<usize> {
    let body = pdu.get(HEADER..)?;
    Some(HEADER + body.iter().position(|octet| *octet == 0)?)
}

fn lie_at(pdu: &mut [u8], place: Option<usize>, add: i32) {
    let octet = place.and_then(|place| pdu.get_mut(place));
    if let Some(octet) = octet {
        let lie = i32::from(*octet).wrapping_add(add).rem_euclid(256);
        *octet = u8::try_from(lie).unwrap_or(0);
    }
}

/// Where `sm_length` stands in a `deliver_sm` (SMPP 3.4 §4.6.1): behind the addresses, two times, and
/// the octets between them.
fn sm_length(pdu: &[u8]) -> Option<usize> {
    if word(pdu, COMMAND) != CommandId::DELIVER_SM.0 {
        return None;
    }
    let mut at = after_nul(pdu, after_addresses(pdu)? + 3)?;
    at = after_nul(pdu, at)?;
    Some(at + 4)
}

/// What stands behind `service_type` and both addresses of a message.
fn after_addresses(pdu: &[u8]) -> Option<usize> {
    let at = after_nul(pdu, HEADER)?;
    let at = after_nul(pdu, at + 2)?;
    after_nul(pdu, at + 2)
}

/// Where the TLVs of a PDU that the simulator sends begin, if it can have any.
fn tlvs(pdu: &[u8]) -> Option<usize> {
    let command = CommandId(word(pdu, COMMAND));
    let at = match command {
        CommandId::DELIVER_SM => {
            let length = sm_length(pdu)?;
            length + 1 + usize::from(*pdu.get(length)?)
        }
        CommandId::DATA_SM => after_addresses(pdu)? + 3,
        CommandId::ALERT_NOTIFICATION => after_nul(pdu, after_nul(pdu, HEADER + 2)? + 2)?,
        command if command.is_response() => first_nul(pdu)? + 1,
        _ => return None,
    };
    (at <= pdu.len()).then_some(at)
}

fn after_nul(pdu: &[u8], from: usize) -> Option<usize> {
    let nul = pdu.get(from..)?.iter().position(|octet| *octet == 0)?;
    Some(from + nul + 1)
}

/// Where the last TLV begins.
fn last_tlv(pdu: &[u8]) -> Option<usize> {
    let mut at = tlvs(pdu)?;
    let mut last = None;
    while let Some(&[_, _, high, low]) = pdu.get(at..).and_then(<[u8]>::first_chunk::<4>) {
        last = Some(at);
        at += 4 + usize::from(u16::from_be_bytes([high, low]));
    }
    last
}

impl Hex {
    fn parse(text: &str) -> Option<Self> {
        let digits: Vec<u8> = text
            .bytes()
            .filter(|octet| !octet.is_ascii_whitespace())
            .collect();
        let pairs = digits.chunks(2).map(|pair| {
            let pair = std::str::from_utf8(pair)
                .ok()
                .filter(|pair| pair.len() == 2)?;
            u8::from_str_radix(pair, 16).ok()
        });
        pairs.collect::<Option<Vec<_>>>().map(Self)
    }
}

impl<'de> Deserialize<'de> for Hex {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| Error::custom("write octets as 00ff"))
    }
}

impl Serialize for Hex {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let octets = Bytes::copy_from_slice(&self.0);
        serializer.collect_str(&format_args!("{octets:x}"))
    }
}

impl Written for Number {
    const WAYS: &'static str = "a number as 4095 or \"0xfff\"";

    fn from_word<E: Error>(word: &str) -> Result<Self, E> {
        let number = match word.strip_prefix("0x") {
            Some(hex) => u32::from_str_radix(hex, 16),
            None => word.parse(),
        };
        number
            .map(Self)
            .map_err(|_| E::custom("write a number as 4095 or 0xfff"))
    }

    fn from_number<E: Error>(number: u64) -> Result<Self, E> {
        let number = u32::try_from(number);
        number
            .map(Self)
            .map_err(|_| E::custom("a number is 0xffffffff at most"))
    }
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        written::read(deserializer)
    }
}

fn two_octets<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Number, D::Error> {
    let number = Number::deserialize(deserializer)?;
    match u16::try_from(number.0) {
        Ok(_) => Ok(number),
        Err(_) => Err(Error::custom("a tag is 0xffff at most")),
    }
}

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&format!("{:#x}", self.0))
    }
}

#[cfg(test)]
#[path = "mangle_tests.rs"]
mod tests;
