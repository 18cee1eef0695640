//! What a homeserver has in a room and forgot to tell is read back from there.

use rustix::process::Signal;
use serde_json::json;
use tempfile::TempDir;

use crate::support::gateway::{Gateway, Plan};
use crate::support::sim::Sim;
use crate::support::stub::Stub;
use crate::support::user::User;
use crate::support::wait::until;
use crate::support::world::{PHONE, World, ghost};

/// A gateway between an SMSC and a homeserver that can be made to forget.
#[derive(Debug)]
struct Scene {
    // Dropped from the top, so that nobody talks to a peer that is gone.
    gateway: Gateway,
    stub: Stub,
    sim: Sim,
    alice: User,
    room: String,
    _home: TempDir,
}

impl Scene {
    /// Alice has texted a phone.
    async fn start() -> Self {
        let home = tempfile::tempdir().expect("a temporary folder");
        let mut sim = Sim::prepare(home.path());
        let mut plan = Plan::new("", sim.smpp_port());
        let mut stub = Stub::prepare(home.path(), &plan.appservice_url());
        plan.homeserver = format!("http://127.0.0.1:{}", stub.port());
        sim.start_with(&[]).await;
        stub.launch();
        stub.ready().await;
        let mut gateway = Gateway::prepare(home.path(), &plan);
        gateway.start().await;
        let alice = stub.register("alice").await;
        gateway.top_up(&alice.id, "100");
        let room = alice.direct_room(&ghost(PHONE)).await;
        until("the phone joins", async || {
            let timeline = alice.read(&room).await;
            let member = timeline.membership(&ghost(PHONE))?;
            (member["membership"] == "join").then_some(())
        })
        .await;
        alice.write(&room, "before").await;
        sim.gets(PHONE, "before").await;
        Self {
            gateway,
            stub,
            sim,
            alice,
            room,
            _home: home,
        }
    }

    /// Alice writes what the homeserver does not tell.
    async fn lose(&self, texts: &[&str]) {
        self.stub
            .go_wrong(&json!([{ "on": "transactions", "lose": true }]))
            .await;
        for text in texts {
            self.alice.write(&self.room, text).await;
        }
        until("the homeserver has forgotten", async || {
            (self.stub.owed().await == Some(0)).then_some(())
        })
        .await;
        self.stub.go_wrong(&json!([])).await;
    }

    /// What was lost, and only that, was read back.
    async fn found(&self, texts: &[&str]) {
        for text in texts {
            self.sim.gets(PHONE, text).await;
        }
        let read_back = "matrix_smpp_read_back_events_total";
        let count = self.gateway.metric(read_back, &[]).await;
        assert!(count >= 2, "{count}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_homeserver_forgot_when_it_was_killed_is_sent_once_it_speaks_again() {
    let mut scene = Scene::start().await;
    scene.lose(&["one", "two"]).await;
    scene.stub.end(Signal::KILL).await;
    scene.stub.launch();
    scene.stub.ready().await;
    scene.alice.write(&scene.room, "after").await;
    scene.found(&["after", "one", "two"]).await;
    let texts = scene.sim.texts(PHONE).await;
    assert_eq!(texts, ["before", "after", "one", "two"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_forgotten_while_the_gateway_was_dead_is_sent_once_it_lives() {
    let mut scene = Scene::start().await;
    scene.gateway.kill().await;
    scene.lose(&["one", "two"]).await;
    scene.gateway.start().await;
    scene.found(&["one", "two"]).await;
    let texts = scene.sim.texts(PHONE).await;
    assert_eq!(texts, ["before", "one", "two"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_synapse_forgot_is_read_back_from_its_rooms() {
    let mut world = World::start().await;
    let alice = world.person("alice", "1").await;
    let room = world.chat(&alice, PHONE).await;
    alice.write(&room, "before").await;
    world.sim.gets(PHONE, "before").await;
    world.gateway.kill().await;
    alice.write(&room, "lost").await;
    world.synapse.stop().await;
    world.synapse.forget();
    world
        .synapse
        .start(Some(&world.gateway.registration()))
        .await;
    world.gateway.start().await;
    world.sim.gets(PHONE, "lost").await;
    let found = "matrix_smpp_read_back_events_total";
    assert!(world.gateway.metric(found, &[]).await >= 1);
    alice.write(&room, "after").await;
    world.sim.gets(PHONE, "after").await;
    assert_eq!(world.sim.texts(PHONE).await, ["before", "lost", "after"]);
}
