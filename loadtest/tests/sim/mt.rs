//! Towards the phone: `submit_sm`, its answer, the handset, the receipt.

use matrix_smpp_codec::receipt::Receipt;
use matrix_smpp_codec::segment::{self, ReferenceWidth};
use matrix_smpp_codec::{
    Body, CommandId, CommandStatus, EsmClass, MessageState, RegisteredDelivery, ShortMessage,
    SubmitSm,
};
use matrix_smpp_session::{BindMode, LinkEvent, Ticket};

use crate::client::{Esme, PHONE, VMN, get, message, post, simulator, until};

#[tokio::test]
async fn a_submitted_text_reaches_its_phone_and_its_receipt_comes_back() {
    let sim = simulator().await;
    let mut esme = Esme::bind(&sim, BindMode::Transceiver, "gateway").await;
    let (status, message_id) = esme.submit(message("hello")).await;
    assert!(status.is_ok());
    let receipt = Receipt::of(&esme.deliver(CommandStatus::ESME_ROK).await).unwrap();
    assert_eq!(
        (receipt.message_id.as_str(), receipt.state),
        (&*message_id, MessageState::DELIVERED)
    );
    let messages = get(&sim, "/handsets/447700900123/messages").await;
    assert_eq!(messages[0]["text"], "hello");
    assert_eq!(
        (&messages[0]["from"], &messages[0]["to"]),
        (&VMN.into(), &PHONE.into())
    );
    assert_eq!(
        (&messages[0]["direction"], &messages[0]["complete"]),
        (&"mt".into(), &true.into())
    );
    let submits = until(&sim, "/submits", |all| all[0]["receipt"] == "ESME_ROK").await;
    assert_eq!(submits[0]["payload"], "68656c6c6f");
    assert_eq!(submits[0]["message_id"], *message_id);
    assert_eq!(submits[0]["status"], "ESME_ROK");
}

#[tokio::test]
async fn segments_are_put_together_whatever_their_order_and_bind() {
    let sim = simulator().await;
    let mut one = Esme::bind(&sim, BindMode::Transmitter, "gateway").await;
    let mut other = Esme::bind(&sim, BindMode::Transmitter, "gateway").await;
    let text = "Привет 👨‍👩‍👧‍👦! ".repeat(20);
    let segments = segment::split(&text, ReferenceWidth::Sixteen).unwrap();
    for (place, part) in segments.parts.iter().enumerate().rev() {
        let pdu = SubmitSm {
            esm_class: EsmClass::UDHI,
            data_coding: segments.data_coding,
            short_message: ShortMessage::try_from(part.short_message(7)).unwrap(),
            registered_delivery: RegisteredDelivery::NONE,
            ..message("")
        };
        let esme = if place % 2 == 0 { &mut one } else { &mut other };
        assert!(esme.submit(pdu).await.0.is_ok());
    }
    let messages = get(
        &sim,
        "/handsets/447700900123/messages?count=1&wait_ms=20000",
    )
    .await;
    assert_eq!(messages.as_array().unwrap().len(), 1);
    assert_eq!(messages[0]["text"], *text);
    assert_eq!(messages[0]["segments"], segments.parts.len());
}

#[tokio::test]
async fn a_receipt_waits_for_a_bind_of_its_account_that_can_receive() {
    let sim = simulator().await;
    let mut sender = Esme::bind(&sim, BindMode::Transmitter, "gateway").await;
    let mut stranger = Esme::bind(&sim, BindMode::Receiver, "stranger").await;
    let (_, message_id) = sender.submit(message("hello")).await;
    until(&sim, "/counters", |counters| counters["waiting"] == 1).await;
    let mut receiver = Esme::bind(&sim, BindMode::Receiver, "gateway").await;
    let receipt = Receipt::of(&receiver.deliver(CommandStatus::ESME_ROK).await).unwrap();
    assert_eq!(receipt.message_id, message_id);
    stranger.link.close();
    let last = stranger.event().await;
    assert!(
        matches!(last, LinkEvent::Down { .. }),
        "the stranger got {last:?}"
    );
}

#[tokio::test]
async fn a_receipt_that_is_refused_for_now_comes_again() {
    let sim = simulator().await;
    let mut esme = Esme::bind(&sim, BindMode::Transceiver, "gateway").await;
    esme.submit(message("hello")).await;
    let first = esme.deliver(CommandStatus::ESME_RX_T_APPN).await;
    assert_eq!(esme.deliver(CommandStatus::ESME_ROK).await, first);
    until(&sim, "/submits", |all| all[0]["receipt"] == "ESME_ROK").await;
}

#[tokio::test]
async fn answers_follow_the_script() {
    let sim = simulator().await;
    let mut esme = Esme::bind(&sim, BindMode::Transmitter, "gateway").await;
    let script = r#"{"submit_status": "ESME_RTHROTTLED", "next": 1,
        "submit_status_for": {"447700900999": "ESME_RINVDSTADR"}, "receipts": "none"}"#;
    assert_eq!(post(&sim, "/behaviour", script).await.0, 200);
    let other = SubmitSm {
        destination_addr: "447700900999".parse().unwrap(),
        ..message("x")
    };
    assert_eq!(esme.submit(other).await.0, CommandStatus::ESME_RINVDSTADR);
    assert_eq!(
        esme.submit(message("x")).await,
        (CommandStatus::ESME_RTHROTTLED, String::new())
    );
    assert!(esme.submit(message("x")).await.0.is_ok());
    let submits = get(&sim, "/submits?after=1").await;
    assert_eq!(submits[0]["status"], "ESME_RTHROTTLED");
    assert_eq!(
        (&submits[1]["arrival"], &submits[1]["receipt"]),
        (&3.into(), &"none".into())
    );
}

#[tokio::test]
async fn silence_swallows_and_its_end_answers_again() {
    let sim = simulator().await;
    let mut esme = Esme::bind(&sim, BindMode::Transmitter, "gateway").await;
    post(&sim, "/behaviour", r#"{"silent": true}"#).await;
    esme.link
        .submit(Ticket(7), Body::SubmitSm(message("lost")))
        .unwrap();
    until(&sim, "/submits", |all| {
        all[0]["status"].is_null() && all[0]["arrival"] == 1
    })
    .await;
    post(&sim, "/behaviour", r#"{"silent": false}"#).await;
    assert!(esme.submit(message("found")).await.0.is_ok());
    let messages = get(&sim, "/handsets/447700900123/messages").await;
    assert_eq!(messages.as_array().unwrap().len(), 1);
    assert_eq!(messages[0]["text"], "found");
}

#[tokio::test]
async fn a_receipt_can_come_before_the_answer() {
    let sim = simulator().await;
    let mut esme = Esme::bind(&sim, BindMode::Transceiver, "gateway").await;
    post(
        &sim,
        "/behaviour",
        r#"{"response_delay_ms": 300, "receipt_delay_ms": 0}"#,
    )
    .await;
    esme.link
        .submit(Ticket(7), Body::SubmitSm(message("hello")))
        .unwrap();
    let receipt = Receipt::of(&esme.deliver(CommandStatus::ESME_ROK).await).unwrap();
    match esme.event().await {
        LinkEvent::Answered {
            body: Body::SubmitSmResp(answer),
            ..
        } => {
            assert_eq!(answer.message_id.to_text(), receipt.message_id);
        }
        other => panic!("no submit_sm_resp but {other:?}"),
    }
}

#[tokio::test]
async fn a_query_for_a_message_that_nobody_sent_is_declined() {
    let sim = simulator().await;
    let mut esme = Esme::bind(&sim, BindMode::Transceiver, "gateway").await;
    let query = Body::empty(CommandId::QUERY_SM).unwrap();
    esme.link.submit(Ticket(7), query).unwrap();
    match esme.event().await {
        LinkEvent::Answered { status, body, .. } => {
            assert_eq!(status, CommandStatus::ESME_RINVMSGID);
            assert_eq!(body.command_id(), CommandId::QUERY_SM_RESP);
        }
        other => panic!("no answer but {other:?}"),
    }
}
