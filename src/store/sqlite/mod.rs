//! Rows in one SQLite file, with a log in front of its tables.
//!
//! A commit appends one record with all of its writes to the [`log`] and syncs that: one write at one
//! place, however many rows it has. Its rows wait in memory, [`unapplied`], where reads find them first; a
//! thread of its own, the [`applier`], writes those of many commits into SQLite's tables at once, and only
//! the last state of each row: what came and went since is never written there. The number of the last commit that was
//! applied stands in SQLite and changes in the same transaction as the rows. An opening applies
//! what the log holds beyond it ([`recovery`]).
//!
//! There are two log files, used in turn: one is filled while the rows of the other are applied. Neither
//! is overwritten before SQLite has all of its rows durably. One process at a time uses the file; a lock
//! beside it holds that.

mod applier;
mod database;
mod log;
mod place;
mod record;
mod recovery;
#[cfg(test)]
pub(in crate::store) mod tests;
mod unapplied;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use uuid::Uuid;

use self::applier::{Applier, Limits, Shelf};
use self::database::{Applied, Database};
use self::log::{Log, Medium};
use self::unapplied::Known;
use super::base::{Base, Octets, Page, Write};
use super::tables::TableId;
use super::{Result, StoreError};

/// The file, with its log.
#[derive(Debug)]
pub(crate) struct Sqlite {
    /// What reads go through.
    database: Database,
    applier: Arc<Applier>,
    path: PathBuf,
    /// Held until the thread has ended and all connections are closed.
    lock: Arc<place::Lock>,
}

impl Sqlite {
    /// Opens the file, or makes it with its folder. Blocks.
    ///
    /// Fails with [`StoreError::Unavailable`] while another process uses it, and with
    /// [`StoreError::Conflict`] where another program or another version has written it, or where the log
    /// beside it is not its own.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        Self::open_with(path, Limits::default(), |file| Box::new(file))
    }

    /// The same with other limits, and with something around the files of the log.
    fn open_with(
        path: &Path,
        limits: Limits,
        around: impl Fn(File) -> Box<dyn Medium>,
    ) -> Result<Self> {
        let lock = place::lock(path)?;
        // Before the logs: what is no database is left alone.
        place::file(path)?;
        let mut database = Database::open(path)?;
        let [first, second] = [0, 1].map(|which| place::file(&place::log(path, which)));
        let media = [around(first?), around(second?)];
        let number = recovery::replay(&mut database, &media, limits.full, path)?;
        // From here on nothing in the logs is needed. What is left of it must not stand beside the new
        // life's name in SQLite, after a power loss either.
        let log = Log::anew(media).map_err(|error| io(&error))?;
        place::sync_names(path).map_err(|error| io(&error))?;
        let life = Uuid::new_v4().as_u128();
        database.begin(Applied { life, number })?;
        let shelf = Shelf::new(log, Applied { life, number }, limits);
        let applier = Applier::start(shelf, Database::open(path)?)?;
        Ok(Self {
            database,
            applier: Arc::new(applier),
            path: path.to_owned(),
            lock: Arc::new(lock),
        })
    }

    /// Has everything applied that was committed.
    #[cfg(test)]
    pub(crate) fn apply(&self) -> Result<()> {
        self.applier.shelf().flush()
    }
}

impl Base for Sqlite {
    fn twin(&self) -> Result<Box<dyn Base>> {
        Ok(Box::new(Self {
            database: Database::open(&self.path)?,
            applier: Arc::clone(&self.applier),
            path: self.path.clone(),
            lock: Arc::clone(&self.lock),
        }))
    }

    fn is_remote(&self) -> bool {
        false
    }

    fn get(&mut self, keys: &[(TableId, &str)]) -> Result<Vec<Option<Octets>>> {
        // First those in memory: what leaves it meanwhile is in the tables by then.
        let known = self.applier.shelf().get(keys);
        let found = keys.iter().zip(known);
        self.database.read_together(keys.len(), |database| {
            found
                .map(|((table, key), known)| match known {
                    Known::Is(row) => Ok(row),
                    Known::AsApplied => database.get(*table, key),
                })
                .collect()
        })
    }

    fn scan(&mut self, table: TableId, from: Option<&str>, limit: usize) -> Result<Page> {
        let unapplied = self.applier.shelf().rows(table, from, limit);
        let page = self.database.scan(table, from, limit)?;
        Ok(unapplied.over(page, limit))
    }

    fn timers(&mut self, until: &str, limit: usize) -> Result<Vec<String>> {
        let unapplied = self.applier.shelf().timers(until);
        self.database.timers(until, limit, &unapplied)
    }

    fn count(&mut self, table: TableId) -> Result<u64> {
        self.applier.shelf().flush()?;
        self.database.count(table)
    }

    fn commit(&mut self, writes: &[Write]) -> Result<()> {
        self.commit_telling(writes, &mut || ())
    }

    fn commit_telling(&mut self, writes: &[Write], durable: &mut dyn FnMut()) -> Result<()> {
        self.applier.shelf().commit(writes, durable)
    }

    fn unapplied(&self) -> Arc<AtomicU64> {
        self.applier.shelf().unapplied()
    }

    fn close(&mut self) {
        // Leaves one file behind. Where it fails, the next opening reads the logs all the same.
        if self.applier.shelf().close().is_ok() {
            self.database.checkpoint();
            place::remove_logs(&self.path);
        }
    }
}

fn io(error: &std::io::Error) -> StoreError {
    StoreError::Unavailable(error.to_string())
}
