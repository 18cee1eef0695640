//! The machine's clock is wrong for a while.

use std::time::Duration;

use super::super::sweep;
use super::world::*;
use crate::matrix::fake::Op;
use crate::matrix::homeserver::MatrixError;

const AHEAD: Duration = Duration::from_hours(2);

/// The clock is right again, and what falls due by it is done, for so long.
async fn set_back(world: &mut World, then: Duration) {
    world.clock.set_back(AHEAD);
    for wait in [Duration::ZERO, then] {
        world.clock.advance(wait);
        while sweep::look(&world.gateway).await.unwrap() {}
        world.work_without_waiting().await;
    }
}

#[tokio::test]
async fn a_text_that_was_throttled_while_the_clock_was_ahead_is_sent_soon() {
    let mut world = World::new();
    world.top_up(ALICE, "1").await;
    let room = world.direct_room(PHONE).await;
    world.clock.advance(AHEAD);
    world.says(&room, ALICE, "one");
    world.says(&room, ALICE, "two");
    world.run().await;
    let retry_at = world.clock.now().after(Duration::from_secs(5));
    world.answer_by_phone(|_| Some(retry_at)).await;
    set_back(&mut world, Duration::from_mins(5)).await;
    world.deliver().await;
    // The first one twice: it was throttled.
    assert_eq!(world.read(PHONE), ["one", "one", "two"]);
}

#[tokio::test]
async fn what_the_homeserver_did_not_take_while_the_clock_was_ahead_is_said_soon() {
    let mut world = World::new();
    world.top_up(ALICE, "1").await;
    let room = world.direct_room(PHONE).await;
    world.says(&room, ALICE, "hello");
    world.run().await;
    world.deliver().await;
    let number = world.phone(PHONE)[0].0.clone();
    world.clock.advance(AHEAD);
    for text in ["one", "two"] {
        world.texts(PHONE, &number, text).await;
    }
    world
        .home
        .fail_next(Op::Send, MatrixError::refused(502, None, None));
    world.work_without_waiting().await;
    assert!(world.words(&room, &ghost(PHONE)).is_empty());
    set_back(&mut world, Duration::from_mins(5)).await;
    assert_eq!(world.words(&room, &ghost(PHONE)), ["one", "two"]);
}
