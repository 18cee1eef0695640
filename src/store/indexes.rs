//! What finds unfinished things without reading rows: by lane, by due time, by age. Held in memory,
//! made from the live tables at the start, and kept true by their rows ([`Row::index`](super::table::Row::index)).
//!
//! They hold numbers and times, no content: some 100 octets for each unfinished thing.

mod messages;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use foldhash::{HashMap, HashSet};

pub(crate) use self::messages::MessageIndex;
use super::marks::Marks;
use super::tables::{OutboxRow, OwedRow, ParkedRow, PartialRow, SubmissionRow, partials_key};
use crate::gateway::model::Timestamp;

/// All of them.
#[derive(Debug, Default)]
pub(crate) struct Indexes {
    /// Matrix events.
    pub(crate) inbox: Waiting,
    /// What homeservers send beside events: numbers and keys.
    pub(crate) extras: BTreeSet<(i64, String)>,
    /// Messages towards phones.
    pub(crate) messages: MessageIndex,
    /// Receipts that wait for their answer.
    pub(crate) parked: ParkedIndex,
    /// Whole SMS.
    pub(crate) sms: Waiting,
    /// Those whose time has not come; a timer stands for each.
    pub(crate) scheduled: BTreeSet<i64>,
    /// Long SMS with parts still to come.
    pub(crate) partials: PartialIndex,
    /// What accounts have submitted and has not reached its end.
    pub(crate) submissions: SubmissionIndex,
    /// Receipts that accounts are owed.
    pub(crate) owed: OwedIndex,
    /// Things to do at the homeserver.
    pub(crate) outbox: OutboxIndex,
    /// What has changed of the rows that are asked for all the time.
    pub(crate) marks: Marks,
}

/// Numbered things that wait in order, or were set aside.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    /// Those that wait.
    pub(crate) pending: BTreeSet<i64>,
    /// The others, by when they were set aside.
    pub(crate) aside: BTreeSet<(Timestamp, i64)>,
}

impl Waiting {
    pub(crate) fn insert(&mut self, number: i64, aside: Option<Timestamp>) {
        match aside {
            Some(at) => self.aside.insert((at, number)),
            None => self.pending.insert(number),
        };
    }

    pub(crate) fn remove(&mut self, number: i64, aside: Option<Timestamp>) {
        match aside {
            Some(at) => self.aside.remove(&(at, number)),
            None => self.pending.remove(&number),
        };
    }
}

/// Receipts that wait for their answer, in the order in which they came.
#[derive(Debug, Default)]
pub(crate) struct ParkedIndex {
    /// All of them.
    pub(crate) all: BTreeSet<i64>,
    /// By link group.
    pub(crate) of_group: HashMap<String, BTreeSet<i64>>,
    /// By link group and canonical id.
    pub(crate) by_id: HashMap<(String, String), BTreeSet<i64>>,
    /// By link group, phone and our number.
    pub(crate) by_numbers: HashMap<(String, String, String), BTreeSet<i64>>,
}

fn numbers_of(row: &ParkedRow) -> Option<(String, String, String)> {
    let phone = row.destination?.0.to_string();
    Some((row.link_group.clone(), phone, row.originator.clone()))
}

impl ParkedIndex {
    pub(crate) fn insert(&mut self, row: &ParkedRow) {
        self.all.insert(row.id);
        add(&mut self.of_group, row.link_group.clone(), row.id);
        let id = (row.link_group.clone(), row.canonical.clone());
        add(&mut self.by_id, id, row.id);
        if let Some(numbers) = numbers_of(row) {
            add(&mut self.by_numbers, numbers, row.id);
        }
    }

    pub(crate) fn remove(&mut self, row: &ParkedRow) {
        self.all.remove(&row.id);
        take(&mut self.of_group, &row.link_group, row.id);
        let id = (row.link_group.clone(), row.canonical.clone());
        take(&mut self.by_id, &id, row.id);
        if let Some(numbers) = numbers_of(row) {
            take(&mut self.by_numbers, &numbers, row.id);
        }
    }
}

fn add<K: std::hash::Hash + Eq>(map: &mut HashMap<K, BTreeSet<i64>>, key: K, number: i64) {
    map.entry(key).or_default().insert(number);
}

fn take<K: std::hash::Hash + Eq>(map: &mut HashMap<K, BTreeSet<i64>>, key: &K, number: i64) {
    if let Some(numbers) = map.get_mut(key) {
        numbers.remove(&number);
        if numbers.is_empty() {
            map.remove(key);
        }
    }
}

/// Long SMS with parts still to come.
#[derive(Debug, Default)]
pub(crate) struct PartialIndex {
    /// By link group, phone and number: their keys in the order of their first parts.
    pub(crate) between: HashMap<String, BTreeMap<i64, String>>,
    /// By when the first part came.
    pub(crate) waiting: BTreeSet<(Timestamp, String)>,
    /// How many of them were withdrawn.
    pub(crate) withdrawn: u64,
}

impl PartialIndex {
    pub(crate) fn insert(&mut self, key: &str, row: &PartialRow) {
        let between = partials_key(&row.link_group, &row.handset, &row.number);
        let partials = self.between.entry(between).or_default();
        partials.insert(row.id, key.to_owned());
        self.waiting.insert((row.at, key.to_owned()));
        self.withdrawn += u64::from(row.withdrawn.is_some());
    }

    pub(crate) fn remove(&mut self, key: &str, row: &PartialRow) {
        let between = partials_key(&row.link_group, &row.handset, &row.number);
        if let Some(partials) = self.between.get_mut(&between) {
            partials.remove(&row.id);
            if partials.is_empty() {
                self.between.remove(&between);
            }
        }
        self.waiting.remove(&(row.at, key.to_owned()));
        self.withdrawn = self
            .withdrawn
            .saturating_sub(row.withdrawn.is_some().into());
    }
}

/// What accounts have submitted and has not reached its end.
#[derive(Debug, Default)]
pub(crate) struct SubmissionIndex {
    /// All.
    pub(crate) open: HashSet<i64>,
    /// By link group, source and destination.
    pub(crate) between: HashMap<(String, String, String), BTreeSet<i64>>,
    /// Those that cannot have been said yet, by the end of their validity.
    pub(crate) valid: BTreeSet<(Timestamp, i64)>,
}

fn addresses_of(row: &SubmissionRow) -> (String, String, String) {
    (
        row.link_group.clone(),
        row.source.address.clone(),
        row.destination.address.clone(),
    )
}

impl SubmissionIndex {
    pub(crate) fn insert(&mut self, row: &SubmissionRow) {
        self.open.insert(row.id);
        add(&mut self.between, addresses_of(row), row.id);
        if let (Some(until), None) = (row.valid_until, row.said_at) {
            self.valid.insert((until, row.id));
        }
    }

    pub(crate) fn remove(&mut self, row: &SubmissionRow) {
        self.open.remove(&row.id);
        take(&mut self.between, &addresses_of(row), row.id);
        if let Some(until) = row.valid_until {
            self.valid.remove(&(until, row.id));
        }
    }
}

/// Receipts that accounts are owed.
#[derive(Debug, Default)]
pub(crate) struct OwedIndex {
    /// Those that are not on the wire, by link group: when they are due and their number, with the
    /// time when they are given up.
    pub(crate) due: HashMap<String, BTreeMap<(Timestamp, i64), Timestamp>>,
    /// Those that are.
    pub(crate) on_wire: BTreeSet<i64>,
    /// All, by when they are given up.
    pub(crate) until: BTreeSet<(Timestamp, i64)>,
}

impl OwedIndex {
    pub(crate) fn insert(&mut self, row: &OwedRow) {
        self.until.insert((row.until, row.id));
        if row.on_wire {
            self.on_wire.insert(row.id);
        } else {
            let due = self.due.entry(row.link_group.clone()).or_default();
            due.insert((row.due_at, row.id), row.until);
        }
    }

    pub(crate) fn remove(&mut self, row: &OwedRow) {
        self.until.remove(&(row.until, row.id));
        self.on_wire.remove(&row.id);
        if let Some(due) = self.due.get_mut(&row.link_group) {
            due.remove(&(row.due_at, row.id));
        }
    }
}

/// Things to do at the homeserver, in lanes. The first of a lane is its head; the others wait.
#[derive(Debug, Default)]
pub(crate) struct OutboxIndex {
    /// Those that wait, by lane.
    pub(crate) lanes: HashMap<Arc<str>, BTreeMap<i64, When>>,
    /// Heads by when they are due, with their lane.
    pub(crate) heads: BTreeMap<(Timestamp, i64), Arc<str>>,
    /// Heads that were postponed, by when they are due, with their lane.
    pub(crate) postponed: BTreeMap<(Timestamp, i64), Arc<str>>,
    /// How many wait.
    pub(crate) pending: u64,
    /// Those that were set aside, by when.
    pub(crate) aside: BTreeSet<(Timestamp, i64)>,
    /// Unfinished ones by their key.
    pub(crate) by_key: HashMap<String, i64>,
}

/// When an entry is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct When {
    pub(crate) at: Timestamp,
    pub(crate) was_postponed: bool,
}

impl OutboxIndex {
    pub(crate) fn insert(&mut self, row: &OutboxRow) {
        self.by_key.insert(row.key.clone(), row.id);
        if let Some(aside) = &row.aside {
            self.aside.insert((aside.at, row.id));
            return;
        }
        self.pending += 1;
        let due = When {
            at: row.due_at,
            was_postponed: row.attempts > 0,
        };
        self.around(&row.lane, |lane| {
            lane.insert(row.id, due);
        });
    }

    pub(crate) fn remove(&mut self, row: &OutboxRow) {
        self.by_key.remove(&row.key);
        if let Some(aside) = &row.aside {
            self.aside.remove(&(aside.at, row.id));
            return;
        }
        self.pending = self.pending.saturating_sub(1);
        self.around(&row.lane, |lane| {
            lane.remove(&row.id);
        });
    }

    /// Changes a lane and keeps its head true.
    fn around(&mut self, name: &str, change: impl FnOnce(&mut BTreeMap<i64, When>)) {
        let (name, mut lane) = match self.lanes.remove_entry(name) {
            Some(found) => found,
            None => (Arc::from(name), BTreeMap::new()),
        };
        let before = head(&lane);
        change(&mut lane);
        let after = head(&lane);
        if before != after {
            if let Some((place, _)) = before {
                self.heads.remove(&place);
                self.postponed.remove(&place);
            }
            if let Some((place, was_postponed)) = after {
                self.heads.insert(place, Arc::clone(&name));
                if was_postponed {
                    self.postponed.insert(place, Arc::clone(&name));
                }
            }
        }
        if !lane.is_empty() {
            self.lanes.insert(name, lane);
        }
    }
}

fn head(lane: &BTreeMap<i64, When>) -> Option<((Timestamp, i64), bool)> {
    let (id, due) = lane.first_key_value()?;
    Some(((due.at, *id), due.was_postponed))
}
