//! Accounts that bind to a listener, over real sockets.

use std::num::NonZeroU32;
use std::time::Duration;

use matrix_smpp_codec::{
    Bind, Body, CommandStatus, DeliverSm, InterfaceVersion, Pdu, Quirk, Quirks, SubmitSm,
    SubmitSmResp,
};
use matrix_smpp_session::{
    Account, Accounts, AccountsSettings, BindMode, CloseReason, LinkEvent, Listener,
    ListenerSettings, Peer, SubmitError, Ticket,
};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

use crate::common::*;
use crate::raw::{Raw, encoded};

fn account() -> Account {
    Account {
        system_id: octets("esme"),
        password: Some("secret".parse().unwrap()),
        ..Account::default()
    }
}

/// Refuses soon, so that tests need not wait.
pub(crate) fn accounts(account: Account) -> Accounts {
    let settings = AccountsSettings {
        refusal_after: Duration::from_millis(10),
        patience: Duration::from_millis(100),
        ..AccountsSettings::default()
    };
    Accounts::new(settings, [account])
}

pub(crate) async fn serve(
    settings: ListenerSettings,
    accounts: &Accounts,
) -> (String, mpsc::Receiver<Peer>) {
    let listener = Listener::bind("127.0.0.1:0", settings).await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (sender, peers) = mpsc::channel(16);
    spawn(listener.serve(accounts.clone(), sender, TaskTracker::new()));
    (address, peers)
}

async fn next_peer(peers: &mut mpsc::Receiver<Peer>) -> Peer {
    let mut peer = timeout(LONG, peers.recv()).await.unwrap().unwrap();
    assert!(matches!(peer.next().await, LinkEvent::Up { .. }));
    peer
}

async fn bound_as(mode: BindMode, address: &str, peers: &mut mpsc::Receiver<Peer>) -> (Esme, Peer) {
    let mut settings = link_settings(address.to_owned());
    settings.bind.mode = mode;
    let mut esme = connect(settings);
    assert!(matches!(esme.next().await, LinkEvent::Up { .. }));
    (esme, next_peer(peers).await)
}

fn deliver() -> Body {
    Body::DeliverSm(DeliverSm::default())
}

#[tokio::test]
async fn a_delivery_goes_to_a_session_that_receives() {
    let accounts = accounts(account());
    let name = octets("esme");
    let (address, mut peers) = serve(listener_settings(), &accounts).await;
    let unbound = accounts.submit(&name, Ticket(1), deliver());
    assert!(matches!(unbound, Err(SubmitError::NotBound(_))));

    let (mut sender, _peer) = bound_as(BindMode::Transmitter, &address, &mut peers).await;
    let deaf = accounts.submit(&name, Ticket(1), deliver());
    assert!(matches!(deaf, Err(SubmitError::NotBound(_))));

    let (mut receiver, mut peer) = bound_as(BindMode::Receiver, &address, &mut peers).await;
    timeout(LONG, accounts.ready(&name)).await.unwrap();
    accounts.submit(&name, Ticket(7), deliver()).unwrap();
    let LinkEvent::Request {
        epoch, sequence, ..
    } = receiver.next().await
    else {
        panic!()
    };
    let answer = Body::empty(deliver().command_id().response().unwrap()).unwrap();
    receiver
        .link
        .respond(sequence, epoch, CommandStatus::ESME_ROK, answer);
    let LinkEvent::Answered { ticket, .. } = peer.next().await else {
        panic!()
    };
    assert_eq!(ticket, Ticket(7));
    let modes: Vec<_> = accounts
        .bound(&name)
        .iter()
        .map(|bound| bound.mode)
        .collect();
    assert_eq!(modes, [BindMode::Transmitter, BindMode::Receiver]);

    accounts.close();
    for esme in [&mut sender, &mut receiver] {
        let LinkEvent::Down { reason, .. } = esme.next().await else {
            panic!()
        };
        assert_eq!(reason, CloseReason::PeerUnbound);
    }
}

#[tokio::test]
async fn who_waits_for_an_account_is_woken_when_it_binds_and_when_it_has_room() {
    let narrow = Account {
        window: 1,
        ..account()
    };
    let accounts = accounts(narrow);
    let name = octets("esme");
    let (address, mut peers) = serve(listener_settings(), &accounts).await;
    let (bound, ()) = tokio::join!(
        bound_as(BindMode::Transceiver, &address, &mut peers),
        async { timeout(LONG, accounts.ready(&name)).await.unwrap() },
    );
    let (mut esme, _peer) = bound;
    accounts.submit(&name, Ticket(1), deliver()).unwrap();
    let full = accounts.submit(&name, Ticket(2), deliver());
    assert!(matches!(full, Err(SubmitError::WindowFull(_))));
    let LinkEvent::Request {
        epoch, sequence, ..
    } = esme.next().await
    else {
        panic!()
    };
    let answer = Body::empty(deliver().command_id().response().unwrap()).unwrap();
    let ready = accounts.ready(&name);
    esme.link
        .respond(sequence, epoch, CommandStatus::ESME_ROK, answer);
    timeout(LONG, ready).await.unwrap();
}

#[tokio::test]
async fn an_answer_may_be_given_by_its_handle_from_another_task() {
    let accounts = accounts(account());
    let (address, mut peers) = serve(listener_settings(), &accounts).await;
    let (mut esme, mut peer) = bound_as(BindMode::Transceiver, &address, &mut peers).await;
    let submit = Body::SubmitSm(SubmitSm::default());
    esme.link.submit(Ticket(3), submit).unwrap();
    let LinkEvent::Request {
        epoch,
        sequence,
        body,
    } = peer.next().await
    else {
        panic!()
    };
    let reply = peer.reply(sequence, epoch);
    spawn(async move {
        let response = body.command_id().response().and_then(Body::empty).unwrap();
        reply.send(CommandStatus::ESME_ROK, response);
    });
    let LinkEvent::Answered { ticket, .. } = esme.next().await else {
        panic!()
    };
    assert_eq!(ticket, Ticket(3));
}

#[tokio::test]
async fn an_account_that_sends_too_fast_is_throttled_by_the_session() {
    let slow = Account {
        peer_rate: NonZeroU32::new(1),
        ..account()
    };
    let accounts = accounts(slow);
    let (address, mut peers) = serve(listener_settings(), &accounts).await;
    let (mut esme, mut peer) = bound_as(BindMode::Transceiver, &address, &mut peers).await;
    for ticket in 1..=2 {
        let submit = Body::SubmitSm(SubmitSm::default());
        esme.link.submit(Ticket(ticket), submit).unwrap();
    }
    let LinkEvent::Answered { ticket, status, .. } = esme.next().await else {
        panic!()
    };
    let throttled = CommandStatus::ESME_RTHROTTLED;
    assert_eq!((ticket, status), (Ticket(2), throttled));
    assert!(matches!(peer.next().await, LinkEvent::Request { .. }));
    assert_eq!(peer.link.events_waiting(), 0);
}

#[tokio::test]
async fn a_half_open_session_does_not_keep_its_account_out() {
    let single = Account {
        max_binds: 1,
        ..account()
    };
    let accounts = accounts(single);
    let (address, mut peers) = serve(listener_settings(), &accounts).await;
    let mut raw = Raw::connect(&address).await;
    raw.bind().await;
    let mut ghost = next_peer(&mut peers).await;
    // The old session says nothing more: it is asked, gives no answer, and is given up.
    let mut settings = link_settings(address);
    settings.reconnect.cap = Duration::from_millis(200);
    let mut esme = connect(settings);
    let LinkEvent::Down { reason, .. } = esme.next().await else {
        panic!()
    };
    let full = CloseReason::BindRefused(CommandStatus::ESME_RALYBND);
    assert_eq!(reason, full);
    let LinkEvent::Down { reason, .. } = ghost.next().await else {
        panic!()
    };
    assert_eq!(reason, CloseReason::LinkDead);
    while !matches!(esme.next().await, LinkEvent::Up { .. }) {}
}

/// A PDU with a parameter behind it that is cut off.
fn with_broken_tlv(pdu: &Pdu) -> Vec<u8> {
    let mut octets = encoded(pdu).to_vec();
    octets.extend([0x02, 0x04, 0x00, 0x02, 0x01]);
    let length = u32::try_from(octets.len()).unwrap();
    octets[..4].copy_from_slice(&length.to_be_bytes());
    octets
}

#[tokio::test]
async fn what_an_account_writes_is_read_by_its_own_quirks_and_by_no_others() {
    let lenient = Account {
        quirks: Quirks::NONE.with(Quirk::BrokenTlvs),
        ..account()
    };
    let strict = Account {
        system_id: octets("strict"),
        ..account()
    };
    let accounts = Accounts::new(AccountsSettings::default(), [lenient, strict]);
    let (address, mut peers) = serve(listener_settings(), &accounts).await;
    for (name, expected) in [
        ("esme", CommandStatus::ESME_ROK),
        ("strict", CommandStatus::ESME_RINVOPTPARSTREAM),
    ] {
        let mut raw = Raw::connect(&address).await;
        let bind = Bind {
            system_id: octets(name),
            password: "secret".parse().unwrap(),
            interface_version: InterfaceVersion::V3_4,
            ..Bind::default()
        };
        // Who binds is not known yet: that much is forgiven to all.
        raw.write(&with_broken_tlv(&Pdu::new(1, Body::BindTransceiver(bind))))
            .await;
        assert!(raw.read().await.unwrap().status.is_ok());
        let mut peer = next_peer(&mut peers).await;
        let sm = Pdu::new(2, Body::SubmitSm(SubmitSm::default()));
        raw.write(&with_broken_tlv(&sm)).await;
        if expected.is_ok() {
            let LinkEvent::Request {
                epoch, sequence, ..
            } = peer.next().await
            else {
                panic!()
            };
            let answer = Body::SubmitSmResp(SubmitSmResp::default());
            peer.respond(sequence, epoch, expected, answer);
        }
        assert_eq!(raw.read().await.unwrap().status, expected, "{name}");
    }
}

#[tokio::test]
async fn what_goes_to_an_account_keeps_to_its_rate_on_all_its_binds_together() {
    const COUNT: u64 = 12;
    let limited = Account {
        rate: NonZeroU32::new(20),
        ..account()
    };
    let accounts = accounts(limited);
    let name = octets("esme");
    let (address, mut peers) = serve(listener_settings(), &accounts).await;
    let mut bound = Vec::new();
    for _ in 0..3 {
        bound.push(bound_as(BindMode::Receiver, &address, &mut peers).await);
    }
    let begun = now();
    for ticket in 0..COUNT {
        timeout(LONG, accounts.ready(&name)).await.unwrap();
        accounts.submit(&name, Ticket(ticket), deliver()).unwrap();
    }
    // Two at once, and then one every 50 ms.
    assert!(begun.elapsed() >= Duration::from_millis(50) * 10);
    let in_flight: usize = bound.iter().map(|(_, peer)| peer.link.in_flight()).sum();
    assert_eq!(in_flight, 12);
}
