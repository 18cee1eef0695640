//! Phones that want no more texts.

use super::world::*;

#[tokio::test]
async fn a_room_sees_that_its_phone_wants_no_more_texts_and_what_that_means() {
    let mut world = World::new();
    world.top_up(ALICE, "1").await;
    let room = world.direct_room(PHONE).await;
    world.says(&room, ALICE, "hello");
    world.run().await;
    world.deliver().await;
    world.says(&room, ALICE, "one");
    world.says(&room, ALICE, "two");
    world.run().await;
    world.texts(PHONE, DEDICATED, " «STOP.» ").await;
    world.run().await;
    let said = world.words(&room, &ghost(PHONE));
    let about = |words: &str| said.iter().filter(|one| one.contains(words)).count();
    assert_eq!(about("«STOP.»"), 1, "{said:?}");
    assert_eq!(about("asked for no more texts from +44"), 1, "{said:?}");
    assert_eq!(
        about("Not sent to +44 7700 900123: it has asked"),
        2,
        "{said:?}"
    );
    assert_eq!(world.balance(ALICE).await, "0.95");

    world.says(&room, ALICE, "three");
    world.run().await;
    let said = world.words(&room, &ghost(PHONE));
    assert!(
        said.last().unwrap().contains("Nothing was charged"),
        "{said:?}"
    );
    assert!(world.phone(PHONE).iter().all(|(_, text)| text == "hello"));

    world.texts(PHONE, DEDICATED, "Start").await;
    world.says(&room, ALICE, "four");
    world.run().await;
    world.deliver().await;
    assert_eq!(world.read(PHONE), ["hello", "four"]);
}

#[tokio::test]
async fn the_other_phones_of_a_room_get_what_one_of_them_does_not_want() {
    let mut world = World::new();
    world.top_up(ALICE, "1").await;
    let room = world.group_room(&[PHONE, OTHER]).await;
    world.says(&room, ALICE, "hello");
    world.run().await;
    world.deliver().await;
    let (from, _) = world.phone(PHONE).remove(0);
    world.texts(PHONE, &from, "stop").await;
    world.says(&room, ALICE, "one");
    world.run().await;
    world.deliver().await;
    assert!(world.read(OTHER).iter().any(|text| text.ends_with("one")));
    assert!(!world.read(PHONE).iter().any(|text| text.ends_with("one")));
}
