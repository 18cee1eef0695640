//! What a person writes in a room reaches the phone.

use serde_json::json;

use crate::support::sim::{PASSWORD, SYSTEM_ID};
use crate::support::wait::until;
use crate::support::world::{OTHER_PHONE, PHONE, PHONE_NAME, World, ghost};

#[tokio::test(flavor = "multi_thread")]
async fn an_invited_number_joins_under_the_name_people_know_it_by() {
    let world = World::start().await;
    let alice = world.person("alice", "1").await;
    let room = alice.direct_room(&ghost(PHONE)).await;
    assert_eq!(alice.sees_join(&room, &ghost(PHONE)).await, PHONE_NAME);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_reaches_the_phone_and_gets_its_check_mark() {
    let world = World::start().await;
    let alice = world.person("alice", "1").await;
    let room = world.chat(&alice, PHONE).await;

    let event = alice.write(&room, "Hello 👋").await;
    let received = world.sim.gets(PHONE, "Hello 👋").await;
    assert_eq!(received["from"], "447700900900");
    assert_eq!(received["segments"], 1);
    alice
        .sees(&room, "✓", |timeline| {
            timeline.has_check(&ghost(PHONE), &event)
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_written_before_the_phone_has_joined_reaches_it_too() {
    let world = World::start().await;
    let alice = world.person("alice", "1").await;
    let room = alice.direct_room(&ghost(PHONE)).await;
    let event = alice.write(&room, "No waiting").await;
    world.sim.gets(PHONE, "No waiting").await;
    alice
        .sees(&room, "✓", |timeline| {
            timeline.has_check(&ghost(PHONE), &event)
        })
        .await;
    alice.write(&room, "And more").await;
    world.sim.gets(PHONE, "And more").await;
    assert_eq!(world.sim.texts(PHONE).await, ["No waiting", "And more"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_text_arrives_as_it_was_written() {
    let world = World::start().await;
    let alice = world.person("alice", "100").await;
    let room = world.chat(&alice, PHONE).await;
    let family = "👨‍👩‍👧‍👦".repeat(20);
    let texts = [
        "Привет, как дела?",
        "{}[]€^~|\\ and @£$¥èé",
        "two\nlines",
        &family,
        &"x".repeat(160),
        &"x".repeat(161),
        &"0123456789".repeat(200),
        &"{€}".repeat(100),
        &"Ж".repeat(71),
    ];
    for text in texts {
        alice.write(&room, text).await;
    }
    for text in texts {
        world.sim.gets(PHONE, text).await;
    }
    assert_eq!(
        world.sim.texts(PHONE).await,
        texts,
        "in the order they were written"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_takes_as_many_segments_as_its_alphabet_needs() {
    let world = World::start().await;
    let alice = world.person("alice", "10").await;
    let room = world.chat(&alice, PHONE).await;
    let cases = [
        ("g".repeat(160), 1),
        ("g".repeat(153 * 2), 2),
        ("g".repeat(153 * 2 + 1), 3),
        ("€".repeat(80), 1),
        ("Ж".repeat(70), 1),
        ("Ж".repeat(71), 2),
        ("Ж".repeat(67 * 2), 2),
        ("Ж".repeat(67 * 2 + 1), 3),
    ];
    for (text, segments) in cases {
        alice.write(&room, &text).await;
        let received = world.sim.gets(PHONE, &text).await;
        assert_eq!(received["segments"], segments, "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wider_reference_takes_a_character_from_each_segment() {
    let world = World::with(|plan| plan.route.push_str("\nlong_messages = \"udh16\"")).await;
    let alice = world.person("alice", "10").await;
    let room = world.chat(&alice, PHONE).await;
    for (text, segments) in [("g".repeat(152 * 2), 2), ("g".repeat(152 * 2 + 1), 3)] {
        alice.write(&room, &text).await;
        let received = world.sim.gets(PHONE, &text).await;
        assert_eq!(received["segments"], segments, "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_formatted_message_goes_out_as_its_plain_text() {
    let world = World::start().await;
    let alice = world.person("alice", "1").await;
    let room = world.chat(&alice, PHONE).await;
    alice
        .send(
            &room,
            &json!({
                "msgtype": "m.text",
                "body": "very **important**",
                "format": "org.matrix.custom.html",
                "formatted_body": "very <b>important</b>",
            }),
        )
        .await;
    world.sim.gets(PHONE, "very **important**").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_people_text_one_phone_from_two_numbers_without_cross_talk() {
    let world = World::start().await;
    let alice = world.person("alice", "1").await;
    let bob = world.person("bob", "1").await;
    let of_alice = world.chat(&alice, PHONE).await;
    let of_bob = world.chat(&bob, PHONE).await;

    alice.write(&of_alice, "from alice").await;
    bob.write(&of_bob, "from bob").await;
    let first = world.sim.gets(PHONE, "from alice").await;
    let second = world.sim.gets(PHONE, "from bob").await;
    assert_ne!(first["from"], second["from"]);

    world
        .sim
        .writes(PHONE, first["from"].as_str().unwrap(), "to alice")
        .await;
    world
        .sim
        .writes(PHONE, second["from"].as_str().unwrap(), "to bob")
        .await;
    alice.hears(&of_alice, &ghost(PHONE), "to alice").await;
    bob.hears(&of_bob, &ghost(PHONE), "to bob").await;
    assert_eq!(
        alice.read(&of_alice).await.texts(&ghost(PHONE), "to bob"),
        0
    );
    assert_eq!(bob.read(&of_bob).await.texts(&ghost(PHONE), "to alice"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_number_serves_many_phones_but_each_phone_only_once() {
    let world = World::with(|plan| plan.numbers = vec!["447700900900"]).await;
    let alice = world.person("alice", "1").await;
    let bob = world.person("bob", "1").await;
    let first = world.chat(&alice, PHONE).await;
    let second = world.chat(&alice, OTHER_PHONE).await;
    alice.write(&first, "one").await;
    alice.write(&second, "two").await;
    assert_eq!(world.sim.gets(PHONE, "one").await["from"], "447700900900");
    assert_eq!(
        world.sim.gets(OTHER_PHONE, "two").await["from"],
        "447700900900"
    );

    let third = world.chat(&bob, PHONE).await;
    let event = bob.write(&third, "no number left").await;
    bob.sees(&third, "a reason", |timeline| {
        timeline.replies(&event).count() == 1
    })
    .await;
    assert_eq!(world.sim.texts(PHONE).await, ["one"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shared_short_code_sends_too() {
    let world =
        World::with(|plan| plan.route = r#"originator = { shortcode = "12345" }"#.to_owned()).await;
    let alice = world.person("alice", "1").await;
    let room = world.chat(&alice, PHONE).await;
    alice.write(&room, "from a short code").await;
    assert_eq!(
        world.sim.gets(PHONE, "from a short code").await["from"],
        "12345"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transmitter_and_a_receiver_do_what_a_transceiver_does() {
    let world = World::with(|plan| plan.bind = "pair").await;
    let alice = world.person("alice", "1").await;
    let room = world.chat(&alice, PHONE).await;
    let event = alice.write(&room, "over the transmitter").await;
    world.sim.gets(PHONE, "over the transmitter").await;
    alice
        .sees(&room, "✓", |timeline| {
            timeline.has_check(&ghost(PHONE), &event)
        })
        .await;
    world.answer(PHONE, "over the receiver").await;
    alice.hears(&room, &ghost(PHONE), "over the receiver").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_links_of_a_group_carry_one_conversation_in_order() {
    let world = World::with(|plan| {
        plan.link = format!(
            "[[link_group.link]]\nname = \"b\"\naddress = \"127.0.0.1:{}\"\n\
             system_id = \"{SYSTEM_ID}\"\npassword = \"{PASSWORD}\"",
            plan.smsc
        );
    })
    .await;
    let alice = world.person("alice", "10").await;
    let room = world.chat(&alice, PHONE).await;
    until("both links are bound", async || {
        let bound = world.sim.pdus("out").await.get("bind_transceiver_resp") == Some(&2);
        bound.then_some(())
    })
    .await;
    let texts: Vec<String> = (1..=20).map(|number| format!("text {number}")).collect();
    for text in &texts {
        alice.write(&room, text).await;
    }
    world.sim.gets(PHONE, "text 20").await;
    assert_eq!(world.sim.texts(PHONE).await, texts);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_direct_room_takes_the_conversation_over_with_its_number() {
    let world = World::start().await;
    let alice = world.person("alice", "1").await;
    let old = world.chat(&alice, PHONE).await;
    alice.write(&old, "in the old room").await;
    let first = world.sim.gets(PHONE, "in the old room").await;

    let new = world.chat(&alice, PHONE).await;
    alice
        .sees(&old, "where it goes on", |timeline| {
            timeline.notices(&["continues"]).count() == 1
        })
        .await;
    alice.write(&new, "in the new room").await;
    let second = world.sim.gets(PHONE, "in the new room").await;
    assert_eq!(first["from"], second["from"]);
    world.answer(PHONE, "got both").await;
    alice.hears(&new, &ghost(PHONE), "got both").await;
}
