//! Peers that mean harm, or know no better, against a listener.

use std::time::Duration;

use bytes::BytesMut;
use matrix_smpp_codec::{Body, CommandStatus, Pdu, SubmitSm};
use matrix_smpp_session::{
    Account, BindMode, Listener, ListenerSettings, Refusal, SessionSettings,
};
use tokio::io::AsyncWriteExt;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

use crate::accounts::accounts;
use crate::common::*;
use crate::raw::{Raw, encoded};

fn settings(session: SessionSettings) -> ListenerSettings {
    ListenerSettings {
        session,
        ..listener_settings()
    }
}

fn requests(body: &Body, count: u32) -> BytesMut {
    let mut octets = BytesMut::new();
    for sequence in 1..=count {
        octets.extend_from_slice(&encoded(&Pdu::new(sequence, body.clone())));
    }
    octets
}

/// Writes the same again and again, until the socket has taken nothing for a while; how many octets
/// it took.
pub(crate) async fn flood(raw: &mut Raw, octets: &[u8]) -> usize {
    let mut taken = 0;
    loop {
        let rest = &octets[taken % octets.len()..];
        match timeout(Duration::from_millis(300), raw.socket.write(rest)).await {
            Ok(Ok(some)) => taken += some,
            Ok(Err(_)) | Err(_) => return taken,
        }
        assert!(taken < 1 << 30, "the peer was never stopped");
    }
}

#[tokio::test]
async fn a_peer_may_bind_and_submit_octet_by_octet() {
    let (address, mut peers) = listen(listener_settings()).await;
    let mut raw = Raw::connect(&address).await;
    for octet in Raw::bind_request() {
        raw.write(&[octet]).await;
        tokio::task::yield_now().await;
    }
    assert_eq!(raw.read().await.unwrap().status, CommandStatus::ESME_ROK);
    let mut peer = peers.recv().await.unwrap();
    peer.next().await;
    for octet in requests(&Body::SubmitSm(SubmitSm::default()), 2) {
        raw.write(&[octet]).await;
        tokio::task::yield_now().await;
    }
    for _ in 0..2 {
        let event = peer.next().await;
        assert!(matches!(
            event,
            matrix_smpp_session::LinkEvent::Request { .. }
        ));
    }
}

#[tokio::test]
async fn a_peer_that_binds_too_slowly_is_dropped_however_busy_it_is() {
    let session = SessionSettings {
        session_init: Duration::from_millis(200),
        ..SessionSettings::default()
    };
    let (address, _peers) = listen(settings(session)).await;
    let mut raw = Raw::connect(&address).await;
    let enquiry = requests(&Body::EnquireLink, 1);
    let mut answered = 0;
    while raw.socket.write_all(&enquiry).await.is_ok() {
        match raw.read().await {
            Some(_) => answered += 1,
            None => break,
        }
    }
    assert_ne!(answered, 0);
}

#[tokio::test]
async fn a_length_that_is_too_long_ends_the_session_without_holding_anything() {
    let (address, _peers) = listen(listener_settings()).await;
    for (length, sequence) in [
        (0_u32, 0),
        (15, 0),
        (70_001, 9),
        (0x7FFF_FFFF, 9),
        (u32::MAX, 9),
    ] {
        let mut raw = Raw::connect(&address).await;
        raw.bind().await;
        let mut header = BytesMut::new();
        for word in [length, 4, 0, 9] {
            header.extend_from_slice(&word.to_be_bytes());
        }
        raw.write(&header).await;
        let nack = raw.read().await.unwrap();
        assert_eq!(nack.body, Body::GenericNack);
        assert_eq!(nack.status, CommandStatus::ESME_RINVCMDLEN);
        assert_eq!(nack.sequence, sequence, "{length}");
        assert_eq!(raw.read().await, None);
    }
}

async fn is_stopped_then_given_up_and_others_are_served(enquiry: &[u8]) {
    let session = SessionSettings {
        enquire_link: Duration::from_millis(400),
        response_timeout: Duration::from_millis(400),
        event_queue: 100,
        ..SessionSettings::default()
    };
    let (address, mut peers) = listen(settings(session)).await;
    let mut rude = Raw::connect(&address).await;
    rude.bind().await;
    let mut theirs = peers.recv().await.unwrap();
    theirs.next().await;
    let taken = flood(&mut rude, &enquiry.repeat(1_000)).await;
    assert!(taken > 0);

    let mut polite = Raw::connect(&address).await;
    polite.bind().await;
    polite.write(&requests(&Body::EnquireLink, 1)).await;
    assert_eq!(polite.read().await.unwrap().body, Body::EnquireLinkResp);

    let event = theirs.next().await;
    let gone = matches!(event, matrix_smpp_session::LinkEvent::Down { .. });
    assert!(gone, "{event:?}");
}

#[tokio::test]
async fn a_peer_that_asks_and_never_reads_is_stopped_then_given_up_and_others_are_served() {
    is_stopped_then_given_up_and_others_are_served(&requests(&Body::EnquireLink, 1)).await;
}

/// Of these, reads of full buffers end with some that are whole and wait to be decoded.
#[tokio::test]
async fn a_peer_that_never_reads_is_given_up_with_its_requests_undecoded() {
    let mut longer = requests(&Body::EnquireLink, 1);
    longer.extend_from_slice(&[0; 5]);
    longer[3] = 21;
    is_stopped_then_given_up_and_others_are_served(&longer).await;
}

#[tokio::test]
async fn a_flood_of_submits_that_nobody_answers_is_throttled_and_stays_bounded() {
    let session = SessionSettings {
        peer_window: 50,
        ..SessionSettings::default()
    };
    let (address, mut peers) = listen(settings(session)).await;
    let mut raw = Raw::connect(&address).await;
    raw.bind().await;
    let mut peer = peers.recv().await.unwrap();
    peer.next().await;
    let submits = requests(&Body::SubmitSm(SubmitSm::default()), 5_000);
    raw.write(&submits).await;
    for expected in 51..=5_000 {
        let refusal = raw.read().await.unwrap();
        assert_eq!(refusal.sequence, expected);
        assert_eq!(refusal.status, CommandStatus::ESME_RTHROTTLED);
    }
    assert_eq!(peer.link.events_waiting(), 50);
}

#[tokio::test]
async fn connections_beyond_the_limit_of_one_address_are_closed_at_once() {
    let settings = ListenerSettings {
        max_per_address: Some(3),
        ..listener_settings()
    };
    let (address, mut peers) = listen(settings).await;
    let mut kept = Vec::new();
    for _ in 0..3 {
        let mut raw = Raw::connect(&address).await;
        raw.bind().await;
        kept.push((raw, peers.recv().await.unwrap()));
    }
    for _ in 0..20 {
        let mut raw = Raw::connect(&address).await;
        assert_eq!(raw.read().await, None);
    }
    drop(kept.pop());
    // The place is free again once the session has ended.
    loop {
        let mut raw = Raw::connect(&address).await;
        raw.write(&Raw::bind_request()).await;
        if raw.read().await.is_some() {
            break;
        }
    }
}

#[tokio::test]
async fn a_length_that_no_bind_has_is_refused_by_the_header_alone() {
    let (address, _peers) = listen(listener_settings()).await;
    for length in [4_097, 60_000, 1_u32 << 31, u32::MAX] {
        let mut raw = Raw::connect(&address).await;
        let mut header = BytesMut::from(&Raw::bind_request()[..16]);
        header[..4].copy_from_slice(&length.to_be_bytes());
        raw.write(&header).await;
        let nack = raw.read().await.unwrap();
        assert_eq!(nack.status, CommandStatus::ESME_RINVCMDLEN, "{length}");
        assert_eq!(raw.read().await, None, "{length}");
    }
}

#[tokio::test]
async fn garbage_is_answered_by_a_nack_or_not_at_all_and_the_listener_lives() {
    let (address, _peers) = listen(listener_settings()).await;
    let mut seed = 0x2545_F491_4F6C_DD1D_u64;
    for _ in 0..200 {
        let mut raw = Raw::connect(&address).await;
        let garbage: Vec<u8> = std::iter::repeat_with(|| {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            seed.to_be_bytes()[0]
        })
        .take(200)
        .collect();
        if raw.socket.write_all(&garbage).await.is_ok() {
            let answer = timeout(LONG, raw.read()).await.unwrap();
            assert!(answer.is_none_or(|pdu| pdu.body == Body::GenericNack));
        }
    }
    let mut raw = Raw::connect(&address).await;
    raw.bind().await;
}

#[tokio::test]
async fn connections_that_do_not_bind_keep_nobody_out() {
    let settings = ListenerSettings {
        max_connections: 5,
        max_per_address: Some(4),
        ..listener_settings()
    };
    let accounts = accounts(Account {
        system_id: octets("esme"),
        password: Some("secret".parse().unwrap()),
        ..Account::default()
    });
    let listener = Listener::bind("127.0.0.1:0", settings).await.unwrap();
    let (address, watch) = (listener.local_addr().unwrap().to_string(), listener.watch());
    let (sender, mut peers) = mpsc::channel(16);
    spawn(listener.serve(accounts.clone(), sender, TaskTracker::new()));
    let mut crowd = Vec::new();
    for _ in 0..20 {
        crowd.push(Raw::connect(&address).await);
    }
    let mut bound = Vec::new();
    for _ in 0..4 {
        let mut raw = Raw::connect(&address).await;
        raw.bind().await;
        bound.push((raw, peers.recv().await.unwrap()));
    }
    for raw in &mut crowd {
        assert_eq!(raw.read().await, None);
    }
    assert!(watch.accepts());
    let connections = watch.connections();
    assert_eq!((connections.unbound, connections.bound), (0, 4));
    let displaced = async {
        while watch.refused(Refusal::Displaced) < 20 {
            tokio::task::yield_now().await;
        }
    };
    timeout(LONG, displaced).await.unwrap();
    // Those that are bound do not give way.
    let mut late = Raw::connect(&address).await;
    assert_eq!(late.read().await, None);
    assert_eq!(watch.refused(Refusal::TooManyConnections), 1);
}

#[tokio::test]
async fn why_nobody_was_let_in_is_counted() {
    let accounts = accounts(Account {
        system_id: octets("esme"),
        password: Some("secret".parse().unwrap()),
        modes: vec![BindMode::Receiver],
        ..Account::default()
    });
    let listener = Listener::bind("127.0.0.1:0", listener_settings());
    let listener = listener.await.unwrap();
    let (address, watch) = (listener.local_addr().unwrap().to_string(), listener.watch());
    let (sender, _peers) = mpsc::channel(16);
    spawn(listener.serve(accounts.clone(), sender, TaskTracker::new()));
    let mut raw = Raw::connect(&address).await;
    raw.write(&Raw::bind_request()).await;
    let refused = raw.read().await.unwrap().status;
    assert_eq!(refused, CommandStatus::ESME_RBINDFAIL);
    assert_eq!(accounts.refused(Refusal::WrongMode), 1);
    drop(Raw::connect(&address).await);
    let gone = async {
        while watch.refused(Refusal::BrokenOff) == 0 {
            tokio::task::yield_now().await;
        }
    };
    timeout(LONG, gone).await.unwrap();
}
