//! Work in lanes: items of one lane one after the other, lanes side by side.

mod lines;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, VecDeque};
use std::fmt::Debug;
use std::future::Future;
use std::hash::Hash;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use super::Trouble;
use lines::{Job, Lines};

/// How many items are read from the store at once.
const PAGE: usize = 512;

/// How long nobody looks into the store without a reason.
const LOOK: Duration = Duration::from_mins(1);

/// What takes longer than this leaves its room to others: a peer that does not answer costs those nothing that do.
const SLOW: Duration = Duration::from_secs(1);

/// How much may take long beside what does not.
const MOST_SLOW: usize = 1024;

/// A kind of durable work that is done in lanes.
pub(crate) trait LaneWork: Clone + Send + Sync + 'static {
    /// One piece of it.
    type Item: Send + Sync + 'static;
    /// What must happen in order.
    type Lane: Clone + Debug + Eq + Hash + Send + 'static;
    /// The place of an item in the store, growing.
    type Place: Copy + Ord + Send + 'static;

    /// Before the first.
    const START: Self::Place;

    fn lane(item: &Self::Item) -> Self::Lane;
    fn place(item: &Self::Item) -> Self::Place;

    /// Unfinished items after `after`, oldest first.
    fn fetch(
        &self,
        after: Self::Place,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<Self::Item>, Trouble>> + Send;

    /// Does the item and ends it. Called again after [`Trouble::Later`], so every step must bear
    /// repetition.
    fn attend(&self, item: &Self::Item) -> impl Future<Output = Result<(), Trouble>> + Send;

    /// Puts the item where people see it and out of the way, and has those hear of it whom it
    /// concerns unless `doom` says that even this fails.
    fn set_aside(
        &self,
        item: &Self::Item,
        doom: Doom,
    ) -> impl Future<Output = Result<(), Trouble>> + Send;
}

/// Why an item will never work.
#[derive(Debug, Clone)]
pub(crate) struct Doom {
    pub(crate) why: String,
    /// To tell of it fails too.
    pub(crate) silent: bool,
}

/// What wakes a worker.
#[derive(Debug, Clone, Default)]
pub struct Wake {
    /// There is more.
    pub bell: Arc<Notify>,
    /// Something older than what has been read is there again.
    pub again: Arc<AtomicBool>,
}

impl Wake {
    /// Has the worker look for new work.
    pub fn ring(&self) {
        self.bell.notify_one();
    }

    /// Has the worker look for work from the beginning.
    pub fn ring_again(&self) {
        self.again.store(true, Ordering::Release);
        self.bell.notify_one();
    }
}

/// How long a piece of work waits before it is tried again.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Retry {
    pub(crate) first: Duration,
    pub(crate) cap: Duration,
}

impl Retry {
    /// The wait before attempt `attempt` + 1; the peer's own wish counts where it is longer.
    pub(crate) fn wait(self, attempt: u32, wish: Option<Duration>) -> Duration {
        let grown = self
            .first
            .saturating_mul(1 << attempt.min(20))
            .min(self.cap);
        grown.max(wish.unwrap_or_default())
    }
}

/// Does all work of a kind until `stop`, at most `concurrency` lanes at once, beside some whose work takes long. Looks for more when
/// `wake` says so. A lane whose head fails waits for its time without holding up others. What is
/// under way when `stop` comes is dropped at its next wait: it is durable and every step of it
/// bears repetition.
pub(crate) async fn run<W: LaneWork>(
    work: W,
    concurrency: usize,
    retry: Retry,
    wake: Wake,
    stop: CancellationToken,
) {
    let mut worker = Worker::new(work, retry);
    let mut look = Look::<W>::None;
    loop {
        if wake.again.swap(false, Ordering::Acquire) {
            worker.again();
        }
        if let Look::None = look
            && let Some(begun) = worker.look()
        {
            look = begun;
        }
        let until = worker.prepare(concurrency);
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            found = look.found() => {
                look = Look::None;
                worker.take_in(found);
            }
            Some(ended) = worker.tasks.join_next_with_id() => worker.end_all(ended),
            () = wake.bell.notified() => worker.is_due = true,
            () = tokio::time::sleep_until(until) => worker.tick(),
        }
    }
}

type Found<W> = Result<Vec<<W as LaneWork>::Item>, Trouble>;

/// A look into the store. Work goes on meanwhile: it takes as long as a commit.
enum Look<W: LaneWork> {
    None,
    Begun(Pin<Box<dyn Future<Output = Found<W>> + Send>>),
}

impl<W: LaneWork> Look<W> {
    /// What it brings; never anything where none has begun.
    async fn found(&mut self) -> Found<W> {
        match self {
            Self::None => std::future::pending().await,
            Self::Begun(found) => found.await,
        }
    }
}

/// How a try ended.
enum Tried {
    Done,
    Later { wish: Option<Duration> },
    Never(String),
}

struct Worker<W: LaneWork> {
    work: W,
    retry: Retry,
    lines: Lines<W>,
    cursor: W::Place,
    /// There is a reason to look into the store.
    is_due: bool,
    /// The last look has failed.
    has_failed: bool,
    /// The look that is under way began before the cursor was set back.
    is_stale: bool,
    /// When to look without any other reason.
    look_at: Instant,
    tasks: JoinSet<Tried>,
    running: HashMap<Id, Running<W>>,
    /// When they began, oldest first; those too that have ended, if others are older. None that is slow.
    began: VecDeque<(Instant, Id)>,
    /// How many of them are not slow.
    brisk: usize,
}

struct Running<W: LaneWork> {
    lane: W::Lane,
    job: Job<W::Item>,
    is_slow: bool,
}

impl<W: LaneWork> Worker<W> {
    fn new(work: W, retry: Retry) -> Self {
        Self {
            work,
            retry,
            lines: Lines::new(),
            cursor: W::START,
            is_due: true,
            has_failed: false,
            is_stale: false,
            look_at: now() + LOOK,
            tasks: JoinSet::new(),
            running: HashMap::new(),
            began: VecDeque::new(),
            brisk: 0,
        }
    }

    /// Starts over: the lanes that are in memory when they have done what they know.
    fn again(&mut self) {
        self.lines.again();
        self.cursor = W::START;
        self.is_due = true;
        self.is_stale = true;
    }

    /// Reads on from the store where there is a reason to, and room.
    fn look(&mut self) -> Option<Look<W>> {
        let is_thirsty = self.lines.is_thirsty() && !self.has_failed;
        if !(self.is_due || is_thirsty) || !self.lines.have_room() {
            return None;
        }
        self.is_due = false;
        self.has_failed = false;
        self.is_stale = false;
        self.look_at = now() + LOOK;
        // What has ended by now is not found any more.
        self.lines.forget_idle();
        let (work, cursor) = (self.work.clone(), self.cursor);
        Some(Look::Begun(Box::pin(async move {
            work.fetch(cursor, PAGE).await
        })))
    }

    /// Takes in what a look has brought.
    fn take_in(&mut self, found: Found<W>) {
        let items = match found {
            Ok(items) => items,
            Err(trouble) => {
                warn!(%trouble, "cannot read pending work");
                self.has_failed = true;
                self.look_at = now() + self.retry.first;
                return;
            }
        };
        if self.is_stale {
            return;
        }
        let is_last = items.len() < PAGE;
        for item in items {
            self.cursor = W::place(&item);
            self.lines.push(item);
        }
        if !is_last {
            self.is_due = true;
        } else if let Some(start) = self.lines.rewind() {
            self.cursor = start;
            self.is_due = true;
        }
    }

    /// A time has come that [`Self::prepare`] gave.
    fn tick(&mut self) {
        let at = now();
        if self.look_at <= at {
            self.is_due = true;
            self.look_at = at + LOOK;
        }
    }

    /// Starts what can be done now; gives the time when there may be more.
    fn prepare(&mut self, concurrency: usize) -> Instant {
        let at = now();
        let next = self.lines.wake(at);
        self.pass_by(at);
        self.start(concurrency, at);
        let slow = self.began.front().map(|(began, _)| *began + SLOW);
        let times = [next, slow, Some(self.look_at)];
        times.into_iter().flatten().min().unwrap_or(at)
    }

    /// Leaves what takes long to itself.
    fn pass_by(&mut self, at: Instant) {
        while let Some((began, id)) = self.began.front() {
            if let Some(one) = self.running.get_mut(id) {
                if *began + SLOW > at {
                    return;
                }
                one.is_slow = true;
                self.lines.is_slow(&one.lane);
                self.brisk -= 1;
            }
            self.began.pop_front();
        }
    }

    fn start(&mut self, concurrency: usize, at: Instant) {
        while self.brisk < concurrency && self.tasks.len() < concurrency + MOST_SLOW {
            let Some((lane, job)) = self.lines.take(concurrency) else {
                return;
            };
            let task = self.tasks.spawn(attend(self.work.clone(), job.clone()));
            let is_slow = false;
            let one = Running { lane, job, is_slow };
            self.running.insert(task.id(), one);
            self.began.push_back((at, task.id()));
            self.brisk += 1;
        }
    }

    /// A task ended, and with it maybe others.
    fn end_all(&mut self, first: Result<(Id, Tried), JoinError>) {
        self.end(first);
        while let Some(ended) = self.tasks.try_join_next_with_id() {
            self.end(ended);
        }
    }

    /// A task ended; the item of one that panicked is set aside, so that its lane goes on.
    fn end(&mut self, ended: Result<(Id, Tried), JoinError>) {
        let (id, tried) = match ended {
            Ok((id, tried)) => (id, tried),
            Err(error) => (
                error.id(),
                Tried::Never("it made the gateway panic".to_owned()),
            ),
        };
        let Some(Running {
            lane,
            mut job,
            is_slow,
        }) = self.running.remove(&id)
        else {
            return;
        };
        self.brisk -= usize::from(!is_slow);
        let at = now();
        match tried {
            Tried::Done => self.lines.done(&lane),
            Tried::Later { wish } => {
                let until = at + self.retry.wait(job.attempt, wish);
                job.attempt = job.attempt.saturating_add(1);
                self.lines.park(lane, job, until);
            }
            Tried::Never(why) => {
                error!(why, "set aside");
                // One that panics however it is set aside must not make a busy loop.
                let silent = job.doomed.is_some();
                let pause = match &job.doomed {
                    Some(doom) if doom.silent => self.retry.cap,
                    _ => Duration::ZERO,
                };
                let why = job.doomed.take().map_or(why, |doom| doom.why);
                job.attempt = 0;
                job.doomed = Some(Doom { why, silent });
                self.lines.park(lane, job, at + pause);
            }
        }
    }
}

/// Tries once to do the item, or to set it aside.
async fn attend<W: LaneWork>(work: W, job: Job<W::Item>) -> Tried {
    let attempt = job.attempt;
    if let Some(doom) = job.doomed {
        return match work.set_aside(&job.item, doom).await {
            Ok(()) => Tried::Done,
            Err(Trouble::Never(why)) => Tried::Never(why),
            Err(trouble) => {
                warn!(%trouble, attempt, "cannot set aside");
                Tried::Later { wish: None }
            }
        };
    }
    match work.attend(&job.item).await {
        Ok(()) => Tried::Done,
        Err(Trouble::Later { wish, why }) => {
            warn!(why, attempt, "will try again");
            Tried::Later { wish }
        }
        Err(Trouble::Never(why)) => Tried::Never(why),
    }
}

/// Parked lanes wait by the timers' clock.
#[expect(
    clippy::disallowed_methods,
    reason = "the worker drives its own timers; nothing is decided by this time"
)]
fn now() -> Instant {
    Instant::now()
}
