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

/// Rows of one table that are remembered for having been used lately; as many again that were used a while
/// ago.
const GENERATION: usize = 16_384;

/// A row, or the knowledge that there is none.
pub(crate) type Cell = Option<AnyRow>;

/// The number of a group of changes: 1, 2, 3…
type Flight = u64;

/// The rows and indexes of a store.
#[derive(Debug)]
pub(crate) struct State {
    tables: Vec<Rows>,
    pub(crate) indexes: Indexes,
    /// The group that takes off next.
    next: Flight,
    /// The last that has been committed, or undone.
    landed: Flight,
    /// What has been done since the last group took off.
    changes: Vec<Change>,
    /// What the group in flight has done.
    flying: Vec<Change>,
    /// What need not be remembered once that group has landed.
    forgettable: Vec<(TableId, Arc<str>)>,
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
    /// Whatever has been changed and not committed, and what was read or committed lately.
    known: HashMap<Arc<str>, Known>,
    /// Counts how often rows were forgotten.
    age: u32,
    /// How many rows were used in this age.
    young: usize,
    /// Cannot be read, and why.
    spoilt: HashMap<Arc<str>, String>,
    /// How many rows the table has.
    count: i64,
}

#[derive(Debug)]
struct Known {
    cell: Cell,
    /// The last group that has changed it; 0 where it was read.
    flight: Flight,
    /// The [`Rows::age`] in which it was used last.
    age: u32,
}

/// What a key had before it was changed.
#[derive(Debug)]
struct Change {
    table: TableId,
    key: Arc<str>,
    before: Cell,
    /// [`Known::flight`] before; `None` where nothing was known.
    flight: Option<Flight>,
}

impl State {
    pub(crate) fn new() -> Self {
        Self {
            tables: TableId::ALL.iter().map(|_| Rows::default()).collect(),
            indexes: Indexes::default(),
            next: 1,
            landed: 0,
            changes: Vec::new(),
            flying: Vec::new(),
            forgettable: Vec::new(),
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

    /// What is known of a key, and whether that has been committed; `None` where it must be read first.
    pub(crate) fn known(&mut self, table: TableId, key: &str) -> Option<(Cell, bool)> {
        let landed = self.landed;
        let rows = self.rows(table);
        let known = rows.known.get_mut(key)?;
        if known.age != rows.age {
            known.age = rows.age;
            rows.young += 1;
        }
        Some((known.cell.clone(), known.flight <= landed))
    }

    /// Remembers what was read.
    pub(crate) fn learn(&mut self, table: TableId, key: &str, cell: Cell) {
        self.remember(table, key.into(), cell, 0);
    }

    /// Remembers a row; gives the group that has changed it before, `None` where it was not known.
    fn remember(
        &mut self,
        table: TableId,
        key: Arc<str>,
        cell: Cell,
        flight: Flight,
    ) -> Option<Flight> {
        let (landed, is_gathering) = (self.landed, self.is_gathering);
        let rows = self.rows(table);
        if rows.young >= GENERATION && !is_gathering {
            rows.forget_old(landed);
        }
        let age = rows.age;
        let before = rows.known.insert(key, Known { cell, flight, age });
        if before.as_ref().is_none_or(|before| before.age != age) {
            rows.young += 1;
        }
        before.map(|before| before.flight)
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
        self.rows(table).count += i64::from(after.is_some()) - i64::from(before.is_some());
        let flight = self.remember(table, Arc::clone(&key), after, self.next);
        self.changes.push(Change {
            table,
            key,
            before,
            flight,
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
            self.take_back(change);
        }
    }

    /// Undoes whatever is not committed, what is in flight too.
    pub(crate) fn undo_all(&mut self) {
        self.undo(0);
        while let Some(change) = self.flying.pop() {
            self.take_back(change);
        }
        self.forgettable.clear();
    }

    fn take_back(&mut self, change: Change) {
        let Change {
            table,
            key,
            before,
            flight,
        } = change;
        let rows = self.rows(table);
        let after = match (rows.known.get_mut(&key), flight) {
            (Some(known), Some(flight)) => {
                known.flight = flight;
                std::mem::replace(&mut known.cell, before.clone())
            }
            _ => rows.known.remove(&key).and_then(|known| known.cell),
        };
        rows.count += i64::from(before.is_some()) - i64::from(after.is_some());
        (table.kind().index)(&mut self.indexes, &key, after.as_ref(), before.as_ref());
    }

    /// Whether there is something that is not committed.
    pub(crate) fn is_uncommitted(&self) -> bool {
        !self.changes.is_empty() || !self.flying.is_empty()
    }

    /// What has been changed takes off to be committed, table by table. Nothing may be in flight.
    pub(crate) fn take_off(&mut self) -> Vec<Changed> {
        let flight = self.next;
        self.next += 1;
        self.flying = std::mem::take(&mut self.changes);
        let mut changed = Vec::with_capacity(self.flying.len());
        for change in &self.flying {
            // Of several changes of a row the first one stands for all.
            if change.flight == Some(flight) {
                continue;
            }
            let (table, key) = (change.table, &change.key);
            let rows = self.tables.get(table.place());
            let Some(known) = rows.and_then(|rows| rows.known.get(key)) else {
                continue;
            };
            // Written once, and read by nobody but from end to end.
            let is_log = matches!(table, TableId::Ledger | TableId::Timers);
            if is_log || known.cell.is_none() {
                self.forgettable.push((table, Arc::clone(key)));
            }
            changed.push(Changed {
                table,
                key: Arc::clone(key),
                row: known.cell.clone(),
            });
        }
        let counts = COUNTED.map(|table| self.count(table));
        changed.extend(self.counts.take_off(&counts));
        changed.sort_by_key(|changed| changed.table);
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
        let flight = self.next - 1;
        self.landed = flight;
        for (table, key) in std::mem::take(&mut self.forgettable) {
            let rows = self.rows(table);
            // What has been changed again is in the next group.
            if rows
                .known
                .get(&key)
                .is_some_and(|known| known.flight == flight)
            {
                rows.known.remove(&key);
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
    /// Forgets what was not used in this age, and begins another. What is not committed stays.
    fn forget_old(&mut self, landed: Flight) {
        let age = self.age;
        self.known
            .retain(|_, known| known.age == age || known.flight > landed);
        self.age = age.wrapping_add(1);
        self.young = 0;
    }
}
