//! Telephone numbers as ITU-T E.164 writes them, digits only.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// The most digits that E.164 gives an international number (§6.2.1).
const MAX_DIGITS: usize = 15;
/// Fewer digits than this are a shortcode or a mistake, never an international number.
const MIN_DIGITS: usize = 3;

/// An international telephone number: 3 to 15 digits, the first of them 1 to 9, no `+`.
///
/// One number has exactly one value, so that it can be a key. Orders as text does. `Display` gives
/// all digits; `Debug` and [`Self::redacted`] give only enough to tell numbers apart in a log.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct E164 {
    digits: [u8; MAX_DIGITS],
    len: u8,
}

/// Why a text is not an [`E164`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum E164Error {
    /// Not all characters are ASCII digits; a leading `+` is one of them.
    #[error("a number has digits only")]
    NotDigits,
    /// International numbers do not begin with 0.
    #[error("an international number does not begin with 0")]
    LeadingZero,
    /// Fewer than 3 digits.
    #[error("a number has at least 3 digits")]
    TooShort,
    /// More than 15 digits.
    #[error("a number has at most 15 digits")]
    TooLong,
}

impl E164 {
    /// The digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }

    /// The digits as ASCII octets.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.digits.get(..usize::from(self.len)).unwrap_or_default()
    }

    /// The first four digits and the last two, for logs: `4477…23`.
    #[must_use]
    pub fn redacted(&self) -> Redacted<'_> {
        Redacted(self.as_bytes())
    }
}

impl FromStr for E164 {
    type Err = E164Error;

    fn from_str(text: &str) -> Result<Self, E164Error> {
        Self::try_from(text.as_bytes())
    }
}

impl TryFrom<&[u8]> for E164 {
    type Error = E164Error;

    fn try_from(octets: &[u8]) -> Result<Self, E164Error> {
        if !octets.iter().all(u8::is_ascii_digit) {
            return Err(E164Error::NotDigits);
        }
        if octets.len() < MIN_DIGITS {
            return Err(E164Error::TooShort);
        }
        if octets.first() == Some(&b'0') {
            return Err(E164Error::LeadingZero);
        }
        let mut digits = [0; MAX_DIGITS];
        let place = digits.get_mut(..octets.len()).ok_or(E164Error::TooLong)?;
        place.copy_from_slice(octets);
        let len = u8::try_from(octets.len()).map_err(|_| E164Error::TooLong)?;
        Ok(Self { digits, len })
    }
}

impl fmt::Display for E164 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for E164 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "E164({})", self.redacted())
    }
}

/// Prints an address so that a reader of logs can tell it from others but not call it: the first
/// four and the last two characters of a long one, the first two of a short one.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Redacted<'a>(pub &'a [u8]);

impl fmt::Display for Redacted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (first, last) = match self.0.len() {
            0 => return Ok(()),
            9.. => (
                self.0.first_chunk::<4>().map(<[u8; 4]>::as_slice),
                self.0.last_chunk::<2>(),
            ),
            3.. => (self.0.first_chunk::<2>().map(<[u8; 2]>::as_slice), None),
            _ => (None, None),
        };
        let last = last.map(<[u8; 2]>::as_slice).unwrap_or_default();
        let first = first.unwrap_or_default();
        write!(f, "{}…{}", first.escape_ascii(), last.escape_ascii())
    }
}

impl fmt::Debug for Redacted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_canonical_number_prints_as_it_was_written() {
        let number: E164 = "447700900123".parse().unwrap();
        assert_eq!(number.to_string(), "447700900123");
        assert_eq!(number.as_str(), "447700900123");
    }

    #[test]
    fn whatever_is_not_canonical_is_refused_with_its_reason() {
        let refused = |text: &str| text.parse::<E164>().unwrap_err();
        assert_eq!(refused("+447700900123"), E164Error::NotDigits);
        assert_eq!(refused("4477 009"), E164Error::NotDigits);
        assert_eq!(refused("٤٤٧٧٠٠٩"), E164Error::NotDigits);
        assert_eq!(refused("07700900123"), E164Error::LeadingZero);
        assert_eq!(refused("12"), E164Error::TooShort);
        assert_eq!(refused(""), E164Error::TooShort);
        assert_eq!(refused("1234567890123456"), E164Error::TooLong);
        assert!("123456789012345".parse::<E164>().is_ok());
    }

    #[test]
    fn debug_never_shows_the_whole_number() {
        for text in ["447700900123", "123", "1234", "123456789"] {
            let number: E164 = text.parse().unwrap();
            assert!(!format!("{number:?}").contains(text));
        }
        let number: E164 = "447700900123".parse().unwrap();
        assert_eq!(number.redacted().to_string(), "4477…23");
    }

    #[test]
    fn numbers_order_as_text_does() {
        let number = |text: &str| text.parse::<E164>().unwrap();
        assert!(number("123") < number("1230"));
        assert!(number("1230") < number("124"));
    }
}
