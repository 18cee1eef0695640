//! A `command_status` as people write it.

use std::borrow::Cow;
use std::fmt;

use matrix_smpp_codec::CommandStatus;
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};

use crate::sim::written::{self, Written};

/// A status that reads and writes by name: `ESME_RTHROTTLED` (SMPP 3.4 §5.1.3), or `0x400`
/// where the standard has no name. It may also be read from its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(into = "String")]
pub(crate) struct StatusName(pub(crate) CommandStatus);

/// Not a name of the standard's, and no hexadecimal number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "no such command_status: write a name of SMPP 3.4 §5.1.3, as ESME_RTHROTTLED, or a number, as 0x400"
)]
pub(crate) struct UnknownStatus;

impl StatusName {
    /// Everything is well.
    pub(crate) const OK: Self = Self(CommandStatus::ESME_ROK);

    /// The name, or the number where there is none.
    pub(crate) fn word(self) -> Cow<'static, str> {
        let Self(status) = self;
        status
            .name()
            .map_or_else(|| status.to_string().into(), Cow::Borrowed)
    }
}

impl TryFrom<String> for StatusName {
    type Error = UnknownStatus;

    fn try_from(text: String) -> Result<Self, UnknownStatus> {
        if let Some(hex) = text.strip_prefix("0x") {
            let number = u32::from_str_radix(hex, 16).map_err(|_| UnknownStatus)?;
            return Ok(Self(CommandStatus(number)));
        }
        let mut known = CommandStatus::KNOWN.iter();
        let found = known.find(|status| status.name() == Some(&*text));
        found.copied().map(Self).ok_or(UnknownStatus)
    }
}

impl Written for StatusName {
    const WAYS: &'static str = "a status as \"ESME_RTHROTTLED\" or \"0x400\", or its number";

    fn from_word<E: Error>(word: &str) -> Result<Self, E> {
        Self::try_from(word.to_owned()).map_err(E::custom)
    }

    fn from_number<E: Error>(number: u64) -> Result<Self, E> {
        let number = u32::try_from(number).map_err(|_| E::custom(UnknownStatus))?;
        Ok(Self(CommandStatus(number)))
    }
}

impl<'de> Deserialize<'de> for StatusName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        written::read(deserializer)
    }
}

impl From<StatusName> for String {
    fn from(status: StatusName) -> Self {
        status.to_string()
    }
}

impl fmt::Display for StatusName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_reads_back_as_it_was_written() {
        for number in (0..=0xff).chain([0x400, 0xdead_beef]) {
            let status = StatusName(CommandStatus(number));
            assert_eq!(StatusName::try_from(String::from(status)), Ok(status));
        }
    }

    #[test]
    fn a_status_may_be_a_number() {
        let throttled = StatusName(CommandStatus::ESME_RTHROTTLED);
        for said in ["\"ESME_RTHROTTLED\"", "\"0x58\"", "88"] {
            assert_eq!(serde_json::from_str::<StatusName>(said).unwrap(), throttled);
        }
        assert!(serde_json::from_str::<StatusName>("4294967296").is_err());
    }

    #[test]
    fn a_word_that_is_no_status_is_refused() {
        for word in ["", "THROTTLED", "0x", "0x123456789", "ESME_NONSENSE"] {
            assert_eq!(StatusName::try_from(word.to_owned()), Err(UnknownStatus));
        }
    }
}
