//! The plain values: text, numbers, times, paths and addresses, and the checks on them.

use std::fmt::Display;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use ruma::{OwnedServerName, OwnedUserId};
use toml::de::DeValue;

use crate::money::Money;
use crate::read::{FromToml, Mend, Node, quoted};

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
                let (low, high) = (Self::MIN, Self::MAX);
                Self::try_from(number).ok().or_else(|| {
                    node.wrong(format!("is {number}; write a number from {low} to {high}"))
                })
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

fn duration(text: &str) -> Option<Duration> {
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
fn shown(duration: Duration) -> String {
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

/// Checks that a value is within bounds.
pub(crate) fn within<T: PartialOrd + Display>(bounds: RangeInclusive<T>) -> impl Fn(&T) -> Mend {
    move |value| {
        if bounds.contains(value) {
            return Ok(());
        }
        Err(format!(
            "is {value}; write a number from {} to {}",
            bounds.start(),
            bounds.end()
        ))
    }
}

/// Checks that a time is within bounds.
pub(crate) fn lasts(low: &'static str, high: &'static str) -> impl Fn(&Duration) -> Mend {
    move |value| {
        let fits = |low, high| (low..=high).contains(value);
        match duration(low).zip(duration(high)) {
            Some((low, high)) if fits(low, high) => Ok(()),
            _ => Err(format!(
                "is {}; write a time from {low} to {high}",
                shown(*value)
            )),
        }
    }
}

/// Checks a name that stands in logs and as the label of metrics.
pub(crate) fn label(name: &impl AsRef<str>) -> Mend {
    let name = name.as_ref();
    let fits = |octet: u8| octet.is_ascii_alphanumeric() || b"-_.".contains(&octet);
    if (1..=64).contains(&name.len()) && name.bytes().all(fits) {
        return Ok(());
    }
    Err(format!(
        "{} is not a name; write 1 to 64 letters, digits, `-`, `_` or `.`",
        quoted(name)
    ))
}

/// Checks a text of people: not empty, at most 64 characters, none of control.
pub(crate) fn title(text: &impl AsRef<str>) -> Mend {
    let text = text.as_ref();
    if (1..=64).contains(&text.chars().count()) && !text.chars().any(char::is_control) {
        return Ok(());
    }
    Err(format!(
        "{} does not fit; write 1 to 64 printable characters",
        quoted(text)
    ))
}

/// Checks a field of SMPP that ends with a NUL: ASCII, at most `most` octets before the NUL.
pub(crate) fn octets(most: usize) -> impl Fn(&String) -> Mend {
    move |text| {
        if !is_printable_ascii(text) {
            return Err("has characters beyond ASCII; SMPP carries only ASCII here".to_owned());
        }
        if text.len() > most {
            let length = text.len();
            return Err(format!(
                "has {length} characters; SMPP carries {most} at most here"
            ));
        }
        Ok(())
    }
}

pub(crate) fn is_printable_ascii(text: &str) -> bool {
    text.bytes().all(|octet| (b' '..=b'~').contains(&octet))
}

/// Checks characters of a Matrix localpart. Matrix spec, "User Identifiers".
pub(crate) fn localpart(text: &impl AsRef<str>) -> Mend {
    let text = text.as_ref();
    let fits = |octet: u8| {
        octet.is_ascii_lowercase() || octet.is_ascii_digit() || b"._=-/+".contains(&octet)
    };
    if (1..=64).contains(&text.len()) && text.bytes().all(fits) {
        return Ok(());
    }
    Err(format!(
        "{} does not fit a Matrix ID; write 1 to 64 of a-z, 0-9, `._=-/+`",
        quoted(text)
    ))
}

/// Checks a base URL of HTTP: a scheme, a host, and nothing after the path.
pub(crate) fn http_url(text: &impl AsRef<str>) -> Mend {
    let text = text.as_ref();
    let wanted = "write e.g. \"http://127.0.0.1:8008\"";
    let Ok(url) = url::Url::parse(text) else {
        return Err(format!("is not a URL; {wanted}"));
    };
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err(format!("is not an HTTP URL; {wanted}"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(format!("holds a user name or password; {wanted}"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(format!("has a `?` or `#`; {wanted}"));
    }
    Ok(())
}

/// Checks a `host:port` to connect to: a name or IP address, IPv6 in brackets.
pub(crate) fn host_port(text: &impl AsRef<str>) -> Mend {
    let text = text.as_ref();
    let wanted = "write host:port, e.g. \"127.0.0.1:2775\"";
    if text.parse::<std::net::Ipv6Addr>().is_ok() {
        return Err(format!(
            "{} is IPv6 without brackets; write \"[{text}]:2775\"",
            quoted(text)
        ));
    }
    let Some((host, port)) = text.rsplit_once(':') else {
        return Err(format!("{} has no port; {wanted}", quoted(text)));
    };
    if !port.parse::<u16>().is_ok_and(|port| port > 0) || !is_digits(port) {
        return Err(format!(
            "{} is not a port from 1 to 65535; {wanted}",
            quoted(port)
        ));
    }
    if !is_host(host) {
        return Err(format!("{} is not a host; {wanted}", quoted(host)));
    }
    Ok(())
}

fn is_host(host: &str) -> bool {
    if let Some(inner) = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
    {
        return inner.parse::<std::net::Ipv6Addr>().is_ok();
    }
    let fits = |octet: u8| octet.is_ascii_alphanumeric() || b"-_.".contains(&octet);
    (1..=253).contains(&host.len()) && host.bytes().all(fits)
}

pub(crate) fn is_digits(text: &str) -> bool {
    text.bytes().all(|octet| octet.is_ascii_digit())
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

    #[test]
    fn a_peer_is_a_host_and_a_port() {
        for text in [
            "127.0.0.1:2775",
            "smsc.example.org:2775",
            "[::1]:2775",
            "smsc:1",
        ] {
            assert_eq!(host_port(&text), Ok(()), "{text}");
        }
        for text in [
            "smsc",
            "smsc:",
            "smsc:0",
            "smsc:65536",
            ":2775",
            "::1",
            "[::g]:1",
            "a b:1",
            "h:+1",
        ] {
            assert!(host_port(&text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_base_url_has_a_host_and_no_secrets() {
        for text in ["http://127.0.0.1:8008", "https://matrix.example.org/base"] {
            assert_eq!(http_url(&text), Ok(()), "{text}");
        }
        for text in [
            "",
            "example.org",
            "ftp://h",
            "http://u:p@h",
            "http://h?x",
            "http://h#x",
        ] {
            assert!(http_url(&text).is_err(), "{text}");
        }
    }
}
