//! The connections that only read, for questions: they see what has been committed, never wait for
//! the writer and never make it wait.

use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::{Connection, OpenFlags};
use tokio::sync::Semaphore;

use super::schema;
use crate::store::{Result, StoreError};

/// Questions answered at the same time.
const READERS: usize = 2;

/// A few read-only connections.
pub(super) struct Readers {
    idle: Arc<Mutex<Vec<Connection>>>,
    turns: Semaphore,
}

impl fmt::Debug for Readers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Readers").finish_non_exhaustive()
    }
}

impl Readers {
    /// Opens them; the schema must be there.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let connections: Result<Vec<_>> = (0..READERS).map(|_| open_one(path)).collect();
        Ok(Self {
            idle: Arc::new(Mutex::new(connections?)),
            turns: Semaphore::new(READERS),
        })
    }

    /// Answers a question from one snapshot.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Connection) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let turn = self
            .turns
            .acquire()
            .await
            .map_err(|_| unavailable("closed"))?;
        let idle = Arc::clone(&self.idle);
        let answer = tokio::task::spawn_blocking(move || {
            let lent = lock(&idle).pop();
            let connection = lent.ok_or_else(|| unavailable("no connection is left"))?;
            let answer = in_snapshot(&connection, question);
            lock(&idle).push(connection);
            answer
        });
        let answer = answer
            .await
            .map_err(|_| unavailable("a question panicked"))?;
        drop(turn);
        answer
    }
}

fn lock(idle: &Mutex<Vec<Connection>>) -> std::sync::MutexGuard<'_, Vec<Connection>> {
    idle.lock().unwrap_or_else(PoisonError::into_inner)
}

fn unavailable(reason: &str) -> StoreError {
    StoreError::Unavailable(reason.to_owned())
}

fn open_one(path: &Path) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    schema::tune(&connection)?;
    Ok(connection)
}

fn in_snapshot<T>(
    connection: &Connection,
    question: impl FnOnce(&Connection) -> Result<T>,
) -> Result<T> {
    let snapshot = connection.unchecked_transaction()?;
    question(&snapshot)
}
