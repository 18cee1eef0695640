//! The content of an event: state, which rules look into, or what was said, which nobody does.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use serde_json::value::RawValue;

/// The content of an event.
#[derive(Debug, Clone)]
pub(crate) enum Content {
    /// Read.
    Value(Value),
    /// As it came: known to be JSON.
    Raw(Box<RawValue>),
}

impl Content {
    /// A field of what was read.
    pub(crate) fn field(&self, name: &str) -> Option<&Value> {
        match self {
            Self::Value(value) => value.get(name),
            Self::Raw(_) => None,
        }
    }
}

impl From<Value> for Content {
    fn from(value: Value) -> Self {
        Self::Value(value)
    }
}

/// What it says decides, not how it is kept.
impl PartialEq for Content {
    fn eq(&self, other: &Self) -> bool {
        let value = |content: &Self| serde_json::to_value(content).ok();
        value(self) == value(other)
    }
}

impl Serialize for Content {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Value(value) => value.serialize(to),
            Self::Raw(raw) => raw.serialize(to),
        }
    }
}

impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Value::deserialize(from).map(Self::Value)
    }
}
