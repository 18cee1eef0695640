//! Ghosts and the state of rooms.

use super::*;

fn joined(name: &str) -> Member {
    Member {
        user: user(name),
        membership: Membership::Joined,
        display_name: Some(name.to_uppercase()),
    }
}

fn facts(name: &str, members: &[&str]) -> RoomFacts {
    RoomFacts {
        homeserver: home(),
        room: room(name),
        encrypted: false,
        members: members.iter().map(|name| joined(name)).collect(),
    }
}

async fn view(store: &Arc<dyn Store>, name: &str) -> RoomView {
    store.room(&home(), &room(name)).await.unwrap().unwrap()
}

pub(crate) async fn a_room_never_put_is_unknown(engine: &dyn Engine) {
    let store = engine.open();
    store
        .put_member(&home(), &room("a"), joined("alice"))
        .await
        .unwrap();
    store.set_encrypted(&home(), &room("a")).await.unwrap();
    assert_eq!(store.room(&home(), &room("a")).await.unwrap(), None);
}

pub(crate) async fn a_member_who_left_is_forgotten(engine: &dyn Engine) {
    let store = engine.open();
    store.put_room(facts("a", &["alice", "bob"])).await.unwrap();
    let gone = Member {
        membership: Membership::Gone,
        ..joined("bob")
    };
    store.put_member(&home(), &room("a"), gone).await.unwrap();
    let invited = Member {
        membership: Membership::Invited,
        ..joined("carol")
    };
    store
        .put_member(&home(), &room("a"), invited.clone())
        .await
        .unwrap();
    assert_eq!(
        view(&store, "a").await.facts.members,
        [joined("alice"), invited]
    );
    let conversation = open(&store, group("a", ANNA, "alice")).await;
    assert_eq!(view(&store, "a").await.conversations, [conversation]);
    store.put_room(facts("a", &["dora"])).await.unwrap();
    assert_eq!(view(&store, "a").await.facts.members, [joined("dora")]);
}

pub(crate) async fn encryption_has_no_way_back(engine: &dyn Engine) {
    let store = engine.open();
    store.put_room(facts("a", &[])).await.unwrap();
    assert!(!view(&store, "a").await.facts.encrypted);
    store.set_encrypted(&home(), &room("a")).await.unwrap();
    store.put_room(facts("a", &[])).await.unwrap();
    assert!(view(&store, "a").await.facts.encrypted);
}

pub(crate) async fn the_room_with_the_bot_is_the_newest_that_only_the_two_share(
    engine: &dyn Engine,
) {
    let store = engine.open();
    let found = async |name: &str| {
        store
            .bot_room(&home(), &user("bot"), &user(name))
            .await
            .unwrap()
    };
    store
        .put_room(facts("old", &["bot", "alice"]))
        .await
        .unwrap();
    store
        .put_room(facts("new", &["bot", "alice"]))
        .await
        .unwrap();
    store
        .put_room(facts("group", &["bot", "alice", "bob"]))
        .await
        .unwrap();
    store
        .put_room(facts("other", &["alice", "carol"]))
        .await
        .unwrap();
    assert_eq!(found("alice").await, Some(room("new")));
    assert_eq!(found("bob").await, None);
    let gone = Member {
        membership: Membership::Gone,
        ..joined("alice")
    };
    store.put_member(&home(), &room("new"), gone).await.unwrap();
    assert_eq!(found("alice").await, Some(room("old")));
}

pub(crate) async fn a_ghost_is_ready_once_that_was_said(engine: &dyn Engine) {
    let store = engine.open();
    assert!(!store.ghost_is_ready(&user("ghost")).await.unwrap());
    store.set_ghost_ready(&user("ghost")).await.unwrap();
    store.set_ghost_ready(&user("ghost")).await.unwrap();
    assert!(store.ghost_is_ready(&user("ghost")).await.unwrap());
}

pub(crate) async fn a_room_that_ours_have_left_is_forgotten_when_nothing_goes_on_there(
    engine: &dyn Engine,
) {
    let store = engine.open();
    let ghost = format!(".tel.{ANNA}");
    store.set_ghost_ready(&user(&ghost)).await.unwrap();
    let gone = |name: &str| Member {
        membership: Membership::Gone,
        ..joined(name)
    };
    store
        .put_room(facts("a", &[&ghost, "alice"]))
        .await
        .unwrap();
    let conversation = open(&store, group("a", ANNA, "alice")).await;
    let leave = async |name: &str| {
        let (home, room) = (home(), room("a"));
        store.put_member(&home, &room, gone(name)).await.unwrap();
        store.room(&home, &room).await.unwrap().is_some()
    };
    let rooms = async || store.sizes().await.unwrap().rooms;
    assert!(leave("alice").await, "not one of ours");
    assert!(leave(&ghost).await, "its conversation has to be ended");
    store
        .end_conversation(conversation.id, Duration::ZERO, at(20))
        .await
        .unwrap();
    assert_eq!(rooms().await, 0);
    store.put_room(facts("a", &[&ghost])).await.unwrap();
    assert!(!leave(&ghost).await);
    assert_eq!(rooms().await, 0);
}

pub(crate) async fn every_room_is_in_a_page(engine: &dyn Engine) {
    let store = engine.open();
    let mut expected = Vec::new();
    for number in 0..7 {
        let known = facts(&format!("r{number}"), &["alice"]);
        store.put_room(known.clone()).await.unwrap();
        expected.push(known);
    }
    let mut all = Vec::new();
    let mut from = None;
    loop {
        let page = store.rooms(from, 3).await.unwrap();
        all.extend(page.rooms);
        from = page.next;
        if from.is_none() {
            break;
        }
    }
    all.sort_by(|one, other| one.room.cmp(&other.room));
    all.dedup();
    assert_eq!(all, expected);
}

pub(crate) async fn whoever_asks_for_a_room_knows_of_every_change(engine: &dyn Engine) {
    let store = with_credit(engine).await;
    // With a ghost in it, no room is forgotten when a conversation ends.
    let ghost = format!(".tel.{ANNA}");
    store.set_ghost_ready(&user(&ghost)).await.unwrap();
    for name in ["a", "b"] {
        let facts = facts(name, &["alice", &ghost]);
        store.put_room(facts).await.unwrap();
    }
    let known = view(&store, "a").await;
    assert_eq!(view(&store, "a").await, known);
    let first = open(&store, direct("a", ANNA, "alice")).await;
    assert_eq!(
        view(&store, "a").await.conversations,
        std::slice::from_ref(&first)
    );
    // Its first message gives it a number.
    queue(&store, message(&first, "one")).await;
    let numbered = view(&store, "a").await.conversations;
    assert!(numbered[0].originator.is_some());
    answer(&store, &claim(&store, 10).await[0], submitted("id"), 11).await;
    let phone = phone(ANNA);
    assert!(store.release_lease(number(VMN_1), &phone).await.unwrap());
    assert_eq!(
        view(&store, "a").await.conversations,
        std::slice::from_ref(&first)
    );
    // Another room takes it over.
    assert_eq!(view(&store, "b").await.conversations, []);
    let second = open(&store, direct("b", ANNA, "alice")).await;
    assert_eq!(view(&store, "a").await.conversations, []);
    assert_eq!(
        view(&store, "b").await.conversations,
        std::slice::from_ref(&second)
    );
    store
        .place_conversation(second.id, &room("a"))
        .await
        .unwrap();
    let moved = view(&store, "a").await.conversations;
    assert_eq!(moved[0].id, second.id);
    assert_eq!(view(&store, "b").await.conversations, []);
    let cooling_off = Duration::from_secs(1);
    let ended = store.end_conversation(second.id, cooling_off, at(12));
    ended.await.unwrap();
    assert_eq!(view(&store, "a").await.conversations, []);
    store
        .put_member(&home(), &room("a"), joined("bob"))
        .await
        .unwrap();
    assert_eq!(view(&store, "a").await.facts.members.len(), 3);
    store.set_encrypted(&home(), &room("a")).await.unwrap();
    assert!(view(&store, "a").await.facts.encrypted);
}
