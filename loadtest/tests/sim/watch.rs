//! Looking at what has happened: messages, expectations, counters, the capture.
#![expect(
    clippy::unwrap_used,
    reason = "a helper that panics fails its test, as it should"
)]

use std::process::Stdio;

use matrix_smpp_codec::CommandStatus;
use matrix_smpp_loadtest::sim::{Sim, SimSettings};
use matrix_smpp_session::BindMode;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::Command;

use crate::client::{Esme, PHONE, VMN, get, http, http_as, message, post, simulator, until};
use crate::raw::Raw;

#[tokio::test]
async fn messages_are_found_by_what_they_are() {
    let sim = simulator().await;
    let mut esme = Esme::bind(&sim, BindMode::Transmitter, "gateway").await;
    for text in ["your code is 1", "your code is 2", "hello"] {
        esme.submit(message(text)).await;
    }
    let found = async |query: &str| {
        let path = format!("/messages?{query}");
        get(&sim, &path).await.as_array().unwrap().len()
    };
    assert_eq!(found("text=CODE").await, 2);
    assert_eq!(found("to=4477*&text=hello&account=gateway").await, 1);
    assert_eq!(found("status=ESME_RTHROTTLED").await, 0);
    assert_eq!(found("after=1&limit=1").await, 1);
    assert_eq!(found("data_coding=8").await, 0);
    let (status, _) = http(sim.http_addr, "GET", "/messages?number=1", "").await;
    assert_eq!(status, 400);
}

#[tokio::test]
async fn an_expectation_waits_until_it_holds_or_says_why_it_does_not() {
    let sim = simulator().await;
    let mut esme = Esme::bind(&sim, BindMode::Transmitter, "gateway").await;
    let expected = post(
        &sim,
        "/expect",
        r#"{"messages": {"text": "hello"}, "count": 2, "within_ms": 20000}"#,
    );
    let sending = async {
        for _ in 0..2 {
            esme.submit(message("hello")).await;
        }
    };
    let ((status, verdict), ()) = tokio::join!(expected, sending);
    assert_eq!(status, 200, "{verdict}");
    assert_eq!(
        (&verdict["pass"], &verdict["matched"]),
        (&true.into(), &2.into())
    );
    let wrong = r#"{"messages": {"text": "bye"}}"#;
    let (status, verdict) = post(&sim, "/expect", wrong).await;
    assert_eq!(status, 417);
    assert_eq!(
        verdict["explanation"],
        "0 of 2 messages match, wanted at least 1"
    );
    assert_eq!(verdict["others"][0]["text"], "hello");
    let none = r#"{"messages": {"text": "bye"}, "max": 0, "within_ms": 50}"#;
    assert_eq!(post(&sim, "/expect", none).await.0, 200);
    let verdict = get(&sim, "/assert?text=hello&count=2&data_coding=0").await;
    assert_eq!(verdict["pass"], true);
}

#[tokio::test]
async fn an_address_that_is_not_there_says_so_in_json() {
    let sim = simulator().await;
    for (method, path, wanted) in [("GET", "/nowhere", 404), ("DELETE", "/messages", 405)] {
        let (status, body) = http(sim.http_addr, method, path, "").await;
        assert_eq!(status, wanted);
        assert!(body.contains(r#"{"error":"#), "{body}");
    }
}

#[tokio::test]
async fn prometheus_reads_what_was_counted() {
    let sim = simulator().await;
    let mut esme = Esme::bind(&sim, BindMode::Transceiver, "gateway").await;
    esme.submit(message("x")).await;
    esme.deliver(CommandStatus::ESME_ROK).await;
    let (status, page) = http(sim.http_addr, "GET", "/metrics", "").await;
    assert_eq!(status, 200);
    for line in [
        "smsc_sim_pdus_total{direction=\"in\",command=\"submit_sm\"} 1",
        "smsc_sim_pdus_total{direction=\"out\",command=\"deliver_sm\"} 1",
        "smsc_sim_answers_total{status=\"ESME_ROK\"} 1",
        "smsc_sim_receipts_total{state=\"DELIVERED\"} 1",
        "smsc_sim_binds 1",
        "smsc_sim_messages 1",
    ] {
        assert!(page.lines().any(|one| one == line), "{line}\n{page}");
    }
}

#[tokio::test]
async fn a_reset_forgets_what_has_happened_and_keeps_binds_and_rules() {
    let sim = simulator().await;
    post(&sim, "/rules", r#"{"when": {"to": "1"}}"#).await;
    let mut esme = Esme::bind(&sim, BindMode::Transmitter, "gateway").await;
    esme.submit(message("x")).await;
    assert_eq!(post(&sim, "/reset", "").await.0, 200);
    assert!(get(&sim, "/submits").await.as_array().unwrap().is_empty());
    assert!(get(&sim, "/handsets").await.as_array().unwrap().is_empty());
    let counters = get(&sim, "/counters").await;
    assert_eq!(counters["in"], serde_json::json!({}));
    assert_eq!(get(&sim, "/rules").await.as_array().unwrap().len(), 1);
    esme.submit(message("x")).await;
    let counters = get(&sim, "/counters").await;
    assert_eq!(counters["in"], serde_json::json!({ "submit_sm": 1 }));
}

/// The capture as the simulator serves it.
async fn capture(sim: &Sim) -> Vec<u8> {
    let mut stream = TcpStream::connect(sim.http_addr).await.unwrap();
    let request = "GET /capture.pcapng HTTP/1.1\r\nhost: sim\r\nconnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    let head = answer.windows(4).position(|four| four == b"\r\n\r\n");
    answer.split_off(head.unwrap() + 4)
}

/// What tshark reads in it: a line a frame of these fields, separated by blanks.
async fn tshark(sim: &Sim, filter: &str, fields: &[&str]) -> Vec<String> {
    let port = format!("tcp.port=={},smpp", sim.smpp_addr.port());
    let mut command = Command::new("tshark");
    command.args([
        "-r",
        "-",
        "-d",
        &port,
        "-Y",
        filter,
        "-T",
        "fields",
        "-E",
        "separator=/s",
    ]);
    for field in fields {
        command.args(["-e", field]);
    }
    let mut tshark = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut input = tshark.stdin.take().unwrap();
    input.write_all(&capture(sim).await).await.unwrap();
    drop(input);
    let output = tshark.wait_with_output().await.unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(str::to_owned).collect()
}

#[tokio::test]
async fn the_capture_is_what_tshark_reads() {
    let sim = simulator().await;
    let mut esme = Esme::bind(&sim, BindMode::Transceiver, "gateway").await;
    esme.submit(message("hello")).await;
    esme.deliver(CommandStatus::ESME_ROK).await;
    get(&sim, "/counters").await;
    let fields = ["smpp.command_id", "smpp.command_status"];
    let lines = tshark(&sim, "smpp", &fields).await;
    let commands: Vec<_> = lines
        .iter()
        .map(|line| line.split(' ').next().unwrap())
        .collect();
    let wanted = [
        "0x00000009",
        "0x80000009",
        "0x00000004",
        "0x80000004",
        "0x00000005",
    ];
    assert_eq!(commands[..5], wanted, "{lines:?}");
    assert!(
        tshark(&sim, "_ws.malformed", &["frame.number"])
            .await
            .is_empty()
    );
    let bad = "tcp.checksum.status == 0 || ip.checksum.status == 0 || tcp.analysis.flags";
    assert!(tshark(&sim, bad, &["frame.number"]).await.is_empty());
}

#[tokio::test]
async fn a_capture_whose_beginning_is_gone_still_starts_with_a_pdu() {
    let settings = SimSettings {
        capture: 20_000,
        ..SimSettings::default()
    };
    let sim = Sim::start(settings).await.unwrap();
    let mut raw = Raw::bind(&sim, "gateway").await;
    for number in 0..500 {
        raw.submit(&format!("message {number}")).await;
        raw.pdu().await;
    }
    let lines = tshark(&sim, "smpp", &["smpp.command_id"]).await;
    assert!(lines.len() > 20, "{}", lines.len());
    assert!(
        tshark(&sim, "_ws.malformed", &["frame.number"])
            .await
            .is_empty()
    );
    let others = tshark(&sim, "tcp.len > 0 && !smpp", &["frame.number"]).await;
    assert!(others.is_empty(), "{others:?}");
}

#[tokio::test]
async fn what_curl_sends_without_a_header_is_read_as_json() {
    let sim = simulator().await;
    let rule = r#"{"when": {"to": "4477*"}, "then": {"status": "ESME_RTHROTTLED"}}"#;
    let form = "application/x-www-form-urlencoded";
    let added = http_as(form, sim.http_addr, ("POST", "/rules", rule)).await;
    assert_eq!(added, (200, r#"{"id":1}"#.to_owned()));
    let (status, wrong) = http_as(form, sim.http_addr, ("POST", "/rules", "{")).await;
    assert_eq!(status, 400);
    assert!(wrong.contains("line 1"), "{wrong}");
}

#[tokio::test]
async fn messages_are_found_by_the_names_that_they_are_shown_with() {
    let sim = simulator().await;
    let mut esme = Esme::bind(&sim, BindMode::Transceiver, "gateway").await;
    esme.submit(message("hello")).await;
    esme.deliver(CommandStatus::ESME_ROK).await;
    let path = format!("/messages?destination={PHONE}&source={VMN}&state=delivered");
    let found = until(&sim, &path, |found| found != &json!([])).await;
    assert_eq!(found[0]["state"], "DELIVERED");
}

#[tokio::test]
async fn every_refusal_is_json_that_names_the_mend() {
    let sim = simulator().await;
    for (method, path, body, wanted, mend) in [
        (
            "DELETE",
            "/faults/x",
            "",
            400,
            "GET /binds, /rules and /faults",
        ),
        (
            "DELETE",
            "/rules/1.5",
            "",
            400,
            "GET /binds, /rules and /faults",
        ),
        (
            "POST",
            "/binds/x/reset",
            "",
            400,
            "GET /binds, /rules and /faults",
        ),
        ("POST", "/binds/7/reset", "", 404, "no such bind"),
        (
            "POST",
            "/rules",
            r#"{"then": {"latency": "5 parsecs"}}"#,
            422,
            "write a time as 500ms",
        ),
        (
            "POST",
            "/scenario",
            "loopback = true",
            400,
            r#"expected "none", "sender" or "recipient""#,
        ),
        (
            "POST",
            "/faults",
            r#"{"fault": {"kind": "sequence"}}"#,
            400,
            "`set` or `add`",
        ),
        (
            "POST",
            "/faults",
            r#"{"fault": {"kind": "drop", "by": 3}}"#,
            422,
            "`by`",
        ),
    ] {
        let (status, answer) = http(sim.http_addr, method, path, body).await;
        let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
        let told = answer["error"].as_str().unwrap();
        assert_eq!(status, wanted, "{path} {body}: {told}");
        assert!(told.contains(mend), "{path} {body}: {told}");
    }
}
