//! The one thread that writes. It takes whatever jobs wait into one transaction, each in a
//! savepoint of its own, and tells nobody before the commit is on the disk.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use super::rows::Sql as _;
use crate::store::{Result, StoreError};

/// Jobs that may wait; who comes later waits before the queue.
const QUEUE: usize = 1024;
/// Jobs in one commit. More gain little: the sync is shared by 256 already.
const GROUP: usize = 256;

/// A change: does its work and gives the answer that is due once the group's fate is known.
type Job = Box<dyn FnOnce(&Connection) -> Answer + Send>;
/// Tells one caller; `Err` is the reason why nothing of the group was kept.
type Answer = Box<dyn FnOnce(Result<(), &str>) + Send>;

/// The way to the writing thread. Dropping it ends the thread after the jobs that wait.
#[derive(Debug)]
pub(super) struct Writer {
    jobs: Option<mpsc::Sender<Job>>,
    thread: Option<JoinHandle<()>>,
    done: Arc<Done>,
}

/// What the thread has done.
#[derive(Debug, Default)]
struct Done {
    commits: AtomicU64,
    changes: AtomicU64,
}

impl Writer {
    /// Starts the thread.
    pub(super) fn start(connection: Connection) -> Result<Self> {
        let (jobs, queue) = mpsc::channel(QUEUE);
        let done = Arc::new(Done::default());
        let counted = Arc::clone(&done);
        let thread = std::thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || work(&connection, queue, &counted))
            .map_err(|error| StoreError::Unavailable(error.to_string()))?;
        Ok(Self {
            jobs: Some(jobs),
            thread: Some(thread),
            done,
        })
    }

    /// Commits and changes since the start.
    pub(super) fn done(&self) -> (u64, u64) {
        let Done { commits, changes } = &*self.done;
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        (read(commits), read(changes))
    }

    /// Does `change` and returns after its commit. A change that fails leaves nothing behind and
    /// does not disturb the others of its group.
    pub(super) async fn write<T: Send + 'static>(
        &self,
        change: impl FnOnce(&Connection) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (sender, receiver) = oneshot::channel();
        let job: Job = Box::new(move |connection| {
            let result = in_savepoint(connection, change);
            Box::new(move |committed| {
                let outcome = match committed {
                    Ok(()) => result,
                    Err(reason) => Err(StoreError::Unavailable(reason.to_owned())),
                };
                // Who does not listen any more has gone away; the change stands.
                drop(sender.send(outcome));
            })
        });
        let jobs = self.jobs.as_ref().ok_or_else(closed)?;
        jobs.send(job).await.map_err(|_| closed())?;
        receiver.await.map_err(|_| closed())?
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        drop(self.jobs.take());
        if let Some(thread) = self.thread.take() {
            // A panic of that thread has been told to everyone who asked it.
            drop(thread.join());
        }
    }
}

fn closed() -> StoreError {
    StoreError::Unavailable("the store is closed".to_owned())
}

fn work(connection: &Connection, mut queue: mpsc::Receiver<Job>, done: &Done) {
    while let Some(first) = queue.blocking_recv() {
        let mut group = vec![first];
        while group.len() < GROUP {
            let Ok(next) = queue.try_recv() else { break };
            group.push(next);
        }
        let changes = u64::try_from(group.len()).unwrap_or(u64::MAX);
        done.changes.fetch_add(changes, Ordering::Relaxed);
        done.commits.fetch_add(1, Ordering::Relaxed);
        commit(connection, group);
    }
    // Leaves one file behind. Where it fails, the next start reads the log all the same.
    drop(connection.pragma_update(None, "wal_checkpoint", "TRUNCATE"));
}

/// Runs a group and tells each caller. Any failure of the transaction itself fails them all.
fn commit(connection: &Connection, group: Vec<Job>) {
    let begun = connection.run("BEGIN IMMEDIATE", []);
    // Without a transaction no job does anything but say so.
    let answers: Vec<Answer> = group.into_iter().map(|job| job(connection)).collect();
    let fate = begun.and_then(|_| in_transaction(connection)?.run("COMMIT", []));
    if fate.is_err() && !connection.is_autocommit() {
        drop(connection.run("ROLLBACK", []));
    }
    let fate = fate.map_err(|error| error.to_string());
    for answer in answers {
        answer(fate.as_ref().map(|_| ()).map_err(String::as_str));
    }
}

/// SQLite ends a transaction by itself after errors such as a full disk.
fn in_transaction(connection: &Connection) -> Result<&Connection> {
    if connection.is_autocommit() {
        return Err(StoreError::Unavailable(
            "the transaction was rolled back".to_owned(),
        ));
    }
    Ok(connection)
}

fn in_savepoint<T>(
    connection: &Connection,
    change: impl FnOnce(&Connection) -> Result<T>,
) -> Result<T> {
    in_transaction(connection)?.run("SAVEPOINT job", [])?;
    let result = catch_unwind(AssertUnwindSafe(|| change(connection))).unwrap_or_else(|_| {
        Err(StoreError::Corrupt(
            "a change to the store panicked".to_owned(),
        ))
    });
    in_transaction(connection)?;
    if result.is_err() {
        connection.run("ROLLBACK TO job", [])?;
    }
    connection.run("RELEASE job", [])?;
    result
}
