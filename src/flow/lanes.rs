//! Work in lanes: items of one lane one after the other, lanes side by side.

use std::collections::{HashMap, HashSet, VecDeque};
use std::fmt::Debug;
use std::future::Future;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::{Id, JoinError, JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use super::Trouble;

/// How many items a worker keeps in memory; the rest waits in the store.
const READ_AHEAD: usize = 8_192;

/// How many items are read from the store at once.
const PAGE: usize = 512;

/// A kind of durable work that is done in lanes.
pub(crate) trait LaneWork: Clone + Send + Sync + 'static {
    /// One piece of it.
    type Item: Send + 'static;
    /// What must happen in order.
    type Lane: Clone + Debug + Eq + Hash + Send + 'static;
    /// The place of an item in the store, growing.
    type Place: Copy + Send + 'static;

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

    /// Puts the item where people see it and out of the way.
    fn set_aside(
        &self,
        place: Self::Place,
        reason: String,
    ) -> impl Future<Output = Result<(), Trouble>> + Send;
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

/// Items in memory, by lane.
#[derive(Debug)]
struct Lanes<L, T> {
    waiting: HashMap<L, VecDeque<T>>,
    free: VecDeque<L>,
    busy: HashSet<L>,
    len: usize,
}

impl<L: Clone + Eq + Hash, T> Lanes<L, T> {
    fn new() -> Self {
        Self {
            waiting: HashMap::new(),
            free: VecDeque::new(),
            busy: HashSet::new(),
            len: 0,
        }
    }

    fn push(&mut self, lane: L, item: T) {
        let queue = self.waiting.entry(lane.clone()).or_default();
        if queue.is_empty() && !self.busy.contains(&lane) {
            self.free.push_back(lane);
        }
        queue.push_back(item);
        self.len += 1;
    }

    /// The next item whose lane is free; its lane is busy from now on.
    fn take(&mut self) -> Option<(L, T)> {
        let lane = self.free.pop_front()?;
        let item = self.waiting.get_mut(&lane)?.pop_front()?;
        self.busy.insert(lane.clone());
        self.len -= 1;
        Some((lane, item))
    }

    fn done(&mut self, lane: &L) {
        self.busy.remove(lane);
        match self.waiting.get(lane) {
            Some(queue) if !queue.is_empty() => self.free.push_back(lane.clone()),
            Some(_) => drop(self.waiting.remove(lane)),
            None => {}
        }
    }
}

/// Does all work of a kind until `stop`, at most `concurrency` lanes at once. Looks for more when
/// `wake` says so. What is under way when `stop` comes is dropped at its next wait: it is durable
/// and every step of it bears repetition.
pub(crate) async fn run<W: LaneWork>(
    work: W,
    concurrency: usize,
    retry: Retry,
    wake: Arc<Notify>,
    stop: CancellationToken,
) {
    let mut worker = Worker::new(work, retry);
    loop {
        let refilled = worker.refill().await;
        worker.start(concurrency);
        let pause = if refilled {
            Duration::from_mins(1)
        } else {
            retry.first
        };
        tokio::select! {
            () = stop.cancelled() => return,
            () = wake.notified() => {}
            Some(ended) = worker.tasks.join_next_with_id() => worker.end(ended).await,
            () = tokio::time::sleep(pause) => {}
        }
    }
}

struct Worker<W: LaneWork> {
    work: W,
    retry: Retry,
    lanes: Lanes<W::Lane, W::Item>,
    cursor: W::Place,
    tasks: JoinSet<()>,
    running: HashMap<Id, (W::Lane, W::Place)>,
}

impl<W: LaneWork> Worker<W> {
    fn new(work: W, retry: Retry) -> Self {
        Self {
            work,
            retry,
            lanes: Lanes::new(),
            cursor: W::START,
            tasks: JoinSet::new(),
            running: HashMap::new(),
        }
    }

    /// Reads on from the store while there is room. False when the store did not answer.
    async fn refill(&mut self) -> bool {
        while self.lanes.len < READ_AHEAD {
            let items = match self.work.fetch(self.cursor, PAGE).await {
                Ok(items) => items,
                Err(trouble) => {
                    warn!(%trouble, "cannot read pending work");
                    return false;
                }
            };
            let read = items.len();
            for item in items {
                self.cursor = W::place(&item);
                self.lanes.push(W::lane(&item), item);
            }
            if read < PAGE {
                break;
            }
        }
        true
    }

    fn start(&mut self, concurrency: usize) {
        while self.tasks.len() < concurrency {
            let Some((lane, item)) = self.lanes.take() else {
                return;
            };
            let place = W::place(&item);
            let task = self
                .tasks
                .spawn(attend(self.work.clone(), item, self.retry));
            self.running.insert(task.id(), (lane, place));
        }
    }

    /// A task ended; one that panicked has its item set aside, so that its lane goes on.
    async fn end(&mut self, ended: Result<(Id, ()), JoinError>) {
        let (id, panicked) = match &ended {
            Ok((id, ())) => (*id, false),
            Err(error) => (error.id(), error.is_panic()),
        };
        let Some((lane, place)) = self.running.remove(&id) else {
            return;
        };
        if panicked {
            error!("a piece of work panicked and is set aside");
            put_aside(&self.work, place, "it made the gateway panic", self.retry).await;
        }
        self.lanes.done(&lane);
    }
}

/// Tries until the item is done or set aside.
async fn attend<W: LaneWork>(work: W, item: W::Item, retry: Retry) {
    let mut attempt = 0;
    loop {
        match work.attend(&item).await {
            Ok(()) => return,
            Err(Trouble::Later { wish, why }) => {
                warn!(why, attempt, "will try again");
                tokio::time::sleep(retry.wait(attempt, wish)).await;
                attempt = attempt.saturating_add(1);
            }
            Err(Trouble::Never(why)) => {
                error!(why, "set aside");
                return put_aside(&work, W::place(&item), &why, retry).await;
            }
        }
    }
}

async fn put_aside<W: LaneWork>(work: &W, place: W::Place, why: &str, retry: Retry) {
    let mut attempt = 0;
    while let Err(trouble) = work.set_aside(place, why.to_owned()).await {
        warn!(%trouble, "cannot set aside");
        tokio::time::sleep(retry.wait(attempt, None)).await;
        attempt = attempt.saturating_add(1);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    const RETRY: Retry = Retry {
        first: Duration::from_millis(1),
        cap: Duration::from_millis(2),
    };

    /// Items are (place, lane, what happens); what was done is written down.
    #[derive(Clone, Default)]
    struct Script {
        items: Arc<Vec<(usize, char, Act)>>,
        done: Arc<Mutex<Vec<usize>>>,
        aside: Arc<Mutex<Vec<usize>>>,
        tries: Arc<Mutex<HashMap<usize, u32>>>,
        finished: Arc<Notify>,
    }

    #[derive(Clone, Copy)]
    enum Act {
        Work,
        FailTwice,
        Never,
        Panic,
    }

    impl Script {
        fn new(items: &[(char, Act)]) -> Self {
            let numbered = items
                .iter()
                .enumerate()
                .map(|(at, (lane, act))| (at + 1, *lane, *act));
            Self {
                items: Arc::new(numbered.collect()),
                ..Self::default()
            }
        }

        fn record(&self, list: &Mutex<Vec<usize>>, place: usize) {
            list.lock().expect("lock").push(place);
            let ended =
                self.done.lock().expect("lock").len() + self.aside.lock().expect("lock").len();
            if ended == self.items.len() {
                self.finished.notify_one();
            }
        }

        async fn play(&self, concurrency: usize) {
            let stop = CancellationToken::new();
            let wake = Arc::new(Notify::new());
            let worker = run(self.clone(), concurrency, RETRY, wake, stop.clone());
            tokio::select! {
                () = worker => panic!("ended by itself"),
                () = self.finished.notified() => stop.cancel(),
            }
        }

        fn order_of(&self, lane: char) -> Vec<usize> {
            let lane_of = |place: usize| self.items[place - 1].1;
            let done = self.done.lock().expect("lock");
            done.iter()
                .copied()
                .filter(|place| lane_of(*place) == lane)
                .collect()
        }
    }

    impl LaneWork for Script {
        type Item = (usize, char, Act);
        type Lane = char;
        type Place = usize;
        const START: usize = 0;

        fn lane(item: &Self::Item) -> char {
            item.1
        }

        fn place(item: &Self::Item) -> usize {
            item.0
        }

        async fn fetch(&self, after: usize, limit: usize) -> Result<Vec<Self::Item>, Trouble> {
            Ok(self.items.iter().skip(after).take(limit).copied().collect())
        }

        async fn attend(&self, item: &Self::Item) -> Result<(), Trouble> {
            tokio::task::yield_now().await;
            let tries = {
                let mut tries = self.tries.lock().expect("lock");
                let count = tries.entry(item.0).or_default();
                *count += 1;
                *count
            };
            match item.2 {
                Act::FailTwice if tries < 3 => {
                    return Err(Trouble::Later {
                        wish: None,
                        why: "not yet".into(),
                    });
                }
                Act::Never => return Err(Trouble::Never("poison".into())),
                Act::Panic => panic!("poison"),
                Act::Work | Act::FailTwice => {}
            }
            self.record(&self.done, item.0);
            Ok(())
        }

        async fn set_aside(&self, place: usize, _reason: String) -> Result<(), Trouble> {
            self.record(&self.aside, place);
            Ok(())
        }
    }

    #[tokio::test]
    async fn a_lane_keeps_its_order_through_failures() {
        use Act::{FailTwice, Work};
        let script = Script::new(&[
            ('a', FailTwice),
            ('b', Work),
            ('a', Work),
            ('b', FailTwice),
            ('a', Work),
        ]);
        script.play(4).await;
        assert_eq!(script.order_of('a'), [1, 3, 5]);
        assert_eq!(script.order_of('b'), [2, 4]);
    }

    #[tokio::test]
    async fn a_poisoned_item_is_set_aside_and_its_lane_goes_on() {
        use Act::{Never, Panic, Work};
        let script = Script::new(&[('a', Never), ('a', Panic), ('a', Work), ('b', Work)]);
        script.play(1).await;
        assert_eq!(script.order_of('a'), [3]);
        assert_eq!(*script.aside.lock().expect("lock"), [1, 2]);
    }

    #[test]
    fn waits_grow_to_the_cap_and_heed_the_peers_wish() {
        let retry = Retry {
            first: Duration::from_secs(1),
            cap: Duration::from_secs(10),
        };
        assert_eq!(retry.wait(0, None), Duration::from_secs(1));
        assert_eq!(retry.wait(2, None), Duration::from_secs(4));
        assert_eq!(retry.wait(60, None), Duration::from_secs(10));
        assert_eq!(
            retry.wait(0, Some(Duration::from_secs(30))),
            Duration::from_secs(30)
        );
    }
}
