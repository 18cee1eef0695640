//! The timers of SMPP 3.4 §7.2 and those of a graceful close.

use std::time::{Duration, Instant};

use matrix_smpp_codec::Body;

use super::{Session, State};
use crate::adapt::Signal;
use crate::counters::bump;
use crate::error::{CloseReason, UnansweredCause};
use crate::settings::SessionSettings;
use crate::window::{Pending, Waiter};

/// The instants that the timers run from or to.
#[derive(Debug)]
pub(super) struct Clock {
    /// The session must be bound by then; `None` once it is.
    init_by: Option<Instant>,
    /// The last PDU of the peer, whichever.
    last_heard: Instant,
    /// An `enquire_link` went out and nothing has been heard since.
    enquiring: bool,
    /// What the peer says stays unread for now: answers may be among it.
    deaf: bool,
    /// The owner doubts that the peer lives: it is given up unless something is heard by then.
    dead_by: Option<Instant>,
    /// The first answer of ours that no request has followed.
    pub(super) unconfirmed_since: Option<Instant>,
    /// The last PDU of either side other than `enquire_link`.
    pub(super) last_transaction: Instant,
    /// A graceful close waits for answers until then.
    pub(super) drain_until: Option<Instant>,
    /// The peer is gone by then, with or without the answers that it is owed.
    pub(super) gone_by: Option<Instant>,
    /// Our unbind is answered by then or not at all.
    pub(super) unbound_by: Option<Instant>,
    /// The capacity is 0 until then because the owner said so.
    pub(super) slow_until: Option<Instant>,
    /// Rate or owner keep the capacity at 0 until then: whoever waits for capacity is woken.
    blocked_until: Option<Instant>,
}

impl Clock {
    pub(super) fn new(now: Instant, settings: &SessionSettings) -> Self {
        Self {
            init_by: Some(now + settings.session_init),
            last_heard: now,
            enquiring: false,
            deaf: false,
            dead_by: None,
            unconfirmed_since: None,
            last_transaction: now,
            drain_until: None,
            gone_by: None,
            unbound_by: None,
            slow_until: None,
            blocked_until: None,
        }
    }

    pub(super) const fn bound(&mut self, now: Instant) {
        self.init_by = None;
        self.last_transaction = now;
    }

    /// Any PDU is a sign of life.
    pub(super) const fn heard(&mut self, now: Instant) {
        self.last_heard = now;
        self.enquiring = false;
        self.deaf = false;
        self.dead_by = None;
    }

    pub(super) fn block_until(&mut self, until: Option<Instant>) {
        self.blocked_until = self.blocked_until.max(until);
    }
}

impl Session {
    /// When to call [`handle_timeout`](Self::handle_timeout) at the latest. May be earlier than
    /// needed, then nothing happens.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        if matches!(self.state, State::Closed(_)) {
            return None;
        }
        let clock = &self.clock;
        let timers = [
            self.window.next_deadline().filter(|_| !clock.deaf),
            clock.init_by,
            self.enquire_at(),
            self.confirm_at(),
            self.inactive_at(),
            clock
                .drain_until
                .filter(|_| matches!(self.state, State::Bound(_))),
            clock.gone_by,
            clock.unbound_by,
            clock.dead_by,
            clock.blocked_until,
        ];
        timers.into_iter().flatten().min()
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        let passed = |timer: Option<Instant>| timer.is_some_and(|at| at <= now);
        if passed(self.clock.blocked_until) {
            self.clock.blocked_until = None;
        }
        self.expire_requests(now);
        if passed(self.clock.init_by) {
            self.close_with(CloseReason::NotBoundInTime);
        }
        if passed(self.clock.drain_until) && matches!(self.state, State::Bound(_)) {
            self.unbind(now, CloseReason::WeClosed);
        }
        if passed(self.clock.gone_by) {
            self.part();
        }
        if passed(self.clock.dead_by) {
            self.close_with(CloseReason::LinkDead);
        }
        if passed(self.clock.unbound_by) {
            self.end_unbinding();
        }
        if passed(self.inactive_at()) {
            self.unbind(now, CloseReason::Inactive);
        }
        if passed(self.enquire_at()) {
            self.clock.enquiring = true;
            self.request(now, Waiter::Enquire, Body::EnquireLink);
        }
        if passed(self.confirm_at()) {
            self.confirm_answers(now);
        }
    }

    /// Asks the peer at once for a sign of life and gives it up when none comes within `patience`:
    /// it seems to have connected anew.
    pub fn probe(&mut self, now: Instant, patience: Duration) {
        if !matches!(self.state, State::Bound(_)) || self.clock.dead_by.is_some() {
            return;
        }
        if !std::mem::replace(&mut self.clock.enquiring, true) {
            self.request(now, Waiter::Enquire, Body::EnquireLink);
        }
        self.clock.dead_by = Some(now + patience);
    }

    /// We do not read at present (the owner is slow): the peer's silence says nothing, and no request
    /// counts as not answered in time, until [`handle_all_read`](Self::handle_all_read).
    pub const fn handle_not_reading(&mut self, now: Instant) {
        self.clock.heard(now);
        self.clock.deaf = true;
    }

    /// All that has come from the peer is read: what is not among it has not come.
    pub const fn handle_all_read(&mut self) {
        self.clock.deaf = false;
    }

    fn enquire_at(&self) -> Option<Instant> {
        let due = self.is_bound() && !self.clock.enquiring;
        due.then(|| self.clock.last_heard + self.settings.enquire_link)
    }

    fn confirm_at(&self) -> Option<Instant> {
        let wait = self.settings.confirm_answers.filter(|_| self.is_bound())?;
        Some(self.clock.unconfirmed_since? + wait)
    }

    fn inactive_at(&self) -> Option<Instant> {
        let limit = self.settings.inactivity.filter(|_| self.is_bound())?;
        Some(self.clock.last_transaction + limit)
    }

    /// Whether the session goes on, as far as the peer has said.
    const fn is_bound(&self) -> bool {
        matches!(self.state, State::Bound(_)) && self.leaving.is_none()
    }

    fn expire_requests(&mut self, now: Instant) {
        while !matches!(self.state, State::Closed(_)) && !self.clock.deaf {
            let Some(pending) = self.window.expired(now) else {
                break;
            };
            self.expire(now, pending);
        }
        self.unbind_when_drained(now);
    }

    fn expire(&mut self, now: Instant, pending: Pending) {
        match pending.waiter {
            Waiter::Bind => self.close_with(CloseReason::NotBoundInTime),
            Waiter::Caller(_) => {
                bump(&self.counters.timeouts);
                self.pace.heard(now, pending.since, Signal::TimedOut);
                self.give_up(pending, UnansweredCause::Timeout);
            }
            Waiter::Enquire if self.clock.enquiring => self.close_with(CloseReason::LinkDead),
            Waiter::Enquire => {}
            Waiter::Unbind => self.end_unbinding(),
        }
    }

    /// The unbind is answered, crossed by the peer's own, or not answered in time.
    pub(super) fn end_unbinding(&mut self) {
        if let State::Unbinding(reason) = self.state {
            self.close_with(reason);
        }
    }
}
