//! The thread that commits: one group after the other, over a way to the rows of its own.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc;
use std::thread::JoinHandle;

use tokio::sync::mpsc::WeakSender;

use super::{Done, Fate, Job, Message, tell};
use crate::store::base::{Base, Write};
use crate::store::state::Changed;
use crate::store::{Result, StoreError};

/// A group of operations with all that they have changed.
pub(super) struct Flight {
    pub(super) rows: Vec<Changed>,
    pub(super) jobs: Vec<Box<dyn Job>>,
}

/// How a flight ended. Those who asked have been told where it was kept.
type Landed = Result<(), (StoreError, Vec<Box<dyn Job>>)>;

/// The way to the thread.
pub(super) struct Committer {
    flights: Option<mpsc::Sender<Flight>>,
    ends: mpsc::Receiver<Landed>,
    is_busy: bool,
    thread: Option<JoinHandle<()>>,
}

impl Committer {
    /// Starts the thread. It says [`Message::Landed`] after each flight where nothing else would wake who
    /// listens.
    pub(super) fn start(
        base: Box<dyn Base>,
        done: Arc<Done>,
        bell: WeakSender<Message>,
    ) -> Result<Self> {
        let (flights, queue) = mpsc::channel();
        let (to, ends) = mpsc::channel();
        let thread = std::thread::Builder::new()
            .name("store-commit".to_owned())
            .spawn(move || run(base, &done, &queue, &to, &bell))
            .map_err(|error| StoreError::Unavailable(error.to_string()))?;
        Ok(Self {
            flights: Some(flights),
            ends,
            is_busy: false,
            thread: Some(thread),
        })
    }

    /// Whether a flight is under way.
    pub(super) fn is_busy(&self) -> bool {
        self.is_busy
    }

    /// Has a flight committed; gives it back where the thread is no more.
    pub(super) fn commit(&mut self, flight: Flight) -> Result<(), Flight> {
        let Some(flights) = &self.flights else {
            return Err(flight);
        };
        flights
            .send(flight)
            .map_err(|mpsc::SendError(flight)| flight)?;
        self.is_busy = true;
        Ok(())
    }

    /// How the flight ended that was under way, if it has.
    pub(super) fn landed(&mut self) -> Option<Landed> {
        let landed = match self.ends.try_recv() {
            Ok(landed) => landed,
            Err(mpsc::TryRecvError::Empty) => return None,
            Err(mpsc::TryRecvError::Disconnected) => return self.gone(),
        };
        self.is_busy = false;
        Some(landed)
    }

    /// Waits for the flight that is under way, if there is one.
    pub(super) fn wait(&mut self) -> Option<Landed> {
        if !self.is_busy {
            return None;
        }
        match self.ends.recv() {
            Ok(landed) => {
                self.is_busy = false;
                Some(landed)
            }
            Err(mpsc::RecvError) => self.gone(),
        }
    }

    /// The thread has panicked: what became of its flight is not known, and who asked has heard so.
    fn gone(&mut self) -> Option<Landed> {
        let was_busy = std::mem::take(&mut self.is_busy);
        was_busy.then(|| Err((StoreError::Lost, Vec::new())))
    }
}

impl Drop for Committer {
    fn drop(&mut self) {
        drop(self.flights.take());
        if let Some(thread) = self.thread.take() {
            // Whoever waited for what it did when it panicked has been told.
            drop(thread.join());
        }
    }
}

fn run(
    mut base: Box<dyn Base>,
    done: &Done,
    queue: &mpsc::Receiver<Flight>,
    ends: &mpsc::Sender<Landed>,
    bell: &WeakSender<Message>,
) {
    while let Ok(Flight { rows, jobs }) = queue.recv() {
        done.commits.fetch_add(1, Ordering::Relaxed);
        let landed = match commit(base.as_mut(), rows) {
            Ok(()) => {
                // What they ask next may be run before this is known to have landed; it is then
                // answered after the next flight.
                tell(jobs, &Fate::Kept);
                Ok(())
            }
            Err(error) => Err((error, jobs)),
        };
        if ends.send(landed).is_err() {
            return;
        }
        // Where the queue is full, who listens does not sleep.
        if let Some(bell) = bell.upgrade() {
            drop(bell.try_send(Message::Landed));
        }
    }
}

fn commit(base: &mut dyn Base, rows: Vec<Changed>) -> Result<()> {
    let mut writes = Vec::with_capacity(rows.len());
    for Changed { table, key, row } in rows {
        let encode = table.kind().encode;
        let value = row.as_ref().map(encode).transpose()?;
        writes.push(Write { table, key, value });
    }
    // In the order of the keys: those that follow each other lie side by side on the disk.
    writes.sort_unstable_by(|one, other| (one.table, &one.key).cmp(&(other.table, &other.key)));
    base.commit(&writes)
}
