//! What became of a message, as the room sees it.

use std::time::Duration;

use matrix_smpp_codec::values::MessageState as WireState;

use super::super::front::is_own_echo;
use super::world::*;
use crate::store::Outcome;

#[test]
fn what_homeservers_bring_back_of_our_own_words_asks_for_nothing() {
    let world = World::new();
    let own = |sender: &str, kind: &str| {
        let event = serde_json::json!({ "sender": sender, "type": kind, "content": {} });
        is_own_echo(&world.gateway, &event.to_string())
    };
    let phone = ghost(PHONE);
    for kind in ["m.room.message", "m.reaction", STATUS] {
        assert!(own(phone.as_str(), kind) && own(BOT, kind), "{kind}");
        assert!(!own(ALICE, kind), "{kind}");
    }
    assert!(!own(phone.as_str(), "m.room.member"));
    assert!(!is_own_echo(&world.gateway, "no JSON"));
}

const STATUS: &str = "com.beeper.message_send_status";

#[tokio::test]
async fn the_mark_comes_with_the_receipt() {
    let mut world = World::new();
    world.top_up(ALICE, "1").await;
    let room = world.direct_room(PHONE).await;
    let event = world.says(&room, ALICE, "hello");
    world.run().await;
    world.deliver().await;
    world.run().await;
    assert_eq!(world.events(&room, "m.reaction").len(), 0);
    assert_eq!(world.events(&room, STATUS).len(), 1);
    world.receipts(WireState::DELIVERED).await;
    world.run().await;
    let marks = world.events(&room, "m.reaction");
    assert_eq!(marks.len(), 1);
    assert_eq!(marks[0].sender, ghost(PHONE));
    assert_eq!(
        marks[0].content["m.relates_to"]["event_id"],
        event.event_id.as_str()
    );
    let status = world.events(&room, STATUS);
    assert_eq!(status.len(), 2);
    assert_eq!(
        status[1].content["delivered_to_users"][0],
        ghost(PHONE).as_str()
    );
    world.receipts(WireState::DELIVERED).await;
    world.run().await;
    assert_eq!(world.events(&room, "m.reaction").len(), 1);
}

#[tokio::test]
async fn the_mark_comes_with_the_answer_where_no_receipt_is_expected() {
    let mut world = World::new();
    world.top_up(ALICE, "1").await;
    let room = world.direct_room(GERMAN).await;
    world.says(&room, ALICE, "hello");
    world.run().await;
    world.deliver().await;
    world.run().await;
    assert_eq!(world.events(&room, "m.reaction").len(), 1);
    world.receipts(WireState::DELIVERED).await;
    world.run().await;
    assert_eq!(
        world.events(&room, "m.reaction").len(),
        1,
        "a homeserver refuses a second one"
    );
    assert_eq!(world.store.sizes().await.unwrap().set_aside, 0);
}

#[tokio::test]
async fn in_a_group_each_phone_marks_for_itself() {
    let mut world = World::new();
    world.top_up(ALICE, "1").await;
    let room = world.group_room(&[PHONE, OTHER]).await;
    world.says(&room, ALICE, "hello");
    world.run().await;
    world.deliver().await;
    world.receipts(WireState::DELIVERED).await;
    world.run().await;
    let mut marked: Vec<_> = world
        .events(&room, "m.reaction")
        .into_iter()
        .map(|mark| mark.sender)
        .collect();
    marked.sort();
    assert_eq!(marked, [ghost(PHONE), ghost(OTHER)]);
}

#[tokio::test]
async fn a_failure_is_a_reply_with_the_phone_the_reason_and_the_message_id() {
    let mut world = World::new();
    world.top_up(ALICE, "1").await;
    let room = world.direct_room(PHONE).await;
    let event = world.says(&room, ALICE, "hello");
    world.run().await;
    world.deliver().await;
    world.receipts(WireState::UNDELIVERABLE).await;
    world.run().await;
    let notice = world.events(&room, "m.room.message").pop().unwrap();
    assert_eq!(notice.content["msgtype"], "m.notice");
    let reply = &notice.content["m.relates_to"]["m.in_reply_to"]["event_id"];
    assert_eq!(reply, event.event_id.as_str());
    let message = world.messages(&event).await;
    let words = world.words(&room, &ghost(PHONE)).remove(0);
    assert!(words.contains("+44 7700 900123"), "{words}");
    assert!(words.contains(&message[0].id.to_string()), "{words}");
    assert_eq!(world.events(&room, "m.reaction").len(), 0);
    let status = world.events(&room, STATUS).pop().unwrap();
    assert_eq!(status.content["status"], "FAIL_PERMANENT");
}

#[tokio::test]
async fn a_long_message_is_marked_once_when_all_of_it_has_arrived() {
    let mut world = World::new();
    world.top_up(ALICE, "1").await;
    let room = world.direct_room(PHONE).await;
    world.says(&room, ALICE, &"x".repeat(400));
    world.run().await;
    world.deliver().await;
    world.receipts(WireState::DELIVERED).await;
    world.run().await;
    assert_eq!(world.events(&room, "m.reaction").len(), 1);
    assert_eq!(world.balance(ALICE).await, "0.85");
}

#[tokio::test]
async fn a_message_that_could_not_be_sent_in_its_time_is_told_and_refunded() {
    let mut world = World::new();
    world.top_up(ALICE, "1").await;
    let room = world.direct_room(PHONE).await;
    world.says(&room, ALICE, "hello");
    world.run().await;
    world.after(Duration::from_hours(25)).await;
    assert!(world.only_words(&room, &ghost(PHONE)).contains("in time"));
    assert_eq!(world.balance(ALICE).await, "1");
}

#[tokio::test]
async fn a_message_without_an_answer_is_told_when_the_hold_ends() {
    let mut world = World::new();
    world.top_up(ALICE, "1").await;
    let room = world.direct_room(PHONE).await;
    world.says(&room, ALICE, "hello");
    world.run().await;
    world.answer(|_| Outcome::Uncertain).await;
    world.run().await;
    assert_eq!(world.words(&room, &ghost(PHONE)).len(), 0);
    world.after(Duration::from_mins(11)).await;
    assert!(world.only_words(&room, &ghost(PHONE)).contains("unknown"));
}

#[tokio::test]
async fn what_a_ghost_says_or_does_is_not_sent_back_to_phones() {
    let mut world = World::new();
    world.top_up(ALICE, "1").await;
    let room = world.direct_room(PHONE).await;
    world.says(&room, ALICE, "hello");
    world.run().await;
    world.deliver().await;
    world.receipts(WireState::DELIVERED).await;
    world.texts(PHONE, DEDICATED, "hi there").await;
    world.run().await;
    world.deliver().await;
    assert_eq!(world.read(PHONE), ["hello"]);
    assert_eq!(world.words(&room, &ghost(PHONE)), ["hi there"]);
}
