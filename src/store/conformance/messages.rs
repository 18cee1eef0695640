//! Messages accepted, refused and taken back.

use std::collections::HashSet;
use std::time::Duration;

use matrix_smpp_codec::{Carriage, Splitter};

use super::*;
use crate::gateway::model::{InboxSeq, Originator};

async fn refusal(store: &Arc<dyn Store>, message: NewMessage) -> Refusal {
    let id = message.id;
    match store.accept_message(message).await.unwrap() {
        Acceptance::Refused(refusal) => {
            assert_eq!(store.message(id).await.unwrap(), None);
            refusal
        }
        other => panic!("not refused: {other:?}"),
    }
}

pub(crate) async fn accepting_twice_queues_and_charges_once(engine: &dyn Engine) {
    let store = with_credit(engine).await;
    let conversation = open(&store, group("a", ANNA, "alice")).await;
    let new = long_message(&conversation, "one");
    let first = store.accept_message(new.clone()).await.unwrap();
    assert_eq!(
        first,
        Acceptance::Queued {
            balance: money(9_980)
        }
    );
    let again = store.accept_message(new.clone()).await.unwrap();
    assert_eq!(again, Acceptance::Repeated(MessageState::Queued));
    let claimed = claim(&store, 10).await;
    assert_eq!(claimed.len(), 2);
    let again = store.accept_message(new).await.unwrap();
    assert_eq!(again, Acceptance::Repeated(MessageState::Intent));
    assert_eq!(account(&store).await, (9_980, 20, 0));
}

pub(crate) async fn a_number_and_a_handset_never_serve_two_conversations(engine: &dyn Engine) {
    let store = with_credit(engine).await;
    let rooms = ["a", "b"].map(|name| group(name, ANNA, "alice"));
    for request in rooms {
        let conversation = open(&store, request).await;
        queue(&store, message(&conversation, "one")).await;
    }
    let other = open(&store, group("a", BERT, "alice")).await;
    queue(&store, message(&other, "one")).await;
    let leases = store.leases().await.unwrap();
    let pairs: HashSet<_> = leases
        .iter()
        .map(|lease| (lease.vmn, lease.handset.key()))
        .collect();
    assert_eq!(pairs.len(), 3);
    // Another phone may have the same number.
    let vmns: HashSet<_> = leases.iter().map(|lease| lease.vmn).collect();
    assert_eq!(vmns, HashSet::from([number(VMN_1), number(VMN_2)]));
}

pub(crate) async fn a_conversation_keeps_its_number(engine: &dyn Engine) {
    let store = with_credit(engine).await;
    let conversation = open(&store, group("a", ANNA, "alice")).await;
    queue(&store, message(&conversation, "one")).await;
    let other_pool = OriginatorPlan::Shortcode("12345".to_owned());
    queue(
        &store,
        NewMessage {
            originators: other_pool,
            ..message(&conversation, "two")
        },
    )
    .await;
    let found = store.conversation(conversation.id).await.unwrap().unwrap();
    assert_eq!(
        found.originator,
        Some(Originator::Vmn(E164Text(number(VMN_1))))
    );
    assert_eq!(store.leases().await.unwrap().len(), 1);
}

pub(crate) async fn an_exhausted_pool_refuses_and_changes_nothing(engine: &dyn Engine) {
    let store = with_credit(engine).await;
    let first = open(&store, group("a", ANNA, "alice")).await;
    queue(
        &store,
        NewMessage {
            originators: pool(1),
            ..message(&first, "one")
        },
    )
    .await;
    // Cooling off, the number is not free either.
    store
        .end_conversation(first.id, Duration::from_secs(100), at(10))
        .await
        .unwrap();
    let before = account(&store).await;
    let second = open(&store, group("b", ANNA, "alice")).await;
    let new = NewMessage {
        originators: pool(1),
        ..message(&second, "two")
    };
    let expected = Refusal::PoolExhausted {
        pool: "uk".to_owned(),
    };
    assert_eq!(refusal(&store, new.clone()).await, expected);
    assert_eq!(account(&store).await, before);
    assert_eq!(
        store
            .conversation(second.id)
            .await
            .unwrap()
            .unwrap()
            .originator,
        None
    );
    // Cooled off, it is, though nothing has swept.
    queue(
        &store,
        NewMessage {
            now: at(100_010),
            ..new
        },
    )
    .await;
}

pub(crate) async fn credit_is_reserved_whole_or_refused_whole(engine: &dyn Engine) {
    let store = engine.open();
    store
        .top_up(&user("alice"), money(15), "first", at(1))
        .await
        .unwrap();
    let conversation = open(&store, group("a", ANNA, "alice")).await;
    let expected = Refusal::NoCredit {
        balance: money(15),
        cost: money(20),
    };
    assert_eq!(
        refusal(&store, long_message(&conversation, "one")).await,
        expected
    );
    assert_eq!(account(&store).await, (15, 0, 0));
    assert_eq!(store.leases().await.unwrap(), []);
    queue(&store, message(&conversation, "two")).await;
    assert_eq!(account(&store).await, (5, 10, 0));
    // What costs nothing needs no credit.
    queue(
        &store,
        NewMessage {
            price: Money::ZERO,
            ..long_message(&conversation, "three")
        },
    )
    .await;
}

pub(crate) async fn an_ended_conversation_takes_no_message(engine: &dyn Engine) {
    let store = with_credit(engine).await;
    let conversation = open(&store, group("a", ANNA, "alice")).await;
    store
        .end_conversation(conversation.id, Duration::ZERO, at(2))
        .await
        .unwrap();
    let refused = refusal(&store, message(&conversation, "one")).await;
    assert_eq!(refused, Refusal::ConversationEnded);
    let elsewhere = NewMessage {
        destination: number(BERT),
        ..message(&conversation, "two")
    };
    let refused = store.accept_message(elsewhere).await;
    assert!(
        matches!(refused, Err(StoreError::Conflict(_))),
        "{refused:?}"
    );
}

pub(crate) async fn messages_that_follow_each_other_have_different_references(engine: &dyn Engine) {
    let store = with_credit(engine).await;
    let conversation = open(&store, group("a", ANNA, "alice")).await;
    let mut references = Vec::new();
    for name in ["one", "two", "three"] {
        queue(&store, long_message(&conversation, name)).await;
        let claimed = claim(&store, 10).await;
        // 06 08 04 <reference> <total> <index>
        let headers: Vec<_> = claimed
            .iter()
            .map(|segment| segment.payload.slice(..7))
            .collect();
        assert!(claimed.iter().all(|segment| segment.udhi));
        assert_eq!(headers[0][..5], headers[1][..5]);
        assert_eq!((headers[0][6], headers[1][6]), (1, 2));
        references.push(headers[0].slice(3..5));
        for segment in &claimed {
            let id = format!("{name}{}", segment.segment.index);
            answer(&store, segment, submitted(&id), 20).await;
        }
    }
    assert!(
        references.windows(2).all(|pair| pair[0] != pair[1]),
        "{references:?}"
    );
}

pub(crate) async fn a_redacted_event_is_taken_back_while_it_waits(engine: &dyn Engine) {
    let store = with_credit(engine).await;
    let anna = open(&store, group("a", ANNA, "alice")).await;
    let bert = open(&store, group("a", BERT, "alice")).await;
    let to_anna = queue(&store, message(&anna, "one")).await;
    let to_bert = queue(&store, message(&bert, "one")).await;
    let next = queue(&store, message(&anna, "two")).await;
    let views = store
        .cancel_event(&home(), &event("one"), at(20))
        .await
        .unwrap();
    assert_eq!(
        views.iter().map(|view| view.id).collect::<Vec<_>>(),
        [to_anna, to_bert]
    );
    assert!(
        views
            .iter()
            .all(|view| view.state == MessageState::Cancelled)
    );
    assert_eq!(account(&store).await, (9_990, 10, 0));
    assert_eq!(ids(&claim(&store, 20).await), [next]);
    assert_eq!(news(&store).await, []);
    let again = store
        .cancel_event(&home(), &event("one"), at(21))
        .await
        .unwrap();
    assert_eq!(again, views);
}

pub(crate) async fn a_redacted_event_on_the_wire_stays_whole(engine: &dyn Engine) {
    let store = with_credit(engine).await;
    let conversation = open(&store, group("a", ANNA, "alice")).await;
    queue(&store, long_message(&conversation, "one")).await;
    let claimed = store.claim(LINKS, 1, at(10)).await.unwrap();
    assert_eq!(claimed.len(), 1);
    let views = store
        .cancel_event(&home(), &event("one"), at(20))
        .await
        .unwrap();
    assert_eq!(views[0].state, MessageState::Queued);
    assert_eq!(account(&store).await, (9_980, 20, 0));
    assert_eq!(claim(&store, 20).await.len(), 1);
}

pub(crate) async fn taking_back_a_waiting_message_does_not_let_others_overtake(
    engine: &dyn Engine,
) {
    let store = with_credit(engine).await;
    let conversation = open(&store, group("a", ANNA, "alice")).await;
    let first = queue(&store, message(&conversation, "one")).await;
    queue(&store, message(&conversation, "two")).await;
    let third = queue(&store, message(&conversation, "three")).await;
    store
        .cancel_event(&home(), &event("two"), at(20))
        .await
        .unwrap();
    let claimed = claim(&store, 20).await;
    assert_eq!(ids(&claimed), [first]);
    assert_eq!(claim(&store, 20).await, []);
    answer(&store, &claimed[0], submitted("1"), 30).await;
    assert_eq!(ids(&claim(&store, 30).await), [third]);
}

pub(crate) async fn a_dedicated_number_is_never_leased_to_another(engine: &dyn Engine) {
    let store = with_credit(engine).await;
    store.dedicate(VMN_1, &user("bob")).await.unwrap();
    let alices = open(&store, group("a", ANNA, "alice")).await;
    queue(&store, message(&alices, "one")).await;
    let bobs = open(&store, group("b", ANNA, "bob")).await;
    queue(&store, message(&bobs, "two")).await;
    let number_of = async |conversation: &Conversation| {
        store
            .conversation(conversation.id)
            .await
            .unwrap()
            .unwrap()
            .originator
            .unwrap()
            .digits()
    };
    assert_eq!(number_of(&alices).await, VMN_2);
    assert_eq!(number_of(&bobs).await, VMN_1);
}

pub(crate) async fn a_message_without_progress_is_news_only_where_it_fails(engine: &dyn Engine) {
    let store = with_credit(engine).await;
    let conversation = open(&store, group("a", ANNA, "alice")).await;
    for (name, outcome) in [
        ("one", submitted("1")),
        ("two", Outcome::Rejected { status: 0x0b }),
    ] {
        let new = NewMessage {
            progress: false,
            ..message(&conversation, name)
        };
        queue(&store, new).await;
        let claimed = claim(&store, 10).await;
        answer(&store, &claimed[0], outcome, 20).await;
    }
    let rejected = message(&conversation, "two").id;
    assert_eq!(news(&store).await, [(rejected, MessageState::Rejected)]);
}

pub(crate) async fn the_history_tells_each_change(engine: &dyn Engine) {
    let store = with_credit(engine).await;
    let conversation = open(&store, group("a", ANNA, "alice")).await;
    let id = queue(&store, message(&conversation, "one")).await;
    let claimed = claim(&store, 20).await;
    answer(&store, &claimed[0], submitted("4711"), 30).await;
    let by_event = store.explain("$one").await.unwrap();
    assert_eq!(by_event, store.explain(&id.to_string()).await.unwrap());
    let [history] = &by_event[..] else {
        panic!("{by_event:?}")
    };
    assert_eq!(
        (history.message, history.payer.clone()),
        (id, user("alice"))
    );
    let steps: Vec<_> = history
        .steps
        .iter()
        .map(|step| (step.at, step.state))
        .collect();
    assert_eq!(
        steps,
        [
            (at(10), MessageState::Queued),
            (at(20), MessageState::Intent),
            (at(30), MessageState::Submitted),
        ]
    );
    assert!(history.steps[2].detail.contains("4711"));
    assert_eq!(store.explain("$never").await.unwrap(), []);
}

pub(crate) async fn an_edit_leads_to_the_history_of_what_it_edits(engine: &dyn Engine) {
    let store = with_credit(engine).await;
    let conversation = open(&store, group("a", ANNA, "alice")).await;
    let id = queue(&store, message(&conversation, "one")).await;
    let relates = |kind: &str| {
        format!(r#"{{"content":{{"m.relates_to":{{"rel_type":"{kind}","event_id":"$one"}}}}}}"#)
    };
    let events = [
        ("edit", relates("m.replace")),
        ("reaction", relates("m.annotation")),
        ("redaction", r#"{"redacts":"$one","content":{}}"#.to_owned()),
        (
            "new_redaction",
            r#"{"content":{"redacts":"$one"}}"#.to_owned(),
        ),
        ("broken", "no JSON".to_owned()),
        ("text", r#"{"content":{"body":"$one"}}"#.to_owned()),
    ];
    let transaction = Transaction {
        homeserver: home(),
        txn_id: "1".to_owned(),
        events: events
            .map(|(name, json)| NewEvent {
                // As what one of ours has said is taken.
                is_over: name == "reaction",
                event_id: event(name),
                room: room("a"),
                json,
            })
            .to_vec(),
        extras: None,
        at: at(1),
        most_waiting: usize::MAX,
    };
    store.take_transaction(transaction).await.unwrap();
    for waiting in store.pending_events(InboxSeq(0), 10).await.unwrap() {
        store.finish_event(waiting.seq, Ending::Done).await.unwrap();
    }
    for name in ["$one", "$edit", "$reaction", "$redaction", "$new_redaction"] {
        let found = store.explain(name).await.unwrap();
        assert_eq!(found.len(), 1, "{name}");
        assert_eq!(found[0].message, id);
        assert!(!found[0].possible_duplicate);
    }
    for name in ["$broken", "$text"] {
        assert_eq!(store.explain(name).await.unwrap(), []);
    }
}

pub(crate) async fn a_shortcode_is_shared_and_leases_nothing(engine: &dyn Engine) {
    let store = with_credit(engine).await;
    for name in ["a", "b"] {
        let conversation = open(&store, group(name, ANNA, "alice")).await;
        let originators = OriginatorPlan::Shortcode("12345".to_owned());
        queue(
            &store,
            NewMessage {
                originators,
                ..message(&conversation, name)
            },
        )
        .await;
    }
    let claimed = claim(&store, 10).await;
    let expected = Originator::Shortcode("12345".to_owned());
    assert_eq!(claimed.len(), 2);
    assert!(claimed.iter().all(|segment| segment.originator == expected));
    assert_eq!(store.leases().await.unwrap(), []);
}

pub(crate) async fn a_message_is_forgotten_long_after_its_end_but_its_cost_is_not(
    engine: &dyn Engine,
) {
    let store = with_credit(engine).await;
    let conversation = open(&store, group("a", ANNA, "alice")).await;
    for name in ["one", "two"] {
        queue(&store, message(&conversation, name)).await;
        let claimed = claim(&store, 20).await;
        answer(&store, &claimed[0], submitted(name), 30).await;
    }
    let known = async || {
        store
            .messages_of_event(&home(), &event("one"))
            .await
            .unwrap()
            .len()
    };
    let long_after = at(10).after(Duration::from_hours(90 * 24));
    assert!(!store.sweep(Timestamp(long_after.0 - 1), 10).await.unwrap());
    assert_eq!(known().await, 1);
    // There may be more: there is.
    assert!(store.sweep(long_after, 1).await.unwrap());
    assert_eq!(known().await, 0);
    assert!(store.sweep(long_after, 1).await.unwrap());
    assert!(!store.sweep(long_after, 1).await.unwrap());
    assert_eq!(store.explain("$two").await.unwrap(), []);
    assert_eq!(account(&store).await, (9_980, 0, 20));
}

pub(crate) async fn a_long_text_is_carried_as_it_was_split(engine: &dyn Engine) {
    let store = with_credit(engine).await;
    let conversation = open(&store, group("a", ANNA, "alice")).await;
    for (reference, carriage) in [
        (1, Carriage::Header(ReferenceWidth::Eight)),
        (2, Carriage::Sar),
        (0, Carriage::Payload),
    ] {
        let splitter = Splitter {
            carriage,
            ..Splitter::default()
        };
        let long = NewMessage {
            segments: splitter.split(&"x".repeat(300)).unwrap(),
            ..message(&conversation, &format!("{carriage:?}"))
        };
        let parts = long.segments.parts.clone();
        queue(&store, long).await;
        let claimed = claim(&store, 10).await;
        assert_eq!(claimed.len(), parts.len(), "{carriage:?}");
        for (claimed, part) in claimed.iter().zip(&parts) {
            let carried = part.carried(reference);
            assert_eq!(claimed.udhi, carried.udhi, "{carriage:?}");
            assert_eq!(claimed.payload, *carried.short_message, "{carriage:?}");
            assert_eq!(claimed.tlvs, carried.tlvs, "{carriage:?}");
            answer(&store, claimed, submitted("1"), 20).await;
        }
    }
}

pub(crate) async fn no_more_messages_wait_than_may(engine: &dyn Engine) {
    let store = with_credit(engine).await;
    let anna = open(&store, group("a", ANNA, "alice")).await;
    let one_of_two = |name| NewMessage {
        most_waiting: 2,
        ..message(&anna, name)
    };
    let first = one_of_two("one");
    queue(&store, first.clone()).await;
    queue(&store, one_of_two("two")).await;
    assert_eq!(
        refusal(&store, one_of_two("three")).await,
        Refusal::QueueFull
    );
    assert_eq!(account(&store).await, (9_980, 20, 0));
    // One that is known is no other.
    let again = store.accept_message(first).await.unwrap();
    assert_eq!(again, Acceptance::Repeated(MessageState::Queued));
    let claimed = claim(&store, 20).await;
    answer(&store, &claimed[0], submitted("1"), 30).await;
    queue(&store, one_of_two("three")).await;
}
