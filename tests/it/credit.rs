//! Who pays, and what happens when the credit ends.

use crate::support::room::says;
use crate::support::world::{PHONE, World, ghost};

#[tokio::test(flavor = "multi_thread")]
async fn each_segment_costs_the_price_of_its_route() {
    let world = World::start().await;
    let alice = world.person("alice", "1").await;
    let room = world.chat(&alice, PHONE).await;
    let long = "x".repeat(152 * 3);
    let event = alice.write(&room, &long).await;
    world.sim.gets(PHONE, &long).await;
    alice
        .sees(&room, "✓", |timeline| {
            timeline.has_check(&ghost(PHONE), &event)
        })
        .await;
    assert!(world.gateway.balance(&alice.id).contains("balance 0.85 "));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_the_credit_does_not_cover_goes_out_not_even_in_part() {
    let world = World::start().await;
    let alice = world.person("alice", "0.12").await;
    let room = world.chat(&alice, PHONE).await;
    let event = alice.write(&room, &"x".repeat(152 * 3)).await;
    alice
        .sees(&room, "what it costs and what is left", |timeline| {
            timeline
                .replies(&event)
                .any(|notice| says(notice, &["0.15", "0.12"]))
        })
        .await;

    alice.write(&room, "short").await;
    world.sim.gets(PHONE, "short").await;
    assert_eq!(
        world.sim.submits().await.len(),
        1,
        "nothing of the long message was sent"
    );
    assert_eq!(
        alice.read(&room).await.replies(&event).count(),
        1,
        "told once"
    );
    assert!(world.gateway.balance(&alice.id).contains("balance 0.07 "));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_top_up_while_the_gateway_runs_opens_the_way_again() {
    let world = World::start().await;
    let alice = world.person("alice", "0").await;
    let room = world.chat(&alice, PHONE).await;
    let event = alice.write(&room, "no credit").await;
    alice
        .sees(&room, "a reason", |timeline| {
            timeline.replies(&event).count() == 1
        })
        .await;

    world.gateway.top_up(&alice.id, "0.05");
    alice.write(&room, "credit").await;
    world.sim.gets(PHONE, "credit").await;
    assert_eq!(world.sim.texts(PHONE).await, ["credit"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_is_free() {
    let world = World::start().await;
    let alice = world.person("alice", "0.05").await;
    let room = world.chat(&alice, PHONE).await;
    alice.write(&room, "the last cent").await;
    world.sim.gets(PHONE, "the last cent").await;
    world.answer(PHONE, "costs nothing").await;
    alice.hears(&room, &ghost(PHONE), "costs nothing").await;
    assert!(world.gateway.balance(&alice.id).contains("balance 0 "));
}
