//! An event accepted and ended in one step.

use super::*;
use crate::gateway::model::InboxSeq;

/// An event that waits.
async fn waiting(store: &Arc<dyn Store>, name: &str) -> InboxSeq {
    let event = NewEvent {
        is_over: false,
        event_id: event(name),
        room: room("a"),
        json: "{}".to_owned(),
    };
    let transaction = Transaction {
        homeserver: home(),
        txn_id: name.to_owned(),
        events: vec![event],
        extras: None,
        at: at(5),
        most_waiting: usize::MAX,
    };
    store.take_transaction(transaction).await.unwrap();
    let pending = store.pending_events(InboxSeq(0), 9).await.unwrap();
    pending.last().unwrap().seq
}

pub(crate) async fn an_event_is_accepted_and_ended_in_one_step(engine: &dyn Engine) {
    let store = with_credit(engine).await;
    let phones = [ANNA, BERT].map(|digits| group("a", digits, "alice"));
    let mut messages = Vec::new();
    for request in phones {
        messages.push(message(&open(&store, request).await, "one"));
    }
    let seq = waiting(&store, "one").await;
    for _ in 0..2 {
        store.accept_event(seq, messages.clone()).await.unwrap();
        assert_eq!(account(&store).await, (9_980, 20, 0));
        assert_eq!(store.sizes().await.unwrap().inbox, 0);
    }
    assert_eq!(claim(&store, 10).await.len(), 2);
    // A repeat of the event is known, and so are its messages.
    let unknown = store.unknown_events(&home(), vec![event("one")]).await;
    assert_eq!(unknown.unwrap(), Vec::<OwnedEventId>::new());
    store.accept_event(seq, messages).await.unwrap();
    assert_eq!(claim(&store, 11).await.len(), 0);
}

pub(crate) async fn an_event_of_which_a_message_is_refused_stays_as_it_was(engine: &dyn Engine) {
    let store = with_credit(engine).await;
    let first = open(&store, group("a", ANNA, "alice")).await;
    let second = open(&store, group("a", BERT, "alice")).await;
    let dear = NewMessage {
        price: money(9_995),
        ..message(&second, "one")
    };
    let messages = vec![message(&first, "one"), dear];
    let seq = waiting(&store, "one").await;
    let refused = store.accept_event(seq, messages).await;
    assert!(matches!(refused, Err(StoreError::Conflict(_))));
    assert_eq!(account(&store).await, (10_000, 0, 0));
    assert_eq!(store.leases().await.unwrap(), []);
    assert_eq!(store.sizes().await.unwrap().inbox, 1);
    assert_eq!(claim(&store, 10).await.len(), 0);
}
