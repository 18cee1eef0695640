//! The message centre: the model behind one lock, the lines behind another, and what moves between.
//! Nobody holds both locks.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use matrix_smpp_codec::{Body, CommandId, CommandStatus, DeliverSm};
use matrix_smpp_session::{Link, Ticket};
use serde::Serialize;
use tokio::sync::{Notify, oneshot, watch};
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::sim::behaviour::{Behaviour, Change, ChangeError};
use crate::sim::clock::Now;
use crate::sim::counts::Counts;
use crate::sim::handsets::Written;
use crate::sim::inject::Waiting;
use crate::sim::lines::{Line, LineView, Lines};
use crate::sim::mo::{self, MoError, MoPlan, Writing};
use crate::sim::model::Model;
use crate::sim::outgoing::{Content, Outgoing, Purpose, UNANSWERED};
use crate::sim::receipts::Dates;
use crate::sim::scenario::Scenario;
use crate::sim::wire::capture::Capture;
use crate::sim::wire::faults::Faults;
use crate::sim::wire::tap::Tap;

/// How long a phone waits for the answers to what it wrote.
const WRITE_TIMEOUT: Duration = Duration::from_mins(1);

/// How often one who waits looks again.
const GLANCE: Duration = Duration::from_millis(50);

/// The ticket of what has no answer.
const NO_ANSWER: Ticket = Ticket(u64::MAX);

/// What the HTTP side and every bind share.
pub(crate) struct Smsc {
    model: Mutex<Model>,
    lines: Mutex<Lines>,
    /// What is taken off the counts since the last reset.
    counted: Mutex<Counts>,
    pub(crate) faults: Arc<Faults>,
    pub(crate) capture: Arc<Capture>,
    /// What phones wrote while nobody was bound.
    pub(super) waiting: Mutex<Waiting>,
    /// Ticks with every change of the model that somebody may wait for.
    changes: watch::Sender<()>,
    /// Something may go out: it was put in, or a line has room again.
    pub(super) wake: Notify,
    /// Whether answers to `deliver_sm` are to be lost, as `POST /behaviour` wants it.
    pub(super) loses_answers: AtomicBool,
    /// Held by who sends what is due, so that it goes in order.
    pub(super) pumping: Mutex<Dates>,
    /// What phones write by themselves.
    pub(crate) plans: watch::Sender<Vec<MoPlan>>,
    pub(super) stop: CancellationToken,
}

/// What `GET /counters` shows.
#[derive(Serialize)]
pub(crate) struct CountersView {
    #[serde(flatten)]
    pub(crate) pdus: Counts,
    /// How many `deliver_sm` wait for a bind with room, or for their time.
    pub(crate) waiting: usize,
    /// How many found no room to wait.
    pub(crate) dropped: u64,
    /// How many PDUs were mangled on the wire.
    pub(crate) faults: u64,
    /// Answers to messages by status.
    pub(crate) answers: BTreeMap<String, u64>,
    /// Receipts that went out by state.
    pub(crate) receipts: BTreeMap<&'static str, u64>,
    /// Messages that are remembered.
    pub(crate) messages: usize,
}

/// Why a phone's message did not go out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SendError {
    #[error(transparent)]
    Text(#[from] MoError),
    #[error("no receiver or transceiver is bound")]
    NoReceiver,
    #[error("too much is waiting for this account already")]
    Busy,
}

impl Smsc {
    pub(crate) fn new(
        model: Model,
        faults: Arc<Faults>,
        capture: Arc<Capture>,
        stop: CancellationToken,
    ) -> Self {
        Self {
            model: Mutex::new(model),
            lines: Mutex::new(Lines::default()),
            counted: Mutex::default(),
            faults,
            capture,
            waiting: Mutex::default(),
            plans: watch::Sender::new(Vec::new()),
            changes: watch::Sender::new(()),
            wake: Notify::new(),
            loses_answers: AtomicBool::new(false),
            pumping: Mutex::default(),
            stop,
        }
    }

    pub(crate) fn model(&self) -> MutexGuard<'_, Model> {
        self.model.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn lines(&self) -> MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Somebody may wait for what has just changed.
    pub(crate) fn changed(&self) {
        self.changes.send_replace(());
    }

    /// Something may be due.
    pub(crate) fn wake(&self) {
        self.wake.notify_one();
    }

    /// A phone writes: each segment goes out as a `deliver_sm`. Returns the status of each answer,
    /// in the order of the segments.
    pub(crate) async fn write(
        &self,
        from: &str,
        writing: &Writing,
    ) -> Result<Vec<String>, SendError> {
        let (id, answers) = self.send_segments(from, writing, true)?;
        let deadline = Instant::from_std(Now::read().instant + WRITE_TIMEOUT);
        let mut statuses = Vec::with_capacity(answers.len());
        for answer in answers {
            let status = timeout_at(deadline, answer).await;
            let status = status.ok().and_then(Result::ok);
            statuses.push(status.unwrap_or_else(|| UNANSWERED.to_owned()));
        }
        let ok = CommandStatus::ESME_ROK.to_string();
        let verdict = statuses.iter().find(|status| **status != ok).unwrap_or(&ok);
        self.model().handsets.settle(from, id, verdict);
        self.changes.send_replace(());
        Ok(statuses)
    }

    /// The same for what time changes too: looks again twenty times a second.
    pub(crate) async fn watch(&self, limit: Duration, holds: impl Fn(&Model) -> bool) {
        let mut changes = self.changes.subscribe();
        let held = async {
            loop {
                changes.mark_unchanged();
                if holds(&self.model()) {
                    return;
                }
                drop(timeout(GLANCE, changes.changed()).await);
                sleep(GLANCE / 10).await;
            }
        };
        tokio::select! {
            _ = timeout(limit, held) => {}
            () = self.stop.cancelled() => {}
        }
    }

    /// Ends when the condition holds, the time is over, or the simulator stops.
    pub(crate) async fn wait_for(&self, limit: Duration, holds: impl Fn(&Model) -> bool) {
        let mut changes = self.changes.subscribe();
        let held = async {
            loop {
                changes.mark_unchanged();
                if holds(&self.model()) || changes.changed().await.is_err() {
                    return;
                }
            }
        };
        tokio::select! {
            _ = timeout(limit, held) => {}
            () = self.stop.cancelled() => {}
        }
    }

    /// A bind is up. Returns its number.
    pub(crate) fn open(&self, line: Line) -> u64 {
        let bind = self.lines().open(line);
        self.wake.notify_one();
        bind
    }

    /// A bind was refused.
    pub(crate) fn refused(&self, bind: CommandId) {
        self.lines().refused(bind);
    }

    /// A bind is gone.
    pub(crate) fn close(&self, bind: u64) {
        self.lines().close(bind);
    }

    /// Cuts every link. Returns how many there were.
    pub(crate) fn drop_binds(&self) -> usize {
        self.lines().cut()
    }

    /// Ends the pump and those who wait.
    pub(crate) fn halt(&self) {
        self.stop.cancel();
    }

    /// Unbinds every link.
    pub(crate) fn unbind(&self) {
        self.lines().unbind();
    }

    pub(crate) fn binds(&self) -> Vec<LineView> {
        self.lines().views()
    }

    /// How many binds there are, and how many `deliver_sm` wait for their answers.
    pub(crate) fn load(&self) -> (usize, usize) {
        let lines = self.lines();
        (lines.len(), lines.in_flight())
    }

    /// What is done to one bind past the session.
    pub(crate) fn tap(&self, bind: u64) -> Option<Arc<Tap>> {
        self.lines().line(bind).map(|line| Arc::clone(&line.tap))
    }

    /// Does something with the link of one bind; `None` where it is gone.
    pub(crate) fn with_link<T>(&self, bind: u64, act: impl FnOnce(&Link) -> T) -> Option<T> {
        self.lines().line(bind).map(|line| act(&line.link))
    }

    /// Tells the binds of an account that a phone has become reachable. Returns how many were told.
    pub(crate) fn alert(&self, account: &str, body: &Body) -> usize {
        let lines = self.lines();
        let told = lines
            .receivers(account)
            .filter(|line| line.link.submit(NO_ANSWER, body.clone()).is_ok());
        told.count()
    }

    /// Another scenario holds from here on: its rules, faults and all that it says of answers.
    pub(crate) fn follow(&self, scenario: &Scenario) -> Result<(), String> {
        self.model().script.follow(scenario);
        self.faults.clear();
        for fault in &scenario.fault {
            self.faults.add(fault.clone())?;
        }
        self.plans.send_replace(scenario.mo.clone());
        Ok(())
    }

    /// The scenario of the start holds again.
    pub(crate) fn start_over(&self) {
        let fresh = self.model().script.fresh().clone();
        if let Err(reason) = self.follow(&fresh) {
            tracing::error!(reason, "the scenario is not in force as a whole");
        }
    }

    /// Conducts itself otherwise from here on; how, or why not.
    pub(crate) fn change_behaviour(&self, change: &Change) -> Result<Behaviour, ChangeError> {
        if change.reset {
            self.start_over();
        }
        let mut model = self.model();
        model.change_behaviour(change)?;
        self.loses_answers
            .store(model.behaviour.lose_answers > 0, Relaxed);
        Ok(model.behaviour.clone())
    }

    /// Forgets what has happened so far; binds, rules and faults stay.
    pub(crate) fn forget(&self) {
        let counts = self.lines().counts();
        *self.counted.lock().unwrap_or_else(PoisonError::into_inner) = counts;
        self.faults.struck.store(0, Relaxed);
        self.capture.clear();
        self.model().forget();
        self.changed();
    }

    pub(crate) fn counters(&self) -> CountersView {
        let (mut pdus, backlog, dropped) = {
            let lines = self.lines();
            let (waiting, dropped) = lines.backlog();
            (lines.counts(), waiting, dropped)
        };
        pdus.subtract(&self.counted.lock().unwrap_or_else(PoisonError::into_inner));
        let model = self.model();
        let answers = model.answered.iter();
        let receipts = model.ended.iter();
        CountersView {
            pdus,
            waiting: backlog + model.agenda.len(),
            dropped: dropped + model.agenda.dropped(),
            faults: self.faults.struck.load(Relaxed),
            answers: answers
                .map(|(status, count)| (status.to_string(), *count))
                .collect(),
            receipts: receipts
                .map(|(state, count)| (state.name().unwrap_or("unknown"), *count))
                .collect(),
            messages: model.records.len(),
        }
    }

    /// Puts the segments on their way, and the text on its phone.
    pub(super) fn send_segments(
        &self,
        from: &str,
        writing: &Writing,
        watched: bool,
    ) -> Result<(u64, Vec<Coming>), SendError> {
        let account = self.account(writing).ok_or(SendError::NoReceiver)?;
        let now = Now::read();
        let (id, segments) = self.put_on_phone(now, from, writing)?;
        let mut answers = Vec::with_capacity(segments.len());
        let mut lines = self.lines();
        let room = segments.into_iter().all(|segment| {
            let (answer, coming) = oneshot::channel();
            answers.push(coming);
            let purpose = Purpose::Segment {
                answer: watched.then_some(answer),
                redeliver: writing.redeliver,
            };
            let outgoing = Outgoing {
                account: Arc::clone(&account),
                content: Content::Segment(mo::carried(segment, writing.carrier).into()),
                bind: writing.bind,
                purpose,
            };
            lines.enqueue(now.instant, outgoing)
        });
        drop(lines);
        self.wake();
        if !room {
            self.model().handsets.settle(from, id, "dropped");
            return Err(SendError::Busy);
        }
        Ok((id, answers))
    }

    fn put_on_phone(
        &self,
        now: Now,
        from: &str,
        writing: &Writing,
    ) -> Result<(u64, Vec<DeliverSm>), SendError> {
        let mut model = self.model();
        let segments = mo::segments(from, writing, &mut model.ids)?;
        let written = Written {
            segments: u8::try_from(segments.len()).unwrap_or(u8::MAX),
            at: now.unix_ms,
        };
        let id = model
            .handsets
            .write(from, &writing.to, &writing.text, written);
        Ok((id, segments))
    }

    /// Who gets what the phone writes: the account that it names, or the one that last sent from the
    /// number it writes to, or any that can receive.
    pub(super) fn account(&self, writing: &Writing) -> Option<Arc<str>> {
        if let Some(bind) = writing.bind {
            let lines = self.lines();
            let line = lines.line(bind).filter(|line| line.receives());
            return line.map(|line| Arc::clone(&line.system_id));
        }
        if let Some(named) = &writing.account {
            return self.lines().receiver(Some(named));
        }
        let sender = self.model().sender(&writing.to).map(ToOwned::to_owned);
        let lines = self.lines();
        lines
            .receiver(sender.as_deref())
            .or_else(|| lines.receiver(None))
    }
}

/// An answer that is to come.
type Coming = oneshot::Receiver<String>;
