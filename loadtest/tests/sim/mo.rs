//! From the phone: what is typed, its segments, and what the answers were.

use matrix_smpp_codec::udh::join;
use matrix_smpp_codec::{CommandStatus, InboundText};
use matrix_smpp_session::BindMode;
use serde_json::json;

use crate::client::{Esme, VMN, get, message, post, simulator};

const SEND: &str = "/handsets/447700900123/send";

#[tokio::test]
async fn what_a_phone_writes_arrives_and_its_answer_comes_back() {
    let sim = simulator().await;
    let mut esme = Esme::bind(&sim, BindMode::Receiver, "gateway").await;
    let body = json!({ "to": VMN, "text": "hi there" }).to_string();
    let (answer, pdu) = tokio::join!(
        post(&sim, SEND, &body),
        esme.deliver(CommandStatus::ESME_ROK)
    );
    assert_eq!(answer, (200, json!({ "statuses": ["ESME_ROK"] })));
    assert_eq!(InboundText::from(&pdu).text(), "hi there");
    let messages = get(&sim, "/handsets/447700900123/messages").await;
    assert_eq!(
        (&messages[0]["direction"], &messages[0]["status"]),
        (&"mo".into(), &"ESME_ROK".into())
    );
}

#[tokio::test]
async fn a_long_text_arrives_in_the_order_asked_for() {
    let sim = simulator().await;
    let mut esme = Esme::bind(&sim, BindMode::Transceiver, "gateway").await;
    let text = "0123456789".repeat(40);
    let body = json!({ "to": VMN, "text": text, "order": "reversed" }).to_string();
    let taking = async {
        let mut parts = Vec::new();
        for status in [
            CommandStatus::ESME_ROK,
            CommandStatus::ESME_RX_T_APPN,
            CommandStatus::ESME_ROK,
        ] {
            parts.push(InboundText::from(&esme.deliver(status).await));
        }
        parts
    };
    let (answer, mut parts) = tokio::join!(post(&sim, SEND, &body), taking);
    assert_eq!(
        answer.1,
        json!({ "statuses": ["ESME_ROK", "ESME_RX_T_APPN", "ESME_ROK"] })
    );
    let order: Vec<_> = parts
        .iter()
        .map(|part| part.concat.unwrap().index)
        .collect();
    assert_eq!(order, [3, 2, 1]);
    parts.reverse();
    let octets: Vec<_> = parts
        .into_iter()
        .map(|part| (part.data_coding, part.payload))
        .collect();
    assert_eq!(join(&octets), text);
    let messages = get(&sim, "/handsets/447700900123/messages").await;
    assert_eq!(
        (&messages[0]["segments"], &messages[0]["status"]),
        (&3.into(), &"ESME_RX_T_APPN".into())
    );
}

#[tokio::test]
async fn without_a_receiver_a_phone_is_told_so() {
    let sim = simulator().await;
    let body = json!({ "to": VMN, "text": "hi" }).to_string();
    let (status, answer) = post(&sim, SEND, &body).await;
    assert_eq!(
        (status, &answer["error"]),
        (503, &"no receiver or transceiver is bound".into())
    );
    let _sender = Esme::bind(&sim, BindMode::Transmitter, "gateway").await;
    assert_eq!(post(&sim, SEND, &body).await.0, 503);
}

#[tokio::test]
async fn a_reply_goes_to_the_account_that_sent_from_its_number() {
    let sim = simulator().await;
    let mut first = Esme::bind(&sim, BindMode::Transceiver, "first").await;
    let mut second = Esme::bind(&sim, BindMode::Transceiver, "second").await;
    second.submit(message("hello")).await;
    second.deliver(CommandStatus::ESME_ROK).await;
    let body = json!({ "to": VMN, "text": "hi" }).to_string();
    let (answer, _) = tokio::join!(
        post(&sim, SEND, &body),
        second.deliver(CommandStatus::ESME_ROK)
    );
    assert_eq!(answer.0, 200);
    let body = json!({ "to": VMN, "text": "hi", "account": "first" }).to_string();
    let (answer, _) = tokio::join!(
        post(&sim, SEND, &body),
        first.deliver(CommandStatus::ESME_ROK)
    );
    assert_eq!(answer.0, 200);
}

#[tokio::test]
async fn a_link_that_dies_leaves_the_phone_unanswered() {
    let sim = simulator().await;
    let mut esme = Esme::bind(&sim, BindMode::Transceiver, "gateway").await;
    let body = json!({ "to": VMN, "text": "hi" }).to_string();
    let cutting = async {
        esme.event().await;
        post(&sim, "/binds/drop", "").await
    };
    let (answer, dropped) = tokio::join!(post(&sim, SEND, &body), cutting);
    assert_eq!(dropped, (200, json!({ "dropped": 1 })));
    assert_eq!(answer.1, json!({ "statuses": ["unanswered"] }));
}

#[tokio::test]
async fn a_senseless_request_is_refused_with_a_reason() {
    let sim = simulator().await;
    for wrong in [
        r#"{"to": "1"}"#,
        r#"{"to": "1", "text": "x", "oder": "reversed"}"#,
    ] {
        let (status, answer) = post(&sim, SEND, wrong).await;
        assert_eq!(
            (status, answer["error"].is_string()),
            (422, true),
            "{wrong}"
        );
    }
}
