//! The thread that knows the store. It takes whatever operations wait, does them one after the other on
//! the [`State`], and hands all of their changes to [`committer`] as one group; while that group is in
//! flight it goes on with the next. Nobody is told anything before the group that it is built on is
//! durable.
//!
//! So every operation is atomic, because its changes are undone where it fails and committed with
//! those of its group where it does not; and what one operation sees of another is never taken back
//! without its own answer being an error too: where a group cannot be committed, whatever was done since
//! is undone with it.

mod committer;
mod encoder;
mod job;
mod load;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;

use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::error;

use self::committer::{Committer, Flight, Landed, Shared};
use self::encoder::Encoder;
use self::job::{Call, Fate, Job, Manner, tell};
use self::load::load;
use super::absent::go_through;
use super::base::Base;
use super::ownership::Ownership;
use super::state::State;
use super::tables::TableId;
use super::tx::Tx;
use super::{Result, StoreError, Work};

/// Operations that may wait; who comes later waits before the queue.
const QUEUE: usize = 4096;
/// Operations in one commit.
const GROUP: usize = 1024;

/// The way to the thread. [Closing](Self::close) or dropping it ends the thread after the operations that
/// wait; a drop blocks until they are durable.
#[derive(Debug)]
pub(crate) struct Engine {
    jobs: Option<mpsc::Sender<Message>>,
    thread: Option<JoinHandle<()>>,
    done: Arc<Done>,
    lost: CancellationToken,
    /// Cancelled once the thread has given the store up.
    ended: CancellationToken,
    ownership: Arc<Ownership>,
    unreadable: Vec<(&'static str, u64)>,
    unapplied: Arc<AtomicU64>,
}

/// What the thread is told.
enum Message {
    /// Something to do.
    Job(Box<dyn Job>),
    /// A group has landed, or whether the thread lives is to be seen.
    Look,
    /// Nothing is to be done any more but what was asked for before.
    Close,
}

/// What the thread has done.
#[derive(Debug, Default)]
struct Done {
    commits: AtomicU64,
    changes: AtomicU64,
    questions: AtomicU64,
    /// How often it has looked for something to do.
    turns: AtomicU64,
}

impl Engine {
    /// Reads what is unfinished, and starts the thread. Blocks.
    pub(crate) fn start(mut base: Box<dyn Base>) -> Result<Self> {
        let (state, unreadable) = load(base.as_mut())?;
        let (jobs, queue) = mpsc::channel(QUEUE);
        let done = Arc::new(Done::default());
        let lost = CancellationToken::new();
        let ended = CancellationToken::new();
        let ownership = base.ownership();
        let unapplied = base.unapplied();
        let shared = Shared {
            done: Arc::clone(&done),
            lost: lost.clone(),
            bell: jobs.downgrade(),
            ready: Arc::default(),
        };
        let encoder = Encoder::start(Arc::clone(&shared.ready))?;
        let committer = Committer::start(base.twin()?, shared)?;
        let desk = Desk {
            state,
            base,
            committer,
            encoder,
            done: Arc::clone(&done),
            lost: lost.clone(),
            ownership: Arc::clone(&ownership),
            queue,
            first: VecDeque::new(),
            waiting: VecDeque::new(),
            ran: VecDeque::new(),
            is_learning: true,
            _end: ended.clone().drop_guard(),
        };
        let thread = std::thread::Builder::new()
            .name("store".to_owned())
            .spawn(move || desk.work())
            .map_err(|error| StoreError::Unavailable(error.to_string()))?;
        Ok(Self {
            jobs: Some(jobs),
            thread: Some(thread),
            done,
            lost,
            ended,
            ownership,
            unreadable,
            unapplied,
        })
    }

    /// Rows that could not be read at the start, by table.
    pub(crate) fn unreadable(&self) -> &[(&'static str, u64)] {
        &self.unreadable
    }

    /// True while no other instance can have taken the store over.
    pub(crate) fn is_surely_owner(&self) -> bool {
        self.ownership.is_sure() && !self.lost.is_cancelled()
    }

    /// Cancelled once another instance has taken the store over. Every operation fails from then on.
    pub(crate) fn lost(&self) -> &CancellationToken {
        &self.lost
    }

    /// What has been done since the start.
    pub(crate) fn work(&self) -> Work {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Work {
            commits: read(&self.done.commits),
            changes: read(&self.done.changes),
            questions: read(&self.done.questions),
            unapplied: read(&self.unapplied),
        }
    }

    /// Runs an operation and returns after the commit of all that it changed and saw.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        operation: impl FnMut(&mut Tx<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.send(operation, Manner::InTurn).await
    }

    /// The same for an operation on which much of what is done next waits, such as what a homeserver brings:
    /// it sends no more before the answer.
    pub(crate) async fn run_first<T: Send + 'static>(
        &self,
        operation: impl FnMut(&mut Tx<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.send(operation, Manner::First).await
    }

    /// The same for an operation that pages through tables or takes timers: everything before it has
    /// been committed when it begins.
    pub(crate) async fn run_alone<T: Send + 'static>(
        &self,
        operation: impl FnMut(&mut Tx<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.send(operation, Manner::Alone).await
    }

    async fn send<T: Send + 'static>(
        &self,
        operation: impl FnMut(&mut Tx<'_>) -> Result<T> + Send + 'static,
        manner: Manner,
    ) -> Result<T> {
        let (sender, receiver) = oneshot::channel();
        let job = Call {
            operation,
            manner,
            result: Err(closed()),
            sender,
        };
        let jobs = self.jobs.as_ref().ok_or_else(|| self.closed())?;
        jobs.send(Message::Job(Box::new(job)))
            .await
            .map_err(|_| self.closed())?;
        receiver.await.map_err(|_| self.closed())?
    }

    /// Takes no more operations, and returns when those of before are done and the store is given up, which
    /// does not wait until nobody holds this any more.
    pub(crate) async fn close(&self) {
        self.ownership.close();
        if let Some(jobs) = &self.jobs {
            // Where the thread has ended there is nothing to ask for.
            drop(jobs.send(Message::Close).await);
        }
        self.ended.cancelled().await;
    }

    /// Why nobody answers.
    fn closed(&self) -> StoreError {
        if self.lost.is_cancelled() {
            return StoreError::Lost;
        }
        closed()
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.ownership.close();
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

/// The thread's own.
struct Desk {
    state: State,
    base: Box<dyn Base>,
    committer: Committer,
    encoder: Encoder,
    done: Arc<Done>,
    lost: CancellationToken,
    ownership: Arc<Ownership>,
    queue: mpsc::Receiver<Message>,
    /// To be run before all others.
    first: VecDeque<Box<dyn Job>>,
    /// Not run yet.
    waiting: VecDeque<Box<dyn Job>>,
    /// Run, and to be told after the commit.
    ran: VecDeque<Box<dyn Job>>,
    /// There is a table to be [gone through](super::absent).
    is_learning: bool,
    /// The last, for what is dropped before it may be what keeps others from the store.
    _end: DropGuard,
}

impl Desk {
    fn work(mut self) {
        while self.listen() {
            self.done.turns.fetch_add(1, Ordering::Relaxed);
            self.run_group();
            self.go_on();
            if self.lost.is_cancelled() {
                // What it knows may be untrue by now, and nothing can be changed any more.
                return;
            }
        }
        self.settle();
        // Before the store is given up, nobody says any more that its owner lives.
        drop(self.committer);
        self.base.close();
    }

    /// Waits until there is something to look at, or uses the time. False where nobody can ask any more.
    fn listen(&mut self) -> bool {
        if self.first.is_empty() && self.waiting.is_empty() {
            if self.is_learning {
                return self.learn();
            }
            match self.queue.blocking_recv() {
                Some(message) => self.queue_up(message),
                None => return false,
            }
        }
        true
    }

    /// Looks whether somebody asks; there is something to do in any case. False where nobody can ask any more.
    fn learn(&mut self) -> bool {
        match self.queue.try_recv() {
            Ok(message) => self.queue_up(message),
            Err(mpsc::error::TryRecvError::Disconnected) => return false,
            Err(mpsc::error::TryRecvError::Empty) => {}
        }
        true
    }

    /// Where the base cannot be read, the next group tries again.
    fn learn_a_page(&mut self) {
        let learnt = go_through(self.base.as_mut(), &mut self.state);
        self.is_learning = learnt.is_ok() && self.state.absent.is_behind();
    }

    /// Lets in who has asked meanwhile, behind so many that are to be run.
    fn let_in(&mut self, to_run: usize) {
        while self.ran.len() + to_run + self.first.len() + self.waiting.len() < GROUP
            && let Ok(message) = self.queue.try_recv()
        {
            self.queue_up(message);
        }
    }

    fn queue_up(&mut self, message: Message) {
        match message {
            Message::Job(job) if job.manner() == Manner::First => self.first.push_back(job),
            Message::Job(job) => self.waiting.push_back(job),
            Message::Look => {}
            Message::Close => self.queue.close(),
        }
    }

    /// Runs what waits as a group; again and again those that miss rows, all of which are read at once, and
    /// stay at hand until the last of them has been run.
    fn run_group(&mut self) {
        self.let_in(0);
        let group = std::mem::take(&mut self.waiting);
        self.run_until_done(group);
        self.state.gather(false);
        if self.state.absent.is_behind() {
            self.learn_a_page();
        }
    }

    fn run_until_done(&mut self, mut group: VecDeque<Box<dyn Job>>) {
        while !(self.first.is_empty() && group.is_empty()) {
            let mut missing = Vec::new();
            let mut waiting = VecDeque::new();
            while let Some(mut job) = self.first.pop_front().or_else(|| group.pop_front()) {
                if job.manner() == Manner::Alone {
                    self.settle();
                }
                match self.run(job.as_mut()) {
                    Ran::Answered => job.answer(&Fate::Kept),
                    Ran::Done if job.manner() == Manner::First => self.ran.push_front(job),
                    Ran::Done => self.ran.push_back(job),
                    Ran::Misses(misses) => {
                        missing.extend(misses);
                        waiting.push_back(job);
                    }
                }
                self.let_in(group.len());
                // Who commits must not wait for the rest of the group.
                self.go_on();
            }
            if let Err(error) = self.read(missing) {
                error!(%error, "cannot read");
                self.note(&error);
                self.ran.extend(waiting);
                return;
            }
            group = waiting;
        }
    }

    /// Runs an operation.
    fn run(&mut self, job: &mut dyn Job) -> Ran {
        let mark = self.state.mark();
        let mut tx = Tx::new(&mut self.state, self.base.as_mut());
        let is_done = job.run(&mut tx);
        let ended = tx.end();
        if !is_done || !ended.missing.is_empty() {
            self.state.undo(mark);
        }
        if !ended.missing.is_empty() {
            return Ran::Misses(ended.missing);
        }
        if self.state.mark() > mark {
            self.done.changes.fetch_add(1, Ordering::Relaxed);
            return Ran::Done;
        }
        self.done.questions.fetch_add(1, Ordering::Relaxed);
        if is_done && ended.saw_committed_only && !self.lost.is_cancelled() {
            return Ran::Answered;
        }
        Ran::Done
    }

    fn read(&mut self, mut missing: Vec<(TableId, String)>) -> Result<()> {
        missing.sort_unstable();
        missing.dedup();
        let keys: Vec<_> = missing
            .iter()
            .map(|(table, key)| (*table, &**key))
            .collect();
        if keys.is_empty() {
            return Ok(());
        }
        let found = self.base.get(&keys)?;
        self.state.gather(true);
        for ((table, key), octets) in missing.iter().zip(found) {
            let row = octets.map(|octets| (table.kind().decode)(&octets));
            match row.transpose() {
                Ok(cell) => self.state.learn(*table, key, cell),
                Err(reason) => self.state.spoil(*table, key, reason.to_string()),
            }
        }
        Ok(())
    }

    /// Takes in what has landed, and lets what was done since take off.
    fn go_on(&mut self) {
        if self.committer.is_busy()
            && let Some(landed) = self.committer.landed()
        {
            self.take_in(landed);
        }
        if self.ran.len() >= GROUP {
            self.wait();
        }
        // What is run next would have to wait until this flight has landed.
        if self.first.is_empty() {
            self.take_off();
        }
    }

    /// Waits until everything that was done is committed, or undone.
    fn settle(&mut self) {
        self.wait();
        self.take_off();
        self.wait();
    }

    /// Waits for the group in flight.
    fn wait(&mut self) {
        if let Some(landed) = self.committer.wait() {
            self.take_in(landed);
        }
    }

    /// Lets what was done take off, where nothing is in flight.
    fn take_off(&mut self) {
        if self.committer.is_busy() {
            if let Some((flight, rows)) = self.state.made(encoder::BATCH) {
                self.encoder.hand_over(flight, rows);
            }
            return;
        }
        if self.ran.is_empty() {
            return;
        }
        let jobs = std::mem::take(&mut self.ran);
        if self.lost.is_cancelled() {
            return tell(jobs, &Fate::Lost);
        }
        if self.state.mark() == 0 {
            return tell(jobs, &Fate::Kept);
        }
        let group = self.state.take_off();
        let flight = Flight { group, jobs };
        if let Err(flight) = self.committer.commit(flight) {
            // Its thread has panicked; nobody can tell what has been kept.
            self.lost.cancel();
            tell(flight.jobs, &Fate::Lost);
        }
    }

    /// A group has landed. Who asked for it has been told where it was kept.
    fn take_in(&mut self, landed: Landed) {
        let Err((error, flight)) = landed else {
            return self.state.landed();
        };
        let (group, jobs) = flight.map(|Flight { group, jobs }| (group, jobs)).unzip();
        let jobs = jobs.unwrap_or_default();
        self.state.undo_all(group);
        // Where it closes, nobody waited until it was known, and nothing may be built on what may be
        // untrue.
        if matches!(error, StoreError::Lost) || self.ownership.is_closing() {
            self.lost.cancel();
        }
        let fate = Fate::from(error);
        tell(jobs, &fate);
        tell(std::mem::take(&mut self.ran), &fate);
    }

    fn note(&self, error: &StoreError) {
        if matches!(error, StoreError::Lost) {
            self.lost.cancel();
        }
    }
}

/// How an operation went.
enum Ran {
    /// It has changed nothing and seen nothing that is not committed: it can be answered.
    Answered,
    /// It is to be answered after the commit.
    Done,
    /// It must be run again when these rows are at hand.
    Misses(Vec<(TableId, String)>),
}
