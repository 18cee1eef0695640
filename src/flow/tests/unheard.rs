//! What a room cannot hear, or what nobody asked for, is told to the person whom it concerns.

use super::world::*;
use crate::matrix::fake::Op;
use crate::matrix::homeserver::MatrixError;

fn forbidden() -> MatrixError {
    MatrixError::refused(403, Some("M_FORBIDDEN"), None)
}

async fn talking() -> (World, ruma::OwnedRoomId) {
    let mut world = World::new();
    world.top_up(ALICE, "1").await;
    world.top_up(BOB, "1").await;
    let room = world.direct_room(PHONE).await;
    (world, room)
}

#[tokio::test]
async fn what_a_kick_takes_back_is_refunded_and_told_once_by_the_bot() {
    let (mut world, room) = talking().await;
    for text in ["one", "two", "three"] {
        world.says(&room, ALICE, text);
    }
    world.run().await;
    world.member(&room, ALICE, &ghost(PHONE), "leave");
    world.run().await;
    world.deliver().await;
    assert_eq!(world.phone(PHONE), []);
    assert_eq!(world.balance(ALICE).await, "1");
    let told = world.told_apart(ALICE);
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(
        told[0].contains("+44 7700 900123") && told[0].contains("not sent"),
        "{told:?}"
    );
}

#[tokio::test]
async fn each_writer_of_a_group_hears_of_what_a_kick_takes_back() {
    let (mut world, _) = talking().await;
    let room = world.group_room(&[PHONE]).await;
    world.says(&room, ALICE, "one");
    world.says(&room, BOB, "two");
    world.run().await;
    world.member(&room, ALICE, &ghost(PHONE), "ban");
    world.run().await;
    assert_eq!(world.told_apart(ALICE).len(), 1);
    assert_eq!(world.told_apart(BOB).len(), 1);
    // A second end is told again.
    world.member(&room, ALICE, &ghost(PHONE), "leave");
    world.invite(&room, ALICE, &ghost(PHONE), false);
    world.run().await;
    world.says(&room, ALICE, "three");
    world.after(std::time::Duration::from_secs(1)).await;
    world.member(&room, ALICE, &ghost(PHONE), "leave");
    world.run().await;
    assert_eq!(world.told_apart(ALICE).len(), 2);
    assert_eq!(world.told_apart(BOB).len(), 1);
}

#[tokio::test]
async fn what_a_newer_room_takes_back_is_told_in_the_older_one_before_the_phone_leaves() {
    let (mut world, old) = talking().await;
    let waiting = world.says(&old, ALICE, "hello");
    world.run().await;
    world.direct_room(PHONE).await;
    assert_eq!(world.balance(ALICE).await, "1");
    let words = world.words(&old, &ghost(PHONE));
    assert_eq!(words.len(), 2, "{words:?}");
    assert!(words[0].contains("Not sent to +44"), "{words:?}");
    assert!(words[1].contains("newer room"), "{words:?}");
    let notices = world.home.messages(&old);
    let reply = notices.iter().find(|one| one.sender == ghost(PHONE));
    let relation = &reply.unwrap().content["m.relates_to"];
    assert_eq!(
        relation["m.in_reply_to"]["event_id"],
        waiting.event_id.as_str()
    );
    assert_eq!(world.told_apart(ALICE).len(), 0);
}

#[tokio::test]
async fn what_its_writer_took_back_is_told_as_the_answer_to_that_alone() {
    let (mut world, room) = talking().await;
    let first = world.says(&room, ALICE, "one");
    let second = world.says(&room, ALICE, "two");
    world.run().await;
    world.redacts(&room, ALICE, &first);
    world.edits(&room, ALICE, &second, "three");
    world.run().await;
    let words = world.only_words(&room, &ghost(PHONE));
    assert!(words.starts_with("Cancelled"), "{words}");
}

#[tokio::test]
async fn a_text_of_another_phone_that_a_kick_takes_back_is_told_to_who_pays() {
    let (mut world, _) = talking().await;
    let room = world.group_room(&[PHONE, OTHER]).await;
    world.says(&room, ALICE, "hello");
    world.run().await;
    world.deliver().await;
    let number = world.phone(PHONE)[0].0.clone();
    world.texts(PHONE, &number, "hi all").await;
    world.run().await;
    world.member(&room, BOB, &ghost(OTHER), "leave");
    world.run().await;
    let told = world.told_apart(ALICE);
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].contains("other phones"), "{told:?}");
}

#[tokio::test]
async fn a_refusal_that_the_room_cannot_hear_is_told_to_its_writer() {
    let (mut world, _) = talking().await;
    let room = world.group_room(&[PHONE]).await;
    world.join(&room, CAROL);
    world.run().await;
    world.says(&room, CAROL, "hello");
    world.home.fail_next(Op::Send, forbidden());
    world.run().await;
    let told = world.told_apart(CAROL);
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].contains("Not sent to +44"), "{told:?}");
}

#[tokio::test]
async fn a_refusal_that_is_told_apart_names_its_phone() {
    let (mut world, room) = talking().await;
    world.says(&room, ALICE, "");
    world.home.fail_next(Op::Send, forbidden());
    world.run().await;
    let told = world.told_apart(ALICE);
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].contains("+44 7700 900123"), "{told:?}");
}

#[tokio::test]
async fn an_answer_that_the_room_cannot_hear_is_told_to_who_asked() {
    let (mut world, room) = talking().await;
    world.says(&room, ALICE, "!sms balance");
    world.home.fail_next(Op::Send, forbidden());
    world.run().await;
    assert_eq!(world.told_apart(ALICE), ["Your credit is 1 EUR."]);
}

#[tokio::test]
async fn a_farewell_that_the_older_room_cannot_hear_is_told_to_the_owner() {
    let (mut world, _) = talking().await;
    let room = world.room(ALICE);
    world.invite(&room, ALICE, &ghost(PHONE), true);
    world.home.fail_next(Op::Send, forbidden());
    world.run().await;
    let told = world.told_apart(ALICE);
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].contains("newer room"), "{told:?}");
}
