//! The client and the listener against each other over loopback.

mod common;

use std::time::Duration;

use common::*;
use matrix_smpp_codec::{Body, CommandStatus, DeliverSm, SubmitSm, SubmitSmResp};
use matrix_smpp_session::{CloseReason, LinkEvent, LinkState, Ticket};

#[tokio::test]
async fn a_submit_travels_and_its_answer_comes_back() {
    let (mut esme, mut smsc) = bound_pair().await;
    esme.link
        .submit(Ticket(7), Body::SubmitSm(SubmitSm::default()))
        .unwrap();
    let LinkEvent::Request {
        epoch,
        sequence,
        body,
    } = smsc.next().await
    else {
        panic!()
    };
    assert!(matches!(body, Body::SubmitSm(_)));
    let response = Body::SubmitSmResp(SubmitSmResp::default());
    smsc.respond(
        sequence,
        epoch,
        CommandStatus::ESME_RTHROTTLED,
        response.clone(),
    );
    assert_eq!(
        esme.next().await,
        LinkEvent::Answered {
            ticket: Ticket(7),
            status: CommandStatus::ESME_RTHROTTLED,
            body: response
        }
    );
}

#[tokio::test]
async fn a_delivery_travels_the_other_way() {
    let (mut esme, mut smsc) = bound_pair().await;
    smsc.ready().await;
    smsc.submit(Ticket(1), Body::DeliverSm(DeliverSm::default()))
        .unwrap();
    let LinkEvent::Request {
        epoch, sequence, ..
    } = esme.next().await
    else {
        panic!()
    };
    let response = Body::empty(matrix_smpp_codec::CommandId::DELIVER_SM_RESP).unwrap();
    esme.link
        .respond(sequence, epoch, CommandStatus::ESME_ROK, response);
    let LinkEvent::Answered { ticket, status, .. } = smsc.next().await else {
        panic!()
    };
    assert_eq!((ticket, status), (Ticket(1), CommandStatus::ESME_ROK));
}

#[tokio::test]
async fn a_close_unbinds_and_ends_the_events_on_both_sides() {
    let (mut esme, mut smsc) = bound_pair().await;
    esme.link.close();
    assert_eq!(
        esme.next().await,
        LinkEvent::Down {
            reason: CloseReason::WeClosed,
            retry_in: None
        }
    );
    assert_eq!(esme.events.recv().await, None);
    assert_eq!(esme.link.state(), LinkState::Down);
    assert_eq!(
        smsc.next().await,
        LinkEvent::Down {
            reason: CloseReason::PeerUnbound,
            retry_in: None
        }
    );
    assert_eq!(smsc.events.recv().await, None);
}

#[tokio::test]
async fn a_thousand_messages_arrive_in_order_through_a_small_window() {
    let (mut esme, smsc) = bound_pair().await;
    answer_everything(smsc);
    let mut answered = Vec::new();
    let mut next = 0;
    while answered.len() < 1_000 {
        while next < 1_000
            && esme
                .link
                .submit(Ticket(next), Body::SubmitSm(SubmitSm::default()))
                .is_ok()
        {
            next += 1;
        }
        if let LinkEvent::Answered { ticket, .. } = esme.next().await {
            answered.push(ticket.0);
        }
    }
    assert!(answered.into_iter().eq(0..1_000));
}

#[tokio::test]
async fn ready_wakes_for_every_answer() {
    let (esme, smsc) = bound_pair().await;
    answer_everything(smsc);
    let Esme { link, mut events } = esme;
    spawn(async move { while events.recv().await.is_some() {} });
    for ticket in 0..2_000 {
        tokio::time::timeout(Duration::from_secs(20), link.ready())
            .await
            .expect("woken");
        link.submit(Ticket(ticket), Body::SubmitSm(SubmitSm::default()))
            .unwrap();
    }
}
