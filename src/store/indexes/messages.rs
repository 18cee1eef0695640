//! Messages that may still be sent or answered.

use std::collections::{BTreeMap, BTreeSet};

use foldhash::{HashMap, HashSet};

use super::{add, take};
use crate::gateway::model::{ConversationId, E164Text, MessageState, Timestamp};
use crate::store::tables::{MessageRow, SegmentRow};

/// Messages that may still be sent or answered.
#[derive(Debug, Default)]
pub(crate) struct MessageIndex {
    /// All of them.
    pub(crate) open: HashSet<i64>,
    /// Those with a segment that keeps its lane waiting, by conversation, in order.
    pub(crate) lanes: HashMap<ConversationId, BTreeSet<i64>>,
    /// All others, by conversation.
    pub(crate) beside: HashMap<ConversationId, BTreeSet<i64>>,
    /// Ready segments by link group: when they are due, their message and number.
    pub(crate) due: HashMap<String, BTreeSet<(Timestamp, i64, u8)>>,
    /// Messages that are queued, by the end of their validity.
    pub(crate) queued: BTreeSet<(Timestamp, i64)>,
    /// Messages with a segment on the wire, and their phones.
    pub(crate) on_wire: BTreeMap<i64, E164Text>,
    /// How many segments are queued, on the wire, uncertain.
    pub(crate) segments: [u64; 3],
}

/// The place in [`MessageIndex::segments`] of a segment in this state.
fn counted(state: MessageState) -> Option<usize> {
    match state {
        MessageState::Queued => Some(0),
        MessageState::Intent => Some(1),
        MessageState::Uncertain => Some(2),
        _ => None,
    }
}

impl MessageIndex {
    /// All messages of a conversation.
    pub(crate) fn of_conversation(&self, id: ConversationId) -> impl Iterator<Item = i64> {
        let both = [self.lanes.get(&id), self.beside.get(&id)];
        both.into_iter().flatten().flatten().copied()
    }

    /// A message is made (`old` is `None`), changed, or gone (`new` is `None`).
    pub(crate) fn change(&mut self, old: Option<&MessageRow>, new: Option<&MessageRow>) {
        match (old, new) {
            (None, Some(new)) => drop(self.open.insert(new.key)),
            (Some(old), None) => drop(self.open.remove(&old.key)),
            _ => {}
        }
        self.change_place(old, new);
        let queued = |row: &MessageRow| {
            let is_queued = row.state == MessageState::Queued;
            is_queued.then_some((row.valid_until, row.key))
        };
        let (gone, come) = moved((old, new), queued);
        if let Some(place) = gone {
            self.queued.remove(&place);
        }
        self.queued.extend(come);
        let on_wire = |row: &MessageRow| {
            let is_on_wire = |segment: &SegmentRow| segment.state == MessageState::Intent;
            let is_on_wire = row.segments.iter().any(is_on_wire);
            is_on_wire.then_some((row.key, row.destination))
        };
        let (gone, come) = moved((old, new), on_wire);
        if let Some((key, _)) = gone {
            self.on_wire.remove(&key);
        }
        self.on_wire.extend(come);
        let segments = |row: Option<&MessageRow>| row.map_or(0, |row| row.segments.len());
        let count = segments(old).max(segments(new));
        for number in (1_u8..=u8::MAX).take(count) {
            self.change_segment(number, old, new);
        }
    }

    fn change_place(&mut self, old: Option<&MessageRow>, new: Option<&MessageRow>) {
        let place = |row: &MessageRow| Some((row.in_lane, row.conversation, row.key));
        let (gone, come) = moved((old, new), place);
        if let Some((in_lane, conversation, key)) = gone {
            take(self.places(in_lane), &conversation, key);
        }
        if let Some((in_lane, conversation, key)) = come {
            add(self.places(in_lane), conversation, key);
        }
    }

    fn places(&mut self, in_lane: bool) -> &mut HashMap<ConversationId, BTreeSet<i64>> {
        if in_lane {
            &mut self.lanes
        } else {
            &mut self.beside
        }
    }

    fn change_segment(&mut self, number: u8, old: Option<&MessageRow>, new: Option<&MessageRow>) {
        let due = |row: &MessageRow| {
            let segment = row.segment(number).filter(|segment| segment.ready)?;
            Some((segment.due_at, row.key, number))
        };
        let (gone, come) = moved((old, new), due);
        if let (Some(place), Some(row)) = (gone, old)
            && let Some(due) = self.due.get_mut(&row.link_group)
        {
            due.remove(&place);
        }
        if let (Some(place), Some(row)) = (come, new) {
            match self.due.get_mut(&row.link_group) {
                Some(due) => due.insert(place),
                None => self
                    .due
                    .entry(row.link_group.clone())
                    .or_default()
                    .insert(place),
            };
        }
        let state = |row: &MessageRow| row.segment(number).map(|segment| segment.state);
        let (gone, come) = moved((old, new), state);
        if let Some(count) = gone
            .and_then(counted)
            .and_then(|at| self.segments.get_mut(at))
        {
            *count = count.saturating_sub(1);
        }
        if let Some(count) = come
            .and_then(counted)
            .and_then(|at| self.segments.get_mut(at))
        {
            *count += 1;
        }
    }
}

/// A row's old place and its new one, where they differ.
fn moved<R, P: PartialEq>(
    (old, new): (Option<&R>, Option<&R>),
    place: impl Fn(&R) -> Option<P>,
) -> (Option<P>, Option<P>) {
    let (old, new) = (old.and_then(&place), new.and_then(&place));
    if old == new { (None, None) } else { (old, new) }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;
    use crate::gateway::model::{MessageId, Originator, SmsId, Source, UncertainPolicy};
    use crate::store::tables::{Packed, Paid, PlanRow};
    use ruma::owned_user_id;

    /// What an index says, without sets that have nothing in them.
    type Content = (
        BTreeSet<i64>,
        [BTreeMap<i64, BTreeSet<i64>>; 2],
        BTreeMap<String, BTreeSet<(Timestamp, i64, u8)>>,
        BTreeSet<(Timestamp, i64)>,
        Vec<i64>,
        [u64; 3],
    );

    fn content(index: &MessageIndex) -> Content {
        let places = [&index.lanes, &index.beside].map(|places| {
            places
                .iter()
                .map(|(id, keys)| (id.0, keys.clone()))
                .collect()
        });
        let due = index.due.iter().filter(|(_, due)| !due.is_empty());
        (
            index.open.iter().copied().collect(),
            places,
            due.map(|(group, due)| (group.clone(), due.clone()))
                .collect(),
            index.queued.clone(),
            index.on_wire.keys().copied().collect(),
            index.segments,
        )
    }

    fn state() -> impl Strategy<Value = MessageState> {
        prop::sample::select(vec![
            MessageState::Queued,
            MessageState::Intent,
            MessageState::Uncertain,
            MessageState::Submitted,
            MessageState::Delivered,
            MessageState::Expired,
        ])
    }

    fn segment() -> impl Strategy<Value = SegmentRow> {
        (state(), any::<bool>(), any::<bool>(), 0..4_i64).prop_map(
            |(state, ready, in_lane, due_at)| SegmentRow {
                state,
                ready,
                in_lane,
                due_at: Timestamp(due_at),
                attempt: 0,
                retries: 0,
                resends: 0,
                paid: Paid::Reserved,
                udhi: false,
                payload: Bytes::new(),
                tlvs: Bytes::new(),
                sent_as: Vec::new(),
            },
        )
    }

    /// One of three messages, each of which keeps its plan: what may change of it.
    fn row() -> impl Strategy<Value = MessageRow> {
        let segments = prop::collection::vec(segment(), 1..4);
        (0..3_i64, state(), any::<bool>(), segments).prop_map(|(key, state, in_lane, segments)| {
            MessageRow {
                plan: Packed::new(plan(key)),
                state,
                in_lane,
                failure: None,
                segments,
                steps: Vec::new(),
                told: Vec::new(),
            }
        })
    }

    fn plan(key: i64) -> PlanRow {
        let source = Source::Sms { sms: SmsId(key) };
        PlanRow {
            key,
            id: MessageId::of(&source, ConversationId(key / 2)),
            source,
            conversation: ConversationId(key / 2),
            destination: E164Text("447700900123".parse().unwrap()),
            originator: Originator::Shortcode("60777".to_owned()),
            payer: owned_user_id!("@alice:example.org"),
            route: "all".to_owned(),
            link_group: format!("group {}", key % 2),
            price: 1,
            data_coding: 0,
            receipts: false,
            progress: false,
            uncertain: UncertainPolicy::Fail,
            valid_until: Timestamp(key % 2),
            receipt_by: None,
            accepted_at: Timestamp(0),
        }
    }

    proptest! {
        #[test]
        fn an_index_that_followed_every_change_is_the_one_of_what_is_left(
            changes in prop::collection::vec((row(), prop::bool::weighted(0.2)), 0..40),
        ) {
            let mut index = MessageIndex::default();
            let mut rows: BTreeMap<i64, MessageRow> = BTreeMap::new();
            for (row, goes) in changes {
                let old = rows.remove(&row.key);
                let new = (!goes).then_some(row);
                index.change(old.as_ref(), new.as_ref());
                rows.extend(new.map(|row| (row.key, row)));
            }
            let mut anew = MessageIndex::default();
            for row in rows.values() {
                anew.change(None, Some(row));
            }
            prop_assert_eq!(content(&index), content(&anew));
        }
    }
}
