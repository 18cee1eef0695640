//! Nothing that was acknowledged is lost, whoever restarts.

use std::net::Ipv4Addr;
use std::time::Duration;

use serde_json::json;
use tokio::net::TcpListener;

use crate::support::wait::now;
use crate::support::world::{PHONE, World, ghost};

#[tokio::test(flavor = "multi_thread")]
async fn what_was_written_while_the_gateway_was_dead_is_sent_once_it_lives() {
    let mut world = World::start().await;
    let alice = world.person("alice", "1").await;
    let room = world.chat(&alice, PHONE).await;
    alice.write(&room, "before").await;
    let before = world.sim.gets(PHONE, "before").await;

    world.gateway.kill().await;
    alice.write(&room, "meanwhile").await;
    world.gateway.start().await;
    let after = world.sim.gets(PHONE, "meanwhile").await;
    assert_eq!(after["from"], before["from"]);
    world.answer(PHONE, "still here").await;
    alice.hears(&room, &ghost(PHONE), "still here").await;
    assert_eq!(world.sim.texts(PHONE).await, ["before", "meanwhile"]);
}

/// A homeserver that has called so often in vain waits 2 s, 4 s, 8 s, … up to nine minutes before it calls
/// again.
const CALLS_IN_VAIN: u64 = 3;

/// Answers no call at this port, until there were so many.
async fn answer_no_call(port: u16, calls: u64) {
    let door = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await;
    let door = door.expect("the port of a gateway that is dead");
    for _ in 0..calls {
        drop(door.accept().await.expect("a call"));
    }
}

/// `OUTAGE_CALLS` is how often the homeserver calls in vain.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_homeserver_kept_back_comes_as_soon_as_the_gateway_is_there() {
    let given = std::env::var("OUTAGE_CALLS").ok();
    let calls = given.map_or(CALLS_IN_VAIN, |text| text.parse().expect("a whole number"));
    let mut port = 0;
    let mut world = World::with(|plan| port = plan.appservice).await;
    let alice = world.person("alice", "1").await;
    let room = world.chat(&alice, PHONE).await;
    alice.write(&room, "before").await;
    world.sim.gets(PHONE, "before").await;

    world.gateway.kill().await;
    alice.write(&room, "meanwhile").await;
    answer_no_call(port, calls).await;
    let started = now();
    world.gateway.launch_with(&[]);
    world.sim.gets(PHONE, "meanwhile").await;
    let took = started.elapsed();
    world.gateway.ready().await;
    eprintln!("after {calls} calls in vain: the first text {took:.2?} after the start");
    // It would have called again by itself then.
    let by_itself = Duration::from_secs(1 << calls.min(9));
    assert!(took < by_itself / 2, "{took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_killed_while_it_sends_loses_no_text() {
    let mut world = World::with(|plan| plan.route.push_str("\nuncertain = \"resend\"")).await;
    let alice = world.person("alice", "10").await;
    let room = world.chat(&alice, PHONE).await;
    world.sim.behave(json!({ "response_delay_ms": 200 })).await;
    let texts: Vec<String> = (1..=20).map(|number| format!("text {number}")).collect();
    for text in &texts {
        alice.write(&room, text).await;
    }
    world.sim.gets(PHONE, "text 2").await;
    world.gateway.kill().await;
    world.gateway.start().await;
    for text in &texts {
        world.sim.gets(PHONE, text).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_whose_answer_was_lost_is_not_sent_again_blindly() {
    let mut world = World::start().await;
    let alice = world.person("alice", "10").await;
    let room = world.chat(&alice, PHONE).await;
    world
        .sim
        .behave(json!({ "response_delay_ms": 60_000 }))
        .await;
    alice.write(&room, "once").await;
    world.sim.gets(PHONE, "once").await;

    world.gateway.kill().await;
    world.sim.behave(json!({ "reset": true })).await;
    world.gateway.start().await;
    alice.write(&room, "later").await;
    world.sim.gets(PHONE, "later").await;
    assert_eq!(world.sim.texts(PHONE).await, ["once", "later"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_from_a_phone_that_was_acknowledged_survives_a_crash() {
    let mut world = World::start().await;
    let alice = world.person("alice", "1").await;
    let room = world.chat(&alice, PHONE).await;
    alice.write(&room, "Go on").await;
    world.sim.gets(PHONE, "Go on").await;
    let texts: Vec<String> = (1..=5).map(|number| format!("answer {number}")).collect();
    for text in &texts {
        world.answer(PHONE, text).await;
    }
    world.gateway.kill().await;
    world.gateway.start().await;
    world.answer(PHONE, "the end").await;
    alice.hears(&room, &ghost(PHONE), "the end").await;
    let timeline = alice.read(&room).await;
    for text in &texts {
        assert_eq!(timeline.texts(&ghost(PHONE), text), 1, "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_homeserver_that_counts_its_transactions_from_one_again_loses_nothing() {
    let mut world = World::start().await;
    let alice = world.person("alice", "1").await;
    let room = world.chat(&alice, PHONE).await;
    alice.write(&room, "first").await;
    world.sim.gets(PHONE, "first").await;

    world.restart_synapse().await;
    alice.write(&room, "second").await;
    world.sim.gets(PHONE, "second").await;
    world.answer(PHONE, "third").await;
    alice.hears(&room, &ghost(PHONE), "third").await;
    assert_eq!(world.sim.texts(PHONE).await, ["first", "second"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_that_came_while_the_homeserver_was_down_is_in_the_room_once() {
    let mut world = World::start().await;
    let alice = world.person("alice", "1").await;
    let room = world.chat(&alice, PHONE).await;
    alice.write(&room, "first").await;
    world.sim.gets(PHONE, "first").await;

    world.synapse.stop().await;
    world.answer(PHONE, "while you were out").await;
    world
        .synapse
        .start(Some(&world.gateway.registration()))
        .await;
    alice
        .hears(&room, &ghost(PHONE), "while you were out")
        .await;
    world.answer(PHONE, "the end").await;
    alice.hears(&room, &ghost(PHONE), "the end").await;
    assert_eq!(
        alice
            .read(&room)
            .await
            .texts(&ghost(PHONE), "while you were out"),
        1
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_smsc_that_comes_back_gets_what_waited_for_it() {
    let mut world = World::start().await;
    let alice = world.person("alice", "1").await;
    let room = world.chat(&alice, PHONE).await;
    world.sim.stop().await;
    alice.write(&room, "waiting").await;
    world.sim.start_again().await;
    world.sim.gets(PHONE, "waiting").await;
    world.answer(PHONE, "here I am").await;
    alice.hears(&room, &ghost(PHONE), "here I am").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_connection_is_made_again() {
    let world = World::start().await;
    let alice = world.person("alice", "1").await;
    let room = world.chat(&alice, PHONE).await;
    alice.write(&room, "before").await;
    world.sim.gets(PHONE, "before").await;
    world.sim.drop_binds().await;
    alice.write(&room, "after").await;
    world.sim.gets(PHONE, "after").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_is_asked_to_stop_unbinds_and_succeeds() {
    let mut world = World::start().await;
    world.gateway.stop().await;
    assert_eq!(world.sim.pdus("in").await.get("unbind"), Some(&1));
    assert_eq!(world.sim.pdus("out").await.get("unbind_resp"), Some(&1));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_holds_no_text_and_no_full_number() {
    let mut world = World::with(|plan| plan.more = "[log]\nlevel = \"debug\"".to_owned()).await;
    let alice = world.person("alice", "1").await;
    let room = world.chat(&alice, PHONE).await;
    alice.write(&room, "a-secret-of-alice").await;
    world.sim.gets(PHONE, "a-secret-of-alice").await;
    world.answer(PHONE, "a-secret-of-the-phone").await;
    alice
        .hears(&room, &ghost(PHONE), "a-secret-of-the-phone")
        .await;
    let logged = world.gateway.logged();
    assert!(logged.lines().count() > 5, "it logs what it does");
    for private in ["a-secret-of", "447700900123", "447700900900", "tests"] {
        let line = logged.lines().find(|line| line.contains(private));
        assert_eq!(line, None, "{private}");
    }
    world.gateway.stop().await;
}
