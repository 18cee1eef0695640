//! What cannot be handled is told to somebody, once, and can be tried again.

use super::world::*;
use crate::matrix::fake::Op;
use crate::matrix::homeserver::MatrixError;
use crate::store::{Aside, AsideId};

fn permanent() -> MatrixError {
    MatrixError::refused(400, Some("M_BAD_JSON"), None)
}

async fn talking() -> (World, ruma::OwnedRoomId) {
    let mut world = World::new();
    world.top_up(ALICE, "1").await;
    let room = world.direct_room(PHONE).await;
    world.says(&room, ALICE, "hello");
    world.run().await;
    world.deliver().await;
    world.run().await;
    (world, room)
}

async fn aside(world: &World) -> Vec<Aside> {
    world.store.aside(10).await.unwrap()
}

/// As the admin's command does.
async fn retry(world: &mut World, id: AsideId) {
    let now = world.clock.now();
    assert!(world.store.retry_aside(id, now).await.unwrap());
    world.run().await;
}

#[tokio::test]
async fn an_invitation_that_is_set_aside_is_told_apart_and_can_be_tried_again() {
    let mut world = World::new();
    world.home.fail_next(
        Op::Register,
        MatrixError::refused(400, Some("M_EXCLUSIVE"), None),
    );
    let room = world.direct_room(PHONE).await;
    let aside = aside(&world).await;
    let told = world.told_apart(ALICE);
    assert_eq!((aside.len(), told.len()), (1, 1), "{told:?}");
    assert!(told[0].contains(&format!("(Report {})", aside[0].id)));
    retry(&mut world, aside[0].id).await;
    assert_eq!(world.membership(&room, &ghost(PHONE)), "join");
    assert_eq!(world.told_apart(ALICE).len(), 1);
}

#[tokio::test]
async fn a_text_that_is_set_aside_is_told_to_the_owner_and_can_be_shown_again() {
    let (mut world, room) = talking().await;
    world.home.fail_next(Op::Send, permanent());
    world.texts(PHONE, DEDICATED, "poison").await;
    world.texts(PHONE, DEDICATED, "two").await;
    world.run().await;
    assert_eq!(world.words(&room, &ghost(PHONE)), ["two"]);
    let told = world.told_apart(ALICE);
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(
        told[0].contains("+44 7700 900123") && !told[0].contains("poison"),
        "{told:?}"
    );
    let id = aside(&world).await[0].id;
    retry(&mut world, id).await;
    assert_eq!(world.words(&room, &ghost(PHONE)), ["two", "poison"]);
    assert_eq!(aside(&world).await, []);
}

#[tokio::test]
async fn what_is_set_aside_again_is_told_again() {
    let (mut world, _) = talking().await;
    world.home.fail_next(Op::Send, permanent());
    world.texts(PHONE, DEDICATED, "poison").await;
    world.run().await;
    world.after(std::time::Duration::from_secs(1)).await;
    world.home.fail_next(Op::Send, permanent());
    let id = aside(&world).await[0].id;
    retry(&mut world, id).await;
    assert_eq!(world.told_apart(ALICE).len(), 2);
}

#[tokio::test]
async fn a_refusal_that_is_set_aside_is_told_apart_with_its_words() {
    let mut world = World::new();
    let room = world.direct_room(PHONE).await;
    world.home.fail_next(Op::Send, permanent());
    world.says(&room, ALICE, "hello");
    world.run().await;
    let told = world.told_apart(ALICE);
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(
        told[0].contains("Not sent to +44") && told[0].contains("(Report o"),
        "{told:?}"
    );
}

#[tokio::test]
async fn a_failure_that_is_set_aside_is_told_apart_and_a_mark_is_not() {
    let (mut world, room) = talking().await;
    world.says(&room, ALICE, "again");
    world.run().await;
    world
        .answer(|_| crate::store::Outcome::Rejected { status: 0x0b })
        .await;
    world.home.fail_next(Op::Send, permanent());
    world.run().await;
    let told = world.told_apart(ALICE);
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].contains("Not delivered to +44"), "{told:?}");
}

#[tokio::test]
async fn telling_ends_where_nobody_can_be_told() {
    let (mut world, _) = talking().await;
    for _ in 0..3 {
        world.home.fail_next(Op::Send, permanent());
    }
    world.texts(PHONE, DEDICATED, "poison").await;
    world.run().await;
    let about: Vec<_> = aside(&world)
        .await
        .into_iter()
        .map(|one| one.about)
        .collect();
    assert_eq!(about, ["sms_text", "tell_owner"]);
    assert_eq!(world.store.sizes().await.unwrap().outbox, 0);
}

#[tokio::test]
async fn an_answer_that_is_set_aside_is_told_apart() {
    let (mut world, room) = talking().await;
    world.home.fail_next(Op::Send, permanent());
    world.says(&room, ALICE, "!sms balance");
    world.run().await;
    let told = world.told_apart(ALICE);
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].starts_with("Your credit is"), "{told:?}");
}
