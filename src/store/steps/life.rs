//! The life of a message: how its segments change, and what follows for the message, its lane, its
//! money and its history.
//!
//! An operation takes a message's row in hand, changes its segments, each change recorded as a step, and
//! ends with one [`refresh`] per message: that brings the message's own state up to date, queues the
//! news, lets the next message of the lane forward, and puts the row back.

mod refresh;

use super::money::{self, Charge};
use super::{conversations, receipts};
use crate::gateway::model::{ConversationId, MessageId, MessageState, Timestamp, UncertainPolicy};
use crate::store::tables::{
    EndedMessages, MessageNumbers, MessageRow, Messages, Paid, SegmentRow, StepRow, number,
};
use crate::store::tx::Tx;
use crate::store::{Failure, Result};

pub(in crate::store) use self::refresh::{refresh, refresh_silently};

/// Times a segment is sent again without knowing what became of it before.
const MAX_RESENDS: u32 = 3;
/// Steps kept for one message; beyond them only final states are recorded.
const MAX_STEPS: usize = 200;
/// How long a segment that was given up can still be found by a receipt.
pub(in crate::store) const LOST_MEMORY: i64 = 7 * 24 * 3_600_000;

/// When something happened, and what, for people.
pub(in crate::store) type Happened<'a> = (Timestamp, &'a str);

/// A message by its number.
pub(in crate::store) fn message(tx: &mut Tx<'_>, key: i64) -> Result<Option<MessageRow>> {
    let found = if tx.indexes().messages.open.contains(&key) {
        tx.get::<Messages>(&number(key))?
    } else {
        tx.get::<EndedMessages>(&number(key))?
    };
    Ok(found.map(|row| MessageRow::clone(&row)))
}

/// A message by its id.
pub(in crate::store) fn message_by_id(
    tx: &mut Tx<'_>,
    id: MessageId,
) -> Result<Option<MessageRow>> {
    match tx.get::<MessageNumbers>(&id.to_string())? {
        Some(key) => message(tx, *key),
        None => Ok(None),
    }
}

/// Puts a message's row back where it belongs: with the open ones, or with the others.
pub(in crate::store) fn put(tx: &mut Tx<'_>, row: MessageRow) -> Result<()> {
    let key = number(row.key);
    let was_open = tx.indexes().messages.open.contains(&row.key);
    match (was_open, is_open(&row)) {
        (_, true) => {
            if !was_open {
                tx.delete::<EndedMessages>(&key)?;
            }
            tx.put::<Messages>(&key, row)
        }
        (true, false) => {
            tx.delete::<Messages>(&key)?;
            tx.insert::<EndedMessages>(&key, row);
            Ok(())
        }
        (false, false) => tx.put::<EndedMessages>(&key, row),
    }
}

fn is_open(row: &MessageRow) -> bool {
    use MessageState::{Intent, Queued, Uncertain};
    let is_open =
        |one: &SegmentRow| one.in_lane || matches!(one.state, Queued | Intent | Uncertain);
    row.segments.iter().any(is_open)
}

/// One segment.
pub(in crate::store) fn segment(row: &MessageRow, number: u8) -> Option<&SegmentRow> {
    row.segments.get(usize::from(number.checked_sub(1)?))
}

/// One segment, to be changed.
pub(in crate::store) fn segment_mut(row: &mut MessageRow, number: u8) -> Option<&mut SegmentRow> {
    row.segments.get_mut(usize::from(number.checked_sub(1)?))
}

/// The numbers of a message's segments.
pub(in crate::store) fn numbers(row: &MessageRow) -> impl Iterator<Item = u8> + use<> {
    (1..=u8::MAX).take(row.segments.len())
}

/// One change of a segment or of a whole message, for its history.
pub(in crate::store) fn step(
    row: &mut MessageRow,
    segment: Option<u8>,
    state: MessageState,
    (at, detail): Happened<'_>,
) {
    if row.steps.len() < MAX_STEPS || state.is_final() {
        row.steps.push(StepRow {
            at,
            segment,
            state,
            detail: detail.to_owned(),
        });
    }
}

/// Puts a segment back into the queue, in its place in the lane. One whose message has failed or
/// whose conversation has ended meanwhile is taken back instead.
pub(in crate::store) fn requeue(
    tx: &mut Tx<'_>,
    row: &mut MessageRow,
    number: u8,
    due_at: Timestamp,
    happened: Happened<'_>,
) -> Result<()> {
    if !is_wanted(tx, row)? {
        release(tx, row, number, happened.0)?;
        leave(row, number, MessageState::Cancelled, happened);
        return Ok(());
    }
    if let Some(segment) = segment_mut(row, number) {
        segment.state = MessageState::Queued;
        segment.ready = true;
        segment.due_at = due_at;
    }
    step(row, Some(number), MessageState::Queued, happened);
    Ok(())
}

/// False where the rest of the message is not to be sent any more.
fn is_wanted(tx: &mut Tx<'_>, row: &MessageRow) -> Result<bool> {
    if row
        .segments
        .iter()
        .any(|segment| segment.state.is_bad_news())
    {
        return Ok(false);
    }
    let conversation = conversations::get(tx, row.conversation)?;
    Ok(conversation.is_some_and(|one| one.active))
}

/// Gives a segment a state outside the queue: it leaves the lane and its text is forgotten.
pub(in crate::store) fn leave(
    row: &mut MessageRow,
    number: u8,
    state: MessageState,
    happened: Happened<'_>,
) {
    if let Some(segment) = segment_mut(row, number) {
        segment.state = state;
        segment.ready = false;
        segment.in_lane = false;
        segment.payload.clear();
        segment.tlvs.clear();
    }
    step(row, Some(number), state, happened);
}

/// Spends what a segment holds, once.
pub(in crate::store) fn settle(
    tx: &mut Tx<'_>,
    row: &mut MessageRow,
    number: u8,
    now: Timestamp,
) -> Result<()> {
    if paid(row, number, Paid::Settled) {
        money::settle(tx, charge(row, now), number, row.price)?;
    }
    Ok(())
}

/// Gives back what a segment holds, once.
pub(in crate::store) fn release(
    tx: &mut Tx<'_>,
    row: &mut MessageRow,
    number: u8,
    now: Timestamp,
) -> Result<()> {
    if paid(row, number, Paid::Released) {
        money::release(tx, charge(row, now), number, row.price)?;
    }
    Ok(())
}

fn paid(row: &mut MessageRow, number: u8, paid: Paid) -> bool {
    match segment_mut(row, number) {
        Some(segment) if segment.paid == Paid::Reserved => {
            segment.paid = paid;
            true
        }
        _ => false,
    }
}

fn charge(row: &MessageRow, now: Timestamp) -> Charge<'_> {
    Charge {
        payer: row.payer.as_str(),
        message: row.id,
        now,
    }
}

/// No answer came: the message's policy decides.
pub(in crate::store) fn become_uncertain(
    tx: &mut Tx<'_>,
    row: &mut MessageRow,
    number: u8,
    happened: Happened<'_>,
) -> Result<()> {
    let now = happened.0;
    let resends = segment(row, number).map_or(0, |segment| segment.resends);
    match row.uncertain {
        UncertainPolicy::Hold(millis) => {
            let until = Timestamp(now.0.saturating_add(millis));
            leave(row, number, MessageState::Uncertain, happened);
            receipts::expect_evidence(tx, row, number, false, until)
        }
        UncertainPolicy::Resend if resends < MAX_RESENDS && is_wanted(tx, row)? => {
            if let Some(segment) = segment_mut(row, number) {
                segment.state = MessageState::Queued;
                segment.ready = true;
                segment.in_lane = false;
                segment.due_at = now;
                segment.resends += 1;
            }
            step(row, Some(number), MessageState::Uncertain, happened);
            step(row, Some(number), MessageState::Queued, (now, "sent again"));
            Ok(())
        }
        UncertainPolicy::Resend | UncertainPolicy::Fail => {
            step(row, Some(number), MessageState::Uncertain, happened);
            lose(tx, row, number, (now, "given up at once"))
        }
    }
}

/// Gives up on a segment whose answer never came.
pub(in crate::store) fn lose(
    tx: &mut Tx<'_>,
    row: &mut MessageRow,
    number: u8,
    happened: Happened<'_>,
) -> Result<()> {
    release(tx, row, number, happened.0)?;
    leave(row, number, MessageState::Lost, happened);
    let until = Timestamp(happened.0.0.saturating_add(LOST_MEMORY));
    receipts::expect_evidence(tx, row, number, true, until)
}

/// Takes a message's queued segments back: refunded, and out of the lane.
pub(in crate::store) fn withdraw(
    tx: &mut Tx<'_>,
    row: &mut MessageRow,
    state: MessageState,
    happened: Happened<'_>,
) -> Result<()> {
    for number in numbers(row) {
        if segment(row, number).is_some_and(|one| one.state == MessageState::Queued) {
            release(tx, row, number, happened.0)?;
            leave(row, number, state, happened);
        }
    }
    Ok(())
}

/// Cancels all that is queued in a conversation that has ended.
pub(in crate::store) fn cancel_lane(
    tx: &mut Tx<'_>,
    conversation: ConversationId,
    now: Timestamp,
) -> Result<()> {
    let lane = tx.indexes().messages.lanes.get(&conversation);
    // From the last to the first, so that no message comes forward only to be cancelled.
    let keys: Vec<i64> = lane.into_iter().flatten().rev().copied().collect();
    for key in keys {
        let Some(mut row) = message(tx, key)? else {
            continue;
        };
        let why = (now, "the conversation ended");
        withdraw(tx, &mut row, MessageState::Cancelled, why)?;
        refresh(tx, row, now)?;
    }
    Ok(())
}

/// Records why the peer failed a message, the first reason only.
pub(in crate::store) fn set_failure(row: &mut MessageRow, failure: Failure) {
    row.failure.get_or_insert(failure);
}
