//! Things to do at the homeserver.

use super::*;
use crate::gateway::model::ConversationId;

fn entry(key: &str, lane: i64) -> NewOutbox {
    NewOutbox {
        key: key.to_owned(),
        lane: Lane::Conversation(ConversationId(lane)),
        item: OutboxItem::TellOwner {
            homeserver: home(),
            owner: user("alice"),
            text: key.to_owned(),
        },
    }
}

async fn enqueue(store: &Arc<dyn Store>, entries: &[(&str, i64)]) {
    let entries = entries
        .iter()
        .map(|(key, lane)| entry(key, *lane))
        .collect();
    store.enqueue(entries, at(10)).await.unwrap();
}

fn text(entry: &OutboxEntry) -> &str {
    match &entry.item {
        OutboxItem::TellOwner { text, .. } => text,
        other => panic!("{other:?}"),
    }
}

async fn due(store: &Arc<dyn Store>, now: i64, busy: &[String]) -> Vec<OutboxEntry> {
    let due = Due {
        busy: busy.to_vec(),
        ..Due::heads(at(now), 100)
    };
    store.due_outbox(due).await.unwrap()
}

async fn due_texts(store: &Arc<dyn Store>, now: i64) -> Vec<String> {
    due(store, now, &[])
        .await
        .iter()
        .map(|entry| text(entry).to_owned())
        .collect()
}

async fn finish_first(store: &Arc<dyn Store>, ending: Ending) {
    let first = due(store, 1_000, &[]).await.remove(0);
    store.finish_outbox(first.id, ending.clone()).await.unwrap();
    store.finish_outbox(first.id, ending).await.unwrap();
}

pub(crate) async fn a_lane_is_done_in_order(engine: &dyn Engine) {
    let store = engine.open();
    enqueue(&store, &[("a1", 1), ("a2", 1), ("b1", 2), ("a3", 1)]).await;
    assert_eq!(due_texts(&store, 10).await, ["a1", "b1"]);
    assert_eq!(
        store.due_outbox(Due::heads(at(10), 1)).await.unwrap().len(),
        1
    );
    finish_first(&store, Ending::Done).await;
    assert_eq!(due_texts(&store, 10).await, ["a2", "b1"]);
    assert_eq!(store.sizes().await.unwrap().outbox, 3);
    drop(store);
    let store = engine.open();
    assert_eq!(due_texts(&store, 10).await, ["a2", "b1"]);
}

pub(crate) async fn a_postponed_entry_holds_up_its_own_lane_only(engine: &dyn Engine) {
    let store = engine.open();
    enqueue(&store, &[("a1", 1), ("a2", 1), ("b1", 2)]).await;
    assert_eq!(store.next_outbox_due(&[]).await.unwrap(), None);
    let first = due(&store, 10, &[]).await.remove(0);
    assert_eq!((first.attempts, first.queued_at), (0, at(10)));
    store
        .postpone_outbox(first.id, at(50), "502")
        .await
        .unwrap();
    assert_eq!(due_texts(&store, 49).await, ["b1"]);
    assert_eq!(store.next_outbox_due(&[]).await.unwrap(), Some(at(50)));
    let busy = [first.lane.clone()];
    assert_eq!(store.next_outbox_due(&busy).await.unwrap(), None);
    let due = due(&store, 50, &[]).await;
    let again = due.iter().find(|entry| entry.id == first.id).unwrap();
    assert_eq!((text(again), again.attempts), ("a1", 1));
}

pub(crate) async fn postponed_entries_can_be_made_due_at_once(engine: &dyn Engine) {
    let store = engine.open();
    enqueue(&store, &[("a1", 1), ("b1", 2), ("c1", 3)]).await;
    for (entry, until) in due(&store, 10, &[]).await.iter().zip([50, 15]) {
        store
            .postpone_outbox(entry.id, at(until), "502")
            .await
            .unwrap();
    }
    store.hurry_outbox(at(20)).await.unwrap();
    // What was due before keeps its place.
    assert_eq!(due_texts(&store, 20).await, ["c1", "b1", "a1"]);
}

pub(crate) async fn an_entry_is_queued_once_by_its_key(engine: &dyn Engine) {
    let store = engine.open();
    enqueue(&store, &[("a1", 1), ("a1", 1), ("a1", 2)]).await;
    assert_eq!(due_texts(&store, 10).await, ["a1"]);
    finish_first(&store, Ending::Done).await;
    enqueue(&store, &[("a1", 1)]).await;
    assert_eq!(due_texts(&store, 10).await, [""; 0]);
}

pub(crate) async fn a_lane_may_be_read_ahead_and_ended_at_once(engine: &dyn Engine) {
    let store = engine.open();
    let all = [
        ("a1", 1),
        ("b1", 2),
        ("a2", 1),
        ("a3", 1),
        ("b2", 2),
        ("c1", 3),
    ];
    enqueue(&store, &all).await;
    let ahead = |lanes| Due {
        each: 2,
        ..Due::heads(at(10), lanes)
    };
    let found = store.due_outbox(ahead(2)).await.unwrap();
    let texts: Vec<_> = found.iter().map(text).collect();
    assert_eq!(texts, ["a1", "a2", "b1", "b2"]);
    let ids: Vec<_> = found.iter().map(|entry| entry.id).collect();
    for _ in 0..2 {
        store.finish_said(ids.clone()).await.unwrap();
        assert_eq!(store.sizes().await.unwrap().outbox, 2);
    }
    // What is put off holds up what is behind it.
    enqueue(&store, &[("a4", 1)]).await;
    let first = due(&store, 10, &[]).await.remove(0);
    assert_eq!(text(&first), "a3");
    store
        .postpone_outbox(first.id, at(50), "502")
        .await
        .unwrap();
    let found = store.due_outbox(ahead(9)).await.unwrap();
    assert_eq!(found.iter().map(text).collect::<Vec<_>>(), ["c1"]);
}

pub(crate) async fn busy_lanes_are_left_out(engine: &dyn Engine) {
    let store = engine.open();
    enqueue(&store, &[("a1", 1), ("b1", 2), ("c1", 3)]).await;
    let busy: Vec<String> = due(&store, 10, &[])
        .await
        .into_iter()
        .take(2)
        .map(|e| e.lane)
        .collect();
    let asked = Due {
        busy,
        ..Due::heads(at(10), 1)
    };
    let left = store.due_outbox(asked).await.unwrap();
    assert_eq!(left.iter().map(text).collect::<Vec<_>>(), ["c1"]);
}

pub(crate) async fn an_entry_set_aside_lets_its_lane_go_on(engine: &dyn Engine) {
    let store = engine.open();
    enqueue(&store, &[("a1", 1), ("a2", 1)]).await;
    finish_first(&store, aside("M_FORBIDDEN")).await;
    assert_eq!(due_texts(&store, 10).await, ["a2"]);
    let sizes = store.sizes().await.unwrap();
    assert_eq!((sizes.outbox, sizes.set_aside), (1, 1));
}

pub(crate) async fn an_item_survives_the_store(engine: &dyn Engine) {
    let store = engine.open();
    let item = OutboxItem::Notice {
        homeserver: home(),
        room: room("a"),
        sender: user("bot"),
        text: "\u{0}\"'\n😀".to_owned(),
        reply_to: Some(event("e")),
        to: Some(user("alice")),
    };
    let lane = Lane::Room(home(), room("a"));
    let entry = NewOutbox {
        key: "k".to_owned(),
        lane: lane.clone(),
        item: item.clone(),
    };
    store.enqueue(vec![entry], at(10)).await.unwrap();
    let found = due(&store, 10, &[]).await.remove(0);
    assert_eq!((found.lane, found.item), (lane.to_string(), item));
}

pub(crate) async fn what_was_queued_by_a_clock_that_was_ahead_is_not_waited_for(
    engine: &dyn Engine,
) {
    let store = engine.open();
    let entries = [("a1", 1), ("a2", 1), ("b1", 2)].map(|(key, lane)| entry(key, lane));
    store.enqueue(entries.to_vec(), at(100_000)).await.unwrap();
    let first = due(&store, 100_000, &[]).await.remove(0);
    store
        .postpone_outbox(first.id, at(100_020), "502")
        .await
        .unwrap();
    // The clock is set back.
    assert_eq!(due_texts(&store, 1_000).await, [""; 0]);
    store.hasten(at(1_000), at(1_050), 10).await.unwrap();
    assert_eq!(due_texts(&store, 1_000).await, ["b1"]);
    assert_eq!(store.next_outbox_due(&[]).await.unwrap(), Some(at(1_050)));
    let first = due(&store, 1_050, &[]).await.pop().unwrap();
    assert_eq!((text(&first), first.attempts), ("a1", 1));
    store.finish_outbox(first.id, Ending::Done).await.unwrap();
    assert_eq!(due_texts(&store, 1_000).await, ["a2", "b1"]);
}
