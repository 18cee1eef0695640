//! Ghosts are invited, declined, kicked, invited back.

use std::time::Duration;

use ruma::UserId;
use serde_json::json;

use super::world::*;
use crate::matrix::fake::Op;

#[tokio::test]
async fn an_invited_phone_is_made_once_named_and_joins() {
    let mut world = World::new();
    let first = world.direct_room(PHONE).await;
    let second = world.room(BOB);
    world.invite(&second, BOB, &ghost(PHONE), true);
    world.run().await;
    for room in [&first, &second] {
        assert_eq!(world.membership(room, &ghost(PHONE)), "join");
        assert_eq!(world.view(room).await.conversations.len(), 1);
    }
    assert_eq!(world.home.count(Op::Register), 1);
    let name = world.home.display_name(&ghost(PHONE));
    assert_eq!(name.as_deref(), Some("+44 7700 900123"));
}

#[tokio::test]
async fn a_room_with_a_phone_says_which_bridge_it_is_part_of() {
    let mut world = World::new();
    let room = world.direct_room(PHONE).await;
    let bridge = world.events(&room, "m.bridge");
    assert_eq!(bridge.len(), 1);
    assert_eq!(
        bridge[0].content["channel"]["displayname"],
        "+44 7700 900123"
    );
    assert_eq!(bridge[0].content["creator"], ALICE);
}

#[tokio::test]
async fn a_room_that_does_not_let_the_phone_set_state_works_all_the_same() {
    let mut world = World::new();
    let forbidden = crate::matrix::homeserver::MatrixError::refused(403, Some("M_FORBIDDEN"), None);
    world.home.fail_next(Op::SendState, forbidden);
    let room = world.direct_room(PHONE).await;
    assert_eq!(world.view(&room).await.conversations.len(), 1);
    assert_eq!(world.store.sizes().await.unwrap().set_aside, 0);
}

/// What a declined invitation says, in the room and as the reason of leaving.
async fn declined(localpart: &str) -> String {
    let mut world = World::new();
    let (room, name) = (world.room(ALICE), format!("@{localpart}:example.org"));
    let invited = UserId::parse(name).unwrap();
    world.invite(&room, ALICE, &invited, true);
    world.run().await;
    assert_eq!(world.membership(&room, &invited), "leave");
    let words = world.only_words(&room, &invited);
    assert_eq!(world.parting_words(&room, &invited), words);
    world.says(&room, ALICE, "hello?");
    world.run().await;
    assert_eq!(world.words(&room, &invited).len(), 1);
    words
}

#[tokio::test]
async fn a_malformed_number_is_declined_with_the_right_one() {
    for malformed in [
        ".tel.+447700900123",
        ".tel.00447700900123",
        ".tel.44-7700-900123",
    ] {
        let words = declined(malformed).await;
        assert!(words.contains("@.tel.447700900123:example.org"), "{words}");
    }
}

#[tokio::test]
async fn what_is_no_number_is_declined_with_the_reason() {
    assert!(declined(".tel.hello").await.contains("not a phone number"));
    assert!(declined(".tel.999123456789").await.contains("country"));
    assert!(declined(".tel.07700900123").await.contains("country code"));
}

#[tokio::test]
async fn a_number_without_a_route_is_declined_by_name() {
    let words = declined(".tel.14155550123").await;
    assert!(
        words.contains("no route") && words.contains("+1 415"),
        "{words}"
    );
}

#[tokio::test]
async fn an_own_number_is_declined() {
    for own in [FIRST_VMN, DEDICATED] {
        let words = declined(&format!(".tel.{own}")).await;
        assert!(words.contains("own numbers"), "{words}");
    }
}

#[tokio::test]
async fn a_number_that_was_dedicated_by_command_is_an_own_number_too() {
    let mut world = World::new();
    world.store.dedicate(OTHER, &user(BOB)).await.unwrap();
    let room = world.direct_room(OTHER).await;
    assert_eq!(world.membership(&room, &ghost(OTHER)), "leave");
    let words = world.only_words(&room, &ghost(OTHER));
    assert!(words.contains("own numbers"), "{words}");
}

#[tokio::test]
async fn a_sender_that_cannot_be_texted_is_declined() {
    let words = declined(".tel.=s12345").await;
    assert!(words.contains("cannot receive"), "{words}");
}

#[tokio::test]
async fn an_encrypted_room_is_told_and_left() {
    let mut world = World::new();
    let room = world.room(ALICE);
    world
        .home
        .set_state(&room, &user(ALICE), "m.room.encryption", "", json!({}));
    world.invite(&room, ALICE, &ghost(PHONE), true);
    world.run().await;
    assert_eq!(world.membership(&room, &ghost(PHONE)), "leave");
    assert!(world.only_words(&room, &ghost(PHONE)).contains("encrypted"));
}

#[tokio::test]
async fn a_room_that_becomes_encrypted_is_told_by_each_phone_once_and_left() {
    let mut world = World::new();
    let room = world.group_room(&[PHONE, GERMAN]).await;
    world
        .home
        .set_state(&room, &user(ALICE), "m.room.encryption", "", json!({}));
    world
        .home
        .say(&room, &user(ALICE), "m.room.encrypted", json!({}));
    world.run().await;
    for digits in [PHONE, GERMAN] {
        assert_eq!(world.membership(&room, &ghost(digits)), "leave");
        let words = world.only_words(&room, &ghost(digits));
        assert!(words.contains("encrypted"), "{words}");
    }
    assert!(world.is_quiet(&room).await);
}

#[tokio::test]
async fn kicking_the_phone_ends_the_conversation_and_rests_its_number() {
    let mut world = World::new();
    world.top_up(BOB, "1").await;
    let room = world.direct_room_of(BOB, PHONE).await;
    world.says(&room, BOB, "one");
    world.run().await;
    world.deliver().await;
    world.says(&room, BOB, "never sent");
    world.run().await;
    world.member(&room, BOB, &ghost(PHONE), "leave");
    world.run().await;
    world.deliver().await;
    assert_eq!(world.read(PHONE), ["one"]);
    assert_eq!(world.balance(BOB).await, "0.95");
    let leases = world.store.leases().await.unwrap();
    assert!(leases[0].cooling_until.is_some(), "{leases:?}");
    world.after(Duration::from_hours(2)).await;
    assert_eq!(world.store.leases().await.unwrap(), []);
}

#[tokio::test]
async fn inviting_the_phone_back_resumes_its_number() {
    let mut world = World::new();
    world.top_up(BOB, "1").await;
    world.top_up(CAROL, "1").await;
    let room = world.direct_room_of(BOB, PHONE).await;
    world.says(&room, BOB, "one");
    world.run().await;
    world.member(&room, BOB, &ghost(PHONE), "leave");
    world.run().await;
    let carols = world.room(CAROL);
    world.invite(&carols, CAROL, &ghost(PHONE), true);
    world.run().await;
    world.says(&carols, CAROL, "from Carol");
    world.run().await;
    world.invite(&room, BOB, &ghost(PHONE), true);
    world.run().await;
    world.says(&room, BOB, "two");
    world.run().await;
    world.deliver().await;
    let seen = world.phone(PHONE);
    assert_eq!(seen[0], (SECOND_VMN.to_owned(), "from Carol".to_owned()));
    assert_eq!(seen[1], (FIRST_VMN.to_owned(), "two".to_owned()));
}

#[tokio::test]
async fn a_newer_direct_room_takes_the_number_over_and_the_old_one_is_told_and_left() {
    let mut world = World::new();
    world.top_up(ALICE, "1").await;
    let old = world.direct_room(PHONE).await;
    world.says(&old, ALICE, "one");
    world.run().await;
    world.deliver().await;
    let new = world.direct_room(PHONE).await;
    world.says(&new, ALICE, "two");
    world.run().await;
    world.deliver().await;
    assert_eq!(world.membership(&old, &ghost(PHONE)), "leave");
    assert!(world.only_words(&old, &ghost(PHONE)).contains("newer room"));
    let one = (DEDICATED.to_owned(), "one".to_owned());
    assert_eq!(
        world.phone(PHONE),
        [one, (DEDICATED.to_owned(), "two".to_owned())]
    );
    world.texts(PHONE, DEDICATED, "hello").await;
    world.run().await;
    assert_eq!(world.only_words(&new, &ghost(PHONE)), "hello");
}

#[tokio::test]
async fn who_speaks_to_a_phone_that_could_not_leave_is_told_that_it_is_over() {
    let mut world = World::new();
    let room = world.direct_room(PHONE).await;
    let id = world.view(&room).await.conversations[0].id;
    let now = world.clock.now();
    world
        .store
        .end_conversation(id, Duration::from_hours(1), now)
        .await
        .unwrap();
    world.says(&room, ALICE, "are you there?");
    world.run().await;
    assert!(world.only_words(&room, &ghost(PHONE)).contains("has ended"));
    assert_eq!(world.membership(&room, &ghost(PHONE)), "leave");
}

#[tokio::test]
async fn an_invitation_that_was_taken_back_is_nothing() {
    let mut world = World::new();
    let room = world.room(ALICE);
    world.invite(&room, ALICE, &ghost(PHONE), true);
    world.feed().await;
    world.member(&room, ALICE, &ghost(PHONE), "leave");
    world.run().await;
    let sizes = world.store.sizes().await.unwrap();
    assert_eq!((sizes.inbox, sizes.set_aside), (0, 0));
    assert_eq!(world.membership(&room, &ghost(PHONE)), "leave");
}

#[tokio::test]
async fn an_event_that_comes_twice_is_handled_once() {
    let mut world = World::new();
    world.top_up(ALICE, "1").await;
    let room = world.direct_room(PHONE).await;
    let event = world.says(&room, ALICE, "hello");
    world.run().await;
    world.take_transaction(&[event.clone(), event]).await;
    world.run().await;
    world.deliver().await;
    assert_eq!(world.read(PHONE), ["hello"]);
    assert_eq!(world.balance(ALICE).await, "0.95");
}
