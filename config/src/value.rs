//! The plain values: text, numbers, times, paths and addresses.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use ruma::{OwnedServerName, OwnedUserId};
use toml::de::DeValue;

use crate::money::Money;
use crate::read::{FromToml, Node, quoted};

const DAY: u64 = 24 * 60 * 60;
const UNITS: [(&str, u64); 4] = [("s", 1), ("m", 60), ("h", 3_600), ("d", DAY)];

impl FromToml for String {
    fn from_toml(node: &Node<'_>) -> Option<Self> {
        node.text("a text in quotes").map(Self::from)
    }
}

impl FromToml for bool {
    fn from_toml(node: &Node<'_>) -> Option<Self> {
        match node.value {
            DeValue::Boolean(value) => Some(*value),
            _ => node.not("true or false, without quotes"),
        }
    }
}

impl<T: FromToml> FromToml for Vec<T> {
    fn from_toml(node: &Node<'_>) -> Option<Self> {
        let read: Vec<_> = node
            .elements("a list in brackets")?
            .iter()
            .map(T::from_toml)
            .collect();
        read.into_iter().collect()
    }
}

/// Reads whole numbers as the integer type of their field.
macro_rules! whole_numbers {
    ($($int:ty),*) => {$(
        impl FromToml for $int {
            fn from_toml(node: &Node<'_>) -> Option<Self> {
                let number = integer(node)?;
                let size = if number < 0 { "larger" } else { "smaller" };
                let wrong = || node.wrong(format!("is {number}; write a {size} number"));
                Self::try_from(number).ok().or_else(wrong)
            }
        }
    )*};
}

whole_numbers!(u8, u32, usize);

impl FromToml for NonZeroU32 {
    fn from_toml(node: &Node<'_>) -> Option<Self> {
        let number = u32::from_toml(node)?;
        Self::new(number).or_else(|| node.wrong("is 0; write 1 or more, or remove it"))
    }
}

fn integer(node: &Node<'_>) -> Option<i64> {
    let DeValue::Integer(integer) = node.value else {
        return node.not("a whole number without quotes");
    };
    i64::from_str_radix(integer.as_str(), integer.radix())
        .ok()
        .or_else(|| node.wrong("is too large; write a smaller number"))
}

/// A count and a unit: `500ms`, `10s`, `5m`, `24h`, `30d`.
impl FromToml for Duration {
    fn from_toml(node: &Node<'_>) -> Option<Self> {
        let wanted = "a time with its unit, e.g. \"10s\", \"5m\", \"24h\" or \"30d\"";
        let text = node.text(wanted)?;
        let wrong = || node.wrong(format!("{} is not a time; write {wanted}", quoted(text)));
        duration(text).or_else(wrong)
    }
}

pub(crate) fn duration(text: &str) -> Option<Duration> {
    if let Some(millis) = text.strip_suffix("ms") {
        return digits(millis).map(Duration::from_millis);
    }
    let mut units = UNITS.iter();
    let (count, seconds) =
        units.find_map(|(unit, seconds)| Some((text.strip_suffix(unit)?, seconds)))?;
    digits(count)?
        .checked_mul(*seconds)
        .map(Duration::from_secs)
}

fn digits(text: &str) -> Option<u64> {
    text.bytes()
        .all(|octet| octet.is_ascii_digit())
        .then(|| text.parse().ok())?
}

/// A duration in the largest unit that writes it whole.
pub(crate) fn shown(duration: Duration) -> String {
    let (seconds, millis) = (duration.as_secs(), duration.as_millis());
    if duration.subsec_millis() != 0 {
        return format!("{millis}ms");
    }
    let mut units = UNITS.iter().rev();
    let fit = units.find(|(_, length)| seconds >= *length && seconds % length == 0);
    fit.map_or_else(
        || "0s".to_owned(),
        |(unit, length)| format!("{}{unit}", seconds / length),
    )
}

/// Relative paths start at the folder of the configuration file.
impl FromToml for PathBuf {
    fn from_toml(node: &Node<'_>) -> Option<Self> {
        let wanted = "a path in quotes";
        match node.text(wanted)? {
            "" => node.wrong(format!("is empty; write {wanted}")),
            text if text.contains('\0') => node.wrong("holds a NUL; remove it"),
            text => Some(node.cx.folder.join(text)),
        }
    }
}

/// Reads a text by the type's own rules; `wanted` is the mend.
fn parsed<T: FromStr>(node: &Node<'_>, wanted: &str) -> Option<T> {
    let text = node.text(wanted)?;
    let wrong = || node.wrong(format!("{} does not fit; write {wanted}", quoted(text)));
    text.parse().ok().or_else(wrong)
}

impl FromToml for SocketAddr {
    fn from_toml(node: &Node<'_>) -> Option<Self> {
        parsed(node, "an IP address and a port, e.g. \"127.0.0.1:29300\"")
    }
}

impl FromToml for OwnedServerName {
    fn from_toml(node: &Node<'_>) -> Option<Self> {
        let wanted = "the server name of a homeserver, e.g. \"example.org\"";
        let text = node.text(wanted)?;
        let wrong = || node.wrong(format!("{} does not fit; write {wanted}", quoted(text)));
        Self::try_from(text).ok().or_else(wrong)
    }
}

impl FromToml for OwnedUserId {
    fn from_toml(node: &Node<'_>) -> Option<Self> {
        let wanted = "a full Matrix ID, e.g. \"@alice:example.org\"";
        let text = node.text(wanted)?;
        let wrong = || node.wrong(format!("{} does not fit; write {wanted}", quoted(text)));
        Self::try_from(text).ok().or_else(wrong)
    }
}

/// Written as text, since a TOML float is not exact.
impl FromToml for Money {
    fn from_toml(node: &Node<'_>) -> Option<Self> {
        let text = node.text("the amount in quotes, e.g. \"0.045\" (a float is not exact)")?;
        match text.parse() {
            Ok(money) => Some(money),
            Err(error) => node.wrong(format!("{} {error}", quoted(text))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_a_count_and_a_unit() {
        for (text, millis) in [
            ("500ms", 500),
            ("10s", 10_000),
            ("5m", 300_000),
            ("24h", 86_400_000),
            ("30d", 30 * 86_400_000),
            ("0s", 0),
        ] {
            assert_eq!(
                duration(text),
                Some(Duration::from_millis(millis)),
                "{text}"
            );
        }
        for text in [
            "",
            "s",
            "10",
            "1.5s",
            "-1s",
            "+1s",
            "1 s",
            "1w",
            "99999999999999999999s",
        ] {
            assert_eq!(duration(text), None, "{text}");
        }
        assert_eq!(duration("18446744073709551615d"), None);
    }

    #[test]
    fn a_time_is_shown_in_its_largest_whole_unit() {
        for text in ["500ms", "1500ms", "10s", "90s", "5m", "25h", "30d", "0s"] {
            assert_eq!(shown(duration(text).unwrap()), text);
        }
    }
}
