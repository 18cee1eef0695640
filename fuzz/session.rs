//! Any operations and any octets on a session of either role.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arbitrary::{Arbitrary, Unstructured};
use bytes::BytesMut;
use matrix_smpp_codec::{Body, CommandId, CommandStatus, Inbound, cut, decode};
use matrix_smpp_session::session::{Event, Session};
use matrix_smpp_session::{
    BindMode, BindSettings, CloseReason, Counters, Role, SessionSettings, Ticket,
};

#[derive(Debug, Arbitrary)]
struct Setup {
    smsc: bool,
    window: u8,
    rate: Option<NonZeroU32>,
    inactivity: Option<u16>,
}

#[derive(Debug, Arbitrary)]
enum Step<'a> {
    Bind(u8),
    AnswerBind(u32),
    Submit(u8),
    Respond {
        status: u32,
        command: u8,
    },
    Octets(&'a [u8]),
    /// A PDU of a known operation with a body of these octets.
    Peer {
        command: u8,
        status: u32,
        sequence: u8,
        body: &'a [u8],
    },
    Wait(u16),
    WaitForTimer,
    SlowDown(u16),
    Limits(u8, Option<NonZeroU32>),
    NotReading,
    Close,
    Sent,
    HalfClose,
}

struct World {
    session: Session,
    now: Instant,
    inbound: BytesMut,
    unsent: usize,
    owed: Vec<u32>,
    /// The peer has said its last.
    silent: bool,
    next_ticket: u64,
    /// Tickets that were taken, and how often their fate was told.
    tickets: BTreeMap<u64, usize>,
}

/// A session that is driven by the rule of its crate with whatever the octets say.
pub fn session(octets: &[u8]) {
    let mut input = Unstructured::new(octets);
    let Ok(setup) = Setup::arbitrary(&mut input) else {
        return;
    };
    let mut world = World::new(&setup);
    while let Ok(step) = Step::arbitrary(&mut input) {
        world.step(step);
        world.drain();
        if input.is_empty() {
            break;
        }
    }
    world.session.handle_disconnected(CloseReason::PeerClosed);
    world.drain();
    for (ticket, told) in &world.tickets {
        assert_eq!(*told, 1, "the fate of ticket {ticket} was told so often");
    }
    assert_eq!(world.session.in_flight(), 0);
}

fn command(number: u8) -> CommandId {
    CommandId::KNOWN[usize::from(number) % CommandId::KNOWN.len()]
}

impl World {
    fn new(setup: &Setup) -> Self {
        let settings = SessionSettings {
            window: usize::from(setup.window),
            rate: setup.rate,
            inactivity: setup
                .inactivity
                .map(|seconds| Duration::from_secs(seconds.into())),
            max_pdu: 5_000,
            event_queue: 20,
            ..SessionSettings::default()
        };
        let role = if setup.smsc { Role::Smsc } else { Role::Esme };
        let now = Instant::now();
        Self {
            session: Session::new(role, settings, Arc::new(Counters::default()), now),
            now,
            inbound: BytesMut::new(),
            unsent: 0,
            owed: Vec::new(),
            silent: false,
            next_ticket: 0,
            tickets: BTreeMap::new(),
        }
    }

    fn step(&mut self, step: Step<'_>) {
        let now = self.now;
        match step {
            Step::Bind(mode) => {
                let mode = BindMode::ALL[usize::from(mode) % 3];
                let settings = BindSettings {
                    mode,
                    ..BindSettings::default()
                };
                self.session.bind(now, &settings);
            }
            Step::AnswerBind(status) => {
                let name = "smsc".parse().unwrap();
                self.session.answer_bind(now, CommandStatus(status), name);
                self.take_in();
            }
            Step::Submit(number) => self.submit(command(number)),
            Step::Respond {
                status,
                command: number,
            } => self.respond(status, command(number)),
            Step::Octets(octets) => self.receive(octets),
            Step::Peer {
                command: number,
                status,
                sequence,
                body,
            } => {
                self.receive(&frame(command(number), status, sequence, body));
            }
            Step::Wait(millis) => self.wait_until(now + Duration::from_millis(millis.into())),
            Step::WaitForTimer => {
                if let Some(at) = self.session.poll_timeout() {
                    self.wait_until(at.max(now));
                }
            }
            Step::SlowDown(millis) => self
                .session
                .slow_down(now, Duration::from_millis(millis.into())),
            Step::Limits(window, rate) => self.session.set_limits(window.into(), rate),
            Step::NotReading => self.session.handle_not_reading(now),
            Step::Close => self.session.close(now),
            Step::HalfClose => {
                self.silent = true;
                self.session.handle_half_closed(now);
            }
            Step::Sent => {
                self.session.handle_sent(self.unsent);
                self.unsent = 0;
            }
        }
    }

    fn submit(&mut self, command: CommandId) {
        let Some(body) = Body::empty(command) else {
            return;
        };
        let room = self.session.capacity(self.now);
        self.next_ticket += 1;
        let taken = self
            .session
            .submit(self.now, Ticket(self.next_ticket), body)
            .is_ok();
        assert!(!taken || room > 0, "a request was taken without room");
        if taken && command.response().is_some() {
            self.tickets.insert(self.next_ticket, 0);
        }
    }

    /// Answers a request, and once more: the second answer may only be one to another of its number.
    fn respond(&mut self, status: u32, command: CommandId) {
        let Some(body) = command.response().and_then(Body::empty) else {
            return;
        };
        let Some(sequence) = self.owed.pop() else {
            return;
        };
        let status = CommandStatus(status);
        let first = self
            .session
            .respond(self.now, sequence, status, body.clone());
        assert!(first.is_some() || self.session.finished().is_some());
        let second = self.session.respond(self.now, sequence, status, body);
        let other = self.owed.iter().position(|one| *one == sequence);
        if second.is_some() {
            self.owed
                .remove(other.expect("one request was answered twice"));
        }
    }

    fn receive(&mut self, octets: &[u8]) {
        if self.silent || self.session.finished().is_some() {
            return;
        }
        self.inbound.extend_from_slice(octets);
        self.take_in();
    }

    /// What came behind a bind waits until that is answered.
    fn take_in(&mut self) {
        while !self.session.is_deciding() {
            match cut(&mut self.inbound, self.session.max_pdu()) {
                Ok(Some(frame)) => {
                    self.session.handle_inbound(self.now, decode(frame));
                    self.drain();
                }
                Ok(None) => break,
                Err(impossible) => {
                    let sequence = impossible.sequence(&self.inbound);
                    self.session.handle_broken_framing(sequence);
                    self.inbound.clear();
                    break;
                }
            }
        }
    }

    /// Time goes on timer by timer.
    fn wait_until(&mut self, until: Instant) {
        for _ in 0..100 {
            let next = self.session.poll_timeout().filter(|at| *at <= until);
            let Some(at) = next else { break };
            self.now = self.now.max(at);
            self.session.handle_timeout(self.now);
            self.drain();
            let again = self.session.poll_timeout();
            assert!(
                again.is_none_or(|again| again > at || again > self.now),
                "a timer stands still"
            );
        }
        self.now = self.now.max(until);
        self.session.handle_timeout(self.now);
    }

    fn drain(&mut self) {
        let mut out = BytesMut::new();
        while self.session.poll_transmit(&mut out) {}
        self.unsent += out.len();
        while let Some(frame) = cut(&mut out, usize::MAX).expect("our own lengths are right") {
            assert!(
                matches!(decode(frame), Inbound::Pdu(_)),
                "we sent what cannot be read"
            );
        }
        assert!(out.is_empty());
        while let Some(event) = self.session.poll_event() {
            let _ = format!("{event:?}");
            match event {
                Event::Answered { ticket, .. } | Event::Unanswered { ticket, .. } => {
                    let told = self
                        .tickets
                        .get_mut(&ticket.0)
                        .expect("a ticket that was taken");
                    *told += 1;
                }
                Event::Request { sequence, body } if body.command_id().response().is_some() => {
                    self.owed.push(sequence);
                }
                _ => {}
            }
        }
    }
}

fn frame(command: CommandId, status: u32, sequence: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(16 + body.len()).unwrap_or(u32::MAX);
    let mut frame = length.to_be_bytes().to_vec();
    frame.extend(command.0.to_be_bytes());
    frame.extend(status.to_be_bytes());
    frame.extend(u32::from(sequence).to_be_bytes());
    frame.extend_from_slice(body);
    frame
}
