//! Nothing ends in silence: what a kick takes back is told, and what was set aside can be seen and
//! tried again.

use std::sync::Arc;
use std::time::Duration;

use matrix_smpp::clock::Clock;
use matrix_smpp::store::{Due, Ending, Lane, NewOutbox, OutboxItem, Store, TableStore};
use ruma::OwnedUserId;

use crate::support::user::User;
use crate::support::world::{PHONE, PHONE_NAME, World, bot, ghost};

/// The words of the bot in the room that it makes for itself and somebody.
async fn is_told_by_the_bot(alice: &User, words: &[&str]) {
    let room = alice.is_invited(&bot()).await;
    alice.join(&room).await;
    let what = format!("a notice that says {words:?}");
    alice
        .sees(&room, &what, |timeline| {
            timeline.notices(words).count() == 1
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_kick_takes_back_is_refunded_and_told_by_the_bot() {
    let mut world = World::start().await;
    let alice = world.person("alice", "1").await;
    // In a direct room the phone has the same rights as its owner.
    let room = alice.group("one phone", &[&ghost(PHONE)]).await;
    alice.sees_join(&room, &ghost(PHONE)).await;
    world.sim.stop().await;
    alice.write(&room, "one").await;
    alice.write(&room, "two").await;
    alice.kick(&room, &ghost(PHONE)).await;
    is_told_by_the_bot(&alice, &[PHONE_NAME, "not sent"]).await;
    assert!(world.gateway.balance(&alice.id).contains("balance 1 "));
}

/// Words for somebody, set aside as if the homeserver had refused them.
async fn set_aside(world: &World, who: &User) {
    let path = world.gateway.data().join("gateway.db");
    let store: Arc<dyn Store> =
        TableStore::open_sqlite(path, Duration::from_hours(24)).expect("the store");
    let owner = OwnedUserId::try_from(who.id.as_str()).expect("a Matrix ID");
    let now = Clock::system().now();
    let entry = NewOutbox {
        key: "of the test".to_owned(),
        lane: Lane::Person(owner.clone()),
        item: OutboxItem::TellOwner {
            homeserver: owner.server_name().to_owned(),
            owner,
            text: "these words were late".to_owned(),
        },
    };
    store.enqueue(vec![entry], now).await.expect("queued");
    let due = store.due_outbox(Due::heads(now, 1)).await.expect("due");
    let ending = Ending::SetAside {
        reason: "the homeserver said 400 M_UNKNOWN".to_owned(),
        at: now,
        tell: None,
    };
    store
        .finish_outbox(due[0].id, ending)
        .await
        .expect("set aside");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_set_aside_is_listed_and_tried_again() {
    let mut world = World::start().await;
    let alice = world.person("alice", "1").await;
    let gateway = &mut world.gateway;
    assert_eq!(gateway.cli(&["queue", "list"]), "nothing was set aside\n");
    gateway.stop().await;
    set_aside(&world, &alice).await;
    world.gateway.start().await;

    let listed = world.gateway.cli(&["queue", "list"]);
    assert!(
        listed.contains("tell_owner") && listed.contains("400 M_UNKNOWN"),
        "{listed}"
    );
    assert!(!listed.contains("late"), "{listed}");
    let id = listed.split_whitespace().next().expect("an id");
    assert_eq!(world.gateway.cli(&["queue", "retry", id]), "done\n");
    is_told_by_the_bot(&alice, &["these words were late"]).await;
    assert_eq!(
        world.gateway.cli(&["queue", "list"]),
        "nothing was set aside\n"
    );
    assert!(world.gateway.ask(&["queue", "drop", id]).is_err());
}
