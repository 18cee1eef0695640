//! The bounds of what is kept without being work: by age, and where somebody else could make it grow,
//! by count.

use std::time::Duration;

use rusqlite::{Connection, params};

use super::rows::{self, Sql as _};
use super::sweep::{ago, forget};
use crate::gateway::model::Timestamp;
use crate::store::Result;

/// How long the text of an SMS stays that was handed on and said.
const TEXT_MEMORY: Duration = Duration::from_hours(24);
/// How long something that was set aside can be tried again.
const ASIDE_MEMORY: Duration = Duration::from_hours(90 * 24);
/// How much of each kind may be set aside; beyond that the oldest go.
const MAX_ASIDE: i64 = 10_000;
/// How long what homeservers send beside events waits for its reader.
const EXTRAS_MEMORY: Duration = Duration::from_hours(30 * 24);
/// How many transactions of all homeservers are kept for it; beyond that the oldest go.
const MAX_EXTRAS: i64 = 100_000;
/// After so long no phone waits for parts of a message with the last reference any more.
const REFERENCE_MEMORY: Duration = Duration::from_hours(30 * 24);

/// Empties texts that nothing will say any more.
pub(super) fn forget_texts(tx: &Connection, now: Timestamp, limit: usize) -> Result<usize> {
    tx.run(
        "UPDATE sms SET text = '' WHERE id IN
             (SELECT id FROM sms WHERE progress = 1 AND text <> '' AND at <= ?1
                 AND NOT EXISTS (SELECT 1 FROM outbox
                     WHERE outbox.key = 'sms:' || sms.id AND outbox.progress <> 1)
              LIMIT ?2)",
        params![ago(now, TEXT_MEMORY), rows::limit(limit)],
    )
}

/// Forgets what was set aside too long ago, or is too much.
pub(super) fn forget_aside(tx: &Connection, now: Timestamp, limit: usize) -> Result<usize> {
    let mut most = 0;
    for (table, key) in [("event", "seq"), ("sms", "id"), ("outbox", "id")] {
        let old = "progress = 2 AND ended_at <= ?1";
        let surplus = tx.run(
            &format!(
                "DELETE FROM {table} WHERE {key} IN (SELECT {key} FROM {table} WHERE progress = 2
                 ORDER BY ended_at DESC LIMIT ?2 OFFSET ?1)"
            ),
            params![MAX_ASIDE, rows::limit(limit)],
        )?;
        let old = forget(tx, table, key, old, ago(now, ASIDE_MEMORY), limit)?;
        most = most.max(surplus).max(old);
    }
    Ok(most)
}

/// Forgets what nobody has read for too long, or is too much.
pub(super) fn forget_extras(tx: &Connection, now: Timestamp, limit: usize) -> Result<usize> {
    let surplus = tx.run(
        "DELETE FROM extras WHERE rowid IN (SELECT rowid FROM extras
         WHERE rowid <= (SELECT max(rowid) FROM extras) - ?1 ORDER BY rowid LIMIT ?2)",
        params![MAX_EXTRAS, rows::limit(limit)],
    )?;
    let before = ago(now, EXTRAS_MEMORY);
    let old = forget(tx, "extras", "rowid", "at <= ?1", before, limit)?;
    Ok(surplus.max(old))
}

pub(super) fn forget_references(tx: &Connection, now: Timestamp, limit: usize) -> Result<usize> {
    tx.run(
        "DELETE FROM reference WHERE (originator, destination) IN
             (SELECT originator, destination FROM reference WHERE at <= ?1 LIMIT ?2)",
        params![ago(now, REFERENCE_MEMORY), rows::limit(limit)],
    )
}
