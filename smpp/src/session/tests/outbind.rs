//! SMPP 3.4 §2.2.1: the SMSC connects and asks to be bound to.

use super::*;

fn outbind() -> Outbind {
    Outbind {
        system_id: "smsc".parse().unwrap(),
        ..Outbind::default()
    }
}

#[test]
fn an_smsc_asks_and_the_esme_binds_as_a_receiver() {
    let mut smsc = Probe::open(Role::Smsc, settings());
    smsc.session.outbind(outbind());
    assert_eq!(smsc.session.state(), SessionState::Outbound);
    let asked = smsc.sent().remove(0);

    let mut esme = Probe::open(Role::Esme, settings());
    esme.asks(asked.sequence, asked.body);
    assert_eq!(esme.events(), [Event::Outbind(Box::new(outbind()))]);
    let now = esme.now;
    esme.session.bind(now, &bind_settings(BindMode::Receiver));
    let bind = esme.sent().remove(0);

    smsc.asks(bind.sequence, bind.body);
    assert!(matches!(
        smsc.events()[..],
        [Event::BindAsked {
            mode: BindMode::Receiver,
            ..
        }]
    ));
    smsc.session
        .answer_bind(now, CommandStatus::ESME_ROK, "smsc".parse().unwrap());
    let answer = smsc.sent().remove(0);
    esme.says(answer.sequence, answer.status, answer.body);
    for probe in [&smsc, &esme] {
        let bound = SessionState::Bound(BindMode::Receiver);
        assert_eq!(probe.session.state(), bound);
    }
    assert!(smsc.session.submit(now, Ticket(1), deliver()).is_ok());
}

#[test]
fn an_esme_that_does_not_want_it_just_goes() {
    let mut esme = Probe::open(Role::Esme, settings());
    esme.asks(1, Body::Outbind(outbind()));
    esme.session.close(esme.now);
    assert_eq!(esme.session.finished(), Some(CloseReason::WeClosed));
    assert_eq!(esme.sent(), []);
}

#[test]
fn an_smsc_waits_for_the_bind_no_longer_than_session_init() {
    let mut smsc = Probe::open(Role::Smsc, settings());
    smsc.session.outbind(outbind());
    smsc.wait(5 * SECOND);
    assert_eq!(smsc.session.finished(), Some(CloseReason::NotBoundInTime));
}

#[test]
fn an_esme_waits_for_the_outbind_no_longer_than_session_init() {
    let mut esme = Probe::open(Role::Esme, settings());
    esme.wait(5 * SECOND);
    assert_eq!(esme.session.finished(), Some(CloseReason::NotBoundInTime));
}

#[test]
fn only_an_smsc_on_a_fresh_connection_sends_outbind() {
    for mut probe in [Probe::esme(), Probe::smsc(BindMode::Transceiver)] {
        probe.session.outbind(outbind());
        assert_eq!(probe.sent(), []);
    }
    let mut esme = Probe::open(Role::Esme, settings());
    esme.session.outbind(outbind());
    assert_eq!(esme.sent(), []);
}
