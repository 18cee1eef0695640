//! Delivery receipts.

use matrix_smpp_codec::values::MessageState as WireState;

use super::*;

pub(super) fn receipt(id: &str, state: WireState) -> ReceiptIn {
    ReceiptIn {
        link_group: LINKS.to_owned(),
        message_id: id.to_owned(),
        state,
        error: None,
        handset: Some(number(ANNA)),
        originator: VMN_1.to_owned(),
        id_form: None,
        at: at(50),
    }
}

pub(super) async fn take(store: &Arc<dyn Store>, id: &str, state: WireState) -> ReceiptTaken {
    store.take_receipt(receipt(id, state)).await.unwrap()
}

/// A message of one segment on the wire.
pub(super) async fn on_the_wire(store: &Arc<dyn Store>, name: &str) -> Claimed {
    let conversation = open(store, group("a", ANNA, "alice")).await;
    queue(store, message(&conversation, name)).await;
    claim(store, 10).await.remove(0)
}

/// A message of one segment to which the peer gave an id.
pub(super) async fn sent(store: &Arc<dyn Store>, id: &str) -> MessageId {
    let claimed = on_the_wire(store, id).await;
    answer(store, &claimed, submitted(id), 20).await;
    assert_eq!(
        news(store).await,
        [(claimed.segment.message, MessageState::Submitted)]
    );
    claimed.segment.message
}

/// A message of one segment whose answer never came.
async fn unanswered(store: &Arc<dyn Store>, name: &str) -> MessageId {
    let claimed = on_the_wire(store, name).await;
    answer(store, &claimed, Outcome::Uncertain, 20).await;
    claimed.segment.message
}

pub(crate) async fn a_receipt_finds_its_segment_by_id(engine: &dyn Engine) {
    let store = with_credit(engine).await;
    let first = sent(&store, "0a").await;
    let second = sent(&store, "A").await;
    // Both ids mean the same, so the exact one counts.
    assert_eq!(
        take(&store, "0a", WireState::DELIVERED).await,
        ReceiptTaken::Matched
    );
    assert_eq!(state(&store, first).await, MessageState::Delivered);
    assert_eq!(state(&store, second).await, MessageState::Submitted);
    assert_eq!(
        take(&store, "0a", WireState::DELIVERED).await,
        ReceiptTaken::Matched
    );
    assert_eq!(news(&store).await, [(first, MessageState::Delivered)]);
    assert_eq!(account(&store).await, (9_980, 0, 20));
}

pub(crate) async fn receipts_that_come_together_are_each_taken(engine: &dyn Engine) {
    let store = with_credit(engine).await;
    let (first, second) = (sent(&store, "1").await, sent(&store, "2").await);
    let receipts = [
        receipt("2", WireState::UNDELIVERABLE),
        receipt("nobody's", WireState::DELIVERED),
        receipt("1", WireState::DELIVERED),
    ];
    let taken = store.take_receipts(receipts.to_vec()).await.unwrap();
    let (matched, parked) = (ReceiptTaken::Matched, ReceiptTaken::Parked);
    assert_eq!(taken, [matched, parked, matched]);
    assert_eq!(state(&store, first).await, MessageState::Delivered);
    assert_eq!(state(&store, second).await, MessageState::Undeliverable);
}

pub(crate) async fn an_id_is_found_however_it_is_padded_but_never_for_another_phone(
    engine: &dyn Engine,
) {
    let store = with_credit(engine).await;
    let id = sent(&store, "00AB12").await;
    let other = ReceiptIn {
        handset: Some(number(BERT)),
        ..receipt("ab12", WireState::DELIVERED)
    };
    assert_eq!(
        store.take_receipt(other).await.unwrap(),
        ReceiptTaken::Parked
    );
    assert_eq!(state(&store, id).await, MessageState::Submitted);
    assert_eq!(
        take(&store, "ab12", WireState::DELIVERED).await,
        ReceiptTaken::Matched
    );
    assert_eq!(state(&store, id).await, MessageState::Delivered);
}

/// Restcomm-Connect#2963.
pub(crate) async fn an_id_that_two_messages_were_given_means_the_one_to_its_phone(
    engine: &dyn Engine,
) {
    let store = with_credit(engine).await;
    let anna = sent(&store, "77").await;
    let conversation = open(&store, group("b", BERT, "alice")).await;
    queue(&store, message(&conversation, "to Bert")).await;
    let claimed = claim(&store, 10).await.remove(0);
    answer(&store, &claimed, submitted("77"), 20).await;
    let receipt = ReceiptIn {
        handset: Some(number(BERT)),
        ..receipt("77", WireState::DELIVERED)
    };
    let taken = store.take_receipt(receipt).await.unwrap();
    assert_eq!(taken, ReceiptTaken::Matched);
    let bert = claimed.segment.message;
    assert_eq!(state(&store, bert).await, MessageState::Delivered);
    assert_eq!(state(&store, anna).await, MessageState::Submitted);
}

/// jasmin#796 forgot it.
pub(crate) async fn a_throttled_segment_still_asks_for_its_receipt(engine: &dyn Engine) {
    let store = with_credit(engine).await;
    let first = on_the_wire(&store, "one").await;
    assert!(first.receipts);
    let throttled = Outcome::Throttled { retry_at: at(20) };
    answer(&store, &first, throttled, 20).await;
    let again = claim(&store, 20).await.remove(0);
    assert!(again.receipts);
    answer(&store, &again, submitted("9"), 21).await;
    let taken = take(&store, "9", WireState::DELIVERED).await;
    assert_eq!(taken, ReceiptTaken::Matched);
    let told = state(&store, again.segment.message).await;
    assert_eq!(told, MessageState::Delivered);
}

pub(crate) async fn an_id_means_nothing_in_another_link_group(engine: &dyn Engine) {
    let store = with_credit(engine).await;
    let id = sent(&store, "1").await;
    let link_group = "another".to_owned();
    let foreign = ReceiptIn {
        link_group,
        ..receipt("1", WireState::DELIVERED)
    };
    assert_eq!(
        store.take_receipt(foreign).await.unwrap(),
        ReceiptTaken::Parked
    );
    assert_eq!(state(&store, id).await, MessageState::Submitted);
}

/// jasmin#423 gave it up after two looks.
pub(crate) async fn a_receipt_that_came_first_waits_for_its_answer(engine: &dyn Engine) {
    let store = with_credit(engine).await;
    let claimed = on_the_wire(&store, "one").await;
    assert_eq!(
        take(&store, "0001", WireState::ENROUTE).await,
        ReceiptTaken::Parked
    );
    assert_eq!(
        take(&store, "0001", WireState::DELIVERED).await,
        ReceiptTaken::Parked
    );
    assert_eq!(
        take(&store, "0001", WireState::DELIVERED).await,
        ReceiptTaken::Parked
    );
    assert_eq!(store.sizes().await.unwrap().parked_receipts, 2);
    answer(&store, &claimed, submitted("1"), 60).await;
    let id = claimed.segment.message;
    assert_eq!(state(&store, id).await, MessageState::Delivered);
    assert_eq!(store.sizes().await.unwrap().parked_receipts, 0);
    assert_eq!(news(&store).await, [(id, MessageState::Delivered)]);
    assert_eq!(account(&store).await, (9_990, 0, 10));
}

pub(crate) async fn a_final_state_never_goes_back(engine: &dyn Engine) {
    let store = with_credit(engine).await;
    let id = sent(&store, "1").await;
    take(&store, "1", WireState::DELIVERED).await;
    for later in [
        WireState::ENROUTE,
        WireState::UNDELIVERABLE,
        WireState::EXPIRED,
    ] {
        assert_eq!(take(&store, "1", later).await, ReceiptTaken::Matched);
        assert_eq!(state(&store, id).await, MessageState::Delivered);
    }
    assert_eq!(news(&store).await, [(id, MessageState::Delivered)]);
}

pub(crate) async fn a_receipt_that_is_not_final_changes_nothing(engine: &dyn Engine) {
    let store = with_credit(engine).await;
    let id = sent(&store, "1").await;
    for early in [
        WireState::ENROUTE,
        WireState::ACCEPTED,
        WireState::UNKNOWN,
        WireState(99),
    ] {
        assert_eq!(take(&store, "1", early).await, ReceiptTaken::Matched);
    }
    assert_eq!(state(&store, id).await, MessageState::Submitted);
    assert_eq!(news(&store).await, []);
}

/// kneodev/ksmppd#55, #89.
pub(crate) async fn delivered_is_told_when_every_segment_is(engine: &dyn Engine) {
    let store = with_credit(engine).await;
    let conversation = open(&store, group("a", ANNA, "alice")).await;
    let id = queue(&store, long_message(&conversation, "one")).await;
    let claimed = claim(&store, 10).await;
    answer(&store, &claimed[0], submitted("1"), 20).await;
    take(&store, "1", WireState::DELIVERED).await;
    assert_eq!(state(&store, id).await, MessageState::Intent);
    answer(&store, &claimed[1], submitted("2"), 20).await;
    assert_eq!(news(&store).await, [(id, MessageState::Submitted)]);
    take(&store, "2", WireState::DELIVERED).await;
    assert_eq!(news(&store).await, [(id, MessageState::Delivered)]);
}

pub(crate) async fn a_failed_receipt_keeps_the_charge_and_tells_why(engine: &dyn Engine) {
    let store = with_credit(engine).await;
    for (name, wire, expected) in [
        ("1", WireState::UNDELIVERABLE, MessageState::Undeliverable),
        ("2", WireState::EXPIRED, MessageState::Expired),
        ("3", WireState::DELETED, MessageState::Undeliverable),
        ("4", WireState::REJECTED, MessageState::Rejected),
    ] {
        let id = sent(&store, name).await;
        let error = Some("034".to_owned());
        store
            .take_receipt(ReceiptIn {
                error,
                ..receipt(name, wire)
            })
            .await
            .unwrap();
        assert_eq!(news(&store).await, [(id, expected)]);
        let view = store.message(id).await.unwrap().unwrap();
        assert_eq!(view.failure, Some(Failure::Receipt("034".to_owned())));
    }
    assert_eq!(account(&store).await, (9_960, 0, 40));
}

pub(crate) async fn a_receipt_proves_the_only_uncertain_segment_sent(engine: &dyn Engine) {
    let store = with_credit(engine).await;
    let id = unanswered(&store, "one").await;
    let elsewhere = ReceiptIn {
        originator: VMN_2.to_owned(),
        ..receipt("6", WireState::ENROUTE)
    };
    assert_eq!(
        store.take_receipt(elsewhere).await.unwrap(),
        ReceiptTaken::Parked
    );
    assert_eq!(
        take(&store, "7", WireState::ENROUTE).await,
        ReceiptTaken::Evidence
    );
    assert_eq!(state(&store, id).await, MessageState::Submitted);
    assert_eq!(account(&store).await, (9_990, 0, 10));
    // Its id is known from now on.
    assert_eq!(
        take(&store, "7", WireState::DELIVERED).await,
        ReceiptTaken::Matched
    );
    let told = [(id, MessageState::Submitted), (id, MessageState::Delivered)];
    assert_eq!(news(&store).await, told);
}

pub(crate) async fn two_uncertain_segments_make_a_receipt_wait(engine: &dyn Engine) {
    let store = with_credit(engine).await;
    let first = unanswered(&store, "one").await;
    let second = unanswered(&store, "two").await;
    assert_eq!(
        take(&store, "7", WireState::DELIVERED).await,
        ReceiptTaken::Parked
    );
    for id in [first, second] {
        assert_eq!(state(&store, id).await, MessageState::Uncertain);
    }
}

pub(crate) async fn a_receipt_that_two_could_mean_proves_neither(engine: &dyn Engine) {
    let store = with_credit(engine).await;
    let first = unanswered(&store, "one").await;
    let second = unanswered(&store, "two").await;
    assert_eq!(
        take(&store, "7", WireState::DELIVERED).await,
        ReceiptTaken::Parked
    );
    store.sweep(at(60_020), 10).await.unwrap();
    for id in [first, second] {
        assert_eq!(state(&store, id).await, MessageState::Lost);
    }
    assert_eq!(account(&store).await, (10_000, 0, 0));
}

pub(crate) async fn a_receipt_of_one_given_up_proves_nothing_of_one_that_is_held(
    engine: &dyn Engine,
) {
    let store = with_credit(engine).await;
    let given_up = unanswered(&store, "one").await;
    store.sweep(at(60_020), 10).await.unwrap();
    let held = unanswered(&store, "two").await;
    // The phone was off until now: it got the first one.
    assert_eq!(
        take(&store, "7", WireState::DELIVERED).await,
        ReceiptTaken::Parked
    );
    assert_eq!(state(&store, given_up).await, MessageState::Lost);
    assert_eq!(state(&store, held).await, MessageState::Uncertain);
}

pub(crate) async fn a_receipt_from_before_an_attempt_proves_nothing_of_it(engine: &dyn Engine) {
    let store = with_credit(engine).await;
    let earlier = ReceiptIn {
        at: at(5),
        ..receipt("7", WireState::DELIVERED)
    };
    assert_eq!(
        store.take_receipt(earlier).await.unwrap(),
        ReceiptTaken::Parked
    );
    let id = unanswered(&store, "one").await;
    assert_eq!(state(&store, id).await, MessageState::Uncertain);
    // Nor does it stand in the way of one that does.
    assert_eq!(
        take(&store, "8", WireState::DELIVERED).await,
        ReceiptTaken::Evidence
    );
    assert_eq!(state(&store, id).await, MessageState::Delivered);
}

pub(crate) async fn a_receipt_that_comes_again_proves_nothing_of_a_later_attempt(
    engine: &dyn Engine,
) {
    let store = with_credit(engine).await;
    let earlier = ReceiptIn {
        at: at(5),
        ..receipt("7", WireState::DELIVERED)
    };
    assert_eq!(
        store.take_receipt(earlier).await.unwrap(),
        ReceiptTaken::Parked
    );
    let id = unanswered(&store, "one").await;
    // The SMSC missed our answer, and brings the same receipt again.
    assert_eq!(
        take(&store, "7", WireState::DELIVERED).await,
        ReceiptTaken::Parked
    );
    assert_eq!(state(&store, id).await, MessageState::Uncertain);
}

pub(crate) async fn a_segment_on_the_wire_may_still_claim_the_receipt(engine: &dyn Engine) {
    let store = with_credit(engine).await;
    let first = unanswered(&store, "one").await;
    let second = on_the_wire(&store, "two").await;
    assert_eq!(
        take(&store, "7", WireState::DELIVERED).await,
        ReceiptTaken::Parked
    );
    // The answer names another id: the receipt can only be the first one's.
    answer(&store, &second, submitted("8"), 60).await;
    assert_eq!(state(&store, first).await, MessageState::Delivered);
    assert_eq!(
        state(&store, second.segment.message).await,
        MessageState::Submitted
    );
}

pub(crate) async fn a_receipt_before_the_uncertainty_proves_it_too(engine: &dyn Engine) {
    let store = with_credit(engine).await;
    let claimed = on_the_wire(&store, "one").await;
    assert_eq!(
        take(&store, "7", WireState::DELIVERED).await,
        ReceiptTaken::Parked
    );
    answer(&store, &claimed, Outcome::Uncertain, 60).await;
    let id = claimed.segment.message;
    assert_eq!(news(&store).await, [(id, MessageState::Delivered)]);
    assert_eq!(account(&store).await, (9_990, 0, 10));
}

pub(crate) async fn an_uncertain_segment_is_lost_after_its_hold(engine: &dyn Engine) {
    let store = with_credit(engine).await;
    let id = unanswered(&store, "one").await;
    store.sweep(at(60_019), 10).await.unwrap();
    assert_eq!(state(&store, id).await, MessageState::Uncertain);
    store.sweep(at(60_020), 10).await.unwrap();
    assert_eq!(account(&store).await, (10_000, 0, 0));
    assert_eq!(news(&store).await, [(id, MessageState::Lost)]);
}

pub(crate) async fn a_lost_segment_may_still_arrive_without_a_charge(engine: &dyn Engine) {
    let store = with_credit(engine).await;
    let id = unanswered(&store, "one").await;
    store.sweep(at(60_020), 10).await.unwrap();
    assert_eq!(
        take(&store, "7", WireState::ENROUTE).await,
        ReceiptTaken::Evidence
    );
    assert_eq!(
        take(&store, "7", WireState::UNDELIVERABLE).await,
        ReceiptTaken::Matched
    );
    assert_eq!(state(&store, id).await, MessageState::Lost);
    assert_eq!(
        take(&store, "7", WireState::DELIVERED).await,
        ReceiptTaken::Matched
    );
    assert_eq!(account(&store).await, (10_000, 0, 0));
    let told = [(id, MessageState::Lost), (id, MessageState::Delivered)];
    assert_eq!(news(&store).await, told);
}

pub(crate) async fn a_receipt_that_never_comes_is_waited_for_so_long(engine: &dyn Engine) {
    let store = with_credit(engine).await;
    let id = sent(&store, "1").await;
    let almost = Timestamp(RECEIPT_BY.0 - 1);
    store.sweep(almost, 10).await.unwrap();
    assert_eq!(state(&store, id).await, MessageState::Submitted);
    store.sweep(RECEIPT_BY, 10).await.unwrap();
    assert_eq!(news(&store).await, [(id, MessageState::NoReceipt)]);
    store.sweep(RECEIPT_BY, 10).await.unwrap();
    assert_eq!(news(&store).await, [], "once");
    assert_eq!(account(&store).await, (9_990, 0, 10), "it was sent");
    let history = store.explain(&id.to_string()).await.unwrap();
    let last = history[0].steps.last().unwrap();
    assert_eq!(last.state, MessageState::NoReceipt);
}

pub(crate) async fn a_receipt_after_its_time_still_counts(engine: &dyn Engine) {
    let store = with_credit(engine).await;
    for (name, wire, expected) in [
        ("1", WireState::DELIVERED, MessageState::Delivered),
        ("2", WireState::UNDELIVERABLE, MessageState::Undeliverable),
    ] {
        let id = sent(&store, name).await;
        store.sweep(RECEIPT_BY, 10).await.unwrap();
        take(&store, name, WireState::ENROUTE).await;
        assert_eq!(state(&store, id).await, MessageState::NoReceipt);
        take(&store, name, wire).await;
        assert_eq!(state(&store, id).await, expected);
        // From here on nothing changes any more.
        store.sweep(at(RECEIPT_BY.0 + 1), 10).await.unwrap();
        take(&store, name, WireState::EXPIRED).await;
        let told = [(id, MessageState::NoReceipt), (id, expected)];
        assert_eq!(news(&store).await, told);
    }
}

pub(crate) async fn no_receipt_is_missed_where_none_was_asked_for(engine: &dyn Engine) {
    let store = with_credit(engine).await;
    let conversation = open(&store, group("a", ANNA, "alice")).await;
    let unasked = NewMessage {
        receipts: false,
        ..message(&conversation, "one")
    };
    let id = queue(&store, unasked).await;
    let claimed = claim(&store, 10).await.remove(0);
    answer(&store, &claimed, submitted("1"), 20).await;
    store.sweep(at(RECEIPT_BY.0 * 2), 10).await.unwrap();
    assert_eq!(state(&store, id).await, MessageState::Submitted);
}

pub(crate) async fn one_segment_without_a_receipt_leaves_the_message_without(engine: &dyn Engine) {
    let store = with_credit(engine).await;
    let conversation = open(&store, group("a", ANNA, "alice")).await;
    let id = queue(&store, long_message(&conversation, "one")).await;
    for (claimed, id) in claim(&store, 10).await.iter().zip(["1", "2"]) {
        answer(&store, claimed, submitted(id), 20).await;
    }
    take(&store, "1", WireState::DELIVERED).await;
    store.sweep(RECEIPT_BY, 10).await.unwrap();
    assert_eq!(state(&store, id).await, MessageState::NoReceipt);
    take(&store, "2", WireState::DELIVERED).await;
    assert_eq!(state(&store, id).await, MessageState::Delivered);
}
