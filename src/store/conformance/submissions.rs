//! What accounts that bind to us submit, and the receipts that they are owed.

use std::time::Duration;

use matrix_smpp_codec::values::{MessageState as WireState, Npi, RegisteredDelivery, Ton};

use super::sms::{from, part, take_with_id, with_leases};
use super::*;
use crate::gateway::model::TakenId;

fn party(address: &str) -> Party {
    Party {
        ton: Ton::INTERNATIONAL,
        npi: Npi::ISDN,
        address: address.to_owned(),
    }
}

/// The same SMS, as an account submits it.
pub(super) fn submitted(sms: SmsIn) -> SmsIn {
    SmsIn {
        submitted: Some(SubmissionIn {
            source: party(ANNA),
            destination: party(&sms.to),
            receipt: RegisteredDelivery::RECEIPT,
            receipt_age: Duration::from_mins(1),
            deliver_at: None,
            valid_until: None,
            to_nobody: false,
            awaits_name: false,
        }),
        ..sms
    }
}

async fn submit(store: &Arc<dyn Store>, sms: SmsIn) -> TakenId {
    take_with_id(store, submitted(sms)).await.1
}

pub(super) fn of(id: TakenId) -> SubmissionRef {
    SubmissionRef {
        link_group: LINKS.to_owned(),
        id,
        source: ANNA.to_owned(),
    }
}

pub(super) async fn state(store: &Arc<dyn Store>, id: TakenId) -> WireState {
    store.submission(of(id)).await.unwrap().unwrap().state
}

async fn pending(store: &Arc<dyn Store>) -> Vec<Sms> {
    store.pending_sms(SmsId(0), 100).await.unwrap()
}

/// Every SMS that waits is said, or set aside.
pub(super) async fn say(store: &Arc<dyn Store>, ending: &Ending) {
    for sms in pending(store).await {
        let entry = NewOutbox {
            key: format!("sms:{}", sms.id),
            lane: Lane::Person(user("alice")),
            item: OutboxItem::TellOwner {
                homeserver: home(),
                owner: user("alice"),
                text: sms.text,
            },
        };
        store.enqueue(vec![entry], at(200)).await.unwrap();
        store.finish_sms(sms.id, Ending::Done).await.unwrap();
        store.say_sms(sms.id, at(200)).await.unwrap();
    }
    // One lane gives one entry at a time.
    while let Some(entry) = store
        .due_outbox(Due::heads(at(200), 1))
        .await
        .unwrap()
        .pop()
    {
        store.finish_outbox(entry.id, ending.clone()).await.unwrap();
    }
}

pub(super) async fn owed(store: &Arc<dyn Store>, now: i64) -> Vec<OwedReceipt> {
    store.claim_receipts(LINKS, 100, at(now)).await.unwrap()
}

async fn record(store: &Arc<dyn Store>, receipt: &OwedReceipt, outcome: ReceiptOutcome) {
    let answer = ReceiptAnswer {
        id: receipt.id,
        attempt: receipt.attempt,
        outcome,
    };
    store.record_receipts(vec![answer], at(300)).await.unwrap();
}

pub(crate) async fn a_submission_is_delivered_once_it_was_said(engine: &dyn Engine) {
    let (store, _) = with_leases(engine).await;
    let id = submit(&store, from(ANNA, "hello")).await;
    assert_eq!(state(&store, id).await, WireState::ENROUTE);
    assert_eq!(owed(&store, 200).await, []);
    say(&store, &Ending::Done).await;
    assert_eq!(state(&store, id).await, WireState::DELIVERED);
    let owed = owed(&store, 200).await;
    assert_eq!(owed.len(), 1);
    assert_eq!((owed[0].id, owed[0].state), (id, WireState::DELIVERED));
    assert_eq!((owed[0].at, owed[0].ended_at), (at(100), at(200)));
    assert_eq!(owed[0].source.address, ANNA);
    let elsewhere = SubmissionRef {
        link_group: "another".to_owned(),
        ..of(id)
    };
    assert_eq!(store.submission(elsewhere).await.unwrap(), None);
}

pub(crate) async fn a_submission_that_is_set_aside_is_undeliverable(engine: &dyn Engine) {
    let (store, _) = with_leases(engine).await;
    let in_the_outbox = submit(&store, from(ANNA, "hello")).await;
    say(&store, &aside("cannot be said")).await;
    assert_eq!(state(&store, in_the_outbox).await, WireState::UNDELIVERABLE);
    let before = submit(&store, from(ANNA, "again")).await;
    let sms = pending(&store).await.remove(0);
    store.finish_sms(sms.id, aside("no")).await.unwrap();
    assert_eq!(state(&store, before).await, WireState::UNDELIVERABLE);
}

pub(crate) async fn each_part_of_a_long_submission_has_its_receipt(engine: &dyn Engine) {
    let (store, _) = with_leases(engine).await;
    let first = submit(&store, part(ANNA, 1, 2, 1, "one ")).await;
    let second = submit(&store, part(ANNA, 1, 2, 2, "two")).await;
    assert_eq!(pending(&store).await[0].text, "one two");
    say(&store, &Ending::Done).await;
    let mut told: Vec<_> = owed(&store, 200).await.iter().map(|one| one.id).collect();
    told.sort_unstable();
    assert_eq!(told, [first, second]);
}

pub(crate) async fn a_long_submission_is_withdrawn_whole(engine: &dyn Engine) {
    let (store, _) = with_leases(engine).await;
    let cancel = async |id| {
        let which = Cancel::One(of(id));
        store.cancel_submissions(which, at(150)).await.unwrap()
    };
    let waits = submit(&store, part(ANNA, 1, 2, 1, "one ")).await;
    assert_eq!(cancel(waits).await, 1);
    assert_eq!(cancel(waits).await, 0);
    assert_eq!(store.sizes().await.unwrap().partial_sms, 0);
    let late = submit(&store, part(ANNA, 1, 2, 2, "two")).await;
    assert_eq!(state(&store, late).await, WireState::DELETED);
    let told = owed(&store, 150).await;
    assert!(told.iter().any(|one| one.id == late), "its account is told");
    assert_eq!(pending(&store).await, []);
    let first = submit(&store, part(ANNA, 2, 2, 1, "one ")).await;
    let second = submit(&store, part(ANNA, 2, 2, 2, "two")).await;
    assert_eq!(cancel(second).await, 2);
    assert_eq!(state(&store, first).await, WireState::DELETED);
    assert_eq!(pending(&store).await, []);
}

pub(crate) async fn what_may_have_been_said_is_not_withdrawn_or_replaced(engine: &dyn Engine) {
    let (store, _) = with_leases(engine).await;
    let id = submit(&store, from(ANNA, "hello")).await;
    let sms = pending(&store).await.remove(0).id;
    let replace = async |text: &'static str| {
        let by = Replacement {
            of: of(id),
            payload: bytes::Bytes::from_static(text.as_bytes()),
            receipt: RegisteredDelivery::NONE,
            deliver_at: None,
            valid_until: None,
            at: at(110),
        };
        store.replace_submission(by).await.unwrap()
    };
    assert!(replace("hallo").await);
    let said = store.say_sms(sms, at(200)).await.unwrap();
    assert_eq!(said.unwrap().text, "hallo");
    assert!(!replace("hola").await);
    let between = Cancel::Between {
        link_group: LINKS.to_owned(),
        source: ANNA.to_owned(),
        destination: VMN_1.to_owned(),
    };
    assert_eq!(store.cancel_submissions(between, at(201)).await.unwrap(), 0);
    assert_eq!(state(&store, id).await, WireState::ENROUTE);
}

pub(crate) async fn what_is_withdrawn_is_never_said(engine: &dyn Engine) {
    let (store, _) = with_leases(engine).await;
    let id = submit(&store, from(ANNA, "hello")).await;
    let sms = pending(&store).await.remove(0).id;
    let which = Cancel::One(of(id));
    assert_eq!(store.cancel_submissions(which, at(150)).await.unwrap(), 1);
    assert_eq!(store.say_sms(sms, at(200)).await.unwrap(), None);
    let sms = submit(&store, from(ANNA, "kept")).await;
    assert_eq!(state(&store, sms).await, WireState::ENROUTE);
}

pub(crate) async fn a_submission_past_its_validity_is_never_said(engine: &dyn Engine) {
    let (store, _) = with_leases(engine).await;
    let short_lived = |text| {
        let mut sms = submitted(from(ANNA, text));
        if let Some(wishes) = &mut sms.submitted {
            wishes.valid_until = Some(at(150));
        }
        sms
    };
    let (_, swept) = take_with_id(&store, short_lived("one")).await;
    store.sweep(at(149), 100).await.unwrap();
    assert_eq!(state(&store, swept).await, WireState::ENROUTE);
    store.sweep(at(150), 100).await.unwrap();
    assert_eq!(state(&store, swept).await, WireState::EXPIRED);
    let (_, tried) = take_with_id(&store, short_lived("two")).await;
    let sms = pending(&store).await.remove(0).id;
    assert!(store.say_sms(sms, at(149)).await.unwrap().is_some());
    // The homeserver did not hear it; the next try is too late.
    assert_eq!(store.say_sms(sms, at(150)).await.unwrap(), None);
    assert_eq!(state(&store, tried).await, WireState::EXPIRED);
}

pub(crate) async fn a_receipt_is_owed_until_it_is_taken(engine: &dyn Engine) {
    let (store, _) = with_leases(engine).await;
    submit(&store, from(ANNA, "hello")).await;
    say(&store, &Ending::Done).await;
    let first = owed(&store, 200).await.remove(0);
    assert_eq!(owed(&store, 200).await, [], "it is on the wire");
    let retry_at = at(400);
    record(&store, &first, ReceiptOutcome::Retry { retry_at }).await;
    assert_eq!(owed(&store, 399).await, []);
    assert_eq!(
        store.next_due(LINKS).await.unwrap(),
        Some(at(10)),
        "a segment"
    );
    let second = owed(&store, 400).await.remove(0);
    assert_eq!((second.attempt, second.retries), (2, 1));
    // Word of the first attempt changes nothing.
    record(&store, &first, ReceiptOutcome::NotWritten).await;
    assert_eq!(owed(&store, 400).await, []);
    drop(store);
    let store = engine.open();
    store.recover(at(500)).await.unwrap();
    let third = owed(&store, 500).await.remove(0);
    assert!(third.possible_duplicate && !second.possible_duplicate);
    record(&store, &third, ReceiptOutcome::Over).await;
    assert_eq!(store.sizes().await.unwrap().owed_receipts, 0);
}

/// kneodev/ksmppd#94, #163: one that was not answered stalled the rest.
pub(crate) async fn a_receipt_that_is_not_answered_holds_up_no_other(engine: &dyn Engine) {
    let (store, _) = with_leases(engine).await;
    for text in ["one", "two", "three"] {
        submit(&store, from(ANNA, text)).await;
        say(&store, &Ending::Done).await;
    }
    let one_more = async || store.claim_receipts(LINKS, 1, at(200)).await.unwrap();
    let unanswered = one_more().await.remove(0);
    let put_off = one_more().await.remove(0);
    let retry_at = at(100_000);
    record(&store, &put_off, ReceiptOutcome::Retry { retry_at }).await;
    let last = one_more().await.remove(0);
    assert_eq!(one_more().await, []);
    assert!(last.id != unanswered.id && last.id != put_off.id);
    record(&store, &last, ReceiptOutcome::Over).await;
    assert_eq!(store.sizes().await.unwrap().owed_receipts, 2);
}

pub(crate) async fn a_receipt_that_nobody_fetches_is_given_up(engine: &dyn Engine) {
    let (store, _) = with_leases(engine).await;
    submit(&store, from(ANNA, "hello")).await;
    say(&store, &Ending::Done).await;
    let until = 200 + 60_000;
    store.sweep(at(until - 1), 100).await.unwrap();
    assert_eq!(store.sizes().await.unwrap().owed_receipts, 1);
    assert_eq!(owed(&store, until).await, []);
    store.sweep(at(until), 100).await.unwrap();
    assert_eq!(store.sizes().await.unwrap().owed_receipts, 0);
}

/// The same, one of several that get a name together.
fn one_of_many(sms: SmsIn) -> SmsIn {
    let mut sms = submitted(sms);
    if let Some(wishes) = &mut sms.submitted {
        wishes.awaits_name = true;
    }
    sms
}

pub(crate) async fn a_receipt_waits_for_the_name_that_it_is_to_bear(engine: &dyn Engine) {
    let (store, _) = with_leases(engine).await;
    let mut ids = Vec::new();
    for text in ["one", "two", "three"] {
        let sms = one_of_many(from(ANNA, text));
        ids.push(take_with_id(&store, sms).await.1);
    }
    say(&store, &Ending::Done).await;
    assert_eq!(owed(&store, 200).await, []);
    // The process dies before it can name them, and they are brought again.
    drop(store);
    let store = engine.open();
    store.recover(at(300)).await.unwrap();
    assert_eq!(owed(&store, 300).await, []);
    let named = async || {
        let both = vec![ids[0], ids[1]];
        store
            .name_submissions(both, "both".to_owned())
            .await
            .unwrap();
    };
    named().await;
    let told = async |now: i64| -> Vec<_> {
        let owed = owed(&store, now).await.into_iter();
        owed.map(|one| (one.id, one.name)).collect()
    };
    let name = || Some("both".to_owned());
    assert_eq!(told(300).await, [(ids[0], name()), (ids[1], name())]);
    named().await;
    // Nobody brings the third again: it is told under its own id in the end.
    assert_eq!(told(30_199).await, []);
    assert_eq!(told(30_200).await, [(ids[2], None)]);
}
