//! The limits against pumped traffic, as people and operators see them.

use std::time::Duration;

use super::world::*;

fn refused(world: &World, limit: &str) -> u64 {
    let refused = &world.gateway.metrics.refused;
    refused.with_label_values(&[limit]).get()
}

#[tokio::test]
async fn who_spends_too_much_is_told_so_with_the_time_at_which_it_goes_on() {
    let mut world = World::guarded("spend_per_day = \"0.12\"");
    world.top_up(ALICE, "1").await;
    let room = world.direct_room(PHONE).await;
    for text in ["one", "two", "three"] {
        world.says(&room, ALICE, text);
    }
    world.run().await;
    world.deliver().await;
    assert_eq!(world.read(PHONE), ["one", "two"]);
    assert_eq!(world.balance(ALICE).await, "0.9");
    let words = world.only_words(&room, &ghost(PHONE));
    assert!(
        words.starts_with("Not sent to +44") && words.contains("0.12 EUR within 24 hours"),
        "{words}"
    );
    assert!(
        words.contains("again from 2023-11-15 22:14 UTC on"),
        "{words}"
    );
    assert_eq!(refused(&world, "spend_per_day"), 1);

    world.after(Duration::from_hours(24)).await;
    world.says(&room, ALICE, "four");
    world.run().await;
    world.deliver().await;
    assert_eq!(world.read(PHONE).last().unwrap(), "four");
}

#[tokio::test]
async fn who_begins_with_too_many_new_phones_goes_on_with_those_they_have() {
    let mut world = World::guarded("new_phones_per_day = 1");
    world.top_up(ALICE, "1").await;
    let room = world.direct_room(PHONE).await;
    world.says(&room, ALICE, "hello");
    world.run().await;
    let other = world.direct_room(OTHER).await;
    world.says(&other, ALICE, "hello");
    world.says(&room, ALICE, "still there?");
    world.run().await;
    world.deliver().await;
    assert_eq!(world.read(PHONE), ["hello", "still there?"]);
    assert_eq!(world.phone(OTHER), []);
    let words = world.only_words(&other, &ghost(OTHER));
    assert!(
        words.contains("more than 1 new phones within 24 hours"),
        "{words}"
    );
    assert_eq!(refused(&world, "new_phones_per_day"), 1);
}

#[tokio::test]
async fn a_relayed_text_over_a_limit_is_told_without_a_word_of_the_payers_money() {
    let mut world = World::guarded("spend_per_day = \"0.13\"");
    world.top_up(ALICE, "1").await;
    let room = world.group_room(&[PHONE, GERMAN]).await;
    world.says(&room, ALICE, "hello");
    world.run().await;
    world.deliver().await;
    world.texts(PHONE, DEDICATED, "hello all").await;
    world.run().await;
    world.deliver().await;
    assert_eq!(world.read(GERMAN), ["alice: hello"]);
    let words = world.only_words(&room, &ghost(GERMAN));
    assert!(
        words.contains("text from another phone") && words.contains("again from"),
        "{words}"
    );
    assert!(!words.contains("EUR"), "{words}");
}

#[tokio::test]
async fn a_phone_that_texted_first_is_none_of_the_new_ones() {
    let mut world = World::guarded("new_phones_per_prefix = 1\nprefix_digits = 8");
    world.top_up(ALICE, "1").await;
    world.texts(PHONE, DEDICATED, "hello").await;
    world.run().await;
    let other = world.direct_room(OTHER).await;
    world.says(&other, ALICE, "one");
    world.run().await;
    let room = world.direct_room(PHONE).await;
    world.says(&room, ALICE, "two");
    world.run().await;
    world.deliver().await;
    assert_eq!(world.read(OTHER), ["one"]);
    assert_eq!(world.read(PHONE), ["two"]);
    assert_eq!(refused(&world, "new_phones_per_prefix"), 0);
}
