//! The store moves from SQLite to Redis and back, between the traffic of two gateways.

use std::time::Duration;

use rustix::process::Signal;
use tempfile::TempDir;

use crate::support::gateway::{Gateway, Plan};
use crate::support::redis::Redis;
use crate::support::room::text;
use crate::support::sim::Sim;
use crate::support::stub::Stub;
use crate::support::user::User;
use crate::support::wait::{now, until};
use crate::support::world::{PHONE, ghost};

/// A gateway on SQLite that knows of a Redis.
#[derive(Debug)]
struct Scene {
    // Dropped from the top, so that nobody talks to a peer that is gone.
    gateway: Gateway,
    stub: Stub,
    sim: Sim,
    redis: Redis,
    _home: TempDir,
}

impl Scene {
    async fn start() -> Self {
        let home = tempfile::tempdir().expect("a temporary folder");
        let redis = Redis::start(home.path()).await;
        let mut sim = Sim::prepare(home.path());
        let mut plan = Plan::new("", sim.smpp_port());
        let mut stub = Stub::prepare(home.path(), &plan.appservice_url());
        plan.homeserver = format!("http://127.0.0.1:{}", stub.port());
        plan.more = redis.toml("2s").replace(ON_REDIS, ON_SQLITE);
        sim.start_with(&[]).await;
        stub.launch();
        stub.ready().await;
        let gateway = Gateway::prepare(home.path(), &plan);
        Self {
            gateway,
            stub,
            sim,
            redis,
            _home: home,
        }
    }

    /// A user with credit, and a direct room with a phone.
    async fn talk(&self) -> (User, String) {
        let alice = self.stub.register("alice").await;
        self.gateway.top_up(&alice.id, "10");
        let room = alice.direct_room(&ghost(PHONE)).await;
        until("the phone joins", async || {
            let timeline = alice.read(&room).await;
            let member = timeline.membership(&ghost(PHONE))?;
            (member["membership"] == "join").then_some(())
        })
        .await;
        (alice, room)
    }

    /// A text waits in the store when the gateway stops.
    async fn stop_with(&mut self, alice: &User, room: &str, body: &str) {
        until("nothing is on the wire", async || {
            let kinds = ["queued_segments", "intent_segments", "uncertain_segments"];
            let waiting = self.gateway.may_wait(&kinds).await?;
            waiting.is_empty().then_some(())
        })
        .await;
        self.sim.stop().await;
        alice.write(room, body).await;
        until("the text waits", async || {
            let waiting = self.gateway.may_wait(&["queued_segments"]).await?;
            (!waiting.is_empty()).then_some(())
        })
        .await;
        self.gateway.stop().await;
    }

    /// The gateway works on the store that was moved, and what waited in it is sent.
    async fn go_on(&mut self, engine: (&str, &str), body: &str) {
        let said = self
            .gateway
            .cli(&["store", "migrate", "--to", word(engine.1)]);
        assert!(said.contains("rows are the same on both sides"), "{said}");
        let left = self.gateway.ask(&["credit", "list"]);
        let why = left.expect_err("the old store is not to be used");
        assert!(why.contains("moved"), "{why}");
        self.gateway
            .rewrite(|config| config.replace(engine.0, engine.1));
        self.sim.start_again().await;
        self.gateway.start().await;
        self.sim.gets(PHONE, body).await;
        let audit = self.gateway.cli(&["credit", "audit"]);
        assert!(audit.contains("agrees"), "{audit}");
    }

    /// A phone answers to the number that its latest text came from.
    async fn answer(&self, alice: &User, room: &str, words: &str) {
        let received = self.sim.received(PHONE).await;
        let number = text(&received.last().expect("a text")["from"]);
        self.sim.writes(PHONE, number, words).await;
        until("the answer is in the room", async || {
            let timeline = alice.read(room).await;
            (timeline.texts(&ghost(PHONE), words) == 1).then_some(())
        })
        .await;
    }
}

const ON_SQLITE: &str = "engine = \"sqlite\"";
const ON_REDIS: &str = "engine = \"redis\"";

/// The engine's name in a line of the configuration.
fn word(line: &str) -> &str {
    line.split('"').nth(1).expect("a name in quotes")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_goes_to_redis_and_back_and_everything_goes_on() {
    let mut scene = Scene::start().await;
    scene.gateway.start().await;
    let (alice, room) = scene.talk().await;
    alice.write(&room, "one").await;
    let first = scene.sim.gets(PHONE, "one").await;

    scene.stop_with(&alice, &room, "two").await;
    scene.go_on((ON_SQLITE, ON_REDIS), "two").await;
    scene.answer(&alice, &room, "on Redis").await;
    alice.write(&room, "three").await;
    let third = scene.sim.gets(PHONE, "three").await;
    assert_eq!(third["from"], first["from"]);

    scene.stop_with(&alice, &room, "four").await;
    scene.go_on((ON_REDIS, ON_SQLITE), "four").await;
    scene.answer(&alice, &room, "on SQLite").await;
    alice.write(&room, "five").await;
    let fifth = scene.sim.gets(PHONE, "five").await;
    assert_eq!(fifth["from"], first["from"]);
    until("all are paid for", async || {
        let balance = scene.gateway.balance(&alice.id);
        balance.contains("spent 0.25").then_some(())
    })
    .await;
    assert!(scene.gateway.balance(&alice.id).contains("balance 9.75"));
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_wait_for_a_gateway_that_has_died_and_refuse_one_that_lives() {
    let mut scene = Scene::start().await;
    scene
        .gateway
        .rewrite(|config| config.replace(ON_SQLITE, ON_REDIS));
    scene.gateway.start().await;
    scene.gateway.top_up("@alice:sms.test", "1");
    let move_away = ["store", "migrate", "--to", "sqlite"];
    let refused = scene.gateway.ask(&move_away);
    let why = refused.expect_err("a gateway works");
    assert!(
        why.contains("another gateway works with this store"),
        "{why}"
    );

    scene.gateway.kill().await;
    let audit = scene.gateway.cli(&["credit", "audit"]);
    assert!(audit.contains("agrees"), "{audit}");
    scene.gateway.start().await;
    scene.gateway.kill().await;
    let said = scene.gateway.cli(&move_away);
    assert!(said.contains("rows are the same on both sides"), "{said}");
}

/// Moving to a Redis that does not answer ends, and says why.
fn ends_soon(scene: &Scene) {
    scene.gateway.top_up("@alice:sms.test", "1");
    let begun = now();
    let refused = scene.gateway.ask(&["store", "migrate", "--to", "redis"]);
    let why = refused.expect_err("there is no Redis");
    assert!(why.contains("no answer from Redis within"), "{why}");
    assert!(begun.elapsed() < Duration::from_mins(1));
    // Nothing has changed.
    assert!(
        scene
            .gateway
            .balance("@alice:sms.test")
            .contains("balance 1")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn moving_to_a_redis_that_is_not_there_ends_with_an_error() {
    let mut scene = Scene::start().await;
    scene.redis.kill().await;
    ends_soon(&scene);
}

#[tokio::test(flavor = "multi_thread")]
async fn moving_to_a_redis_that_says_nothing_ends_with_an_error() {
    let scene = Scene::start().await;
    scene.redis.signal(Signal::STOP);
    ends_soon(&scene);
    scene.redis.signal(Signal::CONT);
}
