//! A store with something of everything in it, for tests that move it.

use super::sms::{from, part};
use super::*;
use crate::gateway::model::ConversationId;
use crate::gateway::opt_out::Wish;

/// Things to do at the homeserver: more than are read at once.
pub(crate) const ENTRIES: usize = 2_100;

/// Fills an empty store with people, rooms, leases, credit, messages in several states, SMS, and what
/// waits for the homeserver.
pub(crate) async fn populate(store: &Arc<dyn Store>) {
    for (owner, amount) in [("alice", 10_000), ("bob", 77)] {
        let owner_id = user(owner);
        let paid = store.top_up(&owner_id, money(amount), owner, at(1));
        paid.await.unwrap();
    }
    for place in 0..40_u32 {
        let digits = (447_700_900_200 + u64::from(place)).to_string();
        let conversation = open(store, direct(&format!("r{place}"), &digits, "alice")).await;
        let counted = NewMessage {
            fraud: Fraud {
                spend_per_day: Some(Money::MAX),
                new_phones_per_prefix: Some(1_000),
                ..Fraud::default()
            },
            ..message(&conversation, &format!("m{place}"))
        };
        queue(store, counted).await;
        queue(store, long_message(&conversation, &format!("l{place}"))).await;
    }
    for (place, claimed) in store
        .claim(LINKS, 30, at(11))
        .await
        .unwrap()
        .iter()
        .enumerate()
    {
        if place < 20 {
            answer(store, claimed, submitted(&format!("{place:x}")), 12).await;
        }
    }
    let unwilling = phone("447700900299");
    let heeded = store.heed(&unwilling, VMN_1, Wish::Stop, at(30));
    heeded.await.unwrap();
    for sms in [
        SmsIn {
            note_sender: true,
            ..from("447700900200", "Hello")
        },
        part("447700900201", 7, 3, 2, "in the middle"),
    ] {
        let taken = store.take_sms(sms).await.unwrap();
        assert!(matches!(taken, SmsTaken::Stored { .. }), "{taken:?}");
    }
    let event = NewEvent {
        is_over: false,
        event_id: event("waits"),
        room: room("portal"),
        json: "{}".to_owned(),
    };
    let transaction = Transaction {
        homeserver: home(),
        txn_id: "1".to_owned(),
        events: vec![event],
        extras: Some("{}".to_owned()),
        at: at(5),
        most_waiting: usize::MAX,
    };
    store.take_transaction(transaction).await.unwrap();
    let entries = (0..ENTRIES).map(|place| NewOutbox {
        key: format!("key {place}"),
        lane: Lane::Conversation(ConversationId(1)),
        item: OutboxItem::TellOwner {
            homeserver: home(),
            owner: user("alice"),
            text: "Hello".to_owned(),
        },
    });
    store.enqueue(entries.collect(), at(10)).await.unwrap();
}

/// Pays into `alice`'s account; gives her balance.
pub(crate) async fn pay(store: &Arc<dyn Store>, key: &str) -> i64 {
    let alice = user("alice");
    let paid = store.top_up(&alice, money(5), key, at(90));
    paid.await.unwrap().balance.micros()
}
