//! The limits against pumped traffic, as they are counted and told.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::model::Timestamp;

/// A limit of `[fraud]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Limit {
    /// What a Matrix ID spends within a day.
    SpendPerDay,
    /// With how many new phones a Matrix ID begins within a day.
    NewPhonesPerDay,
    /// How many new phones of a prefix are texted, by whomever.
    NewPhonesPerPrefix,
}

impl Limit {
    const ALL: [Self; 3] = [
        Self::SpendPerDay,
        Self::NewPhonesPerDay,
        Self::NewPhonesPerPrefix,
    ];

    /// Its name, which is its key in the configuration.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::SpendPerDay => "spend_per_day",
            Self::NewPhonesPerDay => "new_phones_per_day",
            Self::NewPhonesPerPrefix => "new_phones_per_prefix",
        }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Limit {
    type Err = &'static str;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|limit| limit.name() == name);
        found.ok_or("write spend_per_day, new_phones_per_day or new_phones_per_prefix")
    }
}

/// A message was refused by a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hit {
    /// Which.
    pub limit: Limit,
    /// What it allows: micro-units of money, or phones.
    pub most: i64,
    /// When the message fits, where nothing else comes before it; `None` where it never does.
    pub again: Option<Timestamp>,
    /// The first message that this limit refuses to this Matrix ID or prefix for the width of its window.
    pub is_first: bool,
}

/// A time as people read it, in UTC, the minute in which it has come for sure.
#[must_use]
pub fn when(at: Timestamp) -> String {
    let minutes = at.0.div_euclid(60_000) + i64::from(at.0.rem_euclid(60_000) > 0);
    let Ok(time) = OffsetDateTime::from_unix_timestamp(minutes.saturating_mul(60)) else {
        return "a time far away".to_owned();
    };
    let (date, hour, minute) = (time.date(), time.hour(), time.minute());
    format!("{date} {hour:02}:{minute:02} UTC")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_known_by_its_key() {
        for limit in Limit::ALL {
            assert_eq!(limit.name().parse(), Ok(limit));
        }
        assert!("invites_per_hour".parse::<Limit>().is_err());
    }

    #[test]
    fn the_minute_that_is_told_has_come_for_sure() {
        assert_eq!(when(Timestamp(0)), "1970-01-01 00:00 UTC");
        assert_eq!(when(Timestamp(1)), "1970-01-01 00:01 UTC");
        assert_eq!(when(Timestamp(86_399_999)), "1970-01-02 00:00 UTC");
        assert_eq!(when(Timestamp(i64::MAX)), "a time far away");
    }
}
