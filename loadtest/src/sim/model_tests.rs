use matrix_smpp_codec::receipt::Receipt;
use matrix_smpp_codec::time::{AbsoluteTime, RelativeTime};
use matrix_smpp_codec::{
    CancelSm, CommandId, MessageState, QuerySm, RegisteredDelivery, ReplaceSm, ShortMessage,
};

use super::*;
use crate::sim::receipts::Dates;
use crate::sim::scenario::Scenario;

const PHONE: &str = "447700900123";
const VMN: &str = "447700900001";

/// A model and a clock that goes only when it is told to.
struct Bench {
    model: Model,
    now: Now,
    account: Arc<str>,
}

impl Bench {
    fn new(scenario: &str) -> Self {
        let now = Now::read();
        let scenario = Scenario::from_toml(scenario).unwrap();
        let fresh = Behaviour::new(Duration::from_millis(500));
        Self {
            model: Model::new(now, 1, 1_000, Script::new(scenario), fresh),
            now,
            account: "gateway".into(),
        }
    }

    fn take(&mut self, pdu: &SubmitSm) -> Outcome {
        let origin = Origin {
            bind: 1,
            system_id: &self.account,
            sequence: 9,
            command: CommandId::SUBMIT_SM,
            outstanding: 0,
            serial: None,
        };
        self.model.submit(self.now, origin, pdu)
    }

    fn accepted(&mut self, pdu: &SubmitSm) -> String {
        let answer = self.take(pdu).answer.unwrap();
        assert_eq!(answer.status, CommandStatus::ESME_ROK);
        answer.message_id.unwrap().to_string()
    }

    fn status(&mut self, pdu: &SubmitSm) -> CommandStatus {
        self.take(pdu).answer.unwrap().status
    }

    fn pass(&mut self, milliseconds: u64) {
        self.now.instant += Duration::from_millis(milliseconds);
        self.now.unix_ms += milliseconds;
    }

    /// The receipts that are due.
    fn receipts(&mut self) -> Vec<Receipt> {
        let due = self.model.due(self.now, 100).into_iter();
        due.filter_map(|due| match due {
            Due::Notice(notice) => Receipt::of(&notice.body(&mut Dates::default())),
            _ => None,
        })
        .collect()
    }

    fn change(&mut self, json: &str) {
        let change = serde_json::from_str(json).unwrap();
        self.model.change_behaviour(&change).unwrap();
    }

    fn query(&mut self, id: &str) -> Result<MessageState, CommandStatus> {
        let asked = QuerySm {
            message_id: id.parse().unwrap(),
            source_addr: VMN.parse().unwrap(),
            ..QuerySm::default()
        };
        let answer = self.model.query(self.now, "gateway", &asked)?;
        Ok(answer.message_state)
    }

    fn phone(&self) -> Vec<(String, String)> {
        let messages = self.model.handsets.messages(PHONE, 10).into_iter();
        messages.map(|one| (one.text.0, one.status)).collect()
    }
}

fn submit(destination: &str) -> SubmitSm {
    SubmitSm {
        source_addr: VMN.parse().unwrap(),
        destination_addr: destination.parse().unwrap(),
        registered_delivery: RegisteredDelivery::RECEIPT,
        short_message: ShortMessage::try_from(&b"hello"[..]).unwrap(),
        ..SubmitSm::default()
    }
}

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
