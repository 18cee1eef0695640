//! Strings of octets: NUL-terminated ones kept inline, texts as slices of their frame.

use std::fmt;
use std::ops::Deref;
use std::str::FromStr;

use bytes::{BufMut, Bytes, BytesMut};
use nom::bytes::complete::{take, take_till};
use nom::number::complete::be_u8;

use crate::e164::{E164, Redacted};
use crate::field::{Field, FieldError, OctetsError, Taken, fail, length_octet};

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

    /// These octets, none of which is a NUL; `None` where they are too many.
    fn copied(octets: &[u8]) -> Option<Self> {
        let mut value = Self::EMPTY;
        value.len = u8::try_from(octets.len())
            .ok()
            .filter(|len| usize::from(*len) < MAX)?;
        value
            .octets
            .get_mut(..octets.len())?
            .copy_from_slice(octets);
        Some(value)
    }

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
        Self::copied(octets).ok_or(OctetsError::TooLong { max: Self::MAX_LEN })
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
        match Self::copied(octets) {
            Some(value) => Ok((rest.get(1..).unwrap_or_default(), value)),
            None => fail(FieldError::TooLong { max: MAX }),
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
    /// PDUs, 65 in `data_sm` and `alert_notification`. `Debug` shows only part of it.
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
