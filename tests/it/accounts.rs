//! Aggregators that bind to the gateway: their texts land in rooms, they get their receipts and the
//! traffic for their numbers.

use std::time::Duration;

use matrix_smpp_codec::receipt::Receipt;
use matrix_smpp_codec::values::{MessageState, Npi, RegisteredDelivery, Ton};
use matrix_smpp_codec::{
    Body, COctets, CommandStatus, DeliverSm, DeliverSmResp, MessageId, QuerySm, ShortMessage,
    SubmitSm,
};
use matrix_smpp_session::{
    Backoff, BindSettings, Link, LinkEvent, LinkEvents, LinkSettings, SessionSettings, Ticket,
    client,
};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::support::kannel::Kannel;
use crate::support::peer::free_port;
use crate::support::sim::{PASSWORD, SYSTEM_ID};
use crate::support::wait::PATIENCE;
use crate::support::world::{World, ghost};

/// A phone behind the aggregator.
const PHONE: &str = "46701740605";
/// The number of ours that its texts come from.
const NUMBER: &str = "447700900900";

/// A gateway whose numbers of +46 are an account's that binds to this port.
async fn world() -> (World, u16) {
    let port = free_port();
    let world = World::with(|plan| {
        plan.more = format!(
            r#"
[listener]
listen = "127.0.0.1:{port}"

[[esme]]
name = "aggregator"
system_id = "{SYSTEM_ID}"
password = "{PASSWORD}"
networks = ["127.0.0.1"]

[[route]]
name = "elsewhere"
prefixes = ["46"]
link_group = "aggregator"
originator = {{ pool = "uk" }}
price = "0.05"
"#
        );
    });
    (world.await, port)
}

fn texts() -> [String; 3] {
    [
        "Hello".to_owned(),
        "more than one part ".repeat(20).trim_end().to_owned(),
        "Привет".to_owned(),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn kannel_binds_to_the_gateway_and_texts_travel_both_ways_with_their_receipts() {
    let (world, port) = world().await;
    let alice = world.person("alice", "10").await;
    let room = world.chat(&alice, PHONE).await;
    // It waits for Kannel.
    alice.write(&room, "Are you there?").await;
    let kannel = Kannel::start(world.home(), port).await;
    let told = kannel.hears("Are you there?").await;
    assert_eq!(told["from"].trim_start_matches('+'), NUMBER);
    assert_eq!(told["to"].trim_start_matches('+'), PHONE);
    for (n, text) in texts().iter().enumerate() {
        alice.write(&room, text).await;
        kannel.hears(text).await;
        let tag = format!("text-{n}");
        // Without the plus Kannel takes any number for one in national form.
        kannel.sends(&format!("+{PHONE}"), NUMBER, text, &tag).await;
        alice.hears(&room, &ghost(PHONE), text).await;
        for state in ["8", "1"] {
            kannel.is_receipted(&tag, state).await;
        }
    }
}

/// An ESME that is bound to the gateway.
struct Esme {
    link: Link,
    events: LinkEvents,
    _running: JoinSet<()>,
}

impl Esme {
    async fn bind(port: u16) -> Self {
        let settings = LinkSettings {
            name: "an ESME".to_owned(),
            address: format!("127.0.0.1:{port}"),
            tls: None,
            bind: BindSettings {
                system_id: COctets::try_from(SYSTEM_ID).expect("a short name"),
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

    async fn next(&mut self) -> LinkEvent {
        let event = timeout(PATIENCE, self.events.recv()).await;
        event.expect("an event in time").expect("a link")
    }

    async fn ask(&mut self, body: Body) -> (CommandStatus, Body) {
        self.link.ready().await;
        self.link.submit(Ticket(1), body).expect("a bound link");
        loop {
            if let LinkEvent::Answered { status, body, .. } = self.next().await {
                return (status, body);
            }
        }
    }

    async fn submit(&mut self, text: &str) -> MessageId {
        let sm = SubmitSm {
            source_addr_ton: Ton::INTERNATIONAL,
            source_addr_npi: Npi::ISDN,
            source_addr: PHONE.parse().expect("a number"),
            dest_addr_ton: Ton::INTERNATIONAL,
            dest_addr_npi: Npi::ISDN,
            destination_addr: NUMBER.parse().expect("a number"),
            registered_delivery: RegisteredDelivery::RECEIPT,
            short_message: ShortMessage::try_from(text.as_bytes()).expect("a short text"),
            ..SubmitSm::default()
        };
        match self.ask(Body::SubmitSm(sm)).await {
            (CommandStatus::ESME_ROK, Body::SubmitSmResp(resp)) => resp.message_id,
            other => panic!("{other:?}"),
        }
    }

    async fn state(&mut self, message_id: MessageId) -> MessageState {
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
    async fn takes(&mut self) -> DeliverSm {
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

#[tokio::test(flavor = "multi_thread")]
async fn what_was_answered_is_said_and_receipted_though_gateway_and_homeserver_die() {
    let (mut world, port) = world().await;
    let alice = world.person("alice", "10").await;
    let room = world.chat(&alice, PHONE).await;
    let mut esme = Esme::bind(port).await;
    alice.write(&room, "Hello?").await;
    assert_eq!(esme.takes().await.short_message.bytes(), &b"Hello?"[..]);

    world.synapse.stop().await;
    let id = esme.submit("still here").await;
    assert_eq!(esme.state(id).await, MessageState::ENROUTE);
    drop(esme);
    world.gateway.kill().await;
    let registration = world.gateway.registration();
    world.synapse.start(Some(&registration)).await;
    world.gateway.start().await;
    alice.hears(&room, &ghost(PHONE), "still here").await;

    let mut esme = Esme::bind(port).await;
    let receipt = Receipt::of(&esme.takes().await).expect("a receipt");
    assert_eq!(receipt.message_id, id.to_text());
    assert_eq!(receipt.state, MessageState::DELIVERED);
    assert_eq!(esme.state(id).await, MessageState::DELIVERED);
}
