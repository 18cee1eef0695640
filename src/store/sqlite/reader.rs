//! The connections that only read, for questions: they see what has been committed, never wait for
//! the writer and never make it wait.

use std::fmt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::{Connection, OpenFlags};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::schema;
use crate::store::{Result, StoreError};

/// Questions answered at the same time.
const READERS: usize = 2;

/// A few read-only connections.
pub(super) struct Readers {
    idle: Idle,
    turns: Arc<Semaphore>,
    asked: AtomicU64,
}

type Idle = Arc<Mutex<Vec<Connection>>>;

impl fmt::Debug for Readers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Readers").finish_non_exhaustive()
    }
}

impl Readers {
    /// Opens them; the schema must be there.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let connections: Result<Vec<_>> = (0..READERS).map(|_| open_one(path)).collect();
        let idle = Arc::new(Mutex::new(connections?));
        Ok(Self {
            idle,
            turns: Arc::new(Semaphore::new(READERS)),
            asked: AtomicU64::new(0),
        })
    }

    /// Questions since the start.
    pub(super) fn asked(&self) -> u64 {
        self.asked.load(Ordering::Relaxed)
    }

    /// Answers a question from one snapshot.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Connection) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let turns = Arc::clone(&self.turns);
        let turn = turns
            .acquire_owned()
            .await
            .map_err(|_| unavailable("closed"))?;
        let idle = Arc::clone(&self.idle);
        let answer = tokio::task::spawn_blocking(move || {
            let lent = Lent::take(idle, turn);
            lent.connection.as_ref().map_or_else(
                || Err(unavailable("no connection is left")),
                |connection| in_snapshot(connection, question),
            )
        });
        answer
            .await
            .map_err(|_| unavailable("a question panicked"))?
    }
}

/// A connection that goes back when the question ends, by a panic too, and though nobody waits for
/// the answer any more; the turn ends after it.
struct Lent {
    connection: Option<Connection>,
    idle: Idle,
    _turn: OwnedSemaphorePermit,
}

impl Lent {
    fn take(idle: Idle, turn: OwnedSemaphorePermit) -> Self {
        let connection = lock(&idle).pop();
        Self {
            connection,
            idle,
            _turn: turn,
        }
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        lock(&self.idle).extend(self.connection.take());
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::store::sqlite::rows::Sql as _;

    fn readers() -> (tempfile::TempDir, Readers) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("gateway.db");
        drop(schema::open(&path).unwrap());
        let readers = Readers::open(&path).unwrap();
        (directory, readers)
    }

    async fn answers(readers: &Readers) -> i64 {
        readers.read(|tx| tx.number("SELECT 7", [])).await.unwrap()
    }

    #[tokio::test]
    async fn a_question_that_panics_takes_no_connection_with_it() {
        let (_directory, readers) = readers();
        for _ in 0..=READERS {
            let panicked = readers
                .read(|_| -> Result<()> { panic!("on purpose") })
                .await;
            assert!(
                matches!(panicked, Err(StoreError::Unavailable(_))),
                "{panicked:?}"
            );
        }
        assert_eq!(answers(&readers).await, 7);
    }

    #[tokio::test]
    async fn a_question_that_nobody_waits_for_any_more_disturbs_no_other() {
        let (_directory, readers) = readers();
        let mut held = Vec::new();
        for _ in 0..READERS {
            let (release, wait) = std::sync::mpsc::channel::<()>();
            held.push(release);
            let question = readers.read(move |_| Ok(wait.recv().is_err()));
            assert!(
                tokio::time::timeout(Duration::from_millis(1), question)
                    .await
                    .is_err()
            );
        }
        let (answer, ()) = tokio::join!(answers(&readers), async move { drop(held) });
        assert_eq!(answer, 7);
    }

    #[tokio::test]
    async fn a_question_cannot_change_anything() {
        let (_directory, readers) = readers();
        let refused = readers.read(|tx| tx.run("DELETE FROM meta", [])).await;
        assert!(refused.is_err(), "{refused:?}");
    }
}
