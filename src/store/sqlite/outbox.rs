//! Things to do at the homeserver, in lanes.

use rusqlite::{Connection, params};

use super::rows::{self, Page, Sql as _, json, to_json};
use super::{aside, sms};
use crate::gateway::model::{OutboxId, SmsId, Timestamp};
use crate::store::{Ending, NewOutbox, OutboxEntry, Result};

pub(super) fn enqueue(tx: &Connection, entries: &[NewOutbox], now: Timestamp) -> Result<()> {
    for entry in entries {
        tx.run(
            "INSERT INTO outbox (key, lane, item, head, due_at, queued_at)
             VALUES (?1, ?2, ?3,
                 NOT EXISTS (SELECT 1 FROM outbox WHERE lane = ?2 AND progress = 0), ?4, ?4)
             ON CONFLICT DO NOTHING",
            params![
                entry.key,
                entry.lane.to_string(),
                to_json(&entry.item)?,
                now
            ],
        )?;
    }
    Ok(())
}

pub(super) fn due(
    tx: &Connection,
    now: Timestamp,
    limit: usize,
    busy: &[String],
) -> Result<Page<OutboxId, OutboxEntry>> {
    // Each busy lane hides one head at most.
    let heads = rows::page(
        tx,
        "SELECT id, lane, item, attempts, queued_at FROM outbox
         WHERE head = 1 AND due_at <= ?1 ORDER BY due_at, id LIMIT ?2",
        params![now, rows::limit(limit.saturating_add(busy.len()))],
        |row| {
            let lane: String = row.get("lane")?;
            if busy.contains(&lane) {
                return Ok(None);
            }
            Ok(Some(OutboxEntry {
                id: row.get("id")?,
                lane,
                item: json(row, "item")?,
                attempts: row.get("attempts")?,
                queued_at: row.get("queued_at")?,
            }))
        },
    )?;
    Ok(Page {
        rows: heads.rows.into_iter().flatten().take(limit).collect(),
        unreadable: heads.unreadable,
    })
}

pub(super) fn finish(tx: &Connection, id: OutboxId, ending: &Ending) -> Result<()> {
    let (progress, reason, at) = rows::ending(ending);
    let found = tx.one(
        "SELECT lane, key FROM outbox WHERE id = ?1 AND progress = 0",
        [id],
        |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)),
    )?;
    let Some((lane, key)) = found else {
        return Ok(());
    };
    tx.run(
        "UPDATE outbox SET progress = ?2, reason = ?3, ended_at = max(?4, queued_at), head = 0,
             item = CASE ?2 WHEN 1 THEN NULL ELSE item END
         WHERE id = ?1",
        params![id, progress, reason, at],
    )?;
    set_head(tx, &lane)?;
    if let Some(sms) = sms_of(&key) {
        sms::end_submissions(tx, sms, ending)?;
    }
    aside::tell(tx, ending, 1)
}

/// The SMS that an entry says, by its key: in a room, or to the owner of a lease that has ended.
fn sms_of(key: &str) -> Option<SmsId> {
    key.strip_prefix("sms:")?.parse().ok().map(SmsId)
}

/// The first unfinished entry of a lane is its head.
fn set_head(tx: &Connection, lane: &str) -> Result<()> {
    tx.run(
        "UPDATE outbox SET head = 1 WHERE id =
         (SELECT id FROM outbox WHERE lane = ?1 AND progress = 0 ORDER BY id LIMIT 1)",
        [lane],
    )?;
    Ok(())
}

/// Puts an entry that was set aside back into its lane. True if it was.
pub(super) fn retry(tx: &Connection, id: OutboxId, now: Timestamp) -> Result<bool> {
    let lane = tx.one(
        "UPDATE outbox SET progress = 0, reason = NULL, ended_at = NULL, attempts = 0, due_at = ?2
         WHERE id = ?1 AND progress = 2 RETURNING lane",
        params![id, now],
        |row| Ok(row.get::<_, String>(0)?),
    )?;
    let Some(lane) = lane else { return Ok(false) };
    tx.run(
        "UPDATE outbox SET head = 0 WHERE lane = ?1 AND progress = 0 AND head = 1",
        [&lane],
    )?;
    set_head(tx, &lane)?;
    Ok(true)
}

pub(super) fn postpone(tx: &Connection, id: OutboxId, at: Timestamp, error: &str) -> Result<()> {
    tx.run(
        "UPDATE outbox SET due_at = ?2, error = ?3, attempts = attempts + 1
         WHERE id = ?1 AND progress = 0",
        params![id, at, error],
    )?;
    Ok(())
}

pub(super) fn hurry(tx: &Connection, now: Timestamp) -> Result<()> {
    tx.run(
        "UPDATE outbox SET due_at = ?1 WHERE head = 1 AND attempts > 0 AND due_at > ?1",
        [now],
    )?;
    Ok(())
}

pub(super) fn next_due(tx: &Connection, busy: &[String]) -> Result<Option<Timestamp>> {
    // Each busy lane hides one head at most.
    let heads = tx.all(
        "SELECT lane, due_at FROM outbox
         WHERE head = 1 AND attempts > 0 AND due_at >= 0 ORDER BY due_at LIMIT ?1",
        [rows::limit(busy.len().saturating_add(1))],
        |row| Ok((row.get::<_, String>(0)?, row.get(1)?)),
    )?;
    let free = heads.into_iter().find(|(lane, _)| !busy.contains(lane));
    Ok(free.map(|(_, due)| due))
}
