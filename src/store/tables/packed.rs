//! A part of a row that never changes, written once for all the times that the row is.

use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;
use std::sync::{Arc, OnceLock};

use serde::de::{DeserializeOwned, Visitor};
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The part, shared by the row's copies, with its octets as soon as one of them was written.
#[derive(Debug)]
pub(crate) struct Packed<T>(Arc<Part<T>>);

#[derive(Debug)]
struct Part<T> {
    value: T,
    octets: OnceLock<Box<[u8]>>,
}

impl<T> Packed<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(Arc::new(Part {
            value,
            octets: OnceLock::new(),
        }))
    }
}

impl<T> Clone for Packed<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Deref for Packed<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0.value
    }
}

impl<T: Serialize> Serialize for Packed<T> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        if let Some(octets) = self.0.octets.get() {
            return to.serialize_bytes(octets);
        }
        let octets = rmp_serde::to_vec(&self.0.value).map_err(S::Error::custom)?;
        to.serialize_bytes(self.0.octets.get_or_init(|| octets.into_boxed_slice()))
    }
}

impl<'de, T: DeserializeOwned> Deserialize<'de> for Packed<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_bytes(Octets(PhantomData))
    }
}

struct Octets<T>(PhantomData<T>);

impl<T: DeserializeOwned> Visitor<'_> for Octets<T> {
    type Value = Packed<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("octets of a part")
    }

    fn visit_bytes<E: serde::de::Error>(self, octets: &[u8]) -> Result<Packed<T>, E> {
        let value = rmp_serde::from_slice(octets).map_err(|_| E::custom("not such a part"))?;
        Ok(Packed(Arc::new(Part {
            value,
            octets: OnceLock::from(Box::from(octets)),
        })))
    }
}
