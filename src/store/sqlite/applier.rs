//! The thread that applies, and what it shares with those who commit and read.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use tracing::{error, info};

use super::database::{Applied, Database};
use super::io;
use super::log::Log;
use super::record::{self, RowAt};
use super::unapplied::{Generation, Known, Overlay, Size, Timers, Unapplied};
use crate::store::base::Write;
use crate::store::tables::TableId;
use crate::store::{Result, StoreError};

/// When rows are applied.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// What is worth being applied at once where nothing else is.
    pub(super) worth: Size,
    /// What a generation holds at most, but for its last record. There are two: this bounds the memory
    /// and the log files.
    pub(super) full: Size,
    /// The longest that a commit waits to be applied where nothing else is: who reads the file by other
    /// ways is that much behind.
    pub(super) lag: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            worth: Size {
                rows: 65_536,
                octets: 32 * 1024 * 1024,
            },
            full: Size {
                rows: 131_072,
                octets: 64 * 1024 * 1024,
            },
            lag: Duration::from_secs(1),
        }
    }
}

/// Between two attempts to apply what could not be applied.
const PAUSE: Duration = Duration::from_millis(250);

/// What those who commit, those who read and the thread share.
#[derive(Debug)]
pub(super) struct Shelf {
    /// Locked before `rows` where both are.
    writer: Mutex<Writer>,
    rows: Mutex<Rows>,
    /// Rows came, were applied or could not be, or something is wanted.
    changed: Condvar,
    limits: Limits,
    /// How many rows are not applied, for those who only want to know.
    unapplied: Arc<AtomicU64>,
}

#[derive(Debug)]
struct Writer {
    log: Log,
    /// The life of the store, and the number of the last commit in the log.
    last: Applied,
}

#[derive(Debug, Default)]
struct Rows {
    unapplied: Unapplied,
    /// Everything is to be applied now.
    is_wanted: bool,
    /// Nothing is taken in any more.
    is_closed: bool,
    /// The thread is to end, or has ended.
    is_over: bool,
    /// Why the last attempt failed, if it did.
    failing: Option<String>,
}

impl Rows {
    fn is_empty(&self) -> bool {
        self.unapplied.filling.is_empty() && self.unapplied.applying.is_none()
    }

    /// Fails where the last attempt to apply failed, or there will be none.
    fn look(&self) -> Result<()> {
        let ended = "the thread that applies the log has ended".to_owned();
        let ended = self.is_over.then_some(ended);
        match self.failing.as_ref().or(ended.as_ref()) {
            Some(reason) => Err(StoreError::Unavailable(reason.clone())),
            None => Ok(()),
        }
    }
}

impl Shelf {
    /// Of a store whose tables are as far as `last`.
    pub(super) fn new(log: Log, last: Applied, limits: Limits) -> Self {
        Self {
            limits,
            writer: Mutex::new(Writer { log, last }),
            rows: Mutex::default(),
            changed: Condvar::new(),
            unapplied: Arc::default(),
        }
    }

    /// How many rows are not applied, as of now.
    pub(super) fn unapplied(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.unapplied)
    }

    fn count(&self, rows: &Rows) {
        let Unapplied { filling, applying } = &rows.unapplied;
        let both = std::iter::once(filling).chain(applying.as_deref());
        let count: usize = both.map(|one| one.size().rows).sum();
        let count = u64::try_from(count).unwrap_or(u64::MAX);
        self.unapplied.store(count, Ordering::Relaxed);
    }

    /// Whether no more may be gathered.
    fn is_full(&self, rows: &Rows) -> bool {
        rows.unapplied.filling.size().reaches(self.limits.full)
    }

    /// Whether what is gathered is to be applied at once.
    fn is_due(&self, rows: &Rows) -> bool {
        rows.is_wanted || rows.unapplied.filling.size().reaches(self.limits.worth)
    }

    fn rows_now(&self) -> MutexGuard<'_, Rows> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn writer(&self) -> MutexGuard<'_, Writer> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, rows: MutexGuard<'a, Rows>) -> MutexGuard<'a, Rows> {
        let waited = self.changed.wait(rows);
        waited.unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until another commit may be gathered, or it shows that the rows before it cannot be applied.
    fn wait_for_room(&self) -> Result<()> {
        let mut rows = self.rows_now();
        while self.is_full(&rows) {
            rows.look()?;
            rows = self.wait(rows);
        }
        Ok(())
    }

    /// Adds a commit to the log, and says so. Its rows are seen when this returns.
    pub(super) fn commit(&self, writes: &[Write], durable: &mut dyn FnMut()) -> Result<()> {
        self.wait_for_room()?;
        let mut pen = self.writer();
        if self.rows_now().is_closed {
            return Err(StoreError::Unavailable("the store is closed".to_owned()));
        }
        let number = pen.last.number + 1;
        let (record, spans) = record::write(pen.last.life, number, writes)?;
        pen.log.append(&record).map_err(|error| io(&error))?;
        pen.last.number = number;
        durable();
        let added = writes.iter().zip(spans).map(|(write, value)| RowAt {
            table: write.table,
            key: Arc::clone(&write.key),
            value,
        });
        let mut rows = self.rows_now();
        let was_empty = rows.unapplied.filling.is_empty();
        rows.unapplied.filling.take_in(number, record, added);
        self.count(&rows);
        let is_due = self.is_due(&rows);
        drop(rows);
        if was_empty || is_due {
            self.changed.notify_all();
        }
        Ok(())
    }

    /// What is known of these rows.
    pub(super) fn get(&self, keys: &[(TableId, &str)]) -> Vec<Known> {
        let rows = self.rows_now();
        keys.iter()
            .map(|(table, key)| rows.unapplied.get(*table, key))
            .collect()
    }

    /// A table's rows behind a key, as far as a page of `limit` rows may need them.
    pub(super) fn rows(&self, table: TableId, from: Option<&str>, limit: usize) -> Overlay {
        self.rows_now().unapplied.rows(table, from, limit)
    }

    /// The timers before `until`.
    pub(super) fn timers(&self, until: &str) -> Timers {
        self.rows_now().unapplied.timers(until)
    }

    /// Has everything applied.
    pub(super) fn flush(&self) -> Result<()> {
        let mut rows = self.rows_now();
        rows.is_wanted = true;
        // What failed before is tried again now.
        rows.failing = None;
        self.changed.notify_all();
        while !rows.is_empty() {
            let failed = rows.look();
            if failed.is_err() {
                rows.is_wanted = false;
                return failed;
            }
            rows = self.wait(rows);
        }
        rows.is_wanted = false;
        Ok(())
    }

    /// Has everything applied, and takes nothing in any more.
    pub(super) fn close(&self) -> Result<()> {
        // A commit that is under way ends first.
        let pen = self.writer();
        self.rows_now().is_closed = true;
        drop(pen);
        self.flush()
    }

    /// How much is gathered, and how much is being applied.
    #[cfg(test)]
    pub(super) fn sizes(&self) -> [Size; 2] {
        let rows = self.rows_now();
        let applying = rows.unapplied.applying.as_ref();
        let applying = applying.map(|applying| applying.size());
        [rows.unapplied.filling.size(), applying.unwrap_or_default()]
    }

    /// Lets what was gathered be applied, and the other log be filled. Nothing may be applied now.
    fn turn(&self) -> Result<Arc<Generation>> {
        let mut pen = self.writer();
        pen.log.turn().map_err(|error| io(&error))?;
        let mut rows = self.rows_now();
        let next = Generation::like(&rows.unapplied.filling);
        let generation = Arc::new(std::mem::replace(&mut rows.unapplied.filling, next));
        rows.unapplied.applying = Some(Arc::clone(&generation));
        drop(rows);
        self.changed.notify_all();
        Ok(generation)
    }

    /// Waits until something is to be applied; gives what is, or `None` at the end.
    fn next(&self) -> Option<Result<Arc<Generation>>> {
        let mut rows = self.rows_now();
        loop {
            if rows.is_over {
                return None;
            }
            if let Some(generation) = &rows.unapplied.applying {
                return Some(Ok(Arc::clone(generation)));
            }
            if rows.unapplied.filling.is_empty() {
                rows = self.wait(rows);
                continue;
            }
            let is_early = |rows: &mut Rows| !self.is_due(rows) && !rows.is_over;
            let waited = self
                .changed
                .wait_timeout_while(rows, self.limits.lag, is_early);
            rows = waited.unwrap_or_else(PoisonError::into_inner).0;
            if !rows.is_over {
                drop(rows);
                return Some(self.turn());
            }
        }
    }

    /// What was applied is in the tables.
    fn applied(&self) {
        let mut rows = self.rows_now();
        let applied = rows.unapplied.applying.take();
        self.count(&rows);
        if rows.failing.take().is_some() {
            info!("the rows of the log are applied again");
        }
        drop(rows);
        self.changed.notify_all();
        drop(applied);
    }

    /// Notes a failure, and waits a little, unless it is the end.
    fn failed(&self, failure: &StoreError) {
        let mut rows = self.rows_now();
        if rows.failing.is_none() {
            error!(%failure, "cannot apply the rows of the log; trying again");
        }
        rows.failing = Some(failure.to_string());
        self.changed.notify_all();
        let is_patient = |rows: &mut Rows| !rows.is_over && rows.failing.is_some();
        let waited = self.changed.wait_timeout_while(rows, PAUSE, is_patient);
        drop(waited);
    }
}

/// The thread. It ends when this is dropped, whether or not everything is applied.
#[derive(Debug)]
pub(super) struct Applier {
    shelf: Arc<Shelf>,
    thread: Option<JoinHandle<()>>,
}

impl Applier {
    /// Starts the thread, which writes through this connection.
    pub(super) fn start(shelf: Shelf, database: Database) -> Result<Self> {
        let shelf = Arc::new(shelf);
        let shared = Arc::clone(&shelf);
        let thread = std::thread::Builder::new()
            .name("store-apply".to_owned())
            .spawn(move || run(&shared, database))
            .map_err(|error| io(&error))?;
        Ok(Self {
            shelf,
            thread: Some(thread),
        })
    }

    /// What the thread shares.
    pub(super) fn shelf(&self) -> &Shelf {
        &self.shelf
    }
}

impl Drop for Applier {
    fn drop(&mut self) {
        self.shelf.rows_now().is_over = true;
        self.shelf.changed.notify_all();
        if let Some(thread) = self.thread.take() {
            // What it could not do, the next opening does.
            drop(thread.join());
        }
    }
}

fn run(shelf: &Shelf, mut database: Database) {
    let _end = End(shelf);
    while let Some(generation) = shelf.next() {
        match generation.and_then(|generation| database.apply(&generation)) {
            Ok(()) => shelf.applied(),
            Err(failure) => shelf.failed(&failure),
        }
    }
}

/// Nobody waits for a thread that has panicked.
struct End<'a>(&'a Shelf);

impl Drop for End<'_> {
    fn drop(&mut self) {
        let mut rows = self.0.rows_now();
        (rows.is_closed, rows.is_over) = (true, true);
        drop(rows);
        self.0.changed.notify_all();
    }
}
