//! Accounts that bind to the listener: what they submit, ask, and are owed.

mod door;
mod fair;
mod multi;
mod parts;
mod proof;
mod reload;
mod scheduled;

use matrix_smpp_codec::receipt::Receipt;
use matrix_smpp_codec::values::{
    DataCoding, EsmClass, MessageState as WireState, RegisteredDelivery,
};
use matrix_smpp_codec::{COctets, DeliverSmResp, MessageId, SubmitSm};
use matrix_smpp_config::Money;
use matrix_smpp_session::{BindMode, CloseReason};

use super::*;
use crate::gateway::model::{E164Text, Handset, MessageState, Source};
use crate::gateway::plan::{self, Draft};
use crate::ops::admin;
use crate::store::{Acceptance, OpenConversation, ReceiptHistory};
use door::{Door, Esme, sm};

#[tokio::test(flavor = "multi_thread")]
async fn what_an_account_submits_is_an_sms_from_its_source_with_an_id_of_ours() {
    let door = Door::open().await;
    let mut esme = door.bind(BindMode::Transceiver).await;
    let first = esme.submit(sm("one")).await.unwrap();
    let second = esme.submit(sm("two")).await.unwrap();
    assert_ne!(first, second);
    assert!(!first.is_empty());
    assert_eq!(door.texts().await, ["one", "two"]);
    assert_eq!(door.pending().await[0].link_group, "aggregator");
    door.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_submission_that_comes_again_after_its_bind_was_cut_has_the_same_id() {
    let door = Door::open().await;
    let mut esme = door.bind(BindMode::Transceiver).await;
    let first = esme.submit(sm("one")).await.unwrap();
    drop(esme);
    let mut again = door.bind(BindMode::Transceiver).await;
    // The end of the first bind may be on its way; then the ESME is asked to come again.
    let second = loop {
        match again.submit(sm("one")).await {
            Ok(id) => break id,
            Err(status) => assert_eq!(status, CommandStatus::ESME_RMSGQFUL),
        }
    };
    assert_eq!(first, second);
    assert_eq!(door.texts().await, ["one"]);
    door.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_is_enroute_until_it_was_said_and_then_the_account_gets_its_receipt() {
    let door = Door::open().await;
    let mut esme = door.bind(BindMode::Transceiver).await;
    let id = esme.submit(sm("one")).await.unwrap();
    assert_eq!(esme.query(id).await, Ok(WireState::ENROUTE));
    assert_eq!(door.say_all().await, ["one"]);
    let receipt = esme.receipt().await;
    assert_eq!(receipt.message_id, id.to_text());
    assert_eq!(receipt.state, WireState::DELIVERED);
    assert_eq!(esme.query(id).await, Ok(WireState::DELIVERED));
    // Too late for either.
    assert_eq!(esme.cancel(id).await, CommandStatus::ESME_RCANCELFAIL);
    let late = esme.replace(id, "three").await;
    assert_eq!(late, CommandStatus::ESME_RREPLACEFAIL);
    door.close().await;
}

/// jasmin#139 sent them as `data_sm`, which many ESMEs do not know.
#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_goes_to_an_account_as_deliver_sm_with_its_mark() {
    let door = Door::open().await;
    let mut esme = door.bind(BindMode::Transceiver).await;
    let id = esme.submit(sm("one")).await.unwrap();
    door.say_all().await;
    let (epoch, sequence, body) = loop {
        let event = esme.next().await;
        if let LinkEvent::Request {
            epoch,
            sequence,
            body,
        } = event
        {
            break (epoch, sequence, body);
        }
    };
    let Body::DeliverSm(sm) = body else {
        panic!("{body:?}")
    };
    assert_eq!(sm.esm_class, EsmClass::RECEIPT);
    assert_eq!(sm.tlvs.receipted_message_id(), Some(id));
    let answer = Body::DeliverSmResp(DeliverSmResp::default());
    esme.link
        .respond(sequence, epoch, CommandStatus::ESME_ROK, answer);
    door.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_that_was_not_said_can_be_withdrawn_or_replaced() {
    let door = Door::open().await;
    let mut esme = door.bind(BindMode::Transceiver).await;
    let first = esme.submit(sm("one")).await.unwrap();
    let second = esme.submit(sm("two")).await.unwrap();
    assert_eq!(esme.cancel(first).await, CommandStatus::ESME_ROK);
    assert_eq!(esme.receipt().await.state, WireState::DELETED);
    assert_eq!(esme.query(first).await, Ok(WireState::DELETED));
    assert_eq!(esme.replace(second, "2").await, CommandStatus::ESME_ROK);
    assert_eq!(door.say_all().await, ["2"]);
    assert_eq!(esme.query(second).await, Ok(WireState::DELIVERED));
    // The new text asked for no receipt: the next one is of the next text.
    let third = esme.submit(sm("three")).await.unwrap();
    let between = esme.cancel(MessageId::default()).await;
    assert_eq!(between, CommandStatus::ESME_ROK);
    assert_eq!(esme.receipt().await.message_id, third.to_text());
    assert_eq!(door.say_all().await, [""; 0]);
    door.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_told_of_an_unknown_id_or_to_another_source() {
    let door = Door::open().await;
    let mut esme = door.bind(BindMode::Transceiver).await;
    let unknown = MessageId::try_from("nothing").unwrap();
    let failed = Err(CommandStatus::ESME_RQUERYFAIL);
    assert_eq!(esme.query(unknown).await, failed);
    let of_another = SubmitSm {
        source_addr: "447700900124".parse().unwrap(),
        ..sm("one")
    };
    let id = esme.submit(of_another).await.unwrap();
    assert_eq!(esme.query(id).await, failed);
    assert_eq!(esme.cancel(id).await, CommandStatus::ESME_RCANCELFAIL);
    door.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn receipts_wait_while_the_account_is_away_and_over_a_restart() {
    let door = Door::open().await;
    let mut esme = door.bind(BindMode::Transmitter).await;
    let id = esme.submit(sm("one")).await.unwrap();
    door.say_all().await;
    assert_eq!(door.store.sizes().await.unwrap().owed_receipts, 1);
    drop(esme);
    let files = door.close().await;
    let door = Door::open_in(files).await;
    let mut esme = door.bind(BindMode::Receiver).await;
    // It cannot take it at first.
    esme.answers(CommandStatus::ESME_RMSGQFUL).await;
    let passing = async {
        loop {
            door.clock.advance(Duration::from_secs(1));
            door.gateway.wakes.group("aggregator");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let receipt = tokio::select! {
        receipt = esme.receipt() => receipt,
        () = passing => unreachable!("time passes for ever"),
    };
    assert_eq!(receipt.message_id, id.to_text());
    let owed = async || door.store.sizes().await.unwrap().owed_receipts;
    let none_left = async {
        while owed().await > 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(LONG, none_left).await.unwrap();
    door.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_for_nobody_is_undeliverable_under_its_id() {
    let door = Door::open().await;
    let mut esme = door.bind(BindMode::Transceiver).await;
    let to_nobody = SubmitSm {
        destination_addr: "447700900998".parse().unwrap(),
        ..sm("one")
    };
    esme.submit(to_nobody).await.unwrap();
    let sm = esme.takes().await;
    let receipt = Receipt::of(&sm).unwrap();
    assert_eq!(receipt.state, WireState::UNDELIVERABLE);
    assert_eq!(door.texts().await, [""; 0]);
    door.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_done_is_refused_with_its_own_status() {
    let door = Door::open().await;
    let mut esme = door.bind(BindMode::Transceiver).await;
    let receipt = SubmitSm {
        esm_class: EsmClass::RECEIPT,
        ..sm("id:1 stat:DELIVRD")
    };
    let later = SubmitSm {
        schedule_delivery_time: COctets::try_from("000007000001000R").unwrap(),
        ..sm("later than a week")
    };
    let sometime = SubmitSm {
        schedule_delivery_time: COctets::try_from("tomorrow").unwrap(),
        ..sm("when")
    };
    let never = SubmitSm {
        schedule_delivery_time: COctets::try_from("000001000000000R").unwrap(),
        validity_period: COctets::try_from("000001000000000R").unwrap(),
        ..sm("never")
    };
    let validity = SubmitSm {
        validity_period: COctets::try_from("tomorrow").unwrap(),
        ..sm("when")
    };
    for (sm, status) in [
        (receipt, CommandStatus::ESME_RINVESMCLASS),
        (later, CommandStatus::ESME_RINVSCHED),
        (sometime, CommandStatus::ESME_RINVSCHED),
        (never, CommandStatus::ESME_RINVEXPIRY),
        (validity, CommandStatus::ESME_RINVEXPIRY),
    ] {
        assert_eq!(esme.submit(sm).await, Err(status));
    }
    assert_eq!(door.texts().await, [""; 0]);
    door.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn explain_tells_the_life_of_what_was_submitted_by_its_id() {
    let door = Door::open().await;
    let mut esme = door.bind(BindMode::Transmitter).await;
    let id = esme.submit(sm("one")).await.unwrap();
    let explained = async |id: String| {
        let asked = admin::Request::Explain { id };
        let (store, routing) = (&*door.store, &door.gateway.routing());
        match admin::answer(store, routing, &door.clock, asked).await {
            admin::Answer::Submissions(found) => found,
            admin::Answer::Histories(none) => {
                assert_eq!(none, []);
                Vec::new()
            }
            _ => panic!("another answer"),
        }
    };
    let enroute = explained(id.to_text()).await.remove(0);
    assert_eq!(enroute.id, id.to_text());
    assert_eq!(enroute.account, "aggregator");
    assert_eq!(enroute.state, WireState::ENROUTE.0);
    assert_eq!(enroute.recipient.as_deref(), Some("@alice:example.org"));
    assert_eq!(enroute.receipt, ReceiptHistory::NotYet);
    assert_eq!((enroute.said_at, enroute.ended_at), (None, None));
    door.say_all().await;
    let delivered = explained(id.to_text().to_uppercase()).await.remove(0);
    assert_eq!(delivered.state, WireState::DELIVERED.0);
    assert_eq!(delivered.ended_at, Some(door.clock.now()));
    let owed = ReceiptHistory::Owed {
        attempts: 0,
        due_at: Some(door.clock.now()),
        until: door.clock.now().after(Duration::from_hours(1)),
    };
    assert_eq!(delivered.receipt, owed);
    let mut receiver = door.bind(BindMode::Receiver).await;
    receiver.receipt().await;
    let over = async || loop {
        let now = explained(id.to_text()).await.remove(0);
        if now.receipt == ReceiptHistory::Over {
            break;
        }
    };
    timeout(LONG, over()).await.unwrap();
    assert!(explained("no such id".to_owned()).await.is_empty());
    door.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_past_its_validity_is_not_said() {
    let door = Door::open().await;
    let mut esme = door.bind(BindMode::Transceiver).await;
    let short_lived = SubmitSm {
        validity_period: COctets::try_from("000000000100000R").unwrap(),
        data_coding: DataCoding::GSM_DEFAULT,
        ..sm("now or never")
    };
    let id = esme.submit(short_lived).await.unwrap();
    door.clock.advance(Duration::from_mins(2));
    door.store.sweep(door.clock.now(), 100).await.unwrap();
    door.gateway.wakes.group("aggregator");
    assert_eq!(esme.receipt().await.state, WireState::EXPIRED);
    assert_eq!(esme.query(id).await, Ok(WireState::EXPIRED));
    assert_eq!(door.say_all().await, [""; 0]);
    door.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_and_a_wrong_network_cannot_bind() {
    let door = Door::open().await;
    for (system_id, password) in [("agg", "wrong"), ("far", "secret"), ("who", "secret")] {
        let mut esme = door.connect(system_id, password, BindMode::Transceiver);
        let LinkEvent::Down { reason, .. } = esme.next().await else {
            panic!("{system_id} is bound")
        };
        let refused = CloseReason::BindRefused(CommandStatus::ESME_RINVPASWD);
        assert_eq!(reason, refused, "{system_id}");
    }
    door.close().await;
}

/// What a Matrix user wrote to the phone, queued on the account's route.
async fn queue(door: &Door, text: &str) -> crate::gateway::model::MessageId {
    let owner: ruma::OwnedUserId = "@alice:example.org".try_into().unwrap();
    let request = OpenConversation {
        homeserver: "example.org".try_into().unwrap(),
        room: Some("!a:example.org".try_into().unwrap()),
        handset: Handset::Number(E164Text("447700900123".parse().unwrap())),
        ghost: "@.tel.447700900123:example.org".try_into().unwrap(),
        owner: owner.clone(),
        direct: true,
        originator: None,
        now: door.clock.now(),
    };
    let opened = door.store.open_conversation(request).await.unwrap();
    let credit = Money::from_micros(1_000_000).unwrap();
    let topped_up = door.store.top_up(&owner, credit, "once", door.clock.now());
    topped_up.await.unwrap();
    let draft = Draft {
        source: Source::Event {
            homeserver: "example.org".try_into().unwrap(),
            event: format!("${text}").try_into().unwrap(),
            edit: None,
            sender: owner.clone(),
        },
        conversation: &opened.conversation,
        payer: owner,
        text,
        dedicated: Vec::new(),
        most_waiting: usize::MAX,
        now: door.clock.now(),
    };
    let message = plan::plan(&door.gateway.routing(), draft).unwrap();
    let id = message.id;
    let accepted = door.store.accept_message(message).await.unwrap();
    assert!(matches!(accepted, Acceptance::Queued { .. }));
    door.gateway.wakes.group("aggregator");
    id
}

#[tokio::test(flavor = "multi_thread")]
async fn traffic_for_an_account_waits_for_a_bind_that_receives_and_its_answer_is_final() {
    let door = Door::open().await;
    let message = queue(&door, "hello").await;
    let mut deaf = door.bind(BindMode::Transmitter).await;
    deaf.submit(sm("one")).await.unwrap();
    let state = async || door.store.message(message).await.unwrap().unwrap().state;
    assert_eq!(state().await, MessageState::Queued);
    let mut esme = door.bind(BindMode::Receiver).await;
    let delivered = esme.takes().await;
    assert_eq!(delivered.short_message.bytes(), &b"hello"[..]);
    assert_eq!(delivered.source_addr.to_text(), "447700900901");
    assert_eq!(delivered.destination_addr.to_text(), "447700900123");
    assert_eq!(delivered.registered_delivery, RegisteredDelivery::NONE);
    let submitted = async {
        while state().await != MessageState::Submitted {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(LONG, submitted).await.unwrap();
    // Nothing is waited for any more.
    door.clock.advance(Duration::from_hours(48));
    door.store.sweep(door.clock.now(), 100).await.unwrap();
    assert_eq!(state().await, MessageState::Submitted);
    door.close().await;
}
