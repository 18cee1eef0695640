//! Invitations of what is no phone are declined, with a reason that helps.

use crate::support::room::text;
use crate::support::world::{PHONE, World, ghost};

/// Invites a user and waits until it has declined. Returns the reason.
async fn reason(world: &World, invited: &str) -> String {
    let alice = world.person("alice", "1").await;
    let room = alice.direct_room(invited).await;
    alice
        .until(&room, &format!("{invited} declines"), |timeline| {
            let member = timeline.membership(invited)?;
            (member["membership"] == "leave").then(|| text(&member["reason"]).to_owned())
        })
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_with_a_plus_is_declined_with_its_right_name() {
    let world = World::start().await;
    let reason = reason(&world, &ghost("+447700900123")).await;
    assert!(reason.contains(&ghost(PHONE)), "{reason}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_country_is_declined() {
    let world = World::start().await;
    let reason = reason(&world, &ghost("999123456789")).await;
    assert!(reason.contains("country code"), "{reason}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_number_is_declined() {
    let world = World::start().await;
    let reason = reason(&world, &ghost("hello")).await;
    assert!(reason.contains("number"), "{reason}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_without_a_route_is_declined() {
    let world = World::start().await;
    let reason = reason(&world, &ghost("33612345678")).await;
    assert!(reason.contains("no route"), "{reason}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_our_own_numbers_is_declined() {
    let world = World::start().await;
    let reason = reason(&world, &ghost("447700900900")).await;
    assert!(reason.contains("own number"), "{reason}");
}
