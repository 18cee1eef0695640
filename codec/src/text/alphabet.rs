//! What a text goes out in: the alphabets that a peer takes, and the cheapest of them that loses
//! nothing.

use std::collections::BTreeMap;

use super::Charset;
use super::gsm7::{Language, Shifts};
use crate::values::DataCoding;

/// The octets of user data that one message has (GSM 03.40 §9.2.3.16).
const MESSAGE_OCTETS: usize = 140;

/// How a text is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Alphabet {
    /// Septets of GSM 03.38 or of national tables: 160 in one message.
    Gsm7(Shifts),
    /// Octets of another charset, 140 in one message; 160 of ASCII, which is of 7 bits; 70 units of
    /// UTF-16.
    Other(Charset),
}

impl Alphabet {
    /// The GSM 03.38 default alphabet with its extension.
    pub const GSM7: Self = Self::Gsm7(Shifts::NONE);
    /// UTF-16, big-endian, under the name UCS-2.
    pub const UCS2: Self = Self::Other(Charset::Ucs2);

    /// The `data_coding` that announces this alphabet.
    #[must_use]
    pub const fn data_coding(self) -> DataCoding {
        self.charset().data_coding()
    }

    /// The charset without national tables.
    #[must_use]
    pub const fn charset(self) -> Charset {
        match self {
            Self::Gsm7(_) => Charset::Gsm7,
            Self::Other(charset) => charset,
        }
    }

    /// The national tables that a user data header must name.
    #[must_use]
    pub const fn shifts(self) -> Shifts {
        match self {
            Self::Gsm7(shifts) => shifts,
            Self::Other(_) => Shifts::NONE,
        }
    }

    /// The units of one character, as [`Self::units`] counts; `None` where this alphabet does not
    /// have it.
    #[must_use]
    pub fn cost(self, character: char) -> Option<usize> {
        match self {
            Self::Gsm7(shifts) => shifts.septets(character).map(super::gsm7::Septets::len),
            Self::Other(Charset::Ucs2) => Some(character.len_utf16()),
            Self::Other(charset) => charset.cost(character),
        }
    }

    /// How much of a message the text takes: septets, octets or UTF-16 units. A character that this
    /// alphabet does not have counts as the `?` that stands for it.
    #[must_use]
    pub fn units(self, text: &str) -> usize {
        self.prefix(text, usize::MAX).1
    }

    /// The octets and the [units](Self::units) of as many of the first characters as fit into `room` units.
    pub(crate) fn prefix(self, text: &str, room: usize) -> (usize, usize) {
        let (mut len, mut units) = (0_usize, 0_usize);
        for character in text.chars() {
            let with = units.saturating_add(self.cost(character).unwrap_or(1));
            if with > room {
                break;
            }
            units = with;
            len = len.saturating_add(character.len_utf8());
        }
        (len, units)
    }

    /// The units that one message has room for beside a user data header of so many octets, its
    /// length octet counted.
    #[must_use]
    pub const fn capacity(self, header_octets: usize) -> usize {
        let octets = MESSAGE_OCTETS.saturating_sub(header_octets);
        match self.charset() {
            Charset::Gsm7 | Charset::Ascii => octets.saturating_mul(8) / 7,
            Charset::Ucs2 => octets / 2,
            _ => octets,
        }
    }

    /// The text in this alphabet, one septet in each octet. Characters that it does not have become
    /// `?`.
    #[must_use]
    pub fn encode(self, text: &str) -> Vec<u8> {
        match self {
            Self::Gsm7(shifts) => shifts.encode(text),
            Self::Other(charset) => charset.encode(text),
        }
    }

    /// The text of such octets.
    #[must_use]
    pub fn decode(self, octets: &[u8]) -> String {
        match self {
            Self::Gsm7(shifts) => shifts.decode(octets),
            Self::Other(charset) => charset.decode(octets),
        }
    }
}

/// A set of languages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Languages(u16);

impl Languages {
    /// No language.
    pub const NONE: Self = Self(0);

    /// All languages.
    pub const ALL: Self = Self(0x3ffe);

    /// This set and one language more.
    #[must_use]
    pub fn with(self, language: Language) -> Self {
        Self(self.0 | bit(language.id()))
    }

    /// Whether the language is in this set.
    #[must_use]
    pub fn contains(self, language: Language) -> bool {
        self.0 & bit(language.id()) != 0
    }

    /// No language, then each of this set.
    fn or_none(self) -> impl Iterator<Item = Option<Language>> {
        let of_this = move |language: &Language| self.contains(*language);
        std::iter::once(None).chain(Language::ALL.into_iter().filter(of_this).map(Some))
    }
}

impl FromIterator<Language> for Languages {
    fn from_iter<I: IntoIterator<Item = Language>>(languages: I) -> Self {
        languages.into_iter().fold(Self::NONE, Self::with)
    }
}

fn bit(place: u8) -> u16 {
    1_u16.checked_shl(u32::from(place)).unwrap_or(0)
}

/// The charsets that a text may go out in, the ones that most phones read first. ISO-2022-JP, whose
/// escapes would be cut, and octets, which say nothing about their text, are only read.
const SENDABLE: [Charset; 9] = [
    Charset::Gsm7,
    Charset::Ascii,
    Charset::Latin1,
    Charset::Cyrillic,
    Charset::Hebrew,
    Charset::ShiftJis,
    Charset::EucJp,
    Charset::EucKr,
    Charset::Ucs2,
];

/// Which alphabets a peer takes. By default the two that every handset reads: GSM 03.38 and UCS-2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Allowed {
    charsets: u16,
    /// The languages whose table may stand for the default alphabet.
    pub locking: Languages,
    /// The languages whose table may stand for its extension.
    pub single: Languages,
}

impl Default for Allowed {
    fn default() -> Self {
        Self::NONE.with(Charset::Gsm7).with(Charset::Ucs2)
    }
}

impl Allowed {
    /// No alphabet at all.
    pub const NONE: Self = Self {
        charsets: 0,
        locking: Languages::NONE,
        single: Languages::NONE,
    };

    /// These and one charset more; ISO-2022-JP and octets are never sent.
    #[must_use]
    pub fn with(self, charset: Charset) -> Self {
        let charsets = self.charsets | place(charset);
        Self { charsets, ..self }
    }

    /// These without one charset.
    #[must_use]
    pub fn without(self, charset: Charset) -> Self {
        let charsets = self.charsets & !place(charset);
        Self { charsets, ..self }
    }

    /// These and both tables of a language.
    #[must_use]
    pub fn with_language(self, language: Language) -> Self {
        Self {
            locking: self.locking.with(language),
            single: self.single.with(language),
            ..self
        }
    }

    /// Whether the charset may be sent.
    #[must_use]
    pub fn contains(self, charset: Charset) -> bool {
        self.charsets & place(charset) != 0
    }

    /// Without national tables, where no user data header can name them.
    pub(crate) const fn without_tables(self) -> Self {
        Self {
            locking: Languages::NONE,
            single: Languages::NONE,
            ..self
        }
    }

    /// All of them, the ones that most phones read first.
    fn alphabets(self) -> impl Iterator<Item = Alphabet> {
        let plain = SENDABLE
            .into_iter()
            .filter(move |charset| self.contains(*charset));
        let plain = plain.map(|charset| match charset {
            Charset::Gsm7 => Alphabet::GSM7,
            charset => Alphabet::Other(charset),
        });
        plain.chain(self.national())
    }

    fn national(self) -> impl Iterator<Item = Alphabet> {
        let gsm7 = self.contains(Charset::Gsm7);
        let locking = self
            .locking
            .or_none()
            .filter(|language| language.is_none_or(Language::has_locking_table));
        locking
            .flat_map(move |locking| {
                let pair = move |single| Shifts { locking, single };
                self.single.or_none().map(pair)
            })
            .filter(move |shifts| gsm7 && *shifts != Shifts::NONE)
            .map(Alphabet::Gsm7)
    }

    /// The alphabet in which the text takes the fewest messages and loses nothing; of several the one
    /// that most phones read, of national tables those that take the fewest septets. `None` where
    /// each of them would lose something.
    ///
    /// `concat_octets` is what a place in a long message takes of each segment.
    #[must_use]
    pub fn cheapest(self, text: &str, concat_octets: usize) -> Option<Alphabet> {
        let no_tables = self == self.without_tables();
        if no_tables && self.contains(Charset::Gsm7) && is_gsm7(text) {
            return Some(Alphabet::GSM7);
        }
        let tally = Tally::of(text);
        let candidates = self.alphabets().filter_map(|alphabet| {
            let units = tally.units(alphabet)?;
            let header = header_octets(alphabet.shifts(), 0);
            let messages = if units <= alphabet.capacity(header) {
                1
            } else {
                units.div_ceil(
                    alphabet
                        .capacity(header_octets(alphabet.shifts(), concat_octets))
                        .max(1),
                )
            };
            let national = alphabet.shifts() != Shifts::NONE;
            let septets = if national {
                units.saturating_add(header)
            } else {
                0
            };
            Some(((messages, national, septets), alphabet))
        });
        // Of equal ones the first: `min_by_key` keeps it.
        candidates
            .min_by_key(|(cost, _)| *cost)
            .map(|(_, alphabet)| alphabet)
    }
}

/// The octets of a user data header with these tables and `concat_octets` of a place, its length
/// octet counted; 0 where there is nothing to say.
pub(crate) const fn header_octets(shifts: Shifts, concat_octets: usize) -> usize {
    let mut octets = concat_octets;
    if shifts.locking.is_some() {
        octets = octets.saturating_add(3);
    }
    if shifts.single.is_some() {
        octets = octets.saturating_add(3);
    }
    if octets == 0 {
        0
    } else {
        octets.saturating_add(1)
    }
}

fn place(charset: Charset) -> u16 {
    SENDABLE
        .iter()
        .zip(0_u8..)
        .find_map(|(known, place)| (*known == charset).then(|| bit(place)))
        .unwrap_or(0)
}

/// How often each character of a text is in it.
struct Tally(BTreeMap<char, usize>);

impl Tally {
    fn of(text: &str) -> Self {
        let mut tally = BTreeMap::<char, usize>::new();
        for character in text.chars() {
            let count = tally.entry(character).or_default();
            *count = count.saturating_add(1);
        }
        Self(tally)
    }

    /// The units of the text; `None` where the alphabet lacks one of its characters.
    fn units(&self, alphabet: Alphabet) -> Option<usize> {
        self.0
            .iter()
            .try_fold(0_usize, |units, (character, count)| {
                let cost = alphabet.cost(*character)?;
                Some(units.saturating_add(cost.saturating_mul(*count)))
            })
    }
}

/// The cheapest of the two alphabets that every handset reads.
#[must_use]
pub fn alphabet_for(text: &str) -> Alphabet {
    if is_gsm7(text) {
        Alphabet::GSM7
    } else {
        Alphabet::UCS2
    }
}

fn is_gsm7(text: &str) -> bool {
    text.chars().all(|one| super::gsm7::septets(one).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cheapest(allowed: Allowed, text: &str) -> Alphabet {
        allowed.cheapest(text, 6).unwrap()
    }

    #[test]
    fn a_text_takes_the_cheapest_alphabet_that_loses_nothing() {
        let default = Allowed::default();
        for (text, alphabet) in [
            ("Grüße, {€}", Alphabet::GSM7),
            ("", Alphabet::GSM7),
            ("ça va", Alphabet::UCS2),
            ("tab\t", Alphabet::UCS2),
            ("👍", Alphabet::UCS2),
        ] {
            assert_eq!(cheapest(default, text), alphabet, "{text}");
            assert_eq!(alphabet_for(text), alphabet, "{text}");
        }
        assert_eq!(
            default.with(Charset::Latin1).cheapest("ça va", 6),
            Some(Alphabet::Other(Charset::Latin1))
        );
    }

    #[test]
    fn without_an_alphabet_that_has_all_of_the_text_there_is_none() {
        assert_eq!(Allowed::NONE.cheapest("a", 6), None);
        let latin = Allowed::NONE.with(Charset::Latin1).with(Charset::Iso2022Jp);
        assert_eq!(latin.cheapest("a€", 6), None);
        assert_eq!(
            Allowed::default().without(Charset::Ucs2).cheapest("ж", 6),
            None
        );
    }

    #[test]
    fn national_tables_are_used_only_where_they_are_allowed_and_save_a_message() {
        let turkish = Allowed::default().with_language(Language::Turkish);
        assert_eq!(
            cheapest(turkish, "ığ"),
            Alphabet::UCS2,
            "one message either way"
        );
        let long = "ığdır ".repeat(20);
        assert_eq!(cheapest(Allowed::default(), &long), Alphabet::UCS2);
        let Alphabet::Gsm7(shifts) = cheapest(turkish, &long) else {
            panic!("not septets")
        };
        assert_eq!(shifts.locking, Some(Language::Turkish));
        let german = "Grüße ".repeat(40);
        assert_eq!(cheapest(turkish, &german), Alphabet::GSM7);
    }

    #[test]
    fn the_pair_of_tables_that_takes_the_fewest_septets_is_chosen() {
        let all = Allowed {
            locking: Languages::ALL,
            single: Languages::ALL,
            ..Allowed::default()
        };
        let hindi = "हिन्दी A ".repeat(12);
        let expected = Shifts {
            locking: Some(Language::Hindi),
            // All Indic tables have the capitals: the first of them.
            single: Some(Language::Bengali),
        };
        assert_eq!(cheapest(all, &hindi), Alphabet::Gsm7(expected));
        let spanish = Allowed::default().with_language(Language::Spanish);
        let expected = Shifts {
            locking: None,
            single: Some(Language::Spanish),
        };
        let text = "¿Está aquí? ".repeat(10);
        assert_eq!(cheapest(spanish, &text), Alphabet::Gsm7(expected));
    }

    #[test]
    fn units_count_escapes_twice_and_astral_characters_twice() {
        assert_eq!(Alphabet::GSM7.units("a€"), 3);
        assert_eq!(Alphabet::UCS2.units("a👍"), 3);
        assert_eq!(Alphabet::Other(Charset::EucKr).units("a한"), 3);
    }

    #[test]
    fn a_message_has_room_for_140_octets_with_its_header() {
        assert_eq!(
            [0, 6, 7, 4].map(|header| Alphabet::GSM7.capacity(header)),
            [160, 153, 152, 155]
        );
        assert_eq!(
            [0, 6, 7].map(|header| Alphabet::UCS2.capacity(header)),
            [70, 67, 66]
        );
        let latin1 = Alphabet::Other(Charset::Latin1);
        assert_eq!(
            [0, 6, 7].map(|header| latin1.capacity(header)),
            [140, 134, 133]
        );
        let ascii = Alphabet::Other(Charset::Ascii);
        assert_eq!([0, 6].map(|header| ascii.capacity(header)), [160, 153]);
    }
}
