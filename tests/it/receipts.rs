//! What became of a message shows in the room.

use serde_json::json;

use crate::support::room::says;
use crate::support::world::{OTHER_PHONE, PHONE, PHONE_NAME, World, ghost};

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_cannot_be_delivered_gets_a_notice_that_names_the_phone() {
    let world = World::start().await;
    let alice = world.person("alice", "1").await;
    let room = world.chat(&alice, PHONE).await;
    world
        .sim
        .behave(json!({ "receipts": "undeliverable" }))
        .await;

    let event = alice.write(&room, "Nobody home").await;
    alice
        .sees(&room, "a failure notice", |timeline| {
            timeline
                .replies(&event)
                .any(|notice| says(notice, &[PHONE_NAME, "not delivered"]))
        })
        .await;
    let timeline = alice
        .until(&room, "the status", |timeline| {
            let failed = timeline.status(&event)?["status"] == "FAIL_PERMANENT";
            failed.then(|| timeline.clone())
        })
        .await;
    assert!(!timeline.has_check(&ghost(PHONE), &event));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rejected_message_is_told_and_refunded() {
    let world = World::start().await;
    let alice = world.person("alice", "1").await;
    let room = world.chat(&alice, PHONE).await;
    world
        .sim
        .behave(json!({ "submit_status_for": { PHONE: "ESME_RINVDSTADR" } }))
        .await;

    let event = alice.write(&room, "To nowhere").await;
    alice
        .sees(&room, "a reason", |timeline| {
            timeline
                .replies(&event)
                .any(|notice| says(notice, &[PHONE_NAME, "does not exist"]))
        })
        .await;
    assert!(world.gateway.balance(&alice.id).contains("balance 1 "));
}

#[tokio::test(flavor = "multi_thread")]
async fn throttling_slows_the_link_and_loses_nothing() {
    let world = World::start().await;
    let alice = world.person("alice", "1").await;
    let room = world.chat(&alice, PHONE).await;
    for status in ["ESME_RTHROTTLED", "ESME_RMSGQFUL"] {
        world
            .sim
            .behave(json!({ "submit_status": status, "next": 2 }))
            .await;
        let event = alice.write(&room, status).await;
        world.sim.gets(PHONE, status).await;
        alice
            .sees(&room, "✓", |timeline| {
                timeline.has_check(&ghost(PHONE), &event)
            })
            .await;
    }
    assert_eq!(
        world.sim.texts(PHONE).await,
        ["ESME_RTHROTTLED", "ESME_RMSGQFUL"]
    );
    assert!(
        world.gateway.balance(&alice.id).contains("balance 0.9 "),
        "each is paid once"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn without_receipts_the_check_mark_says_that_the_network_took_it() {
    let world = World::with(|plan| plan.route.push_str("\nreceipts = false")).await;
    let alice = world.person("alice", "1").await;
    let room = world.chat(&alice, PHONE).await;
    let event = alice.write(&room, "No receipt asked for").await;
    alice
        .sees(&room, "✓", |timeline| {
            timeline.has_check(&ghost(PHONE), &event)
        })
        .await;
    assert_eq!(world.sim.submits().await[0]["registered_delivery"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_phone_of_a_group_has_its_own_receipt() {
    let world = World::start().await;
    let alice = world.person("alice", "1").await;
    let room = alice
        .group("both", &[&ghost(PHONE), &ghost(OTHER_PHONE)])
        .await;
    alice.sees_join(&room, &ghost(PHONE)).await;
    alice.sees_join(&room, &ghost(OTHER_PHONE)).await;
    world
        .sim
        .behave(json!({ "submit_status_for": { OTHER_PHONE: "ESME_RINVDSTADR" } }))
        .await;

    let event = alice.write(&room, "One of you").await;
    alice
        .sees(&room, "one ✓ and one notice", |timeline| {
            timeline.has_check(&ghost(PHONE), &event)
                && timeline
                    .replies(&event)
                    .any(|notice| says(notice, &["900124"]))
        })
        .await;
    assert!(
        !alice
            .read(&room)
            .await
            .has_check(&ghost(OTHER_PHONE), &event)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn programs_can_read_the_state_of_a_message_and_of_the_room() {
    let world = World::start().await;
    let alice = world.person("alice", "1").await;
    let room = world.chat(&alice, PHONE).await;
    let event = alice.write(&room, "For programs").await;
    let timeline = alice
        .until(&room, "the delivered status", |timeline| {
            let status = timeline.status(&event)?;
            let delivered = status["delivered_to_users"] == json!([ghost(PHONE)]);
            (delivered && status["status"] == "SUCCESS").then(|| timeline.clone())
        })
        .await;
    let bridge = timeline.0.iter().find(|event| event["type"] == "m.bridge");
    assert_eq!(bridge.unwrap()["content"]["channel"]["id"], PHONE);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_history_of_a_message_can_be_explained() {
    let world = World::start().await;
    let alice = world.person("alice", "1").await;
    let room = world.chat(&alice, PHONE).await;
    let event = alice.write(&room, "Explain this").await;
    alice
        .sees(&room, "✓", |timeline| {
            timeline.has_check(&ghost(PHONE), &event)
        })
        .await;
    let history = world.gateway.cli(&["explain", &event]);
    for step in ["queued", "intent", "submitted", "delivered"] {
        assert!(history.contains(step), "no {step}:\n{history}");
    }
    assert!(
        !history.contains("Explain this"),
        "it tells what became of a text, not the text"
    );
}
