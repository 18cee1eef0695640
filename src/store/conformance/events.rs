//! What homeservers say.

use super::*;
use crate::gateway::model::InboxSeq;

fn transaction(txn_id: &str, events: &[&str]) -> Transaction {
    let events = events.iter().map(|name| NewEvent {
        is_over: false,
        event_id: event(name),
        room: room("portal"),
        json: format!("{{\"name\":\"{name}\"}}"),
    });
    Transaction {
        homeserver: home(),
        txn_id: txn_id.to_owned(),
        events: events.collect(),
        extras: None,
        at: at(5),
        most_waiting: usize::MAX,
    }
}

async fn pending(store: &Arc<dyn Store>) -> Vec<String> {
    let events = store.pending_events(InboxSeq(0), 100).await.unwrap();
    events
        .into_iter()
        .map(|event| event.event_id.to_string())
        .collect()
}

pub(crate) async fn what_is_over_is_known_and_never_handled(engine: &dyn Engine) {
    let store = engine.open();
    let mut brought = transaction("1", &["a", "b"]);
    brought.events[0].is_over = true;
    let taken = store.take_transaction(brought.clone()).await.unwrap();
    assert_eq!((taken.new, taken.repeated), (2, 0));
    assert_eq!(pending(&store).await, ["$b"]);
    assert_eq!(store.sizes().await.unwrap().inbox, 1);
    let ids = ["a", "b", "c"].map(event).to_vec();
    let unknown = store.unknown_events(&home(), ids).await.unwrap();
    assert_eq!(unknown, [event("c")]);
    drop(store);
    // Nor where it comes again and is not known to be over.
    brought.events[0].is_over = false;
    let store = engine.open();
    let taken = store.take_transaction(brought).await.unwrap();
    assert_eq!((taken.new, taken.repeated), (0, 2));
    assert_eq!(pending(&store).await, ["$b"]);
}

pub(crate) async fn no_more_events_are_taken_in_than_may_wait(engine: &dyn Engine) {
    let store = engine.open();
    let one_of_two = |txn_id, events: &[&str]| Transaction {
        most_waiting: 2,
        ..transaction(txn_id, events)
    };
    // The one that begins below the limit is taken in whole.
    for (txn_id, events) in [("1", &["a"][..]), ("2", &["b", "c"])] {
        let taken = store.take_transaction(one_of_two(txn_id, events)).await;
        assert_eq!(taken.unwrap().new, events.len());
    }
    let full = store.take_transaction(one_of_two("3", &["d"])).await;
    assert!(
        matches!(&full, Err(StoreError::Unavailable(why)) if why.contains("inbox_events")),
        "{full:?}"
    );
    assert_eq!(pending(&store).await, ["$a", "$b", "$c"]);
    // What is known, and what asks for nothing, is no more of them.
    let again = store.take_transaction(one_of_two("2", &["b", "c"])).await;
    assert_eq!(again.unwrap().repeated, 2);
    let mut over = one_of_two("4", &["e"]);
    over.events[0].is_over = true;
    assert_eq!(store.take_transaction(over).await.unwrap().new, 1);
    for seq in [1, 2] {
        store
            .finish_event(InboxSeq(seq), Ending::Done)
            .await
            .unwrap();
    }
    let taken = store.take_transaction(one_of_two("3", &["d"])).await;
    assert_eq!(taken.unwrap().new, 1);
}

pub(crate) async fn an_event_is_taken_once_though_its_transaction_id_repeats(engine: &dyn Engine) {
    let store = engine.open();
    let first = store
        .take_transaction(transaction("1", &["a", "b"]))
        .await
        .unwrap();
    assert_eq!(
        first,
        Taken {
            new: 2,
            repeated: 0
        }
    );
    let again = store
        .take_transaction(transaction("2", &["b", "c"]))
        .await
        .unwrap();
    assert_eq!(
        again,
        Taken {
            new: 1,
            repeated: 1
        }
    );
    let other = store
        .take_transaction(transaction("1", &["d"]))
        .await
        .unwrap();
    assert_eq!(
        other,
        Taken {
            new: 1,
            repeated: 0
        }
    );
    assert_eq!(pending(&store).await, ["$a", "$b", "$c", "$d"]);
}

pub(crate) async fn one_event_id_of_two_homeservers_is_two_events(engine: &dyn Engine) {
    let store = engine.open();
    store
        .take_transaction(transaction("1", &["a"]))
        .await
        .unwrap();
    let elsewhere = "other.example".try_into().unwrap();
    let other = Transaction {
        homeserver: elsewhere,
        ..transaction("1", &["a"])
    };
    assert_eq!(
        store.take_transaction(other).await.unwrap(),
        Taken {
            new: 1,
            repeated: 0
        }
    );
}

pub(crate) async fn a_finished_event_stays_known(engine: &dyn Engine) {
    let store = engine.open();
    store
        .take_transaction(transaction("1", &["a", "b"]))
        .await
        .unwrap();
    let first = &store.pending_events(InboxSeq(0), 1).await.unwrap()[0];
    assert_eq!(first.json, "{\"name\":\"a\"}");
    store.finish_event(first.seq, Ending::Done).await.unwrap();
    store.finish_event(first.seq, Ending::Done).await.unwrap();
    assert_eq!(pending(&store).await, ["$b"]);
    let again = store
        .take_transaction(transaction("9", &["a"]))
        .await
        .unwrap();
    assert_eq!(
        again,
        Taken {
            new: 0,
            repeated: 1
        }
    );
    assert_eq!(store.sizes().await.unwrap().inbox, 1);
}

pub(crate) async fn what_was_acknowledged_survives_a_restart(engine: &dyn Engine) {
    let store = engine.open();
    let instance = store.instance().to_owned();
    let extras = Some("{\"to_device\":[]}".to_owned());
    store
        .take_transaction(Transaction {
            extras,
            ..transaction("1", &["a"])
        })
        .await
        .unwrap();
    store
        .top_up(&user("alice"), money(7), "first", at(1))
        .await
        .unwrap();
    drop(store);
    let store = engine.open();
    assert_eq!(pending(&store).await, ["$a"]);
    assert_eq!(account(&store).await, (7, 0, 0));
    assert_eq!(store.instance(), instance);
}

pub(crate) async fn a_probe_changes_nothing_that_can_be_seen(engine: &dyn Engine) {
    let store = engine.open();
    store
        .take_transaction(transaction("1", &["a"]))
        .await
        .unwrap();
    let (instance, sizes) = (store.instance().to_owned(), store.sizes().await.unwrap());
    for _ in 0..3 {
        store.probe().await.unwrap();
    }
    assert_eq!(store.sizes().await.unwrap(), sizes);
    assert_eq!(pending(&store).await, ["$a"]);
    drop(store);
    assert_eq!(engine.open().instance(), instance);
}

pub(crate) async fn an_event_set_aside_is_counted_and_out_of_the_way(engine: &dyn Engine) {
    let store = engine.open();
    store
        .take_transaction(transaction("1", &["a", "b"]))
        .await
        .unwrap();
    let first = &store.pending_events(InboxSeq(0), 1).await.unwrap()[0];
    let ending = aside("cannot be handled");
    store.finish_event(first.seq, ending).await.unwrap();
    assert_eq!(pending(&store).await, ["$b"]);
    assert_eq!(store.sizes().await.unwrap().set_aside, 1);
}

pub(crate) async fn a_finished_event_is_forgotten_after_a_month(engine: &dyn Engine) {
    let store = engine.open();
    store
        .take_transaction(transaction("1", &["a", "b"]))
        .await
        .unwrap();
    let first = store.pending_events(InboxSeq(0), 1).await.unwrap()[0].seq;
    store.finish_event(first, Ending::Done).await.unwrap();
    let month_after = at(5).after(Duration::from_hours(30 * 24));
    store.sweep(Timestamp(month_after.0 - 1), 10).await.unwrap();
    let again = store
        .take_transaction(transaction("2", &["a"]))
        .await
        .unwrap();
    assert_eq!(
        again,
        Taken {
            new: 0,
            repeated: 1
        }
    );
    store.sweep(month_after, 10).await.unwrap();
    let again = store
        .take_transaction(transaction("3", &["a", "b"]))
        .await
        .unwrap();
    assert_eq!(
        again,
        Taken {
            new: 1,
            repeated: 1
        }
    );
}

pub(crate) async fn extras_wait_for_their_reader_for_a_month(engine: &dyn Engine) {
    let store = engine.open();
    let extras = Some("{\"to_device\":[]}".to_owned());
    for txn_id in ["1", "1", "2"] {
        let transaction = Transaction {
            extras: extras.clone(),
            ..transaction(txn_id, &[])
        };
        store.take_transaction(transaction).await.unwrap();
    }
    let kept = async || store.sizes().await.unwrap().extras;
    assert_eq!(kept().await, 2);
    let month_after = at(5).after(Duration::from_hours(30 * 24));
    store.sweep(Timestamp(month_after.0 - 1), 1).await.unwrap();
    assert_eq!(kept().await, 2);
    assert!(store.sweep(month_after, 1).await.unwrap(), "there is more");
    assert_eq!(kept().await, 1);
    store.sweep(month_after, 1).await.unwrap();
    assert_eq!(kept().await, 0);
}

pub(crate) async fn an_event_that_never_came_is_unknown(engine: &dyn Engine) {
    let store = engine.open();
    store
        .take_transaction(transaction("1", &["a", "c"]))
        .await
        .unwrap();
    store.finish_event(InboxSeq(1), Ending::Done).await.unwrap();
    let unknown = async |homeserver: &OwnedServerName, names: &[&str]| {
        let events = names.iter().map(|name| event(name)).collect();
        store.unknown_events(homeserver, events).await.unwrap()
    };
    let found = unknown(&home(), &["d", "c", "b", "a"]).await;
    assert_eq!(found, [event("d"), event("b")]);
    let elsewhere = "other.example".try_into().unwrap();
    assert_eq!(unknown(&elsewhere, &["a"]).await, [event("a")]);
    assert_eq!(pending(&store).await, ["$c"], "asking changes nothing");
}
