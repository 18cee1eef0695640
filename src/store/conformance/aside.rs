//! What was set aside.

use super::*;
use crate::gateway::model::{ConversationId, InboxSeq};

fn words(key: &str) -> NewOutbox {
    NewOutbox {
        key: key.to_owned(),
        lane: Lane::Conversation(ConversationId(1)),
        item: OutboxItem::TellOwner {
            homeserver: home(),
            owner: user("alice"),
            text: key.to_owned(),
        },
    }
}

fn told(reason: &str, key: &str) -> Ending {
    Ending::SetAside {
        reason: reason.to_owned(),
        at: at(20),
        tell: Some(Box::new(words(key))),
    }
}

async fn take(store: &Arc<dyn Store>, name: &str) -> InboxSeq {
    let new = NewEvent {
        is_over: false,
        event_id: event(name),
        room: room("a"),
        json: "{\"secret\":1}".to_owned(),
    };
    let transaction = Transaction {
        homeserver: home(),
        txn_id: name.to_owned(),
        events: vec![new],
        extras: None,
        at: at(5),
        most_waiting: usize::MAX,
    };
    store.take_transaction(transaction).await.unwrap();
    let pending = store.pending_events(InboxSeq(0), 100).await.unwrap();
    pending.last().unwrap().seq
}

/// A text of Anna's to a number of Alice's own.
async fn text(store: &Arc<dyn Store>, payload: &'static str) -> SmsId {
    store.dedicate(VMN_2, &user("alice")).await.unwrap();
    let sms = SmsIn {
        link_group: LINKS.to_owned(),
        session: uuid::Uuid::nil(),
        living_sessions: vec![uuid::Uuid::nil()],
        from: phone(ANNA),
        to: VMN_2.to_owned(),
        concat: None,
        data_coding: matrix_smpp_codec::values::DataCoding::GSM_DEFAULT,
        payload: bytes::Bytes::from_static(payload.as_bytes()),
        user_message_reference: None,
        peer_id: None,
        dedicated_to: None,
        wish: None,
        most_waiting: usize::MAX,
        most_partial: usize::MAX,
        submitted: None,
        note_sender: false,
        at: at(5),
    };
    store.take_sms(sms).await.unwrap();
    let pending = store.pending_sms(SmsId(0), 100).await.unwrap();
    pending.last().unwrap().id
}

async fn due(store: &Arc<dyn Store>) -> Vec<OutboxEntry> {
    store.due_outbox(Due::heads(at(1_000), 100)).await.unwrap()
}

pub(crate) async fn what_is_set_aside_is_told_once_in_the_same_step(engine: &dyn Engine) {
    let store = engine.open();
    let (seq, sms) = (take(&store, "a").await, text(&store, "hello").await);
    for _ in 0..2 {
        let ending = told("why", "of the event");
        store.finish_event(seq, ending).await.unwrap();
        store
            .finish_sms(sms, told("why", "of the SMS"))
            .await
            .unwrap();
    }
    let entry = due(&store).await.remove(0);
    let ending = told("why", "of the entry");
    store.finish_outbox(entry.id, ending.clone()).await.unwrap();
    store.finish_outbox(entry.id, ending).await.unwrap();
    // One that has ended is not told any more.
    let done = take(&store, "b").await;
    store.finish_event(done, Ending::Done).await.unwrap();
    store
        .finish_event(done, told("why", "never"))
        .await
        .unwrap();
    drop(store);
    let store = engine.open();
    let items = drain(&store).await.into_iter();
    let texts: Vec<_> = items
        .map(|item| match item {
            OutboxItem::TellOwner { text, .. } => text,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(texts, ["of the SMS", "of the entry"]);
}

pub(crate) async fn what_is_set_aside_is_listed_without_its_content(engine: &dyn Engine) {
    let store = engine.open();
    let (seq, sms) = (take(&store, "a").await, text(&store, "secret").await);
    store.finish_event(seq, aside("one")).await.unwrap();
    store.finish_sms(sms, aside("two")).await.unwrap();
    store.enqueue(vec![words("secret")], at(6)).await.unwrap();
    let entry = due(&store).await.remove(0).id;
    store.finish_outbox(entry, aside("three")).await.unwrap();
    let listed = store.aside(10).await.unwrap();
    let line = |id, about: &str, reason: &str| Aside {
        id,
        at: at(20),
        about: about.to_owned(),
        reason: reason.to_owned(),
    };
    let expected = [
        line(AsideId::Event(seq), "$a", "one"),
        line(AsideId::Sms(sms), LINKS, "two"),
        line(AsideId::Outbox(entry), "tell_owner", "three"),
    ];
    assert_eq!(listed, expected);
    for one in expected {
        assert_eq!(one.id.to_string().parse(), Ok(one.id));
    }
    assert_eq!(store.aside(0).await.unwrap(), []);
}

pub(crate) async fn what_is_tried_again_is_first_in_its_lane(engine: &dyn Engine) {
    let store = engine.open();
    let (seq, sms) = (take(&store, "a").await, text(&store, "hello").await);
    store.finish_event(seq, aside("why")).await.unwrap();
    store.finish_sms(sms, aside("why")).await.unwrap();
    store.enqueue(vec![words("one")], at(6)).await.unwrap();
    let entry = due(&store).await.remove(0).id;
    store.postpone_outbox(entry, at(500), "502").await.unwrap();
    store.finish_outbox(entry, aside("why")).await.unwrap();
    store.enqueue(vec![words("two")], at(7)).await.unwrap();
    take(&store, "b").await;
    let ids = [
        AsideId::Event(seq),
        AsideId::Sms(sms),
        AsideId::Outbox(entry),
    ];
    for id in ids {
        assert!(store.retry_aside(id, at(30)).await.unwrap(), "{id}");
        assert!(!store.retry_aside(id, at(30)).await.unwrap(), "{id}");
    }
    let events = store.pending_events(InboxSeq(0), 10).await.unwrap();
    assert_eq!((events[0].seq, events.len()), (seq, 2));
    assert!(events[0].json.contains("secret"));
    let texts = store.pending_sms(SmsId(0), 10).await.unwrap();
    assert_eq!(texts[0].text, "hello");
    assert_eq!(store.due_outbox(Due::heads(at(29), 10)).await.unwrap(), []);
    let heads = due(&store).await;
    assert_eq!((heads[0].id, heads[0].attempts, heads.len()), (entry, 0, 1));
    store.finish_outbox(entry, Ending::Done).await.unwrap();
    assert_eq!(due(&store).await.len(), 1);
    assert_eq!(store.sizes().await.unwrap().set_aside, 0);
}

pub(crate) async fn what_is_dropped_is_gone_for_good(engine: &dyn Engine) {
    let store = engine.open();
    let (seq, sms) = (take(&store, "a").await, text(&store, "hello").await);
    store.enqueue(vec![words("one")], at(6)).await.unwrap();
    let entry = due(&store).await.remove(0).id;
    let ids = [
        AsideId::Event(seq),
        AsideId::Sms(sms),
        AsideId::Outbox(entry),
    ];
    for id in ids {
        assert!(!store.drop_aside(id, at(30)).await.unwrap(), "waits: {id}");
    }
    store.finish_event(seq, aside("why")).await.unwrap();
    store.finish_sms(sms, aside("why")).await.unwrap();
    store.finish_outbox(entry, aside("why")).await.unwrap();
    for id in ids {
        assert!(store.drop_aside(id, at(30)).await.unwrap(), "{id}");
        assert!(!store.retry_aside(id, at(31)).await.unwrap(), "{id}");
    }
    assert_eq!(store.aside(10).await.unwrap(), []);
    assert_eq!(due(&store).await, []);
    // Its id stays known.
    let pending = store.pending_events(InboxSeq(0), 10).await.unwrap();
    assert!(pending.is_empty());
    let again = Transaction {
        homeserver: home(),
        txn_id: "9".to_owned(),
        events: vec![NewEvent {
            is_over: false,
            event_id: event("a"),
            room: room("a"),
            json: "{}".to_owned(),
        }],
        extras: None,
        at: at(40),
        most_waiting: usize::MAX,
    };
    assert_eq!(store.take_transaction(again).await.unwrap().new, 0);
}

pub(crate) async fn a_dropped_event_takes_back_what_has_not_left(engine: &dyn Engine) {
    let store = with_credit(engine).await;
    let seq = take(&store, "one").await;
    let anna = open(&store, group("a", ANNA, "alice")).await;
    let bert = open(&store, group("a", BERT, "alice")).await;
    let sent = queue(&store, message(&anna, "one")).await;
    let claimed = claim(&store, 10).await;
    let waiting = queue(&store, message(&bert, "one")).await;
    let other = queue(&store, message(&bert, "two")).await;
    store.finish_event(seq, aside("why")).await.unwrap();
    assert_eq!(account(&store).await, (9_970, 30, 0), "nothing yet");
    assert!(store.drop_aside(AsideId::Event(seq), at(30)).await.unwrap());
    assert_eq!(account(&store).await, (9_980, 20, 0));
    assert_eq!(state(&store, waiting).await, MessageState::Cancelled);
    assert_eq!(ids(&claim(&store, 31).await), [other]);
    answer(&store, &claimed[0], submitted("1"), 32).await;
    let told = [
        (waiting, MessageState::Cancelled),
        (sent, MessageState::Submitted),
    ];
    assert_eq!(news(&store).await, told);
}

pub(crate) async fn what_is_set_aside_is_forgotten_long_after(engine: &dyn Engine) {
    let store = engine.open();
    let (seq, sms) = (take(&store, "a").await, text(&store, "hello").await);
    store.finish_event(seq, aside("why")).await.unwrap();
    store.finish_sms(sms, aside("why")).await.unwrap();
    let months_after = at(20).after(Duration::from_hours(90 * 24));
    let just_before = Timestamp(months_after.0 - 1);
    while store.sweep(just_before, 10).await.unwrap() {}
    assert_eq!(store.aside(10).await.unwrap().len(), 2);
    while store.sweep(months_after, 10).await.unwrap() {}
    assert_eq!(store.aside(10).await.unwrap(), []);
}
