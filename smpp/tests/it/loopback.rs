//! The client and the listener against each other over loopback.

use std::collections::{BTreeSet, VecDeque};
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use crate::common::*;
use matrix_smpp_codec::{Body, CommandId, CommandStatus, DeliverSm, SubmitSm, SubmitSmResp};
use matrix_smpp_session::{
    Answer, BindRequest, CloseReason, LinkEvent, LinkState, Listener, ListenerSettings,
    SessionSettings, Ticket,
};

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
    let response = Body::empty(CommandId::DELIVER_SM_RESP).unwrap();
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
    let (esme, smsc) = bound_pair().await;
    answer_everything(smsc);
    exchange_in_order(esme, 1_000).await;
}

#[tokio::test]
async fn batches_leave_in_order_and_no_more_than_the_window_takes() {
    let (mut esme, mut smsc) = bound_pair().await;
    let message = |ticket| (Ticket(ticket), Body::SubmitSm(SubmitSm::default()));
    let mut requests: VecDeque<_> = (0..25).map(message).collect();
    assert_eq!(esme.link.submit_many(&mut requests), 10);
    assert_eq!(
        requests.front().map(|(ticket, _)| *ticket),
        Some(Ticket(10))
    );
    let mut answers = Vec::new();
    while answers.len() < 10 {
        let LinkEvent::Request {
            epoch,
            sequence,
            body,
        } = smsc.next().await
        else {
            panic!()
        };
        let body = body.command_id().response().and_then(Body::empty).unwrap();
        let status = CommandStatus::ESME_ROK;
        answers.push(Answer {
            epoch,
            sequence,
            status,
            body,
        });
    }
    // Of a session that is gone.
    answers.insert(
        0,
        Answer {
            epoch: 99,
            ..answers[0].clone()
        },
    );
    smsc.link.respond_many(&mut answers);
    assert!(answers.is_empty());
    assert_eq!(smsc.link.counters().orphaned_answers.load(Relaxed), 1);
    for expected in 0..10 {
        let LinkEvent::Answered { ticket, .. } = esme.next().await else {
            panic!()
        };
        assert_eq!(ticket, Ticket(expected));
    }
}

#[tokio::test]
async fn a_batch_stops_at_what_may_not_be_sent() {
    let (esme, _smsc) = bound_pair().await;
    let mut requests = VecDeque::from([
        (Ticket(1), Body::SubmitSm(SubmitSm::default())),
        (Ticket(2), Body::Unbind),
        (Ticket(3), Body::SubmitSm(SubmitSm::default())),
    ]);
    assert_eq!(esme.link.submit_many(&mut requests), 1);
    assert_eq!(requests.front(), Some(&(Ticket(2), Body::Unbind)));
    assert_eq!(requests.len(), 2);
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

/// Four submitters, two sessions, real threads: a wake-up lost between them stops the test.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_wake_up_is_lost_between_threads() {
    const EACH: u64 = 5_000;
    let (esme, smsc) = bound_pair().await;
    answer_everything(smsc);
    let Esme { link, mut events } = esme;
    for submitter in 0..4 {
        let link = link.clone();
        spawn(async move {
            let mut ticket = submitter * EACH;
            while ticket < (submitter + 1) * EACH {
                link.ready().await;
                // Another submitter may have been faster.
                if link
                    .submit(Ticket(ticket), Body::SubmitSm(SubmitSm::default()))
                    .is_ok()
                {
                    ticket += 1;
                }
            }
        });
    }
    let mut answered = BTreeSet::new();
    let mut batch = Vec::new();
    while answered.len() < 4 * usize::try_from(EACH).unwrap() {
        let more = tokio::time::timeout(LONG, events.recv_many(&mut batch, 7)).await;
        assert_ne!(more.expect("more in time"), 0);
        for event in batch.drain(..) {
            let LinkEvent::Answered { ticket, .. } = event else {
                panic!("{event:?}")
            };
            assert!(answered.insert(ticket.0), "answered twice");
        }
    }
}

#[tokio::test]
async fn dropping_a_peer_closes_its_session() {
    let (mut esme, smsc) = bound_pair().await;
    drop(smsc);
    let LinkEvent::Down {
        reason,
        retry_in: Some(_),
    } = esme.next().await
    else {
        panic!()
    };
    assert_eq!(reason, CloseReason::PeerUnbound);
}

#[tokio::test]
async fn a_session_that_ends_while_it_is_authenticated_does_not_come_up() {
    // It might have shut down its own side only, and be waiting for its answer.
    let session = SessionSettings {
        drain: Duration::from_millis(50),
        ..SessionSettings::default()
    };
    let settings = ListenerSettings {
        session,
        ..listener_settings()
    };
    let listener = Listener::bind("127.0.0.1:0", settings).await.unwrap();
    let esme = connect(link_settings(listener.local_addr().unwrap().to_string()));
    let incoming = listener.accept().await.unwrap();
    let link = esme.link.clone();
    let outcome = incoming
        .establish(&move |_request: BindRequest| {
            link.close();
            std::future::pending::<Result<(), _>>()
        })
        .await;
    assert!(
        matches!(outcome, Err(CloseReason::PeerClosed)),
        "{outcome:?}"
    );
}

#[tokio::test]
async fn counters_and_state_tell_what_happened() {
    let (esme, smsc) = bound_pair().await;
    assert_eq!(smsc.system_id, octets("esme"));
    assert_eq!(
        (esme.link.state(), smsc.link.state()),
        (LinkState::Bound, LinkState::Bound)
    );
    answer_everything(smsc);
    let link = esme.link.clone();
    exchange_in_order(esme, 25).await;
    let counters = link.counters();
    assert_eq!(counters.pdus_out(CommandId::SUBMIT_SM), 25);
    assert_eq!(counters.pdus_in(CommandId::SUBMIT_SM_RESP), 25);
    assert_eq!(counters.binds.load(Relaxed), 1);
    assert!(counters.bytes_out.load(Relaxed) > 25 * 33);
}

#[test]
fn settings_never_print_the_password() {
    let printed = format!("{:?}", link_settings("smsc.test:2775".to_owned()));
    assert!(
        printed.contains("smsc.test:2775") && !printed.contains("secret"),
        "{printed}"
    );
}
