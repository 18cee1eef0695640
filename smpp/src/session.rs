//! One SMPP session as a value: no socket, no clock, no task.

mod inbound;
mod timers;

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use matrix_smpp_codec::{
    Bind, BindResp, Body, COctets, CommandStatus, InterfaceVersion, Outbind, Pdu, Tlvs,
};

use crate::counters::{Counters, bump};
use crate::error::{CloseReason, SubmitError, UnansweredCause};
use crate::operations::{BindMode, Role, SessionState, may_send};
use crate::rate::TokenBucket;
use crate::sequence::Sequence;
use crate::settings::{BindSettings, SessionSettings};
use crate::window::{Pending, Ticket, Waiter, Window};

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
/// An impossible length or the end of the connection leads to Closed from anywhere.
#[derive(Debug, Clone, Copy)]
enum State {
    Open,
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
    sequence: Sequence,
    window: Window,
    rate: Option<TokenBucket>,
    clock: timers::Clock,
    /// Requests of the peer that were handed up and not answered yet.
    owed: usize,
    outbox: VecDeque<Pdu>,
    events: VecDeque<Event>,
    /// Octets encoded, and octets handed to the socket, since the session began.
    encoded: u64,
    sent: u64,
    reported_closed: bool,
}

// === getters ===

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
            sequence: Sequence::new(),
            window: Window::default(),
            rate: settings.rate.map(TokenBucket::new),
            clock: timers::Clock::new(now, &settings),
            owed: 0,
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
            State::Bound(mode) => SessionState::Bound(mode),
            State::Unbinding(_) => SessionState::Unbinding,
            State::Closed(_) => SessionState::Closed,
        }
    }

    /// How many requests may be submitted now: what window and rate leave, and 0 unless the session
    /// is bound for sending.
    #[must_use]
    pub fn capacity(&self, now: Instant) -> usize {
        if !self.is_sending() || self.clock.slow_until.is_some_and(|until| until > now) {
            return 0;
        }
        let window = self.settings.window.saturating_sub(self.window.in_flight());
        match &self.rate {
            Some(rate) if window > 0 => window.min(rate.available(now)),
            _ => window,
        }
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

    /// Why the session is over; then only the last octets are to be flushed.
    #[must_use]
    pub const fn finished(&self) -> Option<CloseReason> {
        match self.state {
            State::Closed(reason) => Some(reason),
            _ => None,
        }
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

    fn is_sending(&self) -> bool {
        let bound = matches!(self.state, State::Bound(mode) if mode.sends(self.role));
        bound && self.clock.drain_until.is_none()
    }
}

// === commands ===

impl Session {
    /// ESME only: asks to be bound. Does nothing on a session that has begun to bind.
    pub fn bind(&mut self, now: Instant, settings: &BindSettings) {
        if !matches!((self.role, self.state), (Role::Esme, State::Open)) {
            return;
        }
        let sequence = self.request(now, Waiter::Bind, bind_request(settings));
        self.state = State::Binding {
            mode: settings.mode,
            sequence,
            peer: COctets::default(),
            version: settings.interface_version,
        };
    }

    /// SMSC only: answers the bind that [`Event::BindAsked`] told of; a refusal ends the session.
    /// `system_id` is our own.
    pub fn answer_bind(&mut self, now: Instant, status: CommandStatus, system_id: COctets<16>) {
        let State::Binding {
            mode,
            sequence,
            peer,
            version,
        } = self.state
        else {
            return;
        };
        if self.role != Role::Smsc {
            return;
        }
        self.reply(
            sequence,
            status,
            bind_response(mode, status, system_id, version),
        );
        if status == CommandStatus::ESME_ROK {
            self.enter_bound(now, mode, peer, Some(version));
        } else {
            self.close_with(CloseReason::BindRefused(status));
        }
    }

    /// Sends a request if window and rate have room.
    ///
    /// A request without a response (`alert_notification`) is only sent: its ticket never comes back.
    pub fn submit(&mut self, now: Instant, ticket: Ticket, body: Body) -> Result<(), SubmitError> {
        if !self.is_sending() {
            return Err(SubmitError::NotBound(Box::new(body)));
        }
        let command = body.command_id();
        if is_housekeeping(&body) || !may_send(self.role, self.state(), command) {
            return Err(SubmitError::NotAllowed(Box::new(body)));
        }
        if self.capacity(now) == 0 {
            return Err(SubmitError::WindowFull(Box::new(body)));
        }
        if let Some(rate) = &mut self.rate {
            rate.take(now);
            self.clock.block_until(rate.refill_at(now));
        }
        self.clock.last_transaction = now;
        self.request(now, Waiter::Caller(ticket), body);
        Ok(())
    }

    /// Answers a request of the peer. On a session that is over the answer is counted and dropped:
    /// the peer has to send the request again.
    pub fn respond(&mut self, now: Instant, sequence: u32, status: CommandStatus, body: Body) {
        if !matches!(self.state, State::Bound(_) | State::Unbinding(_)) {
            bump(&self.counters.orphaned_answers);
            return;
        }
        self.owed = self.owed.saturating_sub(1);
        self.clock.last_transaction = now;
        self.reply(sequence, status, body);
        self.unbind_when_drained(now);
    }

    /// Keeps the capacity at 0 for this long, as a throttled link wants it. Answers and
    /// `enquire_link` go on.
    pub fn slow_down(&mut self, now: Instant, pause: Duration) {
        let until = now + pause;
        self.clock.slow_until = self.clock.slow_until.max(Some(until));
        self.clock.block_until(Some(until));
    }

    /// Sets the window and the rate for the requests to come.
    pub fn set_limits(&mut self, window: usize, rate: Option<std::num::NonZeroU32>) {
        self.settings.window = window;
        if self.settings.rate != rate {
            self.settings.rate = rate;
            self.rate = rate.map(TokenBucket::new);
        }
    }

    /// Takes nothing more, waits for the answers that are due on both sides, then unbinds.
    pub fn close(&mut self, now: Instant) {
        match self.state {
            State::Open | State::Binding { .. } => self.close_with(CloseReason::WeClosed),
            State::Bound(_) if self.clock.drain_until.is_none() => {
                self.clock.drain_until = Some(now + self.settings.drain);
                self.unbind_when_drained(now);
            }
            State::Bound(_) | State::Unbinding(_) | State::Closed(_) => {}
        }
    }

    fn unbind_when_drained(&mut self, now: Instant) {
        let drained = self.window.in_flight() == 0 && self.owed == 0;
        if drained && self.clock.drain_until.is_some() && matches!(self.state, State::Bound(_)) {
            self.unbind(now, CloseReason::WeClosed);
        }
    }

    fn unbind(&mut self, now: Instant, reason: CloseReason) {
        self.request(now, Waiter::Unbind, Body::Unbind);
        self.state = State::Unbinding(reason);
    }

    fn request(&mut self, now: Instant, waiter: Waiter, body: Body) -> u32 {
        let sequence = self.sequence.take();
        if let Some(expects) = body.command_id().response() {
            let deadline = now + self.settings.response_timeout;
            self.window.insert(
                sequence,
                deadline,
                Pending {
                    waiter,
                    expects,
                    offset: None,
                },
            );
        }
        self.outbox.push_back(Pdu {
            status: CommandStatus::ESME_ROK,
            sequence,
            body,
        });
        sequence
    }

    fn reply(&mut self, sequence: u32, status: CommandStatus, body: Body) {
        self.outbox.push_back(Pdu {
            status,
            sequence,
            body,
        });
    }

    fn enter_bound(
        &mut self,
        now: Instant,
        mode: BindMode,
        peer: COctets<16>,
        interface_version: Option<InterfaceVersion>,
    ) {
        self.state = State::Bound(mode);
        self.clock.bound(now);
        bump(&self.counters.binds);
        self.events.push_back(Event::Bound {
            peer,
            interface_version,
        });
    }

    fn close_with(&mut self, reason: CloseReason) {
        if !matches!(self.state, State::Closed(_)) {
            self.state = State::Closed(reason);
        }
    }
}

// === output ===

impl Session {
    /// Appends the next PDU to `out`, octet for octet as it goes on the wire; false when there is
    /// none. All that is appended must go out, in order: see [`handle_sent`](Self::handle_sent).
    pub fn poll_transmit(&mut self, out: &mut BytesMut) -> bool {
        while let Some(pdu) = self.outbox.pop_front() {
            if !self.stamp(&pdu) {
                continue;
            }
            let before = out.len();
            pdu.encode(out);
            self.encoded += (out.len() - before) as u64;
            self.counters.count_out(pdu.command_id());
            return true;
        }
        false
    }

    /// Notes where in the stream a request begins; false when it must not go out any more: its
    /// caller has been told that it did not, or is about to be.
    fn stamp(&mut self, pdu: &Pdu) -> bool {
        if pdu.command_id().response().is_none() {
            return true;
        }
        if matches!(self.state, State::Closed(_)) {
            return false;
        }
        let encoded = self.encoded;
        self.window
            .get_mut(pdu.sequence)
            .map(|pending| pending.offset = Some(encoded))
            .is_some()
    }

    /// The next thing to tell the owner.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// The next `octets` of what `poll_transmit` gave were handed to the socket.
    pub const fn handle_sent(&mut self, octets: usize) {
        self.sent += octets as u64;
    }

    /// The connection is gone, for the reason that the session itself gave or else for this one.
    /// Hands back every request without an answer.
    pub fn handle_disconnected(&mut self, reason: CloseReason) {
        if std::mem::replace(&mut self.reported_closed, true) {
            return;
        }
        self.close_with(reason);
        let reason = self.finished().unwrap_or(reason);
        let cause = match reason {
            CloseReason::WeClosed | CloseReason::Inactive => UnansweredCause::Closed,
            _ => UnansweredCause::LinkDied,
        };
        self.outbox.clear();
        for pending in self.window.drain() {
            self.give_up(pending, cause);
        }
        self.events.push_back(Event::Closed(reason));
    }

    fn give_up(&mut self, pending: Pending, cause: UnansweredCause) {
        if let Waiter::Caller(ticket) = pending.waiter {
            let written = match cause {
                // What is encoded goes out sooner or later while the session lives.
                UnansweredCause::Timeout => pending.offset.is_some(),
                _ => pending.offset.is_some_and(|offset| offset < self.sent),
            };
            self.events.push_back(Event::Unanswered {
                ticket,
                written,
                cause,
            });
        }
    }
}

/// The requests that the session makes by itself.
fn is_housekeeping(body: &Body) -> bool {
    matches!(body, Body::EnquireLink | Body::Unbind)
}

fn bind_request(settings: &BindSettings) -> Body {
    let bind = Bind {
        system_id: settings.system_id,
        password: settings.password,
        system_type: settings.system_type,
        interface_version: settings.interface_version,
        addr_ton: settings.addr_ton,
        addr_npi: settings.addr_npi,
        address_range: settings.address_range,
    };
    match settings.mode {
        BindMode::Transmitter => Body::BindTransmitter(bind),
        BindMode::Receiver => Body::BindReceiver(bind),
        BindMode::Transceiver => Body::BindTransceiver(bind),
    }
}

/// The answer to a bind; to a peer that knows TLVs it says that we speak 3.4. SMPP 3.4 §4.1.2.
fn bind_response(
    mode: BindMode,
    status: CommandStatus,
    system_id: COctets<16>,
    version: InterfaceVersion,
) -> Body {
    let mut response = BindResp {
        system_id,
        tlvs: Tlvs::default(),
    };
    if status == CommandStatus::ESME_ROK && version >= InterfaceVersion::V3_4 {
        response
            .tlvs
            .set_sc_interface_version(InterfaceVersion::V3_4);
    }
    match mode {
        BindMode::Transmitter => Body::BindTransmitterResp(response),
        BindMode::Receiver => Body::BindReceiverResp(response),
        BindMode::Transceiver => Body::BindTransceiverResp(response),
    }
}
