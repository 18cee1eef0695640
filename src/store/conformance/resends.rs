//! Segments that wait to be sent again because their answer never came.

use std::time::Duration;

use super::*;

/// A text on a route that resends, whose answer never came, with the conversation that it is in.
async fn to_be_sent_again(store: &Arc<dyn Store>) -> (Conversation, MessageId) {
    let conversation = open(store, group("a", ANNA, "alice")).await;
    let new = NewMessage {
        uncertain: UncertainPolicy::Resend,
        ..message(&conversation, "one")
    };
    let id = queue(store, new).await;
    let claimed = claim(store, 10).await;
    answer(store, &claimed[0], Outcome::Uncertain, 20).await;
    assert_eq!(state(store, id).await, MessageState::Queued);
    (conversation, id)
}

/// That the phone has it, as the network says; the gateway never heard the id.
async fn arrives(store: &Arc<dyn Store>) -> ReceiptTaken {
    let receipt = ReceiptIn {
        link_group: LINKS.to_owned(),
        message_id: "unheard".to_owned(),
        state: matrix_smpp_codec::values::MessageState::DELIVERED,
        error: None,
        handset: Some(number(ANNA)),
        originator: VMN_1.to_owned(),
        id_form: None,
        at: Timestamp(VALID_UNTIL.0 + 1),
    };
    store.take_receipt(receipt).await.unwrap()
}

pub(crate) async fn what_is_never_sent_again_may_have_arrived(engine: &dyn Engine) {
    let store = with_credit(engine).await;
    let (_, id) = to_be_sent_again(&store).await;
    store.sweep(VALID_UNTIL, 10).await.unwrap();
    assert_eq!(state(&store, id).await, MessageState::Lost);
    assert_eq!(account(&store).await, (10_000, 0, 0));
    assert_eq!(arrives(&store).await, ReceiptTaken::Evidence);
    let told = [(id, MessageState::Lost), (id, MessageState::Delivered)];
    assert_eq!(news(&store).await, told);
}

pub(crate) async fn what_ends_while_it_waits_to_be_sent_again_is_lost(engine: &dyn Engine) {
    let store = with_credit(engine).await;
    let (conversation, id) = to_be_sent_again(&store).await;
    let day = Duration::from_hours(24);
    store
        .end_conversation(conversation.id, day, at(30))
        .await
        .unwrap();
    // Its number may be another conversation's when a link is there again.
    assert_eq!(claim(&store, 40).await, []);
    assert_eq!(account(&store).await, (10_000, 0, 0));
    assert_eq!(news(&store).await, [(id, MessageState::Lost)]);
}

pub(crate) async fn what_comes_back_unsent_after_the_end_is_lost_where_it_may_have_arrived(
    engine: &dyn Engine,
) {
    let store = with_credit(engine).await;
    let (conversation, id) = to_be_sent_again(&store).await;
    let again = claim(&store, 25).await;
    let day = Duration::from_hours(24);
    store
        .end_conversation(conversation.id, day, at(30))
        .await
        .unwrap();
    answer(&store, &again[0], Outcome::NotWritten, 40).await;
    assert_eq!(claim(&store, 50).await, []);
    assert_eq!(account(&store).await, (10_000, 0, 0));
    assert_eq!(news(&store).await, [(id, MessageState::Lost)]);
}
