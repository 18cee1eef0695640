//! SMS from phones.

use std::time::Duration;

use bytes::Bytes;
use matrix_smpp_codec::udh::{Concat, Reference};
use matrix_smpp_codec::values::DataCoding;
use uuid::Uuid;

use super::*;
use crate::gateway::model::{SmsId, TakenId};

pub(super) const BIND_1: Uuid = Uuid::from_u128(1);
pub(super) const BIND_2: Uuid = Uuid::from_u128(2);

pub(super) fn from(digits: &str, text: &str) -> SmsIn {
    SmsIn {
        link_group: LINKS.to_owned(),
        session: BIND_1,
        living_sessions: vec![BIND_1],
        from: phone(digits),
        to: VMN_1.to_owned(),
        concat: None,
        data_coding: DataCoding::GSM_DEFAULT,
        payload: Bytes::copy_from_slice(text.as_bytes()),
        user_message_reference: None,
        peer_id: None,
        dedicated_to: None,
        wish: None,
        most_waiting: usize::MAX,
        most_partial: usize::MAX,
        submitted: None,
        note_sender: false,
        at: at(100),
    }
}

pub(super) fn part(digits: &str, reference: u8, total: u8, index: u8, text: &str) -> SmsIn {
    let reference = Reference::Eight(reference);
    SmsIn {
        concat: Some(Concat {
            reference,
            total,
            index,
        }),
        ..from(digits, text)
    }
}

/// [`SmsTaken`] without the ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Whole,
    Waits,
    Copy,
    NotLeased,
    Heeded,
    Full,
    Undecided(Uuid),
}

pub(super) async fn take(store: &Arc<dyn Store>, sms: SmsIn) -> Fate {
    take_with_id(store, sms).await.0
}

pub(super) async fn take_with_id(store: &Arc<dyn Store>, sms: SmsIn) -> (Fate, TakenId) {
    match store.take_sms(sms).await.unwrap() {
        SmsTaken::Stored { id, complete: true } => (WHOLE, id),
        SmsTaken::Stored { id, .. } => (WAITS, id),
        SmsTaken::Repeated { id } => (Fate::Copy, id),
        SmsTaken::NotLeased => (Fate::NotLeased, TakenId(0)),
        SmsTaken::Full => (Fate::Full, TakenId(0)),
        SmsTaken::Heeded => (Fate::Heeded, TakenId(0)),
        SmsTaken::Undeliverable { id } => (Fate::NotLeased, id),
        SmsTaken::Undecided { session } => (Fate::Undecided(session), TakenId(0)),
    }
}

async fn pending(store: &Arc<dyn Store>) -> Vec<Sms> {
    store.pending_sms(SmsId(0), 100).await.unwrap()
}

pub(super) async fn texts(store: &Arc<dyn Store>) -> Vec<String> {
    pending(store)
        .await
        .into_iter()
        .map(|sms| sms.text)
        .collect()
}

/// A store in which Anna and Bert may text [`VMN_1`].
pub(super) async fn with_leases(engine: &dyn Engine) -> (Arc<dyn Store>, Conversation) {
    let store = with_credit(engine).await;
    let anna = open(&store, group("a", ANNA, "alice")).await;
    let bert = open(&store, group("a", BERT, "alice")).await;
    queue(&store, message(&anna, "one")).await;
    queue(&store, message(&bert, "one")).await;
    (store, anna)
}

const WHOLE: Fate = Fate::Whole;
const WAITS: Fate = Fate::Waits;

pub(crate) async fn an_sms_goes_to_the_conversation_that_leases_the_number(engine: &dyn Engine) {
    let (store, anna) = with_leases(engine).await;
    assert_eq!(take(&store, from(ANNA, "Hi")).await, WHOLE);
    let [sms] = &pending(&store).await[..] else {
        panic!("one SMS")
    };
    assert_eq!(sms.recipient, SmsRecipient::Conversation(anna.id));
    assert_eq!(
        (sms.text.as_str(), sms.missing_parts, sms.at),
        ("Hi", 0, at(100))
    );
    assert_eq!((&sms.from, sms.to.as_str()), (&phone(ANNA), VMN_1));
    store.finish_sms(sms.id, Ending::Done).await.unwrap();
    assert_eq!(pending(&store).await, []);
    assert_eq!(store.sms(sms.id).await.unwrap().as_ref(), Some(sms));
}

pub(crate) async fn an_sms_to_nobody_is_not_kept(engine: &dyn Engine) {
    let (store, _) = with_leases(engine).await;
    let elsewhere = SmsIn {
        to: VMN_2.to_owned(),
        ..from(ANNA, "Hi")
    };
    assert_eq!(take(&store, elsewhere).await, Fate::NotLeased);
    assert_eq!(
        take(&store, from("447700900555", "Hi")).await,
        Fate::NotLeased
    );
    let part = SmsIn {
        to: VMN_2.to_owned(),
        ..part(ANNA, 1, 2, 1, "Hi")
    };
    assert_eq!(take(&store, part).await, Fate::NotLeased);
    let sizes = store.sizes().await.unwrap();
    assert_eq!((sizes.sms, sizes.partial_sms), (0, 0));
}

pub(crate) async fn a_late_sms_goes_to_the_former_conversation_only(engine: &dyn Engine) {
    let (store, anna) = with_leases(engine).await;
    store
        .end_conversation(anna.id, Duration::from_millis(100), at(50))
        .await
        .unwrap();
    assert_eq!(take(&store, from(ANNA, "late")).await, WHOLE);
    assert_eq!(
        pending(&store).await[0].recipient,
        SmsRecipient::Former(anna.id)
    );
    let too_late = SmsIn {
        at: at(150),
        ..from(ANNA, "too late")
    };
    assert_eq!(take(&store, too_late).await, Fate::NotLeased);
}

pub(crate) async fn a_dedicated_number_takes_any_sms_for_its_owner(engine: &dyn Engine) {
    let (store, anna) = with_leases(engine).await;
    store.dedicate("447700900999", &user("bob")).await.unwrap();
    let to_bob = SmsIn {
        to: "447700900999".to_owned(),
        ..from(ANNA, "to bob")
    };
    let to_alice = SmsIn {
        dedicated_to: Some(user("alice")),
        ..from("447700900555", "by config")
    };
    let leased = SmsIn {
        dedicated_to: Some(user("alice")),
        ..from(ANNA, "leased")
    };
    let bank = Handset::Alphanumeric("MyBank".to_owned());
    let by_name = SmsIn {
        from: bank,
        ..to_bob.clone()
    };
    for sms in [to_bob, to_alice, leased, by_name] {
        assert_eq!(take(&store, sms).await, WHOLE);
    }
    let recipients: Vec<_> = pending(&store)
        .await
        .into_iter()
        .map(|sms| sms.recipient)
        .collect();
    assert_eq!(
        recipients,
        [
            SmsRecipient::Owner(user("bob")),
            SmsRecipient::Owner(user("alice")),
            SmsRecipient::Conversation(anna.id),
            SmsRecipient::Owner(user("bob")),
        ]
    );
}

pub(crate) async fn parts_are_joined_in_any_order_over_any_link(engine: &dyn Engine) {
    let (store, _) = with_leases(engine).await;
    assert_eq!(take(&store, part(ANNA, 7, 3, 3, "c")).await, WAITS);
    let other_bind = SmsIn {
        session: BIND_2,
        ..part(ANNA, 7, 3, 1, "a")
    };
    assert_eq!(take(&store, other_bind).await, WAITS);
    assert_eq!(store.sizes().await.unwrap().partial_sms, 1);
    assert_eq!(pending(&store).await, []);
    assert_eq!(take(&store, part(ANNA, 7, 3, 2, "b")).await, WHOLE);
    assert_eq!(texts(&store).await, ["abc"]);
    assert_eq!(store.sizes().await.unwrap().partial_sms, 0);
    // A surrogate pair cut between two parts is whole again.
    let halves = [(1, &[0xd8, 0x3d][..]), (2, &[0xde, 0x00][..])];
    for (index, octets) in halves {
        let payload = Bytes::from_static(octets);
        let part = part(ANNA, 8, 2, index, "");
        take(
            &store,
            SmsIn {
                data_coding: DataCoding::UCS2,
                payload,
                ..part
            },
        )
        .await;
    }
    assert_eq!(texts(&store).await, ["abc", "😀"]);
}

pub(crate) async fn parts_of_two_people_are_never_mixed(engine: &dyn Engine) {
    let (store, _) = with_leases(engine).await;
    take(&store, part(ANNA, 7, 2, 1, "Anna ")).await;
    assert_eq!(take(&store, part(BERT, 7, 2, 2, "Bert")).await, WAITS);
    let wide = Concat {
        reference: Reference::Sixteen(7),
        total: 2,
        index: 2,
    };
    let wide = SmsIn {
        concat: Some(wide),
        ..from(ANNA, "wide")
    };
    assert_eq!(take(&store, wide).await, WAITS);
    assert_eq!(take(&store, part(ANNA, 7, 3, 2, "of three")).await, WAITS);
    assert_eq!(take(&store, part(ANNA, 7, 2, 2, "Anna")).await, WHOLE);
    assert_eq!(texts(&store).await, ["Anna Anna"]);
}

pub(crate) async fn a_part_that_comes_twice_counts_once(engine: &dyn Engine) {
    let (store, _) = with_leases(engine).await;
    take(&store, part(ANNA, 7, 2, 1, "a")).await;
    assert_eq!(take(&store, part(ANNA, 7, 2, 1, "a")).await, Fate::Copy);
    let much_later = SmsIn {
        at: at(1_000_000),
        ..part(ANNA, 7, 2, 1, "a")
    };
    assert_eq!(take(&store, much_later).await, Fate::Copy);
    assert_eq!(take(&store, part(ANNA, 7, 2, 2, "b")).await, WHOLE);
    // Complete, it does not begin again.
    assert_eq!(take(&store, part(ANNA, 7, 2, 2, "b")).await, Fate::Copy);
    assert_eq!(texts(&store).await, ["ab"]);
    assert_eq!(store.sizes().await.unwrap().partial_sms, 0);
}

pub(crate) async fn a_reference_used_again_hands_the_old_parts_on(engine: &dyn Engine) {
    let (store, _) = with_leases(engine).await;
    take(&store, part(ANNA, 7, 2, 1, "old")).await;
    assert_eq!(take(&store, part(ANNA, 7, 2, 1, "new ")).await, WAITS);
    assert_eq!(take(&store, part(ANNA, 7, 2, 2, "text")).await, WHOLE);
    assert_eq!(texts(&store).await, ["old[…]", "new text"]);
    assert_eq!(pending(&store).await[0].missing_parts, 1);
}

pub(crate) async fn parts_that_never_complete_are_handed_on_with_gaps(engine: &dyn Engine) {
    let (store, anna) = with_leases(engine).await;
    take(&store, part(ANNA, 7, 4, 2, "b")).await;
    let last = SmsIn {
        at: at(5_000),
        ..part(ANNA, 7, 4, 4, "d")
    };
    take(&store, last).await;
    let day = 24 * 3_600_000;
    store.sweep(at(day + 99), 10).await.unwrap();
    assert_eq!(pending(&store).await, []);
    store.sweep(at(day + 100), 10).await.unwrap();
    let [sms] = &pending(&store).await[..] else {
        panic!("one SMS")
    };
    assert_eq!((sms.text.as_str(), sms.missing_parts), ("[…]b[…]d", 2));
    assert_eq!(sms.recipient, SmsRecipient::Conversation(anna.id));
}

pub(crate) async fn the_parts_of_one_phone_are_bounded(engine: &dyn Engine) {
    let (store, _) = with_leases(engine).await;
    for reference in 0..40 {
        take(&store, part(ANNA, reference, 2, 1, "a")).await;
    }
    take(&store, part(BERT, 0, 2, 1, "b")).await;
    let sizes = store.sizes().await.unwrap();
    assert_eq!((sizes.partial_sms, sizes.sms), (17, 24));
}

pub(crate) async fn sms_are_pending_in_the_order_in_which_they_became_whole(engine: &dyn Engine) {
    let (store, _) = with_leases(engine).await;
    take(&store, part(ANNA, 7, 2, 1, "a")).await;
    take(&store, from(ANNA, "between")).await;
    let [between] = &pending(&store).await[..] else {
        panic!("one SMS")
    };
    take(&store, part(ANNA, 7, 2, 2, "b")).await;
    let after = store.pending_sms(between.id, 100).await.unwrap();
    assert_eq!(
        after
            .iter()
            .map(|sms| sms.text.as_str())
            .collect::<Vec<_>>(),
        ["ab"]
    );
}

pub(crate) async fn a_part_follows_the_first_part_though_the_lease_ended(engine: &dyn Engine) {
    let (store, anna) = with_leases(engine).await;
    take(&store, part(ANNA, 7, 2, 1, "a")).await;
    store
        .end_conversation(anna.id, Duration::ZERO, at(100))
        .await
        .unwrap();
    assert_eq!(take(&store, part(ANNA, 7, 2, 2, "b")).await, WHOLE);
    assert_eq!(
        pending(&store).await[0].recipient,
        SmsRecipient::Conversation(anna.id)
    );
}

pub(crate) async fn an_sms_too_long_for_a_pdu_is_refused(engine: &dyn Engine) {
    let (store, _) = with_leases(engine).await;
    let payload = Bytes::from(vec![b'x'; 65_536]);
    let refused = store
        .take_sms(SmsIn {
            payload: payload.clone(),
            ..from(ANNA, "")
        })
        .await;
    assert!(
        matches!(refused, Err(StoreError::Conflict(_))),
        "{refused:?}"
    );
    assert_eq!(
        take(
            &store,
            SmsIn {
                payload: payload.slice(1..),
                ..from(ANNA, "")
            }
        )
        .await,
        WHOLE
    );
}

pub(crate) async fn the_text_of_an_sms_is_forgotten_a_day_after_it_was_said(engine: &dyn Engine) {
    let (store, anna) = with_leases(engine).await;
    take(&store, from(ANNA, "hello")).await;
    let id = pending(&store).await[0].id;
    let say = NewOutbox {
        key: format!("sms:{id}"),
        lane: Lane::Conversation(anna.id),
        item: OutboxItem::SmsText {
            sms: id,
            conversation: anna.id,
        },
    };
    store.enqueue(vec![say], at(110)).await.unwrap();
    let said = store.due_outbox(Due::heads(at(120), 1)).await.unwrap()[0].id;
    let text = async || store.sms(id).await.unwrap().unwrap().text;
    let day_after = at(100).after(Duration::from_hours(24));
    let sweep = async |now| while store.sweep(now, 10).await.unwrap() {};
    sweep(day_after).await;
    assert_eq!(text().await, "hello", "not handed on");
    store.finish_sms(id, Ending::Done).await.unwrap();
    sweep(day_after).await;
    assert_eq!(text().await, "hello", "not said");
    let months_after = at(100).after(Duration::from_hours(60 * 24));
    sweep(months_after).await;
    assert_eq!(text().await, "hello", "the homeserver was away for long");
    store.finish_outbox(said, Ending::Done).await.unwrap();
    sweep(Timestamp(day_after.0 - 1)).await;
    assert_eq!(text().await, "hello", "a day has not passed");
    sweep(day_after).await;
    assert_eq!(text().await, "");
}

pub(crate) async fn no_more_sms_wait_than_may(engine: &dyn Engine) {
    let (store, _) = with_leases(engine).await;
    let one_of_two = |text| SmsIn {
        most_waiting: 2,
        ..from(ANNA, text)
    };
    assert_eq!(take(&store, one_of_two("one")).await, WHOLE);
    assert_eq!(take(&store, one_of_two("two")).await, WHOLE);
    assert_eq!(take(&store, one_of_two("three")).await, Fate::Full);
    assert_eq!(texts(&store).await, ["one", "two"]);
    let first = pending(&store).await.remove(0);
    store.finish_sms(first.id, Ending::Done).await.unwrap();
    assert_eq!(take(&store, one_of_two("three")).await, WHOLE);
    assert_eq!(texts(&store).await, ["two", "three"]);
}

pub(crate) async fn no_more_long_sms_wait_for_parts_than_may(engine: &dyn Engine) {
    let (store, _) = with_leases(engine).await;
    // Of two phones, each with few of its own.
    for round in 1..=10 {
        for digits in [ANNA, BERT] {
            let orphan = SmsIn {
                most_partial: 4,
                ..part(digits, round, 2, 1, &format!("{digits} {round}"))
            };
            assert_eq!(take(&store, orphan).await, WAITS);
        }
    }
    assert_eq!(store.sizes().await.unwrap().partial_sms, 4);
    // The oldest have made room, and none is lost.
    let handed_on = texts(&store).await;
    assert_eq!(handed_on.len(), 16);
    assert_eq!(handed_on[0], format!("{ANNA} 1[…]"));
    let last = SmsIn {
        most_partial: 4,
        ..part(BERT, 10, 2, 2, "!")
    };
    assert_eq!(take(&store, last).await, WHOLE);
    assert_eq!(texts(&store).await.last().unwrap(), &format!("{BERT} 10!"));
}
