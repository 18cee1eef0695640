//! What the tests drive the simulator with: an ESME of the session crate, and a browser of few words.
#![expect(
    clippy::unwrap_used,
    reason = "a helper that panics fails its test, as it should"
)]

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use matrix_smpp_codec::{
    Body, CommandStatus, DeliverSm, RegisteredDelivery, ShortMessage, SubmitSm,
};
use matrix_smpp_loadtest::sim::{Sim, SimSettings};
use matrix_smpp_session::{
    Backoff, BindMode, BindSettings, Link, LinkEvent, LinkEvents, LinkSettings, SessionSettings,
    Ticket, TlsSettings, client,
};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// Longer than anything here takes; only a failing test waits so long.
const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) const PHONE: &str = "447700900123";
pub(crate) const VMN: &str = "447700900001";

/// A simulator whose receipts come quickly.
pub(crate) async fn simulator() -> Sim {
    let receipt_delay = Duration::from_millis(1);
    Sim::start(SimSettings {
        receipt_delay,
        ..SimSettings::default()
    })
    .await
    .unwrap()
}

/// One bound ESME.
pub(crate) struct Esme {
    pub(crate) link: Link,
    events: LinkEvents,
    _driver: JoinSet<()>,
}

impl Esme {
    /// Binds, and waits until it is done.
    pub(crate) async fn bind(sim: &Sim, mode: BindMode, system_id: &str) -> Self {
        let mut esme = Self::begin(sim.smpp_addr, mode, system_id, "secret");
        let up = esme.event().await;
        assert!(matches!(up, LinkEvent::Up { .. }), "{up:?}");
        esme
    }

    /// Begins to bind.
    pub(crate) fn begin(
        address: SocketAddr,
        mode: BindMode,
        system_id: &str,
        password: &str,
    ) -> Self {
        Self::drive(address.to_string(), None, (mode, system_id, password))
    }

    /// Begins to bind over TLS at this port of localhost.
    pub(crate) fn begin_tls(port: u16, ca: PathBuf) -> Self {
        let tls = TlsSettings {
            ca: Some(ca),
            ..TlsSettings::default()
        };
        let who = (BindMode::Transceiver, "secure", "secret");
        Self::drive(format!("localhost:{port}"), Some(tls), who)
    }

    fn drive(
        address: String,
        tls: Option<TlsSettings>,
        (mode, system_id, password): (BindMode, &str, &str),
    ) -> Self {
        let (link, events, run) = client(LinkSettings {
            name: "test".to_owned(),
            address,
            tls,
            bind: BindSettings {
                mode,
                system_id: system_id.parse().unwrap(),
                password: password.parse().unwrap(),
                ..BindSettings::default()
            },
            session: SessionSettings {
                adapt: None,
                ..SessionSettings::default()
            },
            reconnect: Backoff {
                first: PATIENCE,
                cap: PATIENCE,
            },
        });
        let mut driver = JoinSet::new();
        driver.spawn(run);
        Self {
            link,
            events,
            _driver: driver,
        }
    }

    pub(crate) async fn event(&mut self) -> LinkEvent {
        timeout(PATIENCE, self.events.recv())
            .await
            .expect("an event in time")
            .expect("an event")
    }

    /// Sends and waits for the status and message id of the answer.
    pub(crate) async fn submit(&mut self, pdu: SubmitSm) -> (CommandStatus, String) {
        // After a throttled answer the session takes a pause.
        timeout(PATIENCE, self.link.ready()).await.expect("room");
        self.link.submit(Ticket(1), Body::SubmitSm(pdu)).unwrap();
        match self.event().await {
            LinkEvent::Answered {
                status,
                body: Body::SubmitSmResp(answer),
                ..
            } => (status, answer.message_id.to_text()),
            other => panic!("no submit_sm_resp but {other:?}"),
        }
    }

    /// Waits for a `deliver_sm` and answers it.
    pub(crate) async fn deliver(&mut self, status: CommandStatus) -> DeliverSm {
        match self.event().await {
            LinkEvent::Request {
                epoch,
                sequence,
                body: Body::DeliverSm(pdu),
            } => {
                let answer = Body::empty(matrix_smpp_codec::CommandId::DELIVER_SM_RESP).unwrap();
                self.link.respond(sequence, epoch, status, answer);
                pdu
            }
            other => panic!("no deliver_sm but {other:?}"),
        }
    }
}

/// A text from [`VMN`] to [`PHONE`] that asks for a receipt.
pub(crate) fn message(text: &str) -> SubmitSm {
    SubmitSm {
        source_addr: VMN.parse().unwrap(),
        destination_addr: PHONE.parse().unwrap(),
        registered_delivery: RegisteredDelivery::RECEIPT,
        short_message: ShortMessage::try_from(text.as_bytes()).unwrap(),
        ..SubmitSm::default()
    }
}

pub(crate) async fn get(sim: &Sim, path: &str) -> Value {
    let (status, body) = http(sim.http_addr, "GET", path, "").await;
    assert_eq!(status, 200, "{body}");
    serde_json::from_str(&body).unwrap()
}

pub(crate) async fn post(sim: &Sim, path: &str, body: &str) -> (u16, Value) {
    let (status, body) = http(sim.http_addr, "POST", path, body).await;
    (
        status,
        serde_json::from_str(&body).unwrap_or(Value::String(body)),
    )
}

/// One request of HTTP/1.1 on a connection of its own.
pub(crate) async fn http(
    address: SocketAddr,
    method: &str,
    path: &str,
    body: &str,
) -> (u16, String) {
    http_as("application/json", address, (method, path, body)).await
}

/// The same with a body that says it is something else.
pub(crate) async fn http_as(
    content_type: &str,
    address: SocketAddr,
    (method, path, body): (&str, &str, &str),
) -> (u16, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\
         content-type: {content_type}\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    timeout(PATIENCE, stream.read_to_string(&mut answer))
        .await
        .expect("an answer")
        .unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, body.to_owned())
}

/// Asks until the answer is as wanted.
pub(crate) async fn until(sim: &Sim, path: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    let asking = async {
        loop {
            let answer = get(sim, path).await;
            if wanted(&answer) {
                return answer;
            }
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, asking)
        .await
        .expect("the wanted answer in time")
}
