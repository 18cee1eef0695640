//! Segments on their way to a peer: claimed, answered, recovered.

use std::collections::BTreeMap;

use matrix_smpp_codec::Tlvs;
use matrix_smpp_codec::values::DataCoding;

use super::life::{self, Event, Held};
use super::sweep::each;
use super::{opt_outs, receipts};
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
        let over = claim_live(tx, &due(tx, link_group, wanted, now), &mut claimed, now)?;
        if over.is_empty() {
            break;
        }
        each(over, |(key, why)| {
            tx.apart(|tx| match why {
                Over::Expired => expire(tx, key, now),
                Over::Unwanted => opt_outs::take_back(tx, key, now),
            })
        })?;
    }
    Ok(claimed)
}

/// The ready segments of a link group in the order of their due times: their messages and numbers.
fn due(tx: &Tx<'_>, link_group: &str, limit: usize, now: Timestamp) -> Vec<(i64, u8)> {
    let due = tx.indexes().messages.due.get(link_group);
    due.into_iter()
        .flatten()
        .take_while(|(at, ..)| *at <= now)
        .take(limit)
        .map(|(_, key, number)| (*key, *number))
        .collect()
}

/// Why what is due is not sent.
#[derive(Debug, Clone, Copy)]
enum Over {
    /// Its validity has ended.
    Expired,
    /// Its phone wants no more texts.
    Unwanted,
}

/// Claims those that are still valid and wanted; gives the messages that are not.
fn claim_live(
    tx: &mut Tx<'_>,
    due: &[(i64, u8)],
    claimed: &mut Vec<Claimed>,
    now: Timestamp,
) -> Result<BTreeMap<i64, Over>> {
    let mut over = BTreeMap::new();
    let mut held = Held::default();
    each(due, |(key, number)| {
        let Some(row) = held.row(tx, *key)? else {
            return Ok(());
        };
        if row.valid_until <= now {
            over.insert(*key, Over::Expired);
        } else if opt_outs::is_unwanted(tx, row)? {
            over.insert(*key, Over::Unwanted);
        } else {
            claimed.extend(intend(row, *number, now)?);
            held.changed(*key);
        }
        Ok(())
    })?;
    held.save(tx, now)?;
    Ok(over)
}

/// Records that a segment is about to be written.
fn intend(row: &mut MessageRow, number: u8, now: Timestamp) -> Result<Option<Claimed>> {
    let Some(segment) = row.segment_mut(number) else {
        return Ok(None);
    };
    segment.state = MessageState::Intent;
    segment.ready = false;
    segment.attempt = segment.attempt.saturating_add(1);
    let attempt = segment.attempt;
    let detail = if segment.resends > 0 {
        format!("attempt {attempt}, may arrive twice")
    } else {
        format!("attempt {attempt}")
    };
    row.step(Some(number), MessageState::Intent, (now, detail.into()));
    let segment = row.segment(number);
    segment
        .map(|segment| read_claimed(row, number, segment))
        .transpose()
}

fn read_claimed(row: &MessageRow, number: u8, segment: &SegmentRow) -> Result<Claimed> {
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
        payload: segment.payload.clone(),
        tlvs: Tlvs::try_from(segment.tlvs.to_vec())
            .map_err(|error| StoreError::Corrupt(format!("parameters: {error}")))?,
        receipts: row.receipts,
        valid_until: row.valid_until,
    })
}

pub(in crate::store) fn next_due(tx: &Tx<'_>, link_group: &str) -> Option<Timestamp> {
    let due = tx.indexes().messages.due.get(link_group)?;
    due.first().map(|(at, ..)| *at)
}

pub(in crate::store) fn record(tx: &mut Tx<'_>, answers: &[Answer], now: Timestamp) -> Result<()> {
    let mut held = Held::default();
    each(answers, |answer| record_one(tx, &mut held, answer, now))?;
    held.save(tx, now)
}

fn record_one(tx: &mut Tx<'_>, held: &mut Held, answer: &Answer, now: Timestamp) -> Result<()> {
    let Some(key) = life::number_of(tx, answer.segment.message)? else {
        return Ok(());
    };
    let number = answer.segment.index;
    let Some(row) = held.row(tx, key)? else {
        return Ok(());
    };
    if !row
        .segment(number)
        .is_some_and(|segment| concerns(answer, segment))
    {
        return Ok(());
    }
    apply(tx, row, number, &answer.outcome, now)?;
    let plan = row.plan.clone();
    held.changed(key);
    if !receipts::any_parked(tx, &plan.link_group) {
        return Ok(());
    }
    held.put_back(tx)?;
    match &answer.outcome {
        Outcome::Submitted { message_id } => {
            if !message_id.is_empty() {
                receipts::match_parked_by_id(tx, &plan, number, message_id, now)?;
            }
            receipts::match_parked_by_evidence(tx, &plan, now)
        }
        Outcome::Uncertain => receipts::match_parked_by_evidence(tx, &plan, now),
        _ => Ok(()),
    }
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
    let again = |why: &'static str| (now, why.into());
    match outcome {
        Outcome::Submitted { message_id } => submitted(tx, row, number, message_id, now),
        Outcome::NotWritten => life::requeue(tx, row, number, now, again("not written")),
        Outcome::Throttled { retry_at } => {
            let why = again("the peer asks to slow down");
            life::requeue(tx, row, number, *retry_at, why)
        }
        Outcome::Retry { retry_at, status } => {
            if let Some(segment) = row.segment_mut(number) {
                segment.retries += 1;
            }
            let detail = format!("temporary error {status:#010x}");
            life::requeue(tx, row, number, *retry_at, (now, detail.into()))
        }
        Outcome::Rejected { status } => {
            let detail = format!("status {status:#010x}");
            rejected(
                tx,
                row,
                number,
                Failure::Status(*status),
                (now, detail.into()),
            )
        }
        Outcome::Unsendable { reason } => {
            let failure = Failure::Unsendable(reason.clone());
            rejected(tx, row, number, failure, (now, reason.clone().into()))
        }
        Outcome::Uncertain => life::become_uncertain(tx, row, number, again("no answer")),
    }
}

fn submitted(
    tx: &mut Tx<'_>,
    row: &mut MessageRow,
    number: u8,
    smsc_id: &str,
    now: Timestamp,
) -> Result<()> {
    life::settle(tx, row, number, now)?;
    receipts::expect_id(tx, row, number, smsc_id)?;
    let detail = ["message id ", smsc_id].concat();
    row.leave(number, MessageState::Submitted, (now, detail.into()));
    Ok(())
}

fn rejected(
    tx: &mut Tx<'_>,
    row: &mut MessageRow,
    number: u8,
    failure: Failure,
    event: Event,
) -> Result<()> {
    let now = event.0;
    receipts::forget_evidence(tx, row, number)?;
    life::release(tx, row, number, now)?;
    row.leave(number, MessageState::Rejected, event);
    row.set_failure(failure);
    let why = (now, "another segment was rejected");
    life::withdraw(tx, row, MessageState::Cancelled, why).map(drop)
}

pub(in crate::store) fn recover(tx: &mut Tx<'_>, now: Timestamp) -> Result<usize> {
    let open: Vec<i64> = tx.indexes().messages.on_wire.keys().copied().collect();
    let mut held = Held::default();
    let mut count = 0;
    each(open, |key| {
        let row = held.row(tx, key)?;
        let numbers = row.map_or_else(Vec::new, |row| row.in_state(MessageState::Intent));
        count += numbers.len();
        each(numbers, |number| {
            recover_one(tx, &mut held, (key, number), now)
        })
    })?;
    held.save(tx, now)?;
    Ok(count)
}

fn recover_one(
    tx: &mut Tx<'_>,
    held: &mut Held,
    (key, number): (i64, u8),
    now: Timestamp,
) -> Result<()> {
    let Some(row) = held.row(tx, key)? else {
        return Ok(());
    };
    let why = (now, "the gateway restarted".into());
    life::become_uncertain(tx, row, number, why)?;
    let plan = row.plan.clone();
    held.changed(key);
    if receipts::any_parked(tx, &plan.link_group) {
        held.put_back(tx)?;
        receipts::match_parked_by_evidence(tx, &plan, now)?;
    }
    Ok(())
}

/// Ends what is still queued after its validity, at most `limit` messages; tells how many.
pub(in crate::store) fn expire_due(tx: &mut Tx<'_>, now: Timestamp, limit: usize) -> Result<usize> {
    let queued = tx.indexes().messages.queued.iter();
    let over: Vec<i64> = queued
        .take_while(|(until, _)| *until <= now)
        .map(|(_, key)| *key)
        .take(limit)
        .collect();
    each(&over, |key| tx.apart(|tx| expire(tx, *key, now)))?;
    Ok(over.len())
}

/// Ends what of a message is still queued after its validity.
fn expire(tx: &mut Tx<'_>, key: i64, now: Timestamp) -> Result<()> {
    let why = (now, "its validity ended");
    match life::message(tx, key)? {
        Some(row) => life::take_off(tx, row, MessageState::Expired, why),
        None => Ok(()),
    }
}
