//! What follows for a message when its segments have changed.

use super::super::outbox;
use super::{message, put};
use crate::gateway::model::{MessageState, Source, Timestamp};
use crate::store::tables::{MessageRow, SegmentRow};
use crate::store::timer::Timer;
use crate::store::tx::Tx;
use crate::store::{Lane, NewOutbox, OutboxItem, Result};

/// Brings a message up to date with its segments (its state, the news of it, and its lane) and puts it
/// back.
pub(in crate::store) fn refresh(tx: &mut Tx<'_>, row: MessageRow, now: Timestamp) -> Result<()> {
    update(tx, row, now, tell)
}

/// The same for one whose writer took it back: they know.
pub(in crate::store) fn refresh_silently(
    tx: &mut Tx<'_>,
    row: MessageRow,
    now: Timestamp,
) -> Result<()> {
    update(tx, row, now, |_, _, _| Ok(()))
}

fn update(
    tx: &mut Tx<'_>,
    mut row: MessageRow,
    now: Timestamp,
    tell: impl FnOnce(&mut Tx<'_>, &MessageRow, Timestamp) -> Result<()>,
) -> Result<()> {
    let before = row.state;
    row.state = state_of(before, &row.segments);
    let in_lane = row
        .segments
        .iter()
        .filter(|segment| segment.in_lane)
        .count();
    let has_left = row.lane_left > 0 && in_lane == 0;
    row.lane_left = u8::try_from(in_lane).unwrap_or(u8::MAX);
    if row.state != before {
        if row.state == MessageState::Submitted
            && let Some(at) = row.receipt_by
        {
            tx.set_timer(at, &Timer::Receipt(row.key));
        }
        tell(tx, &row, now)?;
    }
    let (conversation, key) = (row.conversation, row.key);
    put(tx, row)?;
    if has_left {
        let lane = tx.indexes().messages.lanes.get(&conversation);
        let head = lane.and_then(|lane| lane.first()).copied();
        // An earlier one is at the head already: the one that left stood behind it.
        if let Some(head) = head.filter(|head| *head > key) {
            bring_forward(tx, head, now)?;
        }
    }
    Ok(())
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

/// Queues the news of a message's new state where a person wants to know it.
fn tell(tx: &mut Tx<'_>, row: &MessageRow, now: Timestamp) -> Result<()> {
    use MessageState::{Delivered, NoReceipt, Submitted};
    let shown = matches!(row.state, Submitted | NoReceipt | Delivered);
    let told = match row.source {
        Source::Event { .. } => row.state.is_bad_news() || shown,
        Source::Sms { .. } => row.state.is_bad_news(),
    };
    if !told {
        return Ok(());
    }
    let news = NewOutbox {
        key: format!("news|{}|{}", row.id, state_name(row.state)),
        lane: Lane::Conversation(row.conversation),
        item: OutboxItem::MessageNews {
            message: row.id,
            state: row.state,
        },
    };
    outbox::enqueue(tx, &[news], now)
}

fn state_name(state: MessageState) -> String {
    format!("{state:?}").to_lowercase()
}

/// Makes the head of a lane claimable. Its turn starts now, so that conversations with one message do
/// not wait behind all of a conversation with many.
fn bring_forward(tx: &mut Tx<'_>, head: i64, now: Timestamp) -> Result<()> {
    let Some(mut row) = message(tx, head)? else {
        return Ok(());
    };
    for segment in &mut row.segments {
        if segment.state == MessageState::Queued {
            segment.ready = true;
            segment.due_at = segment.due_at.max(now);
        }
    }
    put(tx, row)
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
