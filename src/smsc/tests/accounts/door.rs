//! The gateway's end of the listener, and the ESMEs that bind to it.

use matrix_smpp_codec::receipt::Receipt;
use matrix_smpp_codec::values::{MessageState as WireState, RegisteredDelivery};
use matrix_smpp_codec::{
    COctets, CancelSm, DeliverSmResp, MessageId, QuerySm, ReplaceSm, SubmitSm,
};
use matrix_smpp_session::{
    Backoff, BindMode, BindSettings, Link, LinkEvents, LinkSettings, SessionSettings, TlsSettings,
};
use tokio_util::task::TaskTracker;

use super::super::*;
use crate::doors::{self, Entrance};
use crate::gateway::model::ConversationId;
use crate::store::{Due, Ending, Lane, NewOutbox, OutboxEntry, OutboxItem, Sms};

const NOW: Timestamp = Timestamp(1_700_000_000_000);

/// The gateway's SMPP side with a listener and the account `agg`, whose number is 447700900999.
pub(super) struct Door {
    pub(super) address: String,
    pub(super) clock: Clock,
    pub(super) gateway: Gateway,
    pub(super) store: Arc<dyn Store>,
    pub(super) links: Links,
    pub(super) crew: Crew,
    pub(super) directory: TempDir,
}

pub(super) fn config() -> String {
    r#"
    [[homeserver]]
    name = "example.org"
    url = "http://127.0.0.1:8008"
    bot_localpart = ".tel.bot"
    as_token = "0123456789abcdef0123456789abcdef"
    hs_token = "fedcba9876543210fedcba9876543210"
    [listener]
    listen = "127.0.0.1:0"
    [[esme]]
    name = "aggregator"
    system_id = "agg"
    password = "secret"
    networks = ["127.0.0.0/8"]
    receipt_age = "1h"
    [[esme]]
    name = "far"
    system_id = "far"
    password = "secret"
    networks = ["192.0.2.0/24"]
    mo_unleased = "reject"
    [[esme]]
    name = "strict"
    system_id = "strict"
    password = "secret"
    mo_unleased = "reject"
    [[pool]]
    name = "uk"
    numbers = ["447700900901"]
    [[route]]
    name = "uk"
    prefixes = ["44"]
    link_group = "aggregator"
    originator = { pool = "uk" }
    price = "0.01"
    [[dedicated]]
    number = "447700900999"
    owner = "@alice:example.org"
    [[dedicated]]
    number = "447700900997"
    owner = "@bob:example.org"
    "#
    .to_owned()
}

impl Door {
    pub(super) async fn open() -> Self {
        Self::open_in(tempfile::tempdir().unwrap()).await
    }

    pub(super) async fn open_in(directory: TempDir) -> Self {
        Self::open_with(directory, &config()).await
    }

    pub(super) async fn open_with(directory: TempDir, config: &str) -> Self {
        let settings = matrix_smpp_config::parse(config, Path::new("test.toml"), &ProcessEnv);
        let store: Arc<dyn Store> =
            TableStore::open_sqlite(directory.path().join("gw.db"), Duration::from_hours(24))
                .unwrap();
        let clock = Clock::manual(NOW);
        store.recover(clock.now()).await.unwrap();
        let settings = Arc::new(settings.unwrap());
        let gateway = Gateway::new(Parts {
            bounds: crate::flow::Bounds::default(),
            opt_out: crate::gateway::opt_out::Words::new(&settings.opt_out),
            ghosts: Ghosts::new(Arc::clone(&store)),
            wakes: Wakes::for_groups(settings.group_names()),
            metrics: Metrics::new(),
            homeservers: std::iter::empty().collect(),
            clock: clock.clone(),
            routing: settings.routing.clone().into(),
            settings,
            store: Arc::clone(&store),
        });
        let crew = Crew::default();
        let links = Links::start(&gateway, &crew).unwrap();
        let at = gateway.settings.listener.listen.unwrap();
        let inlet = Entrance::new(doors::Door::Smpp, at).inlet().await.unwrap();
        let address = inlet.local_addr().unwrap();
        links.listen(&gateway, &crew, inlet).unwrap();
        Self {
            address: address.to_string(),
            clock,
            gateway,
            store,
            links,
            crew,
            directory,
        }
    }

    /// Ends the gateway's SMPP side and gives its files.
    pub(super) async fn close(self) -> TempDir {
        self.crew.stop.cancel();
        self.links.close();
        self.crew.tracker.close();
        timeout(LONG, self.crew.tracker.wait()).await.unwrap();
        self.directory
    }

    pub(super) fn connect(&self, system_id: &str, password: &str, mode: BindMode) -> Esme {
        self.connect_by(system_id, password, mode, None)
    }

    pub(super) fn connect_by(
        &self,
        system_id: &str,
        password: &str,
        mode: BindMode,
        tls: Option<TlsSettings>,
    ) -> Esme {
        let settings = LinkSettings {
            name: "an ESME".to_owned(),
            address: self.address.clone(),
            tls,
            bind: BindSettings {
                mode,
                system_id: COctets::try_from(system_id).unwrap(),
                password: password.parse().unwrap(),
                ..BindSettings::default()
            },
            session: SessionSettings::default(),
            reconnect: Backoff {
                first: Duration::from_millis(20),
                cap: Duration::from_millis(50),
            },
        };
        let (link, events, running) = matrix_smpp_session::client(settings);
        TaskTracker::new().spawn(running);
        Esme { link, events }
    }

    pub(super) async fn bind(&self, mode: BindMode) -> Esme {
        let mut esme = self.connect("agg", "secret", mode);
        assert!(matches!(esme.next().await, LinkEvent::Up { .. }));
        esme
    }

    /// Waits until the store knows that every receipt was taken: none is sent again then.
    pub(super) async fn receipts_are_over(&self) {
        let over = async {
            while self.store.sizes().await.unwrap().owed_receipts > 0 {
                tokio::task::yield_now().await;
            }
        };
        timeout(LONG, over).await.unwrap();
    }

    pub(super) async fn pending(&self) -> Vec<Sms> {
        self.store.pending_sms(SmsId(0), 100).await.unwrap()
    }

    pub(super) async fn texts(&self) -> Vec<String> {
        self.pending()
            .await
            .into_iter()
            .map(|sms| sms.text)
            .collect()
    }

    pub(super) async fn next_to_say(&self) -> Option<OutboxEntry> {
        let due = self.store.due_outbox(Due::heads(self.clock.now(), 1)).await;
        due.unwrap().pop()
    }

    /// What waits is said in a room, as the workers of the gateway do it.
    pub(super) async fn say_all(&self) -> Vec<String> {
        let mut said = Vec::new();
        for sms in self.pending().await {
            let entry = NewOutbox {
                key: format!("sms:{}", sms.id),
                lane: Lane::Person("@alice:example.org".try_into().unwrap()),
                item: OutboxItem::SmsText {
                    sms: sms.id,
                    conversation: ConversationId(1),
                },
            };
            let now = self.clock.now();
            self.store.enqueue(vec![entry], now).await.unwrap();
            self.store.finish_sms(sms.id, Ending::Done).await.unwrap();
        }
        while let Some(entry) = self.next_to_say().await {
            let OutboxItem::SmsText { sms, .. } = entry.item else {
                panic!("{:?}", entry.item)
            };
            let sms = self.store.say_sms(sms, self.clock.now()).await.unwrap();
            said.extend(sms.map(|sms| sms.text));
            self.store
                .finish_outbox(entry.id, Ending::Done)
                .await
                .unwrap();
        }
        self.gateway.wakes.groups.ring_accounts();
        said
    }
}

/// An ESME that binds to us.
pub(super) struct Esme {
    pub(super) link: Link,
    pub(super) events: LinkEvents,
}

pub(super) fn sm(text: &str) -> SubmitSm {
    SubmitSm {
        source_addr_ton: Ton::INTERNATIONAL,
        source_addr_npi: Npi::ISDN,
        source_addr: "447700900123".parse().unwrap(),
        dest_addr_ton: Ton::INTERNATIONAL,
        dest_addr_npi: Npi::ISDN,
        destination_addr: "447700900999".parse().unwrap(),
        registered_delivery: RegisteredDelivery::RECEIPT,
        short_message: ShortMessage::try_from(text.as_bytes()).unwrap(),
        ..SubmitSm::default()
    }
}

impl Esme {
    pub(super) async fn next(&mut self) -> LinkEvent {
        let event = timeout(LONG, self.events.recv()).await.unwrap();
        event.expect("a link")
    }

    pub(super) async fn ask(&mut self, body: Body) -> (CommandStatus, Body) {
        self.link.ready().await;
        self.link.submit(Ticket(1), body).unwrap();
        loop {
            if let LinkEvent::Answered { status, body, .. } = self.next().await {
                return (status, body);
            }
        }
    }

    pub(super) async fn submit(&mut self, sm: SubmitSm) -> Result<MessageId, CommandStatus> {
        match self.ask(Body::SubmitSm(sm)).await {
            (CommandStatus::ESME_ROK, Body::SubmitSmResp(resp)) => Ok(resp.message_id),
            (status, _) => Err(status),
        }
    }

    pub(super) async fn query(&mut self, id: MessageId) -> Result<WireState, CommandStatus> {
        let query = QuerySm {
            message_id: id,
            source_addr_ton: Ton::INTERNATIONAL,
            source_addr_npi: Npi::ISDN,
            source_addr: "447700900123".parse().unwrap(),
        };
        match self.ask(Body::QuerySm(query)).await {
            (CommandStatus::ESME_ROK, Body::QuerySmResp(resp)) => {
                assert_eq!(resp.message_id, id);
                let is_over = resp.message_state != WireState::ENROUTE;
                assert_eq!(resp.final_date.is_empty(), !is_over);
                Ok(resp.message_state)
            }
            (status, _) => Err(status),
        }
    }

    pub(super) async fn cancel(&mut self, message_id: MessageId) -> CommandStatus {
        let cancel = CancelSm {
            message_id,
            source_addr: "447700900123".parse().unwrap(),
            destination_addr: "447700900999".parse().unwrap(),
            ..CancelSm::default()
        };
        self.ask(Body::CancelSm(cancel)).await.0
    }

    pub(super) async fn replace(&mut self, message_id: MessageId, text: &str) -> CommandStatus {
        let replace = ReplaceSm {
            message_id,
            source_addr: "447700900123".parse().unwrap(),
            registered_delivery: RegisteredDelivery::NONE,
            short_message: ShortMessage::try_from(text.as_bytes()).unwrap(),
            ..ReplaceSm::default()
        };
        self.ask(Body::ReplaceSm(replace)).await.0
    }

    /// What comes next, which is taken.
    pub(super) async fn takes(&mut self) -> DeliverSm {
        self.answers(CommandStatus::ESME_ROK).await
    }

    pub(super) async fn answers(&mut self, status: CommandStatus) -> DeliverSm {
        loop {
            let LinkEvent::Request {
                epoch,
                sequence,
                body: Body::DeliverSm(sm),
            } = self.next().await
            else {
                continue;
            };
            let answer = Body::DeliverSmResp(DeliverSmResp::default());
            self.link.respond(sequence, epoch, status, answer);
            return sm;
        }
    }

    pub(super) async fn receipt(&mut self) -> Receipt {
        let sm = self.takes().await;
        assert_eq!(sm.source_addr.to_text(), "447700900999");
        assert_eq!(sm.destination_addr.to_text(), "447700900123");
        Receipt::of(&sm).expect("a receipt")
    }
}
