//! What goes wrong on the wire when it is asked for, octet by octet.

use std::io::ErrorKind;

use matrix_smpp_codec::{Body, CommandStatus};
use matrix_smpp_loadtest::sim::Sim;
use matrix_smpp_session::BindMode;

use crate::client::{Esme, get, http, message, post, simulator, until};
use crate::raw::{Raw, head};

const SUBMIT_SM_RESP: u32 = 0x8000_0004;

/// A bind with a fault on its first `submit_sm_resp`.
async fn faulty(sim: &Sim, fault: &str) -> Raw {
    let fault =
        format!(r#"{{"command": "submit_sm_resp", "on": {{"times": 1}}, "fault": {fault}}}"#);
    let (status, answer) = post(sim, "/faults", &fault).await;
    assert_eq!(status, 200, "{answer}");
    Raw::bind(sim, "gateway").await
}

/// What comes for the first `submit_sm` when its answer meets this fault.
async fn answer_with(fault: &str) -> Vec<u8> {
    let sim = simulator().await;
    let mut raw = faulty(&sim, fault).await;
    raw.submit("hello").await;
    raw.pdu().await
}

#[tokio::test]
async fn an_answer_can_be_lost() {
    let sim = simulator().await;
    let mut raw = faulty(&sim, r#"{"kind": "drop"}"#).await;
    raw.submit("lost").await;
    raw.nothing_else().await;
    let sequence = raw.submit("found").await;
    assert_eq!(head(&raw.pdu().await), (SUBMIT_SM_RESP, 0, sequence));
    let counters = get(&sim, "/counters").await;
    assert_eq!(counters["faults"], 1);
}

#[tokio::test]
async fn an_answer_can_come_twice_and_out_of_order() {
    let sim = simulator().await;
    let mut raw = faulty(&sim, r#"{"kind": "duplicate"}"#).await;
    let sequence = raw.submit("x").await;
    let first = raw.pdu().await;
    assert_eq!(head(&first).2, sequence);
    assert_eq!(raw.pdu().await, first);
    let fault = r#"{"command": "submit_sm_resp", "on": {"times": 1}, "fault": {"kind": "hold", "behind": 2}}"#;
    post(&sim, "/faults", fault).await;
    let mut sent = Vec::new();
    for _ in 0..3 {
        sent.push(raw.submit("x").await);
    }
    let mut came = Vec::new();
    for _ in 0..3 {
        came.push(head(&raw.pdu().await).2);
    }
    assert_eq!(came, [sent[1], sent[2], sent[0]]);
}

#[tokio::test]
async fn an_answer_can_have_the_wrong_number_or_none() {
    let answer = answer_with(r#"{"kind": "sequence", "add": 100}"#).await;
    assert_eq!(head(&answer), (SUBMIT_SM_RESP, 0, 102));
    let answer = answer_with(r#"{"kind": "sequence", "set": 0}"#).await;
    assert_eq!(head(&answer).2, 0);
}

#[tokio::test]
async fn an_error_can_come_with_and_without_a_body() {
    let throttled = CommandStatus::ESME_RTHROTTLED.0;
    let sim = simulator().await;
    post(
        &sim,
        "/behaviour",
        r#"{"submit_status": "ESME_RTHROTTLED"}"#,
    )
    .await;
    let mut raw = faulty(&sim, r#"{"kind": "body", "hex": "00"}"#).await;
    for length in [17, 16] {
        raw.submit("x").await;
        let answer = raw.pdu().await;
        assert_eq!((head(&answer).1, answer.len()), (throttled, length));
    }
    let answer = answer_with(r#"{"kind": "no_body"}"#).await;
    assert_eq!((head(&answer).1, answer.len()), (0, 16));
}

#[tokio::test]
async fn a_status_a_command_and_a_tlv_can_be_unknown() {
    let answer = answer_with(r#"{"kind": "status", "set": "0xabcd"}"#).await;
    assert_eq!(head(&answer).1, 0xabcd);
    let answer = answer_with(r#"{"kind": "command", "set": "0x80000fff"}"#).await;
    assert_eq!(head(&answer).0, 0x8000_0fff);
    let answer = answer_with(r#"{"kind": "tlv", "tag": "0x3fff", "hex": "cafe"}"#).await;
    assert!(answer.ends_with(&[0x3f, 0xff, 0, 2, 0xca, 0xfe]));
    let answer = answer_with(r#"{"kind": "generic_nack"}"#).await;
    assert_eq!(head(&answer), (0x8000_0000, 3, 2));
}

#[tokio::test]
async fn a_nul_can_be_missing_and_a_length_can_lie() {
    let answer = answer_with(r#"{"kind": "missing_nul"}"#).await;
    assert_eq!(answer.len(), 26, "a header and ten digits");
    assert!(!answer[16..].contains(&0));
    let sim = simulator().await;
    let mut raw = faulty(&sim, r#"{"kind": "command_length", "add": 7}"#).await;
    raw.submit("x").await;
    let octets = raw.octets(27).await;
    assert_eq!(&octets[..4], [0, 0, 0, 34]);
}

#[tokio::test]
async fn an_answer_can_come_in_pieces_and_several_in_one() {
    let sim = simulator().await;
    let mut raw = faulty(&sim, r#"{"kind": "split", "octets": 9, "pause": "30ms"}"#).await;
    let sequence = raw.submit("x").await;
    let first = raw.read().await.unwrap();
    assert_eq!(first.len(), 9);
    let rest = raw.octets(18).await;
    assert_eq!(head(&[first, rest].concat()).2, sequence);
    let fault = r#"{"command": "submit_sm_resp", "on": {"times": 1},
        "fault": {"kind": "coalesce", "pdus": 3, "within": "10s"}}"#;
    post(&sim, "/faults", fault).await;
    for _ in 0..2 {
        raw.submit("x").await;
    }
    until(&sim, "/counters", |counters| counters["faults"] == 2).await;
    raw.submit("x").await;
    assert_eq!(raw.read().await.unwrap().len(), 3 * 27);
}

#[tokio::test]
async fn a_connection_can_be_reset_and_closed() {
    let sim = simulator().await;
    let mut raw = faulty(&sim, r#"{"kind": "reset"}"#).await;
    raw.submit("x").await;
    let ended = raw.read().await.unwrap_err();
    assert_eq!(ended.kind(), ErrorKind::ConnectionReset);
    let mut raw = faulty(&sim, r#"{"kind": "close"}"#).await;
    raw.submit("x").await;
    assert!(raw.read().await.unwrap().is_empty());
    until(&sim, "/binds", |binds| binds.as_array().unwrap().is_empty()).await;
    let mut raw = Raw::bind(&sim, "gateway").await;
    let bind = &get(&sim, "/binds").await[0]["bind"];
    post(&sim, &format!("/binds/{bind}/reset"), "").await;
    let ended = raw.read().await.unwrap_err();
    assert_eq!(ended.kind(), ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn a_half_open_connection_takes_everything_and_says_nothing() {
    let sim = simulator().await;
    let mut raw = Raw::bind(&sim, "gateway").await;
    let bind = &get(&sim, "/binds").await[0]["bind"];
    let (status, _) = post(&sim, &format!("/binds/{bind}/half_open"), "").await;
    assert_eq!(status, 200);
    raw.submit("x").await;
    raw.send(Body::EnquireLink).await;
    // Another bind is served meanwhile: had the first one been heard, its message would be there.
    let mut other = Raw::bind(&sim, "other").await;
    let sequence = other.submit("y").await;
    assert_eq!(head(&other.pdu().await).2, sequence);
    let submits = get(&sim, "/submits").await;
    assert_eq!(submits.as_array().unwrap().len(), 1);
    let mut nothing = [0; 16];
    let read = raw.stream.try_read(&mut nothing);
    assert_eq!(read.unwrap_err().kind(), ErrorKind::WouldBlock);
}

#[tokio::test]
async fn any_octets_can_be_put_between_pdus() {
    let sim = simulator().await;
    let mut raw = Raw::bind(&sim, "gateway").await;
    let bind = &get(&sim, "/binds").await[0]["bind"];
    let raw_hex = r#"{"hex": "00000010 00000999 00000000 0000002a"}"#;
    post(&sim, &format!("/binds/{bind}/raw"), raw_hex).await;
    assert_eq!(head(&raw.pdu().await), (0x999, 0, 42));
}

#[tokio::test]
async fn a_deliver_sm_can_lie_about_its_text() {
    let sim = simulator().await;
    let fault = r#"{"command": "deliver_sm", "on": {"times": 1}, "fault": {"kind": "sm_length", "add": 200}}"#;
    post(&sim, "/faults", fault).await;
    let mut raw = Raw::bind(&sim, "gateway").await;
    let sending = post(
        &sim,
        "/handsets/447700900123/send",
        r#"{"to": "60777", "text": "hi"}"#,
    );
    let reading = async {
        let pdu = raw.pdu().await;
        assert_eq!(head(&pdu).0, 5);
        assert_eq!(pdu[pdu.len() - 3..], [202, b'h', b'i']);
        let mut nack = vec![0, 0, 0, 17, 0x80, 0, 0, 5, 0, 0, 0, 1];
        nack.extend_from_slice(&head(&pdu).2.to_be_bytes());
        nack.push(0);
        tokio::io::AsyncWriteExt::write_all(&mut raw.stream, &nack)
            .await
            .unwrap();
    };
    let (sent, ()) = tokio::join!(sending, reading);
    assert_eq!(sent.1["statuses"][0], "ESME_RINVMSGLEN");
}

#[tokio::test]
async fn faults_are_listed_with_their_counts_and_taken_away() {
    let sim = simulator().await;
    let mut raw = faulty(&sim, r#"{"kind": "drop"}"#).await;
    raw.submit("x").await;
    raw.submit("y").await;
    raw.pdu().await;
    let faults = get(&sim, "/faults").await;
    assert_eq!(
        (&faults[0]["seen"], &faults[0]["taken"]),
        (&2.into(), &1.into())
    );
    assert_eq!(faults[0]["fault"]["kind"], "drop");
    let (status, _) = http(sim.http_addr, "DELETE", "/faults/1", "").await;
    assert_eq!(status, 200);
    let (status, _) = http(sim.http_addr, "DELETE", "/faults/1", "").await;
    assert_eq!(status, 404);
    let (status, _) = post(&sim, "/faults", r#"{"fault": {"kind": "nonsense"}}"#).await;
    assert_eq!(status, 422);
}

#[tokio::test]
async fn a_rule_can_mangle_the_answer_to_one_number() {
    let sim = simulator().await;
    let rule = r#"{"when": {"to": "*123"}, "on": {"times": 1},
        "then": {"status": "ESME_RSYSERR", "fault": {"kind": "body", "hex": "00"}}}"#;
    assert_eq!(post(&sim, "/rules", rule).await.0, 200);
    let mut raw = Raw::bind(&sim, "gateway").await;
    raw.submit("x").await;
    assert_eq!(raw.pdu().await.len(), 17);
    raw.submit("x").await;
    assert_eq!(raw.pdu().await.len(), 27);
}

#[tokio::test]
async fn a_strict_session_survives_what_the_wire_does_to_others() {
    let sim = simulator().await;
    let fault = r#"{"command": "submit_sm_resp", "fault": {"kind": "tlv", "tag": "0x1400"}}"#;
    post(&sim, "/faults", fault).await;
    let mut esme = Esme::bind(&sim, BindMode::Transmitter, "gateway").await;
    for _ in 0..3 {
        assert!(esme.submit(message("x")).await.0.is_ok());
    }
}
