//! Accounts that bind to the listener: what they submit, ask, and are owed.

mod multi;

use matrix_smpp_codec::receipt::Receipt;
use matrix_smpp_codec::values::{
    DataCoding, EsmClass, MessageState as WireState, RegisteredDelivery,
};
use matrix_smpp_codec::{
    COctets, CancelSm, DeliverSmResp, MessageId, QuerySm, ReplaceSm, SubmitSm,
};
use matrix_smpp_config::Money;
use matrix_smpp_session::{
    Backoff, BindMode, BindSettings, CloseReason, Link, LinkEvents, LinkSettings, SessionSettings,
};

use tokio_util::task::TaskTracker;

use super::*;
use crate::gateway::model::{ConversationId, E164Text, Handset, MessageState, Source};
use crate::gateway::plan::{self, Draft};
use crate::store::{
    Acceptance, Ending, Lane, NewOutbox, OpenConversation, OutboxEntry, OutboxItem, Sms,
};

const NOW: Timestamp = Timestamp(1_700_000_000_000);

/// The gateway's SMPP side with a listener and the account `agg`, whose number is 447700900999.
struct Door {
    address: String,
    clock: Clock,
    gateway: Gateway,
    store: Arc<dyn Store>,
    links: Links,
    crew: Crew,
    directory: TempDir,
}

fn config() -> String {
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
    async fn open() -> Self {
        Self::open_in(tempfile::tempdir().unwrap()).await
    }

    async fn open_in(directory: TempDir) -> Self {
        let settings = matrix_smpp_config::parse(&config(), Path::new("test.toml"), &ProcessEnv);
        let store: Arc<dyn Store> =
            SqliteStore::open(directory.path().join("gw.db"), Duration::from_hours(24)).unwrap();
        let clock = Clock::manual(NOW);
        store.recover(clock.now()).await.unwrap();
        let settings = Arc::new(settings.unwrap());
        let gateway = Gateway::new(Parts {
            ghosts: Ghosts::new(Arc::clone(&store)),
            wakes: Wakes::for_groups(settings.group_names()),
            metrics: Metrics::new(),
            homeservers: std::iter::empty().collect(),
            clock: clock.clone(),
            settings,
            store: Arc::clone(&store),
            bounds: crate::flow::Bounds::default(),
        });
        let crew = Crew::default();
        let links = Links::start(&gateway, &crew).unwrap();
        let address = links.listen(&gateway, &crew).await.unwrap().unwrap();
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
    async fn close(self) -> TempDir {
        self.crew.stop.cancel();
        self.links.close();
        self.crew.tracker.close();
        timeout(LONG, self.crew.tracker.wait()).await.unwrap();
        self.directory
    }

    fn connect(&self, system_id: &str, password: &str, mode: BindMode) -> Esme {
        let settings = LinkSettings {
            name: "an ESME".to_owned(),
            address: self.address.clone(),
            tls: None,
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

    async fn bind(&self, mode: BindMode) -> Esme {
        let mut esme = self.connect("agg", "secret", mode);
        assert!(matches!(esme.next().await, LinkEvent::Up { .. }));
        esme
    }

    async fn pending(&self) -> Vec<Sms> {
        self.store.pending_sms(SmsId(0), 100).await.unwrap()
    }

    async fn texts(&self) -> Vec<String> {
        self.pending()
            .await
            .into_iter()
            .map(|sms| sms.text)
            .collect()
    }

    async fn next_to_say(&self) -> Option<OutboxEntry> {
        let due = self.store.due_outbox(self.clock.now(), 1, &[]).await;
        due.unwrap().pop()
    }

    /// What waits is said in a room, as the workers of the gateway do it.
    async fn say_all(&self) -> Vec<String> {
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
        self.gateway.wakes.group("aggregator");
        said
    }
}

/// An ESME that binds to us.
struct Esme {
    link: Link,
    events: LinkEvents,
}

fn sm(text: &str) -> SubmitSm {
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
    async fn next(&mut self) -> LinkEvent {
        let event = timeout(LONG, self.events.recv()).await.unwrap();
        event.expect("a link")
    }

    async fn ask(&mut self, body: Body) -> (CommandStatus, Body) {
        self.link.ready().await;
        self.link.submit(Ticket(1), body).unwrap();
        loop {
            if let LinkEvent::Answered { status, body, .. } = self.next().await {
                return (status, body);
            }
        }
    }

    async fn submit(&mut self, sm: SubmitSm) -> Result<MessageId, CommandStatus> {
        match self.ask(Body::SubmitSm(sm)).await {
            (CommandStatus::ESME_ROK, Body::SubmitSmResp(resp)) => Ok(resp.message_id),
            (status, _) => Err(status),
        }
    }

    async fn query(&mut self, id: MessageId) -> Result<WireState, CommandStatus> {
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

    async fn cancel(&mut self, message_id: MessageId) -> CommandStatus {
        let cancel = CancelSm {
            message_id,
            source_addr: "447700900123".parse().unwrap(),
            destination_addr: "447700900999".parse().unwrap(),
            ..CancelSm::default()
        };
        self.ask(Body::CancelSm(cancel)).await.0
    }

    async fn replace(&mut self, message_id: MessageId, text: &str) -> CommandStatus {
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
    async fn takes(&mut self) -> DeliverSm {
        self.answers(CommandStatus::ESME_ROK).await
    }

    async fn answers(&mut self, status: CommandStatus) -> DeliverSm {
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

    async fn receipt(&mut self) -> Receipt {
        let sm = self.takes().await;
        assert_eq!(sm.source_addr.to_text(), "447700900999");
        assert_eq!(sm.destination_addr.to_text(), "447700900123");
        Receipt::of(&sm).expect("a receipt")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_account_submits_is_an_sms_from_its_source_with_an_id_of_ours() {
    let door = Door::open().await;
    let mut esme = door.bind(BindMode::Transceiver).await;
    let first = esme.submit(sm("one")).await.unwrap();
    let second = esme.submit(sm("two")).await.unwrap();
    assert_ne!(first, second);
    assert!(!first.is_empty());
    assert_eq!(door.texts().await, ["one", "two"]);
    assert_eq!(door.pending().await[0].link_group, "aggregator");
    door.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_submission_that_comes_again_after_its_bind_was_cut_has_the_same_id() {
    let door = Door::open().await;
    let mut esme = door.bind(BindMode::Transceiver).await;
    let first = esme.submit(sm("one")).await.unwrap();
    drop(esme);
    let mut again = door.bind(BindMode::Transceiver).await;
    // The end of the first bind may be on its way; then the ESME is asked to come again.
    let second = loop {
        match again.submit(sm("one")).await {
            Ok(id) => break id,
            Err(status) => assert_eq!(status, CommandStatus::ESME_RMSGQFUL),
        }
    };
    assert_eq!(first, second);
    assert_eq!(door.texts().await, ["one"]);
    door.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_is_enroute_until_it_was_said_and_then_the_account_gets_its_receipt() {
    let door = Door::open().await;
    let mut esme = door.bind(BindMode::Transceiver).await;
    let id = esme.submit(sm("one")).await.unwrap();
    assert_eq!(esme.query(id).await, Ok(WireState::ENROUTE));
    assert_eq!(door.say_all().await, ["one"]);
    let receipt = esme.receipt().await;
    assert_eq!(receipt.message_id, id.to_text());
    assert_eq!(receipt.state, WireState::DELIVERED);
    assert_eq!(esme.query(id).await, Ok(WireState::DELIVERED));
    // Too late for either.
    assert_eq!(esme.cancel(id).await, CommandStatus::ESME_RCANCELFAIL);
    let late = esme.replace(id, "three").await;
    assert_eq!(late, CommandStatus::ESME_RREPLACEFAIL);
    door.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_that_was_not_said_can_be_withdrawn_or_replaced() {
    let door = Door::open().await;
    let mut esme = door.bind(BindMode::Transceiver).await;
    let first = esme.submit(sm("one")).await.unwrap();
    let second = esme.submit(sm("two")).await.unwrap();
    assert_eq!(esme.cancel(first).await, CommandStatus::ESME_ROK);
    assert_eq!(esme.receipt().await.state, WireState::DELETED);
    assert_eq!(esme.query(first).await, Ok(WireState::DELETED));
    assert_eq!(esme.replace(second, "2").await, CommandStatus::ESME_ROK);
    assert_eq!(door.say_all().await, ["2"]);
    assert_eq!(esme.query(second).await, Ok(WireState::DELIVERED));
    // The new text asked for no receipt: the next one is of the next text.
    let third = esme.submit(sm("three")).await.unwrap();
    let between = esme.cancel(MessageId::default()).await;
    assert_eq!(between, CommandStatus::ESME_ROK);
    assert_eq!(esme.receipt().await.message_id, third.to_text());
    assert_eq!(door.say_all().await, [""; 0]);
    door.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_told_of_an_unknown_id_or_to_another_source() {
    let door = Door::open().await;
    let mut esme = door.bind(BindMode::Transceiver).await;
    let unknown = MessageId::try_from("nothing").unwrap();
    let failed = Err(CommandStatus::ESME_RQUERYFAIL);
    assert_eq!(esme.query(unknown).await, failed);
    let of_another = SubmitSm {
        source_addr: "447700900124".parse().unwrap(),
        ..sm("one")
    };
    let id = esme.submit(of_another).await.unwrap();
    assert_eq!(esme.query(id).await, failed);
    assert_eq!(esme.cancel(id).await, CommandStatus::ESME_RCANCELFAIL);
    door.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn receipts_wait_while_the_account_is_away_and_over_a_restart() {
    let door = Door::open().await;
    let mut esme = door.bind(BindMode::Transmitter).await;
    let id = esme.submit(sm("one")).await.unwrap();
    door.say_all().await;
    assert_eq!(door.store.sizes().await.unwrap().owed_receipts, 1);
    drop(esme);
    let files = door.close().await;
    let door = Door::open_in(files).await;
    let mut esme = door.bind(BindMode::Receiver).await;
    // It cannot take it at first.
    esme.answers(CommandStatus::ESME_RMSGQFUL).await;
    let passing = async {
        loop {
            door.clock.advance(Duration::from_secs(1));
            door.gateway.wakes.group("aggregator");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let receipt = tokio::select! {
        receipt = esme.receipt() => receipt,
        () = passing => unreachable!("time passes for ever"),
    };
    assert_eq!(receipt.message_id, id.to_text());
    let owed = async || door.store.sizes().await.unwrap().owed_receipts;
    let none_left = async {
        while owed().await > 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(LONG, none_left).await.unwrap();
    door.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_for_nobody_is_undeliverable_under_its_id() {
    let door = Door::open().await;
    let mut esme = door.bind(BindMode::Transceiver).await;
    let to_nobody = SubmitSm {
        destination_addr: "447700900998".parse().unwrap(),
        ..sm("one")
    };
    esme.submit(to_nobody).await.unwrap();
    let sm = esme.takes().await;
    let receipt = Receipt::of(&sm).unwrap();
    assert_eq!(receipt.state, WireState::UNDELIVERABLE);
    assert_eq!(door.texts().await, [""; 0]);
    door.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_done_is_refused_with_its_own_status() {
    let door = Door::open().await;
    let mut esme = door.bind(BindMode::Transceiver).await;
    let receipt = SubmitSm {
        esm_class: EsmClass::RECEIPT,
        ..sm("id:1 stat:DELIVRD")
    };
    let later = SubmitSm {
        schedule_delivery_time: COctets::try_from("000001000000000R").unwrap(),
        ..sm("later")
    };
    let validity = SubmitSm {
        validity_period: COctets::try_from("tomorrow").unwrap(),
        ..sm("when")
    };
    for (sm, status) in [
        (receipt, CommandStatus::ESME_RINVESMCLASS),
        (later, CommandStatus::ESME_RINVSCHED),
        (validity, CommandStatus::ESME_RINVEXPIRY),
    ] {
        assert_eq!(esme.submit(sm).await, Err(status));
    }
    assert_eq!(door.texts().await, [""; 0]);
    door.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_past_its_validity_is_not_said() {
    let door = Door::open().await;
    let mut esme = door.bind(BindMode::Transceiver).await;
    let short_lived = SubmitSm {
        validity_period: COctets::try_from("000000000100000R").unwrap(),
        data_coding: DataCoding::GSM_DEFAULT,
        ..sm("now or never")
    };
    let id = esme.submit(short_lived).await.unwrap();
    door.clock.advance(Duration::from_mins(2));
    door.store.sweep(door.clock.now(), 100).await.unwrap();
    door.gateway.wakes.group("aggregator");
    assert_eq!(esme.receipt().await.state, WireState::EXPIRED);
    assert_eq!(esme.query(id).await, Ok(WireState::EXPIRED));
    assert_eq!(door.say_all().await, [""; 0]);
    door.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_and_a_wrong_network_cannot_bind() {
    let door = Door::open().await;
    for (system_id, password) in [("agg", "wrong"), ("far", "secret"), ("who", "secret")] {
        let mut esme = door.connect(system_id, password, BindMode::Transceiver);
        let LinkEvent::Down { reason, .. } = esme.next().await else {
            panic!("{system_id} is bound")
        };
        let refused = CloseReason::BindRefused(CommandStatus::ESME_RINVPASWD);
        assert_eq!(reason, refused, "{system_id}");
    }
    door.close().await;
}

/// What a Matrix user wrote to the phone, queued on the account's route.
async fn queue(door: &Door, text: &str) -> crate::gateway::model::MessageId {
    let owner: ruma::OwnedUserId = "@alice:example.org".try_into().unwrap();
    let request = OpenConversation {
        homeserver: "example.org".try_into().unwrap(),
        room: Some("!a:example.org".try_into().unwrap()),
        handset: Handset::Number(E164Text("447700900123".parse().unwrap())),
        ghost: "@.tel.447700900123:example.org".try_into().unwrap(),
        owner: owner.clone(),
        direct: true,
        originator: None,
        now: door.clock.now(),
    };
    let opened = door.store.open_conversation(request).await.unwrap();
    let credit = Money::from_micros(1_000_000).unwrap();
    let topped_up = door.store.top_up(&owner, credit, "once", door.clock.now());
    topped_up.await.unwrap();
    let draft = Draft {
        source: Source::Event {
            homeserver: "example.org".try_into().unwrap(),
            event: format!("${text}").try_into().unwrap(),
            edit: None,
            sender: owner.clone(),
        },
        conversation: &opened.conversation,
        payer: owner,
        text,
        dedicated: Vec::new(),
        now: door.clock.now(),
    };
    let message = plan::plan(&door.gateway.settings, draft).unwrap();
    let id = message.id;
    let accepted = door.store.accept_message(message).await.unwrap();
    assert!(matches!(accepted, Acceptance::Queued { .. }));
    door.gateway.wakes.group("aggregator");
    id
}

#[tokio::test(flavor = "multi_thread")]
async fn traffic_for_an_account_waits_for_a_bind_that_receives_and_its_answer_is_final() {
    let door = Door::open().await;
    let message = queue(&door, "hello").await;
    let mut deaf = door.bind(BindMode::Transmitter).await;
    deaf.submit(sm("one")).await.unwrap();
    let state = async || door.store.message(message).await.unwrap().unwrap().state;
    assert_eq!(state().await, MessageState::Queued);
    let mut esme = door.bind(BindMode::Receiver).await;
    let delivered = esme.takes().await;
    assert_eq!(delivered.short_message.bytes(), &b"hello"[..]);
    assert_eq!(delivered.source_addr.to_text(), "447700900901");
    assert_eq!(delivered.destination_addr.to_text(), "447700900123");
    assert_eq!(delivered.registered_delivery, RegisteredDelivery::NONE);
    let submitted = async {
        while state().await != MessageState::Submitted {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(LONG, submitted).await.unwrap();
    // Nothing is waited for any more.
    door.clock.advance(Duration::from_hours(48));
    door.store.sweep(door.clock.now(), 100).await.unwrap();
    assert_eq!(state().await, MessageState::Submitted);
    door.close().await;
}
