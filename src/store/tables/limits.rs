//! What the limits against pumped traffic count.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Row;
use crate::gateway::limits::Limit;
use crate::gateway::model::Timestamp;
use crate::gateway::window::Window;

/// What one limit has counted of one Matrix ID or prefix.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CounterRow {
    pub(crate) window: Window,
    /// How long an amount counts, as of the last one, in milliseconds.
    pub(crate) width: u64,
    /// When it refused a message first, within its window.
    pub(crate) hit: Option<Timestamp>,
}

impl CounterRow {
    pub(crate) fn width(&self) -> Duration {
        Duration::from_millis(self.width)
    }
}

impl Row for CounterRow {}

/// Key of [`super::Counters`].
pub(crate) fn counter_key(limit: Limit, whose: &str) -> String {
    [limit.name(), "|", whose].concat()
}

/// The inverse.
pub(crate) fn counter_of(key: &str) -> Option<(Limit, &str)> {
    let (limit, whose) = key.split_once('|')?;
    Some((limit.parse().ok()?, whose))
}
