//! The GSM 03.38 default alphabet (§6.2.1), its extension (§6.2.1.1) and the national languages that
//! took their places later (3GPP TS 23.038 §6.2.1.2, Annex A), unpacked: one septet in each octet, as
//! SMPP carries it. [`pack`] and [`unpack`] are for peers that want septets side by side.

mod locking;
mod packed;
mod single;

use bytes::Bytes;

pub use packed::{pack, unpack};

const ESCAPE: u8 = 0x1b;

/// What the number of a language is put above where it stands before septets.
const NAME: u8 = 0x80;

/// An alphabet by the low and the high bits of its septets; 0 where it has nothing.
type Table = [[u16; 8]; 16];

/// The language of a national table, by the number that user data headers give it. 3GPP TS 23.038
/// §6.2.1.2.4.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Language {
    /// Turkish.
    Turkish = 1,
    /// Spanish, which has a single shift table only.
    Spanish = 2,
    /// Portuguese.
    Portuguese = 3,
    /// Bengali and Assamese.
    Bengali = 4,
    /// Gujarati.
    Gujarati = 5,
    /// Hindi.
    Hindi = 6,
    /// Kannada.
    Kannada = 7,
    /// Malayalam.
    Malayalam = 8,
    /// Oriya.
    Oriya = 9,
    /// Punjabi.
    Punjabi = 10,
    /// Tamil.
    Tamil = 11,
    /// Telugu.
    Telugu = 12,
    /// Urdu.
    Urdu = 13,
}

impl Language {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 13] = [
        Self::Turkish,
        Self::Spanish,
        Self::Portuguese,
        Self::Bengali,
        Self::Gujarati,
        Self::Hindi,
        Self::Kannada,
        Self::Malayalam,
        Self::Oriya,
        Self::Punjabi,
        Self::Tamil,
        Self::Telugu,
        Self::Urdu,
    ];

    /// The national language identifier.
    #[must_use]
    #[expect(clippy::as_conversions, reason = "the discriminants are the octets")]
    pub const fn id(self) -> u8 {
        self as u8
    }

    /// The language of an identifier; `None` for those that are reserved.
    #[must_use]
    pub fn of(id: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|language| language.id() == id)
    }

    /// Whether it has a locking shift table.
    #[must_use]
    pub const fn has_locking_table(self) -> bool {
        !matches!(self, Self::Spanish)
    }

    const fn locking(self) -> &'static Table {
        match self {
            Self::Turkish => &locking::TURKISH,
            Self::Spanish => &locking::DEFAULT,
            Self::Portuguese => &locking::PORTUGUESE,
            Self::Bengali => &locking::BENGALI,
            Self::Gujarati => &locking::GUJARATI,
            Self::Hindi => &locking::HINDI,
            Self::Kannada => &locking::KANNADA,
            Self::Malayalam => &locking::MALAYALAM,
            Self::Oriya => &locking::ORIYA,
            Self::Punjabi => &locking::PUNJABI,
            Self::Tamil => &locking::TAMIL,
            Self::Telugu => &locking::TELUGU,
            Self::Urdu => &locking::URDU,
        }
    }

    const fn single(self) -> &'static Table {
        match self {
            Self::Turkish => &single::TURKISH,
            Self::Spanish => &single::SPANISH,
            Self::Portuguese => &single::PORTUGUESE,
            Self::Bengali => &single::BENGALI,
            Self::Gujarati => &single::GUJARATI,
            Self::Hindi => &single::HINDI,
            Self::Kannada => &single::KANNADA,
            Self::Malayalam => &single::MALAYALAM,
            Self::Oriya => &single::ORIYA,
            Self::Punjabi => &single::PUNJABI,
            Self::Tamil => &single::TAMIL,
            Self::Telugu => &single::TELUGU,
            Self::Urdu => &single::URDU,
        }
    }
}

/// Which national tables stand in for the default alphabet and for its extension.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Shifts {
    /// In the place of the default alphabet.
    pub locking: Option<Language>,
    /// In the place of its extension.
    pub single: Option<Language>,
}

/// One character in an alphabet of septets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Septets {
    /// From the alphabet itself.
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

impl Shifts {
    /// The default alphabet with its extension.
    pub const NONE: Self = Self {
        locking: None,
        single: None,
    };

    fn alphabet(self) -> &'static Table {
        self.locking.map_or(&locking::DEFAULT, Language::locking)
    }

    fn extension(self) -> &'static Table {
        self.single.map_or(&single::DEFAULT, Language::single)
    }

    /// The septets of a character; `None` where neither table has it.
    #[must_use]
    pub fn septets(self, character: char) -> Option<Septets> {
        if let (None, Some(septet)) = (self.locking, plain_ascii(character)) {
            return Some(Septets::One(septet));
        }
        let alphabet = self.alphabet();
        same_as_ascii(alphabet, character)
            .or_else(|| find(alphabet, character))
            .map(Septets::One)
            .or_else(|| find(self.extension(), character).map(Septets::Escaped))
    }

    /// Septets behind two octets that name their tables, so that they can be read without their
    /// header. Nothing is put before those in no national table, unless they begin with an octet
    /// above 0x7f, which is no septet, so that it is not taken for a name.
    pub(crate) fn name(self, septets: Bytes) -> Bytes {
        let names_itself = septets.first().is_some_and(|first| *first >= NAME);
        if self == Self::NONE && !names_itself {
            return septets;
        }
        let id = |language: Option<Language>| NAME | language.map_or(0, Language::id);
        [&[id(self.locking), id(self.single)], &septets[..]]
            .concat()
            .into()
    }

    /// The tables that [`Self::name`] named, and the septets behind.
    pub(crate) fn named(octets: &[u8]) -> (Self, &[u8]) {
        match octets {
            [
                locking @ NAME..=u8::MAX,
                single @ NAME..=u8::MAX,
                septets @ ..,
            ] => {
                let language = |name: u8| Language::of(name & !NAME);
                let shifts = Self {
                    locking: language(*locking),
                    single: language(*single),
                };
                (shifts, septets)
            }
            _ => (Self::NONE, octets),
        }
    }

    /// The text in septets, `?` for characters that neither table has.
    #[must_use]
    pub fn encode(self, text: &str) -> Vec<u8> {
        let mut octets = Vec::with_capacity(text.len());
        for character in text.chars() {
            match self.septets(character) {
                Some(Septets::One(septet)) => octets.push(septet),
                Some(Septets::Escaped(septet)) => octets.extend([ESCAPE, septet]),
                None => octets.push(b'?'),
            }
        }
        octets
    }

    /// The text of the septets. As §6.2.1 wants, an escape before a septet that the extension does
    /// not have gives the character of the alphabet, and an escape with nothing behind it or with
    /// another escape gives a space. Where a national extension has nothing the default one counts,
    /// for phones put the euro sign there. Octets above 0x7f and empty places give U+FFFD.
    #[must_use]
    pub fn decode(self, octets: &[u8]) -> String {
        let mut text = String::with_capacity(octets.len());
        let mut rest = octets.iter().copied();
        while let Some(octet) = rest.next() {
            text.push(match octet {
                ESCAPE => self.escaped(rest.next()),
                plain => self.plain(plain),
            });
        }
        text
    }

    fn plain(self, octet: u8) -> char {
        match octet {
            ESCAPE => ' ',
            _ => at(self.alphabet(), octet).unwrap_or(char::REPLACEMENT_CHARACTER),
        }
    }

    fn escaped(self, octet: Option<u8>) -> char {
        let Some(octet) = octet else { return ' ' };
        at(self.extension(), octet)
            .or_else(|| at(&single::DEFAULT, octet))
            .unwrap_or_else(|| self.plain(octet))
    }
}

/// What the table has at a septet.
fn at(table: &Table, octet: u8) -> Option<char> {
    let row = table.get(usize::from(octet & 0x0f))?;
    let unit = row.get(usize::from(octet >> 4))?;
    (*unit != 0)
        .then(|| char::from_u32(u32::from(*unit)))
        .flatten()
}

/// The septet of a character that the default alphabet has at its ASCII number: without a table, for
/// most texts are made of these.
fn plain_ascii(character: char) -> Option<u8> {
    match character {
        '\n' | '\r' | ' '..='#' | '%'..='?' | 'A'..='Z' | 'a'..='z' => u8::try_from(character).ok(),
        _ => None,
    }
}

/// Most characters of most texts have their ASCII number in an alphabet.
fn same_as_ascii(table: &Table, character: char) -> Option<u8> {
    let octet = u8::try_from(character).ok()?;
    (at(table, octet) == Some(character)).then_some(octet)
}

/// The first septet at which the table has the character.
fn find(table: &Table, character: char) -> Option<u8> {
    let wanted = u16::try_from(u32::from(character)).ok()?;
    if wanted == 0 {
        return None;
    }
    let septets = (0..0x80_u8).filter(|septet| {
        let row = table.get(usize::from(septet & 0x0f));
        row.and_then(|row| row.get(usize::from(septet >> 4))) == Some(&wanted)
    });
    septets.min()
}

/// The septets of a character in the default alphabet and its extension.
#[must_use]
pub fn septets(character: char) -> Option<Septets> {
    Shifts::NONE.septets(character)
}

/// The text in septets of the default alphabet, `?` for characters that it does not have.
#[must_use]
pub fn encode(text: &str) -> Vec<u8> {
    Shifts::NONE.encode(text)
}

/// The text of septets of the default alphabet, as [`Shifts::decode`].
#[must_use]
pub fn decode(octets: &[u8]) -> String {
    Shifts::NONE.decode(octets)
}

#[cfg(test)]
mod tests;
