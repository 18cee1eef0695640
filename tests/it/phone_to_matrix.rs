//! What a phone sends lands in its room.

use serde_json::json;

use crate::support::wait::until;
use crate::support::world::{PHONE, PHONE_NAME, World, bot, ghost};

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_lands_in_the_room_as_the_phones_user() {
    let world = World::start().await;
    let alice = world.person("alice", "1").await;
    let room = world.chat(&alice, PHONE).await;
    alice.write(&room, "Are you there?").await;
    world.sim.gets(PHONE, "Are you there?").await;

    world.answer(PHONE, "Yes, 100 € and 🙂").await;
    alice.hears(&room, &ghost(PHONE), "Yes, 100 € and 🙂").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_answer_is_one_message_however_its_segments_come() {
    let world = World::start().await;
    let alice = world.person("alice", "1").await;
    let room = world.chat(&alice, PHONE).await;
    alice.write(&room, "Tell me more").await;
    world.sim.gets(PHONE, "Tell me more").await;
    for (order, text) in [
        ("natural", "abc ".repeat(150)),
        ("reversed", "Ж🙂 ".repeat(60)),
    ] {
        let text = text.trim_end();
        let sms = json!({ "to": "447700900900", "text": text, "order": order });
        world.sim.writes_as(PHONE, &sms).await;
        alice.hears(&room, &ghost(PHONE), text).await;
        assert_eq!(alice.read(&room).await.texts(&ghost(PHONE), text), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_stay_in_order() {
    let world = World::start().await;
    let alice = world.person("alice", "1").await;
    let room = world.chat(&alice, PHONE).await;
    alice.write(&room, "Count").await;
    world.sim.gets(PHONE, "Count").await;
    let numbers: Vec<String> = (1..=10).map(|number| format!("number {number}")).collect();
    for number in &numbers {
        world.answer(PHONE, number).await;
    }
    alice.hears(&room, &ghost(PHONE), "number 10").await;
    let timeline = alice.read(&room).await;
    let heard = timeline
        .messages()
        .filter(|event| event["sender"] == ghost(PHONE));
    let heard: Vec<_> = heard
        .map(|event| event["content"]["body"].clone())
        .collect();
    assert_eq!(heard, numbers);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_who_texts_a_pool_number_is_dropped_and_counted() {
    let world = World::start().await;
    let statuses = world
        .sim
        .writes("447700900555", "447700900900", "Who is this?")
        .await;
    assert_eq!(statuses, ["ESME_ROK"]);
    assert_eq!(
        world
            .gateway
            .metric("matrix_smpp_unleased_sms_total", &[])
            .await,
        1
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dedicated_number_lets_any_phone_speak_first() {
    let owner = "@alice:sms.test";
    let world = World::with(|plan| plan.dedicated.push(("447700900999", owner.to_owned()))).await;
    let alice = world.person("alice", "1").await;
    assert_eq!(alice.id, owner);

    world
        .sim
        .writes(PHONE, "447700900999", "Is this Alice?")
        .await;
    let room = alice.is_invited(&ghost(PHONE)).await;
    alice.join(&room).await;
    alice.hears(&room, &ghost(PHONE), "Is this Alice?").await;

    alice.write(&room, "It is.").await;
    assert_eq!(
        world.sim.gets(PHONE, "It is.").await["from"],
        "447700900999"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_dedicated_by_command_works_like_one_of_the_configuration() {
    let world = World::start().await;
    let alice = world.person("alice", "1").await;
    world
        .gateway
        .cli(&["lease", "dedicate", "447700900998", &alice.id]);
    world.sim.writes(PHONE, "447700900998", "Hello?").await;
    let room = alice.is_invited(&ghost(PHONE)).await;
    alice.join(&room).await;
    alice.hears(&room, &ghost(PHONE), "Hello?").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_who_left_is_invited_again_by_the_next_text() {
    let world = World::start().await;
    let alice = world.person("alice", "1").await;
    let room = world.chat(&alice, PHONE).await;
    alice.write(&room, "Bye").await;
    world.sim.gets(PHONE, "Bye").await;
    alice.leave(&room).await;

    world.answer(PHONE, "One more thing").await;
    let back = alice.is_invited(&ghost(PHONE)).await;
    alice.join(&back).await;
    alice.hears(&back, &ghost(PHONE), "One more thing").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_answer_goes_to_the_old_owner_and_to_nobody_else() {
    let world = World::start().await;
    let alice = world.person("alice", "1").await;
    // Not a trusted room: there a ghost has all power and nobody can remove it (room version 12).
    let room = alice.group("for a while", &[&ghost(PHONE)]).await;
    alice.sees_join(&room, &ghost(PHONE)).await;
    alice.write(&room, "Goodbye").await;
    world.sim.gets(PHONE, "Goodbye").await;
    alice.kick(&room, &ghost(PHONE)).await;
    until("the number cools off", async || {
        world
            .gateway
            .cli(&["lease", "list"])
            .contains("cooling off")
            .then_some(())
    })
    .await;

    let bob = world.person("bob", "1").await;
    let of_bob = world.chat(&bob, PHONE).await;
    bob.write(&of_bob, "Hello").await;
    assert_ne!(world.sim.gets(PHONE, "Hello").await["from"], "447700900900");

    world.sim.writes(PHONE, "447700900900", "Too late").await;
    let told = alice.is_invited(&bot()).await;
    alice.join(&told).await;
    alice
        .sees(&told, "the late text", |timeline| {
            timeline.notices(&[PHONE_NAME, "Too late"]).count() == 1
        })
        .await;
    assert_eq!(bob.read(&of_bob).await.texts(&ghost(PHONE), "Too late"), 0);
}
