//! Money and numbers run out.

use matrix_smpp_codec::values::MessageState as WireState;

use super::world::*;

#[tokio::test]
async fn without_credit_nothing_is_sent_and_each_message_is_told_its_price_once() {
    let mut world = World::new();
    world.top_up(ALICE, "0.04").await;
    let room = world.direct_room(PHONE).await;
    world.says(&room, ALICE, "hello");
    world.says(&room, ALICE, &"x".repeat(300));
    world.run().await;
    world.deliver().await;
    assert_eq!(world.phone(PHONE), []);
    let words = world.words(&room, &ghost(PHONE));
    assert_eq!(words.len(), 2, "{words:?}");
    assert!(
        words[0].contains("costs 0.05 EUR") && words[0].contains("is 0.04 EUR"),
        "{words:?}"
    );
    assert!(words[1].contains("costs 0.1 EUR"), "{words:?}");
    assert_eq!(world.balance(ALICE).await, "0.04");
    assert_eq!(world.store.leases().await.unwrap(), []);
}

#[tokio::test]
async fn a_message_that_the_credit_covers_in_part_is_refused_whole() {
    let mut world = World::new();
    world.top_up(ALICE, "0.14").await;
    let room = world.direct_room(PHONE).await;
    world.says(&room, ALICE, &"x".repeat(400));
    world.run().await;
    world.deliver().await;
    assert_eq!(world.phone(PHONE), []);
    assert_eq!(world.balance(ALICE).await, "0.14");
}

#[tokio::test]
async fn in_a_group_the_credit_serves_phone_by_phone() {
    let mut world = World::new();
    world.top_up(ALICE, "0.08").await;
    let room = world.group_room(&[PHONE, GERMAN]).await;
    world.says(&room, ALICE, "hello");
    world.run().await;
    world.deliver().await;
    assert_eq!(world.read(PHONE), ["alice: hello"]);
    assert_eq!(world.phone(GERMAN), []);
    let words = world.only_words(&room, &ghost(GERMAN));
    assert!(
        words.contains("Not sent to +49") && words.contains("0.07 EUR"),
        "{words}"
    );
}

#[tokio::test]
async fn a_phone_that_gets_a_text_never_says_that_it_was_refused_to_another() {
    let mut world = World::new();
    world.top_up(ALICE, "0.08").await;
    let room = world.group_room(&[PHONE, GERMAN]).await;
    world.says(&room, ALICE, "hello");
    world.run().await;
    world.deliver().await;
    world.run().await;
    world.receipts(WireState::DELIVERED).await;
    world.run().await;
    let statuses = world.events(&room, "com.beeper.message_send_status");
    let of = |digits: &str| {
        let from = statuses.iter().filter(|one| one.sender == ghost(digits));
        let states = from.map(|one| one.content["status"].as_str().unwrap().to_owned());
        states.collect::<Vec<_>>()
    };
    assert_eq!(of(PHONE), ["SUCCESS", "SUCCESS"]);
    assert_eq!(of(GERMAN), ["FAIL_PERMANENT"]);
}

#[tokio::test]
async fn a_message_after_a_top_up_goes_out() {
    let mut world = World::new();
    let room = world.direct_room(PHONE).await;
    world.says(&room, ALICE, "one");
    world.run().await;
    world.top_up(ALICE, "1").await;
    world.says(&room, ALICE, "two");
    world.run().await;
    world.deliver().await;
    assert_eq!(world.read(PHONE), ["two"]);
}

#[tokio::test]
async fn a_rejected_message_costs_nothing() {
    use crate::store::Outcome;
    let mut world = World::new();
    world.top_up(ALICE, "1").await;
    let room = world.direct_room(PHONE).await;
    world.says(&room, ALICE, "hello");
    world.run().await;
    world.answer(|_| Outcome::Rejected { status: 0x0b }).await;
    world.run().await;
    assert_eq!(world.balance(ALICE).await, "1");
    let words = world.only_words(&room, &ghost(PHONE));
    assert!(
        words.contains("+44 7700 900123") && words.contains("number"),
        "{words}"
    );
}

#[tokio::test]
async fn when_every_number_serves_this_phone_already_the_room_is_told() {
    let mut world = World::new();
    let people = ["@a:example.org", "@b:example.org", "@c:example.org"];
    let mut rooms = Vec::new();
    for who in people {
        world.top_up(who, "1").await;
        let room = world.room(who);
        world.invite(&room, who, &ghost(PHONE), true);
        world.run().await;
        world.says(&room, who, "hello");
        world.run().await;
        rooms.push(room);
    }
    world.deliver().await;
    assert_eq!(world.phone(PHONE).len(), 2);
    let words = world.only_words(&rooms[2], &ghost(PHONE));
    assert!(words.contains("every sender number"), "{words}");
    assert_eq!(world.balance(people[2]).await, "1");
    // Another phone is not concerned.
    let room = world.room(people[2]);
    world.invite(&room, people[2], &ghost(OTHER), true);
    world.run().await;
    world.says(&room, people[2], "hello");
    world.run().await;
    world.deliver().await;
    assert_eq!(
        world.phone(OTHER),
        [(FIRST_VMN.to_owned(), "hello".to_owned())]
    );
}

#[tokio::test]
async fn the_owner_of_a_dedicated_number_writes_from_it() {
    let mut world = World::new();
    world.top_up(ALICE, "1").await;
    let room = world.direct_room(PHONE).await;
    world.says(&room, ALICE, "hello");
    world.run().await;
    world.deliver().await;
    assert_eq!(world.phone(PHONE)[0].0, DEDICATED);
}
