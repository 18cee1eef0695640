//! Every request that an ESME can make, answered.
#![expect(
    clippy::unwrap_used,
    reason = "a helper that panics fails its test, as it should"
)]

use matrix_smpp_codec::{
    Body, CancelSm, CommandId, CommandStatus, DataSm, DestAddress, DestAddresses, MessageState,
    Npi, QuerySm, RegisteredDelivery, ReplaceSm, ShortMessage, SubmitMulti, TlvTag, Ton,
    receipt::Receipt,
};
use matrix_smpp_session::{BindMode, LinkEvent, Ticket};

use crate::client::{Esme, PHONE, VMN, get, message, post, simulator};
use crate::raw::{Raw, head};

/// Sends a request and waits for its answer.
async fn ask(esme: &mut Esme, body: Body) -> (CommandStatus, Body) {
    esme.link.submit(Ticket(3), body).unwrap();
    match esme.event().await {
        LinkEvent::Answered { status, body, .. } => (status, body),
        other => panic!("no answer but {other:?}"),
    }
}

fn query(id: &str) -> Body {
    Body::QuerySm(QuerySm {
        message_id: id.parse().unwrap(),
        source_addr: VMN.parse().unwrap(),
        ..QuerySm::default()
    })
}

async fn state(esme: &mut Esme, id: &str) -> MessageState {
    match ask(esme, query(id)).await {
        (CommandStatus::ESME_ROK, Body::QuerySmResp(answer)) => {
            assert_eq!(
                answer.final_date.is_empty(),
                !answer.message_state.is_final()
            );
            answer.message_state
        }
        other => panic!("no state but {other:?}"),
    }
}

#[tokio::test]
async fn a_message_is_queried_replaced_and_cancelled() {
    let sim = simulator().await;
    post(&sim, "/behaviour", r#"{"receipt_delay_ms": 600000}"#).await;
    let mut esme = Esme::bind(&sim, BindMode::Transceiver, "gateway").await;
    let (_, id) = esme.submit(message("hello")).await;
    assert_eq!(state(&mut esme, &id).await, MessageState::ENROUTE);
    let replace = ReplaceSm {
        message_id: id.parse().unwrap(),
        source_addr: VMN.parse().unwrap(),
        registered_delivery: RegisteredDelivery::RECEIPT,
        short_message: ShortMessage::try_from(&b"bye"[..]).unwrap(),
        ..ReplaceSm::default()
    };
    let answer = ask(&mut esme, Body::ReplaceSm(replace)).await;
    assert_eq!(answer, (CommandStatus::ESME_ROK, Body::ReplaceSmResp));
    let messages = get(&sim, "/handsets/447700900123/messages").await;
    assert_eq!(messages[0]["text"], "bye");
    let cancel = CancelSm {
        message_id: id.parse().unwrap(),
        source_addr: VMN.parse().unwrap(),
        ..CancelSm::default()
    };
    let answer = ask(&mut esme, Body::CancelSm(cancel.clone())).await;
    assert_eq!(answer, (CommandStatus::ESME_ROK, Body::CancelSmResp));
    assert_eq!(state(&mut esme, &id).await, MessageState::DELETED);
    let again = ask(&mut esme, Body::CancelSm(cancel)).await;
    assert_eq!(again.0, CommandStatus::ESME_RCANCELFAIL);
}

#[tokio::test]
async fn a_final_state_is_seen_by_query_when_its_receipt_has_come() {
    let sim = simulator().await;
    post(&sim, "/behaviour", r#"{"receipts": "undeliverable"}"#).await;
    let mut esme = Esme::bind(&sim, BindMode::Transceiver, "gateway").await;
    let (_, id) = esme.submit(message("hello")).await;
    let receipt = Receipt::of(&esme.deliver(CommandStatus::ESME_ROK).await).unwrap();
    assert_eq!(receipt.state, MessageState::UNDELIVERABLE);
    assert_eq!(state(&mut esme, &id).await, MessageState::UNDELIVERABLE);
}

#[tokio::test]
async fn a_distribution_list_of_the_scenario_stands_for_its_members() {
    let sim = simulator().await;
    let scenario = r#"{"distribution_list": [
        {"name": "staff", "members": ["+447700900201", "447700900202", "447700900999"]}],
        "rule": [{"when": {"to": "*999"}, "then": {"status": "ESME_RINVDSTADR"}}]}"#;
    assert_eq!(post(&sim, "/scenario", scenario).await.0, 200);
    let mut esme = Esme::bind(&sim, BindMode::Transceiver, "gateway").await;
    let multi = |name: &str| {
        let list = DestAddress::List {
            dl_name: name.parse().unwrap(),
        };
        Body::SubmitMulti(SubmitMulti {
            source_addr: VMN.parse().unwrap(),
            dest_addresses: DestAddresses::try_from(vec![list]).unwrap(),
            short_message: ShortMessage::try_from(&b"all"[..]).unwrap(),
            ..SubmitMulti::default()
        })
    };
    let (status, body) = ask(&mut esme, multi("staff")).await;
    let Body::SubmitMultiResp(answer) = body else {
        panic!("{body:?}")
    };
    let refused: Vec<_> = answer.unsuccess_smes.iter().collect();
    assert_eq!((status, refused.len()), (CommandStatus::ESME_ROK, 1));
    assert_eq!(refused[0].destination_addr.to_text(), "447700900999");
    for number in ["447700900201", "447700900202"] {
        let messages = get(&sim, &format!("/handsets/{number}/messages")).await;
        assert_eq!(messages[0]["text"], "all");
    }
    let (status, _) = ask(&mut esme, multi("strangers")).await;
    assert_eq!(status, CommandStatus::ESME_RINVDLNAME);
    assert_eq!(
        get(&sim, "/scenario").await["distribution_list"][0]["name"],
        "staff"
    );
}

#[tokio::test]
async fn one_message_goes_to_many_and_those_refused_are_named() {
    let sim = simulator().await;
    let rule = r#"{"when": {"to": "*999"}, "then": {"status": "ESME_RINVDSTADR"}}"#;
    post(&sim, "/rules", rule).await;
    let mut esme = Esme::bind(&sim, BindMode::Transceiver, "gateway").await;
    let destination = |number: &str| DestAddress::Sme {
        dest_addr_ton: Ton::INTERNATIONAL,
        dest_addr_npi: Npi::ISDN,
        destination_addr: number.parse().unwrap(),
    };
    let list = DestAddress::List {
        dl_name: "friends".parse().unwrap(),
    };
    let numbers = ["447700900123", "447700900999", "447700900124"];
    let destinations: Vec<_> = numbers.map(destination).into_iter().chain([list]).collect();
    let multi = SubmitMulti {
        source_addr: VMN.parse().unwrap(),
        dest_addresses: DestAddresses::try_from(destinations).unwrap(),
        registered_delivery: RegisteredDelivery::RECEIPT,
        short_message: ShortMessage::try_from(&b"all"[..]).unwrap(),
        ..SubmitMulti::default()
    };
    let (status, body) = ask(&mut esme, Body::SubmitMulti(multi)).await;
    let Body::SubmitMultiResp(answer) = body else {
        panic!("{body:?}")
    };
    assert!(status.is_ok());
    let refused: Vec<_> = answer
        .unsuccess_smes
        .iter()
        .map(|one| (one.destination_addr.to_text(), one.error_status_code))
        .collect();
    let wanted = [
        ("447700900999".to_owned(), CommandStatus::ESME_RINVDSTADR),
        ("friends".to_owned(), CommandStatus::ESME_RINVDLNAME),
    ];
    assert_eq!(refused, wanted);
    for _ in 0..2 {
        let receipt = Receipt::of(&esme.deliver(CommandStatus::ESME_ROK).await).unwrap();
        assert_eq!(receipt.message_id, answer.message_id.to_text());
    }
}

#[tokio::test]
async fn a_submit_multi_to_nobody_is_refused_and_not_left_without_an_answer() {
    let sim = simulator().await;
    let mut esme = Esme::bind(&sim, BindMode::Transceiver, "gateway").await;
    let (status, _) = ask(&mut esme, Body::SubmitMulti(SubmitMulti::default())).await;
    assert_eq!(status, CommandStatus::ESME_RINVNUMDESTS);
}

#[tokio::test]
async fn a_data_sm_is_a_message_too() {
    let sim = simulator().await;
    let mut esme = Esme::bind(&sim, BindMode::Transceiver, "gateway").await;
    let mut pdu = DataSm {
        source_addr: VMN.parse().unwrap(),
        destination_addr: PHONE.parse().unwrap(),
        registered_delivery: RegisteredDelivery::RECEIPT,
        ..DataSm::default()
    };
    pdu.tlvs.push(TlvTag::MESSAGE_PAYLOAD, b"by data").unwrap();
    let (status, body) = ask(&mut esme, Body::DataSm(pdu)).await;
    let Body::DataSmResp(answer) = body else {
        panic!("{body:?}")
    };
    assert!(status.is_ok());
    let receipt = Receipt::of(&esme.deliver(CommandStatus::ESME_ROK).await).unwrap();
    assert_eq!(receipt.message_id, answer.message_id.to_text());
    let messages = get(&sim, "/messages?command=data_sm").await;
    assert_eq!(messages[0]["text"], "by data");
}

#[tokio::test]
async fn what_is_unknown_gets_a_generic_nack() {
    let sim = simulator().await;
    let mut raw = Raw::bind(&sim, "gateway").await;
    let unknown = [0, 0, 0, 16, 0, 0, 0x0f, 0xff, 0, 0, 0, 0, 0, 0, 0, 77];
    tokio::io::AsyncWriteExt::write_all(&mut raw.stream, &unknown)
        .await
        .unwrap();
    let nack = raw.pdu().await;
    assert_eq!(head(&nack), (0x8000_0000, 3, 77));
    raw.send(Body::Unbind).await;
    let answer = raw.pdu().await;
    assert_eq!(head(&answer), (CommandId::UNBIND_RESP.0, 0, 2));
}

#[tokio::test]
async fn a_rule_can_refuse_an_operation() {
    let sim = simulator().await;
    let rule = r#"{"when": {"command": "query_sm"}, "then": {"status": "ESME_RSYSERR"}}"#;
    post(&sim, "/rules", rule).await;
    let mut esme = Esme::bind(&sim, BindMode::Transceiver, "gateway").await;
    let (status, _) = ask(&mut esme, query("1")).await;
    assert_eq!(status, CommandStatus::ESME_RSYSERR);
}
