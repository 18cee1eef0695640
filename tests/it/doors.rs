//! Three gateways share one Redis Cluster: whatever door a peer comes to, it is served by the one that
//! works, and whoever dies.

use std::time::Duration;

use matrix_smpp_codec::receipt::Receipt;
use matrix_smpp_codec::values::MessageState;
use rustix::process::Signal;
use serde_json::json;
use tempfile::TempDir;

use crate::accounts::PHONE as AGGREGATORS_PHONE;
use crate::accounts::esme::Esme;
use crate::support::balancer::Balancer;
use crate::support::gateway::{Gateway, Plan};
use crate::support::peer::free_port;
use crate::support::redis::Cluster;
use crate::support::sim::{PASSWORD, SYSTEM_ID, Sim};
use crate::support::stub::Stub;
use crate::support::user::User;
use crate::support::wait::{now, until};
use crate::support::world::{PHONE, ghost};

/// When a standby takes over from an owner that says nothing.
const TAKEOVER: Duration = Duration::from_secs(2);

/// How long a busy machine may take to start what a standby starts.
const START: Duration = Duration::from_secs(10);

/// Three gateways over one Cluster, between a homeserver behind a balancer, an SMSC and aggregators.
struct Trio {
    // Dropped from the top, so that nobody talks to a peer that is gone.
    gateways: Vec<Gateway>,
    /// Where each takes the binds of accounts.
    smpp: Vec<u16>,
    balancer: Balancer,
    stub: Stub,
    sim: Sim,
    _cluster: Cluster,
    _home: TempDir,
}

/// What each gateway's configuration has beside the usual.
fn more(cluster: &Cluster, smpp: u16) -> String {
    let store = cluster.toml(&format!("{}s", TAKEOVER.as_secs()));
    format!(
        r#"
{store}
inner_listen = "127.0.0.1:0"

[listener]
listen = "127.0.0.1:{smpp}"

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
    )
}

impl Trio {
    async fn start() -> Self {
        let home = tempfile::tempdir().expect("a temporary folder");
        let cluster = Cluster::start(home.path()).await;
        let mut sim = Sim::prepare(home.path());
        sim.start_with(&[]).await;
        let mut plan = Plan::new("", sim.smpp_port());
        let front = free_port();
        let mut stub = Stub::prepare(home.path(), &format!("http://127.0.0.1:{front}"));
        plan.homeserver = format!("http://127.0.0.1:{}", stub.port());
        plan.route.push_str("\nuncertain = \"resend\"");
        let smpp: Vec<u16> = (0..3).map(|_| free_port()).collect();
        let http: Vec<u16> = (0..3).map(|_| free_port()).collect();
        let mut gateways = Vec::new();
        for (at, (appservice, smpp)) in http.iter().zip(&smpp).enumerate() {
            let plan = Plan {
                appservice: *appservice,
                more: more(&cluster, *smpp),
                ..plan.clone()
            };
            gateways.push(Gateway::prepare(&home.path().join(at.to_string()), &plan));
        }
        let balancer = Balancer::start(front, &http).await;
        stub.launch();
        stub.ready().await;
        let mut trio = Self {
            gateways,
            smpp,
            balancer,
            stub,
            sim,
            _cluster: cluster,
            _home: home,
        };
        trio.gateways[0].start().await;
        for at in [1, 2] {
            trio.stand_by(at).await;
        }
        trio
    }

    /// Starts a gateway that finds another one at work.
    async fn stand_by(&mut self, at: usize) {
        self.gateways[at].launch_with(&[]);
        until("it forwards", async || {
            let told = self.gateways[at].tells("/ready").await?;
            told.starts_with("standing by, forwards to").then_some(())
        })
        .await;
    }

    /// Waits until one of these works; which.
    async fn owner(&self, among: &[usize]) -> usize {
        until("one of them works", async || {
            for at in among {
                let told = self.gateways[*at].tells("/health").await;
                if told.is_some_and(|told| told == "ok\n") {
                    return Some(*at);
                }
            }
            None
        })
        .await
    }

    /// A user with credit, which this gateway takes, and a direct room with a phone.
    async fn talk(&self, owner: usize, (name, phone): (&str, &str)) -> (User, String) {
        let user = self.stub.register(name).await;
        self.gateways[owner].top_up(&user.id, "100");
        let room = user.direct_room(&ghost(phone)).await;
        until("the phone joins", async || {
            let timeline = user.read(&room).await;
            let member = timeline.membership(&ghost(phone))?;
            (member["membership"] == "join").then_some(())
        })
        .await;
        (user, room)
    }

    /// Waits until nothing is on its way to a phone.
    async fn settles(&self, owner: usize) {
        let kinds = ["inbox", "queued_segments", "intent_segments"];
        until("nothing is on its way", async || {
            let waiting = self.gateways[owner].may_wait(&kinds).await?;
            waiting.is_empty().then_some(())
        })
        .await;
    }
}

fn texts(word: &str, count: usize) -> Vec<String> {
    (1..=count)
        .map(|number| format!("{word} {number}"))
        .collect()
}

async fn write_all(user: &User, room: &str, texts: &[String]) {
    for text in texts {
        user.insists(room, text).await;
    }
}

/// Submits a text and has its receipt.
async fn submits(esme: &mut Esme, text: &str) {
    let id = esme.submit(text).await;
    let receipt = Receipt::of(&esme.takes().await).expect("a receipt");
    assert_eq!(receipt.message_id, id.to_text());
    assert_eq!(receipt.state, MessageState::DELIVERED);
}

/// Waits until a text of the phone behind the aggregator is in the room, once.
async fn hears(user: &User, room: &str, text: &str) {
    until("the phone's text is in the room", async || {
        let timeline = user.read(room).await;
        let count = timeline.texts(&ghost(AGGREGATORS_PHONE), text);
        assert!(count < 2, "{text} was said twice");
        (count > 0).then_some(())
    })
    .await;
}

fn audit_is_clean(gateway: &Gateway) {
    let audit = gateway.cli(&["credit", "audit"]);
    assert!(audit.contains("every account agrees"), "{audit}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_door_of_three_gateways_serves_though_the_one_that_works_is_killed() {
    let mut trio = Trio::start().await;
    let (alice, room) = trio.talk(0, ("alice", PHONE)).await;
    let (bob, other) = trio.talk(0, ("bob", AGGREGATORS_PHONE)).await;
    // A bind at a gateway that stands by, for a number that is behind that account.
    let mut esme = Esme::bind(trio.smpp[2]).await;
    bob.write(&other, "Hello?").await;
    assert_eq!(esme.takes().await.short_message.bytes(), &b"Hello?"[..]);
    submits(&mut esme, "Hello!").await;
    hears(&bob, &other, "Hello!").await;
    let first = texts("first", 12);
    write_all(&alice, &room, &first).await;
    for text in &first {
        trio.sim.gets(PHONE, text).await;
    }
    let taken = trio.balancer.taken();
    assert!(taken.iter().all(|count| *count > 2), "{taken:?}");

    for (at, owns) in [1, 0, 0].into_iter().enumerate() {
        let owner = trio.gateways[at].metric("matrix_smpp_owner", &[]).await;
        assert_eq!(owner, owns, "{at}");
    }
    let forwards = "matrix_smpp_forwards_total";
    for (at, door) in [(1, "appservice"), (2, "appservice"), (2, "smpp")] {
        let count = trio.gateways[at].metric(forwards, &[("door", door)]).await;
        assert!(count > 0, "{at} {door}");
    }

    let slow = json!({ "response_delay_ms": 100 });
    trio.sim.behave(slow).await;
    let before = texts("before", 20);
    write_all(&alice, &room, &before).await;
    trio.sim.gets(PHONE, "before 2").await;
    trio.gateways[0].kill().await;
    let died = now();
    esme.end().await;
    let meanwhile = texts("meanwhile", 10);
    write_all(&alice, &room, &meanwhile).await;
    let next = trio.owner(&[1, 2]).await;
    assert!(died.elapsed() < TAKEOVER + START, "{:?}", died.elapsed());
    let standby = 3 - next;
    drop(esme);
    let mut esme = Esme::bind(trio.smpp[standby]).await;
    submits(&mut esme, "Still there?").await;
    hears(&bob, &other, "Still there?").await;
    for text in before.iter().chain(&meanwhile) {
        trio.sim.gets(PHONE, text).await;
    }
    trio.settles(next).await;
    let sent = trio.sim.submits().await.len();
    let again = sent - first.len() - before.len() - meanwhile.len();
    let flagged = "matrix_smpp_possible_duplicates_total";
    let flagged = trio.gateways[next].metric(flagged, &[]).await;
    assert!(
        u64::try_from(again).expect("few") <= flagged,
        "{again} were sent again, {flagged} of them flagged"
    );
    let earlier = trio.balancer.taken();
    let after = texts("after", 8);
    write_all(&alice, &room, &after).await;
    for text in &after {
        trio.sim.gets(PHONE, text).await;
    }
    let later = trio.balancer.taken();
    let works = |at: usize| later[at] > earlier[at];
    assert_eq!([0, 1, 2].map(works), [false, true, true]);
    audit_is_clean(&trio.gateways[next]);
    trio.stand_by(0).await;
    let mut esme = Esme::bind(trio.smpp[0]).await;
    submits(&mut esme, "And now?").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_owner_held_that_stood_still_is_taken_by_the_next_and_sent_once() {
    let mut trio = Trio::start().await;
    let (alice, room) = trio.talk(0, ("alice", PHONE)).await;
    let slow = json!({ "response_delay_ms": 50 });
    trio.sim.behave(slow).await;
    let before = texts("before", 40);
    write_all(&alice, &room, &before).await;
    trio.sim.gets(PHONE, "before 3").await;

    trio.gateways[0].signal(Signal::STOP);
    // Its system still takes connections for it; the doors of the others lead to the next one.
    let meanwhile = texts("meanwhile", 10);
    write_all(&alice, &room, &meanwhile).await;
    let next = trio.owner(&[1, 2]).await;
    let mut esme = Esme::bind(trio.smpp[3 - next]).await;
    for text in before.iter().chain(&meanwhile) {
        trio.sim.gets(PHONE, text).await;
    }
    trio.settles(next).await;
    let sent = trio.sim.submits().await.len();
    trio.gateways[0].signal(Signal::CONT);
    let status = trio.gateways[0].ends().await;
    assert_eq!(status.code(), Some(1), "{status}");
    let log = trio.gateways[0].logged();
    assert!(log.contains("another gateway has taken the store over"));
    assert_eq!(trio.sim.submits().await.len(), sent, "it sent nothing more");
    let flagged = "matrix_smpp_possible_duplicates_total";
    let flagged = trio.gateways[next].metric(flagged, &[]).await;
    let again = sent - before.len() - meanwhile.len();
    assert!(
        u64::try_from(again).expect("few") <= flagged,
        "{again} were sent again, {flagged} of them flagged"
    );
    let (bob, other) = trio.talk(next, ("bob", AGGREGATORS_PHONE)).await;
    bob.write(&other, "Hello?").await;
    assert_eq!(esme.takes().await.short_message.bytes(), &b"Hello?"[..]);
    audit_is_clean(&trio.gateways[next]);
}
