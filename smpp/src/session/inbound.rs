//! What a PDU of the peer does to the session.

use std::time::Instant;

use matrix_smpp_codec::{Bind, Body, CommandId, CommandStatus, Header, Inbound, Pdu};

use super::leaving::Leaving;
use super::{Event, Session, State, dialect, taken};
use crate::adapt::Signal;
use crate::counters::bump;
use crate::error::CloseReason;
use crate::operations::{BindMode, Role, Verdict, judge};
use crate::rate::Meter;
use crate::window::{Pending, Waiter};

impl Session {
    /// The peer sent a PDU.
    pub fn handle_inbound(&mut self, now: Instant, mut inbound: Inbound) {
        self.handle_in_place(now, &mut inbound);
    }

    /// The same; what is told of it is taken out of it. A PDU is long, and moving it takes time.
    pub(crate) fn handle_in_place(&mut self, now: Instant, inbound: &mut Inbound) {
        if self.is_refusing() {
            return self.refuse_hasty(inbound);
        }
        if matches!(self.state, State::Closed(_)) {
            return;
        }
        self.clock.heard(now);
        match inbound {
            Inbound::Pdu(pdu) if pdu.command_id().is_response() => self.take_response(now, pdu),
            Inbound::Pdu(pdu) => self.take_request(now, pdu),
            Inbound::Unknown { header, .. } => self.take_unknown(header),
            Inbound::Malformed { header, error } => {
                bump(&self.counters.malformed);
                self.take_malformed(now, header, error.status());
            }
        }
    }

    /// What came behind a bind before it was refused.
    fn refuse_hasty(&mut self, inbound: &Inbound) {
        let header = match inbound {
            Inbound::Pdu(pdu) => pdu.header(),
            Inbound::Unknown { header, .. } => return self.take_unknown(header),
            Inbound::Malformed { header, .. } => *header,
        };
        self.counters.count_in(header.command_id);
        bump(&self.counters.wrong_state);
        let status = if header.command_id == CommandId::ENQUIRE_LINK {
            CommandStatus::ESME_ROK
        } else {
            CommandStatus::ESME_RINVBNDSTS
        };
        self.refuse(header.sequence, header.command_id, status);
    }

    /// The peer sent an impossible `command_length`: where the next PDU begins cannot be known.
    /// `sequence` is what the codec's `FrameError::sequence` gives for it. SMPP 3.4 §4.3.
    pub fn handle_broken_framing(&mut self, sequence: u32) {
        self.reply(sequence, CommandStatus::ESME_RINVCMDLEN, Body::GenericNack);
        self.close_with(CloseReason::BrokenFraming);
    }

    fn take_unknown(&mut self, header: &Header) {
        self.counters.count_in(header.command_id);
        if header.command_id.is_response() {
            bump(&self.counters.stray_responses);
        } else if !matches!(self.state, State::Unbinding(_)) {
            self.reply(
                header.sequence,
                CommandStatus::ESME_RINVCMDID,
                Body::GenericNack,
            );
        }
    }

    /// A request that cannot be read is refused. A response that cannot be read still answers its
    /// request: the peer did decide, and its status says how.
    fn take_malformed(&mut self, now: Instant, header: &Header, status: CommandStatus) {
        let Header {
            command_id,
            sequence,
            ..
        } = *header;
        if !command_id.is_response() {
            self.counters.count_in(command_id);
            // In a wrong state that is what is wrong, however it is written.
            match judge(self.role.peer(), self.state(), command_id) {
                Verdict::Take => self.refuse(sequence, command_id, status),
                Verdict::Refuse(status) => {
                    bump(&self.counters.wrong_state);
                    self.refuse(sequence, command_id, status);
                }
                Verdict::Ignore => bump(&self.counters.wrong_state),
            }
        } else if let Some(body) = Body::empty(command_id) {
            self.take_response(
                now,
                &mut Pdu {
                    status: header.status,
                    sequence,
                    body,
                },
            );
        }
    }

    fn take_request(&mut self, now: Instant, pdu: &mut Pdu) {
        let sequence = pdu.sequence;
        let command = pdu.command_id();
        self.counters.count_in(command);
        match judge(self.role.peer(), self.state(), command) {
            Verdict::Take => self.act_on(now, sequence, &mut pdu.body),
            Verdict::Refuse(status) => {
                bump(&self.counters.wrong_state);
                self.refuse(sequence, command, status);
            }
            Verdict::Ignore => bump(&self.counters.wrong_state),
        }
    }

    fn act_on(&mut self, now: Instant, sequence: u32, body: &mut Body) {
        match body {
            Body::EnquireLink => {
                self.reply(sequence, CommandStatus::ESME_ROK, Body::EnquireLinkResp);
            }
            Body::Unbind => self.take_unbind(now, sequence),
            Body::BindTransmitter(bind) => self.take_bind(sequence, BindMode::Transmitter, bind),
            Body::BindReceiver(bind) => self.take_bind(sequence, BindMode::Receiver, bind),
            Body::BindTransceiver(bind) => self.take_bind(sequence, BindMode::Transceiver, bind),
            Body::Outbind(outbind) => {
                if matches!(self.state, State::Open) {
                    let outbind = Box::new(std::mem::take(outbind));
                    self.events.push_back(Event::Outbind(outbind));
                }
            }
            body if self.exceeds(now, body) => {
                bump(&self.counters.throttled);
                self.refuse(sequence, body.command_id(), CommandStatus::ESME_RTHROTTLED);
            }
            body => {
                if body.command_id().response().is_some() {
                    self.owed.push(sequence);
                }
                self.clock.last_transaction = now;
                let body = taken(body);
                self.events.push_back(Event::Request { sequence, body });
            }
        }
    }

    /// Whether the peer asks more of us than it may at once, or sends messages faster.
    fn exceeds(&self, now: Instant, body: &Body) -> bool {
        if body.command_id().response().is_none() {
            return false;
        }
        let messages = match body {
            Body::SubmitSm(_) | Body::DataSm(_) | Body::DeliverSm(_) => 1,
            Body::SubmitMulti(multi) => u32::try_from(multi.dest_addresses.len()).unwrap_or(1),
            _ => 0,
        };
        let admits = |meter: &Meter| messages == 0 || meter.admit(now, messages);
        self.owed.len() >= self.settings.peer_window || !self.meter.as_ref().is_none_or(admits)
    }

    fn take_bind(&mut self, sequence: u32, mode: BindMode, bind: &mut Bind) {
        if !matches!(
            (self.role, self.state),
            (Role::Smsc, State::Open | State::Outbound)
        ) {
            return self.refuse(sequence, mode.request(), CommandStatus::ESME_RALYBND);
        }
        let (peer, version) = (bind.system_id, bind.interface_version);
        self.state = State::Binding {
            mode,
            sequence,
            peer,
            version,
        };
        self.events.push_back(Event::BindAsked {
            mode,
            bind: Box::new(std::mem::take(bind)),
        });
    }

    /// Unbind may come at any time; ours and the peer's may cross.
    fn take_unbind(&mut self, now: Instant, sequence: u32) {
        if matches!(self.state, State::Unbinding(_)) {
            self.reply(sequence, CommandStatus::ESME_ROK, Body::UnbindResp);
            self.end_unbinding();
        } else {
            self.leave(now, Leaving::Unbind(sequence));
        }
    }

    fn refuse(&mut self, sequence: u32, command: CommandId, status: CommandStatus) {
        if matches!(self.state, State::Unbinding(_)) {
            return;
        }
        if let Some(body) = command.response().and_then(Body::empty) {
            self.reply(sequence, status, body);
        }
    }

    fn take_response(&mut self, now: Instant, pdu: &mut Pdu) {
        let command = pdu.command_id();
        self.counters.count_in(command);
        let Some(pending) = self.window.answered(pdu.sequence, command) else {
            bump(&self.counters.stray_responses);
            return;
        };
        self.complete(now, pending, pdu);
        self.unbind_when_drained(now);
    }

    fn complete(&mut self, now: Instant, pending: Pending, pdu: &mut Pdu) {
        let (status, body) = (pdu.status, &mut pdu.body);
        self.hear_answers(pending.after_answers);
        match pending.waiter {
            Waiter::Bind => self.take_bind_response(now, status, body),
            Waiter::Caller(ticket) => {
                self.clock.last_transaction = now;
                let status = if *body == Body::GenericNack {
                    nack_status(status)
                } else {
                    status
                };
                self.adapt(now, pending.since, status, body);
                let body = taken(body);
                self.events.push_back(Event::Answered {
                    ticket,
                    status,
                    body,
                });
            }
            Waiter::Enquire => {}
            Waiter::Unbind => self.end_unbinding(),
        }
    }

    /// Lets window and rate follow what an answer says.
    fn adapt(&mut self, now: Instant, since: Instant, status: CommandStatus, body: &Body) {
        let signal = Signal::of(status, dialect::congestion_state(body));
        if let Some(pause) = self.pace.heard(now, since, signal) {
            self.slow_down(now, pause);
        }
        self.follow_pace();
    }

    /// The peer reads in order: whoever answers a request has read all that stood before it.
    fn hear_answers(&mut self, answers: u64) {
        if answers > self.heard_answers && self.settings.confirm_answers.is_some() {
            self.heard_answers = answers;
            self.events.push_back(Event::Heard(answers));
        }
    }

    fn take_bind_response(&mut self, now: Instant, status: CommandStatus, body: &Body) {
        let State::Binding { mode, version, .. } = self.state else {
            return;
        };
        match body {
            Body::GenericNack => self.close_with(CloseReason::BindNacked(nack_status(status))),
            _ if status != CommandStatus::ESME_ROK => {
                self.close_with(CloseReason::BindRefused(status));
            }
            Body::BindTransmitterResp(response)
            | Body::BindReceiverResp(response)
            | Body::BindTransceiverResp(response) => {
                let theirs = response.tlvs.sc_interface_version();
                self.version = version.min(theirs.unwrap_or(self.settings.silent_peer));
                self.enter_bound(now, mode, response.system_id, theirs);
            }
            // The window lets no other response through.
            _ => {}
        }
    }
}

/// A `generic_nack` never means yes, whatever status it carries.
fn nack_status(status: CommandStatus) -> CommandStatus {
    if status == CommandStatus::ESME_ROK {
        CommandStatus::ESME_RUNKNOWNERR
    } else {
        status
    }
}
