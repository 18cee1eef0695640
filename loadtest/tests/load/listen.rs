//! The SMSC role, with the ESME role at the other end.

use matrix_smpp_loadtest::load::{
    Listen, ListenSettings, LoadError, Mix, SendSettings, Stop, Traffic, send,
};
use std::time::Duration;

use crate::{counted, paced, to};

#[tokio::test]
async fn a_flood_reaches_the_receivers_and_both_ends_agree() {
    let port = Listen::bind(ListenSettings {
        binds: 2,
        traffic: paced(2_000, 1_000),
        ..ListenSettings::default()
    })
    .await
    .unwrap();
    let address = port.address().unwrap();
    let esme = Stop::default();
    let flood = async {
        let outcome = port.run(&Stop::default(), |_| {}).await.unwrap();
        esme.sending.cancel();
        outcome
    };
    // A receiver sends nothing: it ends when it is told to.
    let settings = SendSettings {
        transceivers: 1,
        receivers: 1,
        traffic: paced(1, u64::MAX),
        ..to(address, 0)
    };
    let (flood, sink) = tokio::join!(flood, send(&settings, &esme, |_| {}));
    let sink = sink.unwrap();
    assert_eq!((flood.counts.sent, flood.counts.ok), (1_000, 1_000));
    assert_eq!(sink.counts.received, 1_000);
    assert_eq!(flood.counts.received, sink.counts.sent);
}

#[tokio::test]
async fn what_is_submitted_is_answered_and_gets_its_receipt() {
    let port = Listen::bind(ListenSettings {
        binds: 0,
        receipts: true,
        ..ListenSettings::default()
    })
    .await
    .unwrap();
    let address = port.address().unwrap();
    let stop = Stop::default();
    let mix = Mix {
        receipts: true,
        ..Mix::default()
    };
    let settings = SendSettings {
        traffic: Traffic {
            mix,
            ..counted(500)
        },
        ..to(address, 0)
    };
    let submit = async {
        let outcome = send(&settings, &Stop::default(), |_| {}).await;
        stop.sending.cancel();
        outcome.unwrap()
    };
    let (served, sent) = tokio::join!(port.run(&stop, |_| {}), submit);
    let served = served.unwrap();
    assert_eq!((sent.counts.ok, sent.counts.receipts_matched), (500, 500));
    assert_eq!(
        (served.counts.received, served.counts.receipts_sent),
        (500, 500)
    );
}

#[tokio::test]
async fn too_few_receivers_end_the_wait() {
    let port = Listen::bind(ListenSettings {
        bind_timeout: Duration::from_millis(10),
        ..ListenSettings::default()
    })
    .await
    .unwrap();
    let failure = port.run(&Stop::default(), |_| {}).await.unwrap_err();
    assert!(
        matches!(
            failure,
            LoadError::TooFewPeers {
                up: 0,
                binds: 1,
                ..
            }
        ),
        "{failure}"
    );
}
