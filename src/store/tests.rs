//! The conformance suite on every engine.

mod on_redis;
mod on_sqlite;

use std::sync::Arc;
use std::time::Duration;

use super::conformance::{Engine, suite};
use super::{Store, TableStore};

const DAY: Duration = Duration::from_hours(24);

/// How many of something, where a variable says so.
pub(super) fn number_given(variable: &str, otherwise: u64) -> u64 {
    let given = std::env::var(variable).ok();
    given.map_or(otherwise, |text| text.parse().unwrap())
}
