//! Window and rate of a session follow what the peer says.

use matrix_smpp_codec::{DestAddress, DestAddresses, SubmitMulti};

use super::*;

fn refuse(probe: &mut Probe, sequence: u32, status: CommandStatus) {
    let body = Body::SubmitSmResp(SubmitSmResp::default());
    probe.says(sequence, status, body);
}

fn wide() -> SessionSettings {
    SessionSettings {
        window: 100,
        rate: NonZeroU32::new(200),
        adapt: SessionSettings::default().adapt,
        enquire_link: 1_000 * SECOND,
        ..settings()
    }
}

#[test]
fn a_throttled_session_pauses_then_goes_on_at_half_the_rate() {
    let mut esme = Probe::esme_with(BindMode::Transceiver, wide());
    esme.submit(1).unwrap();
    esme.wait(SECOND);
    refuse(&mut esme, 2, CommandStatus::ESME_RTHROTTLED);
    assert_eq!(esme.session.capacity(esme.now), 0);
    let pause = Duration::from_millis(500);
    assert_eq!(esme.session.paused_for(esme.now), Some(pause));
    assert!(esme.session.poll_timeout() <= Some(esme.now + pause));
    esme.wait(pause);
    assert_eq!(esme.session.paused_for(esme.now), None);
    assert_eq!(esme.session.pace(), (75, NonZeroU32::new(100)));
    let mut sent = 0;
    for _ in 0..100 {
        while esme.submit(9).is_ok() {
            sent += 1;
            let sequence = esme.sent().remove(0).sequence;
            refuse(&mut esme, sequence, CommandStatus::ESME_RINVDSTADR);
        }
        esme.wait(Duration::from_millis(10));
    }
    assert!((100..=125).contains(&sent), "one second: {sent}");
}

#[test]
fn a_full_queue_and_a_congested_peer_make_the_window_smaller() {
    let mut esme = Probe::esme_with(BindMode::Transceiver, wide());
    esme.submit(1).unwrap();
    refuse(&mut esme, 2, CommandStatus::ESME_RMSGQFUL);
    assert_eq!(esme.session.pace().0, 50);
    esme.wait(SECOND);
    esme.submit(2).unwrap();
    let mut response = SubmitSmResp::default();
    response.tlvs.set_congestion_state(100);
    esme.says(3, CommandStatus::ESME_ROK, Body::SubmitSmResp(response));
    assert_eq!(esme.session.pace(), (25, NonZeroU32::new(50)));
    assert_eq!(esme.session.paused_for(esme.now), None);
}

#[test]
fn a_request_that_times_out_makes_the_window_smaller() {
    let mut esme = Probe::esme_with(BindMode::Transceiver, wide());
    esme.submit(1).unwrap();
    esme.wait(11 * SECOND);
    assert_eq!(esme.session.pace().0, 50);
}

#[test]
fn a_peer_that_exceeds_its_window_is_throttled_and_the_rest_goes_on() {
    let mut smsc = Probe::smsc(BindMode::Transceiver);
    smsc.session.limit_peer(2, None);
    for sequence in 11..=13 {
        smsc.asks(sequence, Body::SubmitSm(SubmitSm::default()));
    }
    let refusal = (
        13,
        CommandId::SUBMIT_SM_RESP,
        CommandStatus::ESME_RTHROTTLED,
    );
    assert_eq!(smsc.replies(), [refusal]);
    assert_eq!(smsc.events().len(), 2);
    assert_eq!(smsc.counters.throttled.load(Relaxed), 1);
    let body = Body::SubmitSmResp(SubmitSmResp::default());
    smsc.session
        .respond(smsc.now, 12, CommandStatus::ESME_ROK, body);
    smsc.asks(14, Body::SubmitSm(SubmitSm::default()));
    assert_eq!(smsc.events().len(), 1);
}

#[test]
fn a_second_answer_to_one_request_is_dropped_and_frees_no_place_in_the_peers_window() {
    let mut smsc = Probe::smsc(BindMode::Transceiver);
    smsc.session.limit_peer(2, None);
    for sequence in 11..=12 {
        smsc.asks(sequence, Body::SubmitSm(SubmitSm::default()));
    }
    let answers = [11, 11, 99].map(|sequence| {
        let body = Body::SubmitSmResp(SubmitSmResp::default());
        let ok = CommandStatus::ESME_ROK;
        smsc.session.respond(smsc.now, sequence, ok, body)
    });
    assert_eq!(answers, [Some(1), None, None]);
    assert_eq!(smsc.replies().len(), 1);
    assert_eq!(smsc.counters.orphaned_answers.load(Relaxed), 2);
    smsc.asks(13, Body::SubmitSm(SubmitSm::default()));
    smsc.asks(14, Body::SubmitSm(SubmitSm::default()));
    let refused = CommandStatus::ESME_RTHROTTLED;
    assert_eq!(smsc.replies(), [(14, CommandId::SUBMIT_SM_RESP, refused)]);
}

#[test]
fn a_request_for_many_counts_as_many_messages() {
    let meter = Meter::new(NonZeroU32::new(10).unwrap());
    let mut smsc = Probe::smsc(BindMode::Transceiver);
    smsc.session.limit_peer(10, Some(meter));
    let to = vec![DestAddress::default(); 20];
    let multi = SubmitMulti {
        dest_addresses: DestAddresses::try_from(to).unwrap(),
        ..SubmitMulti::default()
    };
    smsc.asks(1, Body::SubmitMulti(multi));
    assert_eq!(smsc.events().len(), 1);
    smsc.wait(SECOND);
    smsc.asks(2, Body::SubmitSm(SubmitSm::default()));
    assert_eq!(smsc.events().len(), 0);
    smsc.wait(SECOND);
    smsc.asks(3, Body::SubmitSm(SubmitSm::default()));
    assert_eq!(smsc.events().len(), 1);
}

#[test]
fn a_peer_that_exceeds_its_rate_is_throttled_on_all_its_sessions_together() {
    let meter = Meter::new(NonZeroU32::new(20).unwrap());
    let mut sessions = [
        Probe::smsc(BindMode::Transceiver),
        Probe::smsc(BindMode::Transmitter),
    ];
    let now = sessions[0].now;
    let mut taken = 0;
    for round in 0..100u32 {
        for smsc in &mut sessions {
            smsc.now = now + Duration::from_millis(10) * round;
            smsc.session.limit_peer(10, Some(meter.clone()));
            smsc.asks(round, Body::SubmitSm(SubmitSm::default()));
            let body = Body::SubmitSmResp(SubmitSmResp::default());
            if !smsc.events().is_empty() {
                taken += 1;
                smsc.session
                    .respond(smsc.now, round, CommandStatus::ESME_ROK, body);
            }
        }
    }
    assert!((19..=22).contains(&taken), "one second: {taken}");
    // What is no message does not count.
    let smsc = &mut sessions[0];
    smsc.asks(1, Body::empty(CommandId::QUERY_SM).unwrap());
    assert_eq!(smsc.events().len(), 1);
}
