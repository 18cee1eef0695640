//! Segments on their way to a peer: claimed, answered, recovered.
//!
//! A claim records the intent and gives what may be written in the same operation; an answer counts for
//! the attempt that it names, so that repeating it changes nothing.

use std::collections::BTreeSet;

use matrix_smpp_codec::Tlvs;
use matrix_smpp_codec::values::DataCoding;

use super::{life, receipts};
use crate::gateway::model::{MessageState, SegmentRef, Timestamp};
use crate::store::tables::{MessageRow, SegmentRow};
use crate::store::tx::Tx;
use crate::store::{Answer, Claimed, Failure, Outcome, Result, StoreError};

/// Times a claim looks again after it found messages whose time was over.
const LOOKS: usize = 8;

pub(in crate::store) fn claim(
    tx: &mut Tx<'_>,
    link_group: &str,
    limit: usize,
    now: Timestamp,
) -> Result<Vec<Claimed>> {
    let mut claimed = Vec::new();
    for _ in 0..LOOKS {
        let wanted = limit.saturating_sub(claimed.len());
        let due = due(tx, link_group, wanted, now);
        let mut over = BTreeSet::new();
        for (key, number) in due {
            let Some(row) = life::message(tx, key)? else {
                continue;
            };
            if row.valid_until > now {
                claimed.extend(intend(tx, row, number, now)?);
            } else {
                over.insert(key);
            }
        }
        if over.is_empty() {
            break;
        }
        for key in over {
            expire(tx, key, now)?;
        }
    }
    Ok(claimed)
}

/// The ready segments of a link group in the order of their due times.
fn due(tx: &Tx<'_>, link_group: &str, limit: usize, now: Timestamp) -> Vec<(i64, u8)> {
    let Some(due) = tx.indexes().messages.due.get(link_group) else {
        return Vec::new();
    };
    due.range(..=(now, i64::MAX, u8::MAX))
        .take(limit)
        .map(|(_, key, number)| (*key, *number))
        .collect()
}

/// Records that a segment is about to be written.
fn intend(
    tx: &mut Tx<'_>,
    mut row: MessageRow,
    number: u8,
    now: Timestamp,
) -> Result<Option<Claimed>> {
    let Some(segment) = life::segment_mut(&mut row, number) else {
        return Ok(None);
    };
    segment.state = MessageState::Intent;
    segment.ready = false;
    segment.attempt = segment.attempt.saturating_add(1);
    let segment = segment.clone();
    let attempt = segment.attempt;
    let detail = if segment.resends > 0 {
        format!("attempt {attempt}, may arrive twice")
    } else {
        format!("attempt {attempt}")
    };
    life::step(&mut row, Some(number), MessageState::Intent, (now, &detail));
    let claimed = claimed(&row, number, segment)?;
    life::refresh(tx, row, now)?;
    Ok(Some(claimed))
}

fn claimed(row: &MessageRow, number: u8, segment: SegmentRow) -> Result<Claimed> {
    let tlvs = Tlvs::try_from(segment.tlvs.to_vec())
        .map_err(|error| StoreError::Corrupt(format!("parameters: {error}")))?;
    Ok(Claimed {
        segment: SegmentRef {
            message: row.id,
            index: number,
        },
        attempt: segment.attempt,
        retries: segment.retries,
        possible_duplicate: segment.resends > 0,
        route: row.route.clone(),
        conversation: row.conversation,
        originator: row.originator.clone(),
        destination: row.destination.0,
        udhi: segment.udhi,
        data_coding: DataCoding(row.data_coding),
        payload: segment.payload,
        tlvs,
        receipts: row.receipts,
        valid_until: row.valid_until,
    })
}

pub(in crate::store) fn next_due(tx: &Tx<'_>, link_group: &str) -> Option<Timestamp> {
    let due = tx.indexes().messages.due.get(link_group)?;
    due.first().map(|(at, _, _)| *at)
}

pub(in crate::store) fn record(tx: &mut Tx<'_>, answers: &[Answer], now: Timestamp) -> Result<()> {
    answers
        .iter()
        .try_for_each(|answer| record_one(tx, answer, now))
}

fn record_one(tx: &mut Tx<'_>, answer: &Answer, now: Timestamp) -> Result<()> {
    let number = answer.segment.index;
    let Some(mut row) = life::message_by_id(tx, answer.segment.message)? else {
        return Ok(());
    };
    if !life::segment(&row, number).is_some_and(|segment| concerns(answer, segment)) {
        return Ok(());
    }
    apply(tx, &mut row, number, &answer.outcome, now)?;
    let row = match &answer.outcome {
        Outcome::Submitted { message_id } => {
            receipts::match_parked(tx, row, number, message_id, now)?
        }
        Outcome::Uncertain => receipts::match_parked_by_evidence(tx, row, now)?,
        _ => row,
    };
    life::refresh(tx, row, now)
}

/// True for the answer to the attempt that is on the wire; and for the peer's own late word on
/// one that nobody has been told to be lost yet.
fn concerns(answer: &Answer, segment: &SegmentRow) -> bool {
    let by_peer = matches!(
        answer.outcome,
        Outcome::Submitted { .. } | Outcome::Rejected { .. }
    );
    let sent_again =
        segment.state == MessageState::Queued && segment.resends > 0 && !segment.in_lane;
    let waits = match segment.state {
        MessageState::Intent => true,
        MessageState::Uncertain => by_peer,
        _ => by_peer && sent_again,
    };
    waits && answer.attempt == segment.attempt
}

fn apply(
    tx: &mut Tx<'_>,
    row: &mut MessageRow,
    number: u8,
    outcome: &Outcome,
    now: Timestamp,
) -> Result<()> {
    match outcome {
        Outcome::Submitted { message_id } => {
            life::settle(tx, row, number, now)?;
            let detail = format!("message id {message_id}");
            life::leave(row, number, MessageState::Submitted, (now, &detail));
            receipts::expect_id(tx, row, number, message_id)
        }
        Outcome::NotWritten => life::requeue(tx, row, number, now, (now, "not written")),
        Outcome::Throttled { retry_at } => {
            let why = (now, "the peer asks to slow down");
            life::requeue(tx, row, number, *retry_at, why)
        }
        Outcome::Retry { retry_at, status } => {
            if let Some(segment) = life::segment_mut(row, number) {
                segment.retries = segment.retries.saturating_add(1);
            }
            let detail = format!("temporary error {status:#010x}");
            life::requeue(tx, row, number, *retry_at, (now, &detail))
        }
        Outcome::Rejected { status } => {
            let detail = format!("status {status:#010x}");
            rejected(tx, row, number, Failure::Status(*status), (now, &detail))
        }
        Outcome::Unsendable { reason } => {
            let failure = Failure::Unsendable(reason.clone());
            rejected(tx, row, number, failure, (now, reason))
        }
        Outcome::Uncertain => life::become_uncertain(tx, row, number, (now, "no answer")),
    }
}

fn rejected(
    tx: &mut Tx<'_>,
    row: &mut MessageRow,
    number: u8,
    failure: Failure,
    happened: life::Happened<'_>,
) -> Result<()> {
    receipts::forget_evidence(tx, row, number)?;
    life::release(tx, row, number, happened.0)?;
    life::leave(row, number, MessageState::Rejected, happened);
    life::set_failure(row, failure);
    let why = (happened.0, "another segment was rejected");
    life::withdraw(tx, row, MessageState::Cancelled, why)
}

/// What was on the wire when the last owner ended is uncertain; tells how many segments.
pub(in crate::store) fn recover(tx: &mut Tx<'_>, now: Timestamp) -> Result<usize> {
    let keys: Vec<i64> = tx.indexes().messages.on_wire.iter().copied().collect();
    let mut recovered = 0;
    for key in keys {
        let Some(mut row) = life::message(tx, key)? else {
            continue;
        };
        for number in life::numbers(&row) {
            if life::segment(&row, number).is_some_and(|one| one.state == MessageState::Intent) {
                let why = (now, "the gateway restarted");
                life::become_uncertain(tx, &mut row, number, why)?;
                row = receipts::match_parked_by_evidence(tx, row, now)?;
                recovered += 1;
            }
        }
        life::refresh(tx, row, now)?;
    }
    Ok(recovered)
}

/// Ends what of a message is still queued after its validity.
pub(in crate::store) fn expire(tx: &mut Tx<'_>, key: i64, now: Timestamp) -> Result<()> {
    let Some(mut row) = life::message(tx, key)? else {
        return Ok(());
    };
    let why = (now, "its validity ended");
    life::withdraw(tx, &mut row, MessageState::Expired, why)?;
    life::refresh(tx, row, now)
}

/// Ends queued messages whose validity is over, at most `limit`; tells how many.
pub(in crate::store) fn expire_due(tx: &mut Tx<'_>, now: Timestamp, limit: usize) -> Result<usize> {
    let queued = tx.indexes().messages.queued.range(..=(now, i64::MAX));
    let over: Vec<i64> = queued.take(limit).map(|(_, key)| *key).collect();
    for key in &over {
        expire(tx, *key, now)?;
    }
    Ok(over.len())
}
