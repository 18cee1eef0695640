//! Texts as short messages carry them.

pub mod gsm7;
pub mod iso8859;
pub mod ucs2;

use crate::values::DataCoding;

/// The two alphabets that every handset reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Alphabet {
    /// GSM 03.38 default alphabet with its extension: 160 septets in one message.
    Gsm7,
    /// UTF-16, big-endian, under the name UCS-2: 70 units in one message.
    Ucs2,
}

impl Alphabet {
    /// The `data_coding` that announces this alphabet.
    #[must_use]
    pub const fn data_coding(self) -> DataCoding {
        match self {
            Self::Gsm7 => DataCoding::GSM_DEFAULT,
            Self::Ucs2 => DataCoding::UCS2,
        }
    }

    /// How much of a message the text takes: septets or UTF-16 units. Characters that GSM 03.38
    /// does not have count as nothing there.
    #[must_use]
    pub fn units(self, text: &str) -> usize {
        match self {
            Self::Gsm7 => text
                .chars()
                .filter_map(gsm7::septets)
                .map(gsm7::Septets::len)
                .sum(),
            Self::Ucs2 => text.chars().map(char::len_utf16).sum(),
        }
    }

    /// The text in this alphabet, one septet in each octet. Characters that GSM 03.38 does not
    /// have become `?` there.
    #[must_use]
    pub fn encode(self, text: &str) -> Vec<u8> {
        match self {
            Self::Gsm7 => gsm7::encode(text),
            Self::Ucs2 => ucs2::encode(text),
        }
    }
}

/// The cheapest alphabet that loses nothing of the text.
#[must_use]
pub fn alphabet_for(text: &str) -> Alphabet {
    if text
        .chars()
        .all(|character| gsm7::septets(character).is_some())
    {
        Alphabet::Gsm7
    } else {
        Alphabet::Ucs2
    }
}

/// What the octets of a text are, as `data_coding` says. SMPP 3.4 §5.2.19, GSM 03.38 §4.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Charset {
    /// GSM 03.38, one septet in each octet.
    Gsm7,
    /// ASCII.
    Ascii,
    /// ISO-8859-1.
    Latin1,
    /// ISO-8859-5.
    Cyrillic,
    /// ISO-8859-8.
    Hebrew,
    /// UTF-16, big-endian.
    Ucs2,
    /// Anything: read as UTF-8, which is what peers put there when they put text.
    Octets,
}

impl Charset {
    /// The charset of a `data_coding`. Values that SMPP reserves are read as GSM 03.38 reads them:
    /// 0x10 is a flash message in the default alphabet, 0x18 one in UCS-2, 0xf4 one of octets.
    #[must_use]
    pub const fn of(data_coding: DataCoding) -> Self {
        match data_coding {
            DataCoding::IA5 => Self::Ascii,
            DataCoding::LATIN1 => Self::Latin1,
            DataCoding::CYRILLIC => Self::Cyrillic,
            DataCoding::HEBREW => Self::Hebrew,
            DataCoding(0x02 | 0x04 | 0x05 | 0x09..=0x0f) => Self::Octets,
            DataCoding(0x10..=0x7f) => match data_coding.0 & 0b0000_1100 {
                0b0000_0100 => Self::Octets,
                0b0000_1000 => Self::Ucs2,
                _ => Self::Gsm7,
            },
            DataCoding::UCS2 | DataCoding(0xe0..=0xef) => Self::Ucs2,
            DataCoding(0xf0..=0xff) if data_coding.0 & 0b0000_0100 != 0 => Self::Octets,
            DataCoding(_) => Self::Gsm7,
        }
    }

    /// The text, with U+FFFD for what this charset does not have.
    #[must_use]
    pub fn decode(self, octets: &[u8]) -> String {
        match self {
            Self::Gsm7 => gsm7::decode(octets),
            Self::Ascii => octets.iter().copied().map(iso8859::ascii).collect(),
            Self::Latin1 => octets.iter().copied().map(char::from).collect(),
            Self::Cyrillic => octets.iter().copied().map(iso8859::cyrillic).collect(),
            Self::Hebrew => octets.iter().copied().map(iso8859::hebrew).collect(),
            Self::Ucs2 => ucs2::decode(octets),
            Self::Octets => String::from_utf8_lossy(octets).into_owned(),
        }
    }
}

/// The text of a message, with U+FFFD for what cannot be read. `data_coding` 0 is GSM 03.38.
#[must_use]
pub fn decode(data_coding: DataCoding, octets: &[u8]) -> String {
    Charset::of(data_coding).decode(octets)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_takes_the_cheapest_alphabet_that_loses_nothing() {
        assert_eq!(alphabet_for("Grüße, {€}"), Alphabet::Gsm7);
        assert_eq!(alphabet_for(""), Alphabet::Gsm7);
        assert_eq!(alphabet_for("ça va"), Alphabet::Ucs2);
        assert_eq!(alphabet_for("tab\t"), Alphabet::Ucs2);
        assert_eq!(alphabet_for("👍"), Alphabet::Ucs2);
    }

    #[test]
    fn units_count_escapes_twice_and_astral_characters_twice() {
        assert_eq!(Alphabet::Gsm7.units("a€"), 3);
        assert_eq!(Alphabet::Ucs2.units("a👍"), 3);
    }

    #[test]
    fn each_data_coding_is_read_in_its_own_charset() {
        assert_eq!(
            decode(DataCoding::GSM_DEFAULT, &[0x00, 0x1b, 0x65, 0x7c]),
            "@€ö"
        );
        assert_eq!(decode(DataCoding::IA5, b"a@\xe9"), "a@\u{fffd}");
        assert_eq!(decode(DataCoding::LATIN1, b"caf\xe9"), "café");
        assert_eq!(decode(DataCoding::CYRILLIC, b"\xbf\xe0\xd8"), "При");
        assert_eq!(decode(DataCoding::HEBREW, b"\xe9\xf9"), "יש");
        assert_eq!(decode(DataCoding::UCS2, &[0x04, 0x16]), "Ж");
        assert_eq!(decode(DataCoding::OCTETS, "é".as_bytes()), "é");
    }

    #[test]
    fn reserved_data_codings_are_read_as_gsm_03_38_reads_them() {
        let charset = |value| Charset::of(DataCoding(value));
        assert_eq!(charset(0x10), Charset::Gsm7);
        assert_eq!(charset(0x14), Charset::Octets);
        assert_eq!(charset(0x18), Charset::Ucs2);
        assert_eq!(charset(0xc8), Charset::Gsm7);
        assert_eq!(charset(0xe0), Charset::Ucs2);
        assert_eq!(charset(0xf0), Charset::Gsm7);
        assert_eq!(charset(0xf5), Charset::Octets);
    }
}
