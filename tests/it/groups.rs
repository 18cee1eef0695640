//! Rooms with several phones and several people.

use crate::support::user::User;
use crate::support::world::{OTHER_PHONE, OTHER_PHONE_NAME, PHONE, PHONE_NAME, World, ghost};

/// Alice and Bob with both phones in one room.
async fn group(world: &World) -> (User, User, String) {
    let alice = world.person("alice", "10").await;
    let bob = world.person("bob", "10").await;
    let room = alice
        .group("friends", &[&bob.id, &ghost(PHONE), &ghost(OTHER_PHONE)])
        .await;
    bob.join(&room).await;
    for member in [&bob.id, &ghost(PHONE), &ghost(OTHER_PHONE)] {
        alice.sees_join(&room, member).await;
    }
    (alice, bob, room)
}

#[tokio::test(flavor = "multi_thread")]
async fn phones_see_who_speaks() {
    let world = World::start().await;
    let (alice, bob, room) = group(&world).await;
    alice.write(&room, "Dinner at eight?").await;
    bob.write(&room, "Fine").await;
    for phone in [PHONE, OTHER_PHONE] {
        world.sim.gets(phone, "alice: Dinner at eight?").await;
        world.sim.gets(phone, "bob: Fine").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_phones_text_reaches_people_and_the_other_phone_exactly_once() {
    let world = World::start().await;
    let (alice, bob, room) = group(&world).await;
    alice.write(&room, "Hello both").await;
    world.sim.gets(PHONE, "alice: Hello both").await;
    world.sim.gets(OTHER_PHONE, "alice: Hello both").await;

    world.answer(PHONE, "Hello from the first").await;
    bob.hears(&room, &ghost(PHONE), "Hello from the first")
        .await;
    let relayed = format!("{PHONE_NAME}: Hello from the first");
    world.sim.gets(OTHER_PHONE, &relayed).await;

    world.answer(OTHER_PHONE, "And from the second").await;
    alice
        .hears(&room, &ghost(OTHER_PHONE), "And from the second")
        .await;
    let back = format!("{OTHER_PHONE_NAME}: And from the second");
    world.sim.gets(PHONE, &back).await;

    // What else was under way to a phone would come before this.
    alice.write(&room, "The end").await;
    world.sim.gets(PHONE, "alice: The end").await;
    world.sim.gets(OTHER_PHONE, "alice: The end").await;
    assert_eq!(
        world.sim.texts(PHONE).await,
        ["alice: Hello both", &back, "alice: The end"],
        "no phone gets its own text back"
    );
    assert_eq!(
        world.sim.texts(OTHER_PHONE).await,
        ["alice: Hello both", &relayed, "alice: The end"]
    );
    assert_eq!(
        bob.read(&room)
            .await
            .texts(&ghost(PHONE), "Hello from the first"),
        1
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_writer_pays_for_every_phone_and_the_owner_for_what_phones_say() {
    let world = World::start().await;
    let (alice, bob, room) = group(&world).await;
    bob.write(&room, "Two texts").await;
    world.sim.gets(PHONE, "bob: Two texts").await;
    world.sim.gets(OTHER_PHONE, "bob: Two texts").await;
    world.answer(PHONE, "One relayed").await;
    world
        .sim
        .gets(OTHER_PHONE, &format!("{PHONE_NAME}: One relayed"))
        .await;
    assert!(
        world.gateway.balance(&bob.id).contains("balance 9.9 "),
        "bob wrote to two phones"
    );
    assert!(
        world.gateway.balance(&alice.id).contains("balance 9.95 "),
        "alice invited the phone"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_phone_hears_nothing_and_comes_back_with_its_number() {
    let world = World::start().await;
    let (alice, _bob, room) = group(&world).await;
    alice.write(&room, "Before").await;
    let before = world.sim.gets(PHONE, "alice: Before").await;

    alice.kick(&room, &ghost(PHONE)).await;
    alice.write(&room, "Without the first").await;
    world
        .sim
        .gets(OTHER_PHONE, "alice: Without the first")
        .await;

    alice.invite(&room, &ghost(PHONE)).await;
    alice.sees_join(&room, &ghost(PHONE)).await;
    alice.write(&room, "Welcome back").await;
    let after = world.sim.gets(PHONE, "alice: Welcome back").await;
    assert_eq!(after["from"], before["from"]);
    assert_eq!(
        world.sim.texts(PHONE).await,
        ["alice: Before", "alice: Welcome back"]
    );
}
