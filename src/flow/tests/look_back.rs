//! What the homeserver has in a room and never brought is found there, once.

use std::time::Duration;

use ruma::OwnedRoomId;

use super::world::*;
use crate::matrix::fake::{FakeEvent, Op};
use crate::matrix::homeserver::{Homeserver as _, MatrixError};

async fn talking() -> (World, OwnedRoomId) {
    let mut world = World::limited("retry_first = \"10ms\"");
    world.top_up(ALICE, "1").await;
    let room = world.direct_room(PHONE).await;
    world.says(&room, ALICE, "before");
    world.run().await;
    world.deliver().await;
    (world, room)
}

/// Time passes at the homeserver too.
fn wait(world: &World, time: Duration) {
    world.clock.advance(time);
    world.home.tell_time(world.clock.now());
}

#[tokio::test]
async fn what_was_never_brought_is_sent_in_its_order_and_once() {
    let (mut world, room) = talking().await;
    for body in ["one", "two", "three"] {
        world.says(&room, ALICE, body);
    }
    world.forget();
    world.says(&room, ALICE, "after");
    world.run().await;
    world.deliver().await;
    assert_eq!(world.read(PHONE), ["before", "after"]);
    assert_eq!(world.look_back().await, 3);
    world.deliver().await;
    assert_eq!(
        world.read(PHONE),
        ["before", "after", "one", "two", "three"]
    );
    assert_eq!(world.look_back().await, 0);
    assert_eq!(world.balance(ALICE).await, "0.75");
    let text = world.gateway.metrics.render();
    assert!(text.contains("read_back_events_total 3"), "{text}");
}

#[tokio::test]
async fn what_comes_by_a_transaction_after_all_is_sent_once() {
    let (mut world, room) = talking().await;
    let late = world.says(&room, ALICE, "late");
    world.forget();
    assert_eq!(world.look_back().await, 1);
    world.take_transaction(&[late]).await;
    world.run().await;
    world.deliver().await;
    assert_eq!(world.read(PHONE), ["before", "late"]);
}

#[tokio::test]
async fn a_gap_is_found_behind_many_pages_of_what_is_known() {
    let (mut world, room) = talking().await;
    world.says(&room, ALICE, "lost");
    world.forget();
    for number in 0..12 {
        let nothing = serde_json::json!({ "number": number });
        world.home.say(&room, &user(BOB), "m.nothing", nothing);
    }
    world.run().await;
    assert_eq!(world.look_back().await, 1);
    world.deliver().await;
    assert_eq!(world.read(PHONE), ["before", "lost"]);
}

#[tokio::test]
async fn a_second_reading_goes_no_further_back_than_the_first_began() {
    let (mut world, room) = talking().await;
    for _ in 0..40 {
        world
            .home
            .say(&room, &user(BOB), "m.nothing", serde_json::json!({}));
    }
    world.run().await;
    wait(&world, Duration::from_hours(1));
    let gateway = world.gateway.clone();
    let pages = |world: &World| world.home.count(Op::History);
    let name = world.home.name().to_owned();
    let mut watch = World::watch(&gateway, &name);
    watch.read_all().await;
    let first = pages(&world);
    assert!(first > 5, "{first}");
    wait(&world, Duration::from_hours(1));
    watch.read_all().await;
    assert_eq!(pages(&world), first + 1);
}

#[tokio::test]
async fn what_was_said_before_the_phone_was_there_is_not_sent() {
    let mut world = World::new();
    world.top_up(ALICE, "1").await;
    let room = world.room(ALICE);
    world.says(&room, ALICE, "not for phones");
    world.invite(&room, ALICE, &ghost(PHONE), true);
    world.run().await;
    assert_eq!(world.look_back().await, 0);
    world.deliver().await;
    assert!(world.read(PHONE).is_empty());
}

#[tokio::test]
async fn what_was_said_while_the_phone_was_away_is_not_sent() {
    let (mut world, room) = talking().await;
    world.member(&room, ALICE, &ghost(PHONE), "leave");
    world.run().await;
    world.says(&room, ALICE, "behind its back");
    world.invite(&room, ALICE, &ghost(PHONE), true);
    world.run().await;
    assert_eq!(world.look_back().await, 0);
    world.deliver().await;
    assert_eq!(world.read(PHONE), ["before"]);
}

#[tokio::test]
async fn what_is_too_old_or_not_yet_said_is_left() {
    let (mut world, room) = talking().await;
    world.says(&room, ALICE, "yesterday");
    wait(&world, Duration::from_hours(25));
    world.says(&room, ALICE, "today");
    wait(&world, Duration::from_hours(30));
    world.says(&room, ALICE, "the day after tomorrow");
    world.forget();
    wait(&world, Duration::ZERO);
    // Our clock is where "today" was said.
    world.clock.set_back(Duration::from_hours(30));
    assert_eq!(world.look_back().await, 1);
    world.deliver().await;
    assert_eq!(world.read(PHONE), ["before", "today"]);
}

#[tokio::test]
async fn a_kick_that_was_never_told_ends_the_conversation() {
    let (mut world, room) = talking().await;
    world.member(&room, ALICE, &ghost(PHONE), "leave");
    world.forget();
    assert!(!world.is_quiet(&room).await);
    assert_eq!(world.look_back().await, 1);
    assert!(world.is_quiet(&room).await);
}

#[tokio::test]
async fn the_phone_that_stayed_reads_what_came_after_the_other_left() {
    for gone in [PHONE, OTHER] {
        let mut world = World::new();
        world.top_up(ALICE, "1").await;
        let room = world.group_room(&[PHONE, OTHER]).await;
        world.member(&room, ALICE, &ghost(gone), "leave");
        world.says(&room, ALICE, "hello");
        world.forget();
        assert_eq!(world.look_back().await, 2, "{gone}");
        world.deliver().await;
        let stayed = if gone == PHONE { OTHER } else { PHONE };
        assert_eq!(world.read(stayed).len(), 1, "{gone}");
        assert!(world.read(gone).is_empty(), "{gone}");
    }
}

#[tokio::test]
async fn a_command_to_the_bot_is_found_too() {
    let mut world = World::new();
    let room = world.room(ALICE);
    world.invite(&room, ALICE, &user(BOT), true);
    world.run().await;
    let greeted = world.words(&room, &user(BOT)).len();
    world.says(&room, ALICE, "balance");
    world.forget();
    assert_eq!(world.look_back().await, 1);
    assert_eq!(world.words(&room, &user(BOT)).len(), greeted + 1);
}

#[tokio::test]
async fn a_homeserver_that_fails_for_a_while_is_asked_again() {
    let (mut world, room) = talking().await;
    world.says(&room, ALICE, "lost");
    world.forget();
    for _ in 0..3 {
        let error = MatrixError::refused(500, None, None);
        world.home.fail_next(Op::History, error);
    }
    assert_eq!(world.look_back().await, 1);
    world.deliver().await;
    assert_eq!(world.read(PHONE), ["before", "lost"]);
}

#[tokio::test]
async fn a_room_that_cannot_be_read_keeps_nobody_else_waiting() {
    let (mut world, first) = talking().await;
    let second = world.direct_room(OTHER).await;
    let said = [(&first, "one"), (&second, "two")];
    let said = said.map(|(room, body)| -> FakeEvent { world.says(room, ALICE, body) });
    world.forget();
    for _ in 0..5 {
        let error = MatrixError::refused(500, None, None);
        world.home.fail_next(Op::History, error);
    }
    assert_eq!(world.look_back().await, said.len() - 1);
    assert_eq!(world.look_back().await, 1);
}
