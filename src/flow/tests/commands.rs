//! What people say to the bot.

use super::world::*;

async fn bots_room() -> (World, ruma::OwnedRoomId) {
    let mut world = World::new();
    let room = world.room(ALICE);
    world.invite(&room, ALICE, &user(BOT), true);
    world.run().await;
    (world, room)
}

/// The bot's answer to one line in its own room.
async fn answer(world: &mut World, room: &ruma::RoomId, line: &str) -> String {
    let before = world.words(room, &user(BOT)).len();
    world.says(room, ALICE, line);
    world.run().await;
    let mut words = world.words(room, &user(BOT));
    assert_eq!(words.len(), before + 1, "{words:?}");
    words.pop().unwrap()
}

#[tokio::test]
async fn the_bot_joins_who_invites_it_and_greets_once() {
    let (mut world, room) = bots_room().await;
    assert_eq!(world.membership(&room, &user(BOT)), "join");
    world.restart().await;
    world.run().await;
    assert!(world.only_words(&room, &user(BOT)).contains("help"));
}

#[tokio::test]
async fn the_bot_says_that_it_cannot_read_an_encrypted_room() {
    let mut world = World::new();
    let room = world.room(ALICE);
    let alice = user(ALICE);
    world.home.set_state(
        &room,
        &alice,
        "m.room.encryption",
        "",
        serde_json::json!({}),
    );
    world.invite(&room, ALICE, &user(BOT), true);
    world.run().await;
    assert!(world.only_words(&room, &user(BOT)).contains("encrypted"));
}

#[tokio::test]
async fn help_names_a_ghost_and_every_command() {
    let (mut world, room) = bots_room().await;
    let help = answer(&mut world, &room, "help").await;
    for word in [
        "@.tel.447700900123:example.org",
        "balance",
        "price",
        "text",
        "who",
        "!sms",
    ] {
        assert!(help.contains(word), "{word}: {help}");
    }
}

#[tokio::test]
async fn balance_and_price_are_in_the_operators_currency() {
    let (mut world, room) = bots_room().await;
    world.top_up(ALICE, "1.5").await;
    assert!(
        answer(&mut world, &room, "balance")
            .await
            .contains("1.5 EUR")
    );
    let price = answer(&mut world, &room, "price +44 7700 900123").await;
    assert!(
        price.contains("0.05 EUR") && price.contains("+44 7700 900123"),
        "{price}"
    );
    assert!(
        answer(&mut world, &room, "price +1 415 555 0123")
            .await
            .contains("no route")
    );
    assert!(
        answer(&mut world, &room, "price 12")
            .await
            .contains("\"12\"")
    );
    assert!(
        answer(&mut world, &room, "dance")
            .await
            .contains("\"dance\"")
    );
}

#[tokio::test]
async fn text_opens_a_room_with_the_phone_and_says_the_first_words() {
    let (mut world, room) = bots_room().await;
    world.top_up(ALICE, "1").await;
    let told = answer(&mut world, &room, "text +44 7700 900123 hello there").await;
    assert!(told.contains("invited you"), "{told}");
    world.deliver().await;
    assert_eq!(world.read(PHONE), ["hello there"]);
    let new = world
        .home
        .rooms()
        .into_iter()
        .find(|one| *one != room)
        .unwrap();
    assert_eq!(world.membership(&new, &user(ALICE)), "invite");
    world.join(&new, ALICE);
    world.says(&new, ALICE, "and more");
    world.run().await;
    world.deliver().await;
    assert_eq!(world.read(PHONE), ["hello there", "and more"]);
    answer(&mut world, &room, "text +447700900123 third").await;
    world.deliver().await;
    assert_eq!(world.read(PHONE).len(), 3);
    assert_eq!(world.home.rooms().len(), 2, "the same room again");
}

#[tokio::test]
async fn text_without_credit_or_route_says_so() {
    let (mut world, room) = bots_room().await;
    let told = answer(&mut world, &room, "text +447700900123 hello").await;
    assert!(told.contains("costs 0.05 EUR"), "{told}");
    let told = answer(&mut world, &room, "text +14155550123 hello").await;
    assert!(told.contains("no route"), "{told}");
}

#[tokio::test]
async fn who_lists_the_phones_and_what_they_see_and_is_not_sent_to_them() {
    let mut world = World::new();
    world.top_up(ALICE, "1").await;
    let room = world.group_room(&[PHONE, GERMAN]).await;
    world.says(&room, ALICE, "!sms who");
    world.run().await;
    let who = world.only_words(&room, &ghost(PHONE));
    assert!(
        who.contains("+44 7700 900123 has not been texted yet"),
        "{who}"
    );
    world.says(&room, ALICE, "hello");
    world.run().await;
    world.says(&room, ALICE, "!sms who");
    world.run().await;
    world.deliver().await;
    let who = world.words(&room, &ghost(PHONE)).pop().unwrap();
    assert!(
        who.contains("+44 7700 900123 sees +44 7700 900999"),
        "{who}"
    );
    assert!(who.contains("+49 1511 2345678 sees 12345"), "{who}");
    assert_eq!(world.read(PHONE), ["alice: hello"]);
}

#[tokio::test]
async fn in_a_room_with_a_phone_bare_words_are_texts() {
    let mut world = World::new();
    world.top_up(ALICE, "1").await;
    let room = world.direct_room(PHONE).await;
    world.invite(&room, ALICE, &user(BOT), false);
    world.run().await;
    world.says(&room, ALICE, "balance");
    world.says(&room, ALICE, "!sms balance");
    world.run().await;
    world.deliver().await;
    assert_eq!(world.read(PHONE), ["balance"]);
    let words = world.words(&room, &user(BOT));
    assert!(words.last().unwrap().contains("Your credit"), "{words:?}");
}
