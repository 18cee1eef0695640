//! What a store knows at one moment: rows that were read or changed, and the indexes over them.
//!
//! Changes are made here at once. They *take off* as one group, which is then in flight until it has been
//! committed; further ones are made meanwhile. What has not been committed can be undone: one change
//! after the other, or all of them with those in flight.

#[cfg(test)]
mod tests;

use std::sync::Arc;

use super::absent::Absent;
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
pub(crate) type FlightNumber = u64;

/// The rows and indexes of a store.
#[derive(Debug)]
pub(crate) struct State {
    tables: Vec<Rows>,
    pub(crate) indexes: Indexes,
    /// What some tables surely do not have.
    pub(crate) absent: Absent,
    /// The group that takes off next.
    next: FlightNumber,
    /// The last that has been committed, or undone.
    landed: FlightNumber,
    /// What has been done since the last group took off.
    changes: Vec<Change>,
    /// So many of these were looked at by [`Self::made`].
    looked_at: usize,
    /// Rows that they have deleted: they need not be remembered once the group has landed.
    gone: Vec<(TableId, Arc<str>)>,
    /// The same of the group in flight; `None` where none is.
    flying: Option<Vec<(TableId, Arc<str>)>>,
    counts: Counts,
    /// See [`Self::gather`].
    is_gathering: bool,
}

/// What is to be committed at once, or undone.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) number: FlightNumber,
    changes: Vec<Change>,
    /// The row of the counts, where they have changed.
    counts: Option<Changed>,
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
    /// Its key, once more: it is had without being made anew.
    key: Arc<str>,
    cell: Cell,
    made: Made,
    /// The [`Rows::age`] in which it was used last.
    age: u32,
}

/// Where a row was made what it is.
#[derive(Debug, Clone, Copy, Default)]
struct Made {
    /// The last group that has changed it; 0 where it was read.
    flight: FlightNumber,
    /// Which of its changes.
    place: usize,
}

/// A row that was changed.
#[derive(Debug)]
struct Change {
    row: Changed,
    before: Cell,
    /// Where that was made; `None` where nothing was known.
    was_made: Option<Made>,
    /// The group has changed the row again.
    is_superseded: bool,
}

impl Group {
    /// Each row that is to be written once, as it is in the end, table by table.
    pub(crate) fn rows(&self) -> Vec<&Changed> {
        let last = self.changes.iter().filter(|change| !change.is_superseded);
        let rows = last.map(|change| &change.row).chain(&self.counts);
        let mut rows: Vec<&Changed> = rows.collect();
        rows.sort_by_key(|row| row.table);
        rows
    }
}

impl State {
    pub(crate) fn new() -> Self {
        Self {
            tables: TableId::ALL.iter().map(|_| Rows::default()).collect(),
            indexes: Indexes::default(),
            absent: Absent::new(),
            next: 1,
            landed: 0,
            changes: Vec::new(),
            looked_at: 0,
            gone: Vec::new(),
            flying: None,
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
        Some((known.cell.clone(), known.made.flight <= landed))
    }

    /// Remembers what was read.
    pub(crate) fn learn(&mut self, table: TableId, key: &str, cell: Cell) {
        self.remember(table, key, cell, Made::default());
    }

    /// Remembers a row; gives its key, and where it was made what it was, `None` where it was not known.
    fn remember(
        &mut self,
        table: TableId,
        key: &str,
        cell: Cell,
        made: Made,
    ) -> (Arc<str>, Option<Made>) {
        let (landed, is_gathering) = (self.landed, self.is_gathering);
        let rows = self.rows(table);
        if rows.young >= GENERATION && !is_gathering {
            rows.forget_old(landed);
        }
        let age = rows.age;
        if let Some(known) = rows.known.get_mut(key) {
            rows.young += usize::from(known.age != age);
            known.age = age;
            known.cell = cell;
            let before = std::mem::replace(&mut known.made, made);
            return (Arc::clone(&known.key), Some(before));
        }
        let key: Arc<str> = key.into();
        let known = Known {
            key: Arc::clone(&key),
            cell,
            made,
            age,
        };
        rows.known.insert(Arc::clone(&key), known);
        rows.young += 1;
        (key, None)
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
        let made = Made {
            flight: self.next,
            place: self.changes.len(),
        };
        let (key, was_made) = self.remember(table, key, after.clone(), made);
        if let Some(was) = was_made.filter(|was| was.flight == self.next) {
            self.supersede(was.place, true);
        }
        if after.is_none() {
            self.gone.push((table, Arc::clone(&key)));
        }
        self.note(table, key, before, after, was_made);
    }

    /// Makes a row that nobody looks for by its key before it is committed. It is not remembered.
    pub(crate) fn add(&mut self, table: TableId, key: &str, row: AnyRow) {
        self.note(table, key.into(), None, Some(row), None);
    }

    fn note(
        &mut self,
        table: TableId,
        key: Arc<str>,
        before: Cell,
        after: Cell,
        was_made: Option<Made>,
    ) {
        (table.kind().index)(&mut self.indexes, &key, before.as_ref(), after.as_ref());
        self.rows(table).count += i64::from(after.is_some()) - i64::from(before.is_some());
        self.absent.note(table, &key);
        self.changes.push(Change {
            row: Changed {
                table,
                key,
                row: after,
            },
            before,
            was_made,
            is_superseded: false,
        });
    }

    /// Whether a change of the group that takes off next is not the last of its row.
    fn supersede(&mut self, place: usize, is_superseded: bool) {
        if let Some(change) = self.changes.get_mut(place) {
            change.is_superseded = is_superseded;
        }
    }

    /// The number of the group that takes off next, and the rows that it has made since this was asked
    /// before, where there are at least so many.
    pub(crate) fn made(
        &mut self,
        at_least: usize,
    ) -> Option<(FlightNumber, Vec<(TableId, AnyRow)>)> {
        let fresh = self.changes.get(self.looked_at..).unwrap_or_default();
        if fresh.len() < at_least {
            return None;
        }
        let rows = fresh.iter().filter(|change| !change.is_superseded);
        let rows = rows.filter_map(|Change { row, .. }| Some((row.table, row.row.clone()?)));
        let rows = rows.collect();
        self.looked_at = self.changes.len();
        Some((self.next, rows))
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
        self.looked_at = self.looked_at.min(self.changes.len());
    }

    /// Undoes whatever is not committed: all since the last group took off, then that group.
    pub(crate) fn undo_all(&mut self, group: Option<Group>) {
        self.undo(0);
        self.gone.clear();
        self.flying = None;
        let mut changes = group.map(|group| group.changes).unwrap_or_default();
        while let Some(change) = changes.pop() {
            self.take_back(change);
        }
    }

    fn take_back(&mut self, change: Change) {
        let Change {
            row: Changed { table, key, row },
            before,
            was_made,
            ..
        } = change;
        let rows = self.rows(table);
        rows.count += i64::from(before.is_some()) - i64::from(row.is_some());
        match was_made {
            Some(made) => {
                if let Some(known) = rows.known.get_mut(&key) {
                    (known.made, known.cell) = (made, before.clone());
                }
                if made.flight == self.next {
                    self.supersede(made.place, false);
                }
            }
            None => drop(rows.known.remove(&key)),
        }
        (table.kind().index)(&mut self.indexes, &key, row.as_ref(), before.as_ref());
    }

    /// Whether there is something that is not committed.
    pub(crate) fn is_uncommitted(&self) -> bool {
        !self.changes.is_empty() || self.flying.is_some()
    }

    /// What has been changed takes off to be committed. Nothing may be in flight.
    pub(crate) fn take_off(&mut self) -> Group {
        let number = self.next;
        self.next += 1;
        self.looked_at = 0;
        self.flying = Some(std::mem::take(&mut self.gone));
        let counts = COUNTED.map(|table| self.count(table));
        let room = self.changes.len();
        Group {
            number,
            changes: std::mem::replace(&mut self.changes, Vec::with_capacity(room)),
            counts: self.counts.take_off(&counts),
        }
    }

    /// What the base knows of how many rows tables have.
    pub(crate) fn keep_counts(&mut self, counts: Counts) {
        self.counts = counts;
    }

    /// What was in flight is committed.
    pub(crate) fn landed(&mut self) {
        self.counts.landed();
        let flight = self.next - 1;
        self.landed = flight;
        for (table, key) in self.flying.take().into_iter().flatten() {
            let rows = self.rows(table);
            // What has been changed again is in the next group; what was undone is not there.
            if rows
                .known
                .get(&key)
                .is_some_and(|known| known.made.flight == flight && known.cell.is_none())
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
    fn forget_old(&mut self, landed: FlightNumber) {
        let age = self.age;
        self.known
            .retain(|_, known| known.age == age || known.made.flight > landed);
        self.age = age.wrapping_add(1);
        self.young = 0;
    }
}
