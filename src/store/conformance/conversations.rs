//! Conversations and the numbers they hold.

use std::time::Duration;

use super::*;
use crate::gateway::model::Originator;

const COOLING: Duration = Duration::from_secs(100);

fn vmn(digits: &str) -> Originator {
    Originator::Vmn(E164Text(number(digits)))
}

async fn get(store: &Arc<dyn Store>, conversation: &Conversation) -> Conversation {
    store.conversation(conversation.id).await.unwrap().unwrap()
}

/// The number that a conversation has after one message more.
async fn number_of(store: &Arc<dyn Store>, conversation: &Conversation, name: &str) -> Originator {
    queue(store, message(conversation, name)).await;
    get(store, conversation).await.originator.unwrap()
}

async fn end(store: &Arc<dyn Store>, conversation: &Conversation, now: i64) {
    store
        .end_conversation(conversation.id, COOLING, at(now))
        .await
        .unwrap();
}

pub(crate) async fn one_room_and_handset_have_one_conversation(engine: &dyn Engine) {
    let store = engine.open();
    let first = open(&store, group("a", ANNA, "alice")).await;
    assert_eq!(open(&store, group("a", ANNA, "bob")).await, first);
    assert_ne!(open(&store, group("b", ANNA, "alice")).await.id, first.id);
    assert_ne!(open(&store, group("a", BERT, "alice")).await.id, first.id);
}

pub(crate) async fn a_new_direct_room_takes_the_number_over_and_ends_the_old_one(
    engine: &dyn Engine,
) {
    let store = with_credit(engine).await;
    let old = open(&store, direct("old", ANNA, "alice")).await;
    let number = number_of(&store, &old, "one").await;
    let opened = store
        .open_conversation(direct("new", ANNA, "alice"))
        .await
        .unwrap();
    assert_eq!(opened.conversation.originator, Some(number));
    let replaced = opened.replaced.unwrap();
    assert_eq!((replaced.id, replaced.active), (old.id, false));
    // What the old one had queued is refunded, and the pair serves the new one only.
    assert_eq!(account(&store).await, (10_000, 0, 0));
    let leases = store.leases().await.unwrap();
    assert_eq!(leases.len(), 1);
    assert_eq!(leases[0].conversation, opened.conversation.id);
    assert_eq!(leases[0].cooling_until, None);
    let again = store
        .open_conversation(direct("new", ANNA, "alice"))
        .await
        .unwrap();
    assert_eq!(
        (again.conversation, again.replaced),
        (opened.conversation, None)
    );
}

pub(crate) async fn a_conversation_that_waits_for_its_room_takes_the_first(engine: &dyn Engine) {
    let store = engine.open();
    let homeless = OpenConversation {
        room: None,
        ..direct("-", ANNA, "alice")
    };
    let first = open(&store, homeless.clone()).await;
    assert_eq!(open(&store, homeless.clone()).await, first);
    let placed = open(&store, direct("new", ANNA, "alice")).await;
    assert_eq!((placed.id, placed.room), (first.id, Some(room("new"))));
    store
        .place_conversation(first.id, &room("other"))
        .await
        .unwrap();
    assert_eq!(open(&store, homeless).await.room, Some(room("other")));
}

pub(crate) async fn a_resumed_conversation_gets_its_cooling_number_back(engine: &dyn Engine) {
    let store = with_credit(engine).await;
    let conversation = open(&store, group("a", ANNA, "alice")).await;
    let number = number_of(&store, &conversation, "one").await;
    end(&store, &conversation, 20).await;
    assert!(!get(&store, &conversation).await.active);
    let resumed = open(&store, group("a", ANNA, "bob")).await;
    assert_eq!((resumed.id, resumed.active), (conversation.id, true));
    assert_eq!(
        (resumed.originator, resumed.owner),
        (Some(number), user("bob"))
    );
    assert_eq!(store.leases().await.unwrap()[0].cooling_until, None);
}

pub(crate) async fn a_resumed_conversation_whose_number_is_taken_gets_another(engine: &dyn Engine) {
    let store = with_credit(engine).await;
    let first = open(&store, group("a", ANNA, "alice")).await;
    assert_eq!(number_of(&store, &first, "one").await, vmn(VMN_1));
    end(&store, &first, 20).await;
    let cooled = at(20).after(COOLING);
    let second = open(&store, group("b", ANNA, "alice")).await;
    let late = NewMessage {
        now: cooled,
        ..message(&second, "two")
    };
    queue(&store, late).await;
    assert_eq!(get(&store, &second).await.originator, Some(vmn(VMN_1)));
    let resumed = open(&store, group("a", ANNA, "alice")).await;
    assert_eq!((resumed.id, resumed.originator.clone()), (first.id, None));
    assert_eq!(number_of(&store, &resumed, "three").await, vmn(VMN_2));
}

pub(crate) async fn a_new_direct_conversation_gets_the_number_its_owner_had(engine: &dyn Engine) {
    let store = with_credit(engine).await;
    let first = open(&store, direct("a", ANNA, "alice")).await;
    let number = number_of(&store, &first, "one").await;
    end(&store, &first, 20).await;
    let strangers = open(&store, direct("b", ANNA, "bob")).await;
    assert_eq!(strangers.originator, None);
    let opened = store
        .open_conversation(direct("c", ANNA, "alice"))
        .await
        .unwrap();
    assert_eq!(opened.conversation.originator, Some(number));
    assert_eq!(opened.replaced, None);
}

pub(crate) async fn ending_refunds_what_is_queued_with_news_and_leaves_what_is_on_the_wire(
    engine: &dyn Engine,
) {
    let store = with_credit(engine).await;
    let conversation = open(&store, group("a", ANNA, "alice")).await;
    let sent = queue(&store, message(&conversation, "one")).await;
    let waiting = queue(&store, message(&conversation, "two")).await;
    let claimed = claim(&store, 10).await;
    end(&store, &conversation, 20).await;
    assert_eq!(account(&store).await, (9_990, 10, 0));
    assert_eq!(state(&store, sent).await, MessageState::Intent);
    assert_eq!(state(&store, waiting).await, MessageState::Cancelled);
    answer(&store, &claimed[0], submitted("1"), 30).await;
    assert_eq!(account(&store).await, (9_990, 0, 10));
    assert_eq!(claim(&store, 40).await, []);
    let told = [
        (waiting, MessageState::Cancelled),
        (sent, MessageState::Submitted),
    ];
    assert_eq!(news(&store).await, told);
}

pub(crate) async fn ending_twice_cools_once(engine: &dyn Engine) {
    let store = with_credit(engine).await;
    let conversation = open(&store, group("a", ANNA, "alice")).await;
    number_of(&store, &conversation, "one").await;
    end(&store, &conversation, 20).await;
    end(&store, &conversation, 90_000).await;
    let cooling_until = store.leases().await.unwrap()[0].cooling_until;
    assert_eq!(cooling_until, Some(at(20).after(COOLING)));
    store.sweep(at(20).after(COOLING), 10).await.unwrap();
    assert_eq!(store.leases().await.unwrap(), []);
}

pub(crate) async fn two_conversations_of_a_handset_never_share_a_room(engine: &dyn Engine) {
    let store = engine.open();
    open(&store, group("a", ANNA, "alice")).await;
    let other = open(&store, group("b", ANNA, "alice")).await;
    let refused = store.place_conversation(other.id, &room("a")).await;
    assert!(
        matches!(refused, Err(StoreError::Conflict(_))),
        "{refused:?}"
    );
    assert_eq!(get(&store, &other).await.room, Some(room("b")));
    store
        .place_conversation(other.id, &room("c"))
        .await
        .unwrap();
    assert_eq!(get(&store, &other).await.room, Some(room("c")));
}

pub(crate) async fn a_conversation_uses_the_number_that_the_phone_texted(engine: &dyn Engine) {
    let store = with_credit(engine).await;
    let own = OpenConversation {
        room: None,
        originator: Some(vmn("447700900999")),
        ..direct("-", ANNA, "alice")
    };
    let conversation = open(&store, own.clone()).await;
    assert_eq!(conversation.originator, Some(vmn("447700900999")));
    assert_eq!(open(&store, own.clone()).await, conversation);
    let leases = store.leases().await.unwrap();
    assert_eq!((leases.len(), leases[0].conversation), (1, conversation.id));
    // An owner who had another number with this phone keeps it too, for replies to it.
    let other = open(&store, direct("b", BERT, "alice")).await;
    number_of(&store, &other, "one").await;
    let own = OpenConversation {
        handset: phone(BERT),
        ..own
    };
    let switched = open(&store, own).await;
    assert_eq!(
        (switched.id, switched.originator),
        (other.id, Some(vmn("447700900999")))
    );
    assert_eq!(store.leases().await.unwrap().len(), 3);
}

pub(crate) async fn a_number_that_serves_the_owners_other_conversation_leads_there(
    engine: &dyn Engine,
) {
    let store = with_credit(engine).await;
    let conversation = open(&store, group("a", ANNA, "alice")).await;
    let taken = number_of(&store, &conversation, "one").await;
    let request = OpenConversation {
        room: None,
        originator: Some(taken.clone()),
        ..direct("-", ANNA, "alice")
    };
    let found = open(&store, request.clone()).await;
    assert_eq!(
        (found.id, found.originator),
        (conversation.id, Some(taken.clone()))
    );
    // One that has ended is not found: its number goes where the owner talks to the phone now.
    end(&store, &conversation, 20).await;
    let new = open(&store, request).await;
    assert_ne!(new.id, conversation.id);
    assert_eq!(new.originator, Some(taken));
}

pub(crate) async fn a_number_that_serves_somebody_else_is_left_there(engine: &dyn Engine) {
    let store = with_credit(engine).await;
    let conversation = open(&store, group("a", ANNA, "alice")).await;
    let taken = number_of(&store, &conversation, "one").await;
    let request = OpenConversation {
        originator: Some(taken.clone()),
        ..group("b", ANNA, "bob")
    };
    let other = open(&store, request.clone()).await;
    assert_ne!(other.id, conversation.id);
    assert_eq!(other.originator, None);
    end(&store, &conversation, 20).await;
    assert_eq!(open(&store, request.clone()).await.originator, None);
    let leases = store.leases().await.unwrap();
    assert_eq!((leases.len(), leases[0].conversation), (1, conversation.id));
    let later = OpenConversation {
        now: at(20).after(COOLING),
        ..request
    };
    assert_eq!(open(&store, later).await.originator, Some(taken));
}

pub(crate) async fn what_is_on_the_wire_when_a_conversation_ends_is_not_queued_again(
    engine: &dyn Engine,
) {
    let store = with_credit(engine).await;
    let conversation = open(&store, group("a", ANNA, "alice")).await;
    let id = queue(&store, message(&conversation, "one")).await;
    let claimed = claim(&store, 10).await;
    end(&store, &conversation, 20).await;
    answer(
        &store,
        &claimed[0],
        Outcome::Throttled { retry_at: at(30) },
        21,
    )
    .await;
    assert_eq!(state(&store, id).await, MessageState::Cancelled);
    assert_eq!(claim(&store, 40).await, []);
    assert_eq!(account(&store).await, (10_000, 0, 0));
    assert_eq!(news(&store).await, [(id, MessageState::Cancelled)]);
}
