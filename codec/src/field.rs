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
    /// Where in the frame the octets are that are to be kept, if any.
    type Part: Part;

    /// Enough octets for [`Field::put`] of any value, but for the entries of a list. A number when
    /// this is compiled: to make the room costs a few instructions.
    const ROOM: usize;

    /// The room for the entries of a list.
    #[inline]
    fn more_room(&self) -> usize {
        0
    }

    /// Reads the value at the start of `input`, whose end is the end of the frame. The value was
    /// the default before.
    fn take<'a>(&mut self, input: &'a [u8]) -> Taken<'a, Self::Part>;

    /// Keeps its part of the frame, the last that is kept or not.
    fn keep(&mut self, part: Self::Part, is_last: bool, frame: &mut Frame<'_, impl Source>);

    /// Writes the value, but for its tail; `None` where there is less room than said.
    fn put(&self, out: &mut Cursor<'_>) -> Option<()>;

    /// The octets of a long value. They go behind all that is put, so what follows such a field in
    /// a body puts nothing.
    #[inline]
    fn tail(&self) -> &[u8] {
        &[]
    }
}

/// The part of [`Field`] of a value that is copied out of the frame.
macro_rules! keeps_nothing {
    () => {
        type Part = ();

        #[inline]
        fn keep(
            &mut self,
            (): (),
            _is_last: bool,
            _frame: &mut $crate::field::Frame<'_, impl $crate::field::Source>,
        ) {
        }
    };
}
pub(crate) use keeps_nothing;

/// What one field keeps of the memory of the frame: nothing, or the octets at a [`Place`].
pub(crate) trait Part {
    /// Whether there are any octets.
    fn is_kept(&self) -> bool;
}

impl Part for () {
    #[inline]
    fn is_kept(&self) -> bool {
        false
    }
}

impl Part for Place {
    #[inline]
    fn is_kept(&self) -> bool {
        self.len > 0
    }
}

/// A place in a frame, counted from the frame's end.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    start: usize,
    len: usize,
}

impl Place {
    pub(crate) const EMPTY: Self = Self { start: 0, len: 0 };

    /// The first `len` octets of `input`, whose end is the frame's.
    #[inline]
    pub(crate) const fn at_start_of(input: &[u8], len: usize) -> Self {
        Self {
            start: input.len(),
            len,
        }
    }
}

/// One frame at the front of the octets that have come, from which parts are split off in the order
/// of the wire.
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

    /// Splits off the octets at a place, into an empty value, which costs less than to hand them
    /// over, and drops what is before them. `is_last` says that what is behind them is not wanted
    /// either: then the next frame is in front at once.
    #[inline]
    pub(crate) fn split(&mut self, place: Place, is_last: bool, into: &mut Bytes) {
        let before = self.left.saturating_sub(place.start);
        let behind = if is_last {
            0
        } else {
            place.start.saturating_sub(place.len)
        };
        let len = self.left.saturating_sub(behind);
        self.left = behind;
        // What it replaces is the empty default, which has nothing to drop.
        std::mem::forget(std::mem::replace(into, self.octets.split_front(len)));
        into.advance(before.min(len));
        into.truncate(place.len);
    }

    /// Drops what is left of the frame.
    #[inline]
    pub(crate) fn finish(&mut self) {
        if self.left > 0 {
            self.octets.advance(std::mem::take(&mut self.left));
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
    pub(crate) fn put<const N: usize>(&mut self, octets: [u8; N]) -> Option<()> {
        self.put_first(&octets, N)
    }

    /// Writes the first `len` of these octets; the place behind them is written to as well.
    #[inline]
    pub(crate) fn put_first<const N: usize>(&mut self, octets: &[u8; N], len: usize) -> Option<()> {
        let rest = std::mem::take(&mut self.rest);
        *rest.first_chunk_mut()? = *octets;
        if len > N {
            return None;
        }
        self.rest = rest.get_mut(len..)?;
        Some(())
    }
}

#[inline]
pub(crate) fn fail<T>(error: FieldError) -> Result<T, nom::Err<FieldError>> {
    Err(nom::Err::Error(error))
}

impl Field for u8 {
    keeps_nothing!();

    const ROOM: usize = 1;

    #[inline]
    fn take<'a>(&mut self, input: &'a [u8]) -> Taken<'a, ()> {
        let (rest, octet) = take_octet(input)?;
        *self = octet;
        Ok((rest, ()))
    }

    #[inline]
    fn put(&self, out: &mut Cursor<'_>) -> Option<()> {
        out.put([*self])
    }
}

/// The open wire enums of one octet are fields as they are.
macro_rules! octet_fields {
    ($($name:ident),*) => {$(
        impl Field for $name {
            keeps_nothing!();

            const ROOM: usize = 1;

            #[inline]
            fn take<'a>(&mut self, input: &'a [u8]) -> Taken<'a, ()> {
                self.0.take(input)
            }

            #[inline]
            fn put(&self, out: &mut Cursor<'_>) -> Option<()> {
                out.put([self.0])
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
