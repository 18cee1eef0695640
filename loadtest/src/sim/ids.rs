//! Message ids and reference numbers, and the forms in which an SMSC writes an id: the same message
//! may have another one in its receipt than in the answer to its `submit_sm`.

use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, IntoDeserializer, MapAccess};
use serde::{Deserialize, Deserializer, Serialize};

use crate::sim::dice::{Dice, mix};
use crate::sim::written::{self, Written};

/// The most characters of a `message_id` (SMPP 3.4 §5.2.23).
const MAX_ID: usize = 64;

/// The simulator's source of serial numbers. Two with the same seed give the same row.
#[derive(Debug, Clone)]
pub(crate) struct Ids {
    seed: u64,
    given: u32,
    dice: Dice,
}

impl Ids {
    /// Starts the row of this seed.
    pub(crate) const fn new(seed: u64) -> Self {
        Self {
            seed,
            given: 0,
            dice: Dice::new(seed),
        }
    }

    /// The serial number of the next message: ten decimal digits, none twice within 2^32.
    pub(crate) fn serial(&mut self) -> u64 {
        self.given = self.given.wrapping_add(1);
        let scattered = scatter(self.given ^ self.seed_word());
        1_000_000_000 + u64::from(scattered)
    }

    /// The next 16-bit reference for the segments of a long text.
    pub(crate) fn reference(&mut self) -> u16 {
        self.dice
            .draw()
            .to_be_bytes()
            .first_chunk::<2>()
            .map_or(0, |two| u16::from_be_bytes(*two))
    }

    /// The chance of what belongs to messages.
    pub(crate) const fn dice(&mut self) -> &mut Dice {
        &mut self.dice
    }

    fn seed_word(&self) -> u32 {
        let bytes = (self.seed ^ (self.seed >> 32)).to_le_bytes();
        bytes
            .first_chunk::<4>()
            .map_or(0, |four| u32::from_le_bytes(*four))
    }
}

/// Austin Appleby's `MurmurHash3` finaliser: every input has its own output.
const fn scatter(word: u32) -> u32 {
    let word = (word ^ (word >> 16)).wrapping_mul(0x85eb_ca6b);
    let word = (word ^ (word >> 13)).wrapping_mul(0xc2b2_ae35);
    word ^ (word >> 16)
}

/// How a serial number is written. A name alone is one of the common forms.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub(crate) enum IdForm {
    /// Ten decimal digits.
    #[default]
    Default,
    /// One of the common forms.
    Named(Base),
    /// Put together.
    Built(Built),
}

/// The digits of an id.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Base {
    /// `1234567890`.
    #[default]
    Decimal,
    /// `499602d2`.
    Hex,
    /// `499602D2`.
    HexUpper,
    /// 64 hexadecimal digits, as Melrose Labs' simulator gives them.
    LongHex,
    /// As a UUID is written.
    Uuid,
}

/// A form in all its parts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Built {
    /// The digits.
    pub(crate) base: Base,
    /// Filled up with zeros on the left to so many digits.
    pub(crate) width: usize,
    /// Only so many of the last digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) last: Option<usize>,
    /// What stands before the digits.
    pub(crate) prefix: String,
}

impl Written for IdForm {
    const WAYS: &'static str = "a form as \"hex\", or its parts as { base = \"hex\", width = 12 }";

    fn from_word<E: Error>(word: &str) -> Result<Self, E> {
        Base::deserialize(word.into_deserializer()).map(Self::Named)
    }

    fn from_table<'de, A: MapAccess<'de>>(table: A) -> Result<Self, A::Error> {
        Built::deserialize(MapAccessDeserializer::new(table)).map(Self::Built)
    }
}

impl<'de> Deserialize<'de> for IdForm {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        written::read(deserializer)
    }
}

impl IdForm {
    /// The id of the message with this serial number, at most 64 characters.
    pub(crate) fn write(&self, serial: u64) -> String {
        match self {
            Self::Default => serial.to_string(),
            Self::Named(base) => base.write(serial),
            Self::Built(built) => built.write(serial),
        }
    }

    /// Whether it makes sense, or what does not.
    pub(crate) fn check(&self) -> Result<(), String> {
        let Self::Built(built) = self else {
            return Ok(());
        };
        if built.width + built.prefix.len() > MAX_ID || !built.prefix.is_ascii() {
            return Err(format!("a message id has at most {MAX_ID} octets of ASCII"));
        }
        Ok(())
    }
}

impl Base {
    fn write(self, serial: u64) -> String {
        match self {
            Self::Decimal => serial.to_string(),
            Self::Hex => format!("{serial:x}"),
            Self::HexUpper => format!("{serial:X}"),
            Self::LongHex => {
                let [a, b, c, d] = [0, 1, 2, 3].map(|part| spread(serial, part));
                format!("{a:016x}{b:016x}{c:016x}{d:016x}")
            }
            Self::Uuid => uuid(serial),
        }
    }
}

const fn spread(serial: u64, part: u64) -> u64 {
    mix(serial.wrapping_mul(4).wrapping_add(part))
}

/// Version 4 and the usual variant, though nothing about it is random.
fn uuid(serial: u64) -> String {
    let (high, low) = (spread(serial, 0), spread(serial, 1));
    let digits = format!("{high:016x}{low:016x}");
    let part = |from: usize, to: usize| digits.get(from..to).unwrap_or_default();
    format!(
        "{}-{}-4{}-8{}-{}",
        part(0, 8),
        part(8, 12),
        part(13, 16),
        part(17, 20),
        part(20, 32)
    )
}

impl Built {
    fn write(&self, serial: u64) -> String {
        let digits = self.base.write(serial);
        let kept = self
            .last
            .map_or(0, |last| digits.len().saturating_sub(last));
        let digits = digits.get(kept..).unwrap_or_default();
        let width = self.width;
        let mut id = format!("{}{digits:0>width$}", self.prefix);
        id.truncate(MAX_ID);
        id
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn id(form: &str) -> String {
        let form: IdForm = serde_json::from_str(form).unwrap();
        form.check().unwrap();
        form.write(1_234_567_890)
    }

    #[test]
    fn the_same_seed_gives_the_same_row_and_another_seed_another() {
        let row = |seed| {
            let mut ids = Ids::new(seed);
            (0..50)
                .map(|_| (ids.serial(), ids.reference()))
                .collect::<Vec<_>>()
        };
        assert_eq!(row(7), row(7));
        assert_ne!(row(7), row(8));
    }

    #[test]
    fn message_ids_have_ten_digits_and_never_repeat() {
        let mut ids = Ids::new(1);
        let mut seen = HashSet::new();
        for _ in 0..20_000 {
            let id = IdForm::default().write(ids.serial());
            assert_eq!(id.len(), 10);
            assert!(!id.starts_with('0'));
            assert!(seen.insert(id));
        }
    }

    #[test]
    fn one_message_has_an_id_in_every_form() {
        assert_eq!(id(r#""decimal""#), "1234567890");
        assert_eq!(id(r#""hex""#), "499602d2");
        assert_eq!(id(r#""hex_upper""#), "499602D2");
        assert_eq!(id(r#"{"base": "hex", "width": 12}"#), "0000499602d2");
        assert_eq!(id(r#"{"width": 14, "prefix": "A-"}"#), "A-00001234567890");
        assert_eq!(id(r#"{"last": 8}"#), "34567890");
        assert_eq!(id(r#""long_hex""#).len(), 64);
        assert_eq!(id(r#""uuid""#).len(), 36);
    }

    #[test]
    fn a_form_that_does_not_fit_is_refused() {
        let form: IdForm = serde_json::from_str(r#"{"width": 65}"#).unwrap();
        assert!(form.check().is_err());
        for (wrong, mend) in [
            (r#""octal""#, "expected one of `decimal`, `hex`"),
            (r#"{"bas": "hex"}"#, "expected one of `base`, `width`"),
            ("16", "expected a form as \"hex\""),
        ] {
            let told = serde_json::from_str::<IdForm>(wrong).unwrap_err();
            assert!(told.to_string().contains(mend), "{wrong}: {told}");
        }
    }
}
