//! Values that people may write in several ways. Whoever writes another one is told all of them.

use std::fmt;
use std::marker::PhantomData;

use serde::Deserializer;
use serde::de::{Error, MapAccess, Unexpected, Visitor};

/// A value that is written as a number, as a word, or as a table.
pub(crate) trait Written: Sized {
    /// All the ways, with an example of each: what stands behind "expected".
    const WAYS: &'static str;

    /// From its word.
    fn from_word<E: Error>(word: &str) -> Result<Self, E>;

    /// From its number, where it has one.
    fn from_number<E: Error>(number: u64) -> Result<Self, E> {
        Err(E::invalid_type(
            Unexpected::Unsigned(number),
            &Ways::<Self>(PhantomData),
        ))
    }

    /// From its table, where it has one.
    fn from_table<'de, A: MapAccess<'de>>(_table: A) -> Result<Self, A::Error> {
        Err(A::Error::invalid_type(
            Unexpected::Map,
            &Ways::<Self>(PhantomData),
        ))
    }
}

/// Reads a value in whichever way it is written.
pub(crate) fn read<'de, T: Written, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    deserializer.deserialize_any(Ways(PhantomData))
}

struct Ways<T>(PhantomData<T>);

impl<'de, T: Written> Visitor<'de> for Ways<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(T::WAYS)
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<T, E> {
        T::from_number(number)
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<T, E> {
        let unsigned = u64::try_from(number);
        let wrong = |_| E::invalid_value(Unexpected::Signed(number), &self);
        T::from_number(unsigned.map_err(wrong)?)
    }

    fn visit_str<E: Error>(self, word: &str) -> Result<T, E> {
        T::from_word(word)
    }

    fn visit_map<A: MapAccess<'de>>(self, table: A) -> Result<T, A::Error> {
        T::from_table(table)
    }
}
