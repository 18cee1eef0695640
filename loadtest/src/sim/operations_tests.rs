use std::time::Duration;

use matrix_smpp_codec::time::{AbsoluteTime, RelativeTime};
use matrix_smpp_codec::{COctets, RegisteredDelivery};

use super::*;
use crate::sim::bench::{Bench, PHONE, VMN, submit};

#[test]
fn a_message_is_queried_on_its_way_and_at_its_end() {
    let mut bench = Bench::new("[receipts]\nmix = { undeliverable = 1 }\ndelay = \"2s\"");
    let id = bench.accepted(&submit(PHONE));
    assert_eq!(bench.query(&id), Ok(MessageState::ENROUTE));
    bench.pass(2_000);
    assert_eq!(bench.query(&id), Ok(MessageState::UNDELIVERABLE));
    assert_eq!(bench.query("42"), Err(CommandStatus::ESME_RINVMSGID));
}

#[test]
fn a_message_that_is_cancelled_is_deleted_and_has_no_receipt() {
    let mut bench = Bench::new("");
    let id = bench.accepted(&submit(PHONE));
    let asked = CancelSm {
        message_id: id.parse().unwrap(),
        source_addr: VMN.parse().unwrap(),
        ..CancelSm::default()
    };
    let cancel = |bench: &mut Bench| bench.model.cancel(bench.now, "gateway", &asked);
    let stranger = bench.model.cancel(bench.now, "stranger", &asked);
    assert_eq!(stranger, Err(CommandStatus::ESME_RINVMSGID));
    assert_eq!(cancel(&mut bench), Ok(()));
    assert_eq!(cancel(&mut bench), Err(CommandStatus::ESME_RCANCELFAIL));
    assert_eq!(bench.query(&id), Ok(MessageState::DELETED));
    bench.pass(1_000);
    assert!(bench.receipts().is_empty());
    assert_eq!(bench.phone()[0].1, "deleted");
}

#[test]
fn a_cancelled_message_ended_when_it_was_cancelled_and_its_phone_is_silent() {
    let mut bench = Bench::new("[[rule]]\nthen = { reply = \"pong\" }");
    let scheduled = SubmitSm {
        schedule_delivery_time: RelativeTime::from_duration(Duration::from_mins(1)).field(),
        ..submit(PHONE)
    };
    let id: COctets<65> = bench.accepted(&scheduled).parse().unwrap();
    let asked = CancelSm {
        message_id: id,
        source_addr: VMN.parse().unwrap(),
        ..CancelSm::default()
    };
    assert_eq!(bench.model.cancel(bench.now, "gateway", &asked), Ok(()));
    let query = QuerySm {
        message_id: id,
        ..QuerySm::default()
    };
    let answer = bench.model.query(bench.now, "gateway", &query).unwrap();
    let seconds = i64::try_from(bench.now.unix_ms / 1_000).unwrap();
    let cancelled_at = AbsoluteTime::from_unix(seconds).unwrap().field();
    assert_eq!(answer.final_date, cancelled_at);
    bench.pass(60_000);
    assert!(bench.model.due(bench.now, 10).is_empty());
}

#[test]
fn a_replace_sm_can_take_back_the_wish_for_a_receipt() {
    let mut bench = Bench::new("");
    let id = bench.accepted(&submit(PHONE));
    let asked = ReplaceSm {
        message_id: id.parse().unwrap(),
        ..ReplaceSm::default()
    };
    assert_eq!(bench.model.replace(bench.now, "gateway", &asked), Ok(()));
    bench.pass(1_000);
    assert!(bench.receipts().is_empty());
}

#[test]
fn senseless_times_of_a_replace_sm_are_refused() {
    let mut bench = Bench::new("");
    let id = bench.accepted(&submit(PHONE));
    let asked = ReplaceSm {
        message_id: id.parse().unwrap(),
        ..ReplaceSm::default()
    };
    let schedule = ReplaceSm {
        schedule_delivery_time: "tomorrow".parse().unwrap(),
        ..asked.clone()
    };
    let validity = ReplaceSm {
        validity_period: "200101000000000+".parse().unwrap(),
        ..asked
    };
    let replace = |asked| bench.model.replace(bench.now, "gateway", asked);
    let answers = [&schedule, &validity].map(replace);
    let [schedule, validity] = [
        CommandStatus::ESME_RINVSCHED,
        CommandStatus::ESME_RINVEXPIRY,
    ];
    assert_eq!(answers, [Err(schedule), Err(validity)]);
}

#[test]
fn all_messages_of_a_pair_can_be_cancelled_at_once() {
    let mut bench = Bench::new("");
    let ids = [PHONE, PHONE, "447700900124"].map(|phone| bench.accepted(&submit(phone)));
    let asked = CancelSm {
        source_addr: VMN.parse().unwrap(),
        destination_addr: PHONE.parse().unwrap(),
        ..CancelSm::default()
    };
    assert_eq!(bench.model.cancel(bench.now, "gateway", &asked), Ok(()));
    let states = ids.map(|id| bench.query(&id).unwrap());
    let [deleted, enroute] = [MessageState::DELETED, MessageState::ENROUTE];
    assert_eq!(states, [deleted, deleted, enroute]);
}

#[test]
fn a_message_that_is_replaced_says_something_else() {
    let mut bench = Bench::new("");
    let id = bench.accepted(&submit(PHONE));
    let asked = ReplaceSm {
        message_id: id.parse().unwrap(),
        source_addr: VMN.parse().unwrap(),
        registered_delivery: RegisteredDelivery::RECEIPT,
        short_message: ShortMessage::try_from(&b"bye"[..]).unwrap(),
        ..ReplaceSm::default()
    };
    assert_eq!(bench.model.replace(bench.now, "gateway", &asked), Ok(()));
    assert_eq!(bench.phone(), [("bye".to_owned(), "replaced".to_owned())]);
    bench.pass(500);
    assert_eq!(bench.receipts()[0].text.as_deref(), Some("bye"));
    let late = bench.model.replace(bench.now, "gateway", &asked);
    assert_eq!(late, Err(CommandStatus::ESME_RREPLACEFAIL));
}

#[test]
fn a_scheduled_message_waits_and_a_past_schedule_is_refused() {
    let mut bench = Bench::new("");
    let at = RelativeTime::from_duration(Duration::from_mins(1)).field();
    let scheduled = SubmitSm {
        schedule_delivery_time: at,
        ..submit(PHONE)
    };
    let id = bench.accepted(&scheduled);
    assert!(bench.phone().is_empty());
    bench.pass(60_000);
    assert!(bench.receipts().is_empty());
    assert_eq!(bench.phone().len(), 1);
    assert_eq!(bench.query(&id), Ok(MessageState::ENROUTE));
    bench.pass(500);
    assert_eq!(bench.receipts().len(), 1);
    for (field, status) in [
        ("200101000000000+", CommandStatus::ESME_RINVSCHED),
        ("tomorrow", CommandStatus::ESME_RINVSCHED),
    ] {
        let wrong = SubmitSm {
            schedule_delivery_time: field.parse().unwrap(),
            ..submit(PHONE)
        };
        assert_eq!(bench.status(&wrong), status, "{field}");
    }
}

#[test]
fn a_message_expires_when_its_validity_ends_first() {
    let mut bench = Bench::new("[receipts]\ndelay = \"1h\"");
    let soon = RelativeTime::from_duration(Duration::from_secs(5)).field();
    let brief = SubmitSm {
        validity_period: soon,
        ..submit(PHONE)
    };
    let id = bench.accepted(&brief);
    bench.pass(5_000);
    assert_eq!(bench.receipts()[0].state, MessageState::EXPIRED);
    assert_eq!(bench.query(&id), Ok(MessageState::EXPIRED));
    let wrong = SubmitSm {
        validity_period: "x".parse().unwrap(),
        ..submit(PHONE)
    };
    assert_eq!(bench.status(&wrong), CommandStatus::ESME_RINVEXPIRY);
}

#[test]
fn ids_can_have_one_form_in_the_answer_and_another_in_the_receipt() {
    let mut bench = Bench::new(
        "[message_id]\nresponse = { base = \"hex\", width = 12 }\nreceipt = \"decimal\"",
    );
    let id = bench.accepted(&submit(PHONE));
    assert_eq!(id.len(), 12);
    bench.pass(500);
    let receipt = bench.receipts().remove(0);
    let number = u64::from_str_radix(&id, 16).unwrap();
    assert_eq!(receipt.message_id, number.to_string());
    assert_eq!(bench.query(&id), Ok(MessageState::DELIVERED));
}

fn replacing(id: &str, text: &[u8]) -> ReplaceSm {
    ReplaceSm {
        message_id: id.parse().unwrap(),
        source_addr: VMN.parse().unwrap(),
        registered_delivery: RegisteredDelivery::RECEIPT,
        short_message: ShortMessage::try_from(text).unwrap(),
        ..ReplaceSm::default()
    }
}

fn minutes(count: u64) -> COctets<17> {
    RelativeTime::from_duration(Duration::from_mins(count)).field()
}

#[test]
fn a_replace_sm_changes_when_a_scheduled_message_reaches_its_phone() {
    let mut bench = Bench::new("[[rule]]\nthen = { reply = \"pong\" }");
    let scheduled = SubmitSm {
        schedule_delivery_time: minutes(1),
        ..submit(PHONE)
    };
    let id = bench.accepted(&scheduled);
    let asked = ReplaceSm {
        schedule_delivery_time: minutes(3),
        ..replacing(&id, b"later")
    };
    assert_eq!(bench.model.replace(bench.now, "gateway", &asked), Ok(()));
    bench.pass(120_000);
    assert!(bench.model.due(bench.now, 10).is_empty());
    assert!(bench.phone().is_empty());
    bench.pass(60_000);
    // The phone has it, and answers once.
    assert_eq!(bench.model.due(bench.now, 10).len(), 2);
    assert_eq!(bench.phone()[0].0, "later");
    assert_eq!(bench.query(&id), Ok(MessageState::ENROUTE));
    bench.pass(500);
    assert_eq!(bench.receipts().len(), 1);
    assert_eq!(bench.query(&id), Ok(MessageState::DELIVERED));
}

#[test]
fn a_replace_sm_changes_when_a_message_expires_and_keeps_what_it_leaves_out() {
    let mut bench = Bench::new("[receipts]\ndelay = \"1h\"");
    let id = bench.accepted(&submit(PHONE));
    let asked = ReplaceSm {
        validity_period: minutes(5),
        ..replacing(&id, b"short-lived")
    };
    assert_eq!(bench.model.replace(bench.now, "gateway", &asked), Ok(()));
    bench.pass(60_000);
    let again = replacing(&id, b"the same times");
    assert_eq!(bench.model.replace(bench.now, "gateway", &again), Ok(()));
    bench.pass(239_000);
    assert!(bench.receipts().is_empty());
    bench.pass(1_000);
    let receipts = bench.receipts();
    assert_eq!(receipts.len(), 1);
    assert_eq!(receipts[0].state, MessageState::EXPIRED);
    bench.pass(3_600_000);
    assert!(bench.receipts().is_empty());
}

#[test]
fn a_replace_sm_can_ask_for_a_receipt_that_the_message_did_not_want() {
    let mut bench = Bench::new("");
    let quiet = SubmitSm {
        registered_delivery: RegisteredDelivery::NONE,
        ..submit(PHONE)
    };
    let id = bench.accepted(&quiet);
    let asked = replacing(&id, b"tell me");
    assert_eq!(bench.model.replace(bench.now, "gateway", &asked), Ok(()));
    bench.pass(500);
    assert_eq!(bench.receipts().len(), 1);
}

#[test]
fn a_message_with_the_replace_flag_takes_the_place_of_the_latest_of_its_pair() {
    let mut bench = Bench::new("");
    let others = [submit("447700900124"), submit(PHONE), submit(PHONE)];
    let ids = others.map(|pdu| bench.accepted(&pdu));
    let flagged = SubmitSm {
        replace_if_present_flag: 1,
        ..submit(PHONE)
    };
    let id = bench.accepted(&flagged);
    let states = ids.map(|id| bench.query(&id).unwrap());
    let [deleted, enroute] = [MessageState::DELETED, MessageState::ENROUTE];
    assert_eq!(states, [enroute, enroute, deleted]);
    let words: Vec<_> = bench.phone().into_iter().map(|(_, state)| state).collect();
    assert_eq!(words, ["delivered", "replaced", "delivered"]);
    bench.pass(500);
    assert_eq!(bench.receipts().len(), 3);
    assert_eq!(bench.query(&id), Ok(MessageState::DELIVERED));
    // What has ended stays, and so does another service's.
    let service = SubmitSm {
        service_type: "CMT".parse().unwrap(),
        ..flagged.clone()
    };
    let pending = bench.accepted(&submit(PHONE));
    bench.accepted(&service);
    assert_eq!(bench.query(&pending), Ok(MessageState::ENROUTE));
    assert_eq!(bench.query(&id), Ok(MessageState::DELIVERED));
}
