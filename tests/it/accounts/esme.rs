//! An ESME that binds to the gateway.

use std::time::Duration;

use matrix_smpp_codec::values::{MessageState, Npi, RegisteredDelivery, Ton};
use matrix_smpp_codec::{
    Body, COctets, CommandStatus, DeliverSm, DeliverSmResp, MessageId, QuerySm, ShortMessage,
    SubmitSm,
};
use matrix_smpp_session::{
    Backoff, BindSettings, CloseReason, Link, LinkEvent, LinkEvents, LinkSettings, SessionSettings,
    Ticket, TlsSettings, client,
};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::{NUMBER, PHONE};
use crate::support::sim::{PASSWORD, SYSTEM_ID};
use crate::support::wait::PATIENCE;

/// An ESME that is bound to the gateway.
pub(crate) struct Esme {
    link: Link,
    events: LinkEvents,
    _running: JoinSet<()>,
}

impl Esme {
    pub(crate) async fn bind(port: u16) -> Self {
        Self::bind_as(SYSTEM_ID, port, None).await
    }

    /// Binds with this name, over TLS where that is set.
    pub(crate) async fn bind_as(name: &str, port: u16, tls: Option<TlsSettings>) -> Self {
        let settings = LinkSettings {
            name: "an ESME".to_owned(),
            address: format!("127.0.0.1:{port}"),
            tls,
            bind: BindSettings {
                system_id: COctets::try_from(name).expect("a short name"),
                password: PASSWORD.parse().expect("a short password"),
                ..BindSettings::default()
            },
            session: SessionSettings::default(),
            reconnect: Backoff {
                first: Duration::from_millis(50),
                cap: Duration::from_millis(100),
            },
        };
        let (link, events, running) = client(settings);
        let mut tasks = JoinSet::new();
        tasks.spawn(running);
        let mut esme = Self {
            link,
            events,
            _running: tasks,
        };
        while !matches!(esme.next().await, LinkEvent::Up { .. }) {}
        esme
    }

    pub(crate) async fn next(&mut self) -> LinkEvent {
        let event = timeout(PATIENCE, self.events.recv()).await;
        event.expect("an event in time").expect("a link")
    }

    /// Submits and waits for nothing.
    pub(crate) fn sends(&self, text: &str) {
        let sent = self.link.submit(Ticket(1), Body::SubmitSm(sm(text)));
        sent.expect("a bound link");
    }

    /// Until it is bound no more; why.
    pub(crate) async fn end(&mut self) -> CloseReason {
        loop {
            if let LinkEvent::Down { reason, .. } = self.next().await {
                return reason;
            }
        }
    }

    pub(crate) async fn ask(&mut self, body: Body) -> (CommandStatus, Body) {
        self.link.ready().await;
        self.link.submit(Ticket(1), body).expect("a bound link");
        loop {
            if let LinkEvent::Answered { status, body, .. } = self.next().await {
                return (status, body);
            }
        }
    }

    pub(crate) async fn submit(&mut self, text: &str) -> MessageId {
        match self.ask(Body::SubmitSm(sm(text))).await {
            (CommandStatus::ESME_ROK, Body::SubmitSmResp(resp)) => resp.message_id,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) async fn state(&mut self, message_id: MessageId) -> MessageState {
        let query = QuerySm {
            message_id,
            source_addr: PHONE.parse().expect("a number"),
            ..QuerySm::default()
        };
        match self.ask(Body::QuerySm(query)).await {
            (CommandStatus::ESME_ROK, Body::QuerySmResp(resp)) => resp.message_state,
            other => panic!("{other:?}"),
        }
    }

    /// The next delivery, which is taken.
    pub(crate) async fn takes(&mut self) -> DeliverSm {
        loop {
            if let LinkEvent::Request {
                epoch,
                sequence,
                body: Body::DeliverSm(sm),
            } = self.next().await
            {
                let answer = Body::DeliverSmResp(DeliverSmResp::default());
                self.link
                    .respond(sequence, epoch, CommandStatus::ESME_ROK, answer);
                return sm;
            }
        }
    }
}

/// A text of the phone, with a receipt asked for.
fn sm(text: &str) -> SubmitSm {
    SubmitSm {
        source_addr_ton: Ton::INTERNATIONAL,
        source_addr_npi: Npi::ISDN,
        source_addr: PHONE.parse().expect("a number"),
        dest_addr_ton: Ton::INTERNATIONAL,
        dest_addr_npi: Npi::ISDN,
        destination_addr: NUMBER.parse().expect("a number"),
        registered_delivery: RegisteredDelivery::RECEIPT,
        short_message: ShortMessage::try_from(text.as_bytes()).expect("a short text"),
        ..SubmitSm::default()
    }
}
