//! Checks of values beyond their types: bounds, lengths, and what may stand in a text.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::time::Duration;

use crate::read::{Mend, quoted};
use crate::value::{duration, shown};

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
    if url.path().contains("/_matrix") {
        return Err(
            "ends in a path of the API; write it without `/_matrix` and what follows".to_owned(),
        );
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

/// Checks the country code of an account's national numbers.
pub(crate) fn country_code(code: &impl AsRef<str>) -> Mend {
    let code = code.as_ref();
    if (1..=3).contains(&code.len()) && is_digits(code) && !code.starts_with('0') {
        return Ok(());
    }
    Err("is no country code; write its digits, e.g. \"44\"".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

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
            "http://h/_matrix",
            "http://h/base/_matrix/client/v3",
        ] {
            assert!(http_url(&text).is_err(), "{text}");
        }
    }
}
