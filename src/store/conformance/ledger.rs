//! Accounts, and numbers given and taken by hand.

use super::*;

async fn top_up(store: &Arc<dyn Store>, amount: i64, key: &str) -> Result<(), StoreError> {
    store
        .top_up(&user("alice"), money(amount), key, at(1))
        .await
        .map(|_| ())
}

pub(crate) async fn a_top_up_is_paid_in_once_by_its_key(engine: &dyn Engine) {
    let store = engine.open();
    assert_eq!(account(&store).await, (0, 0, 0));
    top_up(&store, 100, "a").await.unwrap();
    top_up(&store, 100, "a").await.unwrap();
    top_up(&store, 50, "b").await.unwrap();
    assert_eq!(account(&store).await, (150, 0, 0));
    assert!(matches!(
        top_up(&store, 99, "a").await,
        Err(StoreError::Conflict(_))
    ));
    let accounts = store.accounts().await.unwrap();
    assert_eq!(accounts.len(), 1);
    assert_eq!(
        (accounts[0].0.clone(), accounts[0].1.top_ups),
        (user("alice"), money(150))
    );
}

pub(crate) async fn what_is_not_there_cannot_be_taken_out(engine: &dyn Engine) {
    let store = engine.open();
    top_up(&store, 100, "a").await.unwrap();
    assert!(matches!(
        top_up(&store, -101, "b").await,
        Err(StoreError::Conflict(_))
    ));
    assert_eq!(account(&store).await, (100, 0, 0));
    top_up(&store, -100, "b").await.unwrap();
    assert_eq!(account(&store).await, (0, 0, 0));
}

pub(crate) async fn a_closed_store_can_be_opened_though_somebody_still_holds_it(
    engine: &dyn Engine,
) {
    let held = engine.open();
    let (paid_in, ()) = tokio::join!(biased; top_up(&held, 100, "a"), held.close());
    paid_in.unwrap();
    let late = top_up(&held, 100, "b").await.unwrap_err();
    assert!(matches!(late, StoreError::Unavailable(_)), "{late}");
    held.close().await;
    let next = engine.open();
    assert_eq!(account(&next).await, (100, 0, 0));
    top_up(&next, 100, "b").await.unwrap();
    drop(held);
    assert_eq!(account(&next).await, (200, 0, 0));
}

pub(crate) async fn a_limit_is_how_far_below_zero_a_balance_goes(engine: &dyn Engine) {
    let store = engine.open();
    let alice = user("alice");
    assert!(store.set_limit(&alice, money(-1)).await.is_err());
    assert_eq!(
        store.set_limit(&alice, money(25)).await.unwrap().limit,
        money(25)
    );
    let conversation = open(&store, group("a", ANNA, "alice")).await;
    queue(&store, long_message(&conversation, "one")).await;
    let refused = store
        .accept_message(message(&conversation, "two"))
        .await
        .unwrap();
    let balance = money(-20);
    let refusal = Refusal::NoCredit {
        balance,
        cost: money(10),
    };
    assert_eq!(refused, Acceptance::Refused(refusal));
    assert!(matches!(
        store.set_limit(&alice, money(19)).await,
        Err(StoreError::Conflict(_))
    ));
    store.set_limit(&alice, money(20)).await.unwrap();
    assert_eq!(account(&store).await, (-20, 20, 0));
}

pub(crate) async fn a_segment_is_settled_once_and_the_audit_agrees(engine: &dyn Engine) {
    let store = with_credit(engine).await;
    let conversation = open(&store, group("a", ANNA, "alice")).await;
    queue(&store, long_message(&conversation, "one")).await;
    assert_eq!(account(&store).await, (9_980, 20, 0));
    let claimed = claim(&store, 10).await;
    answer(&store, &claimed[0], submitted("1"), 20).await;
    assert_eq!(account(&store).await, (9_980, 10, 10));
    answer(&store, &claimed[0], submitted("1"), 20).await;
    answer(&store, &claimed[1], Outcome::Rejected { status: 0x0b }, 20).await;
    answer(&store, &claimed[1], Outcome::Rejected { status: 0x0b }, 20).await;
    assert_eq!(account(&store).await, (9_990, 0, 10));
}

pub(crate) async fn concurrent_messages_never_overdraw(engine: &dyn Engine) {
    let store = engine.open();
    top_up(&store, 100, "a").await.unwrap();
    let conversation = open(&store, group("a", ANNA, "alice")).await;
    let mut senders = tokio::task::JoinSet::new();
    for count in 0..50 {
        let (store, new) = (
            Arc::clone(&store),
            message(&conversation, &count.to_string()),
        );
        senders.spawn(async move { store.accept_message(new).await.unwrap() });
    }
    let answers = senders.join_all().await;
    let queued = answers
        .iter()
        .filter(|answer| matches!(answer, Acceptance::Queued { .. }));
    assert_eq!(queued.count(), 10);
    assert_eq!(account(&store).await, (0, 100, 0));
}

pub(crate) async fn amounts_stay_within_their_bounds(engine: &dyn Engine) {
    let store = engine.open();
    top_up(&store, Money::MAX.micros(), "a").await.unwrap();
    assert!(matches!(
        top_up(&store, 1, "b").await,
        Err(StoreError::Conflict(_))
    ));
    let conversation = open(&store, group("a", ANNA, "alice")).await;
    let dear = NewMessage {
        price: Money::MAX,
        ..long_message(&conversation, "one")
    };
    assert!(matches!(
        store.accept_message(dear).await,
        Err(StoreError::Conflict(_))
    ));
    assert_eq!(account(&store).await, (Money::MAX.micros(), 0, 0));
}

pub(crate) async fn a_dedicated_number_has_one_owner(engine: &dyn Engine) {
    let store = with_credit(engine).await;
    let conversation = open(&store, group("a", ANNA, "alice")).await;
    queue(&store, message(&conversation, "one")).await;
    let bob = user("bob");
    assert!(matches!(
        store.dedicate(VMN_1, &bob).await,
        Err(StoreError::Conflict(_))
    ));
    assert!(matches!(
        store.dedicate("+44", &bob).await,
        Err(StoreError::Conflict(_))
    ));
    store.dedicate("12345", &bob).await.unwrap();
    store.dedicate("12345", &bob).await.unwrap();
    let stolen = store.dedicate("12345", &user("alice")).await;
    assert!(matches!(stolen, Err(StoreError::Conflict(_))));
    assert_eq!(
        store.dedicated().await.unwrap(),
        [("12345".to_owned(), bob)]
    );
    assert!(store.undedicate("12345").await.unwrap());
    assert!(!store.undedicate("12345").await.unwrap());
    assert_eq!(store.dedicated().await.unwrap(), []);
}

pub(crate) async fn a_lease_can_be_released_by_hand(engine: &dyn Engine) {
    let store = with_credit(engine).await;
    let first = open(&store, group("a", ANNA, "alice")).await;
    queue(
        &store,
        NewMessage {
            originators: pool(1),
            ..message(&first, "one")
        },
    )
    .await;
    let anna = phone(ANNA);
    let release = || store.release_lease(number(VMN_1), &anna);
    let refused = || async {
        let error = release().await.unwrap_err();
        let names = error.to_string().contains(&first.id.to_string());
        assert!(matches!(error, StoreError::Conflict(_)) && names, "{error}");
    };
    refused().await;
    let claimed = claim(&store, 11).await;
    refused().await;
    answer(&store, &claimed[0], Outcome::Uncertain, 12).await;
    refused().await;
    let kept = store.conversation(first.id).await.unwrap().unwrap();
    assert!(kept.originator.is_some());
    answer(&store, &claimed[0], submitted("id"), 13).await;
    assert!(
        store
            .release_lease(number(VMN_1), &phone(ANNA))
            .await
            .unwrap()
    );
    assert!(
        !store
            .release_lease(number(VMN_1), &phone(ANNA))
            .await
            .unwrap()
    );
    let released = store.conversation(first.id).await.unwrap().unwrap();
    assert_eq!(released.originator, None);
    let second = open(&store, group("b", ANNA, "alice")).await;
    queue(
        &store,
        NewMessage {
            originators: pool(1),
            ..message(&second, "two")
        },
    )
    .await;
    let leases = store.leases().await.unwrap();
    assert_eq!((leases.len(), leases[0].conversation), (1, second.id));
}

pub(crate) async fn all_leases_of_a_phone_are_in_one_page(engine: &dyn Engine) {
    let store = with_credit(engine).await;
    for (name, digits) in [("a", ANNA), ("b", ANNA), ("c", BERT)] {
        let conversation = open(&store, group(name, digits, "alice")).await;
        queue(&store, message(&conversation, name)).await;
    }
    let mut phones = Vec::new();
    let mut from = None;
    loop {
        let page = store.leases_page(from, 1).await.unwrap();
        phones.extend(page.phones);
        from = page.next;
        if from.is_none() {
            break;
        }
    }
    phones.sort_by_key(|leases| leases[0].handset.key());
    phones.dedup();
    let shown = phones
        .iter()
        .map(|leases| (leases[0].handset.key(), leases.len()));
    let expected = [(ANNA.to_owned(), 2), (BERT.to_owned(), 1)];
    assert_eq!(shown.collect::<Vec<_>>(), expected);
}

pub(crate) async fn an_audit_agrees_though_money_moves_meanwhile(engine: &dyn Engine) {
    let store = engine.open();
    let pay = async |round: usize| {
        for name in ["alice", "bob", "carol", "dora", "eve"] {
            let (owner, key) = (
                user(&format!("{name}{}", round % 7)),
                format!("{name}{round}"),
            );
            store.top_up(&owner, money(7), &key, at(1)).await.unwrap();
        }
    };
    for round in 0..4 {
        pay(round).await;
    }
    let moving = async {
        for round in 4..40 {
            pay(round).await;
        }
    };
    let auditing = async {
        for _ in 0..10 {
            assert_eq!(store.audit().await.unwrap(), Audit::default());
        }
    };
    tokio::join!(moving, auditing);
}
