//! When the simulator speaks first: outbind, alerts, phones that write.
#![expect(
    clippy::unwrap_used,
    reason = "a helper that panics fails its test, as it should"
)]

use std::time::Duration;

use bytes::BytesMut;
use matrix_smpp_codec::{
    Bind, Body, CommandStatus, DeliverSm, Inbound, InboundText, InterfaceVersion, Pdu, Reference,
    cut, decode,
};
use matrix_smpp_loadtest::sim::{Certificate, Scenario, Sim, SimSettings};
use matrix_smpp_session::{BindMode, LinkEvent};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use crate::client::{Esme, PHONE, get, message, post, simulator, until};

const PATIENCE: Duration = Duration::from_secs(20);

async fn pdu(stream: &mut TcpStream, buffer: &mut BytesMut) -> Pdu {
    loop {
        if let Some(frame) = cut(buffer, 65_536).unwrap() {
            match decode(frame) {
                Inbound::Pdu(pdu) => return pdu,
                other => panic!("{other:?}"),
            }
        }
        let read = timeout(PATIENCE, stream.read_buf(buffer)).await;
        assert!(read.expect("octets in time").unwrap() > 0, "the end");
    }
}

#[tokio::test]
async fn an_esme_is_asked_to_bind_and_does() {
    let sim = simulator().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let ask = format!(r#"{{"address": "{address}", "system_id": "smsc", "password": "secret"}}"#);
    let (asked, accepted) = tokio::join!(post(&sim, "/outbind", &ask), listener.accept());
    assert_eq!(asked.0, 200, "{}", asked.1);
    let (mut stream, _) = accepted.unwrap();
    let mut buffer = BytesMut::new();
    let Body::Outbind(outbind) = pdu(&mut stream, &mut buffer).await.body else {
        panic!("no outbind")
    };
    assert_eq!(outbind.system_id.to_text(), "smsc");
    let bind = Bind {
        system_id: "gateway".parse().unwrap(),
        interface_version: InterfaceVersion::V3_4,
        ..Bind::default()
    };
    let mut octets = BytesMut::new();
    Pdu::new(1, Body::BindReceiver(bind)).encode(&mut octets);
    stream.write_all(&octets).await.unwrap();
    let answer = pdu(&mut stream, &mut buffer).await;
    assert_eq!(answer.status, CommandStatus::ESME_ROK);
    let binds = until(&sim, "/binds", |binds| !binds[0].is_null()).await;
    assert_eq!(binds[0]["mode"], "receiver");
    let nobody = r#"{"address": "127.0.0.1:1"}"#;
    assert_eq!(post(&sim, "/outbind", nobody).await.0, 502);
}

#[tokio::test]
async fn an_alert_says_that_a_phone_is_reachable() {
    let sim = simulator().await;
    let mut esme = Esme::bind(&sim, BindMode::Transceiver, "gateway").await;
    let alert = r#"{"from": "447700900123", "account": "gateway", "to": "60777", "status": 0}"#;
    let (status, answer) = post(&sim, "/alert", alert).await;
    assert_eq!((status, &answer["binds"]), (200, &1.into()));
    match esme.event().await {
        LinkEvent::Request {
            body: Body::AlertNotification(alert),
            ..
        } => {
            assert_eq!(alert.source_addr.to_text(), PHONE);
            assert_eq!(alert.esme_addr.to_text(), "60777");
            assert_eq!(alert.tlvs.ms_availability_status(), Some(0));
        }
        other => panic!("no alert but {other:?}"),
    }
}

/// The segments that come of a request to write, all of them answered.
async fn segments(sim: &Sim, esme: &mut Esme, writing: &str, count: usize) -> Vec<DeliverSm> {
    let path = format!("/handsets/{PHONE}/send");
    let reading = async {
        let mut segments = Vec::new();
        for _ in 0..count {
            segments.push(esme.deliver(CommandStatus::ESME_ROK).await);
        }
        segments
    };
    let ((status, answer), segments) = tokio::join!(post(sim, &path, writing), reading);
    assert_eq!(status, 200, "{answer}");
    segments
}

#[tokio::test]
async fn a_phone_writes_in_any_segmentation_and_order() {
    let sim = simulator().await;
    let mut esme = Esme::bind(&sim, BindMode::Transceiver, "gateway").await;
    let text = "x".repeat(300);
    for (how, reference) in [
        ("udh8", Reference::Eight(7)),
        ("udh16", Reference::Sixteen(7)),
        ("sar", Reference::Sar(7)),
    ] {
        let writing = format!(
            r#"{{"to": "60777", "text": "{text}", "segmentation": "{how}", "reference": 7, "order": [2, 1]}}"#
        );
        let segments = segments(&sim, &mut esme, &writing, 2).await;
        let places: Vec<_> = segments
            .iter()
            .map(|segment| InboundText::from(segment).concat.unwrap())
            .collect();
        assert_eq!((places[0].index, places[1].index), (2, 1), "{how}");
        assert_eq!(places[0].reference, reference);
    }
    let writing = format!(r#"{{"to": "60777", "text": "{text}", "segmentation": "payload"}}"#);
    let whole = segments(&sim, &mut esme, &writing, 1).await;
    assert_eq!(InboundText::from(&whole[0]).text(), text);
}

#[tokio::test]
async fn a_phone_writes_over_the_bind_it_is_told_to_and_by_data_sm() {
    let sim = simulator().await;
    let _first = Esme::bind(&sim, BindMode::Transceiver, "gateway").await;
    let mut second = Esme::bind(&sim, BindMode::Transceiver, "gateway").await;
    let bind = get(&sim, "/binds").await[1]["bind"].clone();
    let writing =
        format!(r#"{{"to": "60777", "text": "hi", "bind": {bind}, "carrier": "data_sm"}}"#);
    let path = format!("/handsets/{PHONE}/send");
    let reading = async {
        let LinkEvent::Request {
            epoch,
            sequence,
            body: Body::DataSm(pdu),
        } = second.event().await
        else {
            panic!("no data_sm")
        };
        let answer = Body::empty(matrix_smpp_codec::CommandId::DATA_SM_RESP).unwrap();
        second
            .link
            .respond(sequence, epoch, CommandStatus::ESME_ROK, answer);
        pdu
    };
    let ((status, answer), pdu) = tokio::join!(post(&sim, &path, &writing), reading);
    assert_eq!((status, &answer["statuses"][0]), (200, &"ESME_ROK".into()));
    assert_eq!(InboundText::from(&pdu).text(), "hi");
    let (status, _) = post(&sim, &path, r#"{"to": "1", "text": "x", "bind": 99}"#).await;
    assert_eq!(status, 503);
}

#[tokio::test]
async fn a_phone_answers_as_its_rule_has_it() {
    let sim = simulator().await;
    post(
        &sim,
        "/rules",
        r#"{"when": {"text": "ping"}, "then": {"reply": "pong"}}"#,
    )
    .await;
    let mut esme = Esme::bind(&sim, BindMode::Transceiver, "gateway").await;
    let quiet = matrix_smpp_codec::SubmitSm {
        registered_delivery: matrix_smpp_codec::RegisteredDelivery::NONE,
        ..message("Ping!")
    };
    esme.submit(quiet).await;
    let reply = esme.deliver(CommandStatus::ESME_ROK).await;
    assert_eq!(InboundText::from(&reply).text(), "pong");
    assert_eq!(reply.source_addr.to_text(), PHONE);
}

#[tokio::test]
async fn phones_write_by_themselves_as_the_scenario_has_it() {
    let scenario = "[[mo]]\nfrom = \"447700900123\"\nto = \"60777\"\ntext = \"tick\"\nevery = \"20ms\"\ntimes = 40";
    let settings = SimSettings {
        scenario: Scenario::from_toml(scenario).unwrap(),
        ..SimSettings::default()
    };
    let sim = Sim::start(settings).await.unwrap();
    let mut esme = Esme::bind(&sim, BindMode::Receiver, "gateway").await;
    for _ in 0..2 {
        let tick = esme.deliver(CommandStatus::ESME_ROK).await;
        assert_eq!(InboundText::from(&tick).text(), "tick");
    }
}

#[tokio::test]
async fn one_port_is_plain_while_the_other_speaks_tls() {
    let files = tempfile::tempdir().unwrap();
    let identity = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let certificate = Certificate {
        chain: files.path().join("chain.pem"),
        key: files.path().join("key.pem"),
        client_ca: None,
    };
    std::fs::write(&certificate.chain, identity.cert.pem()).unwrap();
    std::fs::write(&certificate.key, identity.signing_key.serialize_pem()).unwrap();
    let ca = certificate.chain.clone();
    let settings = SimSettings {
        tls: Some(certificate),
        smpp_tls: Some("127.0.0.1:0".parse().unwrap()),
        ..SimSettings::default()
    };
    let sim = Sim::start(settings).await.unwrap();
    let _plain = Esme::bind(&sim, BindMode::Transmitter, "plain").await;
    let port = sim.tls_addr.unwrap().port();
    let mut secure = Esme::begin_tls(port, ca);
    assert!(matches!(secure.event().await, LinkEvent::Up { .. }));
    assert_eq!(get(&sim, "/binds").await.as_array().unwrap().len(), 2);
}
