//! Who is owed what when the peer goes, and when the owner answers oddly.

use super::*;

fn submit_sm() -> Body {
    Body::SubmitSm(SubmitSm::default())
}

fn answered(sequence: u32) -> (u32, CommandId, CommandStatus) {
    (sequence, CommandId::SUBMIT_SM_RESP, CommandStatus::ESME_ROK)
}

impl Probe {
    /// The owner answers a `submit_sm`.
    fn takes(&mut self, sequence: u32) -> Option<u64> {
        let body = Body::SubmitSmResp(SubmitSmResp::default());
        self.session
            .respond(self.now, sequence, CommandStatus::ESME_ROK, body)
    }
}

#[test]
fn a_second_answer_to_one_request_is_dropped_and_the_other_requests_are_still_owed() {
    let mut smsc = Probe::smsc(BindMode::Transceiver);
    smsc.asks(2, submit_sm());
    smsc.asks(3, submit_sm());
    assert_eq!(smsc.takes(2), Some(1));
    assert_eq!(smsc.takes(2), None);
    assert_eq!(smsc.counters.orphaned_answers.load(Relaxed), 1);
    assert_eq!(smsc.replies(), [answered(2)]);
    smsc.session.close(smsc.now);
    assert_eq!(smsc.sent(), [], "one is owed still");
    assert_eq!(smsc.takes(3), Some(2));
    let commands: Vec<_> = smsc.replies().iter().map(|reply| reply.1).collect();
    assert_eq!(commands, [CommandId::SUBMIT_SM_RESP, CommandId::UNBIND]);
}

#[test]
fn an_answer_to_what_was_never_asked_is_dropped() {
    let mut smsc = Probe::smsc(BindMode::Transceiver);
    assert_eq!(smsc.takes(9), None);
    assert_eq!(smsc.sent(), []);
    assert_eq!(smsc.counters.orphaned_answers.load(Relaxed), 1);
}

#[test]
fn a_number_that_the_peer_uses_twice_at_once_is_answered_twice() {
    let mut smsc = Probe::smsc(BindMode::Transceiver);
    smsc.asks(0, submit_sm());
    smsc.asks(0, submit_sm());
    assert_eq!((smsc.takes(0), smsc.takes(0)), (Some(1), Some(2)));
    assert_eq!(smsc.takes(0), None);
    assert_eq!(smsc.replies(), [answered(0), answered(0)]);
}

#[test]
fn a_peer_that_unbinds_is_given_the_answers_that_it_is_owed_first() {
    let mut smsc = Probe::smsc(BindMode::Transceiver);
    smsc.asks(2, submit_sm());
    smsc.asks(3, submit_sm());
    smsc.asks(4, Body::Unbind);
    assert_eq!(smsc.sent(), []);
    assert_eq!(smsc.session.finished(), None);
    smsc.takes(3);
    assert_eq!(smsc.replies(), [answered(3)]);
    smsc.takes(2);
    let unbound = (4, CommandId::UNBIND_RESP, CommandStatus::ESME_ROK);
    assert_eq!(smsc.replies(), [answered(2), unbound]);
    assert_eq!(smsc.session.finished(), Some(CloseReason::PeerUnbound));
}

#[test]
fn a_peer_that_unbinds_is_not_kept_for_ever_by_an_owner_that_does_not_answer() {
    let mut smsc = Probe::smsc(BindMode::Transceiver);
    smsc.asks(2, submit_sm());
    smsc.asks(4, Body::Unbind);
    smsc.wait(3 * SECOND);
    assert_eq!(smsc.session.finished(), None);
    smsc.wait(SECOND);
    let unbound = (4, CommandId::UNBIND_RESP, CommandStatus::ESME_ROK);
    assert_eq!(smsc.replies(), [unbound]);
    assert_eq!(smsc.session.finished(), Some(CloseReason::PeerUnbound));
    smsc.wait(10 * SECOND);
    assert_eq!(smsc.sent(), []);
}

#[test]
fn behind_its_unbind_a_peer_is_only_told_that_we_live() {
    let mut smsc = Probe::smsc(BindMode::Transceiver);
    smsc.asks(2, submit_sm());
    smsc.asks(4, Body::Unbind);
    smsc.events();
    smsc.asks(5, submit_sm());
    smsc.asks(6, Body::EnquireLink);
    smsc.asks(7, Body::Unbind);
    assert_eq!(smsc.events(), []);
    let alive = (6, CommandId::ENQUIRE_LINK_RESP, CommandStatus::ESME_ROK);
    assert_eq!(smsc.replies(), [alive]);
    assert_eq!(smsc.session.capacity(smsc.now), 0);
}

#[test]
fn both_sides_may_close_while_answers_are_owed() {
    let mut smsc = Probe::smsc(BindMode::Transceiver);
    smsc.asks(2, submit_sm());
    smsc.session.close(smsc.now);
    smsc.asks(4, Body::Unbind);
    smsc.takes(2);
    let unbound = (4, CommandId::UNBIND_RESP, CommandStatus::ESME_ROK);
    assert_eq!(smsc.replies(), [answered(2), unbound]);
    assert_eq!(smsc.session.finished(), Some(CloseReason::PeerUnbound));
}

#[test]
fn a_peer_that_shuts_down_its_side_is_given_the_answers_that_it_is_owed() {
    let mut smsc = Probe::smsc(BindMode::Transceiver);
    smsc.asks(2, submit_sm());
    smsc.session.handle_half_closed(smsc.now);
    assert_eq!(smsc.session.finished(), None);
    assert_eq!(smsc.session.capacity(smsc.now), 0);
    smsc.takes(2);
    assert_eq!(smsc.replies(), [answered(2)]);
    assert_eq!(smsc.session.finished(), Some(CloseReason::PeerClosed));
}

#[test]
fn a_peer_that_shuts_down_its_side_and_is_owed_nothing_is_gone() {
    let mut esme = Probe::esme();
    esme.submit(1).unwrap();
    esme.sent();
    esme.session.handle_half_closed(esme.now);
    assert_eq!(esme.session.finished(), Some(CloseReason::PeerClosed));
    let lost = unanswered(1, true, UnansweredCause::LinkDied);
    assert_eq!(esme.gone()[0], lost);
}

#[test]
fn a_peer_that_can_say_nothing_more_is_asked_nothing() {
    let patient = SessionSettings {
        drain: 1_000 * SECOND,
        inactivity: Some(100 * SECOND),
        ..settings()
    };
    let mut esme = Probe::esme_with(BindMode::Transceiver, patient);
    esme.asks(2, deliver());
    esme.session.handle_half_closed(esme.now);
    esme.wait(999 * SECOND);
    assert_eq!((esme.sent(), esme.session.finished()), (vec![], None));
    esme.wait(SECOND);
    assert_eq!(esme.session.finished(), Some(CloseReason::PeerClosed));
}

#[test]
fn a_bind_is_answered_though_nothing_comes_behind_it_any_more() {
    let mut smsc = Probe::open(Role::Smsc, settings());
    smsc.asks(1, bind_request(&bind_settings(BindMode::Transmitter)));
    smsc.session.handle_half_closed(smsc.now);
    assert_eq!(smsc.session.finished(), None);
    smsc.session
        .answer_bind(smsc.now, CommandStatus::ESME_ROK, "smsc".parse().unwrap());
    assert_eq!(
        smsc.sent()[0].command_id(),
        CommandId::BIND_TRANSMITTER_RESP
    );
    assert_eq!(smsc.session.finished(), Some(CloseReason::PeerClosed));
}

#[test]
fn a_peer_that_is_gone_before_its_bind_is_answered_is_not_waited_for() {
    let mut smsc = Probe::open(Role::Smsc, settings());
    smsc.asks(1, bind_request(&bind_settings(BindMode::Transmitter)));
    smsc.session.handle_half_closed(smsc.now);
    smsc.wait(4 * SECOND);
    assert_eq!(smsc.session.finished(), Some(CloseReason::PeerClosed));
    let mut unbound = Probe::open(Role::Smsc, settings());
    unbound.session.handle_half_closed(unbound.now);
    assert_eq!(unbound.session.finished(), Some(CloseReason::PeerClosed));
}

#[test]
fn what_came_behind_a_bind_that_is_refused_is_told_that_nobody_is_bound() {
    let mut smsc = Probe::open(Role::Smsc, settings());
    let bind = bind_request(&bind_settings(BindMode::Transceiver));
    smsc.asks(1, bind.clone());
    assert!(smsc.session.is_deciding());
    smsc.session.answer_bind(
        smsc.now,
        CommandStatus::ESME_RINVPASWD,
        "smsc".parse().unwrap(),
    );
    assert!(!smsc.session.is_deciding() && smsc.session.is_refusing());
    smsc.events();
    smsc.asks(2, submit_sm());
    smsc.asks(3, Body::EnquireLink);
    smsc.asks(4, bind);
    smsc.asks(5, Body::Unbind);
    smsc.says(6, CommandStatus::ESME_ROK, Body::EnquireLinkResp);
    let (refused, not_bound) = (
        CommandStatus::ESME_RINVPASWD,
        CommandStatus::ESME_RINVBNDSTS,
    );
    let expected = [
        (1, CommandId::BIND_TRANSCEIVER_RESP, refused),
        (2, CommandId::SUBMIT_SM_RESP, not_bound),
        (3, CommandId::ENQUIRE_LINK_RESP, CommandStatus::ESME_ROK),
        (4, CommandId::BIND_TRANSCEIVER_RESP, not_bound),
        (5, CommandId::UNBIND_RESP, not_bound),
    ];
    assert_eq!(smsc.replies(), expected);
    assert_eq!(smsc.events(), []);
    assert_eq!(
        smsc.session.finished(),
        Some(CloseReason::BindRefused(refused))
    );
}
