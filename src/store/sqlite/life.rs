//! The life of a message: how its segments change, and what follows for the message, its lane, its
//! money and its history.
//!
//! An operation first changes segments, each change recorded as a step, and ends with one
//! [`refresh`] per message: that brings the message's own state up to date, queues the news and
//! lets the next message of the lane forward.

mod refresh;

use rusqlite::{Connection, Row, params};

pub(super) use self::refresh::{refresh, refresh_silently};
use super::money::{self, Charge};
use super::receipts;
use super::rows::{Sql as _, json, to_json};
use crate::gateway::model::{
    ConversationId, MessageId, MessageState, Source, Timestamp, UncertainPolicy,
};
use crate::store::{Failure, Result};

/// Times a segment is sent again without knowing what became of it before.
const MAX_RESENDS: u32 = 3;
/// Steps kept for one message; beyond them only final states are recorded.
const MAX_STEPS: u32 = 200;
/// How long a segment that was given up can still be found by a receipt.
pub(super) const LOST_MEMORY: i64 = 7 * 24 * 3_600_000;

/// A message, as much of it as its changes need.
#[derive(Debug, Clone)]
pub(super) struct Message {
    pub(super) key: i64,
    pub(super) id: MessageId,
    pub(super) source: Source,
    pub(super) conversation: ConversationId,
    pub(super) destination: String,
    pub(super) originator: String,
    pub(super) payer: String,
    pub(super) link_group: String,
    pub(super) price: i64,
    pub(super) uncertain: UncertainPolicy,
    state: MessageState,
    lane_left: i64,
    steps: u32,
}

const MESSAGE: &str = "SELECT key, id, source, conversation, destination, originator, payer,
    link_group, price, uncertain, state, lane_left, steps FROM message";

fn read_message(row: &Row<'_>) -> Result<Message> {
    let originator: String = row.get("originator")?;
    Ok(Message {
        key: row.get("key")?,
        id: row.get("id")?,
        source: json(row, "source")?,
        conversation: row.get("conversation")?,
        destination: row.get("destination")?,
        originator: originator.get(2..).unwrap_or_default().to_owned(),
        payer: row.get("payer")?,
        link_group: row.get("link_group")?,
        price: row.get("price")?,
        uncertain: json(row, "uncertain")?,
        state: row.get("state")?,
        lane_left: row.get("lane_left")?,
        steps: row.get("steps")?,
    })
}

pub(super) fn message(tx: &Connection, key: i64) -> Result<Option<Message>> {
    tx.one(&format!("{MESSAGE} WHERE key = ?1"), [key], read_message)
}

pub(super) fn message_by_id(tx: &Connection, id: MessageId) -> Result<Option<Message>> {
    tx.one(&format!("{MESSAGE} WHERE id = ?1"), [id], read_message)
}

/// A segment, as much of it as its changes need.
#[derive(Debug, Clone, Copy)]
pub(super) struct Segment {
    pub(super) number: u8,
    pub(super) state: MessageState,
    pub(super) attempt: u32,
    pub(super) resends: u32,
    pub(super) in_lane: bool,
}

const SEGMENT: &str = "SELECT number, state, attempt, resends, in_lane FROM segment
    WHERE message = ?1";

fn read_segment(row: &Row<'_>) -> Result<Segment> {
    Ok(Segment {
        number: row.get("number")?,
        state: row.get("state")?,
        attempt: row.get("attempt")?,
        resends: row.get("resends")?,
        in_lane: row.get("in_lane")?,
    })
}

/// All segments of a message.
pub(super) fn segments(tx: &Connection, message: i64) -> Result<Vec<Segment>> {
    tx.all(SEGMENT, [message], read_segment)
}

/// One segment.
pub(super) fn segment(tx: &Connection, message: i64, number: u8) -> Result<Option<Segment>> {
    tx.one(
        &format!("{SEGMENT} AND number = ?2"),
        params![message, number],
        read_segment,
    )
}

/// One change of a segment or of a whole message, for its history.
pub(super) fn step(
    tx: &Connection,
    message: &Message,
    segment: Option<u8>,
    state: MessageState,
    (at, detail): (Timestamp, &str),
) -> Result<()> {
    if message.steps >= MAX_STEPS && !state.is_final() {
        return Ok(());
    }
    tx.run(
        "INSERT INTO step (message, segment, at, state, detail) VALUES (?1, ?2, ?3, ?4, ?5)",
        params![message.key, segment, at, state, detail],
    )?;
    tx.run(
        "UPDATE message SET steps = steps + 1 WHERE key = ?1",
        [message.key],
    )?;
    Ok(())
}

/// Puts a segment back into the queue, in its place in the lane. One whose message has failed or
/// whose conversation has ended meanwhile is taken back instead.
pub(super) fn requeue(
    tx: &Connection,
    message: &Message,
    segment: &Segment,
    due_at: Timestamp,
    (now, detail): (Timestamp, &str),
) -> Result<()> {
    if !is_wanted(tx, message)? {
        release(tx, message, segment, now)?;
        return leave(tx, message, segment, MessageState::Cancelled, (now, detail));
    }
    tx.run(
        "UPDATE segment SET state = 0, ready = 1, due_at = ?3 WHERE message = ?1 AND number = ?2",
        params![message.key, segment.number, due_at],
    )?;
    step(
        tx,
        message,
        Some(segment.number),
        MessageState::Queued,
        (now, detail),
    )
}

/// False where the rest of the message is not to be sent any more.
fn is_wanted(tx: &Connection, message: &Message) -> Result<bool> {
    let failed = tx.any(
        "SELECT 1 FROM segment WHERE message = ?1 AND state BETWEEN 5 AND 9 LIMIT 1",
        [message.key],
    )?;
    let active = tx.any(
        "SELECT 1 FROM conversation WHERE id = ?1 AND active = 1",
        [message.conversation],
    )?;
    Ok(active && !failed)
}

/// Gives a segment a state outside the queue: it leaves the lane and its text is forgotten.
pub(super) fn leave(
    tx: &Connection,
    message: &Message,
    segment: &Segment,
    state: MessageState,
    (now, detail): (Timestamp, &str),
) -> Result<()> {
    tx.run(
        "UPDATE segment SET state = ?3, ready = 0, in_lane = 0, payload = x'', tlvs = x''
         WHERE message = ?1 AND number = ?2",
        params![message.key, segment.number, state],
    )?;
    step(tx, message, Some(segment.number), state, (now, detail))
}

/// Spends what a segment holds, once.
pub(super) fn settle(
    tx: &Connection,
    message: &Message,
    segment: &Segment,
    now: Timestamp,
) -> Result<()> {
    if paid(tx, message, segment, 1)? {
        money::settle(tx, charge(message, now), segment.number, message.price)?;
    }
    Ok(())
}

/// Gives back what a segment holds, once.
pub(super) fn release(
    tx: &Connection,
    message: &Message,
    segment: &Segment,
    now: Timestamp,
) -> Result<()> {
    if paid(tx, message, segment, 2)? {
        money::release(tx, charge(message, now), segment.number, message.price)?;
    }
    Ok(())
}

fn paid(tx: &Connection, message: &Message, segment: &Segment, paid: i64) -> Result<bool> {
    let changed = tx.run(
        "UPDATE segment SET paid = ?3 WHERE message = ?1 AND number = ?2 AND paid = 0",
        params![message.key, segment.number, paid],
    )?;
    Ok(changed > 0)
}

fn charge(message: &Message, now: Timestamp) -> Charge<'_> {
    Charge {
        payer: &message.payer,
        message: message.id,
        now,
    }
}

/// No answer came: the message's policy decides.
pub(super) fn become_uncertain(
    tx: &Connection,
    message: &Message,
    segment: &Segment,
    (now, detail): (Timestamp, &str),
) -> Result<()> {
    match message.uncertain {
        UncertainPolicy::Hold(millis) => {
            let until = Timestamp(now.0.saturating_add(millis));
            leave(tx, message, segment, MessageState::Uncertain, (now, detail))?;
            receipts::expect_evidence(tx, message, segment, false, until)
        }
        UncertainPolicy::Resend if segment.resends < MAX_RESENDS && is_wanted(tx, message)? => {
            tx.run(
                "UPDATE segment SET state = 0, ready = 1, in_lane = 0, due_at = ?3,
                     resends = resends + 1
                 WHERE message = ?1 AND number = ?2",
                params![message.key, segment.number, now],
            )?;
            step(
                tx,
                message,
                Some(segment.number),
                MessageState::Uncertain,
                (now, detail),
            )?;
            step(
                tx,
                message,
                Some(segment.number),
                MessageState::Queued,
                (now, "sent again"),
            )
        }
        UncertainPolicy::Resend | UncertainPolicy::Fail => {
            step(
                tx,
                message,
                Some(segment.number),
                MessageState::Uncertain,
                (now, detail),
            )?;
            lose(tx, message, segment, (now, "given up at once"))
        }
    }
}

/// Gives up on a segment whose answer never came.
pub(super) fn lose(
    tx: &Connection,
    message: &Message,
    segment: &Segment,
    (now, detail): (Timestamp, &str),
) -> Result<()> {
    release(tx, message, segment, now)?;
    leave(tx, message, segment, MessageState::Lost, (now, detail))?;
    let until = Timestamp(now.0.saturating_add(LOST_MEMORY));
    receipts::expect_evidence(tx, message, segment, true, until)
}

/// Takes a message's queued segments back: refunded, and out of the lane. Tells whether there
/// were any.
pub(super) fn withdraw(
    tx: &Connection,
    message: &Message,
    state: MessageState,
    (now, detail): (Timestamp, &str),
) -> Result<bool> {
    let mut any = false;
    for segment in segments(tx, message.key)? {
        if segment.state == MessageState::Queued {
            release(tx, message, &segment, now)?;
            leave(tx, message, &segment, state, (now, detail))?;
            any = true;
        }
    }
    Ok(any)
}

/// Cancels all that is queued in a conversation that has ended.
pub(super) fn cancel_lane(
    tx: &Connection,
    conversation: ConversationId,
    now: Timestamp,
) -> Result<()> {
    // From the last to the first, so that no message comes forward only to be cancelled.
    let keys: Vec<i64> = tx.all(
        "SELECT key FROM message WHERE conversation = ?1 AND lane_left > 0 ORDER BY key DESC",
        [conversation],
        |row| Ok(row.get(0)?),
    )?;
    for key in keys {
        let Some(message) = message(tx, key)? else {
            continue;
        };
        withdraw(
            tx,
            &message,
            MessageState::Cancelled,
            (now, "the conversation ended"),
        )?;
        refresh(tx, key, now)?;
    }
    Ok(())
}

/// Records why the peer failed a message, the first reason only.
pub(super) fn set_failure(tx: &Connection, message: &Message, failure: &Failure) -> Result<()> {
    tx.run(
        "UPDATE message SET failure = ifnull(failure, ?2) WHERE key = ?1",
        params![message.key, to_json(failure)?],
    )?;
    Ok(())
}
