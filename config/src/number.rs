//! Numbers of the operator's own: ranges of VMNs, shortcodes, and the prefixes of routes.

use std::fmt;
use std::str::FromStr;

use matrix_smpp_codec::e164::E164;

use crate::check::is_digits;
use crate::read::{FromToml, Mend, Node};

/// The most numbers in one pool.
pub const MAX_POOL_NUMBERS: u64 = 1_000_000;

/// A number that handsets see as ours: a VMN or a shortcode; 3 to 15 digits.
///
/// Its `Debug` hides the middle digits of what is long enough to be a VMN.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OwnNumber(String);

impl OwnNumber {
    /// Its digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for OwnNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for OwnNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (
            self.0.get(..4),
            self.0.get(self.0.len().saturating_sub(2)..),
        ) {
            (Some(first), Some(last)) if self.0.len() > 6 => write!(f, "{first}…{last}"),
            _ => f.write_str(&self.0),
        }
    }
}

impl FromToml for OwnNumber {
    fn from_toml(node: &Node<'_>) -> Option<Self> {
        let wanted = "its digits in quotes, e.g. \"447700900999\" or \"12345\"";
        let text = node.text(wanted)?;
        if (3..=15).contains(&text.len()) && is_digits(text) {
            return Some(Self(text.to_owned()));
        }
        node.wrong(format!("is not a number of 3 to 15 digits; write {wanted}"))
    }
}

/// One entry of a pool: a number, or all from the first to the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NumberRange {
    /// The lowest number.
    pub first: E164,
    /// The highest number, with as many digits as the lowest.
    pub last: E164,
}

impl NumberRange {
    /// How many numbers there are, at least 1.
    #[must_use]
    pub fn count(&self) -> u64 {
        let (first, last) = self.bounds();
        last.saturating_sub(first).saturating_add(1)
    }

    /// Whether a number is in the range. Numbers of one length order as text does.
    fn contains(&self, number: &E164) -> bool {
        let as_long = number.as_str().len() == self.first.as_str().len();
        as_long && (&self.first..=&self.last).contains(&number)
    }

    /// The ends as integers; 15 digits fit.
    pub(crate) fn bounds(&self) -> (u64, u64) {
        (integer(&self.first), integer(&self.last))
    }
}

fn integer(number: &E164) -> u64 {
    number.as_str().parse().unwrap_or_default()
}

/// The VMNs of a pool, as ranges that do not overlap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Numbers {
    /// The ranges, in the order of the file.
    pub ranges: Vec<NumberRange>,
}

impl Numbers {
    /// How many numbers there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.ranges
            .iter()
            .map(NumberRange::count)
            .fold(0, u64::saturating_add)
    }

    /// Every number, in the order of the file.
    pub fn iter(&self) -> impl Iterator<Item = E164> {
        let integers = self.ranges.iter().flat_map(|range| {
            let (first, last) = range.bounds();
            first..=last
        });
        integers.filter_map(|number| number.to_string().parse().ok())
    }

    /// Whether a number is one of these.
    #[must_use]
    pub fn contains(&self, number: &E164) -> bool {
        self.ranges.iter().any(|range| range.contains(number))
    }
}

impl FromToml for Numbers {
    fn from_toml(node: &Node<'_>) -> Option<Self> {
        let ranges = Vec::from_toml(node)?;
        Some(Self { ranges })
    }
}

impl FromToml for NumberRange {
    fn from_toml(node: &Node<'_>) -> Option<Self> {
        let wanted = "a number \"447700900900\" or a range \"447700900901-447700900950\"";
        let text = node.text(wanted)?;
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let (Ok(first), Ok(last)) = (E164::from_str(first), E164::from_str(last)) else {
            return node.wrong(format!("is not a number of digits only; write {wanted}"));
        };
        let range = Self { first, last };
        let (low, high) = range.bounds();
        if high < low || high.to_string().len() != low.to_string().len() {
            let mend = "is not a range; write the lower number first, both with as many digits";
            return node.wrong(mend);
        }
        Some(range)
    }
}

/// Checks that a pool is neither empty nor too large.
pub(crate) fn pool_size(numbers: &Numbers) -> Mend {
    match numbers.count() {
        0 => Err("is empty; write at least one number".to_owned()),
        count if count > MAX_POOL_NUMBERS => Err(format!(
            "has {count} numbers; split the pool, the most is {MAX_POOL_NUMBERS}"
        )),
        _ => Ok(()),
    }
}

/// The first digits of the destinations of a route; empty for every destination.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Prefix(String);

impl Prefix {
    /// Its digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromToml for Prefix {
    fn from_toml(node: &Node<'_>) -> Option<Self> {
        let wanted = "the first digits in quotes, e.g. \"44\", or \"\" for every number";
        let text = node.text(wanted)?;
        if text.len() <= 15 && is_digits(text) && !text.starts_with('0') {
            return Some(Self(text.to_owned()));
        }
        node.wrong(format!("does not begin a number; write {wanted}"))
    }
}
