//! Rows that are in the log and not in SQLite yet.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Bound;
use std::sync::Arc;

use foldhash::HashMap;

use super::record::{RowAt, Span};
use crate::store::base::{Octets, Page};
use crate::store::tables::TableId;

/// The rows of some commits that follow each other, each as the last of them left it.
#[derive(Default)]
pub(super) struct Generation {
    /// The records: the values lie in there.
    records: Vec<Vec<u8>>,
    tables: Vec<HashMap<Arc<str>, Option<Place>>>,
    /// The keys of timers, and whether they are there.
    timers: Timers,
    size: Size,
    /// The number of the last commit.
    last: u64,
}

/// How much a generation holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Size {
    pub(super) rows: usize,
    /// Of its records.
    pub(super) octets: usize,
}

impl Size {
    /// Whether it is as large as a limit in one way at least.
    pub(super) fn reaches(self, limit: Self) -> bool {
        self.rows >= limit.rows || self.octets >= limit.octets
    }
}

/// Timers that were set (true) or taken (false).
pub(super) type Timers = BTreeMap<Arc<str>, bool>;

#[derive(Debug, Clone, Copy)]
struct Place {
    record: u32,
    span: Span,
}

/// A row: its octets, or that it is deleted.
pub(super) type Value<'a> = Option<&'a [u8]>;

impl Generation {
    /// An empty one with room for as many rows of each table.
    pub(super) fn like(other: &Self) -> Self {
        let room =
            |rows: &HashMap<_, _>| HashMap::with_capacity_and_hasher(rows.len(), <_>::default());
        Self {
            tables: other.tables.iter().map(room).collect(),
            ..Self::default()
        }
    }

    /// Adds a commit's rows.
    pub(super) fn take_in(
        &mut self,
        number: u64,
        record: Vec<u8>,
        rows: impl IntoIterator<Item = RowAt>,
    ) {
        self.tables
            .resize_with(TableId::ALL.len(), HashMap::default);
        // There are never as many records as that.
        let place = u32::try_from(self.records.len()).unwrap_or(u32::MAX);
        for RowAt { table, key, value } in rows {
            if table == TableId::Timers {
                self.timers.insert(Arc::clone(&key), value.is_some());
            }
            let value = value.map(|span| Place {
                record: place,
                span,
            });
            if let Some(rows) = self.tables.get_mut(table.place()) {
                let is_new = rows.insert(key, value).is_none();
                self.size.rows += usize::from(is_new);
            }
        }
        self.size.octets += record.len();
        self.records.push(record);
        self.last = number;
    }

    /// How much it holds.
    pub(super) fn size(&self) -> Size {
        self.size
    }

    pub(super) fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// The number of the last commit in it.
    pub(super) fn last(&self) -> u64 {
        self.last
    }

    fn get(&self, table: TableId, key: &str) -> Option<Value<'_>> {
        let place = self.tables.get(table.place())?.get(key)?;
        Some(self.value(*place))
    }

    fn value(&self, place: Option<Place>) -> Value<'_> {
        let Place { record, span } = place?;
        let record = self.records.get(usize::try_from(record).ok()?)?;
        Some(span.of(record))
    }

    /// A table's rows.
    pub(super) fn rows(&self, table: TableId) -> impl Iterator<Item = (&Arc<str>, Value<'_>)> {
        let rows = self.tables.get(table.place()).into_iter().flatten();
        rows.map(|(key, place)| (key, self.value(*place)))
    }
}

impl fmt::Debug for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Generation")
            .field("size", &self.size)
            .field("last", &self.last)
            .finish_non_exhaustive()
    }
}

/// Both generations: the one that is filled, and before it the one that is being applied.
#[derive(Debug, Default)]
pub(super) struct Unapplied {
    pub(super) filling: Generation,
    pub(super) applying: Option<Arc<Generation>>,
}

/// What the rows that are not applied tell of one.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Known {
    /// What it is; `None` where it is deleted.
    Is(Option<Octets>),
    /// The tables have it, if it is there.
    AsApplied,
}

impl Unapplied {
    /// Every generation, the younger first.
    fn generations(&self) -> impl DoubleEndedIterator<Item = &Generation> {
        std::iter::once(&self.filling).chain(self.applying.as_deref())
    }

    /// What is known of a row.
    pub(super) fn get(&self, table: TableId, key: &str) -> Known {
        let mut found = self.generations().map(|one| one.get(table, key));
        match found.find_map(|found| found) {
            Some(value) => Known::Is(value.map(<[u8]>::to_vec)),
            None => Known::AsApplied,
        }
    }

    /// A table's rows behind a key: of their keys the first, twice as many as `limit`.
    pub(super) fn rows(&self, table: TableId, from: Option<&str>, limit: usize) -> Overlay {
        let limit = limit.saturating_mul(2);
        let mut overlay = Overlay::default();
        for generation in self.generations().rev() {
            let all = generation.rows(table);
            let mut rows: Vec<(&Arc<str>, Value<'_>)> = all
                .filter(|(key, _)| from.is_none_or(|from| &***key > from))
                .collect();
            if rows.len() > limit {
                rows.select_nth_unstable_by_key(limit, |(key, _)| *key);
                rows.truncate(limit);
                let end = rows.iter().map(|(key, _)| Arc::clone(key)).max();
                overlay.end = first(overlay.end, end);
            }
            let rows = rows.into_iter();
            let rows = rows.map(|(key, value)| (Arc::clone(key), value.map(<[u8]>::to_vec)));
            overlay.rows.extend(rows);
        }
        overlay
    }

    /// The timers before `until`.
    pub(super) fn timers(&self, until: &str) -> Timers {
        let mut timers = Timers::new();
        let before = (Bound::Unbounded, Bound::Excluded(until));
        for generation in self.generations().rev() {
            let due = generation.timers.range::<str, _>(before);
            timers.extend(due.map(|(key, is_there)| (Arc::clone(key), *is_there)));
        }
        timers
    }
}

/// Rows of a table that are not applied.
#[derive(Debug, Default)]
pub(super) struct Overlay {
    /// `None` where they are deleted.
    rows: BTreeMap<Arc<str>, Option<Octets>>,
    /// Nothing is known of the keys behind this one.
    end: Option<Arc<str>>,
}

impl Overlay {
    /// A page of `limit` rows of the table as it is with these in front of it. They begin where the page
    /// does.
    pub(super) fn over(self, page: Page, limit: usize) -> Page {
        if self.rows.is_empty() {
            return page;
        }
        let end = first(page.next.map(Arc::from), self.end);
        let is_inside = |key: &str| end.as_deref().is_none_or(|end| key <= end);
        let mut rows: BTreeMap<String, Octets> = page.rows.into_iter().collect();
        rows.retain(|key, _| is_inside(key));
        for (key, value) in self.rows.into_iter().filter(|(key, _)| is_inside(key)) {
            match value {
                Some(value) => rows.insert(key.to_string(), value),
                None => rows.remove(&*key),
            };
        }
        let is_full = rows.len() > limit;
        let rows: Vec<(String, Octets)> = rows.into_iter().take(limit).collect();
        let last = rows.last().filter(|_| is_full).map(|(key, _)| key.clone());
        let next = last.or_else(|| end.map(|end| end.to_string()));
        Page { rows, next }
    }
}

/// The smaller of two keys, where none is behind all others.
fn first(one: Option<Arc<str>>, other: Option<Arc<str>>) -> Option<Arc<str>> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}
