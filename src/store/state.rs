//! What a store knows at one moment: rows that were read or changed, and the indexes over them.
//!
//! Changes are made here at once. They *take off* as one group, which is then in flight until it has been
//! committed; further ones are made meanwhile. What has not been committed can be undone: one change
//! after the other, or all of them with those in flight.

use std::sync::Arc;

use super::counts::{COUNTED, Counts};
use super::indexes::Indexes;
use super::table::AnyRow;
use super::tables::TableId;
use foldhash::HashMap;

/// Rows of one table in the younger half of its cache; the older half has as many.
const GENERATION: usize = 16_384;

/// A row, or the knowledge that there is none.
pub(crate) type Cell = Option<AnyRow>;

/// The rows and indexes of a store.
#[derive(Debug)]
pub(crate) struct State {
    tables: Vec<Rows>,
    pub(crate) indexes: Indexes,
    changes: Vec<Change>,
    /// Those in flight.
    flying: Vec<Change>,
    counts: Counts,
    /// See [`Self::gather`].
    is_gathering: bool,
}

/// A row as it is to be committed.
#[derive(Debug)]
pub(crate) struct Changed {
    pub(crate) table: TableId,
    pub(crate) key: Arc<str>,
    /// `None` where it is to be deleted.
    pub(crate) row: Cell,
}

/// What is known of one table.
#[derive(Debug, Default)]
struct Rows {
    /// Changed since the last group took off.
    dirty: HashMap<Arc<str>, Cell>,
    /// Changed by the group in flight.
    flying: HashMap<Arc<str>, Cell>,
    /// Read or committed lately.
    young: HashMap<Arc<str>, Cell>,
    /// The same, longer ago. What is asked for again becomes young.
    old: HashMap<Arc<str>, Cell>,
    /// Cannot be read, and why.
    spoilt: HashMap<Arc<str>, String>,
    /// How many rows the table has.
    count: i64,
}

/// What a key had before it was changed.
#[derive(Debug)]
struct Change {
    table: TableId,
    key: Arc<str>,
    before: Cell,
    was_dirty: bool,
}

impl State {
    pub(crate) fn new() -> Self {
        Self {
            tables: TableId::ALL.iter().map(|_| Rows::default()).collect(),
            indexes: Indexes::default(),
            changes: Vec::new(),
            flying: Vec::new(),
            counts: Counts::default(),
            is_gathering: false,
        }
    }

    /// From now on nothing is forgotten that was read, however much it is: operations that miss rows are run
    /// again until they have all of them at hand. Or forgets again, as it reads more.
    pub(crate) fn gather(&mut self, gathers: bool) {
        self.is_gathering = gathers;
    }

    fn rows(&mut self, table: TableId) -> &mut Rows {
        #[expect(clippy::indexing_slicing, reason = "there is one for each table")]
        &mut self.tables[table.place()]
    }

    /// What is known of a key; `None` where it must be read first.
    pub(crate) fn known(&mut self, table: TableId, key: &str) -> Option<Cell> {
        let is_gathering = self.is_gathering;
        let rows = self.rows(table);
        let uncommitted = rows.dirty.get(key).or_else(|| rows.flying.get(key));
        if let Some(cell) = uncommitted.or_else(|| rows.young.get(key)) {
            return Some(cell.clone());
        }
        let (key, cell) = rows.old.remove_entry(key)?;
        rows.keep(key, cell.clone(), is_gathering);
        Some(cell)
    }

    /// Remembers what was read.
    pub(crate) fn learn(&mut self, table: TableId, key: &str, cell: Cell) {
        let is_gathering = self.is_gathering;
        self.rows(table).keep(key.into(), cell, is_gathering);
    }

    /// Remembers that a row cannot be read.
    pub(crate) fn spoil(&mut self, table: TableId, key: &str, reason: String) {
        self.rows(table).spoilt.insert(key.into(), reason);
    }

    /// Why a row cannot be read.
    pub(crate) fn spoilt(&mut self, table: TableId, key: &str) -> Option<String> {
        self.rows(table).spoilt.get(key).cloned()
    }

    /// Changes a row whose present content is known to be `before`.
    pub(crate) fn change(&mut self, table: TableId, key: &str, before: Cell, after: Cell) {
        let key: Arc<str> = key.into();
        (table.kind().index)(&mut self.indexes, &key, before.as_ref(), after.as_ref());
        let rows = self.rows(table);
        rows.count += i64::from(after.is_some()) - i64::from(before.is_some());
        let was_dirty = rows.dirty.insert(Arc::clone(&key), after).is_some();
        self.changes.push(Change {
            table,
            key,
            before,
            was_dirty,
        });
    }

    /// A place to go back to.
    pub(crate) fn mark(&self) -> usize {
        self.changes.len()
    }

    /// Undoes what was changed since a mark.
    pub(crate) fn undo(&mut self, mark: usize) {
        while self.changes.len() > mark
            && let Some(change) = self.changes.pop()
        {
            self.take_back(change, |rows| &mut rows.dirty);
        }
    }

    /// Undoes whatever is not committed, what is in flight too.
    pub(crate) fn undo_all(&mut self) {
        self.undo(0);
        while let Some(change) = self.flying.pop() {
            self.take_back(change, |rows| &mut rows.flying);
        }
    }

    fn take_back(
        &mut self,
        change: Change,
        of: impl Fn(&mut Rows) -> &mut HashMap<Arc<str>, Cell>,
    ) {
        let Change {
            table,
            key,
            before,
            was_dirty,
        } = change;
        let rows = self.rows(table);
        let after = if was_dirty {
            of(rows).insert(Arc::clone(&key), before.clone())
        } else {
            of(rows).remove(&key)
        };
        let after = after.flatten();
        rows.count += i64::from(before.is_some()) - i64::from(after.is_some());
        (table.kind().index)(&mut self.indexes, &key, after.as_ref(), before.as_ref());
    }

    /// Whether there is something that is not committed.
    pub(crate) fn is_uncommitted(&self) -> bool {
        !self.changes.is_empty() || !self.flying.is_empty()
    }

    /// Whether a row is as it has been committed, or is not known at all.
    pub(crate) fn is_committed(&mut self, table: TableId, key: &str) -> bool {
        let rows = self.rows(table);
        !rows.dirty.contains_key(key) && !rows.flying.contains_key(key)
    }

    /// What has been changed takes off to be committed, table by table. Nothing may be in flight.
    pub(crate) fn take_off(&mut self) -> Vec<Changed> {
        self.flying = std::mem::take(&mut self.changes);
        let mut changed = Vec::with_capacity(self.flying.len());
        for (table, rows) in TableId::ALL.iter().zip(&mut self.tables) {
            if rows.dirty.is_empty() {
                continue;
            }
            std::mem::swap(&mut rows.flying, &mut rows.dirty);
            changed.extend(rows.flying.iter().map(|(key, row)| Changed {
                table: *table,
                key: Arc::clone(key),
                row: row.clone(),
            }));
        }
        let counts = COUNTED.map(|table| self.count(table));
        changed.extend(self.counts.take_off(&counts));
        changed
    }

    /// What the base knows of how many rows tables have.
    pub(crate) fn keep_counts(&mut self, counts: Counts) {
        self.counts = counts;
    }

    /// What was in flight is committed.
    pub(crate) fn landed(&mut self) {
        self.flying.clear();
        self.counts.landed();
        for (table, rows) in TableId::ALL.iter().zip(&mut self.tables) {
            let mut flying = std::mem::take(&mut rows.flying);
            // Written once, and read by nobody but from end to end.
            let is_log = matches!(table, TableId::Ledger | TableId::Timers);
            for (key, cell) in flying.drain() {
                if is_log || cell.is_none() {
                    rows.forget(&key);
                } else {
                    rows.keep(key, cell, self.is_gathering);
                }
            }
            // The next flight will be about as large.
            if rows.dirty.is_empty() {
                rows.dirty = flying;
            }
        }
    }

    /// How many rows a table has.
    pub(crate) fn count(&self, table: TableId) -> u64 {
        let rows = self.tables.get(table.place());
        rows.map_or(0, |rows| u64::try_from(rows.count).unwrap_or(0))
    }

    /// Tells how many rows a table has, at the start.
    pub(crate) fn set_count(&mut self, table: TableId, count: u64) {
        self.rows(table).count = i64::try_from(count).unwrap_or(i64::MAX);
    }
}

impl Rows {
    fn forget(&mut self, key: &str) {
        self.old.remove(key);
        self.young.remove(key);
    }

    fn keep(&mut self, key: Arc<str>, cell: Cell, all: bool) {
        if self.young.len() >= GENERATION && !all {
            self.old = std::mem::take(&mut self.young);
        }
        self.old.remove(&key);
        self.young.insert(key, cell);
    }
}
