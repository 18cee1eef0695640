//! Phones talk to people, and to other phones.

use std::time::Duration;

use super::world::*;
use crate::gateway::model::SmsId;
use crate::matrix::fake::Op;
use crate::store::{Lane, NewOutbox, OutboxItem, SmsTaken};

/// Alice's room with a phone that has been texted once, from [`DEDICATED`].
async fn talking() -> (World, ruma::OwnedRoomId) {
    let mut world = World::new();
    world.top_up(ALICE, "1").await;
    let room = world.direct_room(PHONE).await;
    world.says(&room, ALICE, "hello");
    world.run().await;
    world.deliver().await;
    (world, room)
}

#[tokio::test]
async fn a_text_to_the_leased_number_is_said_in_the_room() {
    let (mut world, room) = talking().await;
    world.texts(PHONE, DEDICATED, "one").await;
    world.texts(PHONE, DEDICATED, "two 👨‍👩‍👧").await;
    world.run().await;
    assert_eq!(world.words(&room, &ghost(PHONE)), ["one", "two 👨‍👩‍👧"]);
    assert_eq!(world.balance(ALICE).await, "0.95");
}

#[tokio::test]
async fn a_text_without_words_is_named_as_one_instead_of_an_empty_line() {
    let (mut world, room) = talking().await;
    world.texts(PHONE, DEDICATED, "").await;
    world.run().await;
    assert_eq!(world.only_words(&room, &ghost(PHONE)), "(an empty text)");
}

#[tokio::test]
async fn a_text_from_a_phone_without_a_lease_goes_nowhere() {
    let (world, _room) = talking().await;
    assert_eq!(
        world.texts(OTHER, FIRST_VMN, "hello?").await,
        SmsTaken::NotLeased
    );
}

#[tokio::test]
async fn first_contact_on_a_dedicated_number_makes_the_room_and_invites_the_owner() {
    let mut world = World::new();
    world.texts(PHONE, DEDICATED, "hello Alice").await;
    world.texts(PHONE, DEDICATED, "are you there?").await;
    world.run().await;
    let rooms = world.home.rooms();
    assert_eq!(rooms.len(), 1);
    assert_eq!(world.membership(&rooms[0], &user(ALICE)), "invite");
    assert_eq!(
        world.words(&rooms[0], &ghost(PHONE)),
        ["hello Alice", "are you there?"]
    );
    let name = world.home.display_name(&ghost(PHONE));
    assert_eq!(name.as_deref(), Some("+44 7700 900123"));
}

#[tokio::test]
async fn an_answer_to_first_contact_comes_from_the_number_that_was_texted() {
    let mut world = World::new();
    world.top_up(ALICE, "1").await;
    world.texts(PHONE, DEDICATED, "hello Alice").await;
    world.run().await;
    let room = world.home.rooms().remove(0);
    world.join(&room, ALICE);
    world.says(&room, ALICE, "hello you");
    world.run().await;
    world.deliver().await;
    assert_eq!(
        world.phone(PHONE),
        [(DEDICATED.to_owned(), "hello you".to_owned())]
    );
}

#[tokio::test]
async fn senders_that_are_no_numbers_have_rooms_of_their_own_and_cannot_be_answered() {
    for (sender, name) in [
        ("=s12321", "12321 (unverified)"),
        ("=a4d7942616e6b", "MyBank (unverified)"),
    ] {
        let mut world = World::new();
        world.top_up(ALICE, "1").await;
        world.texts(sender, DEDICATED, "your code is 1234").await;
        world.run().await;
        let room = world.home.rooms().remove(0);
        assert_eq!(world.words(&room, &ghost(sender)), ["your code is 1234"]);
        assert_eq!(
            world.home.display_name(&ghost(sender)).as_deref(),
            Some(name)
        );
        world.join(&room, ALICE);
        world.says(&room, ALICE, "thanks");
        world.run().await;
        let words = world.words(&room, &ghost(sender));
        assert!(words[1].contains("cannot receive"), "{words:?}");
        assert_eq!(world.balance(ALICE).await, "1");
    }
}

#[tokio::test]
async fn an_owner_who_left_is_invited_again() {
    let (mut world, room) = talking().await;
    world.member(&room, ALICE, &user(ALICE), "leave");
    world.run().await;
    world.texts(PHONE, DEDICATED, "come back").await;
    world.run().await;
    assert_eq!(world.membership(&room, &user(ALICE)), "invite");
    assert_eq!(world.words(&room, &ghost(PHONE)), ["come back"]);
    assert_eq!(world.home.rooms().len(), 1);
}

#[tokio::test]
async fn a_room_that_is_gone_is_replaced_by_a_new_one() {
    let (mut world, room) = talking().await;
    world.run().await;
    // The gateway finds out when it speaks.
    let forbidden = crate::matrix::homeserver::MatrixError::refused(403, Some("M_FORBIDDEN"), None);
    world.home.fail_next(Op::Send, forbidden);
    world.texts(PHONE, DEDICATED, "anybody?").await;
    world.run().await;
    let new = world
        .home
        .rooms()
        .into_iter()
        .find(|one| *one != room)
        .expect("a new room");
    assert_eq!(world.words(&new, &ghost(PHONE)), ["anybody?"]);
    assert_eq!(world.membership(&new, &user(ALICE)), "invite");
    world.texts(PHONE, DEDICATED, "hello?").await;
    world.run().await;
    assert_eq!(world.words(&new, &ghost(PHONE)), ["anybody?", "hello?"]);
    assert_eq!(world.home.rooms().len(), 2);
}

#[tokio::test]
async fn a_text_in_a_group_reaches_the_other_phones_once_paid_by_the_owner_of_their_conversation() {
    let mut world = World::new();
    world.top_up(ALICE, "1").await;
    world.top_up(BOB, "1").await;
    let room = world.room(ALICE);
    world.join(&room, BOB);
    world.invite(&room, ALICE, &ghost(PHONE), false);
    world.invite(&room, BOB, &ghost(GERMAN), false);
    world.run().await;
    world.says(&room, ALICE, "hello");
    world.run().await;
    world.deliver().await;
    assert_eq!(world.balance(ALICE).await, "0.88");
    world.texts(PHONE, DEDICATED, "hi all").await;
    world.run().await;
    world.deliver().await;
    assert_eq!(
        world.read(GERMAN),
        ["alice: hello", "+44 7700 900123: hi all"]
    );
    assert_eq!(world.read(PHONE), ["alice: hello"]);
    assert_eq!(world.words(&room, &ghost(PHONE)), ["hi all"]);
    assert_eq!(world.balance(ALICE).await, "0.88");
    assert_eq!(world.balance(BOB).await, "0.93");
}

#[tokio::test]
async fn a_relay_that_nobody_can_pay_is_told_in_the_room() {
    let mut world = World::new();
    world.top_up(ALICE, "0.12").await;
    let room = world.group_room(&[PHONE, GERMAN]).await;
    world.says(&room, ALICE, "hello");
    world.run().await;
    world.deliver().await;
    world.texts(PHONE, DEDICATED, "hi all").await;
    world.run().await;
    world.deliver().await;
    assert_eq!(world.read(GERMAN), ["alice: hello"]);
    let words = world.only_words(&room, &ghost(GERMAN));
    assert!(words.contains("costs 0.07 EUR"), "{words}");
    assert_eq!(world.words(&room, &ghost(PHONE)), ["hi all"]);
}

#[tokio::test]
async fn a_relay_that_fails_is_told_without_being_a_reply() {
    use crate::store::Outcome;
    let mut world = World::new();
    world.top_up(ALICE, "1").await;
    let room = world.group_room(&[PHONE, GERMAN]).await;
    world.says(&room, ALICE, "hello");
    world.run().await;
    world.deliver().await;
    world.texts(PHONE, DEDICATED, "hi all").await;
    world.run().await;
    world.answer(|_| Outcome::Rejected { status: 0x0b }).await;
    world.run().await;
    let words = world.only_words(&room, &ghost(GERMAN));
    assert!(
        words.contains("another phone") && words.contains("+49"),
        "{words}"
    );
}

#[tokio::test]
async fn a_late_text_on_a_cooling_number_goes_to_the_old_owner_through_the_bot() {
    let mut world = World::new();
    world.top_up(BOB, "1").await;
    let room = world.room(BOB);
    world.invite(&room, BOB, &ghost(PHONE), true);
    world.run().await;
    world.says(&room, BOB, "hello");
    world.run().await;
    world.deliver().await;
    world.member(&room, BOB, &ghost(PHONE), "leave");
    world.run().await;
    world.texts(PHONE, FIRST_VMN, "too late").await;
    world.texts(PHONE, FIRST_VMN, "again").await;
    world.run().await;
    assert_eq!(world.words(&room, &ghost(PHONE)).len(), 0);
    let rooms = world.home.rooms();
    assert_eq!(rooms.len(), 2, "one room of the bot");
    let bots = rooms.into_iter().find(|one| *one != room).unwrap();
    let words = world.words(&bots, &user(BOT));
    assert_eq!(words.len(), 2, "{words:?}");
    assert!(
        words[0].contains("+44 7700 900123") && words[0].contains("too late"),
        "{words:?}"
    );
    assert_eq!(world.membership(&bots, &user(BOB)), "invite");
    world.after(Duration::from_hours(2)).await;
    assert_eq!(
        world.texts(PHONE, FIRST_VMN, "much later").await,
        SmsTaken::NotLeased
    );
}

#[tokio::test]
async fn a_late_text_reaches_the_old_owner_though_the_bot_was_sent_out_of_their_room() {
    let mut world = World::new();
    world.top_up(BOB, "1").await;
    let room = world.room(BOB);
    world.invite(&room, BOB, &ghost(PHONE), true);
    let bots = world.room(BOB);
    world.invite(&bots, BOB, &user(BOT), true);
    world.run().await;
    world.says(&room, BOB, "hello");
    world.run().await;
    world.deliver().await;
    world.member(&room, BOB, &ghost(PHONE), "leave");
    world.run().await;
    let forbidden = crate::matrix::homeserver::MatrixError::refused(403, Some("M_FORBIDDEN"), None);
    world.home.fail_next(Op::Send, forbidden);
    world.texts(PHONE, FIRST_VMN, "too late").await;
    world.run().await;
    let told: Vec<_> = world
        .home
        .rooms()
        .iter()
        .flat_map(|one| world.words(one, &user(BOT)))
        .collect();
    assert!(
        told.iter().any(|words| words.contains("too late")),
        "{told:?}"
    );
}

/// Bob's number cools off; a text to it is for him alone.
async fn a_late_text_for_bob(world: &mut World) {
    world.top_up(BOB, "1").await;
    let room = world.direct_room_of(BOB, PHONE).await;
    world.says(&room, BOB, "hello");
    world.run().await;
    world.deliver().await;
    world.member(&room, BOB, &ghost(PHONE), "leave");
    world.run().await;
}

#[tokio::test]
async fn a_late_text_is_never_said_in_a_room_that_a_stranger_made() {
    let mut world = World::new();
    a_late_text_for_bob(&mut world).await;
    let trap = world.room(CAROL);
    world.invite(&trap, CAROL, &user(BOT), false);
    world.run().await;
    let marker = crate::gateway::content::bot_marker(&user(BOB), world.store.instance());
    let marker_type = crate::matrix::homeserver::MARKER_TYPE;
    world
        .home
        .set_state(&trap, &user(CAROL), marker_type, "", marker);
    world.invite(&trap, CAROL, &user(BOB), false);
    world.member(&trap, CAROL, &user(CAROL), "leave");
    world.run().await;
    let before = world.words(&trap, &user(BOT));
    world.texts(PHONE, FIRST_VMN, "too late").await;
    world.run().await;
    world.texts(PHONE, FIRST_VMN, "again").await;
    world.run().await;
    assert_eq!(world.words(&trap, &user(BOT)), before);
    let rooms = world.home.rooms();
    assert_eq!(rooms.len(), 3, "one new room");
    let told = rooms.iter().filter(|room| **room != trap);
    let told: Vec<_> = told
        .flat_map(|room| world.words(room, &user(BOT)))
        .collect();
    assert_eq!(told.len(), 2, "{told:?}");
}

#[tokio::test]
async fn the_bots_room_whose_creation_went_unanswered_is_taken_at_the_next_try() {
    let mut world = World::new();
    a_late_text_for_bob(&mut world).await;
    world.home.lose_next_answer(Op::CreateRoom);
    world.texts(PHONE, FIRST_VMN, "too late").await;
    world.run().await;
    assert_eq!(world.home.rooms().len(), 2);
}

#[tokio::test]
async fn a_room_that_a_stranger_marked_is_not_taken_for_the_phones_own() {
    let mut world = World::new();
    let trap = world.direct_room_of(CAROL, PHONE).await;
    let instance = world.store.instance().to_owned();
    for conversation in 1..5 {
        let marker = serde_json::json!({ "conversation": conversation, "instance": instance });
        let marker_type = crate::matrix::homeserver::MARKER_TYPE;
        let room = world.direct_room_of(CAROL, PHONE).await;
        world
            .home
            .set_state(&room, &user(CAROL), marker_type, "", marker);
    }
    let before = world.home.rooms().len();
    world.texts(PHONE, DEDICATED, "hello").await;
    world.run().await;
    assert_eq!(world.home.rooms().len(), before + 1);
    assert!(
        world
            .words(&trap, &ghost(PHONE))
            .iter()
            .all(|words| words != "hello")
    );
}

#[tokio::test]
async fn a_text_for_a_conversation_that_has_just_ended_goes_to_its_owner_alone() {
    let (mut world, room) = talking().await;
    world.texts(PHONE, DEDICATED, "too late").await;
    world.member(&room, ALICE, &ghost(PHONE), "leave");
    world.run().await;
    let rooms = world.home.rooms();
    assert_eq!(rooms.len(), 2, "the bot's, and none of the phone's");
    let bots = rooms.iter().find(|one| **one != room).unwrap();
    assert!(world.only_words(bots, &user(BOT)).contains("too late"));
    assert_ne!(world.membership(bots, &ghost(PHONE)), "join");
}

#[tokio::test]
async fn a_text_that_waits_when_its_conversation_ends_goes_to_its_owner_alone() {
    let (mut world, room) = talking().await;
    world.texts(PHONE, DEDICATED, "too late").await;
    let sms = world
        .store
        .pending_sms(SmsId(0), 1)
        .await
        .unwrap()
        .remove(0);
    let conversation = world.view(&room).await.conversations[0].id;
    let entry = NewOutbox {
        key: format!("sms:{}", sms.id),
        lane: Lane::Conversation(conversation),
        item: OutboxItem::SmsText {
            sms: sms.id,
            conversation,
        },
    };
    world.gateway.enqueue(entry).await.unwrap();
    world.member(&room, ALICE, &ghost(PHONE), "leave");
    world.run().await;
    let rooms = world.home.rooms();
    assert_eq!(rooms.len(), 2);
    let bots = rooms.iter().find(|one| **one != room).unwrap();
    assert!(world.only_words(bots, &user(BOT)).contains("too late"));
}

#[tokio::test]
async fn a_text_for_a_room_that_was_just_left_for_a_newer_one_is_said_there() {
    let (mut world, old) = talking().await;
    world.texts(PHONE, DEDICATED, "hello?").await;
    let new = world.direct_room(PHONE).await;
    assert_eq!(world.words(&new, &ghost(PHONE)), ["hello?"]);
    let words = world.words(&old, &ghost(PHONE));
    assert!(words.iter().all(|words| words != "hello?"), "{words:?}");
}
