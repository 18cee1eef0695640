//! What is not plain text: it goes out in a sensible form, or gets one notice that it did not.

use serde_json::{Value, json};

use crate::support::room::{Timeline, says};
use crate::support::user::User;
use crate::support::world::{PHONE, World, ghost};

async fn chat() -> (World, User, String) {
    let world = World::start().await;
    let alice = world.person("alice", "10").await;
    let room = world.chat(&alice, PHONE).await;
    (world, alice, room)
}

/// Writes something that cannot be sent: one notice answers it, and the phone gets only what is
/// written after it.
async fn is_refused(content: &Value, words: &[&str]) {
    let (world, alice, room) = chat().await;
    let event = alice.send(&room, content).await;
    alice
        .sees(
            &room,
            &format!("a notice that says {words:?}"),
            |timeline| timeline.replies(&event).any(|notice| says(notice, words)),
        )
        .await;
    alice.write(&room, "afterwards").await;
    world.sim.gets(PHONE, "afterwards").await;
    assert_eq!(world.sim.texts(PHONE).await, ["afterwards"]);
    assert_eq!(alice.read(&room).await.replies(&event).count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_picture_is_refused_with_a_notice() {
    let content = json!({ "msgtype": "m.image", "body": "cat.jpg", "url": "mxc://sms.test/cat" });
    is_refused(&content, &["picture"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caption_reaches_the_phone_and_the_room_hears_that_the_picture_did_not() {
    let (world, alice, room) = chat().await;
    let content = json!({
        "msgtype": "m.image", "body": "my cat", "filename": "cat.jpg", "url": "mxc://sms.test/cat",
    });
    let event = alice.send(&room, &content).await;
    world.sim.gets(PHONE, "[picture] my cat").await;
    alice
        .sees(&room, "what stayed behind", |timeline| {
            let mut replies = timeline.replies(&event);
            replies.any(|notice| says(notice, &["Only the words"]))
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_refused_with_a_notice() {
    let content = json!({ "msgtype": "m.file", "body": "a.pdf", "url": "mxc://sms.test/file" });
    is_refused(&content, &["file"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_text_is_refused_with_a_notice() {
    is_refused(
        &json!({ "msgtype": "m.text", "body": " \n " }),
        &["no text"],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_over_the_limit_is_refused_with_its_count() {
    let body = "x".repeat(153 * 32 + 1);
    is_refused(&json!({ "msgtype": "m.text", "body": body }), &["33", "32"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_notice_is_not_for_phones() {
    let (world, alice, room) = chat().await;
    alice
        .send(
            &room,
            &json!({ "msgtype": "m.notice", "body": "I am a bot" }),
        )
        .await;
    alice.write(&room, "I am not").await;
    world.sim.gets(PHONE, "I am not").await;
    assert_eq!(world.sim.texts(PHONE).await, ["I am not"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_emote_names_its_actor() {
    let (world, alice, room) = chat().await;
    alice
        .send(&room, &json!({ "msgtype": "m.emote", "body": "waves" }))
        .await;
    world.sim.gets(PHONE, "* alice waves").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_location_becomes_a_link_to_a_map() {
    let (world, alice, room) = chat().await;
    let place =
        json!({ "msgtype": "m.location", "body": "Big Ben", "geo_uri": "geo:51.5008,-0.1247" });
    alice.send(&room, &place).await;
    let got = world
        .sim
        .gets_like(PHONE, "a map", |message| {
            let text = message["text"].as_str().unwrap_or_default();
            text.contains("51.5008") && text.contains("-0.1247") && text.contains("https://")
        })
        .await;
    assert!(got["text"].as_str().unwrap().starts_with("Big Ben"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reply_goes_out_without_what_it_quotes() {
    let (world, alice, room) = chat().await;
    let first = alice.write(&room, "First").await;
    alice.reply(&room, &first, "Second").await;
    world.sim.gets(PHONE, "Second").await;
    assert_eq!(world.sim.texts(PHONE).await, ["First", "Second"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reaction_gets_a_notice() {
    let (world, alice, room) = chat().await;
    alice.write(&room, "Like this").await;
    world.sim.gets(PHONE, "Like this").await;
    world.answer(PHONE, "I do").await;
    let heard = alice.hears(&room, &ghost(PHONE), "I do").await;
    alice.react(&room, &heard, "👍").await;
    alice
        .sees(&room, "a notice", |timeline| {
            timeline.notices(&["reaction"]).count() == 1
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_after_sending_gets_a_notice_and_no_second_text() {
    let (world, alice, room) = chat().await;
    let event = alice.write(&room, "Helo").await;
    alice
        .sees(&room, "✓", |timeline| {
            timeline.has_check(&ghost(PHONE), &event)
        })
        .await;
    let edit = alice.edit(&room, &event, "Hello").await;
    alice
        .sees(&room, "a notice", |timeline| {
            answers(timeline, &edit, &event)
        })
        .await;
    alice.write(&room, "Next").await;
    world.sim.gets(PHONE, "Next").await;
    assert_eq!(world.sim.texts(PHONE).await, ["Helo", "Next"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redaction_after_sending_says_that_the_phone_has_it() {
    let (_world, alice, room) = chat().await;
    let event = alice.write(&room, "Oops").await;
    alice
        .sees(&room, "✓", |timeline| {
            timeline.has_check(&ghost(PHONE), &event)
        })
        .await;
    alice.redact(&room, &event).await;
    alice
        .sees(&room, "a notice", |timeline| {
            timeline.notices(&["already"]).count() == 1
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redaction_before_the_bytes_left_cancels_and_refunds() {
    let (mut world, alice, room) = chat().await;
    world.sim.stop().await;
    let event = alice.write(&room, "Never mind").await;
    alice.redact(&room, &event).await;
    alice
        .sees(&room, "a notice", |timeline| {
            timeline.notices(&["cancelled"]).count() == 1
        })
        .await;
    assert!(world.gateway.balance(&alice.id).contains("balance 10 "));

    world.sim.start_again().await;
    alice.write(&room, "Hello").await;
    world.sim.gets(PHONE, "Hello").await;
    assert_eq!(world.sim.texts(PHONE).await, ["Hello"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_before_the_bytes_left_replaces_the_text() {
    let (mut world, alice, room) = chat().await;
    world.sim.stop().await;
    let event = alice.write(&room, "Helo").await;
    alice.edit(&room, &event, "Hello").await;
    alice.write(&room, "Next").await;
    world.sim.start_again().await;
    world.sim.gets(PHONE, "Next").await;
    assert_eq!(world.sim.texts(PHONE).await, ["Hello", "Next"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_edit_replaces_the_first_and_its_check_mark_stands_on_the_original() {
    let (mut world, alice, room) = chat().await;
    world.sim.stop().await;
    let event = alice.write(&room, "Helo").await;
    alice.edit(&room, &event, "Hallo").await;
    alice.edit(&room, &event, "Hello").await;
    alice.write(&room, "Next").await;
    world.sim.start_again().await;
    world.sim.gets(PHONE, "Next").await;
    assert_eq!(world.sim.texts(PHONE).await, ["Hello", "Next"]);
    alice
        .sees(&room, "✓", |timeline| {
            timeline.has_check(&ghost(PHONE), &event)
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_of_what_was_refused_says_that_nothing_was_sent() {
    let (_world, alice, room) = chat().await;
    let event = alice.write(&room, &"x".repeat(10_000)).await;
    let edit = alice.edit(&room, &event, "shorter").await;
    alice
        .sees(&room, "a notice", |timeline| {
            timeline
                .replies(&edit)
                .any(|notice| says(notice, &["new message"]))
        })
        .await;
}

/// The notice may answer the edit or what was edited.
fn answers(timeline: &Timeline, edit: &str, original: &str) -> bool {
    timeline.replies(edit).count() + timeline.replies(original).count() == 1
}
