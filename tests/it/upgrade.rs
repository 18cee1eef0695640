//! Rooms that are replaced by a newer one, as a client's "upgrade this room" does.

use crate::support::room::text;
use crate::support::world::{PHONE, World, bot, ghost};

#[tokio::test(flavor = "multi_thread")]
async fn a_conversation_goes_on_in_the_upgraded_room_with_its_number() {
    let world = World::start().await;
    let alice = world.person("alice", "10").await;
    let old = alice.group("friends", &[&ghost(PHONE)]).await;
    alice.sees_join(&old, &ghost(PHONE)).await;
    alice.write(&old, "before").await;
    let before = world.sim.gets(PHONE, "before").await;

    let new = alice.upgrade(&old).await;
    let told = alice.is_invited(&bot()).await;
    alice.join(&told).await;
    alice
        .sees(&told, "how the phone gets into the new room", |timeline| {
            timeline.notices(&["replaced", &ghost(PHONE)]).count() == 1
        })
        .await;
    alice.invite(&new, &ghost(PHONE)).await;
    alice.sees_join(&new, &ghost(PHONE)).await;
    alice.write(&new, "after").await;
    let after = world.sim.gets(PHONE, "after").await;
    assert_eq!(text(&before["from"]), text(&after["from"]));
    world.answer(PHONE, "I am still here").await;
    alice.hears(&new, &ghost(PHONE), "I am still here").await;
}
