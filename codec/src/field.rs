//! The kinds of field that PDU bodies are made of. Bounds are in the types, so that a value that
//! exists can be encoded.

use std::fmt;
use std::ops::Deref;
use std::str::FromStr;

use bytes::{BufMut, Bytes, BytesMut};
use nom::IResult;
use nom::bytes::complete::{take, take_till};
use nom::error::{ErrorKind, ParseError};
use nom::number::complete::{be_u8, be_u16, be_u32};
use thiserror::Error;

use crate::e164::{E164, Redacted};
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

fn fail<T>(error: FieldError) -> Result<T, nom::Err<FieldError>> {
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

// === COctets ===

/// A C-octet string (SMPP 3.4 §3.1) of at most `MAX` octets, the NUL counted, kept inline.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct COctets<const MAX: usize> {
    /// Zero behind `len`, so that equality of the array is equality of the string.
    octets: [u8; MAX],
    len: u8,
}

impl<const MAX: usize> COctets<MAX> {
    /// The most octets that fit, the NUL not counted. The standard's largest string has 65.
    pub const MAX_LEN: usize = {
        assert!(
            0 < MAX && MAX <= 255,
            "a C-octet string has a NUL and a length of one octet"
        );
        MAX.saturating_sub(1)
    };

    /// The empty string, which the standard calls NULL.
    pub const EMPTY: Self = Self {
        octets: [0; MAX],
        len: 0,
    };

    /// The octets, without the NUL.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.octets.get(..usize::from(self.len)).unwrap_or_default()
    }

    /// The text where it is UTF-8, which ASCII is; `None` where a peer sent something else.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        std::str::from_utf8(self.as_bytes()).ok()
    }

    /// The text, with U+FFFD for what is not UTF-8.
    #[must_use]
    pub fn to_text(&self) -> String {
        String::from_utf8_lossy(self.as_bytes()).into_owned()
    }

    /// Whether there is nothing in it.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The number of octets, the NUL not counted.
    #[must_use]
    pub fn len(&self) -> usize {
        usize::from(self.len)
    }
}

impl<const MAX: usize> TryFrom<&[u8]> for COctets<MAX> {
    type Error = OctetsError;

    fn try_from(octets: &[u8]) -> Result<Self, OctetsError> {
        if octets.contains(&0) {
            return Err(OctetsError::Nul);
        }
        let too_long = OctetsError::TooLong { max: Self::MAX_LEN };
        if octets.len() > Self::MAX_LEN {
            return Err(too_long);
        }
        let mut value = Self::EMPTY;
        value
            .octets
            .get_mut(..octets.len())
            .ok_or(too_long)?
            .copy_from_slice(octets);
        value.len = u8::try_from(octets.len()).map_err(|_| too_long)?;
        Ok(value)
    }
}

impl<const MAX: usize> TryFrom<&str> for COctets<MAX> {
    type Error = OctetsError;

    fn try_from(text: &str) -> Result<Self, OctetsError> {
        Self::try_from(text.as_bytes())
    }
}

impl<const MAX: usize> FromStr for COctets<MAX> {
    type Err = OctetsError;

    fn from_str(text: &str) -> Result<Self, OctetsError> {
        Self::try_from(text.as_bytes())
    }
}

impl<const MAX: usize> Default for COctets<MAX> {
    fn default() -> Self {
        Self::EMPTY
    }
}

impl<const MAX: usize> fmt::Display for COctets<MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.to_text())
    }
}

impl<const MAX: usize> fmt::Debug for COctets<MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.as_bytes().escape_ascii())
    }
}

impl<const MAX: usize> Field for COctets<MAX> {
    /// A string that the end of the frame cuts off is taken as it is: peers forget the last NUL.
    fn take<'a>(_frame: &Bytes, input: &'a [u8]) -> Taken<'a, Self> {
        if input.is_empty() {
            return fail(FieldError::Truncated);
        }
        let (rest, octets) = take_till(|octet| octet == 0)(input)?;
        match Self::try_from(octets) {
            Ok(value) => Ok((rest.get(1..).unwrap_or_default(), value)),
            Err(_) => fail(FieldError::TooLong { max: MAX }),
        }
    }

    fn put(&self, out: &mut BytesMut) {
        out.put_slice(self.as_bytes());
        out.put_u8(0);
    }
}

/// The SMSC's handle of a message, opaque (§5.2.23). Older peers use 8 hexadecimal digits.
pub type MessageId = COctets<65>;

// === Address, Password ===

/// Wraps [`COctets`] in a type that prints less of it.
macro_rules! guarded_octets {
    ($(#[$doc:meta])* $name:ident$(<const $max:ident: usize>)?($inner:ty), $debug:expr) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $name$(<const $max: usize>)?($inner);

        impl$(<const $max: usize>)? Deref for $name$(<$max>)? {
            type Target = $inner;

            fn deref(&self) -> &$inner {
                &self.0
            }
        }

        impl$(<const $max: usize>)? From<$inner> for $name$(<$max>)? {
            fn from(octets: $inner) -> Self {
                Self(octets)
            }
        }

        impl$(<const $max: usize>)? TryFrom<&[u8]> for $name$(<$max>)? {
            type Error = OctetsError;

            fn try_from(octets: &[u8]) -> Result<Self, OctetsError> {
                <$inner>::try_from(octets).map(Self)
            }
        }

        impl$(<const $max: usize>)? TryFrom<&str> for $name$(<$max>)? {
            type Error = OctetsError;

            fn try_from(text: &str) -> Result<Self, OctetsError> {
                <$inner>::try_from(text).map(Self)
            }
        }

        impl$(<const $max: usize>)? FromStr for $name$(<$max>)? {
            type Err = OctetsError;

            fn from_str(text: &str) -> Result<Self, OctetsError> {
                text.parse().map(Self)
            }
        }

        impl$(<const $max: usize>)? fmt::Debug for $name$(<$max>)? {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let debug: fn(&[u8], &mut fmt::Formatter<'_>) -> fmt::Result = $debug;
                debug(self.0.as_bytes(), f)
            }
        }

        impl$(<const $max: usize>)? Field for $name$(<$max>)? {
            fn take<'a>(frame: &Bytes, input: &'a [u8]) -> Taken<'a, Self> {
                let (rest, octets) = <$inner>::take(frame, input)?;
                Ok((rest, Self(octets)))
            }

            fn put(&self, out: &mut BytesMut) {
                self.0.put(out);
            }
        }
    };
}

guarded_octets! {
    /// An address: a number, a shortcode or a name, as its type of number says. 21 octets in most
    /// PDUs, 65 in data_sm and alert_notification. `Debug` shows only part of it.
    Address<const MAX: usize>(COctets<MAX>),
    |octets, f| write!(f, "{}", Redacted(octets))
}

guarded_octets! {
    /// The password of a bind (§5.2.2), 8 octets at most. `Debug` shows nothing of it.
    Password(COctets<9>),
    |_, f| f.write_str("[redacted]")
}

/// An E.164 number fits every address.
macro_rules! addresses_from_e164 {
    ($($max:literal),*) => {$(
        impl From<E164> for Address<$max> {
            fn from(number: E164) -> Self {
                Self::try_from(number.as_bytes()).unwrap_or_default()
            }
        }
    )*};
}

addresses_from_e164!(21, 65);

// === ShortMessage ===

/// `sm_length` and `short_message` (§5.2.21, §5.2.22): at most 254 octets, a slice of the frame it
/// came in. `Debug` shows the length only.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct ShortMessage(Bytes);

impl ShortMessage {
    /// The most octets that fit; longer texts go into `message_payload`.
    pub const MAX_LEN: usize = 254;

    /// The octets, shared.
    #[must_use]
    pub fn bytes(&self) -> Bytes {
        self.0.clone()
    }
}

impl Deref for ShortMessage {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl TryFrom<Bytes> for ShortMessage {
    type Error = OctetsError;

    fn try_from(octets: Bytes) -> Result<Self, OctetsError> {
        if octets.len() > Self::MAX_LEN {
            return Err(OctetsError::TooLong { max: Self::MAX_LEN });
        }
        Ok(Self(octets))
    }
}

impl TryFrom<&[u8]> for ShortMessage {
    type Error = OctetsError;

    fn try_from(octets: &[u8]) -> Result<Self, OctetsError> {
        Self::try_from(Bytes::copy_from_slice(octets))
    }
}

impl fmt::Debug for ShortMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{} octets]", self.0.len())
    }
}

impl Field for ShortMessage {
    fn take<'a>(frame: &Bytes, input: &'a [u8]) -> Taken<'a, Self> {
        let (rest, length) = be_u8(input)?;
        if usize::from(length) > Self::MAX_LEN {
            return fail(FieldError::TooLong { max: Self::MAX_LEN });
        }
        let (rest, octets) = take(length)(rest)?;
        Ok((rest, Self(frame.slice_ref(octets))))
    }

    fn put(&self, out: &mut BytesMut) {
        out.put_u8(length_octet(self.0.len()));
        out.put_slice(&self.0);
    }
}

/// The length or count of a value whose type keeps it below 256.
fn length_octet(length: usize) -> u8 {
    u8::try_from(length).unwrap_or(u8::MAX)
}

// === DestAddresses, UnsuccessSmes ===

/// One destination of a submit_multi (§4.5.1.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(clippy::large_enum_variant, reason = "both are strings of 21 octets")]
pub enum DestAddress {
    /// An SME, `dest_flag` 1.
    Sme {
        /// Type of number.
        dest_addr_ton: Ton,
        /// Numbering plan.
        dest_addr_npi: Npi,
        /// The address.
        destination_addr: Address<21>,
    },
    /// A distribution list that the SMSC knows, `dest_flag` 2.
    List {
        /// Its name.
        dl_name: COctets<21>,
    },
}

impl DestAddress {
    const SME_FLAG: u8 = 1;
    const LIST_FLAG: u8 = 2;
}

impl Field for DestAddress {
    fn take<'a>(frame: &Bytes, input: &'a [u8]) -> Taken<'a, Self> {
        let (rest, flag) = be_u8(input)?;
        match flag {
            Self::SME_FLAG => {
                let (rest, dest_addr_ton) = Ton::take(frame, rest)?;
                let (rest, dest_addr_npi) = Npi::take(frame, rest)?;
                let (rest, destination_addr) = Address::take(frame, rest)?;
                Ok((
                    rest,
                    Self::Sme {
                        dest_addr_ton,
                        dest_addr_npi,
                        destination_addr,
                    },
                ))
            }
            Self::LIST_FLAG => {
                let (rest, dl_name) = COctets::take(frame, rest)?;
                Ok((rest, Self::List { dl_name }))
            }
            unknown => fail(FieldError::DestFlag(unknown)),
        }
    }

    fn put(&self, out: &mut BytesMut) {
        match self {
            Self::Sme {
                dest_addr_ton,
                dest_addr_npi,
                destination_addr,
            } => {
                out.put_u8(Self::SME_FLAG);
                dest_addr_ton.put(out);
                dest_addr_npi.put(out);
                destination_addr.put(out);
            }
            Self::List { dl_name } => {
                out.put_u8(Self::LIST_FLAG);
                dl_name.put(out);
            }
        }
    }
}

/// One destination that a submit_multi could not be sent to (§4.5.2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct UnsuccessSme {
    /// Type of number.
    pub dest_addr_ton: Ton,
    /// Numbering plan.
    pub dest_addr_npi: Npi,
    /// The address.
    pub destination_addr: Address<21>,
    /// Why it was refused.
    pub error_status_code: CommandStatus,
}

impl Field for UnsuccessSme {
    fn take<'a>(frame: &Bytes, input: &'a [u8]) -> Taken<'a, Self> {
        let (rest, dest_addr_ton) = Ton::take(frame, input)?;
        let (rest, dest_addr_npi) = Npi::take(frame, rest)?;
        let (rest, destination_addr) = Address::take(frame, rest)?;
        let (rest, status) = be_u32(rest)?;
        let error_status_code = CommandStatus(status);
        Ok((
            rest,
            Self {
                dest_addr_ton,
                dest_addr_npi,
                destination_addr,
                error_status_code,
            },
        ))
    }

    fn put(&self, out: &mut BytesMut) {
        self.dest_addr_ton.put(out);
        self.dest_addr_npi.put(out);
        self.destination_addr.put(out);
        out.put_u32(self.error_status_code.0);
    }
}

/// A list with its count in the octet before it.
macro_rules! counted {
    ($(#[$doc:meta])* $name:ident($entry:ty), max $max:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
        pub struct $name(Vec<$entry>);

        impl $name {
            /// The most entries that fit.
            pub const MAX: usize = $max;
        }

        impl Deref for $name {
            type Target = [$entry];

            fn deref(&self) -> &[$entry] {
                &self.0
            }
        }

        impl TryFrom<Vec<$entry>> for $name {
            type Error = OctetsError;

            fn try_from(entries: Vec<$entry>) -> Result<Self, OctetsError> {
                if entries.len() > Self::MAX {
                    return Err(OctetsError::TooLong { max: Self::MAX });
                }
                Ok(Self(entries))
            }
        }

        impl Field for $name {
            fn take<'a>(frame: &Bytes, input: &'a [u8]) -> Taken<'a, Self> {
                let (mut rest, count) = be_u8(input)?;
                if usize::from(count) > Self::MAX {
                    return fail(FieldError::TooLong { max: Self::MAX });
                }
                let mut entries = Vec::new();
                for _ in 0..count {
                    let (after, entry) = <$entry>::take(frame, rest)?;
                    entries.push(entry);
                    rest = after;
                }
                Ok((rest, Self(entries)))
            }

            fn put(&self, out: &mut BytesMut) {
                out.put_u8(length_octet(self.0.len()));
                for entry in &self.0 {
                    entry.put(out);
                }
            }
        }
    };
}

counted! {
    /// `number_of_dests` and `dest_address(es)` of a submit_multi (§4.5.1): 254 at most.
    DestAddresses(DestAddress), max 254
}

counted! {
    /// `no_unsuccess` and `unsuccess_sme(s)` of a submit_multi_resp (§4.5.2): 255 at most.
    UnsuccessSmes(UnsuccessSme), max 255
}

/// Reads one TLV: its tag and its value.
pub(crate) fn take_tlv(input: &[u8]) -> Taken<'_, (u16, &[u8])> {
    let (rest, tag) = be_u16(input)?;
    let (rest, length) = be_u16(rest)?;
    let (rest, value) = take(length)(rest)?;
    Ok((rest, (tag, value)))
}
