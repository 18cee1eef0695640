//! What a field is, how it is read and written, and what can be wrong with it. Bounds are in the
//! types of the fields, so that a value that exists can be encoded.

use bytes::{BufMut, Bytes, BytesMut};
use nom::IResult;
use nom::bytes::complete::take;
use nom::error::{ErrorKind, ParseError};
use nom::number::complete::{be_u8, be_u16};
use thiserror::Error;

use crate::dests::DestAddresses;
use crate::values::{
    CommandStatus, DataCoding, EsmClass, InterfaceVersion, MessageState, Npi, RegisteredDelivery,
    Ton,
};

/// Why one field could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum FieldError {
    /// The frame ends before the field does.
    #[error("the frame ends inside the field")]
    Truncated,
    /// The field is longer than the standard lets it be.
    #[error("more than {max} octets or entries")]
    TooLong {
        /// The longest that the standard allows.
        max: usize,
    },
    /// A `dest_flag` that is neither SME address nor distribution list (§5.2.25).
    #[error("unknown dest_flag {0}")]
    DestFlag(u8),
}

/// Why one PDU body could not be read, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("{pdu}.{field}: {cause}")]
pub struct DecodeError {
    /// The PDU, as this crate calls it.
    pub pdu: &'static str,
    /// The field, as the standard calls it.
    pub field: &'static str,
    /// What is wrong with it.
    pub cause: FieldError,
}

impl DecodeError {
    /// The status to answer such a PDU with. SMPP 3.4 §5.1.3.
    #[must_use]
    pub fn status(&self) -> CommandStatus {
        match (self.field, self.cause) {
            ("tlvs", _) => CommandStatus::ESME_RINVOPTPARSTREAM,
            ("short_message", _) => CommandStatus::ESME_RINVMSGLEN,
            (
                "dest_addresses",
                FieldError::TooLong {
                    max: DestAddresses::MAX,
                },
            ) => CommandStatus::ESME_RINVNUMDESTS,
            (_, FieldError::TooLong { .. }) => CommandStatus::ESME_RINVPARLEN,
            (_, FieldError::DestFlag(_)) => CommandStatus::ESME_RINVDESTFLAG,
            (_, FieldError::Truncated) => CommandStatus::ESME_RINVCMDLEN,
        }
    }
}

impl ParseError<&[u8]> for FieldError {
    fn from_error_kind(_input: &[u8], _kind: ErrorKind) -> Self {
        Self::Truncated
    }

    fn append(_input: &[u8], _kind: ErrorKind, other: Self) -> Self {
        other
    }
}

/// What is left of the frame, and the value that was before it.
pub(crate) type Taken<'a, T> = IResult<&'a [u8], T, FieldError>;

/// Anything that has a place in a PDU body.
pub(crate) trait Field: Sized {
    /// Reads the value at the start of `input`, which is a part of `frame`; longer values stay
    /// slices of the frame.
    fn take<'a>(frame: &Bytes, input: &'a [u8]) -> Taken<'a, Self>;

    /// Writes the value.
    fn put(&self, out: &mut BytesMut);
}

pub(crate) fn fail<T>(error: FieldError) -> Result<T, nom::Err<FieldError>> {
    Err(nom::Err::Error(error))
}

impl Field for u8 {
    fn take<'a>(_frame: &Bytes, input: &'a [u8]) -> Taken<'a, Self> {
        be_u8(input)
    }

    fn put(&self, out: &mut BytesMut) {
        out.put_u8(*self);
    }
}

/// The open wire enums of one octet are fields as they are.
macro_rules! octet_fields {
    ($($name:ident),*) => {$(
        impl Field for $name {
            fn take<'a>(frame: &Bytes, input: &'a [u8]) -> Taken<'a, Self> {
                let (rest, octet) = u8::take(frame, input)?;
                Ok((rest, Self(octet)))
            }

            fn put(&self, out: &mut BytesMut) {
                out.put_u8(self.0);
            }
        }
    )*};
}

octet_fields!(
    Ton,
    Npi,
    EsmClass,
    RegisteredDelivery,
    DataCoding,
    MessageState,
    InterfaceVersion
);

/// Why octets cannot be a value of a bounded type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum OctetsError {
    /// More than fit.
    #[error("at most {max} octets or entries fit")]
    TooLong {
        /// The most that fit, the NUL of a C-octet string not counted.
        max: usize,
    },
    /// A NUL inside a string that a NUL ends.
    #[error("a NUL inside a C-octet string")]
    Nul,
}

/// The length or count of a value whose type keeps it below 256.
pub(crate) fn length_octet(length: usize) -> u8 {
    u8::try_from(length).unwrap_or(u8::MAX)
}

/// Reads one TLV: its tag and its value.
pub(crate) fn take_tlv(input: &[u8]) -> Taken<'_, (u16, &[u8])> {
    let (rest, tag) = be_u16(input)?;
    let (rest, length) = be_u16(rest)?;
    let (rest, value) = take(length)(rest)?;
    Ok((rest, (tag, value)))
}
