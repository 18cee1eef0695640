//! What is due by time alone.

use std::time::Duration;

use rusqlite::{Connection, params};

use super::kept;
use super::life;
use super::rows::{self, Sql as _};
use super::{dispatch, leases, receipts, sms, submissions};
use crate::gateway::model::{MessageState, Timestamp};
use crate::store::Result;

/// How long a receipt waits for the answer that tells whose it is.
const PARKED_MEMORY: Duration = Duration::from_hours(24);
/// Receipts that may wait; beyond that the oldest go.
const MAX_PARKED: i64 = 100_000;
/// How long the ids of finished events, SMS and outbox entries stay known.
const DONE_MEMORY: Duration = Duration::from_hours(30 * 24);
/// How long a message and its history stay after it was accepted.
const MESSAGE_MEMORY: Duration = Duration::from_hours(90 * 24);

pub(super) fn sweep(
    tx: &Connection,
    mo_part_ttl: Duration,
    now: Timestamp,
    limit: usize,
) -> Result<bool> {
    let done = [
        expire_messages(tx, now, limit)?,
        end_holds(tx, now, limit)?,
        end_waits_for_receipts(tx, now, limit)?,
        leases::forget_cooled(tx, now, limit)?,
        give_up_partial_sms(tx, ago(now, mo_part_ttl), limit)?,
        forget(
            tx,
            "parked",
            "id",
            "at <= ?1",
            ago(now, PARKED_MEMORY),
            limit,
        )?,
        forget_surplus_receipts(tx)?,
        forget(tx, "taken", "id", "until <= ?1", now, limit)?,
        submissions::expire(tx, now, limit)?,
        forget(tx, "owed", "id", "until <= ?1", now, limit)?,
        forget(
            tx,
            "submission",
            "id",
            "at <= ?1 AND state <> 1",
            ago(now, DONE_MEMORY),
            limit,
        )?,
        forget(
            tx,
            "event",
            "seq",
            "progress = 1 AND at <= ?1",
            ago(now, DONE_MEMORY),
            limit,
        )?,
        forget(
            tx,
            "sms",
            "id",
            "progress = 1 AND at <= ?1",
            ago(now, DONE_MEMORY),
            limit,
        )?,
        forget(
            tx,
            "outbox",
            "id",
            "progress = 1 AND queued_at <= ?1",
            ago(now, DONE_MEMORY),
            limit,
        )?,
        forget_messages(tx, ago(now, MESSAGE_MEMORY), limit)?,
        kept::forget_texts(tx, now, limit)?,
        kept::forget_aside(tx, now, limit)?,
        kept::forget_extras(tx, now, limit)?,
        kept::forget_references(tx, now, limit)?,
    ];
    Ok(done.into_iter().any(|count| count >= limit))
}

pub(super) fn ago(now: Timestamp, time: Duration) -> Timestamp {
    let millis = i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
    Timestamp(now.0.saturating_sub(millis))
}

fn keys(tx: &Connection, sql: &str, now: Timestamp, limit: usize) -> Result<Vec<i64>> {
    tx.all(sql, params![now, rows::limit(limit)], |row| Ok(row.get(0)?))
}

fn expire_messages(tx: &Connection, now: Timestamp, limit: usize) -> Result<usize> {
    let over = keys(
        tx,
        "SELECT key FROM message WHERE state = 0 AND valid_until <= ?1 ORDER BY valid_until LIMIT ?2",
        now,
        limit,
    )?;
    over.iter()
        .try_for_each(|key| dispatch::expire(tx, *key, now))?;
    Ok(over.len())
}

/// Gives up on segments whose hold ends, and forgets those given up long ago.
fn end_holds(tx: &Connection, now: Timestamp, limit: usize) -> Result<usize> {
    let over = tx.all(
        "SELECT message, number, lost FROM unanswered WHERE until <= ?1 ORDER BY until LIMIT ?2",
        params![now, rows::limit(limit)],
        |row| {
            Ok((
                row.get::<_, i64>(0)?,
                row.get::<_, u8>(1)?,
                row.get::<_, bool>(2)?,
            ))
        },
    )?;
    for (key, number, lost) in &over {
        if *lost {
            receipts::forget_evidence(tx, *key, *number)?;
        } else {
            end_hold(tx, *key, *number, now)?;
        }
    }
    Ok(over.len())
}

fn end_hold(tx: &Connection, key: i64, number: u8, now: Timestamp) -> Result<()> {
    let Some(message) = life::message(tx, key)? else {
        return receipts::forget_evidence(tx, key, number);
    };
    receipts::match_parked_by_evidence(tx, &message, now)?;
    let segment = life::segment(tx, key, number)?;
    match segment.filter(|segment| segment.state == MessageState::Uncertain) {
        Some(segment) => life::lose(tx, &message, &segment, (now, "no receipt came in time"))?,
        None => receipts::forget_evidence(tx, key, number)?,
    }
    life::refresh(tx, key, now)
}

/// Waits no longer for receipts that are overdue.
fn end_waits_for_receipts(tx: &Connection, now: Timestamp, limit: usize) -> Result<usize> {
    let over = keys(
        tx,
        "SELECT key FROM message WHERE state = 3 AND receipt_by <= ?1 ORDER BY receipt_by LIMIT ?2",
        now,
        limit,
    )?;
    for key in &over {
        let Some(message) = life::message(tx, *key)? else {
            continue;
        };
        for segment in life::segments(tx, *key)? {
            if segment.state == MessageState::Submitted {
                let why = (now, "no receipt came in time");
                life::leave(tx, &message, &segment, MessageState::NoReceipt, why)?;
            }
        }
        life::refresh(tx, *key, now)?;
    }
    Ok(over.len())
}

fn give_up_partial_sms(tx: &Connection, before: Timestamp, limit: usize) -> Result<usize> {
    let stale = keys(
        tx,
        "SELECT id FROM partial WHERE at <= ?1 ORDER BY at LIMIT ?2",
        before,
        limit,
    )?;
    stale
        .iter()
        .try_for_each(|partial| sms::give_up(tx, *partial))?;
    Ok(stale.len())
}

fn forget_surplus_receipts(tx: &Connection) -> Result<usize> {
    tx.run(
        "DELETE FROM parked WHERE id <= (SELECT max(id) FROM parked) - ?1",
        [MAX_PARKED],
    )
}

/// Deletes at most `limit` rows that are old enough.
pub(super) fn forget(
    tx: &Connection,
    table: &str,
    key: &str,
    condition: &str,
    before: Timestamp,
    limit: usize,
) -> Result<usize> {
    tx.run(
        &format!(
            "DELETE FROM {table} WHERE {key} IN
             (SELECT {key} FROM {table} WHERE {condition} LIMIT ?2)"
        ),
        params![before, rows::limit(limit)],
    )
}

/// The ledger keeps what they cost.
fn forget_messages(tx: &Connection, before: Timestamp, limit: usize) -> Result<usize> {
    // The oldest messages are the first by key; those still open end by their validity and hold.
    let oldest = tx.all(
        "SELECT key, accepted_at <= ?1 AND state > 2 FROM message ORDER BY key LIMIT ?2",
        params![before, rows::limit(limit)],
        |row| Ok((row.get::<_, i64>(0)?, row.get::<_, bool>(1)?)),
    )?;
    let over: Vec<i64> = oldest
        .into_iter()
        .filter(|(_, over)| *over)
        .map(|(key, _)| key)
        .collect();
    for key in &over {
        for table in ["step", "sent", "unanswered", "segment"] {
            tx.run(&format!("DELETE FROM {table} WHERE message = ?1"), [key])?;
        }
        tx.run("DELETE FROM message WHERE key = ?1", [key])?;
    }
    Ok(over.len())
}
