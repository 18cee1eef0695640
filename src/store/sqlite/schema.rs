//! Opening the file: its lock, its settings, its tables and how they grow.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;
use std::time::Duration;

use rusqlite::Connection;
use rusqlite::config::DbConfig;

use super::rows::Sql as _;
use crate::store::{Result, StoreError};

/// What brings the tables from version n to n + 1; a released one never changes.
const MIGRATIONS: [&str; 6] = [
    include_str!("schema.sql"),
    include_str!("schema_ended.sql"),
    include_str!("schema_heard.sql"),
    include_str!("schema_bounds.sql"),
    include_str!("schema_submissions.sql"),
    include_str!("schema_carriage.sql"),
];

/// Statements kept prepared in each connection: about all there are.
const STATEMENTS: usize = 256;
/// How long SQLite waits for a lock. Only a checkpoint or a curious `sqlite3` can hold one.
const BUSY: Duration = Duration::from_secs(5);

/// Takes the lock that says "this store is in use". It lasts as long as the file is open, so the
/// death of the process frees it.
pub(super) fn lock(path: &Path) -> Result<File> {
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

/// Opens the file for the writer and brings its tables to the newest version.
pub(super) fn open(path: &Path) -> Result<Connection> {
    // Created here, so that nobody else may read it; SQLite gives its log the same rights.
    private().open(path).map_err(|error| io(&error))?;
    let mut connection = Connection::open(path)?;
    connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "journal_size_limit", 64 * 1024 * 1024)?;
    tune(&connection)?;
    migrate(&mut connection)?;
    Ok(connection)
}

/// Settings of every connection.
pub(super) fn tune(connection: &Connection) -> Result<()> {
    connection.busy_timeout(BUSY)?;
    connection.pragma_update(None, "cache_size", -32_768)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.pragma_update(None, "trusted_schema", false)?;
    // Otherwise a statement with a partial index is planned anew whenever it is bound anew.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    Ok(())
}

fn migrate(connection: &mut Connection) -> Result<()> {
    let transaction = connection.transaction()?;
    let version = transaction.number("PRAGMA user_version", [])?;
    let done = usize::try_from(version).unwrap_or(usize::MAX);
    let Some(missing) = MIGRATIONS.get(done..) else {
        let reason = format!("the store has version {version}, newer than this program knows");
        return Err(StoreError::Conflict(reason));
    };
    for migration in missing {
        transaction.execute_batch(migration)?;
    }
    transaction.pragma_update(None, "user_version", super::rows::limit(MIGRATIONS.len()))?;
    Ok(transaction.commit()?)
}

fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

fn io(error: &std::io::Error) -> StoreError {
    StoreError::Unavailable(error.to_string())
}
