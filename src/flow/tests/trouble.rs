//! Homeservers say no, slowly, or not at all.

use std::time::Duration;

use matrix_smpp_codec::values::MessageState as WireState;
use ruma::OwnedRoomId;

use super::world::*;
use crate::matrix::fake::Op;
use crate::matrix::homeserver::MatrixError;

fn forbidden() -> MatrixError {
    MatrixError::refused(403, Some("M_FORBIDDEN"), None)
}

async fn talking() -> (World, OwnedRoomId) {
    let mut world = World::new();
    world.top_up(ALICE, "1").await;
    let room = world.direct_room(PHONE).await;
    world.says(&room, ALICE, "hello");
    world.run().await;
    world.deliver().await;
    world.run().await;
    (world, room)
}

#[tokio::test]
async fn a_rate_limit_is_waited_for_and_the_order_kept() {
    let (mut world, room) = talking().await;
    let wait = Duration::from_secs(30);
    let slow = MatrixError::refused(429, Some("M_LIMIT_EXCEEDED"), Some(wait));
    world.home.fail_next(Op::Send, slow);
    for text in ["one", "two", "three"] {
        world.texts(PHONE, DEDICATED, text).await;
    }
    let start = world.clock.now();
    world.run().await;
    assert_eq!(world.words(&room, &ghost(PHONE)), ["one", "two", "three"]);
    assert!(world.clock.now() >= start.after(wait));
}

#[tokio::test]
async fn a_lane_waits_for_its_first_entry_and_other_lanes_do_not_wait_for_it() {
    let (mut world, room) = talking().await;
    let other = world.room(BOB);
    world.invite(&other, BOB, &user(BOT), true);
    world.run().await;
    let wait = Some(Duration::from_secs(30));
    let slow = MatrixError::refused(429, Some("M_LIMIT_EXCEEDED"), wait);
    world.home.fail_next(Op::Send, slow);
    world.texts(PHONE, DEDICATED, "one").await;
    world.texts(PHONE, DEDICATED, "two").await;
    world.work_without_waiting().await;
    world.says(&other, BOB, "help");
    world.work_without_waiting().await;
    assert_eq!(world.words(&room, &ghost(PHONE)).len(), 0, "the lane waits");
    assert_eq!(world.words(&other, &user(BOT)).len(), 2, "the bot does not");
    world.run().await;
    assert_eq!(world.words(&room, &ghost(PHONE)), ["one", "two"]);
}

#[tokio::test]
async fn a_poisoned_entry_is_set_aside_and_its_lane_goes_on() {
    let (mut world, room) = talking().await;
    world.home.fail_next(
        Op::Send,
        MatrixError::refused(400, Some("M_BAD_JSON"), None),
    );
    world.texts(PHONE, DEDICATED, "poison").await;
    world.texts(PHONE, DEDICATED, "two").await;
    world.run().await;
    assert_eq!(world.words(&room, &ghost(PHONE)), ["two"]);
    let sizes = world.store.sizes().await.unwrap();
    assert_eq!((sizes.set_aside, sizes.outbox), (1, 0));
}

#[tokio::test]
async fn an_event_that_cannot_be_read_stops_nothing() {
    let mut world = World::new();
    world.top_up(ALICE, "1").await;
    let room = world.direct_room(PHONE).await;
    world
        .home
        .say(&room, &user(ALICE), "m.room.message", serde_json::json!(7));
    world.says(&room, ALICE, "hello");
    world.run().await;
    world.deliver().await;
    assert_eq!(world.read(PHONE).last().map(String::as_str), Some("hello"));
    assert_eq!(world.store.sizes().await.unwrap().inbox, 0);
}

#[tokio::test]
async fn every_step_of_an_invitation_bears_a_homeserver_that_is_away_for_a_while() {
    for op in [
        Op::Register,
        Op::CreateDevice,
        Op::SetDisplayName,
        Op::Join,
        Op::RoomState,
        Op::SendState,
    ] {
        for error in [
            MatrixError::unanswered("timed out"),
            MatrixError::refused(502, None, None),
            MatrixError::refused(429, Some("M_LIMIT_EXCEEDED"), Some(Duration::from_secs(1))),
        ] {
            let mut world = World::new();
            world.home.fail_next(op, error.clone());
            world.home.fail_next(op, error);
            let room = world.direct_room(PHONE).await;
            assert_eq!(world.view(&room).await.conversations.len(), 1, "{op:?}");
        }
    }
}

#[tokio::test]
async fn every_step_of_first_contact_bears_a_homeserver_that_is_away_for_a_while() {
    for op in [Op::Register, Op::JoinedRooms, Op::CreateRoom, Op::Send] {
        let mut world = World::new();
        world
            .home
            .fail_next(op, MatrixError::refused(500, None, None));
        world.home.lose_next_answer(op);
        world.texts(PHONE, DEDICATED, "hello").await;
        world.run().await;
        let rooms = world.home.rooms();
        assert_eq!(rooms.len(), 1, "{op:?}");
        assert_eq!(world.words(&rooms[0], &ghost(PHONE)), ["hello"], "{op:?}");
    }
}

#[tokio::test]
async fn a_ghost_that_may_not_be_made_sets_one_event_aside_and_nothing_else() {
    let mut world = World::new();
    world.home.fail_next(
        Op::Register,
        MatrixError::refused(400, Some("M_EXCLUSIVE"), None),
    );
    let room = world.direct_room(PHONE).await;
    assert_eq!(world.store.sizes().await.unwrap().set_aside, 1);
    world.invite(&room, ALICE, &ghost(OTHER), false);
    world.run().await;
    assert_eq!(world.membership(&room, &ghost(OTHER)), "join");
}

#[tokio::test]
async fn a_room_whose_state_may_not_be_read_any_more_is_no_conversation() {
    let mut world = World::new();
    world.home.fail_next(Op::RoomState, forbidden());
    world.direct_room(PHONE).await;
    let sizes = world.store.sizes().await.unwrap();
    assert_eq!(sizes.inbox, 0);
}

#[tokio::test]
async fn a_stranger_room_among_the_ghosts_rooms_does_not_stop_first_contact() {
    let mut world = World::new();
    let bobs = world.room(BOB);
    world.invite(&bobs, BOB, &ghost(PHONE), false);
    world.run().await;
    world.home.fail_next(Op::RoomState, forbidden());
    world.texts(PHONE, DEDICATED, "hello").await;
    world.run().await;
    assert_eq!(world.home.rooms().len(), 2);
    assert_eq!(world.store.sizes().await.unwrap().set_aside, 0);
}

#[tokio::test]
async fn news_for_a_room_that_the_ghost_was_sent_out_of_are_let_go() {
    let (mut world, room) = talking().await;
    world.says(&room, ALICE, "again");
    world.run().await;
    world.deliver().await;
    world.home.fail_next(Op::Send, forbidden());
    world.run().await;
    let sizes = world.store.sizes().await.unwrap();
    assert_eq!((sizes.outbox, sizes.set_aside), (0, 0));
}

#[tokio::test]
async fn an_owner_who_may_not_be_invited_back_gets_a_new_room() {
    let (mut world, room) = talking().await;
    world.member(&room, ALICE, &user(ALICE), "leave");
    world.run().await;
    world.home.fail_next(Op::Invite, forbidden());
    world.texts(PHONE, DEDICATED, "come back").await;
    world.run().await;
    let rooms = world.home.rooms();
    assert_eq!(rooms.len(), 2);
    let new = rooms.iter().find(|one| **one != room).unwrap();
    assert_eq!(world.words(new, &ghost(PHONE)), ["come back"]);
}

#[tokio::test]
async fn a_homeserver_that_restarts_sees_nothing_twice() {
    let (mut world, room) = talking().await;
    world.home.lose_next_answer(Op::Send);
    world.texts(PHONE, DEDICATED, "hello").await;
    world.work_without_waiting().await;
    world.home.restart();
    world.run().await;
    assert_eq!(world.words(&room, &ghost(PHONE)), ["hello"]);
}

#[tokio::test]
async fn a_mark_for_an_event_of_a_room_that_was_replaced_is_let_go() {
    let (mut world, room) = talking().await;
    world.says(&room, ALICE, "again");
    world.run().await;
    world.home.fail_next(Op::Send, forbidden());
    world.texts(PHONE, DEDICATED, "hello").await;
    world.run().await;
    assert_eq!(world.home.rooms().len(), 2, "replaced");
    world.deliver().await;
    world.receipts(WireState::DELIVERED).await;
    world.run().await;
    assert_eq!(world.store.sizes().await.unwrap().set_aside, 0);
}

#[tokio::test]
async fn a_failure_that_the_room_cannot_hear_any_more_is_told_by_the_bot() {
    let (mut world, room) = talking().await;
    world.says(&room, ALICE, "again");
    world.run().await;
    world
        .answer(|_| crate::store::Outcome::Rejected { status: 0x0b })
        .await;
    world.home.fail_next(Op::Send, forbidden());
    world.run().await;
    let rooms = world.home.rooms();
    let bots = rooms.iter().find(|one| **one != room).expect("the bot's");
    let told = world.only_words(bots, &user(BOT));
    assert!(told.contains("+44 7700 900123"), "{told}");
    assert_eq!(world.membership(bots, &user(ALICE)), "invite");
}
