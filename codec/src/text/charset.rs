//! What the octets of a text are, as `data_coding` says. SMPP 3.4 §5.2.19, GSM 03.38 §4.

use encoding_rs::{
    EUC_JP, EUC_KR, EncoderResult, Encoding, ISO_2022_JP, ISO_8859_5, ISO_8859_8, SHIFT_JIS,
};

use super::{gsm7, ucs2};
use crate::values::DataCoding;

/// How the octets of a text are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
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
    /// JIS X 0208, which peers send as Shift JIS; pictograms, which Japanese operators put there.
    ShiftJis,
    /// ISO-2022-JP. Its escapes make any of the Japanese charsets this one.
    Iso2022Jp,
    /// JIS X 0212 (extended Kanji) beside JIS X 0208, as EUC-JP.
    EucJp,
    /// KS C 5601, as EUC-KR.
    EucKr,
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
            DataCoding::JIS | DataCoding::PICTOGRAM => Self::ShiftJis,
            DataCoding::ISO_2022_JP => Self::Iso2022Jp,
            DataCoding::EXTENDED_KANJI => Self::EucJp,
            DataCoding::KS_C_5601 => Self::EucKr,
            DataCoding(0x02 | 0x04 | 0x0b | 0x0c | 0x0f) => Self::Octets,
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

    /// The `data_coding` that announces this charset.
    #[must_use]
    pub const fn data_coding(self) -> DataCoding {
        match self {
            Self::Gsm7 => DataCoding::GSM_DEFAULT,
            Self::Ascii => DataCoding::IA5,
            Self::Latin1 => DataCoding::LATIN1,
            Self::Cyrillic => DataCoding::CYRILLIC,
            Self::Hebrew => DataCoding::HEBREW,
            Self::ShiftJis => DataCoding::JIS,
            Self::Iso2022Jp => DataCoding::ISO_2022_JP,
            Self::EucJp => DataCoding::EXTENDED_KANJI,
            Self::EucKr => DataCoding::KS_C_5601,
            Self::Ucs2 => DataCoding::UCS2,
            Self::Octets => DataCoding::OCTETS,
        }
    }

    /// The text, with U+FFFD for what this charset does not have.
    #[must_use]
    pub fn decode(self, octets: &[u8]) -> String {
        match self {
            Self::Gsm7 => gsm7::decode(octets),
            Self::Ascii => octets.iter().copied().map(ascii).collect(),
            Self::Latin1 => octets.iter().copied().map(char::from).collect(),
            Self::Ucs2 => ucs2::decode(octets),
            Self::Octets => String::from_utf8_lossy(octets).into_owned(),
            Self::ShiftJis | Self::EucJp if has_jis_escape(octets) => {
                Self::Iso2022Jp.decode(octets)
            }
            Self::Cyrillic
            | Self::Hebrew
            | Self::ShiftJis
            | Self::Iso2022Jp
            | Self::EucJp
            | Self::EucKr => {
                let (text, _) = self.library().decode_without_bom_handling(octets);
                text.into_owned()
            }
        }
    }

    /// The text in this charset, `?` for the characters that it would not give back.
    #[must_use]
    pub fn encode(self, text: &str) -> Vec<u8> {
        match self {
            Self::Gsm7 => gsm7::encode(text),
            Self::Ucs2 => ucs2::encode(text),
            Self::Octets => text.as_bytes().to_vec(),
            Self::Iso2022Jp => {
                let kept: String = text.chars().map(|one| self.kept(one)).collect();
                self.library().encode(&kept).0.into_owned()
            }
            _ => {
                let mut octets = Vec::with_capacity(text.len());
                for character in text.chars() {
                    match self.short(character) {
                        Some(short) => octets.extend_from_slice(short.octets()),
                        None => octets.push(b'?'),
                    }
                }
                octets
            }
        }
    }

    fn kept(self, character: char) -> char {
        if self.short(character).is_some() {
            character
        } else {
            '?'
        }
    }

    /// The octets of one character alone; `None` where this charset would not give it back.
    pub(crate) fn cost(self, character: char) -> Option<usize> {
        match self {
            Self::Gsm7 => gsm7::septets(character).map(gsm7::Septets::len),
            Self::Ucs2 => Some(character.len_utf16().saturating_mul(2)),
            Self::Octets => Some(character.len_utf8()),
            _ => self.short(character).map(|short| short.len),
        }
    }

    /// The octets of one character of the charsets that have an octet or a few for each. The escape
    /// character would make a Japanese text another one.
    fn short(self, character: char) -> Option<Short> {
        match self {
            _ if character == '\u{1b}' => None,
            Self::Ascii => character.is_ascii().then(|| Short::one(character)),
            Self::Latin1 => (u32::from(character) < 0x100).then(|| Short::one(character)),
            Self::Gsm7 | Self::Ucs2 | Self::Octets => None,
            _ => self.library_short(character),
        }
    }

    fn library_short(self, character: char) -> Option<Short> {
        let mut utf8 = [0; 4];
        let mut short = Short {
            octets: [0; 16],
            len: 0,
        };
        let encoding = self.library();
        let (result, _, written) = encoding.new_encoder().encode_from_utf8_without_replacement(
            character.encode_utf8(&mut utf8),
            &mut short.octets,
            true,
        );
        short.len = written;
        let (back, _) = encoding.decode_without_bom_handling(short.octets());
        let survives = result == EncoderResult::InputEmpty && back.chars().eq([character]);
        survives.then_some(short)
    }

    /// Where the library has this charset; another one for those that it does not.
    const fn library(self) -> &'static Encoding {
        match self {
            Self::Cyrillic => ISO_8859_5,
            Self::ShiftJis => SHIFT_JIS,
            Self::Iso2022Jp => ISO_2022_JP,
            Self::EucJp => EUC_JP,
            Self::EucKr => EUC_KR,
            _ => ISO_8859_8,
        }
    }
}

/// The octets of one character.
struct Short {
    octets: [u8; 16],
    len: usize,
}

impl Short {
    fn one(character: char) -> Self {
        let mut octets = [0; 16];
        let [first, ..] = &mut octets;
        *first = u8::try_from(character).unwrap_or(b'?');
        Self { octets, len: 1 }
    }

    fn octets(&self) -> &[u8] {
        self.octets.get(..self.len).unwrap_or_default()
    }
}

/// Windows-1252, which some peers call Latin-1.
pub(crate) fn windows_1252(octets: &[u8]) -> String {
    let (text, _) = encoding_rs::WINDOWS_1252.decode_without_bom_handling(octets);
    text.into_owned()
}

/// ASCII; U+FFFD above it.
#[must_use]
pub(crate) fn ascii(octet: u8) -> char {
    if octet.is_ascii() {
        char::from(octet)
    } else {
        char::REPLACEMENT_CHARACTER
    }
}

/// Whether ISO-2022-JP switches its character set here.
fn has_jis_escape(octets: &[u8]) -> bool {
    octets
        .windows(2)
        .any(|pair| matches!(pair, [0x1b, b'$' | b'(']))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ALL: [Charset; 11] = [
        Charset::Gsm7,
        Charset::Ascii,
        Charset::Latin1,
        Charset::Cyrillic,
        Charset::Hebrew,
        Charset::ShiftJis,
        Charset::Iso2022Jp,
        Charset::EucJp,
        Charset::EucKr,
        Charset::Ucs2,
        Charset::Octets,
    ];

    #[test]
    fn each_data_coding_is_read_in_its_own_charset() {
        let decode = |data_coding, octets: &[u8]| Charset::of(data_coding).decode(octets);
        assert_eq!(
            decode(DataCoding::GSM_DEFAULT, &[0x00, 0x1b, 0x65, 0x7c]),
            "@€ö"
        );
        assert_eq!(decode(DataCoding::IA5, b"a@\xe9"), "a@\u{fffd}");
        assert_eq!(decode(DataCoding::LATIN1, b"caf\xe9\x80"), "café\u{80}");
        assert_eq!(decode(DataCoding::CYRILLIC, b"\xbf\xe0\xd8\xf0"), "При№");
        assert_eq!(decode(DataCoding::HEBREW, b"\xe9\xf9\xaa"), "יש×");
        assert_eq!(decode(DataCoding::UCS2, &[0x04, 0x16]), "Ж");
        assert_eq!(decode(DataCoding::OCTETS, "é".as_bytes()), "é");
        assert_eq!(decode(DataCoding::JIS, b"\x93\xfa\x96\x7b"), "日本");
        assert_eq!(decode(DataCoding::PICTOGRAM, b"\x93\xfa"), "日");
        let iso_2022_jp = b"\x1b$BF|K\\\x1b(B";
        assert_eq!(decode(DataCoding::ISO_2022_JP, iso_2022_jp), "日本");
        assert_eq!(decode(DataCoding::JIS, iso_2022_jp), "日本");
        assert_eq!(
            decode(DataCoding::EXTENDED_KANJI, b"\xc6\xfc\x8f\xb0\xa1"),
            "日丂"
        );
        assert_eq!(decode(DataCoding::KS_C_5601, b"\xc7\xd1\xb1\xdb"), "한글");
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

    #[test]
    fn a_charset_is_known_by_its_data_coding() {
        for charset in ALL {
            assert_eq!(Charset::of(charset.data_coding()), charset);
        }
    }

    #[test]
    fn a_character_that_would_come_back_as_another_is_not_written() {
        // Shift JIS has no yen sign beside the backslash.
        assert_eq!(Charset::ShiftJis.encode("¥日"), b"?\x93\xfa");
        assert_eq!(Charset::Iso2022Jp.encode("日éa"), b"\x1b$BF|\x1b(B?a");
        assert_eq!(Charset::Latin1.encode("a€"), b"a?");
    }

    proptest! {
        #[test]
        fn characters_that_have_a_cost_round_trip(text in ".{0,40}|[a-zа-яא-ת日本語한글ｶﾅ]{0,40}") {
            for charset in ALL {
                let text: String = text
                    .chars()
                    .filter(|one| charset.cost(*one).is_some() && !matches!(one, '\u{feff}' | '\u{fffe}'))
                    .collect();
                prop_assert_eq!(charset.decode(&charset.encode(&text)), text);
            }
        }
    }
}
