//! Several gateways share one Redis: one works, the others stand by and take over.

use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::gateway::{Gateway, Plan};
use crate::support::peer::free_port;
use crate::support::redis::Redis;
use crate::support::sim::Sim;
use crate::support::stub::Stub;
use crate::support::user::User;
use crate::support::wait::{now, until};
use crate::support::world::{PHONE, ghost};

/// When a standby takes over from an owner that says nothing.
const TAKEOVER: Duration = Duration::from_secs(2);

/// The same where nobody should have to wait for that: far longer than a start takes.
const LONG: Duration = Duration::from_mins(1);

/// How long a busy machine may take to start what a standby starts.
const START: Duration = Duration::from_secs(10);

/// Two gateways over one Redis, between a homeserver and an SMSC.
#[derive(Debug)]
struct Pair {
    // Dropped from the top, so that nobody talks to a peer that is gone.
    first: Gateway,
    second: Gateway,
    stub: Stub,
    sim: Sim,
    redis: Redis,
    _home: TempDir,
}

/// Where the second gateway listens for the homeserver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ports {
    /// Where the first one does: whoever works is reached.
    Same,
    /// Elsewhere: nothing of the first one is in its way.
    Own,
}

impl Pair {
    /// Starts everything but the second gateway.
    async fn start(ports: Ports, route: &str) -> Self {
        Self::start_with(ports, route, TAKEOVER).await
    }

    /// The same for gateways that wait so long for an owner that says nothing.
    async fn start_with(ports: Ports, route: &str, takeover: Duration) -> Self {
        let home = tempfile::tempdir().expect("a temporary folder");
        let redis = Redis::start(home.path()).await;
        let mut sim = Sim::prepare(home.path());
        let mut plan = Plan::new("", sim.smpp_port());
        let mut stub = Stub::prepare(home.path(), &plan.appservice_url());
        plan.homeserver = format!("http://127.0.0.1:{}", stub.port());
        plan.route.push_str(route);
        plan.more = redis.toml(&format!("{}s", takeover.as_secs()));
        let mut of_second = plan.clone();
        if ports == Ports::Own {
            of_second.appservice = free_port();
        }
        let first = Gateway::prepare(&home.path().join("first"), &plan);
        let second = Gateway::prepare(&home.path().join("second"), &of_second);
        sim.start_with(&[]).await;
        stub.launch();
        stub.ready().await;
        let mut pair = Self {
            first,
            second,
            stub,
            sim,
            redis,
            _home: home,
        };
        pair.first.start().await;
        pair
    }

    /// Starts the second gateway, which waits.
    async fn stand_by(&mut self) {
        self.second.launch_with(&[]);
        until("the second one stands by", async || {
            let log = self.second.logged();
            log.contains("waiting until it ends").then_some(())
        })
        .await;
    }

    /// A user with credit, and a direct room with a phone.
    async fn talk(&self) -> (User, String) {
        let alice = self.stub.register("alice").await;
        self.first.top_up(&alice.id, "100");
        let room = alice.direct_room(&ghost(PHONE)).await;
        until("the phone joins", async || {
            let timeline = alice.read(&room).await;
            let member = timeline.membership(&ghost(PHONE))?;
            (member["membership"] == "join").then_some(())
        })
        .await;
        (alice, room)
    }

    /// Everything that a phone was sent, whatever became of the answer.
    async fn submits(&self) -> usize {
        self.sim.submits().await.len()
    }

    /// A phone writes to the number that a text came from, until a gateway takes it.
    async fn answer(&self, vmn: &Value, text: &str) {
        let sms = json!({ "to": vmn, "text": text, "account": "gateway", "redeliver": true });
        until("the phone can write", async || {
            self.sim.may_write(PHONE, &sms).await.then_some(())
        })
        .await;
    }
}

fn texts(word: &str, count: usize) -> Vec<String> {
    (1..=count)
        .map(|number| format!("{word} {number}"))
        .collect()
}

/// Writes texts into a room.
async fn write_all(user: &User, room: &str, texts: &[String]) {
    for text in texts {
        user.insists(room, text).await;
    }
}

/// Waits until a text of the phone is in the room.
async fn hears(user: &User, room: &str, text: &str) {
    until("the phone's text is in the room", async || {
        let timeline = user.read(room).await;
        (timeline.texts(&ghost(PHONE), text) > 0).then_some(())
    })
    .await;
}

fn audit_is_clean(gateway: &Gateway) {
    let audit = gateway.cli(&["credit", "audit"]);
    assert!(audit.contains("every account agrees"), "{audit}");
}

#[tokio::test(flavor = "multi_thread")]
async fn when_the_gateway_that_works_dies_the_one_that_stands_by_loses_nothing() {
    let mut pair = Pair::start(Ports::Same, "\nuncertain = \"resend\"").await;
    let (alice, room) = pair.talk().await;
    alice.write(&room, "hello").await;
    let vmn = pair.sim.gets(PHONE, "hello").await["from"].clone();
    pair.stand_by().await;
    let slow = json!({ "response_delay_ms": 200 });
    pair.sim.behave(slow).await;
    let before = texts("before", 30);
    write_all(&alice, &room, &before).await;
    pair.answer(&vmn, "said before").await;
    pair.sim.gets(PHONE, "before 2").await;

    pair.first.kill().await;
    let died = now();
    write_all(&alice, &room, &texts("meanwhile", 5)).await;
    pair.second.ready().await;
    let took = died.elapsed();
    assert!(took < TAKEOVER + START, "{took:?}");
    pair.answer(&vmn, "said after").await;
    for text in before.iter().chain(&texts("meanwhile", 5)) {
        let got = pair.sim.gets(PHONE, text).await;
        assert_eq!(got["from"], vmn, "the conversation keeps its number");
    }
    for text in ["said before", "said after"] {
        hears(&alice, &room, text).await;
        let timeline = alice.read(&room).await;
        assert_eq!(timeline.texts(&ghost(PHONE), text), 1, "{text}");
    }
    let counted = "matrix_smpp_possible_duplicates_total";
    let again = pair.submits().await - 1 - before.len() - 5;
    let flagged = pair.second.metric(counted, &[]).await;
    assert!(
        u64::try_from(again).expect("few") <= flagged,
        "{again} were sent again, {flagged} of them flagged"
    );
    audit_is_clean(&pair.second);
    pair.second.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_was_paused_for_too_long_sends_nothing_more_and_ends() {
    let mut pair = Pair::start(Ports::Own, "\nuncertain = \"resend\"").await;
    let (alice, room) = pair.talk().await;
    alice.write(&room, "hello").await;
    let vmn = pair.sim.gets(PHONE, "hello").await["from"].clone();
    pair.stand_by().await;
    let slow = json!({ "response_delay_ms": 50 });
    pair.sim.behave(slow).await;
    write_all(&alice, &room, &texts("text", 40)).await;
    pair.sim.gets(PHONE, "text 3").await;

    pair.first.signal(Signal::STOP);
    pair.second.ready().await;
    let bound_as_second = pair.second.pdus("out").await;
    assert_eq!(bound_as_second.get("bind_transceiver"), Some(&1));
    // What the second one can send is sent before the first one goes on.
    until("the second one has nothing to send", async || {
        let waiting = pair
            .second
            .may_wait(&["queued_segments", "intent_segments"])
            .await?;
        waiting.is_empty().then_some(())
    })
    .await;
    let sent = pair.submits().await;
    pair.first.signal(Signal::CONT);
    let status = pair.first.ends().await;
    assert_eq!(status.code(), Some(1), "{status}");
    let log = pair.first.logged();
    assert!(
        log.contains("another gateway has taken the store over"),
        "{log}"
    );
    assert_eq!(pair.submits().await, sent, "it sent nothing more");
    pair.answer(&vmn, "said after").await;
    hears(&alice, &room, "said after").await;
    audit_is_clean(&pair.second);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_takes_the_ports_over_once_the_paused_gateway_has_gone() {
    let mut pair = Pair::start(Ports::Same, "").await;
    let (alice, room) = pair.talk().await;
    alice.write(&room, "hello").await;
    pair.sim.gets(PHONE, "hello").await;
    pair.stand_by().await;
    pair.first.signal(Signal::STOP);
    until("the second one waits for the port", async || {
        let log = pair.second.logged();
        log.contains("an address is in use").then_some(())
    })
    .await;
    pair.first.signal(Signal::CONT);
    pair.first.ends().await;
    pair.second.ready().await;
    alice.insists(&room, "after").await;
    pair.sim.gets(PHONE, "after").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_is_killed_or_stands_still_delays_texts_and_loses_none() {
    let mut pair = Pair::start(Ports::Same, "\nuncertain = \"resend\"").await;
    let (alice, room) = pair.talk().await;
    alice.write(&room, "hello").await;
    let vmn = pair.sim.gets(PHONE, "hello").await["from"].clone();
    let before = texts("before", 20);
    write_all(&alice, &room, &before).await;
    pair.redis.kill().await;
    let while_dead = texts("while dead", 5);
    write_all(&alice, &room, &while_dead).await;
    let said = json!({ "to": vmn, "text": "said while dead", "account": "gateway",
        "redeliver": true });
    let saying = pair.sim.may_write(PHONE, &said);
    let (_, ()) = tokio::join!(saying, async {
        until("the gateway notices", async || {
            let log = pair.first.logged();
            log.contains("no answer from Redis").then_some(())
        })
        .await;
        pair.redis.start_again().await;
    });
    for text in before.iter().chain(&while_dead) {
        pair.sim.gets(PHONE, text).await;
    }
    hears(&alice, &room, "said while dead").await;

    pair.redis.signal(Signal::STOP);
    let paused = now();
    let while_paused = texts("while paused", 5);
    write_all(&alice, &room, &while_paused).await;
    tokio::time::sleep_until(paused + Duration::from_secs(3)).await;
    pair.redis.signal(Signal::CONT);
    for text in &while_paused {
        pair.sim.gets(PHONE, text).await;
    }
    assert!(!pair.first.has_ended());
    audit_is_clean(&pair.first);
    let expected = 1 + before.len() + while_dead.len() + while_paused.len();
    assert_eq!(pair.submits().await, expected, "each once");
    pair.first.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_is_asked_to_stop_hands_over_at_once() {
    let mut pair = Pair::start_with(Ports::Same, "", LONG).await;
    let (alice, room) = pair.talk().await;
    alice.write(&room, "hello").await;
    let before = pair.sim.gets(PHONE, "hello").await;
    pair.stand_by().await;
    pair.first.stop().await;
    let stopped = now();
    pair.second.ready().await;
    let took = stopped.elapsed();
    assert!(
        took < LONG / 2,
        "it did not wait for the owner's time: {took:?}"
    );
    alice.insists(&room, "after").await;
    let after = pair.sim.gets(PHONE, "after").await;
    assert_eq!(after["from"], before["from"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_that_is_asked_to_stop_ends_at_once_and_disturbs_nobody() {
    let mut pair = Pair::start_with(Ports::Same, "", LONG).await;
    let (alice, room) = pair.talk().await;
    pair.stand_by().await;
    let asked = now();
    pair.second.stop().await;
    assert!(asked.elapsed() < LONG / 2);
    alice.write(&room, "still there").await;
    pair.sim.gets(PHONE, "still there").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_can_stop_while_redis_is_away() {
    let mut pair = Pair::start(Ports::Same, "").await;
    pair.redis.kill().await;
    pair.first.ask_to_stop();
    pair.first.ends().await;
}
