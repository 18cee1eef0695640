//! What a field is, how it is read and written, and what can be wrong with it. Bounds are in the
//! types of the fields, so that a value that exists can be encoded.

use bytes::{Buf, Bytes, BytesMut};
use nom::IResult;
use nom::error::{ErrorKind, ParseError};
use thiserror::Error;

use crate::dests::DestAddresses;
use crate::frame::{HEADER_LEN, Header};
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
#[error("{pdu}.{field}, octet {at}: {cause}")]
pub struct DecodeError {
    /// The PDU, as this crate calls it.
    pub pdu: &'static str,
    /// The field, as the standard calls it.
    pub field: &'static str,
    /// What is wrong with it.
    pub cause: FieldError,
    /// Where it begins: so many octets behind the start of the frame.
    pub at: usize,
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
///
/// A value is read into its place in the PDU, which costs less than moving it there, and in two
/// steps: all fields of a body are taken, and then each keeps what it needs of the memory of the
/// frame. A PDU that is broken, or has no long values, keeps nothing.
pub(crate) trait Field: Default {
    /// Where in the frame the octets are that are to be kept.
    type Kept;

    /// Reads the value at the start of `input`, whose end is the end of the frame. The value was
    /// the default before.
    fn take<'a>(&mut self, input: &'a [u8]) -> Taken<'a, Self::Kept>;

    /// Takes the octets to keep from the frame.
    fn keep(&mut self, kept: Self::Kept, frame: &mut Frame<'_, impl Source>);

    /// At least as many octets as the value has on the wire, and enough for [`Field::put`].
    fn room(&self) -> usize;

    /// Writes the value.
    fn put(&self, out: &mut Cursor<'_>);

    /// Octets that end the body behind all that is put. Only the last field of a body has them.
    fn tail(&self) -> &[u8] {
        &[]
    }
}

/// The part of [`Field`] of a value that is copied out of the frame.
macro_rules! keeps_nothing {
    () => {
        type Kept = ();

        #[inline]
        fn keep(&mut self, (): (), _frame: &mut Frame<'_, impl $crate::field::Source>) {}
    };
}
pub(crate) use keeps_nothing;

/// A place in a frame, counted from the frame's end.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    start: usize,
    len: usize,
}

impl Place {
    #[inline]
    pub(crate) const fn is_empty(self) -> bool {
        self.len == 0
    }

    /// The first `len` octets of `input`, whose end is the frame's.
    #[inline]
    pub(crate) const fn at_start_of(input: &[u8], len: usize) -> Self {
        Self {
            start: input.len(),
            len,
        }
    }
}

/// One frame at the front of the octets that have come, from which values are split off in the
/// order of the wire.
#[derive(Debug)]
pub(crate) struct Frame<'b, B> {
    octets: &'b mut B,
    /// How many octets of the frame are still in front.
    left: usize,
}

impl<'b, B: Source> Frame<'b, B> {
    /// The frame of the first `len` of these octets.
    #[inline]
    pub(crate) fn new(octets: &'b mut B, len: usize) -> Self {
        let left = len.min(octets.remaining());
        Self { octets, left }
    }

    /// The frame.
    #[inline]
    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.octets.chunk().get(..self.left).unwrap_or_default()
    }

    /// Its header, where it is as long as one.
    #[inline]
    pub(crate) fn header(&self) -> Option<Header> {
        Header::read(self.as_bytes())
    }

    /// What is behind the header of a frame from which nothing was split off.
    #[inline]
    pub(crate) fn body(&self) -> &[u8] {
        self.as_bytes().get(HEADER_LEN..).unwrap_or_default()
    }

    /// The octets at a place.
    #[inline]
    pub(crate) fn at(&self, place: Place) -> &[u8] {
        let start = self.left.saturating_sub(place.start);
        let octets = self.as_bytes().get(start..).unwrap_or_default();
        octets.get(..place.len).unwrap_or_default()
    }

    /// Splits off the octets at a place, and drops what is before them.
    #[inline]
    pub(crate) fn split(&mut self, place: Place) -> Bytes {
        if place.len == 0 {
            return Bytes::new();
        }
        self.skip_to(place.start);
        let len = place.len.min(self.left);
        self.left = self.left.saturating_sub(len);
        self.octets.split_front(len)
    }

    /// Drops what is left of the frame.
    #[inline]
    pub(crate) fn finish(&mut self) {
        self.skip_to(0);
    }

    #[inline]
    fn skip_to(&mut self, left: usize) {
        if let Some(skipped @ 1..) = self.left.checked_sub(left) {
            self.octets.advance(skipped);
            self.left = left;
        }
    }
}

/// Where a frame may be: in a buffer with others, or alone.
pub(crate) trait Source: Buf {
    /// Splits off the first `len` octets, which are there.
    fn split_front(&mut self, len: usize) -> Bytes;
}

impl Source for BytesMut {
    #[inline]
    fn split_front(&mut self, len: usize) -> Bytes {
        self.split_to(len).freeze()
    }
}

impl Source for Bytes {
    #[inline]
    fn split_front(&mut self, len: usize) -> Bytes {
        self.split_to(len)
    }
}

/// Writes to memory that was set aside, front to back.
#[derive(Debug)]
pub(crate) struct Cursor<'a> {
    rest: &'a mut [u8],
}

impl<'a> Cursor<'a> {
    #[inline]
    pub(crate) const fn new(rest: &'a mut [u8]) -> Self {
        Self { rest }
    }

    /// How much could still be written.
    #[inline]
    pub(crate) const fn left(&self) -> usize {
        self.rest.len()
    }

    /// Writes octets whose number is known.
    #[inline]
    pub(crate) fn put<const N: usize>(&mut self, octets: [u8; N]) {
        self.put_first(&octets, N);
    }

    /// Writes the first `len` of these octets; the place behind them may be written to as well.
    #[inline]
    pub(crate) fn put_first<const N: usize>(&mut self, octets: &[u8; N], len: usize) {
        let rest = std::mem::take(&mut self.rest);
        debug_assert!(rest.len() >= N.max(len), "room was made for the field");
        if let Some(place) = rest.first_chunk_mut() {
            *place = *octets;
        }
        self.rest = rest.get_mut(len..).unwrap_or_default();
    }

    /// Writes octets.
    #[inline]
    pub(crate) fn put_slice(&mut self, octets: &[u8]) {
        let place = self.rest.split_off_mut(..octets.len());
        debug_assert!(place.is_some(), "room was made for the field");
        if let Some(place) = place {
            place.copy_from_slice(octets);
        }
    }
}

#[inline]
pub(crate) fn fail<T>(error: FieldError) -> Result<T, nom::Err<FieldError>> {
    Err(nom::Err::Error(error))
}

impl Field for u8 {
    keeps_nothing!();

    #[inline]
    fn take<'a>(&mut self, input: &'a [u8]) -> Taken<'a, ()> {
        let (rest, octet) = take_octet(input)?;
        *self = octet;
        Ok((rest, ()))
    }

    #[inline]
    fn room(&self) -> usize {
        1
    }

    #[inline]
    fn put(&self, out: &mut Cursor<'_>) {
        out.put([*self]);
    }
}

/// The open wire enums of one octet are fields as they are.
macro_rules! octet_fields {
    ($($name:ident),*) => {$(
        impl Field for $name {
            keeps_nothing!();

            #[inline]
            fn take<'a>(&mut self, input: &'a [u8]) -> Taken<'a, ()> {
                self.0.take(input)
            }

            #[inline]
            fn room(&self) -> usize {
                1
            }

            #[inline]
            fn put(&self, out: &mut Cursor<'_>) {
                out.put([self.0]);
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
    /// Fewer than the standard wants.
    #[error("at least {min} octets are needed")]
    TooShort {
        /// The fewest.
        min: usize,
    },
    /// A NUL inside a string that a NUL ends.
    #[error("a NUL inside a C-octet string")]
    Nul,
}

/// The length or count of a value whose type keeps it below 256.
#[inline]
pub(crate) fn length_octet(length: usize) -> u8 {
    u8::try_from(length).unwrap_or(u8::MAX)
}

/// Reads one octet. This and its siblings are nom's `be_u8` and `take` in a form that is compiled
/// into the fields that call them, which is what half of the time went into.
#[inline]
pub(crate) fn take_octet(input: &[u8]) -> Taken<'_, u8> {
    match input.split_first() {
        Some((octet, rest)) => Ok((rest, *octet)),
        None => fail(FieldError::Truncated),
    }
}

/// Reads as many octets as the array has.
#[inline]
pub(crate) fn take_array<const N: usize>(input: &[u8]) -> Taken<'_, [u8; N]> {
    match input.split_first_chunk() {
        Some((octets, rest)) => Ok((rest, *octets)),
        None => fail(FieldError::Truncated),
    }
}

/// Reads `len` octets.
#[inline]
pub(crate) fn take_octets(input: &[u8], len: usize) -> Taken<'_, &[u8]> {
    match input.split_at_checked(len) {
        Some((octets, rest)) => Ok((rest, octets)),
        None => fail(FieldError::Truncated),
    }
}

/// Reads one TLV: its tag and its value.
#[inline]
pub(crate) fn take_tlv(input: &[u8]) -> Taken<'_, (u16, &[u8])> {
    let (rest, tag) = take_array(input)?;
    let (rest, length) = take_array(rest)?;
    let (rest, value) = take_octets(rest, u16::from_be_bytes(length).into())?;
    Ok((rest, (u16::from_be_bytes(tag), value)))
}
