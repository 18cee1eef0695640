//! The worker of what homeservers must hear: one lane a conversation or room. Every send carries a
//! transaction id made of its outbox entry, so that a repeat is the same event.

mod say;

use std::collections::{HashMap, VecDeque};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use super::lanes::Doom;
use super::{Gateway, Trouble, aside, receipt};
use crate::gateway::model::{OutboxId, Timestamp};
use crate::store::{AsideId, Due, OutboxEntry, OutboxItem, StoreError};
use say::tell;

/// Tells homeservers what they must hear, until `stop`.
pub async fn run(gateway: Gateway, stop: CancellationToken) {
    let mut worker = Worker::new(gateway);
    let (mut look, mut note) = (Begun::Nothing, Begun::Nothing);
    loop {
        if look.is_over() && worker.is_thirsty() {
            look = worker.look();
        }
        if note.is_over() && !worker.said.ids.is_empty() {
            note = worker.note();
        }
        worker.start();
        let wake = worker.gateway.wakes.outbox.clone();
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            found = look.end() => worker.take_in(found),
            () = note.end() => worker.noted(),
            Some(ended) = worker.tasks.join_next_with_id() => worker.end_all(ended),
            () = wake.notified() => worker.is_due = true,
            () = tokio::time::sleep_until(worker.look_at) => worker.is_due = true,
        }
    }
}

/// The longest that the worker sleeps without looking.
const LOOK: Duration = Duration::from_mins(1);

/// Entries of a lane that are read at once, and said one after the other.
const RUN: usize = 32;

/// Lanes that are read at once, for each that may be said at once.
const AHEAD: usize = 4;

/// How long what was said may wait to be noted, in a lane where much is to be said.
const NOTE: Duration = Duration::from_millis(100);

struct Worker {
    gateway: Gateway,
    tasks: JoinSet<Said>,
    running: HashMap<Id, Doing>,
    /// Lanes that nobody has begun with.
    waiting: VecDeque<Arc<Run>>,
    /// What was said and is to be noted next, with its lanes.
    said: Said,
    spoken: Vec<Arc<Run>>,
    /// The lanes of what is being noted.
    noting: Vec<Arc<Run>>,
    /// There may be more in the store.
    is_due: bool,
    /// When to look into the store again, whatever happens.
    look_at: Instant,
}

/// The first entries of a lane, in order.
struct Run {
    entries: Vec<OutboxEntry>,
    /// The place of the one that is being said.
    at: AtomicUsize,
}

impl Run {
    fn of(entries: &[OutboxEntry]) -> Self {
        Self {
            entries: entries.to_vec(),
            at: AtomicUsize::new(0),
        }
    }

    fn lane(&self) -> Option<&str> {
        self.entries.first().map(|entry| entry.lane.as_str())
    }

    /// The one that is being said.
    fn current(&self) -> Option<&OutboxEntry> {
        self.entries.get(self.at.load(Ordering::Relaxed))
    }

    /// Whether the entry at this place is of no interest any more: it would show how far a message has
    /// come, and one that follows it shows that it is further.
    fn is_outdated(&self, place: usize, entry: &OutboxEntry) -> bool {
        let OutboxItem::MessageNews { message, state } = &entry.item else {
            return false;
        };
        let is_passing = entry
            .message
            .as_ref()
            .is_some_and(|view| receipt::is_passing(view, *state));
        let mut later = self.entries.iter().skip(place + 1);
        is_passing
            && later.any(|later| {
                matches!(&later.item, OutboxItem::MessageNews { message: other, .. } if other == message)
            })
    }
}

/// A lane that is being said, or whose entry is being set aside.
struct Doing {
    run: Arc<Run>,
    doomed: bool,
}

/// Lanes, and when one that was put off falls due.
type Found = Result<(Vec<OutboxEntry>, Option<Timestamp>), StoreError>;

/// Something that the store was asked to do. Entries are said meanwhile: it takes as long as a commit.
enum Begun<T> {
    Nothing,
    This(Pin<Box<dyn Future<Output = T> + Send>>),
}

impl<T> Begun<T> {
    fn this(work: impl Future<Output = T> + Send + 'static) -> Self {
        Self::This(Box::pin(work))
    }

    const fn is_over(&self) -> bool {
        matches!(self, Self::Nothing)
    }

    /// What it comes to; never anything where nothing has begun.
    async fn end(&mut self) -> T {
        let Self::This(work) = self else {
            return std::future::pending().await;
        };
        let end = work.await;
        *self = Self::Nothing;
        end
    }
}

impl Worker {
    fn new(gateway: Gateway) -> Self {
        Self {
            gateway,
            tasks: JoinSet::new(),
            running: HashMap::new(),
            waiting: VecDeque::new(),
            said: Said::default(),
            spoken: Vec::new(),
            noting: Vec::new(),
            is_due: true,
            look_at: now() + LOOK,
        }
    }

    fn concurrency(&self) -> usize {
        self.gateway.settings.limits.outbox_concurrency
    }

    /// There may be more, and there is room for it.
    fn is_thirsty(&self) -> bool {
        self.is_due && self.waiting.len() < self.concurrency().div_ceil(2)
    }

    /// Looks for lanes that nobody has in hand.
    fn look(&mut self) -> Begun<Found> {
        self.is_due = false;
        self.look_at = now() + LOOK;
        let running = self.running.values().map(|doing| &doing.run);
        let spoken = self.spoken.iter().chain(&self.noting);
        let busy = running.chain(&self.waiting).chain(spoken);
        let busy = busy.filter_map(|run| run.lane());
        let busy: Vec<String> = busy.map(str::to_owned).collect();
        let due = Due {
            now: self.gateway.clock.now(),
            lanes: self.concurrency() * AHEAD,
            each: RUN,
            busy: busy.clone(),
        };
        let store = Arc::clone(&self.gateway.store);
        Begun::this(async move {
            let (found, next) = tokio::join!(store.due_outbox(due), store.next_outbox_due(&busy));
            Ok((found?, next?))
        })
    }

    fn take_in(&mut self, found: Found) {
        let (entries, next) = match found {
            Ok(found) => found,
            Err(error) => {
                warn!(%error, "cannot read the outbox");
                self.look_at = now() + self.gateway.settings.limits.retry_first;
                return;
            }
        };
        let before = self.waiting.len();
        for lane in entries.chunk_by(|one, next| one.lane == next.lane) {
            self.waiting.push_back(Arc::new(Run::of(lane)));
        }
        // A lane that was full is looked for again when it has been said.
        self.is_due |= self.waiting.len() - before >= self.concurrency() * AHEAD;
        if let Some(at) = next {
            let until = self.gateway.clock.until(at);
            let until = now() + until.clamp(Duration::from_millis(10), LOOK);
            self.look_at = self.look_at.min(until);
        }
    }

    /// Begins with as many lanes as may be said at once.
    fn start(&mut self) {
        while self.tasks.len() < self.concurrency() {
            let Some(run) = self.waiting.pop_front() else {
                return;
            };
            let (gateway, lane) = (self.gateway.clone(), Arc::clone(&run));
            let task = self
                .tasks
                .spawn(async move { attend_all(&gateway, &lane).await });
            let doomed = false;
            self.running.insert(task.id(), Doing { run, doomed });
        }
    }

    /// Notes what was said, of all lanes together.
    fn note(&mut self) -> Begun<()> {
        let mut said = std::mem::take(&mut self.said);
        self.noting = std::mem::take(&mut self.spoken);
        let gateway = self.gateway.clone();
        Begun::this(async move {
            if !said.note(&gateway).await {
                // Their lanes are busy for so long.
                tokio::time::sleep(gateway.settings.limits.retry_first).await;
            }
        })
    }

    /// What was to be noted is: its lanes may have more.
    fn noted(&mut self) {
        self.noting.clear();
        self.is_due = true;
    }

    /// Takes in this end and every other that has come, so that they are noted together.
    fn end_all(&mut self, first: Result<(Id, Said), JoinError>) {
        let mut next = Some(first);
        while let Some(ended) = next {
            self.end(ended);
            next = self.tasks.try_join_next_with_id();
        }
    }

    fn end(&mut self, ended: Result<(Id, Said), JoinError>) {
        let (task, said) = match ended {
            Ok((task, said)) => (task, Ok(said)),
            Err(error) => (error.id(), Err(error.is_panic())),
        };
        let Some(Doing { run, doomed }) = self.running.remove(&task) else {
            return;
        };
        match said {
            Ok(said) if said.ids.is_empty() => self.is_due = true,
            Ok(said) => {
                self.said.add(said);
                self.spoken.push(run);
            }
            Err(has_panicked) => {
                self.is_due = true;
                if has_panicked {
                    error!("an outbox entry panicked and is set aside");
                    self.doom(run, doomed);
                }
            }
        }
    }

    /// Sets an entry aside that has panicked; in silence where that panicked too.
    fn doom(&mut self, run: Arc<Run>, silent: bool) {
        let Some(doomed) = run.current().cloned() else {
            return;
        };
        let gateway = self.gateway.clone();
        let doom = Doom {
            why: "it made the gateway panic".to_owned(),
            silent,
        };
        let pause = self.gateway.settings.limits.retry_first;
        let task = self.tasks.spawn(async move {
            if !set_aside(&gateway, &doomed, doom).await {
                tokio::time::sleep(pause).await;
            }
            Said::default()
        });
        let doomed = true;
        self.running.insert(task.id(), Doing { run, doomed });
    }
}

/// Says the entries of a lane in order, up to the first that cannot be said now. Gives what was said and is
/// still to be noted. Where the store does not note an end, the lane is busy for a while, and the entry
/// is due again: to say it again is to say nothing new.
async fn attend_all(gateway: &Gateway, run: &Run) -> Said {
    let mut said = Said::default();
    let mut is_noted = true;
    for (place, entry) in run.entries.iter().enumerate() {
        run.at.store(place, Ordering::Relaxed);
        if !run.is_outdated(place, entry)
            && let Err(trouble) = tell(gateway, entry).await
        {
            is_noted = said.note(gateway).await && put_off(gateway, entry, trouble).await;
            break;
        }
        said.push(entry);
        if said.is_overdue() {
            is_noted = said.note(gateway).await;
        }
        if !is_noted {
            break;
        }
    }
    if !is_noted {
        tokio::time::sleep(gateway.settings.limits.retry_first).await;
    }
    said
}

/// Says what is due, lane by lane.
#[cfg(test)]
pub(super) async fn attend(gateway: &Gateway, due: &[OutboxEntry]) {
    for lane in due.chunk_by(|one, next| one.lane == next.lane) {
        let mut said = attend_all(gateway, &Run::of(lane)).await;
        said.note(gateway).await;
    }
}

/// Entries that were said, and are to be ended together: each is a line in a commit then, and no commit
/// of its own.
#[derive(Default)]
struct Said {
    ids: Vec<OutboxId>,
    /// When the first of them was said.
    since: Option<Instant>,
    /// An account may be owed a receipt now for an SMS among them.
    owes: bool,
}

impl Said {
    fn push(&mut self, entry: &OutboxEntry) {
        self.ids.push(entry.id);
        self.since.get_or_insert_with(now);
        self.owes |= matches!(entry.item, OutboxItem::SmsText { .. });
    }

    fn add(&mut self, other: Self) {
        self.ids.extend(other.ids);
        self.owes |= other.owes;
    }

    fn is_overdue(&self) -> bool {
        self.since.is_some_and(|since| since + NOTE <= now())
    }

    /// Ends them. False where the store did not note it.
    async fn note(&mut self, gateway: &Gateway) -> bool {
        let Self { ids, owes, .. } = std::mem::take(self);
        if ids.is_empty() {
            return true;
        }
        gateway.heard_of_a_homeserver().await;
        if let Err(error) = gateway.store.finish_said(ids).await {
            warn!(%error, "cannot end outbox entries; they will be repeated");
            return false;
        }
        if owes {
            gateway.wakes.groups.ring_accounts();
        }
        true
    }
}

/// Puts an entry off that could not be said, or aside. False where the store did not note it.
async fn put_off(gateway: &Gateway, entry: &OutboxEntry, trouble: Trouble) -> bool {
    let (wish, why) = match trouble {
        Trouble::Later { wish, why } => (wish, why),
        Trouble::Never(why) => {
            error!(why, "an outbox entry is set aside");
            let silent = false;
            return set_aside(gateway, entry, Doom { why, silent }).await;
        }
    };
    if wish.is_none() {
        gateway.wakes.unanswered.store(true, Ordering::Relaxed);
    }
    warn!(
        why,
        id = %AsideId::Outbox(entry.id),
        attempts = entry.attempts,
        "the homeserver will hear it later"
    );
    let wait = gateway.retry().wait(entry.attempts, wish);
    let at = gateway.clock.now().after(wait);
    let noted = gateway.store.postpone_outbox(entry.id, at, &why).await;
    if let Err(error) = &noted {
        warn!(%error, "cannot put an outbox entry off; it will be repeated");
    }
    noted.is_ok()
}

/// False where the store did not note it.
async fn set_aside(gateway: &Gateway, entry: &OutboxEntry, doom: Doom) -> bool {
    match try_set_aside(gateway, entry, doom).await {
        Ok(()) => gateway.set_aside(),
        Err(trouble) => {
            warn!(%trouble, "cannot set an outbox entry aside; it will be repeated");
            return false;
        }
    }
    true
}

async fn try_set_aside(gateway: &Gateway, entry: &OutboxEntry, doom: Doom) -> Result<(), Trouble> {
    let ending = aside::entry(gateway, entry, doom).await?;
    Ok(gateway.store.finish_outbox(entry.id, ending).await?)
}

/// The worker's timers go by the runtime's clock.
#[expect(
    clippy::disallowed_methods,
    reason = "the worker drives its own timers; nothing is decided by this time"
)]
fn now() -> Instant {
    Instant::now()
}
