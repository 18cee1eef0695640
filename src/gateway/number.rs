//! Numbers as people read and write them. The numbering plans come from the `phonenumber` crate.

use matrix_smpp_codec::e164::E164;
use phonenumber::Mode;
use phonenumber::metadata::{DATABASE, Descriptor};

use super::model::{E164Text, Handset, Originator};

/// Why a number cannot be texted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NumberError {
    /// It holds something that is not part of a number.
    #[error("it must be the digits of an international number, country code first")]
    NotANumber,
    /// It begins with 0: national, or with an international prefix.
    #[error("it must begin with the country code, not with 0")]
    LeadingZero,
    /// No numbering plan has this country code.
    #[error("no country code begins it")]
    UnknownCountry,
    /// Fewer digits than any number of its country.
    #[error("it is too short")]
    TooShort,
    /// More than 15 digits (ITU-T E.164 §6).
    #[error("it is too long")]
    TooLong,
    /// More text follows that could be part of it.
    #[error("it could end in more than one place")]
    Ambiguous,
}

/// Fewest digits, country code included, of a number that can be somebody's phone.
const MIN_DIGITS: usize = 7;

/// Most digits, country code included (ITU-T E.164 §6).
const MAX_DIGITS: usize = 15;

/// Reads the numbering plans, which takes a while and keeps everybody waiting who needs them meanwhile. What
/// is checked first does it where nobody has done so before.
pub fn learn_plans() {
    let _: &phonenumber::metadata::Database = &DATABASE;
}

/// Checks the digits of an international number against the numbering plans.
pub fn check(digits: &str) -> Result<E164, NumberError> {
    if digits.is_empty() || !digits.bytes().all(|octet| octet.is_ascii_digit()) {
        return Err(NumberError::NotANumber);
    }
    if digits.starts_with('0') {
        return Err(NumberError::LeadingZero);
    }
    if digits.len() > MAX_DIGITS {
        return Err(NumberError::TooLong);
    }
    if digits.len() < MIN_DIGITS {
        return Err(NumberError::TooShort);
    }
    match phonenumber::parse(None, format!("+{digits}")) {
        Ok(number) if DATABASE.by_code(&number.code().value()).is_some() => {
            digits.parse().map_err(|_| NumberError::NotANumber)
        }
        Err(phonenumber::ParseError::TooShortNsn | phonenumber::ParseError::TooShortAfterIdd) => {
            Err(NumberError::TooShort)
        }
        Err(phonenumber::ParseError::TooLong) => Err(NumberError::TooLong),
        Ok(_) | Err(_) => Err(NumberError::UnknownCountry),
    }
}

/// How well a number fits its country's numbering plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fit {
    /// No phone of the country has as many digits.
    Never,
    /// It has as many digits as phones there have.
    ByLength,
    /// It is in a range that the plan has given out.
    Assigned,
}

/// How well the number fits its country's numbering plan. A bad fit is no proof: plans change.
#[must_use]
pub fn fit(number: E164) -> Fit {
    let Ok(parsed) = phonenumber::parse(None, format!("+{number}")) else {
        return Fit::Never;
    };
    if parsed.is_valid() {
        return Fit::Assigned;
    }
    let code = parsed.code().value();
    let digits = number.to_string().len() - code.to_string().len();
    let plans = DATABASE.by_code(&code).unwrap_or_default();
    let mut lengths = plans.iter().flat_map(|plan| {
        let kinds = [plan.descriptors().mobile(), plan.descriptors().fixed_line()];
        kinds
            .into_iter()
            .flatten()
            .flat_map(Descriptor::possible_length)
    });
    if lengths.any(|length| usize::from(*length) == digits) {
        Fit::ByLength
    } else {
        Fit::Never
    }
}

/// The number that these digits are in the national form of the country with this code; `None` where
/// no phone of the country has as many digits.
#[must_use]
pub fn from_national(digits: &str, country_code: &str) -> Option<E164> {
    let code: u16 = country_code.parse().ok()?;
    let plan = *DATABASE.by_code(&code)?.first()?;
    let country = plan.id().parse().ok()?;
    let number = phonenumber::parse(Some(country), digits).ok()?;
    let international = number.format().mode(Mode::E164).to_string();
    let international: E164 = international.trim_start_matches('+').parse().ok()?;
    let same_country = number.code().value() == code;
    (same_country && fit(international) > Fit::Never).then_some(international)
}

/// What a number of our own is as a sender: a VMN, which phones can answer from anywhere, or a short
/// code.
#[must_use]
pub fn originator(digits: &str) -> Originator {
    match check(digits) {
        Ok(number) => Originator::Vmn(E164Text(number)),
        Err(_) => Originator::Shortcode(digits.to_owned()),
    }
}

/// Reads a number as a person types it: `+44 7700 900-123`, `+44 (0)7700…`, `0044…`,
/// `447700900123`.
pub fn parse_typed(text: &str) -> Result<E164, NumberError> {
    let separators = [' ', '\u{a0}', '-', '.', '(', ')', '/'];
    // The national prefix, which is not dialled from abroad.
    let text = text.replace("(0)", "");
    let bare: String = text.chars().filter(|c| !separators.contains(c)).collect();
    let digits = bare
        .strip_prefix('+')
        .or_else(|| bare.strip_prefix("00"))
        .unwrap_or(&bare);
    check(digits)
}

/// The handset as people read it: `+44 7700 900123`, `12345 (short code)`, `MyBank (unverified)`.
#[must_use]
pub fn display(handset: &Handset) -> String {
    match handset {
        Handset::Number(number) => display_number(number.0),
        Handset::Shortcode(code) => format!("{code} (unverified)"),
        Handset::Alphanumeric(name) => format!("{name} (unverified)"),
    }
}

/// The number in the international form of its country; `+` and the digits where the plan has
/// none.
#[must_use]
pub fn display_number(number: E164) -> String {
    let plain = format!("+{number}");
    phonenumber::parse(None, &plain)
        .map(|parsed| parsed.format().mode(Mode::International).to_string())
        .unwrap_or(plain)
}

/// A number of ours as people read it.
#[must_use]
pub fn display_originator(originator: &Originator) -> String {
    match originator {
        Originator::Vmn(vmn) => display_number(vmn.0),
        Originator::Shortcode(code) => code.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_shown_as_its_country_writes_it() {
        for (digits, shown) in [
            ("447700900123", "+44 7700 900123"),
            ("14155550123", "+1 415-555-0123"),
            ("4915112345678", "+49 1511 2345678"),
        ] {
            assert_eq!(display_number(digits.parse().expect("a number")), shown);
        }
    }

    #[test]
    fn a_number_with_too_many_digits_for_its_country_does_not_fit() {
        for (digits, expected) in [
            ("447911123456", Fit::Assigned),
            ("447700900123", Fit::ByLength),
            ("4477009001232", Fit::Never),
            ("14155552671", Fit::Assigned),
            ("141555526712", Fit::Never),
        ] {
            assert_eq!(fit(digits.parse().expect("a number")), expected, "{digits}");
        }
    }

    #[test]
    fn what_is_typed_becomes_digits() {
        for typed in [
            "+44 7700 900123",
            "0044 7700-900.123",
            "447700900123",
            "+44(7700)900123",
            "+44 (0)7700 900123",
        ] {
            assert_eq!(
                parse_typed(typed).map(|n| n.to_string()),
                Ok("447700900123".to_owned())
            );
        }
    }

    #[test]
    fn what_cannot_be_a_phone_is_refused_with_the_reason() {
        for (digits, why) in [
            ("", NumberError::NotANumber),
            ("abc", NumberError::NotANumber),
            ("07700900123", NumberError::LeadingZero),
            ("4477", NumberError::TooShort),
            ("4477009001234567", NumberError::TooLong),
            ("999123456789", NumberError::UnknownCountry),
            ("210123456789", NumberError::UnknownCountry),
        ] {
            assert_eq!(check(digits), Err(why), "{digits}");
        }
    }
}
