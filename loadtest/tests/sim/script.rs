//! Scenarios, accounts and binds: who may do what, and how the simulator answers.
#![expect(
    clippy::unwrap_used,
    reason = "a helper that panics fails its test, as it should"
)]

use std::time::{Duration, Instant};

use matrix_smpp_codec::receipt::Receipt;
use matrix_smpp_codec::{Body, CommandStatus, MessageState, SubmitSm};
use matrix_smpp_loadtest::sim::{Scenario, Sim, SimSettings};
use matrix_smpp_session::{BindMode, LinkEvent, Ticket};

use crate::client::{Esme, get, http, message, post, simulator, until};
use crate::raw::{Raw, head, status};

async fn with(toml: &str) -> Sim {
    let settings = SimSettings {
        scenario: Scenario::from_toml(toml).unwrap(),
        receipt_delay: Duration::from_millis(1),
        ..SimSettings::default()
    };
    Sim::start(settings).await.unwrap()
}

fn to(number: &str) -> SubmitSm {
    SubmitSm {
        destination_addr: number.parse().unwrap(),
        ..message("x")
    }
}

#[tokio::test]
async fn a_scenario_decides_by_number_sender_and_turn() {
    let sim = with(
        r#"
        [[rule]]
        when = { to = "4477009009*" }
        then = { status = "ESME_RINVDSTADR" }
        [[rule]]
        when = { from = "4477*" }
        on = { skip = 1, times = 1 }
        then = { status = "ESME_RTHROTTLED" }
        "#,
    )
    .await;
    let mut esme = Esme::bind(&sim, BindMode::Transmitter, "gateway").await;
    let mut statuses = Vec::new();
    for number in [
        "447700900123",
        "447700900901",
        "447700900123",
        "447700900123",
    ] {
        statuses.push(esme.submit(to(number)).await.0);
    }
    let ok = CommandStatus::ESME_ROK;
    let wanted = [
        ok,
        CommandStatus::ESME_RINVDSTADR,
        CommandStatus::ESME_RTHROTTLED,
        ok,
    ];
    assert_eq!(statuses, wanted);
    let rules = get(&sim, "/rules").await;
    assert_eq!(
        (&rules[1]["seen"], &rules[1]["taken"]),
        (&3.into(), &1.into())
    );
}

#[tokio::test]
async fn a_scenario_can_be_changed_by_request_and_taken_back() {
    let sim = with("[message_id]\nresponse = \"hex\"").await;
    let mut esme = Esme::bind(&sim, BindMode::Transmitter, "gateway").await;
    let toml = "[message_id]\nresponse = \"uuid\"\n[[fault]]\ncommand = \"enquire_link_resp\"\nfault = { kind = \"drop\" }";
    let (code, _) = post(&sim, "/scenario", toml).await;
    assert_eq!(code, 200);
    assert_eq!(esme.submit(message("x")).await.1.len(), 36);
    assert_eq!(get(&sim, "/faults").await.as_array().unwrap().len(), 1);
    let (code, _) = http(sim.http_addr, "DELETE", "/scenario", "").await;
    assert_eq!(code, 200);
    assert!(esme.submit(message("x")).await.1.len() < 10);
    assert!(get(&sim, "/faults").await.as_array().unwrap().is_empty());
    let (code, answer) = post(&sim, "/scenario", r#"{"rule": [{"on": {"every": 0}}]}"#).await;
    assert_eq!(code, 400);
    assert_eq!(answer["error"], "rule 1: `every` counts from 1");
}

#[tokio::test]
async fn a_receipt_can_come_before_the_answer_and_bear_another_id() {
    let sim = with(
        r#"
        [message_id]
        response = "hex"
        receipt = { width = 12 }
        [receipts]
        early = true
        form = "text"
        mix = { rejected = 1 }
        "#,
    )
    .await;
    let mut esme = Esme::bind(&sim, BindMode::Transceiver, "gateway").await;
    let ticket = Ticket(7);
    esme.link
        .submit(ticket, Body::SubmitSm(message("hello")))
        .unwrap();
    let pdu = esme.deliver(CommandStatus::ESME_ROK).await;
    assert!(pdu.tlvs.is_empty());
    let receipt = Receipt::of(&pdu).unwrap();
    assert_eq!(receipt.state, MessageState::REJECTED);
    match esme.event().await {
        LinkEvent::Answered {
            body: Body::SubmitSmResp(answer),
            ..
        } => {
            let number = u64::from_str_radix(&answer.message_id.to_text(), 16).unwrap();
            assert_eq!(receipt.message_id, format!("{number:012}"));
        }
        other => panic!("no submit_sm_resp but {other:?}"),
    }
}

#[tokio::test]
async fn receipts_of_a_window_come_in_reverse() {
    let sim = with("[receipts]\norder = \"reversed\"\nwindow = \"2s\"").await;
    let mut esme = Esme::bind(&sim, BindMode::Transceiver, "gateway").await;
    // All in one window, wherever in one we are now: both ends of it are waited for.
    esme.submit(message("first")).await;
    esme.deliver(CommandStatus::ESME_ROK).await;
    let mut ids = Vec::new();
    for _ in 0..5 {
        ids.push(esme.submit(message("x")).await.1);
    }
    let mut told = Vec::new();
    for _ in 0..5 {
        let pdu = esme.deliver(CommandStatus::ESME_ROK).await;
        told.push(Receipt::of(&pdu).unwrap().message_id);
    }
    ids.reverse();
    assert_eq!(told, ids);
}

#[tokio::test]
async fn an_answer_takes_its_latency() {
    let sim = with("[answers]\nlatency = { uniform = { min = \"120ms\", max = \"140ms\" } }").await;
    let mut esme = Esme::bind(&sim, BindMode::Transmitter, "gateway").await;
    let began = now();
    esme.submit(message("x")).await;
    assert!(now() - began >= Duration::from_millis(120));
}

#[expect(clippy::disallowed_methods, reason = "measures a latency")]
fn now() -> Instant {
    Instant::now()
}

#[tokio::test]
async fn an_account_has_its_limits() {
    let sim = with(
        r#"
        [[account]]
        system_id = "slow"
        password = "secret"
        modes = ["transceiver"]
        max_binds = 1
        rate = 2
        [[account]]
        system_id = "narrow"
        password = "secret"
        window = 1
        [answers]
        latency = "50ms"
        "#,
    )
    .await;
    let mut slow = Raw::bind(&sim, "slow").await;
    let second = Raw::connect(&sim).await.try_bind("slow").await;
    assert_eq!(status(&second), CommandStatus::ESME_RALYBND);
    let stranger = Raw::connect(&sim).await.try_bind("stranger").await;
    assert_eq!(status(&stranger), CommandStatus::ESME_RINVSYSID);
    let mut statuses = Vec::new();
    for _ in 0..3 {
        slow.submit("x").await;
        statuses.push(status(&slow.pdu().await));
    }
    assert_eq!(statuses[2], CommandStatus::ESME_RTHROTTLED);
    let mut narrow = Raw::bind(&sim, "narrow").await;
    narrow.submit("x").await;
    narrow.submit("x").await;
    let mut statuses = [status(&narrow.pdu().await), status(&narrow.pdu().await)];
    statuses.sort_unstable();
    assert_eq!(
        statuses,
        [CommandStatus::ESME_ROK, CommandStatus::ESME_RMSGQFUL]
    );
}

#[tokio::test]
async fn after_a_dropped_link_its_account_is_bound_already_for_a_while() {
    let sim = with("[binds]\nhold_after_drop = \"1h\"").await;
    let mut orderly = Raw::bind(&sim, "orderly").await;
    orderly.send(Body::Unbind).await;
    orderly.pdu().await;
    drop(orderly);
    drop(Raw::bind(&sim, "gateway").await);
    until(&sim, "/binds", |binds| binds.as_array().unwrap().is_empty()).await;
    let answer = Raw::connect(&sim).await.try_bind("gateway").await;
    assert_eq!(status(&answer), CommandStatus::ESME_RALYBND);
    let answer = Raw::connect(&sim).await.try_bind("orderly").await;
    assert_eq!(status(&answer), CommandStatus::ESME_ROK);
}

#[tokio::test]
async fn a_storm_of_unbinds_throws_out_whoever_binds() {
    let sim = with("[binds]\nunbind_after = \"1ms\"").await;
    for _ in 0..3 {
        let mut raw = Raw::bind(&sim, "gateway").await;
        assert_eq!(head(&raw.pdu().await).0, 6);
    }
}

#[tokio::test]
async fn a_rule_can_refuse_binds_and_a_fault_can_strip_their_version() {
    let sim = with(
        r#"
        [[rule]]
        when = { command = "bind", account = "gateway" }
        on = { times = 1 }
        then = { status = "ESME_RSYSERR" }
        [[fault]]
        command = "bind_transceiver_resp"
        on = { skip = 1 }
        fault = { kind = "no_tlvs" }
        "#,
    )
    .await;
    let refused = Raw::connect(&sim).await.try_bind("gateway").await;
    assert_eq!(status(&refused), CommandStatus::ESME_RSYSERR);
    let bound = Raw::connect(&sim).await.try_bind("gateway").await;
    assert_eq!(status(&bound), CommandStatus::ESME_ROK);
    assert_eq!(bound.len(), 16 + "smsc-sim".len() + 1);
}

#[tokio::test]
async fn congestion_can_be_told() {
    let sim = with("[[rule]]\nthen = { congestion = 95 }").await;
    let mut esme = Esme::bind(&sim, BindMode::Transmitter, "gateway").await;
    esme.link
        .submit(Ticket(1), Body::SubmitSm(message("x")))
        .unwrap();
    match esme.event().await {
        LinkEvent::Answered {
            body: Body::SubmitSmResp(answer),
            ..
        } => assert_eq!(answer.tlvs.congestion_state(), Some(95)),
        other => panic!("no answer but {other:?}"),
    }
}

#[tokio::test]
async fn the_same_seed_draws_the_same_row_again() {
    let row = async || {
        let sim =
            with("seed = 7\n[[rule]]\non = { chance = 0.5 }\nthen = { status = \"0x400\" }").await;
        let mut esme = Esme::bind(&sim, BindMode::Transmitter, "gateway").await;
        let mut row = Vec::new();
        for _ in 0..20 {
            row.push(esme.submit(message("x")).await);
        }
        row
    };
    assert_eq!(row().await, row().await);
}

#[tokio::test]
async fn other_simulators_numbers_mean_the_same_here() {
    let sim = simulator().await;
    post(&sim, "/scenario", r#"{"conventions": "smppsim"}"#).await;
    let mut esme = Esme::bind(&sim, BindMode::Transceiver, "gateway").await;
    for (number, state) in [
        ("147700900123", MessageState::EXPIRED),
        ("347700900123", MessageState::UNDELIVERABLE),
        ("647700900123", MessageState::DELIVERED),
    ] {
        esme.submit(to(number)).await;
        let receipt = Receipt::of(&esme.deliver(CommandStatus::ESME_ROK).await).unwrap();
        assert_eq!(receipt.state, state, "{number}");
    }
}
