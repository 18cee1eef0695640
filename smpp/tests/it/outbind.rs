//! Outbind over real sockets: the SMSC connects, the ESME binds.

use std::time::Duration;

use matrix_smpp_codec::{Body, CommandStatus, DeliverSm, Password};
use matrix_smpp_session::{
    BindMode, BindRequest, BindSettings, CloseReason, LinkEvent, ListenerSettings, OutbindListener,
    OutbindRequest, OutbindSettings, SessionSettings, Ticket, outbind,
};

use crate::common::*;
use crate::raw::Raw;

async fn listener() -> (OutbindListener, OutbindSettings) {
    let listener = OutbindListener::bind("127.0.0.1:0", ListenerSettings::default())
        .await
        .unwrap();
    let settings = OutbindSettings {
        address: listener.local_addr().unwrap().to_string(),
        tls: None,
        system_id: octets("smsc"),
        password: "outbound".parse().unwrap(),
        session: SessionSettings::default(),
    };
    (listener, settings)
}

async fn asked(listener: &OutbindListener) -> OutbindRequest {
    let incoming = listener.accept().await.unwrap();
    tokio::time::timeout(LONG, incoming.asked())
        .await
        .unwrap()
        .unwrap()
}

async fn anybody(_request: BindRequest) -> Result<(), CommandStatus> {
    Ok(())
}

fn receiver() -> BindSettings {
    BindSettings {
        mode: BindMode::Receiver,
        system_id: octets("esme"),
        ..BindSettings::default()
    }
}

#[tokio::test]
async fn an_smsc_asks_an_esme_to_bind_and_delivers() {
    let (listener, settings) = listener().await;
    let esme = async {
        let request = asked(&listener).await;
        assert_eq!(request.system_id, octets("smsc"));
        assert_eq!(request.password, "outbound".parse::<Password>().unwrap());
        let (link, events, running) = request.bind(&receiver());
        spawn(async {
            running.await;
        });
        Esme { link, events }
    };
    let (mut esme, smsc) = tokio::join!(esme, outbind(&settings, &anybody));
    let (mut peer, running) = smsc.unwrap();
    spawn(async {
        running.await;
    });
    assert_eq!(
        (peer.mode, peer.system_id),
        (BindMode::Receiver, octets("esme"))
    );
    assert!(matches!(esme.next().await, LinkEvent::Up { .. }));
    assert!(matches!(peer.next().await, LinkEvent::Up { .. }));

    let deliver = Body::DeliverSm(DeliverSm::default());
    peer.submit(Ticket(5), deliver).unwrap();
    let LinkEvent::Request {
        epoch,
        sequence,
        body,
    } = esme.next().await
    else {
        panic!()
    };
    let answer = body.command_id().response().and_then(Body::empty).unwrap();
    esme.link
        .respond(sequence, epoch, CommandStatus::ESME_ROK, answer);
    let LinkEvent::Answered { ticket, .. } = peer.next().await else {
        panic!()
    };
    assert_eq!(ticket, Ticket(5));

    peer.close();
    let LinkEvent::Down { reason, retry_in } = esme.next().await else {
        panic!()
    };
    assert_eq!((reason, retry_in), (CloseReason::PeerUnbound, None));
}

#[tokio::test]
async fn an_esme_that_does_not_want_it_closes_the_connection() {
    let (listener, settings) = listener().await;
    let esme = async { drop(asked(&listener).await) };
    let ((), outcome) = tokio::join!(esme, outbind(&settings, &anybody));
    let reason = outcome.unwrap_err();
    assert!(
        matches!(reason, CloseReason::PeerClosed | CloseReason::Io(_)),
        "{reason:?}"
    );
}

#[tokio::test]
async fn an_esme_that_the_smsc_refuses_is_told_so() {
    let (listener, settings) = listener().await;
    let refuse = async |_request: BindRequest| Err::<(), _>(CommandStatus::ESME_RINVPASWD);
    let esme = async {
        let (_link, mut events, running) = asked(&listener).await.bind(&receiver());
        let reason = running.await;
        assert!(matches!(events.recv().await, Some(LinkEvent::Down { .. })));
        reason
    };
    let (reason, outcome) = tokio::join!(esme, outbind(&settings, &refuse));
    let refused = CloseReason::BindRefused(CommandStatus::ESME_RINVPASWD);
    assert_eq!((reason, outcome.unwrap_err()), (refused, refused));
}

#[tokio::test]
async fn who_connects_and_does_not_ask_is_dropped_in_time() {
    let settings = ListenerSettings {
        session: SessionSettings {
            session_init: Duration::from_millis(50),
            ..SessionSettings::default()
        },
        ..ListenerSettings::default()
    };
    let listener = OutbindListener::bind("127.0.0.1:0", settings)
        .await
        .unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let mut raw = Raw::connect(&address).await;
    let outcome = listener.accept().await.unwrap().asked().await;
    assert_eq!(outcome.unwrap_err(), CloseReason::NotBoundInTime);
    assert_eq!(raw.read().await, None);
}

#[tokio::test]
async fn an_esme_that_is_not_there_is_told_as_such() {
    let (listener, settings) = listener().await;
    drop(listener);
    let reason = outbind(&settings, &anybody).await.unwrap_err();
    assert!(
        matches!(reason, CloseReason::ConnectFailed(_)),
        "{reason:?}"
    );
}
