//! The limits against pumped traffic.

use matrix_smpp_config::Fraud;

use super::sms::from;
use super::*;
use crate::gateway::limits::{Hit, Limit};
use crate::gateway::model::InboxSeq;

const DAY: i64 = 24 * 3_600_000;
const HOUR: i64 = 3_600_000;
/// The prefix of the phones here without their last four digits.
const PREFIX: &str = "44770090";

fn spend(micros: i64) -> Fraud {
    Fraud {
        spend_per_day: Some(money(micros)),
        ..Fraud::default()
    }
}

fn per_day(phones: u32) -> Fraud {
    Fraud {
        new_phones_per_day: Some(phones),
        ..Fraud::default()
    }
}

fn per_prefix(phones: u32) -> Fraud {
    Fraud {
        new_phones_per_prefix: Some(phones),
        ..Fraud::default()
    }
}

/// The phone of this place in a row.
fn neighbour(place: u64) -> String {
    (447_700_900_200 + place).to_string()
}

/// The first text of `owner` to a phone, in a room of its own.
async fn first_text(
    store: &Arc<dyn Store>,
    (owner, digits): (&str, &str),
    fraud: &Fraud,
    now: i64,
) -> Acceptance {
    let room = format!("{owner}-{digits}");
    let conversation = open(store, group(&room, digits, owner)).await;
    let new = NewMessage {
        payer: user(owner),
        fraud: fraud.clone(),
        now: at(now),
        ..message(&conversation, &format!("{room}-{now}"))
    };
    store.accept_message(new).await.unwrap()
}

async fn is_queued(store: &Arc<dyn Store>, who: (&str, &str), fraud: &Fraud, now: i64) -> bool {
    matches!(
        first_text(store, who, fraud, now).await,
        Acceptance::Queued { .. }
    )
}

fn hit(accepted: Acceptance) -> Hit {
    match accepted {
        Acceptance::Refused(Refusal::Limited(hit)) => hit,
        other => panic!("not limited: {other:?}"),
    }
}

async fn with_two_people(engine: &dyn Engine) -> Arc<dyn Store> {
    let store = with_credit(engine).await;
    let bob = user("bob");
    store
        .top_up(&bob, money(10_000), "bob", at(1))
        .await
        .unwrap();
    store
}

pub(crate) async fn nothing_is_counted_without_limits(engine: &dyn Engine) {
    let store = with_two_people(engine).await;
    for place in 0..60 {
        let who = ("alice", &*neighbour(place));
        assert!(is_queued(&store, who, &Fraud::default(), 10).await);
    }
    store.take_sms(from(&neighbour(0), "Hello")).await.unwrap();
    let sizes = store.sizes().await.unwrap();
    assert_eq!((sizes.counters, sizes.heard), (0, 0));
}

pub(crate) async fn a_person_spends_so_much_within_a_day(engine: &dyn Engine) {
    let store = with_two_people(engine).await;
    let limit = spend(25);
    let conversation = open(&store, group("a", ANNA, "alice")).await;
    let text = |name: &str, now| NewMessage {
        fraud: limit.clone(),
        now: at(now),
        ..message(&conversation, name)
    };
    queue(&store, text("one", 10)).await;
    queue(&store, text("two", HOUR * 2)).await;
    let refused = store.accept_message(text("three", HOUR * 3)).await.unwrap();
    let expected = Hit {
        limit: Limit::SpendPerDay,
        most: 25,
        again: Some(at(DAY + 10)),
        is_first: true,
    };
    assert_eq!(hit(refused), expected);
    assert_eq!(account(&store).await, (9_980, 20, 0), "nothing is charged");
    assert!(is_queued(&store, ("bob", BERT), &limit, HOUR * 3).await);
    let free = NewMessage {
        price: Money::ZERO,
        ..text("free", HOUR * 3)
    };
    queue(&store, free).await;
    let too_much = NewMessage {
        price: money(26),
        ..text("dear", HOUR * 3)
    };
    let refused = hit(store.accept_message(too_much).await.unwrap());
    assert_eq!((refused.again, refused.is_first), (None, false));
    // What has left the window makes room, and no earlier.
    let early = store.accept_message(text("four", DAY + 9)).await.unwrap();
    hit(early);
    queue(&store, text("five", DAY + 10)).await;
}

pub(crate) async fn a_repeated_message_counts_once(engine: &dyn Engine) {
    let store = with_two_people(engine).await;
    let conversation = open(&store, group("a", ANNA, "alice")).await;
    let limit = Fraud {
        new_phones_per_day: Some(1),
        new_phones_per_prefix: Some(1),
        ..spend(10)
    };
    let new = NewMessage {
        fraud: limit,
        ..message(&conversation, "one")
    };
    queue(&store, new.clone()).await;
    for _ in 0..3 {
        let again = store.accept_message(new.clone()).await.unwrap();
        assert_eq!(again, Acceptance::Repeated(MessageState::Queued));
    }
    assert_eq!(store.sizes().await.unwrap().counters, 3);
}

pub(crate) async fn a_person_begins_with_so_many_new_phones_within_a_day(engine: &dyn Engine) {
    let store = with_two_people(engine).await;
    let limit = per_day(2);
    assert!(is_queued(&store, ("alice", ANNA), &limit, 10).await);
    assert!(is_queued(&store, ("alice", BERT), &limit, 20).await);
    let third = neighbour(3);
    let refused = hit(first_text(&store, ("alice", &third), &limit, 30).await);
    assert_eq!(
        (refused.limit, refused.again),
        (Limit::NewPhonesPerDay, Some(at(DAY + 20))),
        "what came within an hour leaves together"
    );
    assert!(is_queued(&store, ("bob", &third), &limit, 30).await);
    // Conversations go on, and so does one with the same phone elsewhere.
    assert!(is_queued(&store, ("alice", ANNA), &limit, 40).await);
    let elsewhere = open(&store, group("elsewhere", ANNA, "alice")).await;
    let new = NewMessage {
        fraud: limit.clone(),
        ..message(&elsewhere, "elsewhere")
    };
    queue(&store, new).await;
    assert!(is_queued(&store, ("alice", &third), &limit, DAY + 20).await);
}

pub(crate) async fn so_many_new_phones_of_a_prefix_are_texted_by_all_together(engine: &dyn Engine) {
    let store = with_two_people(engine).await;
    let limit = per_prefix(5);
    let mut queued = 0;
    for place in 0..40 {
        let owner = ["alice", "bob"][usize::try_from(place % 2).unwrap()];
        let who = (owner, &*neighbour(place));
        queued += usize::from(is_queued(&store, who, &limit, 10).await);
    }
    assert_eq!(queued, 5);
    let refused = hit(first_text(&store, ("bob", &neighbour(50)), &limit, 20).await);
    assert_eq!(
        (refused.limit, refused.again),
        (Limit::NewPhonesPerPrefix, Some(at(HOUR + 10)))
    );
    // Other numbers, and conversations that are under way, go on.
    assert!(is_queued(&store, ("bob", "447700910000"), &limit, 30).await);
    assert!(is_queued(&store, ("alice", &neighbour(0)), &limit, 30).await);
    assert!(is_queued(&store, ("bob", &neighbour(0)), &limit, 30).await);
    assert!(is_queued(&store, ("bob", &neighbour(50)), &limit, HOUR + 10).await);
}

pub(crate) async fn a_phone_that_has_texted_us_is_none_of_the_new_ones(engine: &dyn Engine) {
    let store = with_two_people(engine).await;
    let limit = per_prefix(1);
    assert!(is_queued(&store, ("alice", ANNA), &limit, 10).await);
    let heard = SmsIn {
        note_sender: true,
        ..from(ANNA, "Hello")
    };
    store.take_sms(heard).await.unwrap();
    let conversation = open(&store, group(&format!("alice-{ANNA}"), ANNA, "alice")).await;
    let ended = store.end_conversation(conversation.id, Duration::ZERO, at(200));
    ended.await.unwrap();
    store.sweep(at(300), 100).await.unwrap();
    assert_eq!(store.leases().await.unwrap(), []);
    hit(first_text(&store, ("bob", BERT), &limit, 300).await);
    assert!(is_queued(&store, ("bob", ANNA), &limit, 300).await);
}

pub(crate) async fn a_refused_message_leaves_no_lease_and_counts_under_no_limit(
    engine: &dyn Engine,
) {
    let store = with_two_people(engine).await;
    let limit = Fraud {
        new_phones_per_prefix: Some(1),
        ..spend(20)
    };
    assert!(is_queued(&store, ("alice", ANNA), &limit, 10).await);
    for _ in 0..5 {
        hit(first_text(&store, ("alice", BERT), &limit, 20).await);
    }
    assert_eq!(store.leases().await.unwrap().len(), 1);
    assert_eq!(account(&store).await, (9_990, 10, 0));
    // What the five would have cost is left.
    assert!(is_queued(&store, ("alice", ANNA), &limit, 30).await);
    let exhausted = NewMessage {
        originators: pool(0),
        fraud: per_day(1),
        now: at(40),
        ..message(&open(&store, group("none", BERT, "bob")).await, "none")
    };
    let exhausted = NewMessage {
        payer: user("bob"),
        ..exhausted
    };
    let refused = store.accept_message(exhausted).await.unwrap();
    assert!(
        matches!(refused, Acceptance::Refused(Refusal::PoolExhausted { .. })),
        "{refused:?}"
    );
    assert!(is_queued(&store, ("bob", BERT), &per_day(1), 50).await);
}

pub(crate) async fn an_event_over_a_limit_is_not_accepted_in_part(engine: &dyn Engine) {
    let store = with_two_people(engine).await;
    let limit = per_prefix(2);
    let mut messages = Vec::new();
    for place in 0..3 {
        let conversation = open(&store, group("a", &neighbour(place), "alice")).await;
        messages.push(NewMessage {
            fraud: limit.clone(),
            ..message(&conversation, "one")
        });
    }
    let refused = store.accept_event(InboxSeq(1), messages.clone()).await;
    assert!(
        matches!(refused, Err(StoreError::Conflict(_))),
        "{refused:?}"
    );
    let sizes = store.sizes().await.unwrap();
    assert_eq!((sizes.counters, sizes.queued), (0, 0));
    messages.pop();
    store.accept_event(InboxSeq(1), messages).await.unwrap();
    assert_eq!(store.sizes().await.unwrap().queued, 2);
}

pub(crate) async fn limits_hold_whoever_asks_at_once(engine: &dyn Engine) {
    let store = with_two_people(engine).await;
    let limit = per_prefix(7);
    let mut writers = tokio::task::JoinSet::new();
    for place in 0..30 {
        let (store, limit) = (Arc::clone(&store), limit.clone());
        writers.spawn(async move {
            let owner = ["alice", "bob"][usize::try_from(place % 2).unwrap()];
            is_queued(&store, (owner, &neighbour(place)), &limit, 10).await
        });
    }
    let answers = writers.join_all().await;
    let queued = answers.into_iter().filter(|queued| *queued).count();
    assert_eq!(queued, 7);
}

pub(crate) async fn what_was_counted_survives_a_restart(engine: &dyn Engine) {
    let limit = Fraud {
        new_phones_per_prefix: Some(1),
        ..spend(30)
    };
    let store = with_two_people(engine).await;
    assert!(is_queued(&store, ("alice", ANNA), &limit, 10).await);
    hit(first_text(&store, ("alice", BERT), &limit, 20).await);
    drop(store);
    let store = engine.open();
    let refused = hit(first_text(&store, ("bob", BERT), &limit, 30).await);
    assert!(!refused.is_first, "that was told before the restart");
    assert!(is_queued(&store, ("alice", ANNA), &limit, 40).await);
    assert!(is_queued(&store, ("alice", ANNA), &limit, 50).await);
    hit(first_text(&store, ("alice", ANNA), &limit, 60).await);
}

pub(crate) async fn a_limit_that_is_hit_is_listed_until_it_is_cleared(engine: &dyn Engine) {
    let store = with_two_people(engine).await;
    let limit = per_prefix(1);
    assert!(is_queued(&store, ("alice", ANNA), &limit, 10).await);
    assert_eq!(store.limits_hit(at(15)).await.unwrap(), []);
    assert!(hit(first_text(&store, ("alice", BERT), &limit, 20).await).is_first);
    assert!(!hit(first_text(&store, ("alice", BERT), &limit, 30).await).is_first);
    let listed = Counter {
        limit: Limit::NewPhonesPerPrefix,
        whose: PREFIX.to_owned(),
        used: 1,
        hit: at(20),
    };
    assert_eq!(store.limits_hit(at(40)).await.unwrap(), [listed]);
    assert_eq!(store.limits_hit(at(HOUR + 20)).await.unwrap(), []);
    for there in [true, false] {
        let cleared = store.clear_limit(Limit::NewPhonesPerPrefix, PREFIX).await;
        assert_eq!(cleared.unwrap(), there);
    }
    assert_eq!(store.limits_hit(at(40)).await.unwrap(), []);
    assert!(is_queued(&store, ("alice", BERT), &limit, 50).await);
}

pub(crate) async fn counters_are_forgotten_when_their_window_is_over(engine: &dyn Engine) {
    let store = with_two_people(engine).await;
    let limit = Fraud {
        new_phones_per_prefix: Some(1),
        ..spend(1_000)
    };
    assert!(is_queued(&store, ("alice", ANNA), &limit, 10).await);
    let heard = SmsIn {
        note_sender: true,
        ..from(ANNA, "Hello")
    };
    store.take_sms(heard).await.unwrap();
    let sizes = async || {
        let sizes = store.sizes().await.unwrap();
        (sizes.counters, sizes.heard)
    };
    let year = at(366 * DAY);
    for (now, left) in [
        (at(HOUR + 9), (2, 1)),
        (at(HOUR + 10), (1, 1)),
        (at(DAY + 10), (0, 1)),
        (year, (0, 0)),
    ] {
        store.sweep(now, 100).await.unwrap();
        assert_eq!(sizes().await, left, "{now:?}");
    }
}
