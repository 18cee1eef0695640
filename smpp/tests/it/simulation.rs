//! Two sessions over a faulty wire in virtual time. All chance comes from one seed, so that a
//! failing run can be repeated: `SMPP_SIM_SEED=<seed>` runs that one alone and tells what happens.
//! `SMPP_SIM_SEEDS=<count>` runs more of them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use matrix_smpp_codec::{
    Body, COctets, CommandId, CommandStatus, DeliverSm, InterfaceVersion, Outbind, Pdu,
    ShortMessage, SubmitSm, cut, decode,
};
use matrix_smpp_session::session::{Event, Session};
use matrix_smpp_session::{
    AdaptSettings, BindMode, BindSettings, CloseReason, Counters, Role, SessionSettings,
    SubmitError, Ticket, UnansweredCause,
};

/// Splitmix64: enough chance for a test, the same on every machine.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.roll() % bound
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    fn millis(&mut self, bound: u64) -> Duration {
        Duration::from_millis(self.below(bound))
    }
}

/// Octets on their way, each piece with the time of its arrival. Like TCP: never reordered, cut
/// anywhere.
#[derive(Default)]
struct Pipe {
    pieces: VecDeque<(Instant, Bytes)>,
    last: Option<Instant>,
    /// From here on everything vanishes: a peer behind a firewall that forgot the connection.
    silent: bool,
    /// The sender has shut down its side: behind what is under way there is an end to be read.
    shut: bool,
}

impl Pipe {
    fn put(&mut self, mut octets: BytesMut, now: Instant, dice: &mut Dice) {
        while !octets.is_empty() {
            let length = 1 + dice.below(octets.len() as u64);
            let piece = octets.split_to(usize::try_from(length).unwrap()).freeze();
            let at = (now + dice.millis(30)).max(self.last.unwrap_or(now));
            self.last = Some(at);
            if !self.silent {
                self.pieces.push_back((at, piece));
            }
        }
    }

    fn next_at(&self) -> Option<Instant> {
        self.pieces.front().map(|(at, _)| *at)
    }

    /// All that has arrived by now, as one piece: reads coalesce.
    fn take(&mut self, now: Instant) -> BytesMut {
        let mut arrived = BytesMut::new();
        while self.next_at().is_some_and(|at| at <= now) {
            let (_, piece) = self.pieces.pop_front().unwrap();
            arrived.extend_from_slice(&piece);
        }
        arrived
    }
}

/// A session, what it has read but not cut, and what the socket has not taken yet.
struct End {
    session: Session,
    inbound: BytesMut,
    outbound: BytesMut,
    /// Each ticket's outcome; a second one is a failure.
    outcomes: BTreeMap<u64, Outcome>,
    submitted: u64,
    /// When each was submitted.
    submitted_at: Vec<Instant>,
    /// What the ESME answers an outbind with; `None` when there is no more to bind.
    bind: Option<BindSettings>,
    trace: bool,
    /// The tickets of the other end's requests, as often as they came.
    received: Vec<u64>,
    /// Answers that the owner has not given yet: sequence, status and when.
    owed: Vec<(Instant, u32, CommandStatus, Body)>,
    /// Responses that go out without the session, between its PDUs: copies and ones to nothing.
    strays: Vec<(Instant, Pdu)>,
    closed: Option<CloseReason>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Answered(CommandStatus),
    Lost {
        written: bool,
        cause: UnansweredCause,
    },
}

impl End {
    fn new(role: Role, settings: SessionSettings, now: Instant, trace: bool) -> Self {
        Self {
            trace,
            bind: None,
            submitted_at: Vec::new(),
            session: Session::new(role, settings, Arc::<Counters>::default(), now),
            inbound: BytesMut::new(),
            outbound: BytesMut::new(),
            outcomes: BTreeMap::new(),
            submitted: 0,
            received: Vec::new(),
            owed: Vec::new(),
            strays: Vec::new(),
            closed: None,
        }
    }

    fn hear(&mut self, octets: &[u8], now: Instant) {
        self.inbound.extend_from_slice(octets);
        while self.session.finished().is_none() && !self.session.is_deciding() {
            match cut(&mut self.inbound, self.session.max_pdu()) {
                Ok(Some(frame)) => self.session.handle_inbound(now, decode(frame)),
                Ok(None) => return,
                Err(impossible) => {
                    let sequence = impossible.sequence(&self.inbound);
                    return self.session.handle_broken_framing(sequence);
                }
            }
        }
    }

    /// The socket takes some of what waits, perhaps in the middle of a PDU.
    fn speak(&mut self, pipe: &mut Pipe, now: Instant, dice: &mut Dice) {
        while self.outbound.len() < 500 && self.session.poll_transmit(&mut self.outbound) {}
        let taken = match dice.below(4) {
            0 => dice.below(self.outbound.len() as u64 + 1),
            _ => self.outbound.len() as u64,
        };
        let taken = self.outbound.split_to(usize::try_from(taken).unwrap());
        self.session.handle_sent(taken.len());
        pipe.put(taken, now, dice);
        if self.outbound.is_empty() {
            let mut octets = BytesMut::new();
            for (_, pdu) in self.strays.extract_if(.., |(at, _)| *at <= now) {
                pdu.encode(&mut octets);
            }
            pipe.put(octets, now, dice);
        }
    }

    fn submit(&mut self, role: Role, now: Instant) {
        let text = self.submitted.to_be_bytes();
        let short_message = ShortMessage::try_from(text.as_slice()).unwrap();
        let body = match role {
            Role::Esme => Body::SubmitSm(SubmitSm {
                short_message,
                ..SubmitSm::default()
            }),
            Role::Smsc => Body::DeliverSm(DeliverSm {
                short_message,
                ..DeliverSm::default()
            }),
        };
        let room = self.session.capacity(now) > 0;
        match self.session.submit(now, Ticket(self.submitted), body) {
            Ok(()) => {
                assert!(room, "taken without capacity");
                self.submitted += 1;
                self.submitted_at.push(now);
            }
            Err(SubmitError::WindowFull(_) | SubmitError::NotBound(_)) => assert!(!room),
            Err(error) => panic!("{error}"),
        }
    }

    fn settle(&mut self, ticket: Ticket, outcome: Outcome) {
        let before = self.outcomes.insert(ticket.0, outcome);
        assert_eq!(before, None, "a second outcome for {ticket:?}: {outcome:?}");
    }

    fn take_events(&mut self, now: Instant, dice: &mut Dice) {
        while let Some(event) = self.session.poll_event() {
            assert!(self.closed.is_none(), "after the end: {event:?}");
            if self.trace {
                eprintln!("{now:?} {event:?}");
            }
            match event {
                Event::Outbind(_) => {
                    if let Some(bind) = self.bind.take() {
                        self.session.bind(now, &bind);
                    }
                }
                Event::BindAsked { .. } => {
                    self.session
                        .answer_bind(now, CommandStatus::ESME_ROK, COctets::default());
                }
                Event::Request { sequence, body } => self.take_request(sequence, &body, now, dice),
                Event::Answered { ticket, status, .. } => {
                    self.settle(ticket, Outcome::Answered(status));
                }
                Event::Unanswered {
                    ticket,
                    written,
                    cause,
                } => {
                    self.settle(ticket, Outcome::Lost { written, cause });
                }
                Event::Closed(reason) => self.closed = Some(reason),
                _ => {}
            }
        }
    }

    /// Answers after a while: soon, late, never, twice, or something that nobody asked.
    fn take_request(&mut self, sequence: u32, body: &Body, now: Instant, dice: &mut Dice) {
        if sequence >= 0x8000_0000 {
            // Noise that happened to be a request.
            let body = body.command_id().response().and_then(Body::empty).unwrap();
            let status = CommandStatus::ESME_RSYSERR;
            self.session.respond(now, sequence, status, body);
            return;
        }
        let (Body::SubmitSm(SubmitSm {
            short_message: text,
            ..
        })
        | Body::DeliverSm(DeliverSm {
            short_message: text,
            ..
        })) = body
        else {
            panic!("{body:?}")
        };
        self.received
            .push(u64::from_be_bytes(text.as_ref().try_into().unwrap()));
        let mut response = body.command_id().response().and_then(Body::empty).unwrap();
        if let (Body::SubmitSmResp(response), true) = (&mut response, dice.one_in(10)) {
            let state = u8::try_from(dice.below(256)).unwrap();
            response.tlvs.set_congestion_state(state);
        }
        let status = match dice.below(4) {
            0 => CommandStatus::ESME_RTHROTTLED,
            _ => CommandStatus::ESME_ROK,
        };
        let (copies, delay) = match dice.below(20) {
            0 => (0, Duration::ZERO),
            1 => (2, dice.millis(200)),
            2 => (1, Duration::from_secs(3)),
            _ => (1, dice.millis(200)),
        };
        for _ in 0..copies {
            self.owed
                .push((now + delay, sequence, status, response.clone()));
        }
        let mut stray = |sequence, body| {
            let pdu = Pdu {
                status,
                sequence,
                body,
            };
            self.strays.push((now + delay, pdu));
        };
        if copies > 1 {
            stray(sequence, response);
        }
        if dice.one_in(20) {
            let number = u32::try_from(dice.below(1 << 32)).unwrap();
            stray(number, Body::GenericNack);
        }
    }

    /// The peer says something that is no part of the conversation: an unknown or unreadable request
    /// or response, or one that is out of place. Its number is none of ours.
    fn hear_noise(&mut self, now: Instant, dice: &mut Dice) {
        let commands = [
            CommandId(0x0000_0111),
            CommandId(0x8000_0112),
            CommandId::SUBMIT_SM,
            CommandId::DELIVER_SM_RESP,
            CommandId::BIND_TRANSCEIVER_RESP,
            CommandId::QUERY_SM,
            CommandId::OUTBIND,
            CommandId::UNBIND_RESP,
            CommandId::ENQUIRE_LINK,
            CommandId::GENERIC_NACK,
        ];
        let place = usize::try_from(dice.below(commands.len() as u64)).unwrap();
        let body = dice.below(3) * 4;
        let number = 0x8000_0000 + dice.below(1_000);
        let mut frame = BytesMut::new();
        for word in [16 + body, commands[place].0.into(), dice.below(20), number] {
            frame.extend_from_slice(&u32::try_from(word).unwrap().to_be_bytes());
        }
        frame.resize(frame.len() + usize::try_from(body).unwrap(), b'x');
        let frame = cut(&mut frame, 100).unwrap().unwrap();
        self.session.handle_inbound(now, decode(frame));
    }

    fn answer_what_is_due(&mut self, now: Instant) {
        let due: Vec<_> = self.owed.extract_if(.., |(at, ..)| *at <= now).collect();
        for (_, sequence, status, body) in due {
            self.session.respond(now, sequence, status, body);
        }
    }

    fn next_at(&self) -> Option<Instant> {
        let owed = self.owed.iter().map(|(at, ..)| *at).min();
        self.session.poll_timeout().into_iter().chain(owed).min()
    }

    fn tick(&mut self, now: Instant) {
        self.answer_what_is_due(now);
        if self.session.poll_timeout().is_some_and(|at| at <= now) {
            self.session.handle_timeout(now);
        }
        assert!(
            self.session.poll_timeout().is_none_or(|at| at > now),
            "the driver would spin"
        );
    }
}

struct World {
    dice: Dice,
    now: Instant,
    esme: End,
    smsc: End,
    to_smsc: Pipe,
    to_esme: Pipe,
    /// When the connection falls, and when one direction goes silent, if they do.
    dies_at: Option<Instant>,
    silent_at: Option<Instant>,
    /// When the ESME shuts down its side of the connection, if it does.
    shut_at: Option<Instant>,
    closes_at: Instant,
    /// The clock of this machine jumps here, if it does, and how far.
    jumps_at: Option<(Instant, Duration)>,
    /// 0: the SMSC closes, 1: both do, more: the ESME does.
    closers: u64,
    limits: Limits,
}

/// What may not be exceeded.
#[derive(Debug, Clone, Copy)]
struct Limits {
    rate: Option<u64>,
    peer_window: usize,
}

const WINDOW: usize = 5;

impl World {
    fn new(seed: u64, trace: bool) -> Self {
        let mut dice = Dice(seed);
        let start = crate::common::now();
        let settings = SessionSettings {
            window: WINDOW,
            rate: std::num::NonZeroU32::new(200).filter(|_| dice.one_in(2)),
            adapt: dice.one_in(2).then(|| AdaptSettings {
                pause: dice.millis(100),
                recovery: Duration::from_secs(1),
                ..AdaptSettings::default()
            }),
            peer_window: if dice.one_in(4) { 2 } else { 1_000 },
            response_timeout: Duration::from_secs(1),
            enquire_link: Duration::from_millis(500),
            session_init: Duration::from_secs(2),
            drain: Duration::from_millis(600),
            ..SessionSettings::default()
        };
        let silent_after = if dice.one_in(4) {
            dice.millis(30)
        } else {
            dice.millis(4_000)
        };
        let mut esme = End::new(Role::Esme, settings, start, trace);
        let mut smsc = End::new(Role::Smsc, settings, start, trace);
        let versions = [0x33, 0x34, 0x34, 0x50].map(InterfaceVersion);
        let version = usize::try_from(dice.below(4)).unwrap();
        let bind = BindSettings {
            interface_version: versions[version],
            mode: BindMode::Transceiver,
            ..BindSettings::default()
        };
        if dice.one_in(4) {
            smsc.session.outbind(Outbind::default());
            esme.bind = Some(bind);
        } else {
            esme.session.bind(start, &bind);
        }
        Self {
            now: start,
            esme,
            smsc,
            limits: Limits {
                rate: settings.rate.map(|rate| rate.get().into()),
                peer_window: settings.peer_window,
            },
            jumps_at: dice
                .one_in(6)
                .then(|| (start + dice.millis(4_000), 100 * dice.millis(10_000))),
            to_smsc: Pipe::default(),
            to_esme: Pipe::default(),
            dies_at: dice.one_in(3).then(|| start + dice.millis(4_000)),
            silent_at: dice.one_in(4).then(|| start + silent_after),
            shut_at: dice.one_in(6).then(|| start + dice.millis(4_000)),
            closes_at: start + Duration::from_secs(3) + dice.millis(2_000),
            closers: dice.below(6),
            dice,
        }
    }

    fn run(mut self) -> Self {
        for _ in 0..200_000 {
            self.step();
            if self.esme.closed.is_some() && self.smsc.closed.is_some() {
                return self;
            }
        }
        panic!("no end");
    }

    fn step(&mut self) {
        let now = self.now;
        if self.silent_at.take_if(|at| *at <= now).is_some() {
            if self.dice.one_in(2) {
                &mut self.to_esme
            } else {
                &mut self.to_smsc
            }
            .silent = true;
        }
        if self.shut_at.take_if(|at| *at <= now).is_some() && !self.to_smsc.silent {
            self.to_smsc.silent = true;
            self.to_smsc.shut = true;
        }
        self.move_octets(now);
        for (role, end) in [(Role::Esme, &mut self.esme), (Role::Smsc, &mut self.smsc)] {
            if now < self.closes_at && self.dice.one_in(2) {
                end.submit(role, now);
            }
            assert!(end.session.in_flight() <= WINDOW);
        }
        if now >= self.closes_at {
            match self.closers {
                0 => self.smsc.session.close(now),
                1 => {
                    self.esme.session.close(now);
                    self.smsc.session.close(now);
                }
                _ => self.esme.session.close(now),
            }
        }
        self.disconnect_what_is_over(now);
        self.now = self.next_at();
    }

    fn move_octets(&mut self, now: Instant) {
        let (arrived_at_smsc, arrived_at_esme) = (self.to_smsc.take(now), self.to_esme.take(now));
        let shut = self.to_smsc.shut && self.to_smsc.pieces.is_empty();
        let ends = [
            (&mut self.esme, arrived_at_esme, &mut self.to_smsc, false),
            (&mut self.smsc, arrived_at_smsc, &mut self.to_esme, shut),
        ];
        for (end, arrived, pipe, theirs_is_shut) in ends {
            end.hear(&arrived, now);
            if theirs_is_shut {
                end.session.handle_half_closed(now);
            }
            if self.dice.one_in(100) {
                end.hear_noise(now, &mut self.dice);
            }
            if self.dice.one_in(500) {
                end.session.probe(now, Duration::from_millis(300));
            }
            end.tick(now);
            end.take_events(now, &mut self.dice);
            end.speak(pipe, now, &mut self.dice);
        }
    }

    /// Either the connection falls, octets on their way included, or an end that is finished and
    /// has flushed drops it.
    fn disconnect_what_is_over(&mut self, now: Instant) {
        let dead = self.dies_at.is_some_and(|at| at <= now);
        let flushed = |end: &End, pipe: &Pipe| {
            let over = end.session.finished().is_some() && end.outbound.is_empty();
            over && end.session.pdus_waiting() == 0 && pipe.pieces.is_empty()
        };
        let over = dead || flushed(&self.esme, &self.to_smsc) || flushed(&self.smsc, &self.to_esme);
        if over {
            for end in [&mut self.esme, &mut self.smsc] {
                end.session.handle_disconnected(CloseReason::PeerClosed);
                end.take_events(now, &mut self.dice);
            }
        }
    }

    /// The next thing that happens; owners act every few milliseconds in any case.
    fn next_at(&mut self) -> Instant {
        let owners = self.now + Duration::from_millis(1) + self.dice.millis(20);
        let timers = [self.esme.next_at(), self.smsc.next_at()];
        let pipes = [self.to_esme.next_at(), self.to_smsc.next_at()];
        let soonest = timers.into_iter().chain(pipes).flatten().min();
        let next = soonest.map_or(owners, |at| at.min(owners)).max(self.now);
        match self.jumps_at.take_if(|(at, _)| *at <= next) {
            Some((_, jump)) => next + jump,
            None => next,
        }
    }

    fn check(&self) {
        check_direction(&self.esme, &self.smsc, self.limits);
        check_direction(&self.smsc, &self.esme, self.limits);
    }
}

/// In no second more than the rate and the burst of a tenth of it.
fn check_rate(submitted_at: &[Instant], rate: u64) {
    let most = usize::try_from(rate + rate / 10).unwrap();
    for many in submitted_at.windows(most + 2) {
        let took = many[most + 1].duration_since(many[0]);
        assert!(took >= Duration::from_secs(1), "{most} in {took:?}");
    }
}

fn check_direction(sender: &End, receiver: &End, limits: Limits) {
    if let Some(rate) = limits.rate {
        check_rate(&sender.submitted_at, rate);
    }
    let tickets: BTreeSet<_> = sender.outcomes.keys().copied().collect();
    assert!(
        tickets.iter().copied().eq(0..sender.submitted),
        "each ticket has one outcome"
    );
    let arrived: BTreeSet<_> = receiver.received.iter().copied().collect();
    assert_eq!(
        arrived.len(),
        receiver.received.len(),
        "a request arrived twice"
    );
    assert!(
        receiver.received.is_sorted(),
        "requests arrived out of order"
    );
    for (ticket, outcome) in &sender.outcomes {
        match outcome {
            // The session itself refuses what exceeds the window of its peer.
            Outcome::Answered(CommandStatus::ESME_RTHROTTLED) if limits.peer_window < WINDOW => {}
            Outcome::Answered(_) => assert!(arrived.contains(ticket), "{ticket} {outcome:?}"),
            Outcome::Lost { written: false, .. } => {
                assert!(
                    !arrived.contains(ticket),
                    "{ticket} was told not to have left"
                );
            }
            Outcome::Lost { written: true, .. } => {}
        }
    }
}

fn simulate(seed: u64, trace: bool) -> World {
    let outcome = std::panic::catch_unwind(|| {
        let world = World::new(seed, trace).run();
        world.check();
        world
    });
    outcome.unwrap_or_else(|_| panic!("seed {seed} fails: SMPP_SIM_SEED={seed} repeats it"))
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().expect("a number"))
}

#[test]
fn over_many_seeds_every_request_has_one_true_outcome() {
    if let Some(seed) = number("SMPP_SIM_SEED") {
        simulate(seed, true);
        return;
    }
    let mut seen = BTreeSet::new();
    for seed in 0..number("SMPP_SIM_SEEDS").unwrap_or(600) {
        let world = simulate(seed, false);
        for end in [&world.esme, &world.smsc] {
            for outcome in end.outcomes.values() {
                seen.insert(format!("{outcome:?}"));
            }
            seen.extend(end.closed.map(|reason| format!("{reason:?}")));
        }
    }
    // A simulation in which nothing goes wrong would prove nothing.
    for expected in [
        "Answered(ESME_ROK)",
        "Answered(ESME_RTHROTTLED)",
        "Lost { written: true, cause: Timeout }",
        "Lost { written: true, cause: LinkDied }",
        "Lost { written: false, cause: LinkDied }",
        "Lost { written: true, cause: Closed }",
        "WeClosed",
        "PeerUnbound",
        "PeerClosed",
        "LinkDead",
        "NotBoundInTime",
    ] {
        assert!(
            seen.contains(expected),
            "{expected} never happened; {seen:?} did"
        );
    }
}

#[test]
fn the_same_seed_gives_the_same_life() {
    let (one, other) = (simulate(42, false), simulate(42, false));
    assert_eq!(one.esme.outcomes, other.esme.outcomes);
    assert_eq!(one.smsc.received, other.smsc.received);
}
