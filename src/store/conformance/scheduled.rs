//! What accounts submit for a time of their own.

use matrix_smpp_codec::values::{MessageState as WireState, RegisteredDelivery};

use super::sms::{from, part, take_with_id, texts, with_leases};
use super::submissions::{of, owed, say, state, submitted};
use super::*;
use crate::gateway::model::TakenId;

/// The same SMS, for a time.
fn scheduled(sms: SmsIn, deliver_at: i64) -> SmsIn {
    let mut sms = submitted(sms);
    if let Some(wishes) = &mut sms.submitted {
        wishes.deliver_at = Some(at(deliver_at));
    }
    sms
}

async fn submit(store: &Arc<dyn Store>, sms: SmsIn) -> TakenId {
    take_with_id(store, sms).await.1
}

async fn sweep(store: &Arc<dyn Store>, now: i64) {
    while store.sweep(at(now), 100).await.unwrap() {}
}

fn replacement(id: TakenId, text: &'static str, deliver_at: Option<i64>) -> Replacement {
    Replacement {
        of: of(id),
        payload: bytes::Bytes::from_static(text.as_bytes()),
        receipt: RegisteredDelivery::RECEIPT,
        deliver_at: deliver_at.map(at),
        valid_until: None,
        at: at(150),
    }
}

pub(crate) async fn a_scheduled_submission_stands_in_the_line_from_its_time_on(
    engine: &dyn Engine,
) {
    let (store, _) = with_leases(engine).await;
    let id = submit(&store, scheduled(from(ANNA, "later"), 500)).await;
    let past = submit(&store, scheduled(from(ANNA, "at once"), 100)).await;
    submit(&store, submitted(from(ANNA, "now"))).await;
    assert_eq!(texts(&store).await, ["at once", "now"]);
    assert_eq!(store.sizes().await.unwrap().scheduled_sms, 1);
    say(&store, &Ending::Done).await;
    assert_eq!(state(&store, past).await, WireState::DELIVERED);
    assert_eq!(state(&store, id).await, WireState::ENROUTE);
    drop(store);
    let store = engine.open();
    store.recover(at(400)).await.unwrap();
    submit(&store, submitted(from(ANNA, "before it"))).await;
    sweep(&store, 499).await;
    assert_eq!(texts(&store).await, ["before it"]);
    sweep(&store, 500).await;
    // A reader who has come to the end of the line finds it behind that.
    assert_eq!(texts(&store).await, ["before it", "later"]);
    let waiting = store.pending_sms(SmsId(0), 10).await.unwrap();
    assert_eq!(waiting[1].at, at(500));
    assert_eq!(store.sizes().await.unwrap().scheduled_sms, 0);
    say(&store, &Ending::Done).await;
    assert_eq!(state(&store, id).await, WireState::DELIVERED);
    assert!(owed(&store, 600).await.iter().any(|one| one.id == id));
}

pub(crate) async fn a_scheduled_submission_can_be_withdrawn(engine: &dyn Engine) {
    let (store, _) = with_leases(engine).await;
    let id = submit(&store, scheduled(from(ANNA, "later"), 500)).await;
    let which = Cancel::One(of(id));
    assert_eq!(store.cancel_submissions(which, at(150)).await.unwrap(), 1);
    assert_eq!(state(&store, id).await, WireState::DELETED);
    assert_eq!(store.sizes().await.unwrap().scheduled_sms, 0);
    sweep(&store, 500).await;
    assert_eq!(texts(&store).await, [""; 0]);
}

pub(crate) async fn a_scheduled_submission_can_have_another_text_and_another_time(
    engine: &dyn Engine,
) {
    let (store, _) = with_leases(engine).await;
    let replace = async |by| store.replace_submission(by).await.unwrap();
    let later = submit(&store, scheduled(from(ANNA, "one"), 500)).await;
    let kept = submit(&store, scheduled(from(ANNA, "two"), 500)).await;
    let at_once = submit(&store, scheduled(from(ANNA, "three"), 500)).await;
    assert!(replace(replacement(later, "uno", Some(700))).await);
    assert!(replace(replacement(kept, "due", None)).await);
    assert!(replace(replacement(at_once, "tre", Some(150))).await);
    assert_eq!(texts(&store).await, ["tre"]);
    sweep(&store, 500).await;
    assert_eq!(texts(&store).await, ["tre", "due"]);
    // What stands in the line stays there.
    assert!(!replace(replacement(kept, "never", Some(900))).await);
    assert!(replace(replacement(kept, "due!", None)).await);
    assert_eq!(texts(&store).await, ["tre", "due!"]);
    sweep(&store, 699).await;
    assert_eq!(texts(&store).await, ["tre", "due!"]);
    sweep(&store, 700).await;
    assert_eq!(texts(&store).await, ["tre", "due!", "uno"]);
    say(&store, &Ending::Done).await;
    assert_eq!(state(&store, later).await, WireState::DELIVERED);
}

pub(crate) async fn the_latest_time_of_its_parts_is_that_of_a_long_submission(engine: &dyn Engine) {
    let (store, _) = with_leases(engine).await;
    let first = submit(&store, scheduled(part(ANNA, 1, 2, 1, "one "), 501)).await;
    submit(&store, scheduled(part(ANNA, 1, 2, 2, "two"), 500)).await;
    submit(&store, scheduled(part(ANNA, 2, 2, 1, "eins "), 500)).await;
    submit(&store, scheduled(part(ANNA, 2, 2, 2, "zwei"), 502)).await;
    sweep(&store, 500).await;
    assert_eq!(texts(&store).await, [""; 0]);
    sweep(&store, 501).await;
    assert_eq!(texts(&store).await, ["one two"]);
    sweep(&store, 502).await;
    assert_eq!(texts(&store).await, ["one two", "eins zwei"]);
    say(&store, &Ending::Done).await;
    assert_eq!(state(&store, first).await, WireState::DELIVERED);
}

pub(crate) async fn a_scheduled_submission_outlives_its_validity_nowhere(engine: &dyn Engine) {
    let (store, _) = with_leases(engine).await;
    let mut sms = scheduled(from(ANNA, "later"), 500);
    if let Some(wishes) = &mut sms.submitted {
        wishes.valid_until = Some(at(600));
    }
    let id = submit(&store, sms).await;
    assert!(
        store
            .replace_submission(replacement(id, "much later", Some(700)))
            .await
            .unwrap()
    );
    sweep(&store, 600).await;
    assert_eq!(state(&store, id).await, WireState::EXPIRED);
    sweep(&store, 700).await;
    assert_eq!(texts(&store).await, [""; 0]);
}
