//! SMS that the SMSC brings again, and new ones with the same words.

use uuid::Uuid;

use super::sms::{BIND_1, BIND_2, Fate, from, part, take, take_with_id, texts, with_leases};
use super::*;

const HOUR: i64 = 3_600_000;

/// The same words on another bind, while these are up.
fn on(bind: Uuid, living: &[Uuid], sms: SmsIn) -> SmsIn {
    SmsIn {
        session: bind,
        living_sessions: living.to_vec(),
        ..sms
    }
}

/// A second bind, after the first one has ended.
fn after_a_cut(sms: SmsIn) -> SmsIn {
    on(BIND_2, &[BIND_2], sms)
}

fn later(hours: i64, sms: SmsIn) -> SmsIn {
    SmsIn {
        at: at(hours * HOUR),
        ..sms
    }
}

/// Takes an SMS in, and its peer hears so.
async fn take_and_hear(store: &Arc<dyn Store>, sms: SmsIn) -> Fate {
    let now = sms.at;
    let (fate, id) = take_with_id(store, sms).await;
    store.sms_heard(vec![id], now).await.unwrap();
    fate
}

pub(crate) async fn an_answer_that_was_missed_explains_one_copy(engine: &dyn Engine) {
    let (store, _) = with_leases(engine).await;
    assert_eq!(take(&store, from(ANNA, "Hi")).await, Fate::Whole);
    let again = || after_a_cut(from(ANNA, "Hi"));
    assert_eq!(take(&store, again()).await, Fate::Copy);
    // What comes on the new bind after it is new.
    assert_eq!(take(&store, again()).await, Fate::Whole);
    let different = after_a_cut(from(ANNA, "Hello"));
    assert_eq!(take(&store, different).await, Fate::Whole);
    assert_eq!(texts(&store).await, ["Hi", "Hi", "Hello"]);
}

pub(crate) async fn an_smsc_may_come_back_a_day_later(engine: &dyn Engine) {
    let (store, _) = with_leases(engine).await;
    take(&store, from(ANNA, "Hi")).await;
    take(&store, from(BERT, "Hi")).await;
    for (bind, hours) in [(2, 1), (3, 24)] {
        store.sweep(at(hours * HOUR), 10).await.unwrap();
        let bind = Uuid::from_u128(bind);
        let again = on(bind, &[bind], later(hours, from(ANNA, "Hi")));
        assert_eq!(take(&store, again).await, Fate::Copy, "after {hours} h");
    }
    let window = i64::try_from(REDELIVERY_WINDOW.as_millis()).unwrap();
    let too_late = SmsIn {
        at: at(100 + window),
        ..after_a_cut(from(BERT, "Hi"))
    };
    assert_eq!(take(&store, too_late).await, Fate::Whole);
    assert_eq!(texts(&store).await, ["Hi", "Hi", "Hi"]);
}

pub(crate) async fn an_answer_that_was_heard_explains_no_copy(engine: &dyn Engine) {
    let (store, _) = with_leases(engine).await;
    assert_eq!(take_and_hear(&store, from(ANNA, "yes")).await, Fate::Whole);
    // The same words a moment later, over a bind made anew.
    let again = after_a_cut(from(ANNA, "yes"));
    assert_eq!(take_and_hear(&store, again.clone()).await, Fate::Whole);
    // A copy that was heard is no copy's first either.
    let first = SmsIn {
        from: phone(BERT),
        ..from(ANNA, "yes")
    };
    take(&store, first).await;
    let bert = SmsIn {
        from: phone(BERT),
        ..again
    };
    assert_eq!(take_and_hear(&store, bert.clone()).await, Fate::Copy);
    let bind = Uuid::from_u128(3);
    assert_eq!(take(&store, on(bind, &[bind], bert)).await, Fate::Whole);
    assert_eq!(texts(&store).await, ["yes"; 4]);
}

pub(crate) async fn the_same_words_on_one_living_bind_are_new(engine: &dyn Engine) {
    let (store, _) = with_leases(engine).await;
    for _ in 0..2 {
        assert_eq!(take(&store, from(ANNA, "Hi")).await, Fate::Whole);
    }
    // Both were cut off, and both come again.
    for _ in 0..2 {
        let again = after_a_cut(from(ANNA, "Hi"));
        assert_eq!(take(&store, again).await, Fate::Copy);
    }
    assert_eq!(texts(&store).await, ["Hi", "Hi"]);
}

pub(crate) async fn the_same_words_on_two_living_binds_wait_for_the_first(engine: &dyn Engine) {
    let (store, _) = with_leases(engine).await;
    let both = [BIND_1, BIND_2];
    let (fate, id) = take_with_id(&store, on(BIND_1, &both, from(ANNA, "Hi"))).await;
    assert_eq!(fate, Fate::Whole);
    let beside = || on(BIND_2, &both, from(ANNA, "Hi"));
    for _ in 0..2 {
        let undecided = take(&store, beside()).await;
        assert_eq!(undecided, Fate::Undecided(BIND_1), "nothing is stored");
    }
    store.sms_heard(vec![id], at(101)).await.unwrap();
    assert_eq!(take(&store, beside()).await, Fate::Whole);
    // Bert's first bind turns out to be dead.
    take(&store, on(BIND_1, &both, from(BERT, "Ho"))).await;
    let beside = |living: &[Uuid]| on(BIND_2, living, from(BERT, "Ho"));
    let undecided = take(&store, beside(&both)).await;
    assert_eq!(undecided, Fate::Undecided(BIND_1));
    assert_eq!(take(&store, beside(&[BIND_2])).await, Fate::Copy);
    assert_eq!(texts(&store).await, ["Hi", "Hi", "Ho"]);
}

pub(crate) async fn a_copy_that_is_taken_after_its_redelivery_is_known(engine: &dyn Engine) {
    let (store, _) = with_leases(engine).await;
    let on_the_new = || after_a_cut(from(ANNA, "yes"));
    assert_eq!(take_and_hear(&store, on_the_new()).await, Fate::Whole);
    // The first bind ended while its own copy still waited to be taken in.
    let late = on(BIND_1, &[BIND_2], from(ANNA, "yes"));
    assert_eq!(take(&store, late).await, Fate::Copy);
    // Were it a text of its own, it would come again on the new bind, and count.
    assert_eq!(take(&store, on_the_new()).await, Fate::Whole);
    assert_eq!(texts(&store).await, ["yes", "yes"]);
}

pub(crate) async fn a_part_has_its_reference_as_evidence(engine: &dyn Engine) {
    let (store, _) = with_leases(engine).await;
    for (index, text) in [(1, "a"), (2, "b")] {
        let part = part(ANNA, 7, 2, index, text);
        take_and_hear(&store, part).await;
    }
    let minutes = |minutes: i64, sms: SmsIn| SmsIn {
        at: at(minutes * 60_000),
        ..sms
    };
    // The phone missed its acknowledgement.
    let again = minutes(9, part(ANNA, 7, 2, 2, "b"));
    assert_eq!(take_and_hear(&store, again).await, Fate::Copy);
    // The reference has come round.
    let reused = minutes(40, part(ANNA, 7, 2, 2, "b"));
    assert_eq!(take(&store, reused).await, Fate::Waits);
    // Its answer was missed, and the SMSC takes its time.
    let missed = later(10, part(ANNA, 7, 2, 2, "b"));
    assert_eq!(take(&store, after_a_cut(missed)).await, Fate::Copy);
    assert_eq!(texts(&store).await, ["ab"]);
}

pub(crate) async fn what_a_peer_says_of_identity_is_believed(engine: &dyn Engine) {
    let (store, _) = with_leases(engine).await;
    let numbered = |number| SmsIn {
        user_message_reference: Some(number),
        ..from(ANNA, "Hi")
    };
    take(&store, numbered(1)).await;
    assert_eq!(take(&store, after_a_cut(numbered(2))).await, Fate::Whole);
    assert_eq!(take(&store, after_a_cut(numbered(1))).await, Fate::Copy);
    let named = |name: &str| SmsIn {
        peer_id: Some(name.to_owned()),
        ..from(ANNA, "Ho")
    };
    take_and_hear(&store, named("a")).await;
    // Heard or not, on the same bind or not: its answer may have been late.
    assert_eq!(take(&store, later(1, named("a"))).await, Fate::Copy);
    assert_eq!(take(&store, after_a_cut(named("b"))).await, Fate::Whole);
    assert_eq!(texts(&store).await, ["Hi", "Hi", "Ho", "Ho"]);
}

pub(crate) async fn what_was_heard_is_soon_forgotten(engine: &dyn Engine) {
    let (store, _) = with_leases(engine).await;
    let (_, id) = take_with_id(&store, from(ANNA, "Hi")).await;
    store.sms_heard(vec![id, id], at(200)).await.unwrap();
    store.sweep(at(HOUR), 10).await.unwrap();
    store.sms_heard(vec![id], at(HOUR)).await.unwrap();
    let late = later(1, on(BIND_1, &[BIND_2], from(ANNA, "Hi")));
    assert_eq!(take(&store, late).await, Fate::Whole);
}
