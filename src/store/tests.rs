//! The conformance suite on every engine.

mod on_redis;
mod on_sqlite;

use std::sync::Arc;
use std::time::Duration;

use super::conformance::{Engine, suite};
use super::{Store, TableStore};

const DAY: Duration = Duration::from_hours(24);
