//! Any sequence of what may happen to a session: by its owner, its peer and time.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

#[derive(Debug, Clone, Copy)]
enum Act {
    Bind(BindMode),
    Outbind,
    AnswerBind(bool),
    Submit,
    Respond(u32),
    SetLimits(usize, Option<u32>),
    LimitPeer(usize),
    SlowDown(u64),
    Probe(u64),
    Close,
    /// The peer says this, by its place among the known commands, with this number and status.
    Hear(usize, u32, u32),
    HearMalformed(usize, u32),
    HearGarbage,
    Flush,
    Wait(u64),
}

const UNREADABLE: [CommandId; 8] = [
    CommandId::SUBMIT_SM,
    CommandId::DELIVER_SM,
    CommandId::DATA_SM,
    CommandId::BIND_TRANSCEIVER,
    CommandId::BIND_RECEIVER,
    CommandId::QUERY_SM,
    CommandId::SUBMIT_SM_RESP,
    CommandId::DELIVER_SM_RESP,
];

fn acts() -> impl Strategy<Value = Act> {
    let small = 0..20_u32;
    prop_oneof![
        1 => (0..3_usize).prop_map(|mode| Act::Bind(BindMode::ALL[mode])),
        1 => Just(Act::Outbind),
        2 => prop::bool::weighted(0.9).prop_map(Act::AnswerBind),
        10 => Just(Act::Submit),
        4 => small.clone().prop_map(Act::Respond),
        1 => (0..5_usize, any::<Option<u32>>()).prop_map(|(window, rate)| Act::SetLimits(window, rate)),
        1 => (0..5_usize).prop_map(Act::LimitPeer),
        1 => (0..5_000_u64).prop_map(Act::SlowDown),
        1 => (0..5_000_u64).prop_map(Act::Probe),
        1 => Just(Act::Close),
        20 => (0..CommandId::KNOWN.len(), small.clone(), 0..0x60_u32)
            .prop_map(|(command, sequence, status)| Act::Hear(command, sequence, status)),
        2 => (0..UNREADABLE.len(), small)
            .prop_map(|(command, sequence)| Act::HearMalformed(command, sequence)),
        1 => prop::bool::weighted(0.05).prop_map(|garbage| {
            if garbage { Act::HearGarbage } else { Act::Flush }
        }),
        8 => Just(Act::Flush),
        6 => (0..3_000_u64).prop_map(Act::Wait),
        1 => (0..10_000_000_u64).prop_map(Act::Wait),
    ]
}

/// A session and the tickets of its owner.
struct Life {
    probe: Probe,
    window: usize,
    submitted: u64,
    outcomes: BTreeSet<u64>,
    ended: bool,
}

impl Life {
    fn act(&mut self, act: Act) {
        let now = self.probe.now;
        let session = &mut self.probe.session;
        match act {
            Act::Bind(mode) => session.bind(now, &bind_settings(mode)),
            Act::Outbind => session.outbind(Outbind::default()),
            Act::AnswerBind(ok) => {
                let status = if ok {
                    CommandStatus::ESME_ROK
                } else {
                    CommandStatus::ESME_RINVPASWD
                };
                session.answer_bind(now, status, COctets::default());
            }
            Act::Submit => self.submit(),
            Act::Respond(sequence) => {
                let body = Body::SubmitSmResp(SubmitSmResp::default());
                session.respond(now, sequence, CommandStatus::ESME_ROK, body);
            }
            Act::SetLimits(window, rate) => {
                self.window = self.window.max(window);
                session.set_limits(window, rate.and_then(NonZeroU32::new));
            }
            Act::LimitPeer(window) => session.limit_peer(window, None),
            Act::SlowDown(millis) => session.slow_down(now, Duration::from_millis(millis)),
            Act::Probe(millis) => session.probe(now, Duration::from_millis(millis)),
            Act::Close => session.close(now),
            Act::Hear(command, sequence, status) => {
                let body = Body::empty(CommandId::KNOWN[command]);
                if let Some(body) = body {
                    self.probe.says(sequence, CommandStatus(status), body);
                }
            }
            Act::HearMalformed(command, sequence) => {
                let status = CommandStatus::ESME_ROK;
                let inbound = malformed(UNREADABLE[command], status, sequence);
                session.handle_inbound(now, inbound);
            }
            Act::HearGarbage => session.handle_broken_framing(0),
            Act::Flush => {
                self.probe.sent();
            }
            Act::Wait(millis) => {
                self.probe.now += Duration::from_millis(millis);
                self.probe.session.handle_timeout(self.probe.now);
                let next = self.probe.session.poll_timeout();
                assert!(next.is_none_or(|at| at > self.probe.now), "it would spin");
            }
        }
        self.take_events();
    }

    fn submit(&mut self) {
        let command = match self.probe.session.role {
            Role::Esme => CommandId::SUBMIT_SM,
            Role::Smsc => CommandId::DELIVER_SM,
        };
        let room = self.probe.session.capacity(self.probe.now);
        let body = Body::empty(command).unwrap();
        let ticket = Ticket(self.submitted);
        let taken = self.probe.session.submit(self.probe.now, ticket, body);
        assert_eq!(taken.is_ok(), room > 0, "{taken:?}");
        self.submitted += u64::from(taken.is_ok());
        assert!(self.probe.session.in_flight() <= self.window);
    }

    fn take_events(&mut self) {
        for event in self.probe.events() {
            assert!(!self.ended, "after the end: {event:?}");
            self.ended = matches!(event, Event::Closed(_));
            if let Event::Answered { ticket, .. } | Event::Unanswered { ticket, .. } = event {
                assert!(self.outcomes.insert(ticket.0), "twice: {ticket:?}");
            }
        }
    }
}

proptest! {
    #[test]
    fn whatever_happens_each_request_has_one_outcome_and_nothing_follows_the_end(
        role in prop_oneof![Just(Role::Esme), Just(Role::Smsc)],
        bound in prop::bool::weighted(0.8),
        adapts in any::<bool>(),
        acts in prop::collection::vec(acts(), 0..120),
    ) {
        let settings = SessionSettings {
            adapt: SessionSettings::default().adapt.filter(|_| adapts),
            inactivity: adapts.then_some(60 * SECOND),
            ..settings()
        };
        let probe = match (bound, role) {
            (false, role) => Probe::open(role, settings),
            (true, Role::Esme) => Probe::esme_with(BindMode::Transceiver, settings),
            (true, Role::Smsc) => Probe::smsc(BindMode::Transceiver),
        };
        let mut life = Life {
            probe,
            window: settings.window,
            submitted: 0,
            outcomes: BTreeSet::new(),
            ended: false,
        };
        for act in acts {
            life.act(act);
        }
        life.probe.session.handle_disconnected(CloseReason::PeerClosed);
        life.take_events();
        prop_assert!(life.ended);
        prop_assert!(life.outcomes.into_iter().eq(0..life.submitted));
        prop_assert_eq!(life.probe.sent(), []);
    }
}
