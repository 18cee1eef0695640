//! A listener and a client that are bound to each other.

use std::time::{Duration, Instant};

use matrix_smpp_codec::{Body, COctets, CommandStatus, SubmitSm};
use matrix_smpp_session::{
    Backoff, BindRequest, BindSettings, Link, LinkEvent, LinkEvents, LinkSettings, Listener,
    ListenerSettings, Peer, SessionSettings, Ticket, client,
};
use tokio::sync::mpsc;
use tokio_util::task::TaskTracker;

/// Longer than anything here takes, so that a lost wake-up fails the test.
pub(crate) const LONG: Duration = Duration::from_secs(20);

#[expect(clippy::disallowed_methods, reason = "the tests' clock")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// The ESME's end of a test.
pub(crate) struct Esme {
    pub(crate) link: Link,
    pub(crate) events: LinkEvents,
}

impl Esme {
    pub(crate) async fn next(&mut self) -> LinkEvent {
        next(&mut self.events).await
    }
}

/// The SMSC's end reads its events alike.
pub(crate) trait Next {
    async fn next(&mut self) -> LinkEvent;
}

impl Next for Peer {
    async fn next(&mut self) -> LinkEvent {
        next(&mut self.events).await
    }
}

async fn next(events: &mut LinkEvents) -> LinkEvent {
    tokio::time::timeout(LONG, events.recv())
        .await
        .expect("an event in time")
        .expect("an event")
}

pub(crate) fn octets<const MAX: usize>(text: &str) -> COctets<MAX> {
    text.parse().unwrap()
}

pub(crate) fn link_settings(address: String) -> LinkSettings {
    LinkSettings {
        name: "test".to_owned(),
        address,
        tls: None,
        bind: BindSettings {
            system_id: octets("esme"),
            password: "secret".parse().unwrap(),
            ..BindSettings::default()
        },
        session: SessionSettings::default(),
        reconnect: Backoff {
            first: Duration::from_millis(20),
            cap: Duration::from_secs(1),
        },
    }
}

pub(crate) fn connect(settings: LinkSettings) -> Esme {
    let (link, events, running) = client(settings);
    spawn(running);
    Esme { link, events }
}

#[expect(clippy::disallowed_methods, reason = "tests have no tracker")]
pub(crate) fn spawn(future: impl Future<Output = ()> + Send + 'static) {
    tokio::spawn(future);
}

/// Accepts whoever knows the password.
pub(crate) async fn listen(settings: ListenerSettings) -> (String, mpsc::Receiver<Peer>) {
    let listener = Listener::bind("127.0.0.1:0", settings).await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (sender, peers) = mpsc::channel(16);
    spawn(listener.serve(authenticate, sender, TaskTracker::new()));
    (address, peers)
}

async fn authenticate(request: BindRequest) -> Result<(), CommandStatus> {
    let known = request.password == "secret".parse().unwrap();
    if known {
        Ok(())
    } else {
        Err(CommandStatus::ESME_RINVPASWD)
    }
}

pub(crate) fn listener_settings() -> ListenerSettings {
    ListenerSettings {
        system_id: octets("smsc"),
        ..ListenerSettings::default()
    }
}

/// A client and a listener, bound to each other.
pub(crate) async fn bound_pair() -> (Esme, Peer) {
    let (address, peers) = listen(listener_settings()).await;
    bind(link_settings(address), peers).await
}

/// Waits until both ends say that they are bound.
pub(crate) async fn bind(settings: LinkSettings, mut peers: mpsc::Receiver<Peer>) -> (Esme, Peer) {
    let mut esme = connect(settings);
    let mut smsc = tokio::time::timeout(LONG, peers.recv())
        .await
        .unwrap()
        .unwrap();
    assert!(matches!(esme.next().await, LinkEvent::Up { .. }));
    assert!(matches!(smsc.next().await, LinkEvent::Up { .. }));
    (esme, smsc)
}

/// Answers every request with OK, in the order of arrival.
pub(crate) fn answer_everything(mut smsc: Peer) {
    spawn(async move {
        let mut events = Vec::new();
        while smsc.events.recv_many(&mut events, 100).await > 0 {
            for event in events.drain(..) {
                if let LinkEvent::Request {
                    epoch,
                    sequence,
                    body,
                } = event
                {
                    let response = body.command_id().response().and_then(Body::empty).unwrap();
                    smsc.respond(sequence, epoch, CommandStatus::ESME_ROK, response);
                }
            }
        }
    });
}

/// Submits as fast as the window lets it; every answer must come, in order.
pub(crate) async fn exchange_in_order(mut esme: Esme, messages: u64) {
    let mut submitted = 0;
    for expected in 0..messages {
        while submitted < messages
            && esme
                .link
                .submit(Ticket(submitted), Body::SubmitSm(SubmitSm::default()))
                .is_ok()
        {
            submitted += 1;
        }
        let LinkEvent::Answered { ticket, .. } = esme.next().await else {
            panic!()
        };
        assert_eq!(ticket, Ticket(expected));
    }
}
