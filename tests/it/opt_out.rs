//! Phones that want no more texts.

use serde_json::json;

use crate::support::room::says;
use crate::support::wait::until;
use crate::support::world::{PHONE, World, ghost};

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_that_was_acknowledged_holds_for_what_waits_though_the_gateway_is_killed() {
    let mut world = World::start().await;
    let alice = world.person("alice", "1").await;
    let room = world.chat(&alice, PHONE).await;
    let slow = json!({ "response_delay_ms": 60_000 });
    world.sim.behave(slow).await;
    alice.write(&room, "one").await;
    world.sim.gets(PHONE, "one").await;
    // Both wait for the answer to the first.
    let waiting = [
        alice.write(&room, "two").await,
        alice.write(&room, "three").await,
    ];
    until("two texts that wait", async || {
        let waiting = world.gateway.may_wait(&["queued_segments"]).await?;
        (waiting == [("queued_segments", 2)]).then_some(())
    })
    .await;
    world.answer(PHONE, "Stop!").await;
    world.gateway.kill().await;

    world.sim.behave(json!({ "reset": true })).await;
    world.gateway.start().await;
    for event in &waiting {
        alice
            .sees(&room, "why it was not sent", |timeline| {
                let mut replies = timeline.replies(event);
                replies.any(|notice| says(notice, &["no more texts", "Nothing was charged"]))
            })
            .await;
    }
    alice.hears(&room, &ghost(PHONE), "Stop!").await;
    alice
        .sees(&room, "what it means", |timeline| {
            timeline
                .notices(&["no more texts from", "until it texts START"])
                .count()
                == 1
        })
        .await;
    let refused = alice.write(&room, "four").await;
    alice
        .sees(&room, "why it is not sent", |timeline| {
            timeline
                .replies(&refused)
                .any(|notice| says(notice, &["Not sent", "START"]))
        })
        .await;
    // What is on the wire is not known to have failed: its price is held.
    assert!(world.gateway.balance(&alice.id).contains("balance 0.95 "));
    let listed = world.gateway.cli(&["opt-out", "list"]);
    assert!(
        listed.contains(PHONE) && listed.contains(&alice.id),
        "{listed}"
    );

    world.answer(PHONE, "start").await;
    alice
        .sees(&room, "that it goes on", |timeline| {
            timeline.notices(&["may be texted again"]).count() == 1
        })
        .await;
    alice.write(&room, "five").await;
    world.sim.gets(PHONE, "five").await;
    assert_eq!(world.sim.texts(PHONE).await, ["one", "five"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_stops_texts_to_a_phone_and_allows_them_again() {
    let world = World::start().await;
    let alice = world.person("alice", "1").await;
    let room = world.chat(&alice, PHONE).await;
    assert_eq!(world.gateway.cli(&["opt-out", "add", PHONE]).trim(), "done");
    let refused = alice.write(&room, "one").await;
    alice
        .sees(&room, "why it is not sent", |timeline| {
            timeline
                .replies(&refused)
                .any(|notice| says(notice, &["Not sent", "no more texts"]))
        })
        .await;
    let listed = world.gateway.cli(&["opt-out", "list"]);
    assert!(listed.contains("any number"), "{listed}");
    world.gateway.cli(&["opt-out", "remove", PHONE]);
    let listed = world.gateway.cli(&["opt-out", "list"]);
    assert_eq!(listed.trim(), "no phone has opted out");
    alice.write(&room, "two").await;
    world.sim.gets(PHONE, "two").await;
    assert_eq!(world.sim.texts(PHONE).await, ["two"]);
}
