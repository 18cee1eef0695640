//! People talk to phones.

use serde_json::json;

use super::world::*;

#[tokio::test]
async fn a_text_becomes_one_message_for_each_phone() {
    let mut world = World::new();
    world.top_up(ALICE, "1").await;
    let room = world.group_room(&[PHONE, GERMAN]).await;
    world.says(&room, ALICE, "hello");
    world.run().await;
    world.deliver().await;
    let hello = "alice: hello".to_owned();
    assert_eq!(world.phone(PHONE), [(DEDICATED.to_owned(), hello.clone())]);
    assert_eq!(world.phone(GERMAN), [("12345".to_owned(), hello)]);
    assert_eq!(world.balance(ALICE).await, "0.88");
}

#[tokio::test]
async fn the_speaker_is_named_from_three_parties_on() {
    let mut world = World::new();
    world.top_up(ALICE, "1").await;
    world.top_up(BOB, "1").await;
    let room = world.direct_room(PHONE).await;
    world.says(&room, ALICE, "alone");
    world.run().await;
    world.join(&room, BOB);
    world.says(&room, BOB, "hi");
    world.run().await;
    world.member(&room, BOB, &user(BOB), "leave");
    world.says(&room, ALICE, "alone again");
    world.run().await;
    world.deliver().await;
    assert_eq!(world.read(PHONE), ["alone", "bob: hi", "alone again"]);
}

#[tokio::test]
async fn the_bot_is_not_a_party() {
    let mut world = World::new();
    world.top_up(ALICE, "1").await;
    let room = world.direct_room(PHONE).await;
    world.invite(&room, ALICE, &user(BOT), false);
    world.run().await;
    world.says(&room, ALICE, "hello");
    world.run().await;
    world.deliver().await;
    assert_eq!(world.read(PHONE), ["hello"]);
}

#[tokio::test]
async fn each_person_pays_for_what_they_say() {
    let mut world = World::new();
    world.top_up(ALICE, "1").await;
    world.top_up(BOB, "1").await;
    let room = world.group_room(&[PHONE]).await;
    world.says(&room, BOB, "hello");
    world.run().await;
    assert_eq!(world.balance(ALICE).await, "1");
    assert_eq!(world.balance(BOB).await, "0.95");
}

#[tokio::test]
async fn two_people_text_one_phone_from_two_numbers_without_crosstalk() {
    let mut world = World::new();
    world.top_up(ALICE, "1").await;
    world.top_up(BOB, "1").await;
    let alices = world.direct_room(PHONE).await;
    let bobs = world.room(BOB);
    world.invite(&bobs, BOB, &ghost(PHONE), true);
    world.says(&alices, ALICE, "from Alice");
    world.run().await;
    world.says(&bobs, BOB, "from Bob");
    world.run().await;
    world.deliver().await;
    let mut seen = world.phone(PHONE);
    seen.sort();
    let from = |number: &str, text: &str| (number.to_owned(), text.to_owned());
    assert_eq!(
        seen,
        [from(FIRST_VMN, "from Bob"), from(DEDICATED, "from Alice")]
    );
    world.texts(PHONE, FIRST_VMN, "to Bob").await;
    world.run().await;
    assert_eq!(world.only_words(&bobs, &ghost(PHONE)), "to Bob");
    assert_eq!(world.words(&alices, &ghost(PHONE)).len(), 0);
}

#[tokio::test]
async fn notices_are_never_relayed() {
    let mut world = World::new();
    world.top_up(ALICE, "1").await;
    let room = world.direct_room(PHONE).await;
    world.sends(
        &room,
        ALICE,
        json!({ "msgtype": "m.notice", "body": "I am a bot" }),
    );
    world.run().await;
    world.deliver().await;
    assert_eq!(world.phone(PHONE), []);
    assert_eq!(world.words(&room, &ghost(PHONE)).len(), 0);
}

#[tokio::test]
async fn a_text_that_is_too_long_is_refused_with_the_count_and_costs_nothing() {
    let mut world = World::new();
    world.top_up(ALICE, "10").await;
    let room = world.direct_room(PHONE).await;
    world.says(&room, ALICE, &"x".repeat(153 * 32 + 1));
    world.run().await;
    world.deliver().await;
    let words = world.only_words(&room, &ghost(PHONE));
    assert!(
        words.contains("33 text messages") && words.contains("32"),
        "{words}"
    );
    assert_eq!(world.phone(PHONE), []);
    assert_eq!(world.balance(ALICE).await, "10");
    assert_eq!(world.store.leases().await.unwrap(), []);
}

#[tokio::test]
async fn the_longest_text_arrives_whole() {
    let mut world = World::new();
    world.top_up(ALICE, "10").await;
    let room = world.direct_room(PHONE).await;
    let text = "0123456789".repeat(153 * 32 / 10);
    world.says(&room, ALICE, &text);
    world.run().await;
    world.deliver().await;
    assert_eq!(world.read(PHONE), [text]);
    assert_eq!(world.balance(ALICE).await, "8.4");
}

#[tokio::test]
async fn what_no_phone_can_show_is_told_once_with_its_name() {
    for (content, name) in [
        (
            json!({ "msgtype": "m.image", "body": "cat.png", "url": "mxc://a/b" }),
            "picture",
        ),
        (
            json!({ "msgtype": "m.file", "body": "a.pdf", "url": "mxc://a/b" }),
            "file",
        ),
        (
            json!({ "msgtype": "m.audio", "body": "a.ogg", "url": "mxc://a/b" }),
            "sound",
        ),
        (
            json!({ "msgtype": "m.video", "body": "a.mp4", "url": "mxc://a/b" }),
            "video",
        ),
        (
            json!({ "msgtype": "m.location", "body": "here" }),
            "location",
        ),
        (
            json!({ "msgtype": "org.example.dance", "body": "x" }),
            "kind",
        ),
        (json!({ "msgtype": "m.text", "body": "  " }), "no text"),
    ] {
        let mut world = World::new();
        world.top_up(ALICE, "1").await;
        let room = world.group_room(&[PHONE, GERMAN]).await;
        let event = world.sends(&room, ALICE, content);
        world.run().await;
        world.deliver().await;
        let notices = world.words(&room, &ghost(PHONE));
        assert_eq!(notices.len(), 1, "{name}: {notices:?}");
        assert!(notices[0].contains(name), "{name}: {notices:?}");
        assert_eq!(world.words(&room, &ghost(GERMAN)).len(), 0);
        let status = world.events(&room, "com.beeper.message_send_status");
        assert_eq!(status[0].content["status"], "FAIL_PERMANENT");
        assert_eq!(
            status[0].content["m.relates_to"]["event_id"],
            event.event_id.as_str()
        );
        assert_eq!(world.phone(PHONE), []);
        assert_eq!(world.balance(ALICE).await, "1");
    }
}

#[tokio::test]
async fn stickers_polls_and_reactions_are_told_once_each() {
    let mut world = World::new();
    let room = world.direct_room(PHONE).await;
    let alice = user(ALICE);
    world
        .home
        .say(&room, &alice, "m.sticker", json!({ "body": "x" }));
    world
        .home
        .say(&room, &alice, "org.matrix.msc3381.poll.start", json!({}));
    let relation = json!({ "rel_type": "m.annotation", "event_id": "$x", "key": "👍" });
    world.home.say(
        &room,
        &alice,
        "m.reaction",
        json!({ "m.relates_to": relation }),
    );
    world.run().await;
    let words = world.words(&room, &ghost(PHONE));
    assert_eq!(words.len(), 3, "{words:?}");
    assert!(words[2].contains("Reactions"), "{words:?}");
}

#[tokio::test]
async fn an_emote_and_a_location_and_a_reply_read_well_on_a_phone() {
    let mut world = World::new();
    world.top_up(ALICE, "1").await;
    let room = world.direct_room(PHONE).await;
    world.sends(
        &room,
        ALICE,
        json!({ "msgtype": "m.emote", "body": "waves" }),
    );
    let reply = json!({
        "msgtype": "m.text", "body": "> <@x:example.org> earlier\n\nyes",
        "m.relates_to": { "m.in_reply_to": { "event_id": "$x" } },
    });
    world.sends(&room, ALICE, reply);
    let place = json!({ "msgtype": "m.location", "body": "x", "geo_uri": "geo:1.5,2.5" });
    world.sends(&room, ALICE, place);
    world.run().await;
    world.deliver().await;
    let seen = world.read(PHONE);
    assert_eq!(seen[..2], ["* alice waves", "yes"]);
    assert!(seen[2].contains("mlat=1.5&mlon=2.5"), "{seen:?}");
}

#[tokio::test]
async fn who_is_in_no_conversation_of_ours_is_not_answered() {
    let mut world = World::new();
    let room = world.room(ALICE);
    world.says(&room, ALICE, "hello?");
    world.run().await;
    assert_eq!(world.home.count(crate::matrix::fake::Op::Send), 0);
}

#[tokio::test]
async fn the_lane_keeps_its_order_through_throttling() {
    use crate::store::Outcome;
    let mut world = World::new();
    world.top_up(ALICE, "1").await;
    let room = world.direct_room(PHONE).await;
    for text in ["one", "two", "three"] {
        world.says(&room, ALICE, text);
    }
    world.run().await;
    let retry_at = world.clock.now().after(std::time::Duration::from_secs(5));
    world.answer(|_| Outcome::Throttled { retry_at }).await;
    assert_eq!(world.read(PHONE), ["one"], "only the first was tried");
    world.after(std::time::Duration::from_secs(6)).await;
    world.deliver().await;
    assert_eq!(world.read(PHONE), ["one", "one", "two", "three"]);
    assert_eq!(world.balance(ALICE).await, "0.85");
}
