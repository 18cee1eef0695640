//! Rooms that are replaced, lost, or not what somebody says they are.

use ruma::{OwnedRoomId, RoomId};
use serde_json::json;

use super::world::*;
use crate::matrix::fake::Op;
use crate::matrix::homeserver::MatrixError;

/// Closes `old` in favour of a new room that says so, as a client's upgrade does.
fn upgrade(world: &World, old: &RoomId, who: &str) -> OwnedRoomId {
    let new = replica(world, old, who);
    let closed = json!({ "body": "replaced", "replacement_room": new });
    world
        .home
        .set_state(old, &user(who), "m.room.tombstone", "", closed);
    new
}

/// A room that says that it continues `old`.
fn replica(world: &World, old: &RoomId, who: &str) -> OwnedRoomId {
    let new = world.room(who);
    let origin = json!({ "predecessor": { "room_id": old } });
    world
        .home
        .set_state(&new, &user(who), "m.room.create", "", origin);
    new
}

#[tokio::test]
async fn a_conversation_goes_on_in_the_room_that_replaces_its_own() {
    let mut world = World::new();
    world.top_up(ALICE, "1").await;
    let old = world.group_room(&[PHONE]).await;
    world.says(&old, ALICE, "before");
    world.run().await;
    world.deliver().await;
    let new = upgrade(&world, &old, ALICE);
    world.run().await;
    let rooms = world.home.rooms();
    let bots = rooms.iter().find(|room| **room != old && **room != new);
    let told = world.only_words(bots.expect("the bot's room"), &user(BOT));
    assert!(told.contains("was replaced"), "{told}");
    world.invite(&new, ALICE, &ghost(PHONE), false);
    world.run().await;
    assert_eq!(world.membership(&old, &ghost(PHONE)), "leave");
    world.says(&new, ALICE, "after");
    world.run().await;
    world.deliver().await;
    let texts = world.phone(PHONE);
    assert_eq!(texts.len(), 2, "{texts:?}");
    assert_eq!(texts[0].0, texts[1].0, "the same number");
    world.texts(PHONE, &texts[0].0, "hello").await;
    world.run().await;
    assert_eq!(world.words(&new, &ghost(PHONE)), ["hello"]);
}

#[tokio::test]
async fn a_phone_that_may_enter_the_new_room_follows_by_itself() {
    let mut world = World::new();
    let old = world.group_room(&[PHONE]).await;
    let new = upgrade(&world, &old, ALICE);
    world.member(&new, ALICE, &ghost(PHONE), "invite");
    world.run().await;
    assert_eq!(world.membership(&new, &ghost(PHONE)), "join");
    assert_eq!(world.membership(&old, &ghost(PHONE)), "leave");
    assert_eq!(world.view(&new).await.conversations.len(), 1);
    assert!(world.is_quiet(&old).await);
}

#[tokio::test]
async fn a_stranger_cannot_draw_a_conversation_into_their_own_room() {
    let mut world = World::new();
    world.top_up(ALICE, "1").await;
    let room = world.group_room(&[PHONE]).await;
    let trap = replica(&world, &room, CAROL);
    world.invite(&trap, CAROL, &ghost(PHONE), false);
    world.run().await;
    world.says(&room, ALICE, "for one phone");
    world.run().await;
    world.deliver().await;
    let (number, _) = world.phone(PHONE).remove(0);
    world.texts(PHONE, &number, "for Alice").await;
    world.run().await;
    assert_eq!(world.words(&room, &ghost(PHONE)), ["for Alice"]);
    assert!(world.words(&trap, &ghost(PHONE)).is_empty());
}

#[tokio::test]
async fn a_message_that_only_claims_to_be_encrypted_ends_nothing() {
    let mut world = World::new();
    world.top_up(ALICE, "1").await;
    let room = world.direct_room(PHONE).await;
    world
        .home
        .say(&room, &user(CAROL), "m.room.encrypted", json!({}));
    world.run().await;
    let told = world.only_words(&room, &ghost(PHONE));
    assert!(told.contains("encrypted though this room is not"), "{told}");
    world.says(&room, ALICE, "still here");
    world.run().await;
    world.deliver().await;
    assert_eq!(world.read(PHONE), ["still here"]);
}

#[tokio::test]
async fn an_owner_who_is_faster_than_the_answer_to_the_rooms_creation_is_heard() {
    let mut world = World::new();
    world.top_up(ALICE, "1").await;
    world.home.lose_next_answer(Op::CreateRoom);
    world.texts(PHONE, DEDICATED, "hello").await;
    world.work_without_waiting().await;
    let [room] = &world.home.rooms()[..] else {
        panic!("one room was made");
    };
    world.join(room, ALICE);
    world.says(room, ALICE, "who is there?");
    world.work_without_waiting().await;
    assert_eq!(world.membership(room, &ghost(PHONE)), "join");
    world.run().await;
    world.deliver().await;
    assert_eq!(world.read(PHONE), ["who is there?"]);
    assert_eq!(world.words(room, &ghost(PHONE)), ["hello"]);
    assert_eq!(world.home.rooms().len(), 1);
}

#[tokio::test]
async fn a_ghost_that_the_homeserver_has_lost_is_made_again() {
    let mut world = World::new();
    world.top_up(ALICE, "1").await;
    let room = world.direct_room(PHONE).await;
    world.says(&room, ALICE, "hi");
    world.run().await;
    world.deliver().await;
    let (number, _) = world.phone(PHONE).remove(0);
    world.home.lose_user(&ghost(PHONE));
    world.texts(PHONE, &number, "hello").await;
    world.run().await;
    let rooms = world.home.rooms();
    let new = rooms.iter().find(|one| **one != room).expect("a new room");
    assert_eq!(world.words(new, &ghost(PHONE)), ["hello"]);
}

#[tokio::test]
async fn what_waits_for_a_silent_homeserver_is_said_as_soon_as_it_speaks() {
    let mut world = World::new();
    let room = world.direct_room(PHONE).await;
    world.texts(PHONE, DEDICATED, "hello").await;
    for _ in 0..2 {
        let silent = MatrixError::unanswered("timed out");
        world.home.fail_next(Op::Send, silent);
    }
    world.work_without_waiting().await;
    assert!(world.words(&room, &ghost(PHONE)).is_empty());
    world.says(&room, BOB, "");
    world.work_without_waiting().await;
    assert!(world.words(&room, &ghost(PHONE)).is_empty(), "silent still");
    world.says(&room, BOB, "");
    world.work_without_waiting().await;
    assert_eq!(world.words(&room, &ghost(PHONE))[0], "hello");
}
