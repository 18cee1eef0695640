//! Who may bind, what is counted, and how it ends.

use std::time::Duration;

use matrix_smpp_codec::CommandStatus;
use matrix_smpp_loadtest::sim::{Sim, SimSettings};
use matrix_smpp_session::{BindMode, CloseReason, LinkEvent};
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::client::{Esme, get, http, message, post, simulator, until};

#[tokio::test]
async fn only_known_accounts_bind_when_there_are_any() {
    let accounts = vec!["gateway:secret".parse().unwrap()];
    let sim = Sim::start(SimSettings {
        accounts,
        ..SimSettings::default()
    })
    .await
    .unwrap();
    for (system_id, password, status) in [
        ("stranger", "secret", CommandStatus::ESME_RINVSYSID),
        ("gateway", "wrong", CommandStatus::ESME_RINVPASWD),
    ] {
        let mut esme = Esme::begin(sim.smpp_addr, BindMode::Transceiver, system_id, password);
        match esme.event().await {
            LinkEvent::Down { reason, .. } => assert_eq!(reason, CloseReason::BindRefused(status)),
            other => panic!("bound: {other:?}"),
        }
    }
    let _bound = Esme::bind(&sim, BindMode::Receiver, "gateway").await;
    let counters = get(&sim, "/counters").await;
    assert_eq!(
        counters["in"],
        json!({ "bind_transceiver": 2, "bind_receiver": 1 })
    );
    assert_eq!(
        counters["out"],
        json!({ "bind_transceiver_resp": 2, "bind_receiver_resp": 1 })
    );
}

#[tokio::test]
async fn binds_are_listed_while_they_last() {
    let sim = simulator().await;
    let esme = Esme::bind(&sim, BindMode::Transmitter, "gateway").await;
    let binds = get(&sim, "/binds").await;
    assert_eq!(binds[0]["system_id"], "gateway");
    assert_eq!(binds[0]["mode"], "transmitter");
    esme.link.close();
    until(&sim, "/binds", |binds| binds.as_array().unwrap().is_empty()).await;
}

#[tokio::test]
async fn every_pdu_is_counted_even_after_its_link_is_gone() {
    let sim = simulator().await;
    let mut esme = Esme::bind(&sim, BindMode::Transceiver, "gateway").await;
    esme.submit(message("hello")).await;
    esme.deliver(CommandStatus::ESME_ROK).await;
    esme.link.close();
    assert!(matches!(esme.event().await, LinkEvent::Down { .. }));
    let counters = until(&sim, "/counters", |counters| {
        counters["in"]["unbind"] == 1 && counters["in"]["deliver_sm_resp"] == 1
    });
    let counters = counters.await;
    let received =
        json!({ "bind_transceiver": 1, "submit_sm": 1, "deliver_sm_resp": 1, "unbind": 1 });
    let sent = json!({
        "bind_transceiver_resp": 1, "submit_sm_resp": 1, "deliver_sm": 1, "unbind_resp": 1,
    });
    assert_eq!((&counters["in"], &counters["out"]), (&received, &sent));
}

#[tokio::test]
async fn a_dropped_bind_is_cut_without_unbind() {
    let sim = simulator().await;
    let mut esme = Esme::bind(&sim, BindMode::Transceiver, "gateway").await;
    assert_eq!(
        post(&sim, "/binds/drop", "").await.1,
        json!({ "dropped": 1 })
    );
    match esme.event().await {
        LinkEvent::Down { reason, .. } => assert_ne!(reason, CloseReason::PeerUnbound),
        other => panic!("still there: {other:?}"),
    }
}

#[tokio::test]
async fn a_stopping_simulator_unbinds_its_peers() {
    let sim = simulator().await;
    let mut esme = Esme::bind(&sim, BindMode::Transceiver, "gateway").await;
    let (event, ()) = tokio::join!(esme.event(), sim.stop());
    match event {
        LinkEvent::Down { reason, .. } => assert_eq!(reason, CloseReason::PeerUnbound),
        other => panic!("not unbound: {other:?}"),
    }
}

#[tokio::test]
async fn a_browser_that_never_finishes_its_request_does_not_keep_the_simulator_up() {
    let sim = simulator().await;
    let mut browser = TcpStream::connect(sim.http_addr).await.unwrap();
    browser
        .write_all(b"POST /behaviour HTTP/1.1\r\nhost: sim\r\n")
        .await
        .unwrap();
    // Another request is answered: so the half one has been accepted by then.
    get(&sim, "/binds").await;
    timeout(Duration::from_secs(20), sim.stop()).await.unwrap();
}

#[tokio::test]
async fn the_page_of_phones_is_served_whole() {
    let sim = simulator().await;
    let (status, page) = http(sim.http_addr, "GET", "/", "").await;
    assert_eq!(status, 200);
    assert!(page.starts_with("<!doctype html>") && page.trim_end().ends_with("</html>"));
}

#[tokio::test]
async fn message_ids_repeat_with_the_seed_and_not_without_one() {
    let first_id = async |seed| {
        let sim = Sim::start(SimSettings {
            seed,
            ..SimSettings::default()
        })
        .await
        .unwrap();
        let mut esme = Esme::bind(&sim, BindMode::Transmitter, "gateway").await;
        esme.submit(message("hello")).await.1
    };
    assert_eq!(first_id(Some(7)).await, first_id(Some(7)).await);
    assert_ne!(first_id(None).await, first_id(None).await);
}
