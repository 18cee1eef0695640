//! Routes, prices and numbers that change while messages go.

use super::super::pools;
use super::world::*;

impl World {
    /// From now on the configuration says this in place of that.
    fn reroutes(&self, changes: &[(&str, &str)]) {
        let text = changes
            .iter()
            .fold(SETTINGS.to_owned(), |text, (old, new)| {
                assert!(text.contains(old), "{old}");
                text.replace(old, new)
            });
        self.gateway.routing.set(settings(&text).routing);
    }
}

const UK_PRICE: &str = "price = \"0.05\"";

#[tokio::test]
async fn a_new_price_holds_for_the_next_message_and_not_for_one_that_was_accepted() {
    let mut world = World::new();
    world.top_up(ALICE, "1").await;
    let room = world.direct_room(PHONE).await;
    world.says(&room, ALICE, "accepted at five");
    world.run().await;
    world.reroutes(&[(UK_PRICE, "price = \"0.2\"")]);
    world.deliver().await;
    assert_eq!(world.balance(ALICE).await, "0.95");
    world.says(&room, ALICE, "accepted at twenty");
    world.run().await;
    world.deliver().await;
    assert_eq!(world.balance(ALICE).await, "0.75");
    assert_eq!(
        world.read(PHONE),
        ["accepted at five", "accepted at twenty"]
    );
}

#[tokio::test]
async fn a_route_that_goes_refuses_what_comes_and_carries_what_it_has() {
    let mut world = World::new();
    world.top_up(ALICE, "1").await;
    let room = world.direct_room(GERMAN).await;
    world.says(&room, ALICE, "just in time");
    world.run().await;
    world.reroutes(&[("prefixes = [\"49\"]", "prefixes = [\"33\"]")]);
    world.says(&room, ALICE, "too late");
    world.run().await;
    world.deliver().await;
    assert_eq!(world.read(GERMAN), ["just in time"]);
    let words = world.only_words(&room, &ghost(GERMAN));
    assert!(words.contains("no route"), "{words}");
    assert_eq!(world.balance(ALICE).await, "0.93");
}

#[tokio::test]
async fn a_conversation_keeps_its_number_and_the_next_one_gets_a_new_pools() {
    let mut world = World::new();
    world.top_up(BOB, "1").await;
    world.top_up(CAROL, "1").await;
    let room = world.direct_room_of(BOB, PHONE).await;
    world.says(&room, BOB, "one");
    world.run().await;
    world.deliver().await;
    world.reroutes(&[("447700900900-447700900901", "447700900950")]);
    world.says(&room, BOB, "two");
    let other = world.direct_room_of(CAROL, PHONE).await;
    world.says(&other, CAROL, "three");
    world.run().await;
    world.deliver().await;
    let senders: Vec<_> = world.phone(PHONE).into_iter().map(|sms| sms.0).collect();
    assert_eq!(senders, [FIRST_VMN, FIRST_VMN, "447700900950"]);
}

#[tokio::test]
async fn a_dedicated_number_is_its_new_owners_at_once() {
    let mut world = World::new();
    world.top_up(BOB, "1").await;
    world.reroutes(&[("owner = \"@alice", "owner = \"@bob")]);
    let room = world.direct_room_of(BOB, PHONE).await;
    world.says(&room, BOB, "from my own number");
    world.run().await;
    world.deliver().await;
    assert_eq!(world.phone(PHONE)[0].0, DEDICATED);
}

#[tokio::test]
async fn a_pool_that_is_gone_is_shown_no_more() {
    let world = World::new();
    let (gateway, mut seen) = (world.gateway.clone(), pools::Seen::default());
    pools::look(&gateway, &mut seen).await;
    let shown = |name: &str| {
        let label = format!("{{pool=\"{name}\"");
        gateway.metrics.render().matches(&label).count()
    };
    assert_eq!((shown("uk"), shown("new")), (6, 0));
    world.reroutes(&[
        ("[[pool]]\nname = \"uk\"", "[[pool]]\nname = \"new\""),
        ("{ pool = \"uk\" }", "{ pool = \"new\" }"),
    ]);
    pools::look(&gateway, &mut seen).await;
    assert_eq!((shown("uk"), shown("new")), (0, 6));
}
