//! Rows in one SQLite file: one writing connection, write-ahead log, `synchronous=FULL`.
//!
//! A commit is one transaction of SQLite: all or nothing, and on the disk when it returns. One process
//! at a time uses the file; a lock beside it holds that.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{CachedStatement, Connection, OptionalExtension as _, params};

use super::base::{Base, Octets, Page, Write};
use super::tables::TableId;
use super::{Result, StoreError};

/// Waits for a reader's lock, such as a backup's.
const BUSY: Duration = Duration::from_secs(5);
/// What `PRAGMA user_version` says of a file in this form.
const VERSION: i64 = 1;

/// The file.
#[derive(Debug)]
pub(crate) struct Sqlite {
    connection: Connection,
    path: PathBuf,
    /// Held until all connections are closed.
    lock: Arc<File>,
}

impl Sqlite {
    /// Opens the file, or makes it with its folder. Blocks.
    ///
    /// Fails with [`StoreError::Unavailable`] while another process uses it, and with
    /// [`StoreError::Conflict`] where another program or another version has written it.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let lock = lock(path)?;
        // Created here, so that nobody else may read it; SQLite gives its log the same rights.
        private().open(path).map_err(|error| io(&error))?;
        let connection = connect(path)?;
        make_tables(&connection)?;
        Ok(Self {
            connection,
            path: path.to_owned(),
            lock: Arc::new(lock),
        })
    }
}

fn connect(path: &Path) -> Result<Connection> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(BUSY)?;
    connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "journal_size_limit", 64 * 1024 * 1024)?;
    connection.pragma_update(None, "wal_autocheckpoint", 4_000)?;
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
    let transaction = connection.unchecked_transaction()?;
    for table in TableId::ALL {
        let name = table.kind().name;
        transaction.execute_batch(&format!(
            "CREATE TABLE IF NOT EXISTS \"{name}\" (key TEXT PRIMARY KEY, row BLOB NOT NULL)
             STRICT, WITHOUT ROWID"
        ))?;
    }
    transaction.pragma_update(None, "user_version", VERSION)?;
    Ok(transaction.commit()?)
}

impl Sqlite {
    fn statement(&self, sql: &str) -> Result<CachedStatement<'_>> {
        Ok(self.connection.prepare_cached(sql)?)
    }

    /// Writes rows of one table.
    fn write(&self, table: TableId, writes: &[Write]) -> Result<()> {
        let name = table.kind().name;
        let sql = format!("INSERT OR REPLACE INTO \"{name}\" (key, row) VALUES (?1, ?2)");
        let mut put = self.statement(&sql)?;
        let sql = format!("DELETE FROM \"{name}\" WHERE key = ?1");
        let mut delete = self.statement(&sql)?;
        for write in writes {
            match &write.value {
                Some(row) => put.execute(params![&*write.key, row])?,
                None => delete.execute([&*write.key])?,
            };
        }
        Ok(())
    }
}

impl Base for Sqlite {
    fn twin(&self) -> Result<Box<dyn Base>> {
        Ok(Box::new(Self {
            connection: connect(&self.path)?,
            path: self.path.clone(),
            lock: Arc::clone(&self.lock),
        }))
    }

    fn is_remote(&self) -> bool {
        false
    }

    fn get(&mut self, keys: &[(TableId, &str)]) -> Result<Vec<Option<Octets>>> {
        keys.iter()
            .map(|(table, key)| {
                let sql = format!("SELECT row FROM \"{}\" WHERE key = ?1", table.kind().name);
                let mut statement = self.statement(&sql)?;
                Ok(statement.query_row([key], |row| row.get(0)).optional()?)
            })
            .collect()
    }

    fn scan(&mut self, table: TableId, from: Option<&str>, limit: usize) -> Result<Page> {
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

    fn timers(&mut self, until: &str, limit: usize) -> Result<Vec<String>> {
        let name = TableId::Timers.kind().name;
        let sql = format!("SELECT key FROM \"{name}\" WHERE key < ?1 ORDER BY key LIMIT ?2");
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let mut statement = self.statement(&sql)?;
        let keys = statement.query_map(params![until, limit], |row| row.get(0))?;
        Ok(keys.collect::<rusqlite::Result<_>>()?)
    }

    fn count(&mut self, table: TableId) -> Result<u64> {
        let sql = format!("SELECT count(*) FROM \"{}\"", table.kind().name);
        let count: i64 = self.connection.query_row(&sql, [], |row| row.get(0))?;
        Ok(u64::try_from(count).unwrap_or_default())
    }

    fn commit(&mut self, writes: &[Write]) -> Result<()> {
        // Ends a transaction that an error left open, and is rolled back by any error in here.
        let transaction = self.connection.unchecked_transaction()?;
        for writes in writes.chunk_by(|one, next| one.table == next.table) {
            if let Some(first) = writes.first() {
                self.write(first.table, writes)?;
            }
        }
        Ok(transaction.commit()?)
    }

    fn close(&mut self) {
        // Leaves one file behind. Where it fails, the next start reads the log all the same.
        drop(
            self.connection
                .pragma_update(None, "wal_checkpoint", "TRUNCATE"),
        );
    }
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

/// Takes the lock that says "this store is in use". It lasts as long as the file is open, so the
/// death of the process frees it.
fn lock(path: &Path) -> Result<File> {
    if let Some(folder) = path.parent() {
        make(folder).map_err(|error| io(&error))?;
    }
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let file = private().open(&name).map_err(|error| io(&error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::Unavailable(
            "another matrix-smpp uses this store".to_owned(),
        )),
        Err(TryLockError::Error(error)) => Err(io(&error)),
    }
}

/// Makes a folder where it is missing, for the gateway alone, and syncs its name: SQLite syncs the names
/// of its files only, and a power loss that takes their folder takes them too.
fn make(folder: &Path) -> std::io::Result<()> {
    // A relative path ends in no name; that is here.
    if folder.as_os_str().is_empty() || folder.is_dir() {
        return Ok(());
    }
    let parent = folder.parent().unwrap_or(folder);
    make(parent)?;
    DirBuilder::new().mode(0o700).create(folder)?;
    let here = parent.as_os_str().is_empty();
    File::open(if here { Path::new(".") } else { parent })?.sync_all()
}

fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

fn io(error: &std::io::Error) -> StoreError {
    StoreError::Unavailable(error.to_string())
}
