//! What follows for a message when its segments have changed.

use super::super::outbox;
use super::{keep, message};
use crate::gateway::model::{MessageState, Source, Timestamp};
use crate::store::tables::{MessageRow, Packed, PlanRow, SegmentRow};
use crate::store::timer::Timer;
use crate::store::tx::Tx;
use crate::store::{Lane, NewOutbox, OutboxItem, Result};

/// Puts a message back and brings it up to date with its segments: its state, the news of it, and its
/// lane.
pub(in crate::store) fn save(tx: &mut Tx<'_>, row: MessageRow, now: Timestamp) -> Result<()> {
    let left = update(tx, row, true, now)?;
    left.map_or(Ok(()), |left| bring_forward(tx, &left, now))
}

/// The same for one whose writer took it back: they know.
pub(in crate::store) fn save_silently(
    tx: &mut Tx<'_>,
    row: MessageRow,
    now: Timestamp,
) -> Result<()> {
    let left = update(tx, row, false, now)?;
    left.map_or(Ok(()), |left| bring_forward(tx, &left, now))
}

fn is_in_lane(row: &MessageRow) -> bool {
    row.segments.iter().any(|segment| segment.in_lane)
}

/// Its state and the news of it; gives it where it has left its lane, whose next message is to be
/// [brought forward](bring_forward).
pub(super) fn update(
    tx: &mut Tx<'_>,
    mut row: MessageRow,
    aloud: bool,
    now: Timestamp,
) -> Result<Option<Packed<PlanRow>>> {
    let before = row.state;
    let state = state_of(before, &row.segments);
    let in_lane = is_in_lane(&row);
    let has_left = row.in_lane && !in_lane;
    row.state = state;
    row.in_lane = in_lane;
    let plan = row.plan.clone();
    let is_news = state != before && aloud && is_told(&plan, state) && !row.told.contains(&state);
    if is_news {
        row.told.push(state);
    }
    keep(tx, row)?;
    if let (MessageState::Submitted, Some(at)) = (state, plan.receipt_by)
        && state != before
    {
        tx.set_timer(at, &Timer::Receipt(plan.key));
    }
    if is_news {
        tell(tx, &plan, state, now)?;
    }
    Ok(has_left.then_some(plan))
}

/// As far as the least advanced segment; failed with the first that failed, the peer's own word
/// before ours, until a late receipt mends it.
fn state_of(before: MessageState, segments: &[SegmentRow]) -> MessageState {
    let has = |state: &MessageState| segments.iter().any(|segment| segment.state == *state);
    let failures = [
        MessageState::Rejected,
        MessageState::Undeliverable,
        MessageState::Expired,
        MessageState::Lost,
        MessageState::Cancelled,
    ];
    if before.is_failure() && has(&before) {
        return before;
    }
    let failed = failures.into_iter().find(has);
    let least = segments.iter().map(|segment| segment.state).min();
    failed.or(least).unwrap_or(before)
}

/// Whether a person wants to know that a message has come to a state.
fn is_told(plan: &PlanRow, state: MessageState) -> bool {
    use MessageState::{Delivered, NoReceipt, Submitted};
    let shown = matches!(state, Submitted | NoReceipt | Delivered);
    match plan.source {
        Source::Event { .. } => state.is_bad_news() || (shown && plan.progress),
        Source::Sms { .. } => state.is_bad_news(),
    }
}

/// Queues the news of a message's new state. The message knows of what there was news.
fn tell(tx: &mut Tx<'_>, plan: &PlanRow, state: MessageState, now: Timestamp) -> Result<()> {
    let news = NewOutbox {
        key: format!("news|{}|{}", plan.id, state_name(state)),
        lane: Lane::Conversation(plan.conversation),
        item: OutboxItem::MessageNews {
            message: plan.id,
            state,
        },
    };
    outbox::enqueue_news(tx, &news, now)
}

fn state_name(state: MessageState) -> String {
    format!("{state:?}").to_lowercase()
}

/// Makes the lane's next message claimable after `left` has left it. Its turn starts now, so that
/// conversations with one message do not wait behind all of a conversation with many.
pub(super) fn bring_forward(tx: &mut Tx<'_>, left: &PlanRow, now: Timestamp) -> Result<()> {
    let lane = tx.indexes().messages.lanes.get(&left.conversation);
    // An earlier one is at the head already: the one that left stood behind it.
    let head = lane.and_then(|lane| lane.first());
    let Some(head) = head.copied().filter(|head| *head > left.key) else {
        return Ok(());
    };
    let Some(mut row) = message(tx, head)? else {
        return Ok(());
    };
    let mut is_new = false;
    for segment in &mut row.segments {
        if segment.state == MessageState::Queued {
            is_new |= !segment.ready || segment.due_at < now;
            segment.ready = true;
            segment.due_at = segment.due_at.max(now);
        }
    }
    if is_new {
        keep(tx, row)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::store::tables::Paid;

    fn segment(state: MessageState) -> SegmentRow {
        SegmentRow {
            state,
            ready: false,
            in_lane: false,
            due_at: Timestamp(0),
            attempt: 0,
            retries: 0,
            resends: 0,
            paid: Paid::Reserved,
            udhi: false,
            payload: Bytes::new(),
            tlvs: Bytes::new(),
            sent_as: Vec::new(),
        }
    }

    fn state(before: MessageState, states: &[MessageState]) -> MessageState {
        let segments: Vec<SegmentRow> = states.iter().copied().map(segment).collect();
        state_of(before, &segments)
    }

    #[test]
    fn a_message_is_as_far_as_its_least_advanced_segment() {
        use MessageState::{Delivered, Intent, NoReceipt, Queued, Submitted};
        assert_eq!(state(Submitted, &[Delivered, NoReceipt]), NoReceipt);
        assert_eq!(state(Queued, &[Submitted, Intent]), Intent);
        assert_eq!(state(Queued, &[Submitted, Delivered]), Submitted);
        assert_eq!(state(Submitted, &[Delivered, Delivered]), Delivered);
    }

    #[test]
    fn one_failed_segment_fails_the_message_with_the_first_reason() {
        use MessageState::{Cancelled, Delivered, Lost, Rejected, Submitted, Undeliverable};
        assert_eq!(state(Submitted, &[Delivered, Undeliverable]), Undeliverable);
        assert_eq!(state(Submitted, &[Cancelled, Rejected]), Rejected);
        assert_eq!(state(Lost, &[Lost, Rejected]), Lost);
        assert_eq!(state(Lost, &[Delivered, Delivered]), Delivered);
    }
}
