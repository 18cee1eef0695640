//! Message ids that receipts write in another way than answers did.

use matrix_smpp_codec::IdForm;
use matrix_smpp_codec::values::MessageState as WireState;

use super::receipts::{on_the_wire, receipt, take};
use super::*;

const DELIVERED: WireState = WireState::DELIVERED;

/// A message to which the peer gave an id.
async fn sent(store: &Arc<dyn Store>, id: &str) -> MessageId {
    let claimed = on_the_wire(store, id).await;
    answer(store, &claimed, submitted(id), 20).await;
    claimed.segment.message
}

/// Three ids that mean hexadecimal numbers to anybody, told by decimal receipts.
async fn teach_decimal_of_hex(store: &Arc<dyn Store>) {
    for (answer, decimal) in [("A1", "161"), ("00a2", "162"), ("a3", "0163")] {
        sent(store, answer).await;
        assert_eq!(take(store, decimal, DELIVERED).await, ReceiptTaken::Matched);
    }
}

pub(crate) async fn a_receipt_in_another_base_finds_its_segment(engine: &dyn Engine) {
    let store = with_credit(engine).await;
    for (answer, written) in [
        ("499602d2", "1234567890"),
        ("0000499602D3", "001234567891"),
        ("1234567892", "499602D4"),
        ("0x499602d5", "1234567893"),
    ] {
        let id = sent(&store, answer).await;
        let taken = take(&store, written, DELIVERED).await;
        assert_eq!(taken, ReceiptTaken::Matched, "{answer} {written}");
        assert_eq!(state(&store, id).await, MessageState::Delivered);
    }
}

pub(crate) async fn a_receipt_in_another_base_that_came_first_waits_for_its_answer(
    engine: &dyn Engine,
) {
    let store = with_credit(engine).await;
    let claimed = on_the_wire(&store, "early").await;
    assert_eq!(take(&store, "255", DELIVERED).await, ReceiptTaken::Parked);
    answer(&store, &claimed, submitted("FF"), 60).await;
    assert_eq!(
        state(&store, claimed.segment.message).await,
        MessageState::Delivered
    );
    assert_eq!(store.sizes().await.unwrap().parked_receipts, 0);
}

pub(crate) async fn a_number_in_another_base_never_means_another_phone(engine: &dyn Engine) {
    let store = with_credit(engine).await;
    let id = sent(&store, "ff").await;
    for handset in [Some(number(BERT)), None] {
        let foreign = ReceiptIn {
            handset,
            ..receipt("255", DELIVERED)
        };
        let taken = store.take_receipt(foreign).await.unwrap();
        assert_eq!(taken, ReceiptTaken::Parked);
    }
    assert_eq!(state(&store, id).await, MessageState::Submitted);
}

pub(crate) async fn an_id_that_could_mean_two_waits_until_the_form_is_known(engine: &dyn Engine) {
    let store = with_credit(engine).await;
    let ten = sent(&store, "10").await;
    let sixteen = sent(&store, "16").await;
    // 16 itself, or hexadecimal 10.
    assert_eq!(take(&store, "16", DELIVERED).await, ReceiptTaken::Parked);
    assert_eq!(state(&store, ten).await, MessageState::Submitted);
    teach_decimal_of_hex(&store).await;
    assert_eq!(state(&store, ten).await, MessageState::Delivered);
    assert_eq!(state(&store, sixteen).await, MessageState::Submitted);
    assert_eq!(store.sizes().await.unwrap().parked_receipts, 0);
}

pub(crate) async fn the_form_that_is_known_counts_before_the_very_same_id(engine: &dyn Engine) {
    let store = with_credit(engine).await;
    teach_decimal_of_hex(&store).await;
    let sixteen = sent(&store, "16").await;
    let ten = sent(&store, "10").await;
    assert_eq!(take(&store, "16", DELIVERED).await, ReceiptTaken::Matched);
    assert_eq!(state(&store, ten).await, MessageState::Delivered);
    assert_eq!(state(&store, sixteen).await, MessageState::Submitted);
}

pub(crate) async fn a_form_that_is_set_needs_no_proof(engine: &dyn Engine) {
    let store = with_credit(engine).await;
    let (ten, sixteen) = (sent(&store, "10").await, sent(&store, "16").await);
    for (form, meant, other) in [
        (
            IdForm::DecimalOfHex,
            ten,
            (sixteen, MessageState::Submitted),
        ),
        (IdForm::Same, sixteen, (ten, MessageState::Delivered)),
    ] {
        let sure = ReceiptIn {
            id_form: Some(form),
            ..receipt("16", DELIVERED)
        };
        let taken = store.take_receipt(sure).await.unwrap();
        assert_eq!(taken, ReceiptTaken::Matched);
        assert_eq!(state(&store, meant).await, MessageState::Delivered);
        assert_eq!(state(&store, other.0).await, other.1);
    }
}

pub(crate) async fn a_peer_may_change_its_ways(engine: &dyn Engine) {
    let store = with_credit(engine).await;
    teach_decimal_of_hex(&store).await;
    for id in ["b1", "b2", "b3", "b4", "b5", "b6"] {
        sent(&store, id).await;
        assert_eq!(take(&store, id, DELIVERED).await, ReceiptTaken::Matched);
    }
    let ten = sent(&store, "10").await;
    let sixteen = sent(&store, "16").await;
    assert_eq!(take(&store, "16", DELIVERED).await, ReceiptTaken::Matched);
    assert_eq!(state(&store, sixteen).await, MessageState::Delivered);
    assert_eq!(state(&store, ten).await, MessageState::Submitted);
}

pub(crate) async fn a_message_without_an_answer_teaches_nothing(engine: &dyn Engine) {
    let store = with_credit(engine).await;
    for name in ["161", "162", "163"] {
        let claimed = on_the_wire(&store, name).await;
        answer(&store, &claimed, Outcome::Uncertain, 20).await;
        let evidence = take(&store, name, WireState::ENROUTE).await;
        assert_eq!(evidence, ReceiptTaken::Evidence);
        assert_eq!(take(&store, name, DELIVERED).await, ReceiptTaken::Matched);
    }
    sent(&store, "10").await;
    sent(&store, "16").await;
    assert_eq!(take(&store, "16", DELIVERED).await, ReceiptTaken::Parked);
}
