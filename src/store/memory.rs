//! Rows in memory, for tests: a store that can be closed and opened again, fail, and be far away.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::Duration;

use super::base::{Base, Octets, Page, Write};
use super::ownership::{self, Ownership};
use super::tables::TableId;
use super::{Result, StoreError};

/// Longer than any test takes.
const LONG: Duration = Duration::from_hours(1);

/// The rows. Clones share them, as two openings of one file do.
#[derive(Debug, Clone, Default)]
pub(crate) struct Memory(Arc<Mutex<Content>>);

#[derive(Debug, Default)]
struct Content {
    tables: BTreeMap<TableId, BTreeMap<String, Octets>>,
    is_remote: bool,
    /// What the next commits come to, instead of success.
    failures: Vec<StoreError>,
    /// Reads of rows, however many at once.
    journeys: usize,
    /// Rows of each commit.
    commits: Vec<usize>,
    /// The next commit says that it has begun, and waits.
    hold: Option<(mpsc::Sender<()>, mpsc::Receiver<()>)>,
    /// Until when the owner can be sure of itself.
    ownership: Option<Arc<Ownership>>,
    /// Its owner stands still after the next commit.
    stands_still: bool,
}

impl Memory {
    /// Says that it is far away.
    pub(crate) fn remote() -> Self {
        let memory = Self::default();
        memory.content().is_remote = true;
        memory
    }

    /// Has the owner stand still after each commit, for longer than it is the owner for sure.
    pub(crate) fn stand_still_after_commit(&self) {
        self.content().stands_still = true;
    }

    /// Has the owner be sure of itself again, as after a sign of life.
    pub(crate) fn go_on(&self) {
        self.content().stands_still = false;
        self.ownership().renew(ownership::now(), LONG);
    }

    /// Whether the owner is sure of itself.
    pub(crate) fn is_sure(&self) -> bool {
        self.ownership().is_sure()
    }

    /// Has the next commit fail.
    pub(crate) fn fail_with(&self, error: StoreError) {
        self.content().failures.push(error);
    }

    /// Has the next commit wait until the sender is used or dropped; the receiver hears when it begins.
    pub(crate) fn hold(&self) -> (mpsc::Receiver<()>, mpsc::Sender<()>) {
        let (begins, begun) = mpsc::channel();
        let (release, released) = mpsc::channel();
        self.content().hold = Some((begins, released));
        (begun, release)
    }

    /// Puts a row there behind the engine's back.
    pub(crate) fn forge(&self, table: TableId, key: &str, octets: &[u8]) {
        let mut content = self.content();
        let rows = content.tables.entry(table).or_default();
        rows.insert(key.to_owned(), octets.to_vec());
    }

    /// How often rows were read, whether or not they were there.
    pub(crate) fn journeys(&self) -> usize {
        self.content().journeys
    }

    /// How many rows each commit had.
    pub(crate) fn commits(&self) -> Vec<usize> {
        self.content().commits.clone()
    }

    /// How many rows a table has.
    pub(crate) fn rows(&self, table: TableId) -> usize {
        self.content().tables.get(&table).map_or(0, BTreeMap::len)
    }

    fn content(&self) -> MutexGuard<'_, Content> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Base for Memory {
    fn twin(&self) -> Result<Box<dyn Base>> {
        Ok(Box::new(self.clone()))
    }

    fn is_remote(&self) -> bool {
        self.content().is_remote
    }

    fn get(&mut self, keys: &[(TableId, &str)]) -> Result<Vec<Option<Octets>>> {
        let mut content = self.content();
        content.journeys += 1;
        let find = |(table, key): &(TableId, &str)| content.tables.get(table)?.get(*key).cloned();
        Ok(keys.iter().map(find).collect())
    }

    fn scan(&mut self, table: TableId, from: Option<&str>, limit: usize) -> Result<Page> {
        let content = self.content();
        let Some(rows) = content.tables.get(&table) else {
            return Ok(Page::default());
        };
        let after = from.map_or(Bound::Unbounded, Bound::Excluded);
        let found = rows.range::<str, _>((after, Bound::Unbounded)).take(limit);
        let rows: Vec<(String, Octets)> = found
            .map(|(key, octets)| (key.clone(), octets.clone()))
            .collect();
        let is_full = rows.len() == limit;
        let next = rows.last().filter(|_| is_full).map(|(key, _)| key.clone());
        Ok(Page { rows, next })
    }

    fn timers(&mut self, until: &str, limit: usize) -> Result<Vec<String>> {
        let content = self.content();
        let timers = content.tables.get(&TableId::Timers);
        let due = timers.into_iter().flat_map(|timers| timers.keys());
        let due = due.take_while(|key| key.as_str() < until).take(limit);
        Ok(due.cloned().collect())
    }

    fn count(&mut self, table: TableId) -> Result<u64> {
        Ok(u64::try_from(self.rows(table)).unwrap_or(u64::MAX))
    }

    fn ownership(&self) -> Arc<Ownership> {
        let mut content = self.content();
        let owner = content.ownership.get_or_insert_with(|| {
            let owner = Ownership::not_yet();
            owner.renew(ownership::now(), LONG);
            owner
        });
        Arc::clone(owner)
    }

    fn commit(&mut self, writes: &[Write]) -> Result<()> {
        let hold = self.content().hold.take();
        if let Some((begins, released)) = hold {
            begins.send(()).ok();
            released.recv().ok();
        }
        let mut content = self.content();
        if let Some(error) = content.failures.pop() {
            return Err(error);
        }
        content.commits.push(writes.len());
        if content.stands_still
            && let Some(ownership) = &content.ownership
        {
            ownership.end();
        }
        for write in writes {
            let rows = content.tables.entry(write.table).or_default();
            match &write.value {
                Some(octets) => rows.insert(write.key.to_string(), octets.clone()),
                None => rows.remove(&*write.key),
            };
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
