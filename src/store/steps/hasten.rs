//! What is put off further than anything is ever put off: the clock was ahead when that was done, and
//! has been set back since.

use std::collections::BTreeSet;
use std::ops::Bound;

use super::sweep::each;
use crate::gateway::model::Timestamp;
use crate::store::tables::{Messages, Outbox, Owed, SegmentRow, number};
use crate::store::tx::Tx;
use crate::store::{Result, StoreError};

/// Makes it due at `latest`, and what was never tried at once; at most `limit` of each kind. True if
/// there may be more. Idempotent: nothing is later than `latest` afterwards.
pub(in crate::store) fn hasten(
    tx: &mut Tx<'_>,
    now: Timestamp,
    latest: Timestamp,
    limit: usize,
) -> Result<bool> {
    let due = |attempts: u32| if attempts == 0 { now } else { latest };
    let (messages, entries) = (messages(tx, latest, limit), entries(tx, latest, limit));
    let receipts = receipts(tx, latest, limit);
    let may_be_more = [messages.len(), entries.len(), receipts.len()];
    // All of them are run though one may fail for want of rows, so that all rows are read at once.
    let done = [
        each(messages, |key| {
            each(lane(tx, key, limit)?, |key| {
                let hastened = tx.update::<Messages>(&number(key), |row| {
                    let late = |segment: &&mut SegmentRow| segment.due_at > latest;
                    for segment in row.segments.iter_mut().filter(late) {
                        segment.due_at = due(segment.attempt);
                    }
                });
                readable(hastened)
            })
        }),
        each(entries, |key| {
            let hastened = tx.update::<Outbox>(&number(key), |row| row.due_at = due(row.attempts));
            readable(hastened)
        }),
        each(receipts, |key| {
            let hastened = tx.update::<Owed>(&number(key), |row| row.due_at = due(row.attempt));
            readable(hastened)
        }),
    ];
    done.into_iter().collect::<Result<()>>()?;
    Ok(may_be_more.into_iter().any(|count| count >= limit))
}

/// What cannot be read keeps the rest from nothing.
fn readable(hastened: Result<bool>) -> Result<()> {
    match hastened {
        Ok(_) | Err(StoreError::Corrupt(_)) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Messages with a ready segment that is due too late.
fn messages(tx: &Tx<'_>, latest: Timestamp, limit: usize) -> BTreeSet<i64> {
    let last = (latest, i64::MAX, u8::MAX);
    let after = (Bound::Excluded(last), Bound::Unbounded);
    let due = tx.indexes().messages.due.values();
    let late = due.flat_map(|due| due.range(after));
    late.map(|(_, key, _)| *key).take(limit).collect()
}

/// A message and those that wait behind it, at most `limit`.
fn lane(tx: &mut Tx<'_>, key: i64, limit: usize) -> Result<BTreeSet<i64>> {
    let row = match tx.get::<Messages>(&number(key)) {
        Err(StoreError::Corrupt(_)) => None,
        row => row?,
    };
    let lanes = &tx.indexes().messages.lanes;
    let lane = row.and_then(|row| lanes.get(&row.conversation));
    let behind = lane.into_iter().flatten().copied();
    Ok(behind.take(limit).chain([key]).collect())
}

/// Heads of lanes that are due too late, and those of the others there that are.
fn entries(tx: &Tx<'_>, latest: Timestamp, limit: usize) -> BTreeSet<i64> {
    let index = &tx.indexes().outbox;
    let late = index
        .heads
        .range((Bound::Excluded((latest, i64::MAX)), Bound::Unbounded));
    let lanes = late.filter_map(|(_, lane)| index.lanes.get(lane));
    let entries = lanes.flatten().filter(|(_, due)| due.at > latest);
    entries.map(|(id, _)| *id).take(limit).collect()
}

fn receipts(tx: &Tx<'_>, latest: Timestamp, limit: usize) -> BTreeSet<i64> {
    let after = (Bound::Excluded((latest, i64::MAX)), Bound::Unbounded);
    let due = tx.indexes().owed.due.values();
    let late = due.flat_map(|due| due.range(after));
    late.map(|((_, id), _)| *id).take(limit).collect()
}
