//! The life of a message: how its segments change, and what follows for the message, its lane, its
//! money and its history.
//!
//! An operation takes a message out of the store once ([`message`]), changes its segments, each change
//! recorded as a step, and ends with one [`save`] per message: that brings the message's own state up
//! to date, queues the news and lets the next message of the lane forward. One that changes several
//! messages, or one several times, has them in [`Held`].

mod held;
mod refresh;

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;

pub(in crate::store) use self::held::Held;
pub(in crate::store) use self::refresh::{save, save_silently};
use super::money::{self, Charge};
use super::receipts;
use super::sweep::each;
use crate::gateway::model::{ConversationId, MessageId, MessageState, Timestamp, UncertainPolicy};
use crate::store::tables::{
    Conversations, EndedMessages, MessageNumbers, MessageRow, Messages, Paid, SegmentRow, StepRow,
    number,
};
use crate::store::tx::Tx;
use crate::store::{Failure, Result};

/// Times a segment is sent again without knowing what became of it before.
const MAX_RESENDS: u32 = 3;
/// Steps kept for one message; beyond them only final states are recorded.
const MAX_STEPS: usize = 200;
/// How long a segment that was given up can still be found by a receipt.
pub(in crate::store) const LOST_MEMORY: i64 = 7 * 24 * 3_600_000;

/// When something happened, and what, for people.
pub(in crate::store) type Event = (Timestamp, Cow<'static, str>);

/// A message to look at.
pub(in crate::store) fn find(tx: &mut Tx<'_>, key: i64) -> Result<Option<Arc<MessageRow>>> {
    if tx.indexes().messages.open.contains(&key) {
        tx.get::<Messages>(&number(key))
    } else {
        tx.get::<EndedMessages>(&number(key))
    }
}

/// A message to change.
pub(in crate::store) fn message(tx: &mut Tx<'_>, key: i64) -> Result<Option<MessageRow>> {
    let found = find(tx, key)?;
    Ok(found.map(|row| MessageRow::clone(&row)))
}

/// The number of a message.
pub(in crate::store) fn number_of(tx: &mut Tx<'_>, id: MessageId) -> Result<Option<i64>> {
    let found = tx.get::<MessageNumbers>(&id.to_string())?;
    Ok(found.map(|number| *number))
}

/// Puts a message back as it is, for those who look at it before it is brought up to date.
pub(in crate::store) fn keep(tx: &mut Tx<'_>, row: MessageRow) -> Result<()> {
    let key = number(row.key);
    let was_open = tx.indexes().messages.open.contains(&row.key);
    match (was_open, row.is_open()) {
        (true, true) => tx.put::<Messages>(&key, row),
        (false, false) => tx.put::<EndedMessages>(&key, row),
        (true, false) => {
            tx.delete::<Messages>(&key)?;
            tx.insert::<EndedMessages>(&key, row);
            Ok(())
        }
        (false, true) => {
            tx.delete::<EndedMessages>(&key)?;
            tx.insert::<Messages>(&key, row);
            Ok(())
        }
    }
}

impl MessageRow {
    /// Something of it may still be sent or answered.
    fn is_open(&self) -> bool {
        let open = |segment: &SegmentRow| segment.state <= MessageState::Uncertain;
        self.in_lane || self.segments.iter().any(open)
    }

    /// A segment; 1 is the first.
    pub(in crate::store) fn segment(&self, number: u8) -> Option<&SegmentRow> {
        self.segments.get(usize::from(number).checked_sub(1)?)
    }

    pub(in crate::store) fn segment_mut(&mut self, number: u8) -> Option<&mut SegmentRow> {
        self.segments.get_mut(usize::from(number).checked_sub(1)?)
    }

    /// The numbers of the segments that are in a state.
    pub(in crate::store) fn in_state(&self, state: MessageState) -> Vec<u8> {
        let all = (1_u8..=u8::MAX).zip(&self.segments);
        all.filter(|(_, segment)| segment.state == state)
            .map(|(number, _)| number)
            .collect()
    }

    /// One change of a segment or of the whole, for its history.
    pub(in crate::store) fn step(
        &mut self,
        segment: Option<u8>,
        state: MessageState,
        (at, detail): Event,
    ) {
        if self.steps.len() < MAX_STEPS || state.is_final() {
            self.steps.push(StepRow {
                at,
                segment,
                state,
                detail,
            });
        }
    }

    /// Gives a segment a state outside the queue: it leaves the lane and its text is forgotten.
    pub(in crate::store) fn leave(&mut self, number: u8, state: MessageState, event: Event) {
        if let Some(segment) = self.segment_mut(number) {
            segment.state = state;
            segment.ready = false;
            segment.in_lane = false;
            segment.payload = Bytes::new();
            segment.tlvs = Bytes::new();
        }
        self.step(Some(number), state, event);
    }

    /// Records why the peer failed it, the first reason only.
    pub(in crate::store) fn set_failure(&mut self, failure: Failure) {
        self.failure.get_or_insert(failure);
    }
}

/// Puts a segment back into the queue, in its place in the lane. One whose message has failed or
/// whose conversation has ended meanwhile is taken back instead.
pub(in crate::store) fn requeue(
    tx: &mut Tx<'_>,
    row: &mut MessageRow,
    number: u8,
    due_at: Timestamp,
    event: Event,
) -> Result<()> {
    if !is_wanted(tx, row)? {
        return end_queued(tx, row, number, MessageState::Cancelled, event);
    }
    if let Some(segment) = row.segment_mut(number) {
        segment.state = MessageState::Queued;
        segment.ready = true;
        segment.due_at = due_at;
    }
    row.step(Some(number), MessageState::Queued, event);
    Ok(())
}

/// False where the rest of the message is not to be sent any more.
fn is_wanted(tx: &mut Tx<'_>, row: &MessageRow) -> Result<bool> {
    let conversation = tx.get::<Conversations>(&number(row.conversation.0))?;
    let active = conversation.is_some_and(|conversation| conversation.0.active);
    let failed = row
        .segments
        .iter()
        .any(|segment| segment.state.is_bad_news());
    Ok(active && !failed)
}

/// Spends what a segment holds, once.
pub(in crate::store) fn settle(
    tx: &mut Tx<'_>,
    row: &mut MessageRow,
    number: u8,
    now: Timestamp,
) -> Result<()> {
    if pay(row, number, Paid::Settled) {
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
    if pay(row, number, Paid::Released) {
        money::release(tx, charge(row, now), number, row.price)?;
    }
    Ok(())
}

/// Notes what becomes of a segment's price; whether that was still open.
fn pay(row: &mut MessageRow, number: u8, paid: Paid) -> bool {
    match row.segment_mut(number) {
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
    event: Event,
) -> Result<()> {
    let now = event.0;
    let resends = row.segment(number).map_or(0, |segment| segment.resends);
    match row.uncertain {
        UncertainPolicy::Hold(millis) => {
            let until = Timestamp(now.0.saturating_add(millis));
            row.leave(number, MessageState::Uncertain, event);
            receipts::expect_evidence(tx, row, number, false, until)
        }
        UncertainPolicy::Resend if resends < MAX_RESENDS && is_wanted(tx, row)? => {
            row.step(Some(number), MessageState::Uncertain, event);
            send_again(row, number, now);
            Ok(())
        }
        UncertainPolicy::Resend | UncertainPolicy::Fail => {
            row.step(Some(number), MessageState::Uncertain, event);
            lose(tx, row, number, (now, "given up at once".into()))
        }
    }
}

fn send_again(row: &mut MessageRow, number: u8, now: Timestamp) {
    if let Some(segment) = row.segment_mut(number) {
        segment.state = MessageState::Queued;
        segment.ready = true;
        segment.in_lane = false;
        segment.due_at = now;
        segment.resends += 1;
    }
    let again = (now, "sent again".into());
    row.step(Some(number), MessageState::Queued, again);
}

/// Gives up on a segment whose answer never came.
pub(in crate::store) fn lose(
    tx: &mut Tx<'_>,
    row: &mut MessageRow,
    number: u8,
    event: Event,
) -> Result<()> {
    let now = event.0;
    release(tx, row, number, now)?;
    row.leave(number, MessageState::Lost, event);
    let until = Timestamp(now.0.saturating_add(LOST_MEMORY));
    receipts::expect_evidence(tx, row, number, true, until)
}

/// Ends a segment that is not sent (any more), refunded: in `state`, or lost where what was sent before
/// may have arrived. Then nobody can say that it did not, and a receipt may still prove it.
fn end_queued(
    tx: &mut Tx<'_>,
    row: &mut MessageRow,
    number: u8,
    state: MessageState,
    event: Event,
) -> Result<()> {
    if row.segment(number).is_some_and(|one| one.resends > 0) {
        return lose(tx, row, number, event);
    }
    release(tx, row, number, event.0)?;
    row.leave(number, state, event);
    Ok(())
}

/// Takes a message's queued segments back: refunded, and out of the lane. Tells whether there
/// were any.
pub(in crate::store) fn withdraw(
    tx: &mut Tx<'_>,
    row: &mut MessageRow,
    state: MessageState,
    (now, detail): (Timestamp, &'static str),
) -> Result<bool> {
    let queued = row.in_state(MessageState::Queued);
    for number in &queued {
        end_queued(tx, row, *number, state, (now, detail.into()))?;
    }
    Ok(!queued.is_empty())
}

/// Ends all that is queued in a conversation that has ended, what is to be sent again too: its number
/// will be another conversation's.
pub(in crate::store) fn cancel_lane(
    tx: &mut Tx<'_>,
    conversation: ConversationId,
    now: Timestamp,
) -> Result<()> {
    // From the last to the first, so that no message comes forward only to be cancelled.
    let messages = &tx.indexes().messages;
    let both = [
        messages.lanes.get(&conversation),
        messages.beside.get(&conversation),
    ];
    let keys = both.into_iter().flatten().flat_map(|all| all.iter().rev());
    let keys: Vec<i64> = keys.copied().collect();
    let why = (now, "the conversation ended");
    each(keys, |key| match message(tx, key)? {
        Some(row) => take_off(tx, row, MessageState::Cancelled, why),
        None => Ok(()),
    })
}

/// Ends what of a message is still queued.
pub(in crate::store) fn take_off(
    tx: &mut Tx<'_>,
    mut row: MessageRow,
    state: MessageState,
    why: (Timestamp, &'static str),
) -> Result<()> {
    if withdraw(tx, &mut row, state, why)? {
        save(tx, row, why.0)?;
    }
    Ok(())
}
