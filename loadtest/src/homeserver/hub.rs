//! What the routes and the pusher share.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};

use hdrhistogram::Histogram;
use serde::Serialize;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::homeserver::faults::{Fault, Faults};
use crate::homeserver::journal::{Change, Journal};
use crate::homeserver::model::{Model, Now};
use crate::homeserver::settings::HomeserverSettings;
use crate::load::Quantiles;
use crate::load::clock;

pub(crate) struct Hub {
    pub(crate) settings: HomeserverSettings,
    pub(crate) bot: String,
    model: Mutex<Model>,
    journal: Mutex<Option<Journal>>,
    faults: Mutex<Faults>,
    counts: Mutex<Counts>,
    /// What the application service asked.
    pub(crate) requests: Requests,
    /// Whether there are any faults.
    goes_wrong: AtomicBool,
    /// Something is owed to the application service.
    pub(crate) owed: Notify,
    pub(crate) stop: CancellationToken,
    pub(crate) tasks: TaskTracker,
    /// Ends the flood that runs.
    pub(crate) flood: Mutex<CancellationToken>,
}

/// What was counted; times in microseconds.
#[derive(Debug)]
pub(crate) struct Counts {
    pub(crate) transactions: Transactions,
    /// From an event's origin to the 200 for its transaction.
    pub(crate) push: Histogram<u64>,
    /// Messages of floods.
    pub(crate) flooded: u64,
}

/// What became of transactions.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub(crate) struct Transactions {
    /// Answered with 200.
    pub(crate) taken: u64,
    /// Answered otherwise, or not at all; each is sent again.
    pub(crate) failed: u64,
    /// Sent again though they had been taken.
    pub(crate) repeated: u64,
    /// Events of those that were taken.
    pub(crate) events: u64,
}

/// What `GET /_stub/counts` shows.
#[derive(Serialize)]
pub(crate) struct CountsView {
    requests: BTreeMap<&'static str, u64>,
    sent: BTreeMap<String, u64>,
    transactions: Transactions,
    push_us: Quantiles,
    waiting: usize,
    dropped: u64,
    flooded: u64,
    faults: u64,
}

impl Hub {
    /// Goes on where the journal of the settings ends.
    pub(crate) fn new(settings: HomeserverSettings) -> io::Result<Self> {
        let now = now();
        let bot = format!("@{}:{}", settings.bot, settings.server_name);
        let prefix = &settings.ghost_prefix;
        let mut model = Model::new(&settings.server_name, &bot, prefix, now.unix_ms);
        model.keep(settings.timeline);
        let mut journal = None;
        if let Some(path) = &settings.journal {
            let (opened, changes) = Journal::open(path)?;
            model.replay(now, changes);
            journal = Some(opened);
        }
        Ok(Self {
            model: Mutex::new(model),
            journal: Mutex::new(journal),
            faults: Mutex::new(Faults::new(settings.seed)),
            counts: Mutex::new(Counts::new()),
            requests: Requests::default(),
            goes_wrong: AtomicBool::new(false),
            owed: Notify::new(),
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
            flood: Mutex::default(),
            bot,
            settings,
        })
    }

    /// Looks at the model, or changes it, which is in the journal on return; whatever is owed after
    /// that is sent.
    pub(crate) fn model<T>(&self, act: impl FnOnce(&mut Model, Now) -> T) -> T {
        let (outcome, waiting) = {
            let mut model = lock(&self.model);
            let outcome = act(&mut model, now());
            self.write(&model.changes());
            (outcome, model.waiting() > 0)
        };
        if waiting {
            self.owed.notify_one();
        }
        outcome
    }

    /// Looks at the model.
    pub(crate) fn look<T>(&self, look: impl FnOnce(&Model) -> T) -> T {
        look(&lock(&self.model))
    }

    /// A stub that cannot keep what it answers for ends.
    fn write(&self, changes: &[Change]) {
        if changes.is_empty() {
            return;
        }
        if let Some(Err(error)) = lock(&self.journal).as_mut().map(|it| it.write(changes)) {
            tracing::error!(%error, "the journal cannot be written");
            self.stop.cancel();
        }
    }

    pub(crate) fn faults(&self) -> MutexGuard<'_, Faults> {
        lock(&self.faults)
    }

    pub(crate) fn set_faults(&self, list: Vec<Fault>) {
        let mut faults = lock(&self.faults);
        self.goes_wrong.store(!list.is_empty(), Relaxed);
        faults.set(list);
    }

    /// Whether anything may go wrong.
    pub(crate) fn goes_wrong(&self) -> bool {
        self.goes_wrong.load(Relaxed)
    }

    /// What goes wrong with this request.
    pub(crate) fn fault(&self, request: &str) -> Option<Fault> {
        let any = self.goes_wrong();
        any.then(|| self.faults().draw(request))?
    }

    pub(crate) fn counts(&self) -> MutexGuard<'_, Counts> {
        lock(&self.counts)
    }

    pub(crate) fn view(&self) -> CountsView {
        let (sent, waiting, dropped) =
            self.model(|model, _| (model.sent().clone(), model.waiting(), model.dropped()));
        let faults = self.faults().happened();
        let counts = self.counts();
        CountsView {
            requests: self.requests.counts(),
            sent,
            transactions: counts.transactions,
            push_us: Quantiles::of(&counts.push),
            waiting,
            dropped,
            flooded: counts.flooded,
            faults,
        }
    }
}

/// How often each request was asked, counted without a lock.
#[derive(Debug, Default)]
pub(crate) struct Requests([AtomicU64; NAMES.len()]);

/// What faults and counts call a request.
const NAMES: [&str; 17] = [
    "register",
    "whoami",
    "create_device",
    "set_display_name",
    "profile",
    "join",
    "leave",
    "invite",
    "create_room",
    "joined_rooms",
    "room_state",
    "send_state",
    "messages",
    "send",
    "ping",
    "versions",
    "other",
];

impl Requests {
    pub(crate) fn count(&self, name: &str) {
        let Self(counts) = self;
        let place = NAMES.iter().position(|known| *known == name);
        if let Some(count) = place.and_then(|place| counts.get(place)) {
            count.fetch_add(1, Relaxed);
        }
    }

    /// Those that were asked at all.
    fn counts(&self) -> BTreeMap<&'static str, u64> {
        let Self(counts) = self;
        let counts = counts.iter().map(|count| count.load(Relaxed));
        let named = NAMES.into_iter().zip(counts);
        named.filter(|(_, count)| *count > 0).collect()
    }
}

impl Counts {
    fn new() -> Self {
        Self {
            transactions: Transactions::default(),
            push: crate::load::tally::histogram(),
            flooded: 0,
        }
    }
}

fn now() -> Now {
    Now {
        instant: clock::now(),
        unix_ms: clock::unix_ms(),
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
