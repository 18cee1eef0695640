//! Segments on their way to a peer.

use super::*;
use crate::gateway::model::SmsId;

async fn conversation(store: &Arc<dyn Store>) -> Conversation {
    open(store, group("a", ANNA, "alice")).await
}

pub(crate) async fn only_the_first_message_of_a_conversation_is_claimed(engine: &dyn Engine) {
    let store = with_credit(engine).await;
    let conversation = conversation(&store).await;
    let first = queue(&store, long_message(&conversation, "one")).await;
    let second = queue(&store, message(&conversation, "two")).await;
    assert_eq!(store.claim("another", 100, at(10)).await.unwrap(), []);
    assert_eq!(claim(&store, 9).await, []);
    assert_eq!(store.next_due(LINKS).await.unwrap(), Some(at(10)));
    let claimed = claim(&store, 10).await;
    assert_eq!(ids(&claimed), [first, first]);
    assert_eq!(claimed[0].destination, number(ANNA));
    assert_eq!(claimed[0].originator.digits(), VMN_1);
    assert_eq!(claim(&store, 10).await, []);
    assert_eq!(store.next_due(LINKS).await.unwrap(), None);
    assert_eq!(state(&store, second).await, MessageState::Queued);
    let sizes = store.sizes().await.unwrap();
    assert_eq!((sizes.queued, sizes.intent, sizes.leases), (1, 2, 1));
}

pub(crate) async fn the_next_message_waits_for_every_segment_of_the_first(engine: &dyn Engine) {
    let store = with_credit(engine).await;
    let conversation = conversation(&store).await;
    queue(&store, long_message(&conversation, "one")).await;
    let second = queue(&store, message(&conversation, "two")).await;
    let claimed = claim(&store, 10).await;
    answer(&store, &claimed[1], submitted("2"), 20).await;
    assert_eq!(claim(&store, 20).await, []);
    answer(&store, &claimed[0], submitted("1"), 20).await;
    assert_eq!(ids(&claim(&store, 20).await), [second]);
}

pub(crate) async fn an_uncertain_segment_frees_the_lane_at_once(engine: &dyn Engine) {
    let store = with_credit(engine).await;
    let conversation = conversation(&store).await;
    let first = queue(&store, message(&conversation, "one")).await;
    let second = queue(&store, message(&conversation, "two")).await;
    let claimed = claim(&store, 10).await;
    answer(&store, &claimed[0], Outcome::Uncertain, 20).await;
    assert_eq!(state(&store, first).await, MessageState::Uncertain);
    assert_eq!(store.sizes().await.unwrap().uncertain, 1);
    assert_eq!(ids(&claim(&store, 20).await), [second]);
    // Held, not given back: it may have arrived.
    assert_eq!(account(&store).await, (9_980, 20, 0));
}

/// jasmin#425; praekelt/vumi#384, #636.
pub(crate) async fn a_throttled_segment_keeps_its_place(engine: &dyn Engine) {
    let store = with_credit(engine).await;
    let conversation = conversation(&store).await;
    let first = queue(&store, message(&conversation, "one")).await;
    queue(&store, message(&conversation, "two")).await;
    let retry = Outcome::Retry {
        retry_at: at(30),
        status: 8,
    };
    for (outcome, due) in [
        (Outcome::Throttled { retry_at: at(20) }, 20),
        (retry, 30),
        (Outcome::NotWritten, 31),
    ] {
        let claimed = claim(&store, due - 1).await;
        assert_eq!(ids(&claimed), [first]);
        answer(&store, &claimed[0], outcome, due).await;
        assert_eq!(claim(&store, due - 1).await, []);
        assert_eq!(store.next_due(LINKS).await.unwrap(), Some(at(due)));
    }
    assert_eq!(ids(&claim(&store, 31).await), [first]);
    assert_eq!(account(&store).await, (9_980, 20, 0));
}

pub(crate) async fn conversations_never_wait_for_each_other(engine: &dyn Engine) {
    let store = with_credit(engine).await;
    let anna = conversation(&store).await;
    let bert = open(&store, group("a", BERT, "alice")).await;
    queue(&store, message(&anna, "one")).await;
    let claimed = claim(&store, 10).await;
    answer(
        &store,
        &claimed[0],
        Outcome::Throttled { retry_at: at(500) },
        10,
    )
    .await;
    queue(&store, message(&anna, "two")).await;
    let other = queue(&store, message(&bert, "two")).await;
    assert_eq!(ids(&claim(&store, 10).await), [other]);
}

pub(crate) async fn a_conversation_with_many_messages_takes_turns(engine: &dyn Engine) {
    let store = with_credit(engine).await;
    let anna = conversation(&store).await;
    let bert = open(&store, group("a", BERT, "alice")).await;
    let mut order = Vec::new();
    for name in ["one", "two", "three"] {
        order.push(queue(&store, message(&anna, name)).await);
    }
    let late = queue(
        &store,
        NewMessage {
            now: at(15),
            ..message(&bert, "one")
        },
    )
    .await;
    let mut claimed_order = Vec::new();
    for now in 20..24 {
        let claimed = store.claim(LINKS, 1, at(now)).await.unwrap();
        claimed_order.extend(ids(&claimed));
        answer(&store, &claimed[0], submitted(&now.to_string()), now).await;
    }
    order.insert(1, late);
    assert_eq!(claimed_order, order);
}

pub(crate) async fn a_repeated_or_stale_answer_changes_nothing(engine: &dyn Engine) {
    let store = with_credit(engine).await;
    let conversation = conversation(&store).await;
    let id = queue(&store, message(&conversation, "one")).await;
    let first = &claim(&store, 10).await[0];
    assert_eq!(first.attempt, 1);
    answer(&store, first, Outcome::NotWritten, 11).await;
    let second = &claim(&store, 12).await[0];
    assert_eq!(second.attempt, 2);
    // The answer to the first attempt again would send the segment twice.
    answer(&store, first, Outcome::NotWritten, 13).await;
    answer(&store, first, submitted("wrong"), 13).await;
    assert_eq!(claim(&store, 13).await, []);
    assert_eq!(state(&store, id).await, MessageState::Intent);
    for _ in 0..2 {
        answer(&store, second, submitted("1"), 14).await;
        answer(&store, second, Outcome::Rejected { status: 1 }, 15).await;
    }
    assert_eq!(state(&store, id).await, MessageState::Submitted);
    assert_eq!(account(&store).await, (9_990, 0, 10));
    assert_eq!(news(&store).await, [(id, MessageState::Submitted)]);
}

pub(crate) async fn a_rejected_segment_fails_and_refunds_the_rest(engine: &dyn Engine) {
    let store = with_credit(engine).await;
    let conversation = conversation(&store).await;
    let segments = split(&"x".repeat(400), ReferenceWidth::Sixteen).unwrap();
    let new = NewMessage {
        segments,
        ..message(&conversation, "one")
    };
    let id = queue(&store, new).await;
    let next = queue(&store, message(&conversation, "two")).await;
    let claimed = store.claim(LINKS, 2, at(10)).await.unwrap();
    answer(&store, &claimed[0], Outcome::Rejected { status: 0x0b }, 20).await;
    let view = store.message(id).await.unwrap().unwrap();
    assert_eq!((view.state, view.segments), (MessageState::Rejected, 3));
    assert_eq!(view.failure, Some(Failure::Status(0x0b)));
    // The third is taken back, the second is on the wire and not to be tried again.
    assert_eq!(account(&store).await, (9_980, 20, 0));
    answer(
        &store,
        &claimed[1],
        Outcome::Retry {
            retry_at: at(30),
            status: 8,
        },
        20,
    )
    .await;
    assert_eq!(account(&store).await, (9_990, 10, 0));
    assert_eq!(ids(&claim(&store, 40).await), [next]);
    assert_eq!(news(&store).await, [(id, MessageState::Rejected)]);
}

pub(crate) async fn a_segment_sent_again_is_flagged_and_bounded(engine: &dyn Engine) {
    let store = with_credit(engine).await;
    let conversation = conversation(&store).await;
    let uncertain = UncertainPolicy::Resend;
    let first = queue(
        &store,
        NewMessage {
            uncertain,
            ..message(&conversation, "one")
        },
    )
    .await;
    let second = queue(&store, message(&conversation, "two")).await;
    let claimed = claim(&store, 10).await;
    assert!(!claimed[0].possible_duplicate);
    answer(&store, &claimed[0], Outcome::Uncertain, 20).await;
    // It goes again, and the next does not wait for it.
    let claimed = claim(&store, 20).await;
    assert_eq!(ids(&claimed), [first, second]);
    assert!(claimed[0].possible_duplicate && !claimed[1].possible_duplicate);
    assert!(
        store
            .message(first)
            .await
            .unwrap()
            .unwrap()
            .possible_duplicate
    );
    let history = store.explain(&first.to_string()).await.unwrap().remove(0);
    assert!(history.possible_duplicate);
    assert!(history.steps.last().unwrap().detail.contains("twice"));
    let mut again = claimed[0].clone();
    let mut sent = 2;
    loop {
        answer(&store, &again, Outcome::Uncertain, 30).await;
        match claim(&store, 30).await.pop() {
            Some(next) => again = next,
            None => break,
        }
        sent += 1;
        assert!(sent < 10, "it is sent again for ever");
    }
    assert_eq!(state(&store, first).await, MessageState::Lost);
    assert_eq!(account(&store).await, (9_990, 10, 0));
}

pub(crate) async fn a_policy_to_fail_loses_at_once(engine: &dyn Engine) {
    let store = with_credit(engine).await;
    let conversation = conversation(&store).await;
    let uncertain = UncertainPolicy::Fail;
    let id = queue(
        &store,
        NewMessage {
            uncertain,
            ..message(&conversation, "one")
        },
    )
    .await;
    let claimed = claim(&store, 10).await;
    answer(&store, &claimed[0], Outcome::Uncertain, 20).await;
    assert_eq!(account(&store).await, (10_000, 0, 0));
    assert_eq!(news(&store).await, [(id, MessageState::Lost)]);
}

pub(crate) async fn an_intent_without_an_answer_is_uncertain_after_a_restart(engine: &dyn Engine) {
    let store = with_credit(engine).await;
    let conversation = conversation(&store).await;
    let held = queue(&store, message(&conversation, "one")).await;
    let uncertain = UncertainPolicy::Resend;
    let bert = open(&store, group("a", BERT, "alice")).await;
    let resent = queue(
        &store,
        NewMessage {
            uncertain,
            ..message(&bert, "one")
        },
    )
    .await;
    let before = claim(&store, 10).await;
    drop(store);
    let store = engine.open();
    assert_eq!(store.recover(at(20)).await.unwrap(), 2);
    assert_eq!(store.recover(at(21)).await.unwrap(), 0);
    assert_eq!(state(&store, held).await, MessageState::Uncertain);
    let again = claim(&store, 30).await;
    assert_eq!(ids(&again), [resent]);
    assert!(again[0].possible_duplicate && again[0].attempt > before[1].attempt);
}

pub(crate) async fn a_late_answer_ends_the_uncertainty(engine: &dyn Engine) {
    let store = with_credit(engine).await;
    let conversation = conversation(&store).await;
    let held = queue(&store, message(&conversation, "one")).await;
    let claimed = claim(&store, 10).await;
    answer(&store, &claimed[0], Outcome::Uncertain, 20).await;
    answer(&store, &claimed[0], Outcome::NotWritten, 21).await;
    assert_eq!(state(&store, held).await, MessageState::Uncertain);
    answer(&store, &claimed[0], submitted("1"), 22).await;
    assert_eq!(state(&store, held).await, MessageState::Submitted);
    assert_eq!(account(&store).await, (9_990, 0, 10));
    store.sweep(at(900_000), 10).await.unwrap();
    assert_eq!(news(&store).await, [(held, MessageState::Submitted)]);
}

pub(crate) async fn a_message_past_its_validity_is_refunded_and_never_claimed(engine: &dyn Engine) {
    let store = with_credit(engine).await;
    let conversation = conversation(&store).await;
    let first = queue(&store, message(&conversation, "one")).await;
    let later = Timestamp(VALID_UNTIL.0 + 100);
    let second = NewMessage {
        valid_until: later,
        ..message(&conversation, "two")
    };
    let second = queue(&store, second).await;
    let bert = open(&store, group("a", BERT, "alice")).await;
    let third = queue(&store, message(&bert, "one")).await;
    assert!(!store.sweep(Timestamp(VALID_UNTIL.0 - 1), 10).await.unwrap());
    assert_eq!(state(&store, first).await, MessageState::Queued);
    // By a claim or by the sweep, whichever comes first.
    let claimed = store.claim(LINKS, 1, VALID_UNTIL).await.unwrap();
    assert_eq!(ids(&claimed), [second]);
    store.sweep(VALID_UNTIL, 10).await.unwrap();
    assert_eq!(state(&store, third).await, MessageState::Expired);
    assert_eq!(account(&store).await, (9_990, 10, 0));
    let expired = [
        (first, MessageState::Expired),
        (third, MessageState::Expired),
    ];
    assert_eq!(news(&store).await, expired);
}

pub(crate) async fn submitted_is_told_once_and_only_when_all_segments_are(engine: &dyn Engine) {
    let store = with_credit(engine).await;
    let conversation = conversation(&store).await;
    let id = queue(&store, long_message(&conversation, "one")).await;
    let claimed = claim(&store, 10).await;
    answer(&store, &claimed[0], submitted("1"), 20).await;
    assert_eq!(news(&store).await, []);
    answer(&store, &claimed[1], submitted("2"), 20).await;
    assert_eq!(news(&store).await, [(id, MessageState::Submitted)]);
    answer(&store, &claimed[1], submitted("2"), 20).await;
    assert_eq!(news(&store).await, []);
}

pub(crate) async fn a_relayed_sms_is_told_only_when_it_fails(engine: &dyn Engine) {
    let store = with_credit(engine).await;
    let conversation = conversation(&store).await;
    let source = Source::Sms { sms: SmsId(1) };
    let id = MessageId::of(&source, conversation.id);
    queue(
        &store,
        NewMessage {
            id,
            source,
            ..message(&conversation, "-")
        },
    )
    .await;
    let source = Source::Sms { sms: SmsId(2) };
    let failing = MessageId::of(&source, conversation.id);
    queue(
        &store,
        NewMessage {
            id: failing,
            source,
            ..message(&conversation, "-")
        },
    )
    .await;
    let claimed = claim(&store, 10).await;
    answer(&store, &claimed[0], submitted("1"), 20).await;
    let claimed = claim(&store, 20).await;
    answer(&store, &claimed[0], Outcome::Rejected { status: 0x0b }, 20).await;
    assert_eq!(state(&store, id).await, MessageState::Submitted);
    assert_eq!(news(&store).await, [(failing, MessageState::Rejected)]);
}

pub(crate) async fn only_temporary_errors_count_as_retries(engine: &dyn Engine) {
    let store = with_credit(engine).await;
    let conversation = conversation(&store).await;
    queue(&store, message(&conversation, "one")).await;
    let mut counted = Vec::new();
    for outcome in [
        Outcome::NotWritten,
        Outcome::Throttled { retry_at: at(10) },
        Outcome::Retry {
            retry_at: at(10),
            status: 8,
        },
        Outcome::Retry {
            retry_at: at(10),
            status: 8,
        },
        Outcome::NotWritten,
    ] {
        let claimed = &claim(&store, 10).await[0];
        counted.push((claimed.attempt, claimed.retries));
        answer(&store, claimed, outcome, 10).await;
    }
    assert_eq!(counted, [(1, 0), (2, 0), (3, 0), (4, 1), (5, 2)]);
}

pub(crate) async fn what_was_put_off_by_a_clock_that_was_ahead_is_not_waited_for(
    engine: &dyn Engine,
) {
    let store = with_credit(engine).await;
    let conversation = conversation(&store).await;
    let ahead = |name| NewMessage {
        now: at(100_000),
        valid_until: at(1_000_000),
        ..message(&conversation, name)
    };
    let tried = queue(&store, ahead("one")).await;
    let behind = queue(&store, ahead("two")).await;
    let claimed = claim(&store, 100_000).await;
    let retry_at = at(100_020);
    answer(
        &store,
        &claimed[0],
        Outcome::Throttled { retry_at },
        100_010,
    )
    .await;
    // The clock is set back.
    let hasten = async |now| store.hasten(at(now), at(now + 50), 10).await.unwrap();
    hasten(99_980).await;
    assert_eq!(store.next_due(LINKS).await.unwrap(), Some(retry_at), "soon");
    hasten(1_000).await;
    assert!(claim(&store, 1_049).await.is_empty());
    let claimed = claim(&store, 1_050).await;
    assert_eq!(ids(&claimed), [tried]);
    answer(&store, &claimed[0], submitted("1"), 1_050).await;
    assert_eq!(ids(&claim(&store, 1_050).await), [behind], "at once");
    assert!(!hasten(1_000).await);
}
