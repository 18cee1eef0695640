//! What the handles of a link and its driver share: the session behind a lock, and who is to be
//! woken.
//!
//! The session itself is shared, not a queue in front of it, so that window, rate and outcome of a
//! submission are exact and no message waits in a channel. The lock is held for a batch of PDUs at
//! most. Wakers are called after it is released.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::Waker;
use std::time::{Duration, Instant};

use matrix_smpp_codec::{Bind, COctets, InterfaceVersion, Outbind};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::clock;
use crate::counters::Counters;
use crate::error::CloseReason;
use crate::link::{LinkEvent, LinkState};
use crate::operations::{BindMode, Role};
use crate::session::{Event, Session, release, taken};
use crate::settings::SessionSettings;

/// Whether requests may be written at the moment.
pub(crate) struct MayWrite(Box<dyn Fn() -> bool + Send + Sync>);

impl fmt::Debug for MayWrite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MayWrite(…)")
    }
}

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) name: String,
    pub(crate) counters: Arc<Counters>,
    /// Somebody asked for a close: no new attempt to connect is made.
    pub(crate) closing: CancellationToken,
    /// Those who wait for capacity.
    pub(crate) ready: Notify,
    may_write: OnceLock<MayWrite>,
    inner: Mutex<Inner>,
}

/// What becomes of the memory of a queue that is empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Spare {
    /// It stays for what comes next: traffic is brisk.
    Kept,
    GivenBack,
}

/// The part behind the lock.
#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) settings: SessionSettings,
    pub(crate) session: Option<Box<Session>>,
    /// Counts the sessions of this link, so that a late answer cannot reach the wrong one.
    pub(crate) epoch: u64,
    pub(crate) state: LinkState,
    pub(crate) bound_at: Option<Instant>,
    /// The owner wants nothing sent before then.
    pub(crate) slow_until: Option<Instant>,
    pub(crate) bind_asked: Option<(BindMode, Box<Bind>)>,
    pub(crate) outbind_asked: Option<Box<Outbind>>,
    pub(crate) queue: VecDeque<LinkEvent>,
    /// The driver stopped reading because the queue is full.
    pub(crate) paused: bool,
    pub(crate) spare: Spare,
    /// Nothing more will be queued.
    pub(crate) ended: bool,
    /// Nobody will ever read the queue.
    pub(crate) unread: bool,
    pub(crate) driver: Option<Waker>,
    pub(crate) consumer: Option<Waker>,
}

impl Shared {
    pub(crate) fn new(name: String, settings: SessionSettings) -> Arc<Self> {
        Arc::new(Self {
            name,
            counters: Arc::default(),
            closing: CancellationToken::new(),
            ready: Notify::new(),
            may_write: OnceLock::new(),
            inner: Mutex::new(Inner {
                settings,
                session: None,
                epoch: 0,
                state: LinkState::Down,
                bound_at: None,
                slow_until: None,
                bind_asked: None,
                outbind_asked: None,
                queue: VecDeque::new(),
                paused: false,
                spare: Spare::GivenBack,
                ended: false,
                unread: false,
                driver: None,
                consumer: None,
            }),
        })
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Inner> {
        // No code that can panic leaves the session half changed: it is plain data.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has requests written only while this says so. The first who says counts.
    pub(crate) fn write_only_while(&self, may: impl Fn() -> bool + Send + Sync + 'static) {
        drop(self.may_write.set(MayWrite(Box::new(may))));
    }

    /// Whether requests may be written now.
    pub(crate) fn may_write(&self) -> bool {
        self.may_write.get().is_none_or(|may| (may.0)())
    }

    /// Gives the session a command and wakes the driver to see what came of it.
    pub(crate) fn command<T>(&self, command: impl FnOnce(&mut Session, Instant) -> T) -> Option<T> {
        self.command_with_epoch(|session, _, now| command(session, now))
    }

    /// The same; the command is told which session of this link it is given to.
    pub(crate) fn command_with_epoch<T>(
        &self,
        command: impl FnOnce(&mut Session, u64, Instant) -> T,
    ) -> Option<T> {
        let (outcome, driver) = {
            let mut inner = self.lock();
            let epoch = inner.epoch;
            let outcome = command(inner.session.as_mut()?, epoch, clock::now());
            (outcome, inner.driver.take())
        };
        wake(driver);
        Some(outcome)
    }

    /// Keeps the capacity at 0 for this long, over the end of a session too.
    pub(crate) fn slow_down(&self, pause: Duration) {
        let mut inner = self.lock();
        let now = clock::now();
        inner.slow_until = inner.slow_until.max(Some(now + pause));
        if let Some(session) = &mut inner.session {
            session.slow_down(now, pause);
        }
        let driver = inner.driver.take();
        drop(inner);
        wake(driver);
    }

    /// Begins a session on a fresh connection.
    pub(crate) fn begin(&self, role: Role, start: impl FnOnce(&mut Session, Instant)) {
        let now = clock::now();
        let mut inner = self.lock();
        let counters = Arc::clone(&self.counters);
        let mut session = Session::new(role, inner.settings, counters, now);
        let slow = inner
            .slow_until
            .map(|until| until.saturating_duration_since(now));
        if let Some(pause) = slow.filter(|pause| !pause.is_zero()) {
            session.slow_down(now, pause);
        }
        start(&mut session, now);
        inner.session = Some(Box::new(session));
        inner.epoch += 1;
        inner.state = LinkState::Binding;
        inner.bound_at = None;
    }

    /// Ends the session on a connection that is gone: every request without an answer is handed
    /// back. Gives the reason and how long the session was bound.
    pub(crate) fn end(&self, sent: usize, reason: CloseReason) -> (CloseReason, Option<Duration>) {
        let mut inner = self.lock();
        inner.driver = None;
        inner.paused = false;
        inner.spare = Spare::GivenBack;
        let mut outcome = (reason, None);
        if let Some(mut session) = inner.session.take() {
            session.handle_sent(sent);
            session.handle_disconnected(reason);
            outcome.0 = session.finished().unwrap_or(reason);
            inner.pump(&mut session);
        }
        inner.state = LinkState::Down;
        let held = |bound| clock::now().saturating_duration_since(bound);
        outcome.1 = inner.bound_at.take().map(held);
        let consumer = inner.consumer.take();
        drop(inner);
        wake(consumer);
        outcome
    }

    /// Says that the link is down and when it will try again.
    pub(crate) fn report_down(&self, reason: CloseReason, retry_in: Option<Duration>) {
        let mut inner = self.lock();
        inner.state = LinkState::Down;
        // An attempt after another fails alike: only the last is worth a place in the queue.
        if matches!(inner.queue.back(), Some(LinkEvent::Down { .. })) {
            inner.queue.pop_back();
        }
        inner.push(LinkEvent::Down { reason, retry_in });
        let consumer = inner.consumer.take();
        drop(inner);
        wake(consumer);
    }

    /// Nothing will happen on this link any more.
    pub(crate) fn finish(&self) {
        let mut inner = self.lock();
        inner.ended = true;
        inner.state = LinkState::Down;
        let consumer = inner.consumer.take();
        drop(inner);
        wake(consumer);
    }

    /// Closes gracefully, whatever the link does at the moment.
    pub(crate) fn close(&self) {
        self.closing.cancel();
        self.command(Session::close);
    }
}

impl Inner {
    #[inline]
    fn push(&mut self, event: LinkEvent) {
        if !self.unread {
            self.queue.push_back(event);
        }
    }

    /// Moves what the session tells into the queue.
    pub(crate) fn pump(&mut self, session: &mut Session) {
        let events = session.events_mut();
        self.queue.reserve(events.len());
        for event in &mut *events {
            // Put where they stay: a PDU is long, and moving it takes time.
            match event {
                Event::Request { sequence, body } => self.push(LinkEvent::Request {
                    epoch: self.epoch,
                    sequence: *sequence,
                    body: taken(body),
                }),
                Event::Answered {
                    ticket,
                    status,
                    body,
                } => self.push(LinkEvent::Answered {
                    ticket: *ticket,
                    status: *status,
                    body: taken(body),
                }),
                rare => {
                    if let Some(told) = self.told(rare) {
                        self.push(told);
                    }
                }
            }
        }
        events.clear();
    }

    /// What the owner is told of an event that carries no PDU of a message.
    fn told(&mut self, event: &mut Event) -> Option<LinkEvent> {
        Some(match event {
            Event::Unanswered {
                ticket,
                written,
                cause,
            } => LinkEvent::Unanswered {
                ticket: *ticket,
                written: *written,
                cause: *cause,
            },
            Event::Heard(answers) => LinkEvent::Heard {
                epoch: self.epoch,
                answers: *answers,
            },
            Event::Bound {
                peer,
                interface_version,
            } => self.bound(*peer, *interface_version),
            Event::BindAsked { mode, bind } => {
                self.bind_asked = Some((*mode, std::mem::take(bind)));
                return None;
            }
            Event::Outbind(outbind) => {
                self.outbind_asked = Some(std::mem::take(outbind));
                return None;
            }
            // Down tells the reason; the others are not rare.
            Event::Closed(_) | Event::Request { .. } | Event::Answered { .. } => return None,
        })
    }

    fn bound(&mut self, peer: COctets<16>, version: Option<InterfaceVersion>) -> LinkEvent {
        self.state = LinkState::Bound;
        self.bound_at = Some(clock::now());
        LinkEvent::Up {
            peer,
            interface_version: version,
        }
    }

    /// Gives back the memory of an empty queue, unless more is expected.
    pub(crate) fn release(&mut self) {
        if self.spare == Spare::GivenBack {
            release(&mut self.queue);
        }
    }

    /// Whether the queue has room for what the peer may send.
    pub(crate) fn has_room(&self) -> bool {
        self.queue.len() < self.settings.event_queue.max(1)
    }

    /// The driver to wake after the queue was read: only when it stopped reading, and only once
    /// the queue is half empty, so that it does not stop again at once.
    pub(crate) fn resumed(&mut self) -> Option<Waker> {
        let enough = self.queue.len() <= self.settings.event_queue / 2;
        if self.paused && enough {
            self.driver.take()
        } else {
            None
        }
    }
}

pub(crate) fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}
