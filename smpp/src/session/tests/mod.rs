//! The session's promises, each by the PDUs that would break it.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use matrix_smpp_codec::{
    BindResp, CommandId, DeliverSm, Header, Inbound, SubmitSm, SubmitSmResp, cut, decode,
};

mod adaptation;
mod leaving;
mod matrix;
mod outbind;
mod peers;
mod sequences;
mod versions;

use super::commands::bind_request;
use super::*;
use crate::error::SubmitError;
use crate::settings::BindSettings;

/// A session, its clock and all that it said.
struct Probe {
    session: Session,
    now: Instant,
    counters: Arc<Counters>,
}

const SECOND: Duration = Duration::from_secs(1);

fn settings() -> SessionSettings {
    SessionSettings {
        window: 3,
        adapt: None,
        response_timeout: 10 * SECOND,
        enquire_link: 30 * SECOND,
        session_init: 5 * SECOND,
        drain: 4 * SECOND,
        ..SessionSettings::default()
    }
}

fn bind_settings(mode: BindMode) -> BindSettings {
    BindSettings {
        mode,
        system_id: "esme".parse().unwrap(),
        ..BindSettings::default()
    }
}

impl Probe {
    fn open(role: Role, settings: SessionSettings) -> Self {
        let (now, counters) = (crate::clock::now(), Arc::<Counters>::default());
        Self {
            session: Session::new(role, settings, Arc::clone(&counters), now),
            now,
            counters,
        }
    }

    fn esme_with(mode: BindMode, settings: SessionSettings) -> Self {
        let mut probe = Self::open(Role::Esme, settings);
        probe.session.bind(probe.now, &bind_settings(mode));
        let bind = probe.sent().remove(0);
        assert_eq!(bind.command_id(), mode.request());
        let response = Body::empty(mode.request().response().unwrap()).unwrap();
        probe.says(bind.sequence, CommandStatus::ESME_ROK, response);
        assert!(matches!(probe.events()[..], [Event::Bound { .. }]));
        probe
    }

    fn esme() -> Self {
        Self::esme_with(BindMode::Transceiver, settings())
    }

    fn smsc(mode: BindMode) -> Self {
        let mut probe = Self::open(Role::Smsc, settings());
        probe.says(
            1,
            CommandStatus::ESME_ROK,
            bind_request(&bind_settings(mode)),
        );
        assert!(matches!(probe.events()[..], [Event::BindAsked { .. }]));
        probe
            .session
            .answer_bind(probe.now, CommandStatus::ESME_ROK, "smsc".parse().unwrap());
        assert_eq!(probe.sent().len(), 1);
        assert!(matches!(probe.events()[..], [Event::Bound { .. }]));
        probe
    }

    /// The peer says something.
    fn says(&mut self, sequence: u32, status: CommandStatus, body: Body) {
        self.session.handle_inbound(
            self.now,
            Inbound::Pdu(Pdu {
                status,
                sequence,
                body,
            }),
        );
    }

    fn asks(&mut self, sequence: u32, body: Body) {
        self.says(sequence, CommandStatus::ESME_ROK, body);
    }

    /// What goes out, all of it handed to the socket.
    fn sent(&mut self) -> Vec<Pdu> {
        let mut out = BytesMut::new();
        while self.session.poll_transmit(&mut out) {}
        self.session.handle_sent(out.len());
        std::iter::from_fn(|| cut(&mut out, 100_000).unwrap())
            .map(|frame| match decode(frame) {
                Inbound::Pdu(pdu) => pdu,
                other => panic!("{other:?}"),
            })
            .collect()
    }

    fn replies(&mut self) -> Vec<(u32, CommandId, CommandStatus)> {
        self.sent()
            .iter()
            .map(|pdu| (pdu.sequence, pdu.command_id(), pdu.status))
            .collect()
    }

    fn events(&mut self) -> Vec<Event> {
        std::iter::from_fn(|| self.session.poll_event()).collect()
    }

    fn wait(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(at) = self.session.poll_timeout().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.session.handle_timeout(self.now);
        }
        self.now = end;
    }

    fn submit(&mut self, ticket: u64) -> Result<(), SubmitError> {
        let body = Body::SubmitSm(SubmitSm::default());
        self.session.submit(self.now, Ticket(ticket), body)
    }

    fn answer(&mut self, sequence: u32) {
        let body = Body::SubmitSmResp(SubmitSmResp::default());
        self.says(sequence, CommandStatus::ESME_ROK, body);
    }

    fn gone(&mut self) -> Vec<Event> {
        self.session.handle_disconnected(CloseReason::PeerClosed);
        self.events()
    }
}

fn deliver() -> Body {
    Body::DeliverSm(DeliverSm::default())
}

fn unanswered(ticket: u64, written: bool, cause: UnansweredCause) -> Event {
    Event::Unanswered {
        ticket: Ticket(ticket),
        written,
        cause,
    }
}

fn tickets(events: &[Event]) -> Vec<u64> {
    let ticket = |event: &Event| match event {
        Event::Answered { ticket, .. } | Event::Unanswered { ticket, .. } => Some(ticket.0),
        _ => None,
    };
    events.iter().filter_map(ticket).collect()
}

#[test]
fn a_response_cannot_be_submitted() {
    let mut esme = Probe::esme();
    let response = Body::empty(CommandId::DELIVER_SM_RESP).unwrap();
    let outcome = esme.session.submit(esme.now, Ticket(1), response);
    assert!(matches!(outcome, Err(SubmitError::NotAllowed(_))));
}

#[test]
fn a_receiver_has_no_capacity_and_gets_its_request_back() {
    let mut esme = Probe::esme_with(BindMode::Receiver, settings());
    assert_eq!(esme.session.capacity(esme.now), 0);
    let Err(SubmitError::NotBound(body)) = esme.submit(1) else {
        panic!()
    };
    assert_eq!(*body, Body::SubmitSm(SubmitSm::default()));
}

// === binding ===

#[test]
fn an_error_in_the_bind_response_ends_the_session_with_its_status() {
    for status in [CommandStatus::ESME_RINVPASWD, CommandStatus::ESME_RALYBND] {
        let mut esme = Probe::open(Role::Esme, settings());
        esme.session
            .bind(esme.now, &bind_settings(BindMode::Transceiver));
        esme.says(1, status, Body::BindTransceiverResp(BindResp::default()));
        assert_eq!(
            esme.session.finished(),
            Some(CloseReason::BindRefused(status))
        );
    }
}

#[test]
fn a_generic_nack_answers_a_bind_and_never_means_yes() {
    for (status, told) in [
        (CommandStatus::ESME_RINVCMDID, CommandStatus::ESME_RINVCMDID),
        (CommandStatus::ESME_ROK, CommandStatus::ESME_RUNKNOWNERR),
    ] {
        let mut esme = Probe::open(Role::Esme, settings());
        esme.session
            .bind(esme.now, &bind_settings(BindMode::Transceiver));
        esme.says(1, status, Body::GenericNack);
        assert_eq!(esme.session.finished(), Some(CloseReason::BindNacked(told)));
    }
}

#[test]
fn a_bind_response_of_another_mode_does_not_bind() {
    let mut esme = Probe::open(Role::Esme, settings());
    esme.session
        .bind(esme.now, &bind_settings(BindMode::Transceiver));
    esme.says(
        1,
        CommandStatus::ESME_ROK,
        Body::BindReceiverResp(BindResp::default()),
    );
    assert_eq!(esme.session.state(), SessionState::Open);
}

#[test]
fn neither_end_waits_longer_for_the_bind_than_session_init() {
    for role in [Role::Esme, Role::Smsc] {
        let mut probe = Probe::open(role, settings());
        probe
            .session
            .bind(probe.now, &bind_settings(BindMode::Transceiver));
        probe.wait((5 * SECOND).checked_sub(Duration::from_millis(1)).unwrap());
        assert_eq!(probe.session.finished(), None);
        probe.wait(Duration::from_millis(1));
        assert_eq!(
            probe.session.finished(),
            Some(CloseReason::NotBoundInTime),
            "{role:?}"
        );
    }
}

#[test]
fn a_peer_that_does_not_tell_its_version_is_bound_without_one() {
    let mut esme = Probe::open(Role::Esme, settings());
    esme.session
        .bind(esme.now, &bind_settings(BindMode::Transceiver));
    let response = BindResp {
        system_id: "old".parse().unwrap(),
        ..BindResp::default()
    };
    esme.asks(1, Body::BindTransceiverResp(response));
    let bound = Event::Bound {
        peer: "old".parse().unwrap(),
        interface_version: None,
    };
    assert_eq!(esme.events(), [bound]);
}

#[test]
fn the_version_is_told_only_to_peers_that_know_tlvs() {
    for (version, tells) in [
        (InterfaceVersion::V3_3, false),
        (InterfaceVersion::V3_4, true),
        (InterfaceVersion::V5_0, true),
    ] {
        let mut smsc = Probe::open(Role::Smsc, settings());
        let bind = BindSettings {
            interface_version: version,
            ..bind_settings(BindMode::Receiver)
        };
        smsc.asks(1, bind_request(&bind));
        smsc.session
            .answer_bind(smsc.now, CommandStatus::ESME_ROK, "smsc".parse().unwrap());
        let Body::BindReceiverResp(response) = smsc.sent().remove(0).body else {
            panic!()
        };
        assert_eq!(
            response.tlvs.sc_interface_version().is_some(),
            tells,
            "{version}"
        );
    }
}

#[test]
fn a_second_bind_before_the_first_is_answered_is_refused() {
    let mut smsc = Probe::open(Role::Smsc, settings());
    smsc.asks(1, bind_request(&bind_settings(BindMode::Transceiver)));
    smsc.asks(2, bind_request(&bind_settings(BindMode::Receiver)));
    let refusal = (
        2,
        CommandId::BIND_RECEIVER_RESP,
        CommandStatus::ESME_RALYBND,
    );
    assert_eq!(smsc.replies(), [refusal]);
    assert_eq!(smsc.events().len(), 1);
}

#[test]
fn a_refused_bind_is_answered_and_the_session_ends() {
    let mut smsc = Probe::open(Role::Smsc, settings());
    smsc.asks(9, bind_request(&bind_settings(BindMode::Transceiver)));
    let status = CommandStatus::ESME_RINVPASWD;
    smsc.session
        .answer_bind(smsc.now, status, COctets::default());
    assert_eq!(
        smsc.replies(),
        [(9, CommandId::BIND_TRANSCEIVER_RESP, status)]
    );
    assert_eq!(
        smsc.session.finished(),
        Some(CloseReason::BindRefused(status))
    );
}

// === requests and answers ===

#[test]
fn answers_find_their_requests_in_any_order() {
    let mut esme = Probe::esme();
    for ticket in 10..13 {
        esme.submit(ticket).unwrap();
    }
    let sequences: Vec<_> = esme.sent().iter().map(|pdu| pdu.sequence).collect();
    assert_eq!(sequences, [2, 3, 4], "the bind had 1");
    for sequence in [4, 2, 3] {
        esme.answer(sequence);
    }
    assert_eq!(tickets(&esme.events()), [12, 10, 11]);
}

#[test]
fn a_late_response_is_counted_and_dropped() {
    let mut esme = Probe::esme();
    esme.submit(1).unwrap();
    esme.sent();
    esme.wait(10 * SECOND);
    assert_eq!(
        esme.events(),
        [unanswered(1, true, UnansweredCause::Timeout)]
    );
    esme.answer(2);
    assert_eq!(esme.events(), []);
    assert_eq!(esme.counters.stray_responses.load(Relaxed), 1);
    assert_eq!(esme.counters.timeouts.load(Relaxed), 1);
    assert_eq!(
        esme.session.capacity(esme.now),
        3,
        "the place in the window is free again"
    );
}

#[test]
fn a_response_that_comes_twice_counts_once() {
    let mut esme = Probe::esme();
    esme.submit(1).unwrap();
    esme.sent();
    esme.answer(2);
    esme.answer(2);
    assert_eq!(tickets(&esme.events()), [1]);
    assert_eq!(esme.counters.stray_responses.load(Relaxed), 1);
}

#[test]
fn a_request_of_the_peer_with_the_same_number_is_not_an_answer() {
    let mut esme = Probe::esme();
    esme.submit(1).unwrap();
    let sequence = esme.sent().remove(0).sequence;
    esme.asks(sequence, deliver());
    esme.says(
        sequence,
        CommandStatus::ESME_ROK,
        Body::empty(CommandId::DATA_SM_RESP).unwrap(),
    );
    assert_eq!(esme.session.in_flight(), 1);
    assert_eq!(
        esme.events(),
        [Event::Request {
            sequence,
            body: deliver()
        }]
    );
}

#[test]
fn a_generic_nack_answers_a_request() {
    let mut esme = Probe::esme();
    esme.submit(1).unwrap();
    esme.sent();
    esme.says(2, CommandStatus::ESME_RINVCMDID, Body::GenericNack);
    let status = CommandStatus::ESME_RINVCMDID;
    let body = Body::GenericNack;
    assert_eq!(
        esme.events(),
        [Event::Answered {
            ticket: Ticket(1),
            status,
            body
        }]
    );
}

#[test]
fn the_numbers_of_the_peer_are_echoed_whatever_they_are() {
    let mut esme = Probe::esme();
    for sequence in [0, 0x8000_0000, 0x806A_179B, u32::MAX] {
        esme.asks(sequence, Body::EnquireLink);
        let reply = (
            sequence,
            CommandId::ENQUIRE_LINK_RESP,
            CommandStatus::ESME_ROK,
        );
        assert_eq!(esme.replies(), [reply]);
    }
}

#[test]
fn an_unknown_command_is_nacked_with_its_number() {
    let mut esme = Probe::esme();
    let header = Header {
        command_id: CommandId(0x112),
        status: CommandStatus::ESME_ROK,
        sequence: 5,
    };
    esme.session.handle_inbound(
        esme.now,
        Inbound::Unknown {
            header,
            body: Bytes::new(),
        },
    );
    let nack = (5, CommandId::GENERIC_NACK, CommandStatus::ESME_RINVCMDID);
    assert_eq!(esme.replies(), [nack]);
}

#[test]
fn an_unknown_response_is_never_answered() {
    let mut esme = Probe::esme();
    let command_id = CommandId(0x8000_0112);
    let header = Header {
        command_id,
        status: CommandStatus::ESME_ROK,
        sequence: 5,
    };
    esme.session.handle_inbound(
        esme.now,
        Inbound::Unknown {
            header,
            body: Bytes::new(),
        },
    );
    assert_eq!(esme.replies(), []);
    assert_eq!(esme.counters.stray_responses.load(Relaxed), 1);
}

/// A PDU of this command whose body is cut off in the middle of its first field.
fn malformed(command_id: CommandId, status: CommandStatus, sequence: u32) -> Inbound {
    let mut frame = BytesMut::new();
    for word in [0x12, command_id.0, status.0, sequence] {
        frame.extend_from_slice(&word.to_be_bytes());
    }
    // Longer than any message_id or service_type.
    frame.extend_from_slice(&[b'x'; 80]);
    let inbound = decode(frame.freeze());
    assert!(matches!(inbound, Inbound::Malformed { .. }), "{inbound:?}");
    inbound
}

#[test]
fn a_request_that_cannot_be_read_is_refused_and_the_session_lives() {
    let mut esme = Probe::esme();
    let request = malformed(CommandId::DELIVER_SM, CommandStatus::ESME_ROK, 8);
    esme.session.handle_inbound(esme.now, request);
    let refusal = (
        8,
        CommandId::DELIVER_SM_RESP,
        CommandStatus::ESME_RINVPARLEN,
    );
    assert_eq!(esme.replies(), [refusal]);
    assert_eq!(esme.events(), []);
    assert_eq!(
        esme.session.state(),
        SessionState::Bound(BindMode::Transceiver)
    );
    assert_eq!(esme.counters.malformed.load(Relaxed), 1);
}

#[test]
fn in_a_wrong_state_the_state_is_what_is_refused_however_the_request_is_written() {
    let mut smsc = Probe::open(Role::Smsc, settings());
    let request = malformed(CommandId::DATA_SM, CommandStatus::ESME_ROK, 8);
    smsc.session.handle_inbound(smsc.now, request);
    let refusal = (8, CommandId::DATA_SM_RESP, CommandStatus::ESME_RINVBNDSTS);
    assert_eq!(smsc.replies(), [refusal]);
    assert_eq!(smsc.session.state(), SessionState::Open);
}

#[test]
fn a_response_that_cannot_be_read_still_answers() {
    let mut esme = Probe::esme();
    esme.submit(1).unwrap();
    esme.sent();
    let response = malformed(CommandId::SUBMIT_SM_RESP, CommandStatus::ESME_ROK, 2);
    esme.session.handle_inbound(esme.now, response);
    let (status, body) = (
        CommandStatus::ESME_ROK,
        Body::SubmitSmResp(SubmitSmResp::default()),
    );
    assert_eq!(
        esme.events(),
        [Event::Answered {
            ticket: Ticket(1),
            status,
            body
        }]
    );
}

#[test]
fn an_impossible_length_is_nacked_and_ends_the_session() {
    let mut esme = Probe::esme();
    esme.session.handle_broken_framing(7);
    let nack = (7, CommandId::GENERIC_NACK, CommandStatus::ESME_RINVCMDLEN);
    assert_eq!(esme.replies(), [nack]);
    assert_eq!(esme.session.finished(), Some(CloseReason::BrokenFraming));
}

// === window, rate, slow_down ===

#[test]
fn the_window_is_never_exceeded() {
    let mut esme = Probe::esme();
    for ticket in 0..3 {
        assert_eq!(
            esme.session.capacity(esme.now),
            3 - usize::try_from(ticket).unwrap()
        );
        esme.submit(ticket).unwrap();
    }
    assert!(matches!(esme.submit(3), Err(SubmitError::WindowFull(_))));
    esme.answer(3);
    assert_eq!(esme.session.capacity(esme.now), 1);
}

#[test]
fn the_rate_frees_a_place_and_the_session_asks_to_be_woken_then() {
    let rate = NonZeroU32::new(2);
    let mut esme = Probe::esme_with(
        BindMode::Transceiver,
        SessionSettings { rate, ..settings() },
    );
    esme.submit(1).unwrap();
    assert_eq!(esme.session.capacity(esme.now), 0);
    let refill = esme.now + SECOND / 2;
    assert_eq!(esme.session.poll_timeout(), Some(refill));
    assert_eq!(esme.session.capacity(refill), 1);
    esme.session.handle_timeout(refill);
    assert_ne!(
        esme.session.poll_timeout(),
        Some(refill),
        "or the driver would spin"
    );
}

#[test]
fn slow_down_stops_submissions_and_the_session_asks_to_be_woken_at_its_end() {
    let mut esme = Probe::esme();
    esme.session.slow_down(esme.now, 2 * SECOND);
    esme.session.slow_down(esme.now, SECOND);
    assert_eq!(
        esme.session.capacity(esme.now + SECOND),
        0,
        "the longer pause counts"
    );
    assert_eq!(esme.session.poll_timeout(), Some(esme.now + 2 * SECOND));
    assert!(matches!(esme.submit(1), Err(SubmitError::WindowFull(_))));
    esme.wait(2 * SECOND);
    assert_eq!(esme.session.capacity(esme.now), 3);
}

#[test]
fn a_smaller_window_counts_what_is_in_flight() {
    let mut esme = Probe::esme();
    esme.submit(1).unwrap();
    esme.submit(2).unwrap();
    esme.session.set_limits(1, None);
    assert_eq!(esme.session.capacity(esme.now), 0);
    esme.answer(2);
    esme.answer(3);
    assert_eq!(esme.session.capacity(esme.now), 1);
}

// === life and death ===

#[test]
fn enquire_link_is_sent_only_after_silence() {
    let mut esme = Probe::esme();
    for _ in 0..5 {
        esme.wait(29 * SECOND);
        esme.asks(1, deliver());
    }
    assert_eq!(esme.sent(), [], "any PDU is a sign of life");
    esme.wait(30 * SECOND);
    assert_eq!(esme.sent().remove(0).command_id(), CommandId::ENQUIRE_LINK);
}

#[test]
fn a_silent_peer_is_given_up_after_enquire_link_and_the_response_timer() {
    let mut esme = Probe::esme();
    esme.wait((40 * SECOND).checked_sub(Duration::from_millis(1)).unwrap());
    assert_eq!(esme.session.finished(), None);
    esme.wait(Duration::from_millis(1));
    assert_eq!(esme.session.finished(), Some(CloseReason::LinkDead));
}

#[test]
fn a_peer_that_talks_but_does_not_answer_enquire_link_is_alive() {
    let mut esme = Probe::esme();
    esme.wait(35 * SECOND);
    esme.asks(1, deliver());
    esme.wait(20 * SECOND);
    assert_eq!(esme.session.finished(), None);
}

#[test]
fn silence_means_nothing_while_we_do_not_read() {
    let mut esme = Probe::esme();
    for _ in 0..20 {
        esme.wait(9 * SECOND);
        esme.session.handle_not_reading(esme.now);
    }
    assert_eq!(esme.session.finished(), None);
}

#[test]
fn an_inactive_session_is_unbound() {
    let inactivity = Some(60 * SECOND);
    let mut esme = Probe::esme_with(
        BindMode::Transceiver,
        SessionSettings {
            inactivity,
            ..settings()
        },
    );
    for _ in 0..3 {
        esme.wait(19 * SECOND);
        esme.asks(1, Body::EnquireLink);
    }
    esme.sent();
    esme.wait(3 * SECOND);
    let unbind = esme.sent().remove(0);
    assert_eq!(
        unbind.command_id(),
        CommandId::UNBIND,
        "enquire_link is no activity"
    );
    esme.says(unbind.sequence, CommandStatus::ESME_ROK, Body::UnbindResp);
    assert_eq!(esme.session.finished(), Some(CloseReason::Inactive));
}

#[test]
fn a_request_that_times_out_in_the_outbox_is_never_sent() {
    let mut esme = Probe::esme();
    esme.submit(1).unwrap();
    esme.wait(10 * SECOND);
    assert_eq!(
        esme.events(),
        [unanswered(1, false, UnansweredCause::Timeout)]
    );
    assert_eq!(esme.sent(), []);
}

#[test]
fn a_dead_link_tells_which_requests_may_have_left() {
    let mut esme = Probe::esme();
    let mut out = BytesMut::new();
    for ticket in 1..=3 {
        esme.submit(ticket).unwrap();
    }
    assert!(esme.session.poll_transmit(&mut out));
    let first = out.len();
    assert!(esme.session.poll_transmit(&mut out));
    // The first left whole, the second by one octet, the third not at all.
    esme.session.handle_sent(first + 1);
    let cause = UnansweredCause::LinkDied;
    assert_eq!(
        esme.gone(),
        [
            unanswered(1, true, cause),
            unanswered(2, true, cause),
            unanswered(3, false, cause),
            Event::Closed(CloseReason::PeerClosed),
        ]
    );
}

#[test]
fn a_request_encoded_but_not_handed_to_the_socket_was_not_written() {
    let mut esme = Probe::esme();
    let mut out = BytesMut::new();
    esme.submit(1).unwrap();
    esme.submit(2).unwrap();
    assert!(esme.session.poll_transmit(&mut out));
    esme.session.handle_sent(out.len());
    assert!(esme.session.poll_transmit(&mut out));
    let events = esme.gone();
    assert_eq!(events[0], unanswered(1, true, UnansweredCause::LinkDied));
    assert_eq!(events[1], unanswered(2, false, UnansweredCause::LinkDied));
}

#[test]
fn the_end_is_told_once() {
    let mut esme = Probe::esme();
    assert_eq!(esme.gone().len(), 1);
    assert_eq!(esme.gone(), []);
}

#[test]
fn the_peer_may_unbind_at_any_time() {
    let mut esme = Probe::esme();
    esme.submit(1).unwrap();
    esme.sent();
    esme.submit(2).unwrap();
    esme.asks(40, Body::Unbind);
    let reply = (40, CommandId::UNBIND_RESP, CommandStatus::ESME_ROK);
    assert_eq!(esme.replies(), [reply], "nothing else goes out any more");
    let cause = UnansweredCause::LinkDied;
    let closed = Event::Closed(CloseReason::PeerUnbound);
    assert_eq!(
        esme.gone(),
        [
            unanswered(1, true, cause),
            unanswered(2, false, cause),
            closed
        ]
    );
}

#[test]
fn unbinds_that_cross_are_both_answered() {
    let mut esme = Probe::esme();
    esme.session.close(esme.now);
    esme.sent();
    esme.asks(7, Body::Unbind);
    assert_eq!(
        esme.replies(),
        [(7, CommandId::UNBIND_RESP, CommandStatus::ESME_ROK)]
    );
    assert_eq!(esme.session.finished(), Some(CloseReason::WeClosed));
}

#[test]
fn a_graceful_close_waits_for_the_answers_of_both_sides() {
    let mut esme = Probe::esme();
    esme.submit(1).unwrap();
    esme.asks(50, deliver());
    esme.sent();
    esme.session.close(esme.now);
    assert!(matches!(esme.submit(2), Err(SubmitError::NotBound(_))));
    assert_eq!(esme.sent(), []);
    esme.answer(2);
    assert_eq!(esme.sent(), [], "the peer still waits for ours");
    let response = Body::empty(CommandId::DELIVER_SM_RESP).unwrap();
    esme.session
        .respond(esme.now, 50, CommandStatus::ESME_ROK, response);
    let commands: Vec<_> = esme.sent().iter().map(Pdu::command_id).collect();
    assert_eq!(commands, [CommandId::DELIVER_SM_RESP, CommandId::UNBIND]);
}

#[test]
fn a_graceful_close_does_not_wait_for_ever() {
    let mut esme = Probe::esme();
    esme.submit(1).unwrap();
    esme.sent();
    esme.session.close(esme.now);
    esme.wait(4 * SECOND);
    assert_eq!(esme.sent().remove(0).command_id(), CommandId::UNBIND);
    esme.wait(4 * SECOND);
    assert_eq!(
        esme.session.finished(),
        Some(CloseReason::WeClosed),
        "unbind went unanswered"
    );
}

#[test]
fn an_answer_on_a_session_that_is_over_is_counted_and_dropped() {
    let mut esme = Probe::esme();
    esme.asks(50, deliver());
    esme.session.handle_broken_framing(0);
    esme.sent();
    let response = Body::empty(CommandId::DELIVER_SM_RESP).unwrap();
    esme.session
        .respond(esme.now, 50, CommandStatus::ESME_ROK, response);
    assert_eq!(esme.sent(), []);
    assert_eq!(esme.counters.orphaned_answers.load(Relaxed), 1);
}

/// An ESME that wants to know when its answers were read.
fn confirming() -> Probe {
    let settings = SessionSettings {
        confirm_answers: Some(3 * SECOND),
        ..settings()
    };
    Probe::esme_with(BindMode::Transceiver, settings)
}

fn answers(esme: &mut Probe, sequence: u32) -> Option<u64> {
    esme.asks(sequence, deliver());
    esme.events();
    let response = Body::empty(CommandId::DELIVER_SM_RESP).unwrap();
    let (session, now) = (&mut esme.session, esme.now);
    session.respond(now, sequence, CommandStatus::ESME_ROK, response)
}

#[test]
fn an_answer_was_read_when_a_request_behind_it_is_answered() {
    let mut esme = confirming();
    assert_eq!(answers(&mut esme, 50), Some(1));
    esme.submit(1).unwrap();
    assert_eq!(answers(&mut esme, 51), Some(2));
    let submit = esme.sent().remove(1);
    esme.answer(submit.sequence);
    assert_eq!(esme.events()[0], Event::Heard(1), "the second may be lost");
    // Nothing follows the second, so the peer is asked.
    esme.wait(3 * SECOND);
    let enquiry = esme.sent().remove(0);
    assert_eq!(enquiry.command_id(), CommandId::ENQUIRE_LINK);
    let ok = CommandStatus::ESME_ROK;
    esme.says(enquiry.sequence, ok, Body::EnquireLinkResp);
    assert_eq!(esme.events(), [Event::Heard(2)]);
    esme.wait(10 * SECOND);
    assert_eq!(esme.sent(), [], "all is known");
}

#[test]
fn what_the_peer_asks_says_nothing_of_our_answers() {
    let mut esme = confirming();
    answers(&mut esme, 50);
    esme.asks(51, Body::EnquireLink);
    esme.asks(52, deliver());
    assert!(matches!(esme.events()[..], [Event::Request { .. }]));
    esme.asks(53, Body::Unbind);
    assert_eq!(esme.events(), []);
}

#[test]
fn a_graceful_close_tells_that_the_last_answers_were_read() {
    let mut esme = confirming();
    answers(&mut esme, 50);
    esme.session.close(esme.now);
    let unbind = esme.sent().remove(1);
    assert_eq!(unbind.command_id(), CommandId::UNBIND);
    esme.says(unbind.sequence, CommandStatus::ESME_ROK, Body::UnbindResp);
    assert_eq!(esme.events(), [Event::Heard(1)]);
}

#[test]
fn an_alert_is_sent_and_waits_for_nothing() {
    let mut smsc = Probe::smsc(BindMode::Receiver);
    let alert = Body::empty(CommandId::ALERT_NOTIFICATION).unwrap();
    smsc.session.submit(smsc.now, Ticket(1), alert).unwrap();
    assert_eq!(smsc.sent().len(), 1);
    assert!(smsc.session.is_idle());
}

// An answer that nobody read yet must not count as missing: the request would be sent twice.
#[test]
fn requests_do_not_expire_while_their_answers_may_lie_unread() {
    let mut esme = Probe::esme();
    esme.submit(1).unwrap();
    let waits = esme.sent().remove(0).sequence;
    esme.session.handle_not_reading(esme.now);
    esme.wait(20 * SECOND);
    assert_eq!(esme.events(), []);
    esme.answer(waits);
    assert_eq!(tickets(&esme.events()), [1]);
}

#[test]
fn requests_expire_once_all_is_read() {
    let mut esme = Probe::esme();
    esme.submit(1).unwrap();
    esme.sent();
    esme.session.handle_not_reading(esme.now);
    esme.wait(20 * SECOND);
    esme.session.handle_all_read();
    esme.session.handle_timeout(esme.now);
    assert_eq!(tickets(&esme.events()), [1]);
}

#[test]
fn a_close_ends_in_time_while_nothing_is_read() {
    let mut esme = Probe::esme();
    esme.submit(1).unwrap();
    esme.session.handle_not_reading(esme.now);
    esme.session.close(esme.now);
    esme.wait(20 * SECOND);
    assert_eq!(esme.session.finished(), Some(CloseReason::WeClosed));
}
