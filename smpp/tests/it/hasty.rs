//! Peers that do not wait: they send all they have behind their bind, and shut down their side of the
//! connection behind the last of it.

use std::time::Duration;

use bytes::BytesMut;
use matrix_smpp_codec::{Body, CommandId, CommandStatus, DataSm, Pdu, SubmitSm};
use matrix_smpp_session::{
    BindRequest, CloseReason, LinkEvent, Listener, ListenerSettings, Peer, SessionSettings,
};
use tokio::io::AsyncWriteExt;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

use crate::common::*;
use crate::hostile::flood;
use crate::raw::{Raw, encoded};

fn submit() -> Body {
    Body::SubmitSm(SubmitSm::default())
}

/// A bind and these requests, numbered from 2.
fn behind_a_bind(requests: &[Body]) -> BytesMut {
    let mut octets = BytesMut::from(&Raw::bind_request()[..]);
    for (sequence, request) in (2..).zip(requests) {
        octets.extend_from_slice(&encoded(&Pdu::new(sequence, request.clone())));
    }
    octets
}

/// Number, command and status of every answer up to the end of the connection.
async fn answers(raw: &mut Raw) -> Vec<(u32, CommandId, CommandStatus)> {
    let mut answers = Vec::new();
    while let Some(pdu) = raw.read().await {
        answers.push((pdu.sequence, pdu.command_id(), pdu.status));
    }
    answers
}

fn ok(sequence: u32, command: CommandId) -> (u32, CommandId, CommandStatus) {
    (sequence, command, CommandStatus::ESME_ROK)
}

/// Like [`listen`], but nobody is admitted before the sender says so.
async fn listen_when_told(
    settings: ListenerSettings,
) -> (String, mpsc::Receiver<Peer>, oneshot::Sender<()>) {
    let listener = Listener::bind("127.0.0.1:0", settings).await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (sender, peers) = mpsc::channel(16);
    let (tell, told) = oneshot::channel::<()>();
    let told = std::sync::Mutex::new(Some(told));
    let authenticator = move |_: BindRequest| {
        let told = told.lock().unwrap().take().unwrap();
        async move { told.await.map_err(|_| CommandStatus::ESME_RBINDFAIL) }
    };
    spawn(listener.serve(authenticator, sender, TaskTracker::new()));
    (address, peers, tell)
}

#[tokio::test]
async fn requests_in_one_write_with_the_bind_are_taken_in_order_once_it_is_accepted() {
    let (address, mut peers, admit) = listen_when_told(listener_settings()).await;
    let mut raw = Raw::connect(&address).await;
    // Longer than anything that is taken from a stranger.
    let mut long = DataSm::default();
    long.tlvs.set_message_payload(&vec![b'x'; 30_000]).unwrap();
    let requests = [submit(), Body::DataSm(long), Body::EnquireLink, submit()];
    raw.write(&behind_a_bind(&requests)).await;
    assert!(
        timeout(Duration::from_millis(50), raw.read())
            .await
            .is_err(),
        "the bind is not decided"
    );
    admit.send(()).unwrap();
    let mut peer = peers.recv().await.unwrap();
    assert!(matches!(peer.next().await, LinkEvent::Up { .. }));
    for expected in [2, 3, 5] {
        let LinkEvent::Request { sequence, .. } = peer.next().await else {
            panic!("not a request")
        };
        assert_eq!(sequence, expected);
    }
    assert_eq!(
        raw.read().await.unwrap().command_id(),
        CommandId::BIND_TRANSCEIVER_RESP
    );
    assert_eq!(raw.read().await, Some(Pdu::new(4, Body::EnquireLinkResp)));
}

#[tokio::test]
async fn requests_in_one_write_with_a_bind_that_is_refused_are_told_that_nobody_is_bound() {
    let (address, _peers, admit) = listen_when_told(listener_settings()).await;
    let mut raw = Raw::connect(&address).await;
    let requests = [submit(), Body::EnquireLink, submit()];
    raw.write(&behind_a_bind(&requests)).await;
    drop(admit);
    let not_bound = CommandStatus::ESME_RINVBNDSTS;
    let expected = [
        (
            1,
            CommandId::BIND_TRANSCEIVER_RESP,
            CommandStatus::ESME_RBINDFAIL,
        ),
        (2, CommandId::SUBMIT_SM_RESP, not_bound),
        ok(3, CommandId::ENQUIRE_LINK_RESP),
        (4, CommandId::SUBMIT_SM_RESP, not_bound),
    ];
    assert_eq!(answers(&mut raw).await, expected);
}

#[tokio::test]
async fn a_peer_that_never_stops_sending_behind_its_bind_is_stopped_and_dropped_in_time() {
    let session = SessionSettings {
        session_init: Duration::from_secs(2),
        ..SessionSettings::default()
    };
    let settings = ListenerSettings {
        session,
        ..listener_settings()
    };
    let (address, _peers, _admit) = listen_when_told(settings).await;
    let mut raw = Raw::connect(&address).await;
    raw.write(&Raw::bind_request()).await;
    let requests = behind_a_bind(&vec![submit(); 1_000]);
    let taken = flood(&mut raw, &requests[Raw::bind_request().len()..]).await;
    assert!(taken < 32 << 20, "{taken}: more than two kernels' buffers");
    assert_eq!(answers(&mut raw).await, []);
}

#[tokio::test]
async fn a_peer_that_shuts_down_its_side_behind_its_last_request_gets_every_answer() {
    let (address, mut peers) = listen(listener_settings()).await;
    let mut raw = Raw::connect(&address).await;
    raw.bind().await;
    let mut requests = BytesMut::new();
    for sequence in 2..=500 {
        requests.extend_from_slice(&encoded(&Pdu::new(sequence, submit())));
    }
    raw.write(&requests).await;
    raw.socket.shutdown().await.unwrap();
    answer_everything(peers.recv().await.unwrap());
    let expected: Vec<_> = (2..=500)
        .map(|sequence| ok(sequence, CommandId::SUBMIT_SM_RESP))
        .collect();
    assert_eq!(answers(&mut raw).await, expected);
}

#[tokio::test]
async fn a_whole_session_may_come_in_one_write_with_the_end_behind_it() {
    for last in [Body::Unbind, Body::EnquireLink] {
        let (address, mut peers, admit) = listen_when_told(listener_settings()).await;
        let mut raw = Raw::connect(&address).await;
        let requests = [submit(), submit(), last.clone()];
        raw.write(&behind_a_bind(&requests)).await;
        raw.socket.shutdown().await.unwrap();
        admit.send(()).unwrap();
        answer_everything(peers.recv().await.unwrap());
        let mut answers = answers(&mut raw).await;
        if last == Body::EnquireLink {
            // Answered at once, before its neighbours.
            answers.sort();
        }
        let expected = [
            ok(1, CommandId::BIND_TRANSCEIVER_RESP),
            ok(2, CommandId::SUBMIT_SM_RESP),
            ok(3, CommandId::SUBMIT_SM_RESP),
            ok(4, last.command_id().response().unwrap()),
        ];
        assert_eq!(answers, expected);
    }
}

#[tokio::test]
async fn a_peer_that_shuts_down_its_side_is_waited_for_no_longer_than_drain() {
    let session = SessionSettings {
        drain: Duration::from_millis(50),
        ..SessionSettings::default()
    };
    let settings = ListenerSettings {
        session,
        ..listener_settings()
    };
    let (address, mut peers) = listen(settings).await;
    let mut raw = Raw::connect(&address).await;
    raw.bind().await;
    raw.write(&encoded(&Pdu::new(2, submit()))).await;
    raw.socket.shutdown().await.unwrap();
    let mut peer = peers.recv().await.unwrap();
    assert!(matches!(peer.next().await, LinkEvent::Up { .. }));
    assert!(matches!(peer.next().await, LinkEvent::Request { .. }));
    let LinkEvent::Down { reason, .. } = peer.next().await else {
        panic!("not down")
    };
    assert_eq!(reason, CloseReason::PeerClosed);
    assert_eq!(raw.read().await, None);
}
