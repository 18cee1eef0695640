//! Amounts of money: whole micro-units of the operator's currency, never a float.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Micro-units in one unit of the currency.
const MICROS: i64 = 1_000_000;

/// An amount of the operator's currency in micro-units (0.000001), between [`Money::MIN`] and
/// [`Money::MAX`].
///
/// The bound of 9·10^15 keeps every amount exact where a store computes with doubles. Arithmetic
/// that leaves the bounds gives `None`.
///
/// Serialised as its micro-units, a whole number.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(into = "i64", try_from = "i64")]
pub struct Money(i64);

impl Money {
    /// Nothing.
    pub const ZERO: Self = Self(0);
    /// The largest amount: 9·10^15 micro-units.
    pub const MAX: Self = Self(9_000_000_000_000_000);
    /// The smallest amount: -9·10^15 micro-units.
    pub const MIN: Self = Self(-Self::MAX.0);

    /// The amount of so many micro-units, if it is within the bounds.
    #[must_use]
    pub const fn from_micros(micros: i64) -> Option<Self> {
        if micros < Self::MIN.0 || micros > Self::MAX.0 {
            None
        } else {
            Some(Self(micros))
        }
    }

    /// The amount in micro-units.
    #[must_use]
    pub const fn micros(self) -> i64 {
        self.0
    }

    /// The sum, if it is within the bounds.
    #[must_use]
    pub fn checked_add(self, other: Self) -> Option<Self> {
        self.0.checked_add(other.0).and_then(Self::from_micros)
    }

    /// The difference, if it is within the bounds.
    #[must_use]
    pub fn checked_sub(self, other: Self) -> Option<Self> {
        self.0.checked_sub(other.0).and_then(Self::from_micros)
    }

    /// So many times the amount (a price times its segments), if it is within the bounds.
    #[must_use]
    pub fn checked_mul(self, times: u32) -> Option<Self> {
        self.0
            .checked_mul(i64::from(times))
            .and_then(Self::from_micros)
    }
}

impl From<Money> for i64 {
    fn from(money: Money) -> Self {
        money.micros()
    }
}

impl TryFrom<i64> for Money {
    type Error = MoneyError;

    fn try_from(micros: i64) -> Result<Self, MoneyError> {
        Self::from_micros(micros).ok_or(MoneyError::TooLarge)
    }
}

/// The amount as a decimal without trailing zeros, such as `0.045`, `-3` or `12.5`.
impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let micros = self.0.unsigned_abs();
        let (whole, rest) = (
            micros / MICROS.unsigned_abs(),
            micros % MICROS.unsigned_abs(),
        );
        if rest == 0 {
            return write!(f, "{sign}{whole}");
        }
        let decimals = format!("{rest:06}");
        write!(f, "{sign}{whole}.{}", decimals.trim_end_matches('0'))
    }
}

/// Why a text is not an amount of money.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MoneyError {
    /// There is something other than digits and one point.
    #[error("is not an amount; write digits with at most one point, e.g. \"0.045\"")]
    Malformed,
    /// There are more than six decimals, so the amount has no exact value in micro-units.
    #[error("has more than 6 decimals; round it to micro-units, e.g. \"0.045001\"")]
    TooFine,
    /// The amount is beyond [`Money::MAX`] or [`Money::MIN`].
    #[error("is too large; the most is 9000000000")]
    TooLarge,
}

/// Reads `-`? digits (`.` digits)?, with at most six decimals.
impl FromStr for Money {
    type Err = MoneyError;

    fn from_str(text: &str) -> Result<Self, MoneyError> {
        let (negative, amount) = match text.strip_prefix('-') {
            Some(amount) => (true, amount),
            None => (false, text),
        };
        let (whole, decimals) = amount.split_once('.').unwrap_or((amount, "0"));
        if !is_digits(whole) || !is_digits(decimals) {
            return Err(MoneyError::Malformed);
        }
        if decimals.len() > 6 {
            return Err(MoneyError::TooFine);
        }
        let whole: i64 = whole.parse().map_err(|_| MoneyError::TooLarge)?;
        let decimals: i64 = format!("{decimals:0<6}")
            .parse()
            .map_err(|_| MoneyError::TooFine)?;
        let micros = whole
            .checked_mul(MICROS)
            .and_then(|micros| micros.checked_add(decimals));
        micros
            .map(|micros| if negative { -micros } else { micros })
            .and_then(Self::from_micros)
            .ok_or(MoneyError::TooLarge)
    }
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|octet| octet.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_amount_is_read_to_the_micro_unit_and_written_back() {
        for (text, micros, written) in [
            ("0.045", 45_000, "0.045"),
            ("12", 12_000_000, "12"),
            ("-3.50", -3_500_000, "-3.5"),
            ("0.000001", 1, "0.000001"),
            ("9000000000", 9_000_000_000_000_000, "9000000000"),
        ] {
            let money: Money = text.parse().unwrap();
            assert_eq!(
                (money.micros(), money.to_string().as_str()),
                (micros, written)
            );
        }
    }

    #[test]
    fn a_text_without_an_exact_amount_is_refused_with_the_reason() {
        for text in [
            "", "-", ".", "1.", ".5", "+1", "1e3", "1,5", "0x1", "1.2.3", "--1", "٣",
        ] {
            assert_eq!(
                text.parse::<Money>(),
                Err(MoneyError::Malformed),
                "{text:?}"
            );
        }
        assert_eq!("0.0000001".parse::<Money>(), Err(MoneyError::TooFine));
        for text in [
            "9000000000.000001",
            "-9000000000.000001",
            "99999999999999999999",
        ] {
            assert_eq!(text.parse::<Money>(), Err(MoneyError::TooLarge), "{text:?}");
        }
    }

    #[test]
    fn arithmetic_stops_at_the_bounds() {
        let one = Money::from_micros(1).unwrap();
        assert_eq!(Money::MAX.checked_add(one), None);
        assert_eq!(Money::MIN.checked_sub(one), None);
        assert_eq!(Money::MAX.checked_mul(2), None);
        assert_eq!(Money::from_micros(i64::MIN), None);
        assert_eq!(one.checked_mul(3), Money::from_micros(3));
        assert_eq!(one.checked_sub(one), Some(Money::ZERO));
    }

    proptest! {
        #[test]
        fn every_amount_survives_writing_and_reading(micros in Money::MIN.0..=Money::MAX.0) {
            let money = Money::from_micros(micros).unwrap();
            prop_assert_eq!(money.to_string().parse::<Money>(), Ok(money));
        }
    }
}
