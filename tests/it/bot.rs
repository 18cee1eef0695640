//! Commands to the bot.

use serde_json::json;

use crate::support::room::id;
use crate::support::user::User;
use crate::support::world::{PHONE, PHONE_NAME, World, bot, ghost};

async fn bot_room(alice: &User) -> String {
    let room = alice.direct_room(&bot()).await;
    alice.sees_join(&room, &bot()).await;
    room
}

async fn is_told(alice: &User, room: &str, words: &[&str]) {
    let what = format!("a notice that says {words:?}");
    alice
        .sees(room, &what, |timeline| timeline.notices(words).count() >= 1)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bot_answers_bare_words_in_its_own_room() {
    let world = World::start().await;
    let alice = world.person("alice", "1.25").await;
    let room = bot_room(&alice).await;
    alice.write(&room, "help").await;
    is_told(&alice, &room, &["balance", "price", "!sms"]).await;
    alice.write(&room, "balance").await;
    is_told(&alice, &room, &["1.25 EUR"]).await;
    alice.write(&room, "price +44 7700 900123").await;
    is_told(&alice, &room, &[PHONE_NAME, "0.05 EUR"]).await;
    alice.write(&room, "price +33612345678").await;
    is_told(&alice, &room, &["no route"]).await;
    alice.write(&room, "dance").await;
    is_told(&alice, &room, &["dance", "help"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_bot_cannot_understand_is_answered_too() {
    let world = World::start().await;
    let alice = world.person("alice", "1").await;
    let room = alice.direct_room(&bot()).await;
    // Before it has joined.
    alice.write(&room, "balance").await;
    is_told(&alice, &room, &["1 EUR"]).await;
    let picture = json!({ "msgtype": "m.image", "body": "a.jpg", "url": "mxc://sms.test/a" });
    alice.send(&room, &picture).await;
    is_told(&alice, &room, &["only understand words"]).await;
    alice.write(&room, "text").await;
    is_told(&alice, &room, &["which phone"]).await;
    alice.encrypt(&room).await;
    is_told(&alice, &room, &["encrypted"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_in_another_room_bears_the_prefix_and_stays_off_the_phone() {
    let world = World::start().await;
    let alice = world.person("alice", "1").await;
    let room = world.chat(&alice, PHONE).await;
    alice.write(&room, "!sms balance").await;
    is_told(&alice, &room, &["1 EUR"]).await;
    alice.write(&room, "balance").await;
    world.sim.gets(PHONE, "balance").await;
    assert_eq!(world.sim.texts(PHONE).await, ["balance"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bot_opens_a_conversation_by_number() {
    let world = World::start().await;
    let alice = world.person("alice", "1").await;
    let room = bot_room(&alice).await;
    alice
        .write(&room, "text +44 7700 900123 2 tickets, please")
        .await;
    world.sim.gets(PHONE, "2 tickets, please").await;
    let chat = alice.is_invited(&ghost(PHONE)).await;
    alice.join(&chat).await;
    alice
        .sees(&chat, "the text with its ✓", |timeline| {
            let mut shown = timeline.notices(&["2 tickets, please"]);
            shown.any(|notice| timeline.has_check(&ghost(PHONE), id(notice)))
        })
        .await;
    world.answer(PHONE, "Hello back").await;
    alice.hears(&chat, &ghost(PHONE), "Hello back").await;
}
