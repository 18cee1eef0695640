//! Phones that want no more texts.

use super::sms::{Fate, from, take};
use super::*;
use crate::gateway::opt_out::Wish;

const CODE: &str = "12345";

fn wants(wish: Wish, digits: &str, number: &str) -> SmsIn {
    SmsIn {
        to: number.to_owned(),
        wish: Some(wish),
        at: at(20),
        ..from(digits, "STOP")
    }
}

async fn say(store: &Arc<dyn Store>, wish: Wish, number: &str) -> Fate {
    take(store, wants(wish, ANNA, number)).await
}

async fn is_refused(store: &Arc<dyn Store>, message: NewMessage) -> bool {
    let before = account(store).await;
    match store.accept_message(message).await.unwrap() {
        Acceptance::Refused(Refusal::OptedOut) => {
            assert_eq!(account(store).await, before);
            true
        }
        Acceptance::Queued { .. } => false,
        other => panic!("{other:?}"),
    }
}

/// `bob` has credit, and a conversation with [`ANNA`].
async fn bobs(store: &Arc<dyn Store>) -> impl Fn(&str) -> NewMessage + use<> {
    let bob = user("bob");
    let credit = store.top_up(&bob, money(10_000), "bobs", at(1));
    credit.await.unwrap();
    let conversation = open(store, group("b", ANNA, "bob")).await;
    move |name| NewMessage {
        payer: user("bob"),
        ..message(&conversation, name)
    }
}

pub(crate) async fn a_phone_that_says_stop_gets_nothing_that_has_not_left(engine: &dyn Engine) {
    let store = with_credit(engine).await;
    let anna = open(&store, group("a", ANNA, "alice")).await;
    let bert = open(&store, group("a", BERT, "alice")).await;
    let sent = queue(&store, message(&anna, "one")).await;
    let waiting = [
        queue(&store, message(&anna, "two")).await,
        queue(&store, long_message(&anna, "three")).await,
    ];
    let [on_wire] = &claim(&store, 15).await[..] else {
        panic!("one of a lane")
    };
    assert_eq!(say(&store, Wish::Stop, VMN_1).await, Fate::Whole);
    for id in waiting {
        let message = store.message(id).await.unwrap().unwrap();
        let end = (message.state, message.failure);
        assert_eq!(end, (MessageState::Cancelled, Some(Failure::OptedOut)));
    }
    assert_eq!(account(&store).await, (10_000 - PRICE, PRICE, 0));
    answer(&store, on_wire, submitted("1"), 25).await;
    assert_eq!(state(&store, sent).await, MessageState::Submitted);
    assert_eq!(claim(&store, 30).await, []);
    let mut told = news(&store).await;
    told.sort_by_key(|(_, state)| *state);
    assert_eq!(told[0], (sent, MessageState::Submitted));
    let cancelled: Vec<_> = told[1..].iter().map(|(id, _)| *id).collect();
    assert_eq!(told.len(), 3);
    assert!(waiting.iter().all(|id| cancelled.contains(id)));
    assert!(is_refused(&store, message(&anna, "four")).await);
    assert!(!is_refused(&store, message(&bert, "four")).await);
}

pub(crate) async fn a_phone_that_says_start_is_texted_again(engine: &dyn Engine) {
    let store = with_credit(engine).await;
    let anna = open(&store, group("a", ANNA, "alice")).await;
    queue(&store, message(&anna, "one")).await;
    say(&store, Wish::Stop, VMN_1).await;
    // What is about another number changes nothing.
    assert_eq!(say(&store, Wish::Start, VMN_2).await, Fate::Heeded);
    assert!(is_refused(&store, message(&anna, "two")).await);
    say(&store, Wish::Start, VMN_1).await;
    assert_eq!(store.opt_outs().await.unwrap(), []);
    assert!(!is_refused(&store, message(&anna, "two")).await);
    assert_eq!(claim(&store, 30).await.len(), 1);
}

pub(crate) async fn what_comes_back_after_a_stop_is_not_sent_again(engine: &dyn Engine) {
    let store = with_credit(engine).await;
    let anna = open(&store, group("a", ANNA, "alice")).await;
    let id = queue(&store, message(&anna, "one")).await;
    let claimed = claim(&store, 15).await;
    say(&store, Wish::Stop, VMN_1).await;
    let throttled = Outcome::Throttled { retry_at: at(30) };
    answer(&store, &claimed[0], throttled, 25).await;
    assert_eq!(claim(&store, 40).await, []);
    assert_eq!(state(&store, id).await, MessageState::Cancelled);
    assert_eq!(account(&store).await, (10_000, 0, 0));
    assert_eq!(news(&store).await, [(id, MessageState::Cancelled)]);
}

pub(crate) async fn whoever_a_phone_has_stopped_cannot_go_on_with_another_number(
    engine: &dyn Engine,
) {
    let store = with_credit(engine).await;
    let anna = open(&store, group("a", ANNA, "alice")).await;
    queue(&store, message(&anna, "one")).await;
    let bobs = bobs(&store).await;
    assert!(!is_refused(&store, bobs("two")).await);
    say(&store, Wish::Stop, VMN_1).await;
    // Another conversation would have the pool's other number.
    let elsewhere = open(&store, group("c", ANNA, "alice")).await;
    let new = NewMessage {
        originators: pool(3),
        ..message(&elsewhere, "three")
    };
    assert!(is_refused(&store, new).await);
    assert!(!is_refused(&store, bobs("four")).await);
}

pub(crate) async fn a_number_that_a_phone_has_stopped_is_not_leased_for_it(engine: &dyn Engine) {
    let store = with_credit(engine).await;
    let anna = phone(ANNA);
    store.heed(&anna, VMN_1, Wish::Stop, at(5)).await.unwrap();
    let bobs = bobs(&store).await;
    assert!(!is_refused(&store, bobs("one")).await);
    let leases = store.leases().await.unwrap();
    let numbers: Vec<_> = leases.iter().map(|lease| lease.vmn).collect();
    assert_eq!(numbers, [number(VMN_2)]);
}

pub(crate) async fn a_phone_may_want_nothing_from_anybody(engine: &dyn Engine) {
    let store = with_credit(engine).await;
    let anna = open(&store, group("a", ANNA, "alice")).await;
    queue(&store, message(&anna, "one")).await;
    let bobs = bobs(&store).await;
    let waits = queue(&store, bobs("two")).await;
    say(&store, Wish::StopAll, VMN_1).await;
    assert_eq!(claim(&store, 30).await, []);
    assert_eq!(state(&store, waits).await, MessageState::Cancelled);
    assert!(is_refused(&store, bobs("three")).await);
    assert!(is_refused(&store, message(&anna, "three")).await);
    say(&store, Wish::StartAll, VMN_1).await;
    assert!(!is_refused(&store, bobs("three")).await);
    assert!(!is_refused(&store, message(&anna, "three")).await);
}

pub(crate) async fn a_stop_to_a_short_code_holds_though_nobody_reads_it(engine: &dyn Engine) {
    let store = with_credit(engine).await;
    let by_code = |conversation: &Conversation, name| NewMessage {
        originators: OriginatorPlan::Shortcode(CODE.to_owned()),
        ..message(conversation, name)
    };
    let anna = open(&store, group("a", ANNA, "alice")).await;
    let waits = queue(&store, by_code(&anna, "one")).await;
    assert_eq!(say(&store, Wish::Stop, CODE).await, Fate::Heeded);
    assert_eq!(say(&store, Wish::Stop, CODE).await, Fate::Heeded);
    assert_eq!(claim(&store, 30).await, []);
    assert_eq!(state(&store, waits).await, MessageState::Cancelled);
    assert!(is_refused(&store, by_code(&anna, "two")).await);
    let later = open(&store, group("b", ANNA, "alice")).await;
    assert!(is_refused(&store, by_code(&later, "three")).await);
    assert!(!is_refused(&store, message(&later, "four")).await);
}

pub(crate) async fn what_phones_want_is_known_after_a_restart_and_can_be_listed(
    engine: &dyn Engine,
) {
    let store = with_credit(engine).await;
    let anna = open(&store, group("a", ANNA, "alice")).await;
    queue(&store, message(&anna, "one")).await;
    for _ in 0..2 {
        say(&store, Wish::Stop, VMN_1).await;
    }
    drop(store);
    let store = engine.open();
    let expected = OptedOut {
        handset: phone(ANNA),
        number: Some(VMN_1.to_owned()),
        holder: Some(user("alice")),
        at: at(20),
    };
    assert_eq!(store.opt_outs().await.unwrap(), [expected]);
    assert_eq!(store.sizes().await.unwrap().opted_out, 1);
    assert!(is_refused(&store, message(&anna, "two")).await);
}

pub(crate) async fn a_phone_that_has_stopped_very_many_numbers_wants_none(engine: &dyn Engine) {
    let store = with_credit(engine).await;
    let anna = open(&store, group("a", ANNA, "alice")).await;
    let phone = phone(ANNA);
    for last in 0..65 {
        let number = format!("4477009010{last:02}");
        store
            .heed(&phone, &number, Wish::Stop, at(5))
            .await
            .unwrap();
        let is_last = last == 64;
        let everything = store.opt_outs().await.unwrap();
        let everything = everything.iter().any(|one| one.number.is_none());
        assert_eq!(everything, is_last, "{last}");
    }
    assert!(is_refused(&store, message(&anna, "one")).await);
    store
        .heed(&phone, VMN_1, Wish::StartAll, at(6))
        .await
        .unwrap();
    assert!(!is_refused(&store, message(&anna, "one")).await);
}
