//! Strings of octets: NUL-terminated ones kept inline, texts as slices of their frame.

use std::fmt;
use std::ops::Deref;
use std::str::FromStr;

use bytes::Bytes;

use crate::e164::{E164, Redacted};
use crate::field::{
    Cursor, Field, FieldError, Frame, OctetsError, Part, Place, Source, Taken, fail, keeps_nothing,
    length_octet, take_octet, take_octets,
};

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
    keeps_nothing!();

    const ROOM: usize = MAX;

    /// A string that the end of the frame cuts off is taken as it is: peers forget the last NUL.
    #[expect(
        clippy::inline_always,
        reason = "the place of the next field is this one's answer, and is waited for"
    )]
    #[inline(always)]
    fn take<'a>(&mut self, input: &'a [u8]) -> Taken<'a, ()> {
        let Some(octets) = input.first_chunk() else {
            return self.take_near_the_end(input);
        };
        match self.copy_to_nul(octets) {
            // Many strings are empty; then the next field is read without waiting for this one.
            Some(0) => Ok((input.get(1..).unwrap_or_default(), ())),
            Some(len) if len < MAX => {
                let rest = input.get(len.saturating_add(1)..);
                Ok((rest.unwrap_or_default(), ()))
            }
            _ => fail(FieldError::TooLong { max: MAX }),
        }
    }

    /// The octets behind the string are NULs, the first of which ends it.
    #[inline]
    fn put(&self, out: &mut Cursor<'_>) -> Option<()> {
        out.put_first(&self.octets, self.len().saturating_add(1))
    }
}

impl<const MAX: usize> COctets<MAX> {
    /// Copies the octets before the first NUL into an empty value; gives their number, or nothing
    /// where they are too many. Goes by words of eight octets.
    #[inline]
    fn copy_to_nul(&mut self, octets: &[u8; MAX]) -> Option<usize> {
        if octets.first() == Some(&0) {
            return Some(0);
        }
        let (words, rest) = octets.as_chunks();
        let (word_places, rest_places) = self.octets.as_chunks_mut();
        let mut copied: u8 = 0;
        for (word, place) in words.iter().zip(word_places) {
            let (before, len) = before_nul(*word);
            *place = before;
            copied = copied.saturating_add(len);
            if len < 8 {
                self.len = copied;
                return Some(usize::from(copied));
            }
        }
        for (octet, place) in rest.iter().zip(rest_places) {
            if *octet == 0 {
                self.len = copied;
                return Some(usize::from(copied));
            }
            *place = *octet;
            copied = copied.saturating_add(1);
        }
        None
    }

    /// [`Field::take`] where fewer than `MAX` octets are left.
    #[inline(never)]
    fn take_near_the_end<'a>(&mut self, input: &'a [u8]) -> Taken<'a, ()> {
        let mut padded = [0; MAX];
        if let Some(place) = padded.get_mut(..input.len()) {
            place.copy_from_slice(input);
        }
        match self.copy_to_nul(&padded) {
            Some(len) if !input.is_empty() => {
                let rest = input.get(len.saturating_add(1)..);
                Ok((rest.unwrap_or_default(), ()))
            }
            _ => fail(FieldError::Truncated),
        }
    }
}

/// The octets before the first NUL, with NULs behind them, and how many they are: 8 where there is
/// no NUL.
#[inline]
fn before_nul(octets: [u8; 8]) -> ([u8; 8], u8) {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGHS: u64 = 0x8080_8080_8080_8080;
    let word = u64::from_le_bytes(octets);
    // The lowest bit is the highest of the first octet that is 0; those above may mean nothing.
    let nuls = word.wrapping_sub(ONES) & !word & HIGHS;
    let before = (nuls & nuls.wrapping_neg()).wrapping_shr(7).wrapping_sub(1);
    let [len, ..] = nuls.trailing_zeros().wrapping_shr(3).to_le_bytes();
    ((word & before).to_le_bytes(), len)
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
            keeps_nothing!();

            const ROOM: usize = <$inner>::ROOM;

            #[inline(always)]
            fn take<'a>(&mut self, input: &'a [u8]) -> Taken<'a, ()> {
                self.0.take(input)
            }

            #[inline]
            fn put(&self, out: &mut Cursor<'_>) -> Option<()> {
                self.0.put(out)
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
    type Part = Place;

    const ROOM: usize = 1;

    #[inline]
    fn take<'a>(&mut self, input: &'a [u8]) -> Taken<'a, Place> {
        let (rest, length) = take_octet(input)?;
        if usize::from(length) > Self::MAX_LEN {
            return fail(FieldError::TooLong { max: Self::MAX_LEN });
        }
        let place = Place::at_start_of(rest, usize::from(length));
        let (rest, _) = take_octets(rest, length.into())?;
        Ok((rest, place))
    }

    #[inline]
    fn keep(&mut self, place: Place, is_last: bool, frame: &mut Frame<'_, impl Source>) {
        if place.is_kept() {
            frame.split(place, is_last, &mut self.0);
        }
    }

    #[inline]
    fn put(&self, out: &mut Cursor<'_>) -> Option<()> {
        out.put([length_octet(self.0.len())])
    }

    #[inline]
    fn tail(&self) -> &[u8] {
        &self.0
    }
}
