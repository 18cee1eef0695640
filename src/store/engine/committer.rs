//! The thread that commits: one group after the other, over a way to the rows of its own. Where there is
//! nothing to commit for a while, it says that the owner lives: it waits for nobody else then, however busy
//! the machine is.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::mpsc::WeakSender;
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use super::encoder::{Ready, Written};
use super::job::{Fate, Job, tell};
use super::{Done, Message};
use crate::store::base::{Base, Write};
use crate::store::ownership;
use crate::store::state::{Changed, Group};
use crate::store::{Result, StoreError};

/// A group of operations with all that they have changed.
pub(super) struct Flight {
    pub(super) group: Group,
    pub(super) jobs: VecDeque<Box<dyn Job>>,
}

/// An owner whose other thread has not moved for so many times its time to live is taken for dead.
const HUNG: u32 = 6;

/// What the thread has in common with the one that runs operations.
pub(super) struct Shared {
    pub(super) done: Arc<Done>,
    /// Cancelled where another one has taken the store over.
    pub(super) lost: CancellationToken,
    /// Rung with [`Message::Look`] where nothing else would wake that one.
    pub(super) bell: WeakSender<Message>,
    /// Rows that are octets already.
    pub(super) ready: Arc<Ready>,
}

impl Shared {
    fn ring(&self) {
        // Where the queue is full, who listens does not sleep.
        if let Some(bell) = self.bell.upgrade() {
            drop(bell.try_send(Message::Look));
        }
    }
}

/// How a flight ended. Those who asked have been told where it was kept; else it comes back, unless nobody
/// knows what became of it.
pub(super) type Landed = Result<(), (StoreError, Option<Flight>)>;

/// The way to the thread.
pub(super) struct Committer {
    flights: Option<mpsc::Sender<Flight>>,
    ends: mpsc::Receiver<Landed>,
    is_busy: bool,
    thread: Option<JoinHandle<()>>,
}

impl Committer {
    /// Starts the thread.
    pub(super) fn start(base: Box<dyn Base>, shared: Shared) -> Result<Self> {
        let (flights, queue) = mpsc::channel();
        let (to, ends) = mpsc::channel();
        let pilot = Pilot {
            base,
            shared,
            ends: to,
            moved: (0, ownership::now()),
            is_silent: false,
        };
        let thread = std::thread::Builder::new()
            .name("store-commit".to_owned())
            .spawn(move || pilot.work(&queue))
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
        was_busy.then_some(Err((StoreError::Lost, None)))
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

/// The thread's own.
struct Pilot {
    base: Box<dyn Base>,
    shared: Shared,
    ends: mpsc::Sender<Landed>,
    /// How often the other thread had looked for something to do when it was last seen to move, and when
    /// that was.
    moved: (u64, u64),
    /// It says nothing any more until there is something to commit.
    is_silent: bool,
}

impl Pilot {
    fn work(mut self, queue: &mpsc::Receiver<Flight>) {
        loop {
            let flight = match self.next_sign() {
                Some(at) => queue.recv_timeout(at),
                None => queue.recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            match flight {
                Ok(flight) => {
                    self.is_silent = false;
                    if !self.fly(flight) {
                        return;
                    }
                }
                Err(RecvTimeoutError::Timeout) => self.say_alive(),
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    /// Commits a group. False where nobody wants to know what became of it.
    fn fly(&mut self, Flight { group, mut jobs }: Flight) -> bool {
        self.shared.done.commits.fetch_add(1, Ordering::Relaxed);
        let written = self.shared.ready.take(group.number);
        // What they ask next may be run before this is known to have landed; it is then answered after
        // the next flight.
        let mut durable = || tell(std::mem::take(&mut jobs), &Fate::Kept);
        let (landed, kept) = match commit(self.base.as_mut(), &group, written, &mut durable) {
            Ok(()) => (Ok(()), Some(group)),
            Err(error) => (Err((error, Some(Flight { group, jobs }))), None),
        };
        let is_heard = self.ends.send(landed).is_ok();
        self.shared.ring();
        // What the rows were before is forgotten here, where nobody waits for it.
        drop(kept);
        is_heard
    }

    /// When to say that the owner lives, where that is still true. Each commit says so too.
    fn next_sign(&self) -> Option<Duration> {
        let is_over = self.is_silent || self.shared.lost.is_cancelled();
        self.base.ownership().next_sign().filter(|_| !is_over)
    }

    fn say_alive(&mut self) {
        if self.is_hung() {
            error!(
                "the thread that runs operations hangs; another gateway may take the store over"
            );
            self.is_silent = true;
            return;
        }
        match self.base.keep() {
            Ok(()) => {}
            Err(StoreError::Lost) => self.shared.lost.cancel(),
            Err(error) => {
                warn!(%error, "cannot say that this gateway lives");
                self.is_silent = true;
            }
        }
        self.shared.ring();
    }

    /// Whether the other thread has not moved for long, though it was called.
    fn is_hung(&mut self) -> bool {
        let (turns, now) = (
            self.shared.done.turns.load(Ordering::Relaxed),
            ownership::now(),
        );
        if turns != self.moved.0 {
            self.moved = (turns, now);
        }
        let stood_still = Duration::from_millis(now.saturating_sub(self.moved.1));
        stood_still > self.base.ownership().ttl() * HUNG
    }
}

fn commit(
    base: &mut dyn Base,
    group: &Group,
    mut written: Written,
    durable: &mut dyn FnMut(),
) -> Result<()> {
    let rows = group.rows();
    let mut writes = Vec::with_capacity(rows.len());
    for Changed { table, key, row } in rows {
        let octets = row.as_ref().map(|row| written.octets(*table, row));
        writes.push(Write {
            table: *table,
            key: Arc::clone(key),
            value: octets.transpose()?,
        });
    }
    base.commit_telling(&writes, durable)
}
