//! The tables: one SQLite file, `synchronous=FULL`, with SQLite's own write-ahead log.

use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{CachedStatement, Connection, OptionalExtension as _, Transaction, params};

use super::unapplied::{Generation, Timers, Value};
use crate::store::base::{Octets, Page};
use crate::store::tables::TableId;
use crate::store::{Result, StoreError};

/// Waits for a reader's lock, such as a backup's.
const BUSY: Duration = Duration::from_secs(5);
/// What `PRAGMA user_version` says of a file in this form. One of version 1 has no log.
const VERSION: i64 = 2;
/// Pages in SQLite's own log before they go into the file.
const CHECKPOINT: i64 = 16_000;

/// A connection.
#[derive(Debug)]
pub(super) struct Database(Connection);

/// How far a store's tables are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Applied {
    /// A name that is new each time the store is opened. Nobody can guess it.
    pub(super) life: u128,
    /// The number of the last commit that is in the tables.
    pub(super) number: u64,
}

impl Database {
    /// Opens the file, and makes the tables.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let connection = connect(path)?;
        make_tables(&connection)?;
        Ok(Self(connection))
    }
}

fn connect(path: &Path) -> Result<Connection> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(BUSY)?;
    connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "journal_size_limit", 64 * 1024 * 1024)?;
    connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT)?;
    connection.pragma_update(None, "cache_size", -65_536)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.pragma_update(None, "trusted_schema", false)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    connection.set_prepared_statement_cache_capacity(4 * TableId::ALL.len());
    Ok(connection)
}

fn make_tables(connection: &Connection) -> Result<()> {
    let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if version > VERSION {
        return Err(StoreError::Conflict(format!(
            "the store has version {version}, newer than this program knows"
        )));
    }
    let is_made = |name: &str| connection.table_exists(None, name);
    let mut missing = Vec::new();
    for table in TableId::ALL {
        let name = table.kind().name;
        if !is_made(name)? {
            missing.push(format!(
                "CREATE TABLE \"{name}\" (key TEXT PRIMARY KEY, row BLOB NOT NULL) STRICT, WITHOUT ROWID"
            ));
        }
    }
    if !is_made("applied")? {
        missing.push(
            "CREATE TABLE applied (life BLOB NOT NULL, number INTEGER NOT NULL) STRICT".to_owned(),
        );
    }
    if missing.is_empty() && version == VERSION {
        return Ok(());
    }
    let transaction = connection.unchecked_transaction()?;
    transaction.execute_batch(&missing.join(";"))?;
    transaction.pragma_update(None, "user_version", VERSION)?;
    Ok(transaction.commit()?)
}

impl Database {
    fn statement(&self, sql: &str) -> Result<CachedStatement<'_>> {
        Ok(self.0.prepare_cached(sql)?)
    }

    /// Runs `count` reads. Several share a transaction: to begin one takes as long as a read.
    pub(super) fn read_together<T>(
        &self,
        count: usize,
        reads: impl FnOnce(&Self) -> Result<T>,
    ) -> Result<T> {
        let _together = if count > 1 {
            Some(self.0.unchecked_transaction()?)
        } else {
            None
        };
        reads(self)
    }

    /// Reads a row.
    pub(super) fn get(&self, table: TableId, key: &str) -> Result<Option<Octets>> {
        let sql = format!("SELECT row FROM \"{}\" WHERE key = ?1", table.kind().name);
        let mut statement = self.statement(&sql)?;
        Ok(statement.query_row([key], |row| row.get(0)).optional()?)
    }

    /// Reads a page of rows, in the order of their keys.
    pub(super) fn scan(&self, table: TableId, from: Option<&str>, limit: usize) -> Result<Page> {
        let name = table.kind().name;
        let sql = format!("SELECT key, row FROM \"{name}\" WHERE key > ?1 ORDER BY key LIMIT ?2");
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let mut statement = self.statement(&sql)?;
        let rows: Vec<(String, Octets)> = statement
            .query_map(params![from.unwrap_or_default(), limit], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })?
            .collect::<rusqlite::Result<_>>()?;
        let is_full = i64::try_from(rows.len()).is_ok_and(|count| count == limit);
        let next = rows.last().filter(|_| is_full).map(|(key, _)| key.clone());
        Ok(Page { rows, next })
    }

    /// The first timers before `until`, with these over them.
    pub(super) fn timers(
        &self,
        until: &str,
        limit: usize,
        unapplied: &Timers,
    ) -> Result<Vec<String>> {
        let name = TableId::Timers.kind().name;
        let sql = format!("SELECT key FROM \"{name}\" WHERE key < ?1 ORDER BY key");
        let mut statement = self.statement(&sql)?;
        let mut rows = statement.query([until])?;
        let set = unapplied.iter().filter(|(_, is_there)| **is_there);
        let mut keys: Vec<String> = set.take(limit).map(|(key, _)| key.to_string()).collect();
        let mut here = 0;
        while here < limit
            && let Some(row) = rows.next()?
        {
            let key: String = row.get(0)?;
            if !unapplied.contains_key(key.as_str()) {
                keys.push(key);
                here += 1;
            }
        }
        keys.sort_unstable();
        keys.truncate(limit);
        Ok(keys)
    }

    /// How many rows a table has.
    pub(super) fn count(&self, table: TableId) -> Result<u64> {
        let sql = format!("SELECT count(*) FROM \"{}\"", table.kind().name);
        let count: i64 = self.0.query_row(&sql, [], |row| row.get(0))?;
        Ok(u64::try_from(count).unwrap_or_default())
    }

    /// How far the tables are; `None` for a store that never had a log.
    pub(super) fn applied(&self) -> Result<Option<Applied>> {
        let mut statement = self.statement("SELECT life, number FROM applied")?;
        let found = statement.query_row([], |row| Ok((row.get(0)?, row.get::<_, i64>(1)?)));
        let Some((life, number)) = found.optional()? else {
            return Ok(None);
        };
        Ok(Some(Applied {
            life: u128::from_be_bytes(life),
            number: u64::try_from(number).unwrap_or_default(),
        }))
    }

    /// Begins a life of the store.
    pub(super) fn begin(&mut self, applied: Applied) -> Result<()> {
        let transaction = self.0.unchecked_transaction()?;
        transaction.execute("DELETE FROM applied", [])?;
        transaction.execute(
            "INSERT INTO applied (life, number) VALUES (?1, ?2)",
            params![applied.life.to_be_bytes(), signed(applied.number)],
        )?;
        Ok(transaction.commit()?)
    }

    /// Writes the rows of a generation into their tables: all, durably, or none.
    pub(super) fn apply(&mut self, generation: &Generation) -> Result<()> {
        // Ends a transaction that an error left open, and is rolled back by any error in here.
        let transaction = self.0.unchecked_transaction()?;
        for table in TableId::ALL {
            apply_table(&transaction, *table, generation)?;
        }
        let mut note = transaction.prepare_cached("UPDATE applied SET number = ?1")?;
        note.execute([signed(generation.last())])?;
        drop(note);
        Ok(transaction.commit()?)
    }

    /// Brings SQLite's own log into the file. Where it fails, the next opening reads that log all the same.
    pub(super) fn checkpoint(&self) {
        drop(self.0.pragma_update(None, "wal_checkpoint", "TRUNCATE"));
    }
}

fn apply_table(
    transaction: &Transaction<'_>,
    table: TableId,
    generation: &Generation,
) -> Result<()> {
    let mut rows: Vec<(&str, Value<'_>)> = generation
        .rows(table)
        .map(|(key, value)| (&**key, value))
        .collect();
    if rows.is_empty() {
        return Ok(());
    }
    // Those that follow each other lie side by side on the disk.
    rows.sort_unstable_by_key(|(key, _)| *key);
    let name = table.kind().name;
    let sql = format!("INSERT OR REPLACE INTO \"{name}\" (key, row) VALUES (?1, ?2)");
    let mut put = transaction.prepare_cached(&sql)?;
    let sql = format!("DELETE FROM \"{name}\" WHERE key = ?1");
    let mut delete = transaction.prepare_cached(&sql)?;
    for (key, value) in rows {
        match value {
            Some(row) => put.execute(params![key, row])?,
            None => delete.execute([key])?,
        };
    }
    Ok(())
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase};
        match error.sqlite_error_code() {
            Some(DatabaseCorrupt | NotADatabase) => Self::Corrupt(error.to_string()),
            _ => Self::Unavailable(error.to_string()),
        }
    }
}
