//! Both ends as this project's session crate has them, used as an application would.

use std::collections::VecDeque;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use bytes::Bytes;
use matrix_smpp_codec::{Body, CommandStatus, SubmitSm, SubmitSmResp};
use matrix_smpp_session::{
    Answer, Backoff, BindRequest, BindSettings, Link, LinkEvent, LinkEvents, LinkSettings,
    Listener, ListenerSettings, Peer, SessionSettings, Ticket, client,
};
use tokio::sync::mpsc;
use tokio_util::task::TaskTracker;

use super::{ANSWERED, MESSAGE_ID, NUMBERS, TEXT};

/// Short, so that idle sessions are measured after having spoken.
const ENQUIRE_LINK: Duration = Duration::from_secs(5);

/// Most events taken at once.
const BATCH: usize = 256;

pub async fn serve(started: impl FnOnce(u16) + Send) {
    let settings = ListenerSettings {
        system_id: "bench".parse().expect("short"),
        max_connections: 20_000,
        session: SessionSettings {
            enquire_link: ENQUIRE_LINK,
            ..SessionSettings::default()
        },
        ..ListenerSettings::default()
    };
    let listener = Listener::bind("127.0.0.1:0", settings)
        .await
        .expect("a free port");
    started(listener.local_addr().expect("bound").port());
    let (sender, mut peers) = mpsc::channel(16);
    let tracker = TaskTracker::new();
    tracker.spawn(listener.serve(admit, sender, tracker.clone()));
    while let Some(peer) = peers.recv().await {
        tracker.spawn(answer(peer));
    }
}

async fn admit(_request: BindRequest) -> Result<(), CommandStatus> {
    Ok(())
}

async fn answer(mut peer: Peer) {
    loop {
        // An idle session keeps no buffer.
        let mut batch = Vec::new();
        if peer.events.recv_many(&mut batch, BATCH).await == 0 {
            return;
        }
        let mut answers: Vec<Answer> = batch.into_iter().filter_map(accept).collect();
        peer.link.respond_many(&mut answers);
    }
}

fn accept(event: LinkEvent) -> Option<Answer> {
    let LinkEvent::Request {
        epoch,
        sequence,
        body: Body::SubmitSm(_),
    } = event
    else {
        return None;
    };
    let response = SubmitSmResp {
        message_id: MESSAGE_ID.parse().expect("short"),
        ..SubmitSmResp::default()
    };
    let (status, body) = (CommandStatus::ESME_ROK, Body::SubmitSmResp(response));
    Some(Answer {
        epoch,
        sequence,
        status,
        body,
    })
}

pub async fn drive(port: u16, window: usize) {
    let (link, mut events, running) = client(settings(port, window));
    TaskTracker::new().spawn(running);
    let (mut batch, mut queue) = (Vec::new(), VecDeque::new());
    while events.recv_many(&mut batch, BATCH).await > 0 {
        let mut answered = 0;
        for event in batch.drain(..) {
            match event {
                LinkEvent::Answered { status, .. } if status.is_ok() => answered += 1,
                LinkEvent::Up { .. } => {}
                other => panic!("{other:?}"),
            }
        }
        ANSWERED.fetch_add(answered, Relaxed);
        queue.resize_with(link.capacity(), || (Ticket(0), message()));
        link.submit_many(&mut queue);
    }
}

fn message() -> Body {
    Body::SubmitSm(SubmitSm {
        source_addr: NUMBERS[0].parse().expect("short"),
        destination_addr: NUMBERS[1].parse().expect("short"),
        short_message: Bytes::from_static(TEXT).try_into().expect("short"),
        ..SubmitSm::default()
    })
}

/// A link to a server of this machine.
#[must_use]
pub fn settings(port: u16, window: usize) -> LinkSettings {
    LinkSettings {
        name: "bench".to_owned(),
        address: format!("127.0.0.1:{port}"),
        tls: None,
        bind: BindSettings {
            system_id: "bench".parse().expect("short"),
            ..BindSettings::default()
        },
        session: SessionSettings {
            window,
            ..SessionSettings::default()
        },
        reconnect: Backoff {
            first: Duration::from_secs(1),
            cap: Duration::from_secs(1),
        },
    }
}

/// A bound session whose answers wait for whoever exchanges messages.
pub struct Client {
    link: Link,
    events: LinkEvents,
}

impl Client {
    /// Binds.
    pub async fn bind(port: u16) -> Self {
        let (link, mut events, running) = client(settings(port, 10));
        TaskTracker::new().spawn(running);
        assert!(matches!(events.recv().await, Some(LinkEvent::Up { .. })));
        Self { link, events }
    }

    /// Sends so many messages and waits for their answers.
    pub async fn exchange(&mut self, messages: usize) {
        let mut unsent = messages;
        for _ in 0..messages {
            while unsent > 0 && self.link.capacity() > 0 {
                self.link.submit(Ticket(0), message()).expect("capacity");
                unsent -= 1;
            }
            assert!(matches!(
                self.events.recv().await,
                Some(LinkEvent::Answered { .. })
            ));
        }
    }
}
