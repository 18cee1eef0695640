//! The GSM 03.38 default alphabet (§6.2.1) and its extension (§6.2.1.1), unpacked: one septet in
//! each octet, as SMPP carries it.

const ESCAPE: u8 = 0x1b;

/// The default alphabet by septet. The place of the escape is the character that nothing encodes
/// to.
const DEFAULT: [char; 128] = [
    '@', '£', '$', '¥', 'è', 'é', 'ù', 'ì', 'ò', 'Ç', '\n', 'Ø', 'ø', '\r', 'Å', 'å', //
    'Δ', '_', 'Φ', 'Γ', 'Λ', 'Ω', 'Π', 'Ψ', 'Σ', 'Θ', 'Ξ', '\0', 'Æ', 'æ', 'ß', 'É', //
    ' ', '!', '"', '#', '¤', '%', '&', '\'', '(', ')', '*', '+', ',', '-', '.', '/', //
    '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', ':', ';', '<', '=', '>', '?', //
    '¡', 'A', 'B', 'C', 'D', 'E', 'F', 'G', 'H', 'I', 'J', 'K', 'L', 'M', 'N', 'O', //
    'P', 'Q', 'R', 'S', 'T', 'U', 'V', 'W', 'X', 'Y', 'Z', 'Ä', 'Ö', 'Ñ', 'Ü', '§', //
    '¿', 'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j', 'k', 'l', 'm', 'n', 'o', //
    'p', 'q', 'r', 's', 't', 'u', 'v', 'w', 'x', 'y', 'z', 'ä', 'ö', 'ñ', 'ü', 'à', //
];

/// What follows an escape, by septet.
const EXTENSION: [(u8, char); 10] = [
    (0x0a, '\u{c}'),
    (0x14, '^'),
    (0x28, '{'),
    (0x29, '}'),
    (0x2f, '\\'),
    (0x3c, '['),
    (0x3d, '~'),
    (0x3e, ']'),
    (0x40, '|'),
    (0x65, '€'),
];

/// One character in this alphabet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Septets {
    /// From the default alphabet.
    One(u8),
    /// An escape, then this.
    Escaped(u8),
}

impl Septets {
    /// How many septets: 1 or 2.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a character is never empty")]
    pub const fn len(self) -> usize {
        match self {
            Self::One(_) => 1,
            Self::Escaped(_) => 2,
        }
    }
}

/// The septets of a character; `None` where the alphabet does not have it.
#[must_use]
pub fn septets(character: char) -> Option<Septets> {
    if character == '\0' {
        return None;
    }
    same_as_ascii(character)
        .or_else(|| in_default(character))
        .map(Septets::One)
        .or_else(|| in_extension(character).map(Septets::Escaped))
}

/// Most characters of most texts have their ASCII number in this alphabet.
fn same_as_ascii(character: char) -> Option<u8> {
    let octet = u8::try_from(character).ok()?;
    (DEFAULT.get(usize::from(octet)) == Some(&character)).then_some(octet)
}

fn in_default(character: char) -> Option<u8> {
    let septet = DEFAULT.iter().position(|known| *known == character)?;
    u8::try_from(septet).ok()
}

fn in_extension(character: char) -> Option<u8> {
    EXTENSION
        .iter()
        .find(|(_, known)| *known == character)
        .map(|(septet, _)| *septet)
}

/// The text in septets, `?` for characters that the alphabet does not have.
#[must_use]
pub fn encode(text: &str) -> Vec<u8> {
    let mut octets = Vec::with_capacity(text.len());
    for character in text.chars() {
        match septets(character) {
            Some(Septets::One(septet)) => octets.push(septet),
            Some(Septets::Escaped(septet)) => octets.extend([ESCAPE, septet]),
            None => octets.push(b'?'),
        }
    }
    octets
}

/// The text of the septets. As §6.2.1 wants, an escape before a septet that the extension does
/// not have gives the character of the default alphabet, and an escape with nothing behind it or
/// with another escape gives a space. Octets above 0x7f give U+FFFD.
#[must_use]
pub fn decode(octets: &[u8]) -> String {
    let mut text = String::with_capacity(octets.len());
    let mut rest = octets.iter().copied();
    while let Some(octet) = rest.next() {
        text.push(match octet {
            ESCAPE => escaped(rest.next()),
            plain => default(plain),
        });
    }
    text
}

fn default(octet: u8) -> char {
    match octet {
        ESCAPE => ' ',
        _ => DEFAULT
            .get(usize::from(octet))
            .copied()
            .unwrap_or(char::REPLACEMENT_CHARACTER),
    }
}

fn escaped(octet: Option<u8>) -> char {
    let Some(octet) = octet else { return ' ' };
    let known = EXTENSION.iter().find(|(septet, _)| *septet == octet);
    known.map_or_else(|| default(octet), |(_, character)| *character)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_septet_but_the_escape_round_trips() {
        for septet in (0..0x80).filter(|septet| *septet != ESCAPE) {
            assert_eq!(encode(&decode(&[septet])), [septet]);
        }
        for (septet, character) in EXTENSION {
            assert_eq!(encode(&character.to_string()), [ESCAPE, septet]);
            assert_eq!(decode(&[ESCAPE, septet]), character.to_string());
        }
    }

    #[test]
    fn control_characters_are_not_in_the_alphabet() {
        assert_eq!(septets('\0'), None);
        assert_eq!(septets('\u{1b}'), None);
        assert_eq!(septets('\t'), None);
    }

    #[test]
    fn unknown_escapes_give_the_default_character_and_lone_ones_a_space() {
        assert_eq!(decode(&[ESCAPE, b'A']), "A");
        assert_eq!(decode(&[b'x', ESCAPE]), "x ");
        assert_eq!(decode(&[ESCAPE, ESCAPE, b'A']), " A");
        assert_eq!(decode(&[0x80, 0xff]), "\u{fffd}\u{fffd}");
    }
}
