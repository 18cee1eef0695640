use matrix_smpp_codec::{MessageState, RegisteredDelivery};

use super::*;
use crate::sim::bench::{Bench, PHONE, VMN, submit};

#[test]
fn an_accepted_message_is_noted_reaches_its_phone_and_owes_a_receipt() {
    let mut bench = Bench::new("");
    let id = bench.accepted(&submit(PHONE));
    let note = bench.model.records.iter().next().unwrap().clone();
    assert_eq!((note.parcel.arrival, note.parcel.bind), (1, 1));
    assert_eq!(note.parcel.message_id.as_deref(), Some(&*id));
    assert_eq!(note.receipt, "owed");
    assert_eq!(
        bench.phone(),
        [("hello".to_owned(), "delivered".to_owned())]
    );
    assert_eq!(bench.model.sender("+447700900001"), Some("gateway"));
    bench.pass(499);
    assert!(bench.receipts().is_empty());
    bench.pass(1);
    let receipts = bench.receipts();
    assert_eq!(receipts.len(), 1);
    assert_eq!(receipts[0].message_id, id);
    assert_eq!(receipts[0].state, MessageState::DELIVERED);
}

#[test]
fn a_refused_message_reaches_no_phone_and_owes_nothing() {
    let mut bench = Bench::new("");
    bench.change(r#"{"submit_status": "ESME_RTHROTTLED"}"#);
    let answer = bench.take(&submit(PHONE)).answer.unwrap();
    assert_eq!(answer.status, CommandStatus::ESME_RTHROTTLED);
    assert_eq!(answer.message_id, None);
    assert!(bench.phone().is_empty() && bench.model.agenda.len() == 0);
    assert_eq!(bench.model.records.len(), 1);
}

#[test]
fn a_swallowed_message_leaves_only_its_note() {
    let mut bench = Bench::new("[[rule]]\nthen = { silent = true }");
    assert!(bench.take(&submit(PHONE)).answer.is_none());
    assert!(bench.phone().is_empty() && bench.model.agenda.len() == 0);
    assert_eq!(bench.model.records.iter().next().unwrap().status, None);
}

#[test]
fn a_destination_that_is_no_number_is_refused() {
    for wrong in ["", "BANK", "44770x"] {
        let status = Bench::new("").status(&submit(wrong));
        assert_eq!(status, CommandStatus::ESME_RINVDSTADR, "{wrong}");
    }
}

#[test]
fn a_phone_that_cannot_be_reached_says_so() {
    let mut bench = Bench::new("");
    bench.change(r#"{"receipts": "undeliverable"}"#);
    bench.accepted(&submit(PHONE));
    assert_eq!(bench.phone()[0].1, "undeliverable");
}

#[test]
fn the_same_seed_gives_the_same_message_ids() {
    let id = || Bench::new("").accepted(&submit(PHONE));
    assert_eq!(id(), id());
}

#[test]
fn a_rule_decides_status_latency_receipt_error_and_reply() {
    let mut bench = Bench::new(
        r#"
        [[rule]]
        when = { to = "4477009*" }
        then = { latency = "70ms", receipt = "rejected", error = "042", receipt_delay = "1s",
                 form = "text", reply = "no thanks", congestion = 80 }
        "#,
    );
    let answer = bench.take(&submit(PHONE)).answer.unwrap();
    assert_eq!(answer.delay, Duration::from_millis(70));
    assert_eq!(answer.congestion, Some(80));
    let due = bench.model.due(bench.now, 10);
    assert!(matches!(&due[..], [Due::Write { from, writing }]
        if from == PHONE && writing.to == VMN && writing.text.0 == "no thanks"));
    bench.pass(1_000);
    let receipts = bench.receipts();
    assert_eq!(receipts[0].state, MessageState::REJECTED);
    assert_eq!(receipts[0].error.as_deref(), Some("042"));
}

#[test]
fn a_convention_decides_by_the_number() {
    let mut bench = Bench::new("conventions = \"smppsim\"");
    bench.accepted(&submit("147700900123"));
    bench.pass(500);
    let receipt = bench.receipts().remove(0);
    assert_eq!(receipt.state, MessageState::EXPIRED);
    assert_eq!(receipt.error.as_deref(), Some("903"));
    let mut bench = Bench::new("conventions = \"melrose\"");
    let status = bench.status(&submit("333"));
    assert_eq!(status, CommandStatus::ESME_RSUBMITFAIL);
    assert_eq!(bench.accepted(&submit(PHONE)).len(), 64);
    bench.account = "12345678".into();
    bench.accepted(&submit("12345678"));
    let due = bench.model.due(bench.now, 10);
    assert!(matches!(&due[..], [Due::Write { from, writing }]
        if from == VMN && writing.to == "12345678" && writing.text.0 == "hello"));
}

#[test]
fn early_receipts_are_due_at_once() {
    let mut bench = Bench::new("[receipts]\nearly = true\ndelay = \"1h\"");
    let outcome = bench.take(&submit(PHONE));
    assert!(outcome.early);
    assert_eq!(bench.receipts().len(), 1);
}

#[test]
fn a_notification_goes_first_where_it_is_wanted() {
    let mut bench = Bench::new("[receipts]\nintermediate = true");
    let pdu = SubmitSm {
        registered_delivery: RegisteredDelivery::RECEIPT | RegisteredDelivery::INTERMEDIATE,
        ..submit(PHONE)
    };
    bench.accepted(&pdu);
    assert_eq!(bench.receipts()[0].state, MessageState::ENROUTE);
    bench.pass(500);
    assert_eq!(bench.receipts()[0].state, MessageState::DELIVERED);
}

#[test]
fn a_change_of_behaviour_wins_over_the_scenario_until_a_reset() {
    let mut bench = Bench::new("[answers]\nlatency = \"1s\"");
    let delay = |bench: &mut Bench| bench.take(&submit(PHONE)).answer.unwrap().delay;
    assert_eq!(delay(&mut bench), Duration::from_secs(1));
    bench.change(r#"{"response_delay_ms": 5}"#);
    assert_eq!(delay(&mut bench), Duration::from_millis(5));
    bench.change(r#"{"reset": true}"#);
    assert_eq!(delay(&mut bench), Duration::from_secs(1));
}

#[test]
fn what_is_remembered_is_bounded() {
    let mut bench = Bench::new("");
    for number in 0..5_000_u64 {
        let phone = (447_700_000_000 + number).to_string();
        bench.take(&submit(&phone));
    }
    assert_eq!(bench.model.records.len(), 1_000);
    assert_eq!(bench.model.agenda.len(), 2_000);
    assert_eq!(bench.model.agenda.dropped(), 3_000);
}
