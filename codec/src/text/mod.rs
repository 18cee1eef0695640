//! Texts as short messages carry them.
//!
//! [`Charset`] is how octets that came in are read, as their `data_coding` says; [`Alphabet`] is what
//! a text goes out in, chosen among those that a peer [`Allowed`]s.

mod alphabet;
mod charset;
mod class;
pub mod gsm7;
pub mod ucs2;

pub(crate) use alphabet::header_octets;
pub(crate) use charset::{ascii, windows_1252};

pub use alphabet::{Allowed, Alphabet, Languages, alphabet_for};
pub use charset::Charset;
pub use class::{MessageClass, MessageWaiting};
pub use gsm7::{Language, Shifts};

use crate::values::DataCoding;

/// The text of a message, with U+FFFD for what cannot be read. `data_coding` 0 is GSM 03.38.
#[must_use]
pub fn decode(data_coding: DataCoding, octets: &[u8]) -> String {
    Charset::of(data_coding).decode(octets)
}
