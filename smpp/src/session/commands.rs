//! What the owner asks of the session.

use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use matrix_smpp_codec::{
    Bind, BindResp, Body, COctets, CommandStatus, InterfaceVersion, Outbind, Pdu, Quirks, Tlvs,
};

use super::{Event, Session, State, dialect};
use crate::counters::bump;
use crate::error::{CloseReason, SubmitError};
use crate::operations::{BindMode, Role, may_send};
use crate::rate::{Meter, TokenBucket};
use crate::settings::BindSettings;
use crate::window::{Pending, Ticket, Waiter};

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

    /// SMSC only: asks the ESME that we connected to to bind as a receiver. SMPP 3.4 §2.2.1.
    /// Does nothing on a session that has begun otherwise.
    pub fn outbind(&mut self, outbind: Outbind) {
        if matches!((self.role, self.state), (Role::Smsc, State::Open)) {
            let sequence = self.sequence.take(|_| false);
            self.reply(sequence, CommandStatus::ESME_ROK, Body::Outbind(outbind));
            self.state = State::Outbound;
        }
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
            self.version = version;
            self.enter_bound(now, mode, peer, Some(version));
            self.unbind_when_drained(now);
        } else {
            self.close_with(CloseReason::BindRefused(status));
        }
    }

    /// Sends a request if window and rate have room.
    ///
    /// A request without a response (`alert_notification`) is only sent: its ticket never comes back.
    pub fn submit(
        &mut self,
        now: Instant,
        ticket: Ticket,
        mut body: Body,
    ) -> Result<(), SubmitError> {
        if !self.is_sending() {
            return Err(SubmitError::NotBound(Box::new(body)));
        }
        let command = body.command_id();
        if is_housekeeping(&body) || !may_send(self.role, self.state(), command) {
            return Err(SubmitError::NotAllowed(Box::new(body)));
        }
        if !dialect::fit_request(&mut body, self.version) {
            return Err(SubmitError::NotKnown(Box::new(body)));
        }
        if self.capacity(now) == 0 {
            return Err(SubmitError::WindowFull(Box::new(body)));
        }
        if let Some(shared) = &self.shared_rate
            && !shared.admit(now, 1)
        {
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

    /// Answers a request of the peer; the how manieth answer of the session it is, see
    /// [`Event::Heard`]. On a session that is over the answer is counted and dropped: the peer has to
    /// send the request again. So is one to a request that is answered already, or never came.
    pub fn respond(
        &mut self,
        now: Instant,
        sequence: u32,
        status: CommandStatus,
        mut body: Body,
    ) -> Option<u64> {
        let lives = matches!(self.state, State::Bound(_) | State::Unbinding(_));
        let load = self.load();
        if !lives || !self.owed.settle(sequence) {
            bump(&self.counters.orphaned_answers);
            return None;
        }
        dialect::fit_response(&mut body, self.version, load);
        self.clock.last_transaction = now;
        self.reply(sequence, status, body);
        self.answers += 1;
        let answer = self.answers;
        self.clock.unconfirmed_since.get_or_insert(now);
        self.unbind_when_drained(now);
        Some(answer)
    }

    /// Asks the peer now whether it has our answers, unless something that will tell is under way.
    pub fn confirm_answers(&mut self, now: Instant) {
        if matches!(self.state, State::Bound(_)) && self.clock.unconfirmed_since.is_some() {
            self.request(now, Waiter::Enquire, Body::EnquireLink);
        }
    }

    /// Keeps the capacity at 0 for this long, as a throttled link wants it. Answers and
    /// `enquire_link` go on.
    pub fn slow_down(&mut self, now: Instant, pause: Duration) {
        let until = now + pause;
        self.clock.slow_until = self.clock.slow_until.max(Some(until));
        self.clock.block_until(Some(until));
    }

    /// Sets the window and the rate for the requests to come.
    pub fn set_limits(&mut self, window: usize, rate: Option<NonZeroU32>) {
        self.pace.set_contract(window, rate);
        self.follow_pace();
    }

    /// Sets what the peer may ask of us from here on: how many of its requests may wait for our
    /// answers at once, and the rate of its messages. What goes beyond is refused with
    /// `ESME_RTHROTTLED`.
    pub fn limit_peer(&mut self, window: usize, meter: Option<Meter>) {
        self.settings.peer_window = window;
        self.meter = meter;
    }

    /// Counts our requests together with those of other sessions from here on, which all keep to one
    /// rate; `None` counts them no more.
    pub fn share_rate(&mut self, meter: Option<Meter>) {
        self.shared_rate = meter;
    }

    /// Sets what the peer does against the standard, for whoever reads its frames from here on.
    pub const fn set_quirks(&mut self, quirks: Quirks) {
        self.settings.quirks = quirks;
    }

    /// Has the bucket of tokens run at the rate of the pace.
    pub(super) fn follow_pace(&mut self) {
        match (self.pace.rate(), &mut self.rate) {
            (Some(rate), Some(bucket)) => bucket.set_rate(rate),
            (rate, bucket) => *bucket = rate.map(TokenBucket::new),
        }
    }

    /// The share of the peer's window that is in use, in percent: our `congestion_state`.
    fn load(&self) -> u8 {
        let share = self.owed.len().saturating_mul(100) / self.settings.peer_window.max(1);
        u8::try_from(share.min(100)).unwrap_or(100)
    }

    /// Takes nothing more, waits for the answers that are due on both sides, then unbinds.
    pub fn close(&mut self, now: Instant) {
        match self.state {
            State::Open | State::Outbound | State::Binding { .. } => {
                self.close_with(CloseReason::WeClosed);
            }
            State::Bound(_) if self.clock.drain_until.is_none() => {
                self.clock.drain_until = Some(now + self.settings.drain);
                self.unbind_when_drained(now);
            }
            State::Bound(_) | State::Unbinding(_) | State::Closed(_) => {}
        }
    }

    pub(super) fn unbind_when_drained(&mut self, now: Instant) {
        if self.leaving.is_some() {
            return self.part_when_answered();
        }
        let drained = self.window.in_flight() == 0 && self.owed.len() == 0;
        if drained && self.clock.drain_until.is_some() && matches!(self.state, State::Bound(_)) {
            self.unbind(now, CloseReason::WeClosed);
        }
    }

    pub(super) fn unbind(&mut self, now: Instant, reason: CloseReason) {
        if self.leaving.is_some() {
            return self.part();
        }
        self.request(now, Waiter::Unbind, Body::Unbind);
        let patience = self.settings.drain.min(self.settings.response_timeout);
        self.clock.unbound_by = Some(now + patience);
        self.state = State::Unbinding(reason);
    }

    #[inline]
    pub(super) fn request(&mut self, now: Instant, waiter: Waiter, body: Body) -> u32 {
        let sequence = self.sequence.take(|number| self.window.holds(number));
        if let Some(expects) = body.command_id().response() {
            let deadline = now + self.settings.response_timeout;
            self.window.insert(
                sequence,
                deadline,
                Pending {
                    waiter,
                    expects,
                    since: now,
                    offset: None,
                    after_answers: self.answers,
                },
            );
            self.clock.unconfirmed_since = None;
        }
        self.outbox.push_back(Pdu {
            status: CommandStatus::ESME_ROK,
            sequence,
            body,
        });
        sequence
    }

    #[inline]
    pub(super) fn reply(&mut self, sequence: u32, status: CommandStatus, body: Body) {
        self.outbox.push_back(Pdu {
            status,
            sequence,
            body,
        });
    }

    pub(super) fn enter_bound(
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

    pub(super) fn close_with(&mut self, reason: CloseReason) {
        if !matches!(self.state, State::Closed(_)) {
            self.state = State::Closed(reason);
        }
    }
}

/// The requests that the session makes by itself.
fn is_housekeeping(body: &Body) -> bool {
    matches!(body, Body::EnquireLink | Body::Unbind)
}

pub(super) fn bind_request(settings: &BindSettings) -> Body {
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
