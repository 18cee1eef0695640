//! The ESME role.

use std::num::NonZeroU64;
use std::time::Duration;

use matrix_smpp_codec::CommandStatus;
use matrix_smpp_loadtest::load::{
    Expectations, LoadError, Mix, Outcome, Password, SendSettings, Stop, Traffic, html, send,
};
use matrix_smpp_loadtest::sim::{Certificate, Sim, SimSettings};
use matrix_smpp_session::{CloseReason, TlsSettings};
use serde_json::{Value, json};

use crate::{ask, counted, get, paced, simulator, texts, to};

async fn run(settings: &SendSettings) -> Outcome {
    send(settings, &Stop::default(), |_| {}).await.unwrap()
}

#[tokio::test]
async fn a_closed_loop_sends_exactly_the_count_and_both_ends_agree() {
    let sim = simulator().await;
    let settings = SendSettings {
        transceivers: 2,
        transmitters: 1,
        ..to(sim.smpp_addr, 1_000)
    };
    let outcome = run(&settings).await;
    assert_eq!((outcome.counts.sent, outcome.counts.ok), (1_000, 1_000));
    assert_eq!((outcome.counts.failed(), outcome.unsent), (0, 0));
    assert_eq!(outcome.statuses["ESME_ROK"], 1_000);
    assert_eq!(outcome.latency_us.count, 1_000);
    let counters = get(&sim, "/counters").await;
    assert_eq!(counters["in"]["submit_sm"], 1_000);
    // Each bind took its share, and each said goodbye.
    let submits = get(&sim, "/submits?after=0&limit=1000").await;
    for bind in 1..=3 {
        let of_bind = submits.as_array().unwrap().iter();
        let share = of_bind.filter(|submit| submit["bind"] == bind).count();
        assert!((333..=334).contains(&share), "{share}");
    }
    assert_eq!(counters["in"]["unbind"], 3);
}

#[tokio::test]
async fn an_open_loop_keeps_its_rate() {
    let sim = simulator().await;
    let settings = SendSettings {
        traffic: paced(1_000, 500),
        ..to(sim.smpp_addr, 0)
    };
    let outcome = run(&settings).await;
    assert_eq!(outcome.counts.ok, 500);
    // The last of 500 is due after 499 ms; it may be late, never early.
    assert!(outcome.sending_ms >= 499, "{}", outcome.sending_ms);
    assert!(outcome.sent_per_second <= 1_003.0);
}

#[tokio::test]
async fn the_latency_of_an_open_loop_counts_from_when_a_request_was_due() {
    let sim = simulator().await;
    ask(&sim, "POST", "/behaviour", r#"{"response_delay_ms": 50}"#).await;
    let settings = SendSettings {
        traffic: Traffic {
            window: 1,
            ..paced(1_000, 20)
        },
        ..to(sim.smpp_addr, 0)
    };
    let outcome = run(&settings).await;
    assert_eq!(outcome.counts.ok, 20);
    // One at a time, 50 ms each: the last is due at 19 ms and answered after 1,000 at best.
    assert!(
        outcome.latency_us.max >= 980_000,
        "{:?}",
        outcome.latency_us
    );
    assert!(outcome.service_us.p50 < outcome.latency_us.p50);
    assert!(outcome.service_us.min >= 50_000);
}

#[tokio::test]
async fn receipts_are_matched_with_their_messages_on_any_bind() {
    let sim = simulator().await;
    let settings = SendSettings {
        transceivers: 0,
        transmitters: 1,
        receivers: 2,
        traffic: Traffic {
            mix: Mix {
                receipts: true,
                ..Mix::default()
            },
            ..counted(300)
        },
        ..to(sim.smpp_addr, 0)
    };
    let outcome = run(&settings).await;
    assert_eq!((outcome.counts.ok, outcome.counts.receipts), (300, 300));
    assert_eq!(outcome.counts.receipts_matched, 300);
    assert_eq!((outcome.receipts_missing, outcome.receipts_unknown), (0, 0));
    assert_eq!(outcome.receipt_us.count, 300);
    let counters = get(&sim, "/counters").await;
    assert_eq!(counters["in"]["deliver_sm_resp"], 300);
}

#[tokio::test]
async fn receipts_whose_ids_are_written_otherwise_find_their_messages() {
    for forms in [
        r#"{"response": "hex", "receipt": "decimal"}"#,
        r#"{"response": "decimal", "receipt": "hex_upper"}"#,
        r#"{"response": "hex", "receipt": {"base": "hex_upper", "width": 16}}"#,
    ] {
        let sim = simulator().await;
        let scenario = format!(r#"{{"message_id": {forms}}}"#);
        ask(&sim, "POST", "/scenario", &scenario).await;
        // So many that the form is learnt in the middle, and so few that it is learnt at the end.
        for count in [300, 3] {
            let outcome = run(&with_receipts(&sim, count)).await;
            assert_eq!(outcome.counts.receipts_matched, count, "{forms}");
            assert_eq!((outcome.receipts_missing, outcome.receipts_unknown), (0, 0));
            assert_eq!(outcome.receipt_us.count, count);
        }
    }
}

#[tokio::test]
async fn second_receipts_and_notifications_are_counted_as_what_they_are() {
    let sim = simulator().await;
    let scenario = r#"{"fault": [{"command": "deliver_sm", "fault": {"kind": "duplicate"}}]}"#;
    ask(&sim, "POST", "/scenario", scenario).await;
    let outcome = run(&with_receipts(&sim, 100)).await;
    let counts = outcome.counts;
    assert_eq!(
        (counts.receipts_matched, counts.receipts),
        (100, 100 + counts.receipts_repeated)
    );
    assert!(counts.receipts_repeated >= 99, "{counts:?}");
    assert_eq!((outcome.receipts_missing, outcome.receipts_unknown), (0, 0));
}

#[tokio::test]
async fn load_goes_over_tls_and_a_stranger_s_certificate_ends_the_run() {
    let (certificate, folder) = certificate();
    let sim = Sim::start(SimSettings {
        tls: Some(certificate),
        ..SimSettings::default()
    })
    .await
    .unwrap();
    let trusting = |ca: Option<std::path::PathBuf>| SendSettings {
        address: format!("localhost:{}", sim.smpp_addr.port()),
        tls: Some(TlsSettings {
            ca,
            ..TlsSettings::default()
        }),
        transceivers: 2,
        ..to(sim.smpp_addr, 200)
    };
    let outcome = run(&trusting(Some(folder.path().join("chain.pem")))).await;
    assert_eq!((outcome.counts.ok, outcome.run.tls), (200, true));
    let refused = send(&trusting(None), &Stop::default(), |_| {}).await;
    let Err(LoadError::Bind(fault)) = refused else {
        panic!("{refused:?}");
    };
    assert_eq!(fault.reason, CloseReason::TlsHandshake);
}

/// A certificate for localhost, and the folder that it is in.
fn certificate() -> (Certificate, tempfile::TempDir) {
    let key = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (chain, private) = (
        folder.path().join("chain.pem"),
        folder.path().join("key.pem"),
    );
    std::fs::write(&chain, key.cert.pem()).unwrap();
    std::fs::write(&private, key.signing_key.serialize_pem()).unwrap();
    let certificate = Certificate {
        chain,
        key: private,
        client_ca: None,
    };
    (certificate, folder)
}

/// One bind that wants a receipt for each of so many messages.
fn with_receipts(sim: &Sim, count: u64) -> SendSettings {
    SendSettings {
        traffic: Traffic {
            mix: Mix {
                receipts: true,
                ..Mix::default()
            },
            ..counted(count)
        },
        ..to(sim.smpp_addr, 0)
    }
}

#[tokio::test]
async fn long_texts_go_as_segments_to_numbers_in_turn() {
    let sim = simulator().await;
    let mix = Mix {
        to: "447700900100".to_owned(),
        to_count: NonZeroU64::new(2).unwrap(),
        ..texts(&["number {n}", &"ж".repeat(100)])
    };
    let settings = SendSettings {
        traffic: Traffic { mix, ..counted(6) },
        ..to(sim.smpp_addr, 0)
    };
    assert_eq!(run(&settings).await.counts.ok, 6);
    let first = get(&sim, "/handsets/447700900100/messages").await;
    assert_eq!(
        (&first[0]["text"], &first[1]["text"]),
        (&"number 0".into(), &"number 2".into())
    );
    let second = get(&sim, "/handsets/447700900101/messages").await;
    assert_eq!(second[0]["text"], "ж".repeat(100));
    assert_eq!(
        (&second[0]["segments"], &second[1]["segments"]),
        (&2.into(), &2.into())
    );
}

#[tokio::test]
async fn answers_are_counted_by_status_and_an_expectation_fails() {
    let sim = simulator().await;
    let change = r#"{"submit_status": "ESME_RTHROTTLED", "next": 25}"#;
    ask(&sim, "POST", "/behaviour", change).await;
    let mut outcome = run(&to(sim.smpp_addr, 100)).await;
    assert_eq!((outcome.counts.ok, outcome.counts.refused), (75, 25));
    assert_eq!(outcome.statuses["ESME_RTHROTTLED"], 25);
    let judge = |outcome: &mut Outcome, max_error_percent| {
        let expectations = Expectations {
            max_error_percent: Some(max_error_percent),
            ..Expectations::default()
        };
        expectations.judge(outcome);
        outcome.meets_expectations()
    };
    assert!(!judge(&mut outcome, 24.9));
    assert!(judge(&mut outcome, 25.0));
}

#[tokio::test]
async fn a_request_without_an_answer_is_told_as_such() {
    let sim = simulator().await;
    ask(&sim, "POST", "/behaviour", r#"{"silent": true}"#).await;
    let settings = SendSettings {
        traffic: Traffic {
            response_timeout: Duration::from_millis(50),
            ..counted(10)
        },
        ..to(sim.smpp_addr, 0)
    };
    let outcome = run(&settings).await;
    assert_eq!((outcome.counts.ok, outcome.counts.timed_out), (0, 10));
    assert!((outcome.error_percent - 100.0).abs() < f64::EPSILON);
}

#[tokio::test]
async fn a_refused_bind_is_told_with_its_status() {
    let accounts = vec!["load:secret".parse().unwrap()];
    let sim = Sim::start(SimSettings {
        accounts,
        ..SimSettings::default()
    })
    .await
    .unwrap();
    let settings = SendSettings {
        password: Password("wrong".to_owned()),
        ..to(sim.smpp_addr, 1)
    };
    let failure = send(&settings, &Stop::default(), |_| {}).await.unwrap_err();
    let LoadError::Bind(fault) = &failure else {
        panic!("{failure}");
    };
    assert_eq!(
        fault.reason,
        CloseReason::BindRefused(CommandStatus::ESME_RINVPASWD)
    );
    assert!(failure.to_string().contains("ESME_RINVPASWD"), "{failure}");
    assert!(!failure.to_string().contains("wrong"));
}

#[tokio::test]
async fn a_stop_still_drains_unbinds_and_reports() {
    let sim = simulator().await;
    let settings = SendSettings {
        traffic: Traffic {
            count: None,
            ..counted(0)
        },
        ..to(sim.smpp_addr, 0)
    };
    let stop = Stop::default();
    let mut seen = 0;
    let observed = stop.clone();
    let outcome = send(&settings, &stop, |interval| {
        seen += interval.counts.sent;
        observed.sending.cancel();
    });
    let outcome = outcome.await.unwrap();
    assert!(outcome.stopped && outcome.counts.ok > 0);
    assert_eq!(
        (outcome.counts.sent, seen),
        (outcome.counts.ok, outcome.counts.sent)
    );
    let counters = get(&sim, "/counters").await;
    assert_eq!(counters["in"]["submit_sm"], outcome.counts.sent);
    assert_eq!(counters["in"]["unbind"], 1);
}

#[tokio::test]
async fn data_sm_is_received_and_an_alert_is_left_without_an_answer() {
    let sim = simulator().await;
    ask(&sim, "POST", "/behaviour", r#"{"silent": true}"#).await;
    let stop = Stop::default();
    let settings = to(sim.smpp_addr, 1);
    let sending = send(&settings, &stop, |_| {});
    let writing = async {
        while get(&sim, "/submits?after=0&limit=1").await == json!([]) {
            tokio::task::yield_now().await;
        }
        let alert = r#"{"from": "447700900123", "account": "load"}"#;
        ask(&sim, "POST", "/alert", alert).await;
        let message = r#"{"to": "60777", "text": "hi", "carrier": "data_sm"}"#;
        let sent = ask(&sim, "POST", "/handsets/447700900123/send", message).await;
        assert_eq!(sent, json!({"statuses": ["ESME_ROK"]}));
        stop.waiting.cancel();
    };
    let (outcome, ()) = tokio::join!(sending, writing);
    assert_eq!(outcome.unwrap().counts.received, 1);
    let counters = get(&sim, "/counters").await;
    assert_eq!(counters["out"]["alert_notification"], 1);
    assert_eq!(counters["in"]["generic_nack"], Value::Null);
}

#[tokio::test]
async fn a_lost_link_comes_back_and_its_losses_are_told() {
    let sim = simulator().await;
    ask(&sim, "POST", "/behaviour", r#"{"silent": true}"#).await;
    let settings = SendSettings {
        traffic: Traffic {
            window: 10,
            ..counted(30)
        },
        ..to(sim.smpp_addr, 0)
    };
    let stop = Stop::default();
    let sending = send(&settings, &stop, |_| {});
    let cut = async {
        loop {
            let seen = get(&sim, "/submits?after=0&limit=100").await;
            if seen.as_array().unwrap().len() == 10 {
                break;
            }
            tokio::task::yield_now().await;
        }
        ask(&sim, "POST", "/behaviour", r#"{"reset": true}"#).await;
        ask(&sim, "POST", "/binds/drop", "").await;
    };
    let (outcome, ()) = tokio::join!(sending, cut);
    let counts = outcome.unwrap().counts;
    assert_eq!((counts.sent, counts.ok, counts.lost), (30, 20, 10));
    assert_eq!(counts.reconnects, 1);
}

#[tokio::test]
async fn the_result_survives_json_and_its_report_holds_every_series() {
    let sim = simulator().await;
    let settings = SendSettings {
        traffic: paced(2_000, 3_000),
        ..to(sim.smpp_addr, 0)
    };
    let outcome = run(&settings).await;
    assert!(outcome.series.len() >= 2);
    let sent: u64 = outcome
        .series
        .iter()
        .map(|interval| interval.counts.sent)
        .sum();
    assert_eq!(sent, 3_000);
    let json = serde_json::to_string(&outcome).unwrap();
    let back: Outcome = serde_json::from_str(&json).unwrap();
    assert_eq!(back, outcome);
    let page = html(&outcome);
    for name in [
        "sent", "ok", "failed", "received", "p50", "p90", "p99", "max", "latency", "backlog",
    ] {
        let series = format!("data-series=\"{name}\"");
        let (_, drawn) = page.split_once(&series).expect(name);
        let (_, drawn) = drawn.split_once("points=\"").unwrap();
        let (points, _) = drawn.split_once('"').unwrap();
        assert!(points.split_whitespace().count() >= 2, "{name}: {points}");
    }
    assert!(
        !page.contains("http") && !page.contains("src="),
        "fetches something"
    );
}
