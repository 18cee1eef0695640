//! Links at work on real connections: an SMSC that brings an SMS again, and people who say the same
//! words again.

mod accounts;
mod paused;

use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::Duration;

use matrix_smpp_codec::values::{Npi, Ton};
use matrix_smpp_codec::{Body, CommandId, CommandStatus, DeliverSm, ShortMessage};
use matrix_smpp_config::ProcessEnv;
use matrix_smpp_session::{
    BindRequest, LinkEvent, Listener, ListenerSettings, Peer, Running, Ticket,
};
use tempfile::TempDir;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::clock::Clock;
use crate::flow::{Parts, Wakes};
use crate::gateway::model::{SmsId, Timestamp};
use crate::matrix::ghost::Ghosts;
use crate::store::Store;
use crate::store::TableStore;

/// Longer than anything here takes.
const LONG: Duration = Duration::from_secs(20);

/// The gateway's SMPP side with two links, and the SMSC that they bind to.
struct World {
    gateway: Gateway,
    clock: Clock,
    store: Arc<dyn Store>,
    links: Links,
    crew: Crew,
    listener: Listener,
    _directory: Option<TempDir>,
}

/// The SMSC's end of a bind.
struct Bind {
    peer: Peer,
    cut: CancellationToken,
    frozen: Arc<AtomicBool>,
}

fn settings(port: u16) -> String {
    let link = |name: &str| {
        format!(
            r#"
            [[link_group.link]]
            name = "{name}"
            address = "127.0.0.1:{port}"
            system_id = "{name}"
            password = "secret"
            reconnect_first = "100ms"
            reconnect_cap = "200ms"
            "#
        )
    };
    format!(
        r#"
        [[homeserver]]
        name = "example.org"
        url = "http://127.0.0.1:8008"
        bot_localpart = ".tel.bot"
        as_token = "0123456789abcdef0123456789abcdef"
        hs_token = "fedcba9876543210fedcba9876543210"
        [[link_group]]
        name = "operator"
        {}{}
        [[pool]]
        name = "uk"
        numbers = ["447700900901"]
        [[route]]
        name = "uk"
        prefixes = ["44"]
        link_group = "operator"
        originator = {{ pool = "uk" }}
        price = "0.01"
        [[dedicated]]
        number = "447700900999"
        owner = "@alice:example.org"
        "#,
        link("a"),
        link("b")
    )
}

async fn anybody(_: BindRequest) -> Result<(), CommandStatus> {
    Ok(())
}

impl World {
    async fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("gw.db");
        let store = TableStore::open_sqlite(file, Duration::from_hours(24)).unwrap();
        Self::over(store, Some(directory)).await
    }

    /// The same over this store, whose files lie there.
    async fn over(store: Arc<dyn Store>, directory: Option<TempDir>) -> Self {
        let listener = Listener::bind("127.0.0.1:0", ListenerSettings::default());
        let listener = listener.await.unwrap();
        let text = settings(listener.local_addr().unwrap().port());
        let settings = matrix_smpp_config::parse(&text, Path::new("test.toml"), &ProcessEnv);
        let settings = settings.unwrap();
        let clock = Clock::manual(Timestamp(1_700_000_000_000));
        let gateway = Gateway::new(Parts {
            bounds: crate::flow::Bounds::default(),
            opt_out: crate::gateway::opt_out::Words::new(&settings.opt_out),
            ghosts: Ghosts::new(Arc::clone(&store)),
            wakes: Wakes::for_groups(["operator"].into_iter()),
            metrics: Metrics::new(),
            homeservers: std::iter::empty().collect(),
            clock: clock.clone(),
            routing: settings.routing.clone().into(),
            settings: Arc::new(settings),
            store: Arc::clone(&store),
        });
        let crew = Crew::default();
        Self {
            links: Links::start(&gateway, &crew).unwrap(),
            gateway,
            clock,
            store,
            crew,
            listener,
            _directory: directory,
        }
    }

    /// The next bind of any link.
    async fn bind(&self) -> Bind {
        let incoming = timeout(LONG, self.listener.accept()).await.unwrap();
        let (mut peer, running) = incoming.unwrap().establish(&anybody).await.unwrap();
        let bind = (CancellationToken::new(), Arc::new(AtomicBool::new(false)));
        let (cut, frozen) = bind.clone();
        self.crew.tracker.spawn(drive(running, cut, frozen));
        let up = timeout(LONG, peer.events.recv()).await.unwrap();
        assert!(matches!(up, Some(LinkEvent::Up { .. })));
        let (cut, frozen) = bind;
        Bind { peer, cut, frozen }
    }

    /// The binds of both links.
    async fn binds(&self) -> (Bind, Bind) {
        (self.bind().await, self.bind().await)
    }

    async fn texts(&self) -> Vec<String> {
        let sms = self.store.pending_sms(SmsId(0), 100).await.unwrap();
        sms.into_iter().map(|sms| sms.text).collect()
    }

    fn end(self) {
        self.crew.stop.cancel();
        self.links.close();
        self.crew.tracker.close();
    }
}

/// Drives a bind until it is cut; not while it is frozen.
async fn drive(mut running: Running, cut: CancellationToken, frozen: Arc<AtomicBool>) {
    let driven = std::future::poll_fn(|cx| {
        if frozen.load(Ordering::SeqCst) {
            return Poll::Pending;
        }
        Pin::new(&mut running).poll(cx)
    });
    tokio::select! {
        _ = driven => {}
        () = cut.cancelled() => {}
    }
}

impl Bind {
    /// Brings an SMS, as soon as an earlier refusal lets the session send again.
    async fn bring(&self, text: &str) {
        self.peer.link.ready().await;
        let sms = DeliverSm {
            source_addr_ton: Ton::INTERNATIONAL,
            source_addr_npi: Npi::ISDN,
            source_addr: "447700900123".parse().unwrap(),
            destination_addr: "447700900999".parse().unwrap(),
            short_message: ShortMessage::try_from(text.as_bytes()).unwrap(),
            ..DeliverSm::default()
        };
        self.peer.submit(Ticket(1), Body::DeliverSm(sms)).unwrap();
    }

    async fn answer(&mut self) -> CommandStatus {
        loop {
            let event = timeout(LONG, self.peer.events.recv()).await.unwrap();
            if let LinkEvent::Answered { status, .. } = event.expect("a bind") {
                return status;
            }
        }
    }

    /// Brings an SMS that is taken.
    async fn delivers(&mut self, text: &str) {
        self.bring(text).await;
        assert_eq!(self.answer().await, CommandStatus::ESME_ROK);
    }

    /// Waits until we have been asked whether the answers came, and have said so.
    async fn confirms(&self) {
        let said = || {
            let counters = self.peer.link.counters();
            counters.pdus_out(CommandId::ENQUIRE_LINK_RESP)
        };
        let wait = async {
            while said() == 0 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(LONG, wait).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_sms_that_comes_again_an_hour_after_its_bind_was_cut_is_taken_once() {
    let world = World::start().await;
    let (mut first, mut second) = world.binds().await;
    first.delivers("on my way").await;
    first.cut.cancel();
    let mut anew = world.bind().await;
    world.clock.advance(Duration::from_hours(1));
    second.delivers("on my way").await;
    assert_eq!(world.texts().await, ["on my way"]);
    // One answer was missed, so one copy is explained.
    anew.delivers("another").await;
    second.delivers("on my way").await;
    assert_eq!(world.texts().await, ["on my way", "another", "on my way"]);
    world.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_words_after_an_answer_that_was_heard_are_a_text_of_their_own() {
    let world = World::start().await;
    let (mut first, mut second) = world.binds().await;
    first.delivers("yes").await;
    first.confirms().await;
    first.peer.close();
    world.bind().await;
    second.delivers("yes").await;
    assert_eq!(world.texts().await, ["yes", "yes"]);
    world.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_words_on_two_links_that_work_are_two_texts() {
    let world = World::start().await;
    let (mut first, mut second) = world.binds().await;
    first.delivers("yes").await;
    second.delivers("yes").await;
    assert_eq!(world.texts().await, ["yes", "yes"]);
    world.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_on_another_link_waits_until_the_first_turns_out_dead() {
    let world = World::start().await;
    let (mut first, mut second) = world.binds().await;
    first.delivers("yes").await;
    first.frozen.store(true, Ordering::SeqCst);
    second.bring("yes").await;
    // Nobody knows yet: it is asked for again later.
    assert_eq!(second.answer().await, CommandStatus::ESME_RMSGQFUL);
    second.bring("yes").await;
    first.cut.cancel();
    assert_eq!(second.answer().await, CommandStatus::ESME_ROK);
    assert_eq!(world.texts().await, ["yes"]);
    world.end();
}
