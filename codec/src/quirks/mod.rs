//! What a peer does against the standard, by name. Without quirks a peer is read as SMPP 3.4 has it;
//! each quirk is set for the peers that need it and for no others, since each reads some correct
//! octets in another way.

mod mend;

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use crate::text::Charset;

/// Declares the quirks: one row each, with the name that settings use.
macro_rules! quirks {
    ($($(#[$doc:meta])* $quirk:ident = $name:literal,)*) => {
        /// One way in which a peer leaves the standard.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Quirk {
            $($(#[$doc])* $quirk,)*
        }

        impl Quirk {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$quirk,)*];

            /// The name that settings use.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$quirk => $name,)*
                }
            }
        }
    };
}

quirks! {
    /// A C-octet string may be longer than its field: it is cut. Not for `submit_multi`'s lists.
    LongStrings = "long_strings",
    /// A C-octet string that fills its field comes without its NUL: its last octet is taken for it.
    UnterminatedStrings = "unterminated_strings",
    /// `sm_length` is not the length of the text: all that follows is text where it makes no sense
    /// otherwise.
    WrongTextLength = "wrong_text_length",
    /// Optional parameters may be cut off or run past the end: the whole ones count.
    BrokenTlvs = "broken_tlvs",
    /// NULs fill the gaps between optional parameters.
    PaddedTlvs = "padded_tlvs",
    /// The SMSC's default alphabet, `data_coding` 0, is ISO-8859-1, not GSM 03.38.
    DefaultIsLatin1 = "default_is_latin1",
    /// The SMSC's default alphabet, `data_coding` 0, is UTF-8 or ASCII.
    DefaultIsUtf8 = "default_is_utf8",
    /// What is announced as ISO-8859-1 is Windows-1252, with curly quotes and the euro sign.
    Windows1252 = "windows_1252",
    /// Septets come packed, 8 in 7 octets, as they are on the air.
    PackedSeptets = "packed_septets",
    /// UCS-2 comes little-endian.
    LittleEndianUcs2 = "little_endian_ucs2",
    /// A text begins with the header of a segment though `esm_class` does not say so.
    UnannouncedHeader = "unannounced_header",
    /// Receipts come without their bit in `esm_class`: a `deliver_sm` with `receipted_message_id`, or
    /// with a text that has id, both dates and error, is one.
    UnmarkedReceipts = "unmarked_receipts",
}

/// The name of a quirk that nobody knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("unknown quirk")]
pub struct UnknownQuirk;

impl FromStr for Quirk {
    type Err = UnknownQuirk;

    fn from_str(name: &str) -> Result<Self, UnknownQuirk> {
        let mut all = Self::ALL.iter().copied();
        all.find(|quirk| quirk.name() == name).ok_or(UnknownQuirk)
    }
}

impl fmt::Display for Quirk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The quirks of one peer. By default none.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Quirks(u32);

impl Quirks {
    /// A peer that keeps to the standard.
    pub const NONE: Self = Self(0);

    /// These and one more.
    #[must_use]
    pub fn with(self, quirk: Quirk) -> Self {
        Self(self.0 | bit(quirk))
    }

    /// Whether the peer has the quirk.
    #[must_use]
    pub fn contains(self, quirk: Quirk) -> bool {
        self.0 & bit(quirk) != 0
    }

    /// The quirks, in the order of their declaration.
    pub fn iter(self) -> impl Iterator<Item = Quirk> {
        Quirk::ALL
            .iter()
            .copied()
            .filter(move |quirk| self.contains(*quirk))
    }

    /// What the default alphabet is, where it is not GSM 03.38.
    pub(crate) fn default_charset(self) -> Option<Charset> {
        if self.contains(Quirk::DefaultIsLatin1) {
            Some(Charset::Latin1)
        } else if self.contains(Quirk::DefaultIsUtf8) {
            Some(Charset::Octets)
        } else {
            None
        }
    }
}

fn bit(quirk: Quirk) -> u32 {
    let place = Quirk::ALL.iter().position(|known| *known == quirk);
    let place = place.and_then(|place| u32::try_from(place).ok());
    place
        .and_then(|place| 1_u32.checked_shl(place))
        .unwrap_or(0)
}

impl FromIterator<Quirk> for Quirks {
    fn from_iter<I: IntoIterator<Item = Quirk>>(quirks: I) -> Self {
        quirks.into_iter().fold(Self::NONE, Self::with)
    }
}

impl fmt::Debug for Quirks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}
