//! Peers that speak SMPP 3.3 or 5.0.

use matrix_smpp_codec::{DataSm, TlvTag, Tlvs};

use super::*;

/// An SMSC whose ESME says that it speaks this version.
fn smsc_of(version: InterfaceVersion) -> Probe {
    let mut probe = Probe::open(Role::Smsc, settings());
    let bind = BindSettings {
        interface_version: version,
        ..bind_settings(BindMode::Transceiver)
    };
    probe.asks(1, bind_request(&bind));
    let system_id = "smsc".parse().unwrap();
    probe
        .session
        .answer_bind(probe.now, CommandStatus::ESME_ROK, system_id);
    probe.sent();
    probe.events();
    probe
}

/// An ESME whose SMSC says this in `sc_interface_version`.
fn esme_of(theirs: Option<InterfaceVersion>, settings: SessionSettings) -> Probe {
    let mut probe = Probe::open(Role::Esme, settings);
    let bind = bind_settings(BindMode::Transceiver);
    probe.session.bind(probe.now, &bind);
    let sequence = probe.sent().remove(0).sequence;
    let mut response = BindResp::default();
    if let Some(version) = theirs {
        response.tlvs.set_sc_interface_version(version);
    }
    probe.asks(sequence, Body::BindTransceiverResp(response));
    probe.events();
    probe
}

fn with_tlvs(set: impl FnOnce(&mut Tlvs)) -> Body {
    let mut submit = SubmitSm::default();
    set(&mut submit.tlvs);
    Body::SubmitSm(submit)
}

fn tlvs_sent(probe: &mut Probe, body: Body) -> Option<bool> {
    probe.session.submit(probe.now, Ticket(1), body).ok()?;
    match probe.sent().remove(0).body {
        Body::SubmitSm(submit) => Some(submit.tlvs != Tlvs::default()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_peer_of_3_3_is_sent_no_tlvs() {
    let body = || with_tlvs(|tlvs| tlvs.set_user_message_reference(7));
    let mut old = esme_of(Some(InterfaceVersion::V3_3), settings());
    assert_eq!(tlvs_sent(&mut old, body()), Some(false));
    let mut new = esme_of(Some(InterfaceVersion::V3_4), settings());
    assert_eq!(tlvs_sent(&mut new, body()), Some(true));
}

#[test]
fn what_only_tlvs_can_say_is_handed_back_for_a_peer_of_3_3() {
    let mut probe = esme_of(Some(InterfaceVersion::V3_3), settings());
    let payload = with_tlvs(|tlvs| tlvs.set_message_payload(b"long text").unwrap());
    let segment = with_tlvs(|tlvs| tlvs.set_sar_msg_ref_num(1));
    for body in [payload, segment, Body::DataSm(DataSm::default())] {
        let outcome = probe.session.submit(probe.now, Ticket(1), body.clone());
        assert_eq!(outcome, Err(SubmitError::NotKnown(Box::new(body))));
    }
    assert_eq!(probe.sent(), []);
}

#[test]
fn an_smsc_that_does_not_tell_its_version_is_taken_for_what_the_settings_say() {
    let body = || with_tlvs(|tlvs| tlvs.set_user_message_reference(7));
    for (silent_peer, sent) in [
        (InterfaceVersion::V3_4, Some(true)),
        (InterfaceVersion::V3_3, Some(false)),
    ] {
        let settings = SessionSettings {
            silent_peer,
            ..settings()
        };
        assert_eq!(tlvs_sent(&mut esme_of(None, settings), body()), sent);
    }
}

#[test]
fn an_esme_of_3_3_gets_its_answers_without_tlvs() {
    let answer = |version| {
        let mut probe = smsc_of(version);
        probe.asks(9, Body::SubmitSm(SubmitSm::default()));
        let mut response = SubmitSmResp::default();
        response.tlvs.set_user_message_reference(1);
        let body = Body::SubmitSmResp(response);
        probe
            .session
            .respond(probe.now, 9, CommandStatus::ESME_ROK, body);
        match probe.sent().remove(0).body {
            Body::SubmitSmResp(response) => response.tlvs,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(answer(InterfaceVersion::V3_3), Tlvs::default());
    assert_ne!(answer(InterfaceVersion::V3_4), Tlvs::default());
}

#[test]
fn only_a_peer_of_5_0_is_told_how_busy_we_are() {
    let told = |version| {
        let mut probe = smsc_of(version);
        probe.session.limit_peer(4, None);
        for sequence in 1..=3 {
            probe.asks(sequence, Body::SubmitSm(SubmitSm::default()));
        }
        let body = Body::SubmitSmResp(SubmitSmResp::default());
        probe
            .session
            .respond(probe.now, 1, CommandStatus::ESME_ROK, body);
        match probe.sent().remove(0).body {
            Body::SubmitSmResp(response) => response
                .tlvs
                .get(TlvTag::CONGESTION_STATE)
                .map(<[u8]>::to_vec),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(told(InterfaceVersion::V3_3), None);
    assert_eq!(told(InterfaceVersion::V3_4), None);
    assert_eq!(told(InterfaceVersion::V5_0), Some(vec![75]));
}

#[test]
fn an_smsc_of_5_0_is_bound_to_like_any_other() {
    let mut probe = esme_of(Some(InterfaceVersion::V5_0), settings());
    assert!(probe.submit(1).is_ok());
}

#[test]
fn an_esme_that_binds_as_3_3_sends_no_tlvs_to_a_newer_smsc_either() {
    let mut probe = Probe::open(Role::Esme, settings());
    let bind = BindSettings {
        interface_version: InterfaceVersion::V3_3,
        ..bind_settings(BindMode::Transceiver)
    };
    probe.session.bind(probe.now, &bind);
    let sequence = probe.sent().remove(0).sequence;
    let mut response = BindResp::default();
    response
        .tlvs
        .set_sc_interface_version(InterfaceVersion::V3_4);
    probe.asks(sequence, Body::BindTransceiverResp(response));
    let body = with_tlvs(|tlvs| tlvs.set_user_message_reference(7));
    assert_eq!(tlvs_sent(&mut probe, body), Some(false));
}
