//! What becomes of a text whose answer never comes, by the route's policy.

use serde_json::json;

use crate::support::room::says;
use crate::support::world::{PHONE, PHONE_NAME, World, ghost};

/// A world in which answers are waited for one second, with this policy.
async fn with_policy(policy: &str) -> World {
    World::with(|plan| {
        plan.link.push_str("response_timeout = \"1s\"");
        plan.route = format!("{}\nuncertain = {policy:?}", plan.route);
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_that_fails_what_is_not_answered_says_so_and_refunds() {
    let world = with_policy("fail").await;
    let alice = world.person("alice", "1").await;
    let room = world.chat(&alice, PHONE).await;
    world.sim.behave(json!({ "silent": true })).await;
    let event = alice.write(&room, "Into the void").await;
    alice
        .sees(&room, "a notice", |timeline| {
            timeline
                .replies(&event)
                .any(|notice| says(notice, &[PHONE_NAME, "unknown"]))
        })
        .await;
    assert!(world.gateway.balance(&alice.id).contains("balance 1 "));
    assert_eq!(world.sim.submits().await.len(), 1, "it is not sent again");
    // The conversation goes on.
    world.sim.behave(json!({ "silent": false })).await;
    alice.write(&room, "And now?").await;
    world.sim.gets(PHONE, "And now?").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_that_sends_again_says_that_it_may_have_arrived_twice() {
    let world = with_policy("resend").await;
    let alice = world.person("alice", "1").await;
    let room = world.chat(&alice, PHONE).await;
    world
        .sim
        .behave(json!({ "response_delay_ms": 3_000, "receipts": "none" }))
        .await;
    let event = alice.write(&room, "Once or twice").await;
    world.sim.gets(PHONE, "Once or twice").await;
    world.sim.behave(json!({ "reset": true })).await;
    alice
        .sees(&room, "✓ and the warning", |timeline| {
            let warned = timeline
                .replies(&event)
                .any(|notice| says(notice, &[PHONE_NAME, "twice"]));
            warned && timeline.has_check(&ghost(PHONE), &event)
        })
        .await;
    let counted = "matrix_smpp_possible_duplicates_total";
    assert_eq!(world.gateway.metric(counted, &[]).await, 1);
    let history = world.gateway.cli(&["explain", &event]);
    assert!(history.contains("may have it twice"), "{history}");
    assert!(
        world.gateway.balance(&alice.id).contains("balance 0.95 "),
        "it is paid once"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_that_holds_takes_the_receipt_for_the_answer() {
    let world = with_policy("hold").await;
    let alice = world.person("alice", "1").await;
    let room = world.chat(&alice, PHONE).await;
    world
        .sim
        .behave(json!({ "response_delay_ms": 60_000, "receipt_delay_ms": 3_000 }))
        .await;
    let event = alice.write(&room, "Proven by its receipt").await;
    alice
        .sees(&room, "✓", |timeline| {
            timeline.has_check(&ghost(PHONE), &event)
        })
        .await;
    assert_eq!(world.sim.submits().await.len(), 1, "it is not sent again");
    let history = world.gateway.cli(&["explain", &event]);
    assert!(history.contains("uncertain"), "{history}");
    assert!(world.gateway.balance(&alice.id).contains("balance 0.95 "));
}
