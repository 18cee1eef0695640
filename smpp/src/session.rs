//! One SMPP session as a value: no socket, no clock, no task.

mod commands;
mod dialect;
mod inbound;
mod leaving;
mod output;
mod timers;

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, Instant};

use matrix_smpp_codec::{
    Bind, Body, COctets, CommandStatus, InterfaceVersion, Outbind, Pdu, Quirks,
};

use crate::adapt::Pace;
use crate::counters::Counters;
use crate::error::{CloseReason, UnansweredCause};
use crate::operations::{BindMode, Role, SessionState};
use crate::owed::Owed;
use crate::rate::{Meter, TokenBucket};
use crate::sequence::Sequence;
use crate::settings::SessionSettings;
use crate::window::{Ticket, Window};

/// What a session tells its owner.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// SMSC only: an ESME wants to bind; answer with [`Session::answer_bind`].
    BindAsked {
        /// What it wants to be bound for.
        mode: BindMode,
        /// Its name, password and so on.
        bind: Box<Bind>,
    },
    /// ESME only: the SMSC asks us to bind. SMPP 3.4 §4.1.7.
    Outbind(Box<Outbind>),
    /// The session is bound.
    Bound {
        /// The peer's `system_id`.
        peer: COctets<16>,
        /// The version that the peer says it speaks; SMSCs before 3.4, and many of 3.4, say nothing.
        interface_version: Option<InterfaceVersion>,
    },
    /// The peer wants something; answer with [`Session::respond`].
    Request {
        /// The peer's number for it, to be echoed.
        sequence: u32,
        /// The request.
        body: Body,
    },
    /// One of our requests was answered.
    Answered {
        /// The caller's name for it.
        ticket: Ticket,
        /// The outcome.
        status: CommandStatus,
        /// The response; a `generic_nack` where the peer did not understand the request, and the
        /// response without content where its body could not be read.
        body: Body,
    },
    /// One of our requests will have no answer.
    Unanswered {
        /// The caller's name for it.
        ticket: Ticket,
        /// Whether any octet of it may have reached the peer: then its fate is unknown. When false
        /// it can be sent again without harm.
        written: bool,
        /// Why.
        cause: UnansweredCause,
    },
    /// The peer has read our first so many answers of this session: it has answered a request of
    /// ours that stood behind them. Told where [`SessionSettings::confirm_answers`] is set.
    Heard(u64),
    /// The session is over; nothing follows.
    Closed(CloseReason),
}

/// The states and what leads from one to the next.
///
/// ```text
///             bind sent (ESME)          bind_resp ROK
///            ┌─────────────▶ Binding ─────────────────▶ Bound ──unbind sent──▶ Unbinding
///   Open ────┤  bind came (SMSC)  │                      │                         │
///     │      └─────────────▶──────┤ refused              │ unbind came,            │ unbind_resp,
///     │ session_init ran out      │                      │ enquire_link unanswered │ unbind came,
///     ▼                           ▼                      ▼                         ▼ no answer
///   Closed ◀──────────────────────┴──────────────────────┴─────────────────────────┘
/// ```
///
/// An impossible length or the end of the connection leads to Closed from anywhere. A peer that has
/// unbound or shut down its side of the connection gets the answers that it is owed first. An SMSC
/// that has sent outbind waits in Outbound, from where it goes on as from Open.
#[derive(Debug, Clone, Copy)]
enum State {
    Open,
    /// SMSC only: outbind went out, and the ESME is to bind as a receiver. SMPP 5.0 §2.3.2.
    Outbound,
    Binding {
        mode: BindMode,
        sequence: u32,
        peer: COctets<16>,
        version: InterfaceVersion,
    },
    Bound(BindMode),
    Unbinding(CloseReason),
    Closed(CloseReason),
}

/// One SMPP session, of either role.
///
/// **After every `handle_*` or command, call [`poll_transmit`](Self::poll_transmit) and
/// [`poll_event`](Self::poll_event) until both are empty, then wait no longer than
/// [`poll_timeout`](Self::poll_timeout).** When [`finished`](Self::finished) gives a reason, flush
/// what `poll_transmit` still gives, drop the connection and say so with
/// [`handle_disconnected`](Self::handle_disconnected): only then is it known which requests left,
/// and every one without an answer is handed back.
#[derive(Debug)]
pub struct Session {
    role: Role,
    settings: SessionSettings,
    counters: Arc<Counters>,
    state: State,
    /// The peer asks nothing more.
    leaving: Option<leaving::Leaving>,
    sequence: Sequence,
    window: Window,
    pace: Pace,
    rate: Option<TokenBucket>,
    /// What the peer understands.
    version: InterfaceVersion,
    /// Counts what the peer sends, where it has a rate to keep.
    meter: Option<Meter>,
    /// Counts what we send on this session and on others, where they have a rate together.
    shared_rate: Option<Meter>,
    clock: timers::Clock,
    /// Requests of the peer that were handed up and not answered yet.
    owed: Owed,
    /// Our answers to its requests, and how many of them it has surely read.
    answers: u64,
    heard_answers: u64,
    outbox: VecDeque<Pdu>,
    events: VecDeque<Event>,
    /// Octets encoded, and octets handed to the socket, since the session began.
    encoded: u64,
    sent: u64,
    reported_closed: bool,
}

impl Session {
    /// A session on a fresh connection.
    #[must_use]
    pub fn new(
        role: Role,
        settings: SessionSettings,
        counters: Arc<Counters>,
        now: Instant,
    ) -> Self {
        Self {
            role,
            settings,
            counters,
            state: State::Open,
            leaving: None,
            sequence: Sequence::new(),
            window: Window::default(),
            pace: Pace::new(settings.adapt, settings.window, settings.rate),
            rate: settings.rate.map(TokenBucket::new),
            version: InterfaceVersion::V3_4,
            meter: None,
            shared_rate: None,
            clock: timers::Clock::new(now, &settings),
            owed: Owed::default(),
            answers: 0,
            heard_answers: 0,
            outbox: VecDeque::new(),
            events: VecDeque::new(),
            encoded: 0,
            sent: 0,
            reported_closed: false,
        }
    }

    /// How far the session has come.
    #[must_use]
    pub const fn state(&self) -> SessionState {
        match self.state {
            State::Open | State::Binding { .. } => SessionState::Open,
            State::Outbound => SessionState::Outbound,
            State::Bound(mode) if self.leaving.is_none() => SessionState::Bound(mode),
            State::Bound(_) | State::Unbinding(_) => SessionState::Unbinding,
            State::Closed(_) => SessionState::Closed,
        }
    }

    /// How many requests may be submitted now: what window and rate leave, and 0 unless the session
    /// is bound for sending.
    #[must_use]
    pub fn capacity(&self, now: Instant) -> usize {
        let own = self.own_capacity(now);
        match &self.shared_rate {
            Some(shared) if own > 0 => own.min(shared.available(now)),
            _ => own,
        }
    }

    fn own_capacity(&self, now: Instant) -> usize {
        if !self.is_sending() || self.clock.slow_until.is_some_and(|until| until > now) {
            return 0;
        }
        let window = self.pace.window().saturating_sub(self.window.in_flight());
        match &self.rate {
            Some(rate) if window > 0 => window.min(rate.available(now)),
            _ => window,
        }
    }

    /// When a request may leave again that only a rate shared with other sessions keeps; `None` where
    /// something else keeps it, or nothing.
    pub(crate) fn shared_refill_at(&self, now: Instant) -> Option<Instant> {
        let shared = self.shared_rate.as_ref()?;
        (self.own_capacity(now) > 0)
            .then(|| shared.refill_at(now))
            .flatten()
    }

    /// How many requests may leave now on all sessions that share a rate; `None` where this one
    /// shares none.
    pub(crate) fn shared_capacity(&self, now: Instant) -> Option<usize> {
        Some(self.shared_rate.as_ref()?.available(now))
    }

    /// The window and the rate of now: those of the contract, or less while the peer cannot take
    /// so much.
    #[must_use]
    pub fn pace(&self) -> (usize, Option<NonZeroU32>) {
        (self.pace.window(), self.pace.rate())
    }

    /// How long the capacity stays 0 because the peer throttled, its queue is full, or the owner
    /// said so.
    #[must_use]
    pub fn paused_for(&self, now: Instant) -> Option<Duration> {
        let left = self.clock.slow_until?.saturating_duration_since(now);
        (!left.is_zero()).then_some(left)
    }

    /// How many of our requests wait for their answers.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.window.in_flight()
    }

    /// The longest PDU to take now, in octets.
    #[must_use]
    pub fn max_pdu(&self) -> usize {
        match self.state {
            State::Bound(_) | State::Unbinding(_) => self.settings.max_pdu,
            _ => self
                .settings
                .max_pdu
                .min(SessionSettings::MAX_PDU_BEFORE_BIND),
        }
    }

    /// What the peer does against the standard, for whoever reads its frames.
    #[must_use]
    pub const fn quirks(&self) -> Quirks {
        self.settings.quirks
    }

    /// Why the session is over; then only the last octets are to be flushed.
    #[must_use]
    pub const fn finished(&self) -> Option<CloseReason> {
        match self.state {
            State::Closed(reason) => Some(reason),
            _ => None,
        }
    }

    /// Whether a bind waits to be answered by [`answer_bind`](Self::answer_bind). Until then nothing is
    /// to be handed in: a hasty peer sends its requests right behind its bind, and what they may be
    /// answered with is not decided yet.
    #[must_use]
    pub const fn is_deciding(&self) -> bool {
        matches!((self.role, self.state), (Role::Smsc, State::Binding { .. }))
    }

    /// Whether a refused bind leaves something to say to what had come behind it: it may be handed in
    /// still, up to where reading has got.
    #[must_use]
    pub const fn is_refusing(&self) -> bool {
        matches!(
            (self.role, self.state),
            (Role::Smsc, State::Closed(CloseReason::BindRefused(_)))
        )
    }

    /// Events that wait to be polled.
    #[must_use]
    pub fn events_waiting(&self) -> usize {
        self.events.len()
    }

    /// PDUs that wait to be polled.
    #[must_use]
    pub fn pdus_waiting(&self) -> usize {
        self.outbox.len()
    }

    /// Whether none of our requests waits for an answer.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.window.is_empty()
    }

    /// Whether no request waits for an answer, neither ours nor the peer's.
    pub(crate) fn is_resting(&self) -> bool {
        self.owed.is_empty() && self.is_idle()
    }

    /// Makes room for so many events and PDUs at once.
    pub(crate) fn reserve(&mut self, events: usize, pdus: usize) {
        self.events.reserve(events);
        self.outbox.reserve(pdus);
    }

    /// Gives back the memory of queues that are empty. They come back when something is to be held:
    /// worth calling on a session that rests.
    pub fn release(&mut self) {
        release(&mut self.outbox);
        release(&mut self.events);
        self.window.release();
        self.owed.release();
    }

    fn is_sending(&self) -> bool {
        let bound = matches!(self.state, State::Bound(mode) if mode.sends(self.role));
        bound && self.clock.drain_until.is_none() && self.leaving.is_none()
    }
}

/// Gives back the memory of an empty queue.
pub(crate) fn release<T>(queue: &mut VecDeque<T>) {
    if queue.is_empty() {
        *queue = VecDeque::new();
    }
}

/// Takes a body out of its place; what is left there is short to drop.
#[inline]
pub(crate) fn taken(body: &mut Body) -> Body {
    std::mem::replace(body, Body::GenericNack)
}
