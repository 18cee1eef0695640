//! Messages in the hands of one operation.

use std::collections::{BTreeMap, BTreeSet};

use super::super::sweep::each;
use super::{keep, message, refresh};
use crate::gateway::model::Timestamp;
use crate::store::Result;
use crate::store::tables::MessageRow;
use crate::store::tx::Tx;

/// Messages that an operation changes, each read once and brought up to date once, at its end.
#[derive(Debug, Default)]
pub(in crate::store) struct Held {
    rows: BTreeMap<i64, MessageRow>,
    changed: BTreeSet<i64>,
}

impl Held {
    /// A message to look at, or to change: then [`Self::changed`] must follow.
    pub(in crate::store) fn row(
        &mut self,
        tx: &mut Tx<'_>,
        key: i64,
    ) -> Result<Option<&mut MessageRow>> {
        if !self.rows.contains_key(&key)
            && let Some(row) = message(tx, key)?
        {
            self.rows.insert(key, row);
        }
        Ok(self.rows.get_mut(&key))
    }

    /// A message was changed.
    pub(in crate::store) fn changed(&mut self, key: i64) {
        self.changed.insert(key);
    }

    /// Puts all back as they are, because something is called next that looks for messages itself.
    pub(in crate::store) fn put_back(&mut self, tx: &mut Tx<'_>) -> Result<()> {
        let changed = &self.changed;
        let rows = std::mem::take(&mut self.rows).into_iter();
        each(rows, |(key, row)| {
            if changed.contains(&key) {
                keep(tx, row)?;
            }
            Ok(())
        })
    }

    /// Brings those that were changed up to date, in their order.
    pub(in crate::store) fn save(mut self, tx: &mut Tx<'_>, now: Timestamp) -> Result<()> {
        let mut left = Vec::new();
        each(&self.changed, |key| {
            let row = match self.rows.remove(key) {
                Some(row) => Some(row),
                None => message(tx, *key)?,
            };
            if let Some(row) = row {
                left.extend(refresh::update(tx, row, true, now)?);
            }
            Ok(())
        })?;
        // Only now, for the next of a lane may be one of these.
        each(left, |left| refresh::bring_forward(tx, &left, now))
    }
}
