//! What a store knows at one moment: rows that were read or changed, and the indexes over them.
//!
//! Changes are made here at once and can be undone, one by one or all since the last commit, until
//! the engine has committed them.

use std::collections::HashMap;
use std::sync::Arc;

use super::Result;
use super::base::Write;
use super::counts::{COUNTED, Counts};
use super::indexes::Indexes;
use super::table::AnyRow;
use super::tables::TableId;

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
    counts: Counts,
}

/// What is known of one table.
#[derive(Debug, Default)]
struct Rows {
    /// Changed since the last commit.
    dirty: HashMap<Arc<str>, Cell>,
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
            counts: Counts::default(),
        }
    }

    fn rows(&mut self, table: TableId) -> &mut Rows {
        #[expect(clippy::indexing_slicing, reason = "there is one for each table")]
        &mut self.tables[table.place()]
    }

    /// What is known of a key; `None` where it must be read first.
    pub(crate) fn known(&mut self, table: TableId, key: &str) -> Option<Cell> {
        let rows = self.rows(table);
        if let Some(cell) = rows.dirty.get(key).or_else(|| rows.young.get(key)) {
            return Some(cell.clone());
        }
        let (key, cell) = rows.old.remove_entry(key)?;
        rows.keep(key, cell.clone());
        Some(cell)
    }

    /// Remembers what was read.
    pub(crate) fn learn(&mut self, table: TableId, key: &str, cell: Cell) {
        self.rows(table).keep(key.into(), cell);
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
            let Change {
                table,
                key,
                before,
                was_dirty,
            } = change;
            let rows = self.rows(table);
            let after = rows.dirty.get(&key).cloned().flatten();
            rows.count += i64::from(before.is_some()) - i64::from(after.is_some());
            if was_dirty {
                rows.dirty.insert(Arc::clone(&key), before.clone());
            } else {
                rows.dirty.remove(&key);
            }
            (table.kind().index)(&mut self.indexes, &key, after.as_ref(), before.as_ref());
        }
    }

    /// What is to be committed.
    pub(crate) fn writes(&mut self) -> Result<Vec<Write>> {
        let mut writes = Vec::new();
        for (table, rows) in TableId::ALL.iter().zip(&self.tables) {
            let kind = table.kind();
            let first = writes.len();
            for (key, cell) in &rows.dirty {
                let value = cell.as_ref().map(|row| (kind.encode)(row)).transpose()?;
                let key = Arc::clone(key);
                writes.push(Write {
                    table: *table,
                    key,
                    value,
                });
            }
            // In the order of the keys: those that follow each other lie side by side on the disk.
            if let Some(of_table) = writes.get_mut(first..) {
                of_table.sort_unstable_by(|left, right| left.key.cmp(&right.key));
            }
        }
        let counts = COUNTED.map(|table| self.count(table));
        writes.extend(self.counts.write(&counts)?);
        Ok(writes)
    }

    /// What the base knows of how many rows tables have.
    pub(crate) fn keep_counts(&mut self, counts: Counts) {
        self.counts = counts;
    }

    /// Everything that was changed is committed.
    pub(crate) fn committed(&mut self) {
        self.changes.clear();
        self.counts.committed();
        for rows in &mut self.tables {
            for (key, cell) in std::mem::take(&mut rows.dirty) {
                rows.keep(key, cell);
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
    fn keep(&mut self, key: Arc<str>, cell: Cell) {
        if self.young.len() >= GENERATION {
            self.old = std::mem::take(&mut self.young);
        }
        self.old.remove(&key);
        self.young.insert(key, cell);
    }
}
