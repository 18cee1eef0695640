//! What follows for a message when its segments have changed.

use rusqlite::{Connection, params};

use super::super::outbox;
use super::super::rows::{self, Sql as _};
use super::{Message, Segment, message, segments};
use crate::gateway::model::{MessageState, Source, Timestamp};
use crate::store::{Lane, NewOutbox, OutboxItem, Result};

/// Brings a message up to date with its segments: its state, the news of it, and its lane.
pub(in super::super) fn refresh(tx: &Connection, key: i64, now: Timestamp) -> Result<()> {
    let Some(message) = message(tx, key)? else {
        return Ok(());
    };
    let before = message.state;
    let state = update(tx, &message, now)?;
    if state != before {
        tell(tx, &message, state, now)?;
    }
    Ok(())
}

/// The same for one whose writer took it back: they know.
pub(in super::super) fn refresh_silently(tx: &Connection, key: i64, now: Timestamp) -> Result<()> {
    match message(tx, key)? {
        Some(message) => update(tx, &message, now).map(drop),
        None => Ok(()),
    }
}

/// Its state and its lane; gives the state.
fn update(tx: &Connection, message: &Message, now: Timestamp) -> Result<MessageState> {
    let key = message.key;
    let segments = segments(tx, key)?;
    let state = state_of(message.state, &segments);
    let lane_left = segments.iter().filter(|segment| segment.in_lane).count();
    tx.run(
        "UPDATE message SET state = ?2, lane_left = ?3 WHERE key = ?1",
        params![key, state, rows::limit(lane_left)],
    )?;
    if message.lane_left > 0 && lane_left == 0 {
        bring_forward(tx, message, now)?;
    }
    Ok(state)
}

/// As far as the least advanced segment; failed with the first that failed, the peer's own word
/// before ours, until a late receipt mends it.
fn state_of(before: MessageState, segments: &[Segment]) -> MessageState {
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
fn tell(tx: &Connection, message: &Message, state: MessageState, now: Timestamp) -> Result<()> {
    use MessageState::{Delivered, NoReceipt, Submitted};
    let shown = matches!(state, Submitted | NoReceipt | Delivered);
    let told = match message.source {
        Source::Event { .. } => state.is_bad_news() || shown,
        Source::Sms { .. } => state.is_bad_news(),
    };
    if !told {
        return Ok(());
    }
    let news = NewOutbox {
        key: format!("news|{}|{}", message.id, state_name(state)),
        lane: Lane::Conversation(message.conversation),
        item: OutboxItem::MessageNews {
            message: message.id,
            state,
        },
    };
    outbox::enqueue(tx, &[news], now)
}

fn state_name(state: MessageState) -> String {
    format!("{state:?}").to_lowercase()
}

/// Makes the lane's next message claimable after `left` has left it. Its turn starts now, so that
/// conversations with one message do not wait behind all of a conversation with many.
fn bring_forward(tx: &Connection, left: &Message, now: Timestamp) -> Result<()> {
    let head = tx.number(
        "SELECT key FROM message WHERE conversation = ?1 AND lane_left > 0 ORDER BY key LIMIT 1",
        [left.conversation],
    )?;
    // An earlier one is at the head already: the one that left stood behind it.
    if head > left.key {
        tx.run(
            "UPDATE segment SET ready = 1, due_at = max(due_at, ?2) WHERE message = ?1 AND state = 0",
            params![head, now],
        )?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(state: MessageState) -> Segment {
        Segment {
            number: 1,
            state,
            attempt: 0,
            resends: 0,
            in_lane: false,
        }
    }

    fn state(before: MessageState, states: &[MessageState]) -> MessageState {
        let segments: Vec<Segment> = states.iter().copied().map(segment).collect();
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
