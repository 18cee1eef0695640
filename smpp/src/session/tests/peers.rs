//! What other implementations got wrong, one test each. The comment names the report.

use super::*;

// fiorix/go-smpp#87: a request of the peer with our number was taken for the answer.
#[test]
fn a_deliver_sm_with_the_number_of_our_submit_sm_answers_nothing() {
    let mut esme = Probe::esme();
    esme.submit(1).unwrap();
    let sequence = esme.sent().remove(0).sequence;
    esme.asks(sequence, deliver());
    assert!(matches!(esme.events()[..], [Event::Request { .. }]));
    assert_eq!(esme.session.in_flight(), 1);
    esme.answer(sequence);
    assert_eq!(tickets(&esme.events()), [1]);
}

// twitter-archive/cloudhopper-smpp#46: requests that were never answered kept their places in the
// window for ever.
#[test]
fn a_window_full_of_requests_without_answers_frees_itself() {
    let mut esme = Probe::esme_with(
        BindMode::Transceiver,
        SessionSettings {
            enquire_link: 1_000 * SECOND,
            ..settings()
        },
    );
    for ticket in 1..=3 {
        esme.submit(ticket).unwrap();
    }
    esme.sent();
    assert_eq!(esme.session.capacity(esme.now), 0);
    esme.wait(10 * SECOND);
    assert_eq!(tickets(&esme.events()), [1, 2, 3]);
    assert_eq!(esme.session.capacity(esme.now), 3);
}

// twitter-archive/cloudhopper-smpp#134: enquire_link timed out though its answer had come.
#[test]
fn an_answered_enquire_link_never_ends_the_session() {
    let mut esme = Probe::esme();
    for _ in 0..100 {
        esme.wait(30 * SECOND);
        let enquiry = esme.sent().remove(0);
        assert_eq!(enquiry.command_id(), CommandId::ENQUIRE_LINK);
        esme.says(
            enquiry.sequence,
            CommandStatus::ESME_ROK,
            Body::EnquireLinkResp,
        );
    }
    assert_eq!(esme.session.finished(), None);
}

// python-smpplib#52: an enquire_link_resp with a wrong number; jsmpp#91: an unknown number.
#[test]
fn an_enquire_link_resp_with_a_wrong_number_is_a_sign_of_life() {
    let mut esme = Probe::esme();
    esme.wait(30 * SECOND);
    esme.sent();
    esme.says(999, CommandStatus::ESME_ROK, Body::EnquireLinkResp);
    esme.wait(29 * SECOND);
    assert_eq!(esme.session.finished(), None);
}

// joaogervasoni/smppjs PR#25: numbers ran past 0x7FFFFFFF. And after the wrap those of requests
// that still wait for their answers must not be given twice.
#[test]
fn numbers_wrap_and_pass_over_those_in_flight() {
    let mut esme = Probe::esme();
    esme.submit(1).unwrap();
    let waits = esme.sent().remove(0).sequence;
    esme.session.sequence = Sequence::starting_at(0x7FFF_FFFF);
    let mut numbers = Vec::new();
    for ticket in 2..6 {
        esme.submit(ticket).unwrap();
        let sequence = esme.sent().remove(0).sequence;
        esme.answer(sequence);
        numbers.push(sequence);
    }
    assert_eq!(waits, 2);
    assert_eq!(numbers, [0x7FFF_FFFF, 1, 3, 4]);
    esme.events();
    esme.answer(waits);
    assert_eq!(tickets(&esme.events()), [1]);
}

// funbox/smppex#58, vumi#404: a generic_nack was not taken for an answer.
#[test]
fn a_generic_nack_frees_its_place_in_the_window() {
    let mut esme = Probe::esme();
    for ticket in 1..=3 {
        esme.submit(ticket).unwrap();
    }
    esme.sent();
    esme.says(3, CommandStatus::ESME_RINVCMDID, Body::GenericNack);
    assert_eq!(tickets(&esme.events()), [2]);
    assert_eq!(esme.session.capacity(esme.now), 1);
}

// A generic_nack with the number 0, for a header that the peer could not read, answers nothing.
#[test]
fn a_generic_nack_of_nothing_is_counted_and_dropped() {
    let mut esme = Probe::esme();
    esme.submit(1).unwrap();
    esme.says(0, CommandStatus::ESME_RINVCMDLEN, Body::GenericNack);
    assert_eq!(esme.events(), []);
    assert_eq!(esme.counters.stray_responses.load(Relaxed), 1);
}

// uudashr/jsmpp#38, opentelecoms-org/jsmpp#82, #193: close hung, or its unbind_resp was lost.
#[test]
fn a_close_ends_though_the_peer_never_answers_unbind() {
    let mut esme = Probe::esme();
    esme.session.close(esme.now);
    assert_eq!(esme.sent().remove(0).command_id(), CommandId::UNBIND);
    esme.wait(4 * SECOND);
    assert_eq!(esme.session.finished(), Some(CloseReason::WeClosed));
}

// The specification leaves open what becomes of answers that are due when unbind comes.
#[test]
fn requests_that_the_peer_leaves_unanswered_by_its_unbind_are_handed_back() {
    let mut esme = Probe::esme();
    esme.submit(1).unwrap();
    esme.sent();
    esme.asks(9, Body::Unbind);
    let answer = (9, CommandId::UNBIND_RESP, CommandStatus::ESME_ROK);
    assert_eq!(esme.replies(), [answer]);
    let events = esme.gone();
    assert_eq!(
        events[0],
        unanswered(1, true, UnansweredCause::LinkDied),
        "{events:?}"
    );
}

// joaogervasoni/smppjs#49, mozes/smpp.twisted#2: enquire_link before the bind killed the session.
#[test]
fn an_enquire_link_before_the_bind_is_answered_and_the_bind_still_works() {
    let mut smsc = Probe::open(Role::Smsc, settings());
    smsc.asks(1, Body::EnquireLink);
    let answer = (1, CommandId::ENQUIRE_LINK_RESP, CommandStatus::ESME_ROK);
    assert_eq!(smsc.replies(), [answer]);
    smsc.asks(2, bind_request(&bind_settings(BindMode::Transmitter)));
    assert!(matches!(smsc.events()[..], [Event::BindAsked { .. }]));
}

// linxGnu/gosmpp#181, melroselabs/smpp-smsc-simulator#3: bind, enquire_link, submit_sm at once.
#[test]
fn an_enquire_link_and_a_submit_right_behind_the_bind_response_are_served() {
    let mut smsc = Probe::smsc(BindMode::Transceiver);
    smsc.asks(2, Body::EnquireLink);
    smsc.asks(3, Body::SubmitSm(SubmitSm::default()));
    let answer = (2, CommandId::ENQUIRE_LINK_RESP, CommandStatus::ESME_ROK);
    assert_eq!(smsc.replies(), [answer]);
    assert!(matches!(smsc.events()[..], [Event::Request { .. }]));
    assert_eq!(smsc.session.finished(), None);
}

// OpenSMPPBox ghosts, kneodev/ksmppd#49: a peer that is gone without a word held its bind for good.
#[test]
fn a_silent_peer_loses_its_bind() {
    let mut smsc = Probe::smsc(BindMode::Transceiver);
    smsc.wait(41 * SECOND);
    assert_eq!(smsc.session.finished(), Some(CloseReason::LinkDead));
}

// linxGnu/gosmpp#81: requests piled up on a link that was dead.
#[test]
fn a_session_that_is_over_takes_no_more_requests() {
    let mut esme = Probe::esme();
    esme.wait(41 * SECOND);
    assert!(matches!(esme.submit(1), Err(SubmitError::NotBound(_))));
    assert_eq!(esme.session.capacity(esme.now), 0);
}

// JadKHaddad/Rusmpp: one body that could not be read ended the session; smppex#6: a response with
// an error status and no body crashed it; jookies/jasmin#124, #128.
#[test]
fn an_error_response_is_an_answer_with_a_body_and_without() {
    for body in [
        Body::SubmitSmResp(SubmitSmResp::default()),
        Body::SubmitSmResp(SubmitSmResp {
            message_id: "0".parse().unwrap(),
            ..SubmitSmResp::default()
        }),
    ] {
        let mut esme = Probe::esme();
        esme.submit(1).unwrap();
        esme.says(2, CommandStatus::ESME_RSUBMITFAIL, body);
        assert!(matches!(
            esme.events()[..],
            [Event::Answered {
                status: CommandStatus::ESME_RSUBMITFAIL,
                ..
            }]
        ));
    }
}

// smpp34 1.4.0: a vendor's status was a panic.
#[test]
fn a_status_that_nobody_knows_survives_as_its_number() {
    let mut esme = Probe::esme();
    esme.submit(1).unwrap();
    let status = CommandStatus(0x0000_0412);
    esme.says(2, status, Body::SubmitSmResp(SubmitSmResp::default()));
    assert!(matches!(esme.events()[..], [Event::Answered { status: seen, .. }] if seen == status));
}

// jookies/jasmin#425 and the Kannel list's msg05418: the wait of a throttled link ran into the
// response timer of what was already sent.
#[test]
fn a_pause_does_not_touch_what_is_already_sent() {
    let adapting = SessionSettings {
        adapt: SessionSettings::default().adapt,
        ..settings()
    };
    let mut esme = Probe::esme_with(BindMode::Transceiver, adapting);
    for ticket in 1..=2 {
        esme.submit(ticket).unwrap();
    }
    esme.sent();
    let refusal = Body::SubmitSmResp(SubmitSmResp::default());
    esme.says(2, CommandStatus::ESME_RTHROTTLED, refusal);
    esme.wait(Duration::from_millis(100));
    esme.answer(3);
    assert_eq!(tickets(&esme.events()), [1, 2]);
}

// Clocks of virtual machines jump: hours may pass at once.
#[test]
fn a_jump_of_the_clock_ends_what_is_over_once_and_goes_on() {
    let mut esme = Probe::esme();
    esme.submit(1).unwrap();
    esme.sent();
    esme.now += 3_600 * SECOND;
    esme.session.handle_timeout(esme.now);
    let timeout = unanswered(1, true, UnansweredCause::Timeout);
    assert_eq!(esme.events(), [timeout]);
    // Only now it is asked for a sign of life: we may have been the ones who were away.
    assert_eq!(esme.sent().remove(0).command_id(), CommandId::ENQUIRE_LINK);
    assert_eq!(esme.session.finished(), None);
}

// smpp34 CHANGELOG 1.2.1, Rusmpp: the answer came before anybody waited for it.
#[test]
fn an_answer_that_comes_before_we_know_that_the_request_left_is_taken() {
    let mut esme = Probe::esme();
    esme.submit(1).unwrap();
    let mut out = BytesMut::new();
    assert!(esme.session.poll_transmit(&mut out));
    esme.answer(2);
    esme.session.handle_sent(out.len());
    assert_eq!(tickets(&esme.events()), [1]);
    assert_eq!(esme.session.in_flight(), 0);
}

/// A PDU as its octets.
fn hears(probe: &mut Probe, words: [u32; 4], body: &[u8]) {
    let mut octets = BytesMut::new();
    for word in words {
        octets.extend_from_slice(&word.to_be_bytes());
    }
    octets.extend_from_slice(body);
    let frame = cut(&mut octets, 100_000).unwrap().unwrap();
    probe.session.handle_inbound(probe.now, decode(frame));
}

// onlinecity/php-smpp#49: an enquire_link_resp with a body was nacked.
#[test]
fn an_enquire_link_resp_with_a_body_is_an_answer() {
    let mut esme = Probe::esme();
    esme.wait(30 * SECOND);
    let enquiry = esme.sent().remove(0).sequence;
    hears(&mut esme, [18, 0x8000_0015, 0, enquiry], b"xy");
    assert_eq!(esme.sent(), []);
    esme.wait(29 * SECOND);
    assert_eq!(esme.session.finished(), None);
    assert_eq!(esme.counters.stray_responses.load(Relaxed), 0);
}

// twitter-archive/cloudhopper-smpp#64, OpenSIPS/opensips#3846: sm_length that lies; jookies/jasmin#117
// and its kin: one PDU that could not be read ended the session.
#[test]
fn a_deliver_sm_whose_length_lies_is_refused_and_the_next_one_is_taken() {
    let mut esme = Probe::esme();
    // Up to sm_default_msg_id all is empty or 0; then 200 octets are promised and two come.
    let mut body = [0; 17];
    body[16] = 200;
    let lying = [&body[..], b"ab"].concat();
    hears(&mut esme, [35, 5, 0, 70], &lying);
    let replies = esme.replies();
    let [(70, CommandId::DELIVER_SM_RESP, status)] = replies[..] else {
        panic!("{replies:?}")
    };
    assert_ne!(status, CommandStatus::ESME_ROK);
    assert_eq!(esme.events(), []);
    body[16] = 2;
    let honest = [&body[..], b"ab"].concat();
    hears(&mut esme, [35, 5, 0, 71], &honest);
    assert!(matches!(
        esme.events()[..],
        [Event::Request { sequence: 71, .. }]
    ));
}

// fiorix/go-smpp#116: data_sm ended the session. Table 2-1 has it in every bound state.
#[test]
fn data_sm_is_taken_on_every_bind() {
    for mode in BindMode::ALL {
        for mut probe in [Probe::esme_with(mode, settings()), Probe::smsc(mode)] {
            probe.asks(5, Body::empty(CommandId::DATA_SM).unwrap());
            assert!(matches!(probe.events()[..], [Event::Request { .. }]));
        }
    }
}

// praekelt/vumi#624, uudashr/jsmpp#54: who goes without unbind is refused with RALYBND for minutes.
#[test]
fn a_close_says_unbind_once_everything_is_answered() {
    let mut esme = Probe::esme();
    esme.submit(1).unwrap();
    esme.sent();
    esme.session.close(esme.now);
    assert_eq!(esme.sent(), []);
    esme.answer(2);
    assert_eq!(esme.sent().remove(0).command_id(), CommandId::UNBIND);
}

// uudashr/jsmpp#54 from the other side: a bind that hangs half open is found out at once when its
// owner comes anew.
#[test]
fn a_peer_that_is_doubted_is_given_up_unless_it_speaks() {
    for speaks in [true, false] {
        let mut smsc = Probe::smsc(BindMode::Transceiver);
        smsc.session.probe(smsc.now, 2 * SECOND);
        smsc.session.probe(smsc.now, 2 * SECOND);
        let sent = smsc.sent();
        assert_eq!(sent.len(), 1, "asked once");
        assert_eq!(sent[0].command_id(), CommandId::ENQUIRE_LINK);
        if speaks {
            smsc.says(
                sent[0].sequence,
                CommandStatus::ESME_ROK,
                Body::EnquireLinkResp,
            );
        }
        smsc.wait(3 * SECOND);
        let end = (!speaks).then_some(CloseReason::LinkDead);
        assert_eq!(smsc.session.finished(), end);
    }
}

// jookies/jasmin#366 and its kin look at what a message_id is; the session hands it up as it came.
#[test]
fn a_message_id_comes_up_octet_for_octet() {
    for id in ["0007", "AbCdEf", "12345678901234567890", ""] {
        let mut esme = Probe::esme();
        esme.submit(1).unwrap();
        let response = SubmitSmResp {
            message_id: id.parse().unwrap(),
            ..SubmitSmResp::default()
        };
        esme.says(2, CommandStatus::ESME_ROK, Body::SubmitSmResp(response));
        let events = esme.events();
        let [
            Event::Answered {
                body: Body::SubmitSmResp(response),
                ..
            },
        ] = &events[..]
        else {
            panic!("{events:?}")
        };
        assert_eq!(response.message_id.as_bytes(), id.as_bytes());
    }
}

// jookies/jasmin#648: a rate or a window of 0 divided by zero. A rate of 0 cannot be said here.
#[test]
fn a_window_of_nothing_sends_nothing_and_takes_nothing() {
    let mut smsc = Probe::smsc(BindMode::Transceiver);
    smsc.session.set_limits(0, None);
    smsc.session.limit_peer(0, None);
    assert_eq!(smsc.session.capacity(smsc.now), 0);
    smsc.asks(2, Body::SubmitSm(SubmitSm::default()));
    let refused = (2, CommandId::SUBMIT_SM_RESP, CommandStatus::ESME_RTHROTTLED);
    assert_eq!(smsc.replies(), [refused]);
    smsc.asks(3, Body::EnquireLink);
    let alive = (3, CommandId::ENQUIRE_LINK_RESP, CommandStatus::ESME_ROK);
    assert_eq!(smsc.replies(), [alive]);
}

// jookies/jasmin#648: a peer that kept its rate was throttled all the same.
#[test]
fn a_peer_that_keeps_its_rate_is_never_throttled() {
    let mut smsc = Probe::smsc(BindMode::Transceiver);
    let rate = NonZeroU32::new(10).unwrap();
    smsc.session.limit_peer(10, Some(Meter::new(rate)));
    for sequence in 2..=500 {
        smsc.now += SECOND / 10;
        smsc.asks(sequence, Body::SubmitSm(SubmitSm::default()));
        let taken = smsc.events();
        assert!(matches!(taken[..], [Event::Request { .. }]), "{sequence}");
        let answer = Body::SubmitSmResp(SubmitSmResp::default());
        let status = CommandStatus::ESME_ROK;
        smsc.session.respond(smsc.now, sequence, status, answer);
    }
    assert_eq!(smsc.counters.throttled.load(Relaxed), 0);
}

// jookies/jasmin#925: the segments of a long text counted as one.
#[test]
fn each_segment_of_a_long_text_takes_its_own_share_of_the_rate() {
    let limited = SessionSettings {
        window: 100,
        rate: NonZeroU32::new(50),
        ..settings()
    };
    let mut esme = Probe::esme_with(BindMode::Transceiver, limited);
    esme.now += SECOND;
    let room = esme.session.capacity(esme.now);
    let text = "long ".repeat(300);
    let segments = matrix_smpp_codec::Splitter::default().split(&text).unwrap();
    assert!(segments.parts.len() > room);
    let submitted = segments.parts.iter().map_while(|part| {
        let carried = part.carried(7);
        let body = Body::SubmitSm(SubmitSm {
            short_message: carried.short_message,
            ..SubmitSm::default()
        });
        let ticket = Ticket(part.index().into());
        esme.session.submit(esme.now, ticket, body).ok()
    });
    assert_eq!(submitted.count(), room);
}

// twitter-archive/cloudhopper-smpp#43: hung after a million messages.
#[test]
fn after_very_many_messages_and_a_wrap_of_the_numbers_nothing_is_left_behind() {
    let mut esme = Probe::esme();
    esme.session.sequence = Sequence::starting_at(0x7FFF_FFFF - 50_000);
    let mut out = BytesMut::new();
    for ticket in 0..100_000 {
        esme.submit(ticket).unwrap();
        while esme.session.poll_transmit(&mut out) {}
        let sequence = u32::from_be_bytes(*out[12..].first_chunk().unwrap());
        esme.session.handle_sent(out.len());
        out.clear();
        esme.answer(sequence);
        assert_eq!(tickets(&esme.events()), [ticket]);
    }
    assert_eq!(esme.session.in_flight(), 0);
    assert_eq!(esme.session.capacity(esme.now), 3);
    assert_eq!(esme.session.poll_timeout(), Some(esme.now + 30 * SECOND));
}
