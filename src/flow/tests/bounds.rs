//! Who pays is told, what costs nothing to ask for is bounded, and nobody's credit is shown to others.

use std::time::Duration;

use super::world::*;
use crate::gateway::content;
use crate::matrix::fake::Op;

#[tokio::test]
async fn who_pays_for_phones_that_others_invited_is_told_at_the_first_text() {
    let mut world = World::new();
    world.top_up(ALICE, "1").await;
    world.top_up(BOB, "1").await;
    let room = world.group_room(&[PHONE, GERMAN]).await;
    for text in ["one", "two"] {
        world.says(&room, ALICE, text);
        world.says(&room, BOB, text);
        world.run().await;
    }
    world.deliver().await;
    assert_eq!(world.read(GERMAN).len(), 4);
    let words = world.only_words(&room, &ghost(PHONE));
    assert!(
        words.contains("0.12 EUR") && words.contains("+49") && words.contains("+44"),
        "{words}"
    );
    assert_eq!(world.words(&room, &ghost(GERMAN)), [""; 0]);
}

#[tokio::test]
async fn who_never_had_credit_is_told_a_few_times_and_then_by_status_alone() {
    let mut world = World::limited("unpaid_notices_per_hour = 2");
    let room = world.group_room(&[PHONE]).await;
    for text in ["one", "two", "three", "four"] {
        world.says(&room, BOB, text);
    }
    world.run().await;
    let words = world.words(&room, &ghost(PHONE));
    assert_eq!(words.len(), 2, "{words:?}");
    assert!(
        !words[0].contains("repeat") && words[1].contains("will not repeat this for an hour"),
        "{words:?}"
    );
    let statuses = world.events(&room, content::STATUS);
    assert_eq!(statuses.len(), 4);
    assert!(
        statuses
            .iter()
            .all(|one| one.content["status"] == "FAIL_PERMANENT")
    );
    world.after(Duration::from_hours(1)).await;
    world.says(&room, BOB, "five");
    world.run().await;
    assert_eq!(world.words(&room, &ghost(PHONE)).len(), 3);
}

#[tokio::test]
async fn who_has_spent_their_credit_is_told_once_per_message() {
    let mut world = World::limited("unpaid_notices_per_hour = 1");
    world.top_up(ALICE, "0.01").await;
    let room = world.direct_room(PHONE).await;
    for text in ["one", "two", "three"] {
        world.says(&room, ALICE, text);
    }
    world.run().await;
    assert_eq!(world.words(&room, &ghost(PHONE)).len(), 3);
}

#[tokio::test]
async fn a_relay_that_is_not_covered_shows_nobody_the_owners_credit() {
    let mut world = World::new();
    world.top_up(ALICE, "0.13").await;
    let room = world.group_room(&[PHONE, OTHER]).await;
    world.says(&room, ALICE, "hello");
    world.run().await;
    world.deliver().await;
    let number = world.phone(PHONE)[0].0.clone();
    world.texts(PHONE, &number, "hi all").await;
    world.run().await;
    let words = world.only_words(&room, &ghost(OTHER));
    assert!(
        words.contains("costs 0.05 EUR") && !words.contains("0.03"),
        "{words}"
    );
}

async fn bots_room(world: &mut World) -> ruma::OwnedRoomId {
    let room = world.room(ALICE);
    world.invite(&room, ALICE, &user(BOT), true);
    world.run().await;
    room
}

#[tokio::test]
async fn without_credit_the_text_command_makes_nothing() {
    let mut world = World::new();
    let room = bots_room(&mut world).await;
    let made = (
        world.home.count(Op::Register),
        world.home.count(Op::CreateRoom),
    );
    world.says(&room, ALICE, "text +447700900123 hello");
    world.says(&room, ALICE, "text +447700900123");
    world.run().await;
    let words = world.words(&room, &user(BOT)).split_off(1);
    assert_eq!(words.len(), 2, "{words:?}");
    assert!(
        words.iter().all(|words| words.contains("costs 0.05 EUR")),
        "{words:?}"
    );
    let now = (
        world.home.count(Op::Register),
        world.home.count(Op::CreateRoom),
    );
    assert_eq!(now, made);
    world.top_up(ALICE, "0.05").await;
    world.says(&room, ALICE, "text +447700900123 hello");
    world.run().await;
    world.deliver().await;
    assert_eq!(world.read(PHONE), ["hello"]);
}

#[tokio::test]
async fn the_text_command_makes_so_many_rooms_within_an_hour() {
    let mut world = World::limited("rooms_per_hour = 1");
    world.top_up(ALICE, "1").await;
    let room = bots_room(&mut world).await;
    for number in [PHONE, OTHER, PHONE] {
        world.says(&room, ALICE, &format!("text +{number}"));
        world.run().await;
    }
    assert_eq!(world.home.count(Op::CreateRoom), 1);
    let words = world.words(&room, &user(BOT));
    assert!(words[2].contains("No room was opened for +44"), "{words:?}");
    world.after(Duration::from_hours(1)).await;
    world.says(&room, ALICE, &format!("text +{OTHER}"));
    world.run().await;
    assert_eq!(world.home.count(Op::CreateRoom), 2);
}

#[tokio::test]
async fn so_many_phones_may_be_invited_within_an_hour_and_the_bot_says_so_once() {
    let mut world = World::limited("invites_per_hour = 1");
    let room = world.group_room(&[PHONE]).await;
    for digits in [OTHER, GERMAN] {
        world.invite(&room, ALICE, &ghost(digits), false);
        world.run().await;
        assert_eq!(world.membership(&room, &ghost(digits)), "invite");
    }
    let told = world.told_apart(ALICE);
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].contains("within an hour"), "{told:?}");
    assert_eq!(world.home.display_name(&ghost(OTHER)), None, "not made");
    world.invite(&room, BOB, &ghost(GERMAN), false);
    world.run().await;
    assert_eq!(world.membership(&room, &ghost(GERMAN)), "join");
}
