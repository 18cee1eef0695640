//! Segments on their way to a peer: claimed, answered, recovered.

use bytes::Bytes;
use matrix_smpp_codec::Tlvs;
use matrix_smpp_codec::values::DataCoding;
use rusqlite::{Connection, Row, params};
use std::collections::BTreeSet;

use super::life::{self, Message, Segment};
use super::receipts;
use super::rows::{self, Sql as _, e164};
use crate::gateway::model::{MessageState, SegmentRef, Timestamp};
use crate::store::{Answer, Claimed, Failure, Outcome, Result, StoreError};

/// Times a claim looks again after it found messages whose time was over.
const LOOKS: usize = 8;

pub(super) fn claim(
    tx: &Connection,
    link_group: &str,
    limit: usize,
    now: Timestamp,
) -> Result<Vec<Claimed>> {
    let mut claimed = Vec::new();
    for _ in 0..LOOKS {
        let wanted = limit.saturating_sub(claimed.len());
        let due = due(tx, link_group, wanted, now)?;
        let (live, over): (Vec<_>, Vec<_>) = due
            .into_iter()
            .partition(|(_, segment)| segment.valid_until > now);
        for (key, segment) in live {
            claimed.push(intend(tx, key, segment, now)?);
        }
        if over.is_empty() {
            break;
        }
        for key in over
            .into_iter()
            .map(|(key, _)| key)
            .collect::<BTreeSet<_>>()
        {
            expire(tx, key, now)?;
        }
    }
    Ok(claimed)
}

/// The ready segments of a link group in the order of their due times, with their messages' keys.
pub(super) const DUE: &str = "SELECT s.message, s.number, s.attempt, s.retries, s.resends, s.udhi,
        s.payload, s.tlvs, m.id, m.route, m.conversation, m.originator, m.destination, m.data_coding,
        m.receipts, m.valid_until
    FROM segment s CROSS JOIN message m ON m.key = s.message
    WHERE s.ready = 1 AND s.link_group = ?1 AND s.due_at <= ?2
    ORDER BY s.due_at, s.message, s.number LIMIT ?3";

fn due(
    tx: &Connection,
    link_group: &str,
    limit: usize,
    now: Timestamp,
) -> Result<Vec<(i64, Claimed)>> {
    tx.all(DUE, params![link_group, now, rows::limit(limit)], |row| {
        Ok((row.get("message")?, read_claimed(row)?))
    })
}

fn read_claimed(row: &Row<'_>) -> Result<Claimed> {
    Ok(Claimed {
        segment: SegmentRef {
            message: row.get("id")?,
            index: row.get("number")?,
        },
        attempt: row.get("attempt")?,
        retries: row.get("retries")?,
        possible_duplicate: row.get::<_, u32>("resends")? > 0,
        route: row.get("route")?,
        conversation: row.get("conversation")?,
        originator: row.get("originator")?,
        destination: e164(row, "destination")?,
        udhi: row.get("udhi")?,
        data_coding: DataCoding(row.get("data_coding")?),
        payload: Bytes::from(row.get::<_, Vec<u8>>("payload")?),
        tlvs: tlvs(row)?,
        receipts: row.get("receipts")?,
        valid_until: row.get("valid_until")?,
    })
}

fn tlvs(row: &Row<'_>) -> Result<Tlvs> {
    let octets = row.get::<_, Vec<u8>>("tlvs")?;
    Tlvs::try_from(octets).map_err(|error| StoreError::Corrupt(format!("parameters: {error}")))
}

/// Records that a segment is about to be written.
fn intend(tx: &Connection, key: i64, segment: Claimed, now: Timestamp) -> Result<Claimed> {
    let attempt = segment.attempt.saturating_add(1);
    tx.run(
        "UPDATE segment SET state = 1, ready = 0, attempt = ?3 WHERE message = ?1 AND number = ?2",
        params![key, segment.segment.index, attempt],
    )?;
    if let Some(message) = life::message(tx, key)? {
        let detail = if segment.possible_duplicate {
            format!("attempt {attempt}, may arrive twice")
        } else {
            format!("attempt {attempt}")
        };
        let index = Some(segment.segment.index);
        life::step(tx, &message, index, MessageState::Intent, (now, &detail))?;
    }
    life::refresh(tx, key, now)?;
    Ok(Claimed { attempt, ..segment })
}

pub(super) fn next_due(tx: &Connection, link_group: &str) -> Result<Option<Timestamp>> {
    let due = tx.one(
        "SELECT min(due_at) FROM segment WHERE ready = 1 AND link_group = ?1",
        [link_group],
        |row| Ok(row.get(0)?),
    )?;
    Ok(due.flatten())
}

pub(super) fn record(tx: &Connection, answers: &[Answer], now: Timestamp) -> Result<()> {
    let mut changed = BTreeSet::new();
    for answer in answers {
        let Some(message) = life::message_by_id(tx, answer.segment.message)? else {
            continue;
        };
        let segment = life::segment(tx, message.key, answer.segment.index)?;
        let Some(segment) = segment.filter(|segment| concerns(answer, segment)) else {
            continue;
        };
        apply(tx, &message, &segment, &answer.outcome, now)?;
        changed.insert(message.key);
    }
    changed
        .into_iter()
        .try_for_each(|key| life::refresh(tx, key, now))
}

/// True for the answer to the attempt that is on the wire; and for the peer's own late word on
/// one that nobody has been told to be lost yet.
fn concerns(answer: &Answer, segment: &Segment) -> bool {
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
    tx: &Connection,
    message: &Message,
    segment: &Segment,
    outcome: &Outcome,
    now: Timestamp,
) -> Result<()> {
    match outcome {
        Outcome::Submitted { message_id } => submitted(tx, message, segment, message_id, now),
        Outcome::NotWritten => life::requeue(tx, message, segment, now, (now, "not written")),
        Outcome::Throttled { retry_at } => life::requeue(
            tx,
            message,
            segment,
            *retry_at,
            (now, "the peer asks to slow down"),
        ),
        Outcome::Retry { retry_at, status } => {
            tx.run(
                "UPDATE segment SET retries = retries + 1 WHERE message = ?1 AND number = ?2",
                [message.key, i64::from(segment.number)],
            )?;
            let detail = format!("temporary error {status:#010x}");
            life::requeue(tx, message, segment, *retry_at, (now, &detail))
        }
        Outcome::Rejected { status } => {
            let failure = Failure::Status(*status);
            let detail = format!("status {status:#010x}");
            rejected(tx, message, segment, &failure, (now, &detail))
        }
        Outcome::Unsendable { reason } => {
            let failure = Failure::Unsendable(reason.clone());
            rejected(tx, message, segment, &failure, (now, reason))
        }
        Outcome::Uncertain => {
            life::become_uncertain(tx, message, segment, (now, "no answer"))?;
            receipts::match_parked_by_evidence(tx, message, now)
        }
    }
}

fn submitted(
    tx: &Connection,
    message: &Message,
    segment: &Segment,
    smsc_id: &str,
    now: Timestamp,
) -> Result<()> {
    life::settle(tx, message, segment, now)?;
    let detail = format!("message id {smsc_id}");
    life::leave(
        tx,
        message,
        segment,
        MessageState::Submitted,
        (now, &detail),
    )?;
    receipts::expect_id(tx, message, segment.number, smsc_id)?;
    if !smsc_id.is_empty() {
        receipts::match_parked_by_id(tx, message, segment.number, smsc_id, now)?;
    }
    receipts::match_parked_by_evidence(tx, message, now)
}

fn rejected(
    tx: &Connection,
    message: &Message,
    segment: &Segment,
    failure: &Failure,
    (now, detail): (Timestamp, &str),
) -> Result<()> {
    receipts::forget_evidence(tx, message.key, segment.number)?;
    life::release(tx, message, segment, now)?;
    life::leave(tx, message, segment, MessageState::Rejected, (now, detail))?;
    life::set_failure(tx, message, failure)?;
    life::withdraw(
        tx,
        message,
        MessageState::Cancelled,
        (now, "another segment was rejected"),
    )?;
    Ok(())
}

pub(super) fn recover(tx: &Connection, now: Timestamp) -> Result<usize> {
    let open = tx.all(
        "SELECT message, number FROM segment WHERE state < 3 AND state = 1",
        [],
        |row| Ok((row.get::<_, i64>(0)?, row.get::<_, u8>(1)?)),
    )?;
    for (key, number) in &open {
        let Some(message) = life::message(tx, *key)? else {
            continue;
        };
        let Some(segment) = life::segment(tx, *key, *number)? else {
            continue;
        };
        life::become_uncertain(tx, &message, &segment, (now, "the gateway restarted"))?;
        receipts::match_parked_by_evidence(tx, &message, now)?;
    }
    let keys: BTreeSet<i64> = open.iter().map(|(key, _)| *key).collect();
    keys.into_iter()
        .try_for_each(|key| life::refresh(tx, key, now))?;
    Ok(open.len())
}

/// Ends what of a message is still queued after its validity.
pub(super) fn expire(tx: &Connection, key: i64, now: Timestamp) -> Result<()> {
    if let Some(message) = life::message(tx, key)? {
        life::withdraw(
            tx,
            &message,
            MessageState::Expired,
            (now, "its validity ended"),
        )?;
        life::refresh(tx, key, now)?;
    }
    Ok(())
}
