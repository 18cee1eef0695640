//! Edits and redactions, before and after the bytes have left.

use std::time::Duration;

use super::world::*;

async fn talking() -> (World, ruma::OwnedRoomId) {
    let mut world = World::new();
    world.top_up(ALICE, "1").await;
    world.top_up(BOB, "1").await;
    let room = world.direct_room(PHONE).await;
    (world, room)
}

#[tokio::test]
async fn an_edit_in_time_is_what_the_phone_gets() {
    let (mut world, room) = talking().await;
    let first = world.says(&room, ALICE, "helo");
    world.run().await;
    world.edits(&room, ALICE, &first, "hello");
    world.run().await;
    world.deliver().await;
    assert_eq!(world.read(PHONE), ["hello"]);
    assert_eq!(world.balance(ALICE).await, "0.95");
}

#[tokio::test]
async fn an_edit_after_sending_is_told_and_not_sent() {
    let (mut world, room) = talking().await;
    let first = world.says(&room, ALICE, "helo");
    world.run().await;
    world.deliver().await;
    world.edits(&room, ALICE, &first, "hello");
    world.run().await;
    world.deliver().await;
    assert_eq!(world.read(PHONE), ["helo"]);
    let words = world.only_words(&room, &ghost(PHONE));
    assert!(
        words.contains("edit was not sent") && words.contains("+44"),
        "{words}"
    );
}

#[tokio::test]
async fn of_several_edits_in_time_only_the_last_is_sent() {
    let (mut world, room) = talking().await;
    let first = world.says(&room, ALICE, "h");
    world.run().await;
    for edit in ["he", "hel", "hello"] {
        world.edits(&room, ALICE, &first, edit);
        world.run().await;
    }
    world.deliver().await;
    assert_eq!(world.read(PHONE), ["hello"]);
    assert_eq!(world.balance(ALICE).await, "0.95");
}

#[tokio::test]
async fn an_edit_after_an_earlier_edit_was_sent_is_told() {
    let (mut world, room) = talking().await;
    let first = world.says(&room, ALICE, "h");
    world.run().await;
    world.edits(&room, ALICE, &first, "he");
    world.run().await;
    world.deliver().await;
    world.edits(&room, ALICE, &first, "hello");
    world.run().await;
    world.deliver().await;
    assert_eq!(world.read(PHONE), ["he"]);
    assert!(
        world
            .only_words(&room, &ghost(PHONE))
            .contains("edit was not sent")
    );
}

#[tokio::test]
async fn a_redaction_takes_the_edit_back_too() {
    let (mut world, room) = talking().await;
    let first = world.says(&room, ALICE, "h");
    world.run().await;
    world.edits(&room, ALICE, &first, "hello");
    world.run().await;
    world.redacts(&room, ALICE, &first);
    world.run().await;
    world.deliver().await;
    assert_eq!(world.phone(PHONE), []);
    assert_eq!(world.balance(ALICE).await, "1");
    assert!(world.only_words(&room, &ghost(PHONE)).contains("Cancelled"));
}

#[tokio::test]
async fn nobody_edits_what_somebody_else_says() {
    let (mut world, room) = talking().await;
    world.join(&room, BOB);
    let first = world.says(&room, ALICE, "hello");
    world.run().await;
    world.edits(&room, BOB, &first, "goodbye");
    world.run().await;
    world.deliver().await;
    assert_eq!(world.read(PHONE), ["alice: hello"]);
    assert_eq!(world.balance(BOB).await, "1");
}

#[tokio::test]
async fn an_edit_of_what_was_never_sent_is_told() {
    let (mut world, room) = talking().await;
    let first = world.says(&room, ALICE, &"x".repeat(6_000));
    world.run().await;
    world.edits(&room, ALICE, &first, "shorter");
    world.run().await;
    let words = world.words(&room, &ghost(PHONE));
    assert_eq!(words.len(), 2, "{words:?}");
    assert!(words[1].contains("new message"), "{words:?}");
}

#[tokio::test]
async fn an_edit_that_is_too_long_is_refused_with_the_count() {
    let (mut world, room) = talking().await;
    let first = world.says(&room, ALICE, "short");
    world.run().await;
    world.edits(&room, ALICE, &first, &"x".repeat(6_000));
    world.run().await;
    world.deliver().await;
    assert_eq!(world.phone(PHONE), []);
    assert!(
        world
            .only_words(&room, &ghost(PHONE))
            .contains("40 text messages")
    );
    assert_eq!(world.balance(ALICE).await, "1");
}

#[tokio::test]
async fn an_edit_that_reaches_one_phone_and_not_the_other_says_both() {
    let mut world = World::new();
    world.top_up(ALICE, "1").await;
    let room = world.group_room(&[PHONE, GERMAN]).await;
    world.says(&room, ALICE, "before");
    let first = world.says(&room, ALICE, "helo");
    world.run().await;
    // One phone's lane waits for its first message; the other phone has both.
    let later = world.clock.now().after(Duration::from_hours(1));
    world
        .answer_by_phone(|phone| (phone == GERMAN).then_some(later))
        .await;
    world.edits(&room, ALICE, &first, &"x".repeat(6_000));
    world.run().await;
    let words = world.only_words(&room, &ghost(GERMAN));
    assert!(
        words.contains("40 text messages") && words.contains("edit was not sent"),
        "{words}"
    );
}

#[tokio::test]
async fn a_redaction_in_time_cancels_and_refunds() {
    let (mut world, room) = talking().await;
    let first = world.says(&room, ALICE, "secret");
    world.run().await;
    assert_eq!(world.balance(ALICE).await, "0.95");
    world.redacts(&room, ALICE, &first);
    world.run().await;
    world.deliver().await;
    assert_eq!(world.phone(PHONE), []);
    assert_eq!(world.balance(ALICE).await, "1");
    assert!(world.only_words(&room, &ghost(PHONE)).contains("Cancelled"));
}

#[tokio::test]
async fn a_redaction_after_sending_says_that_it_is_too_late() {
    let (mut world, room) = talking().await;
    let first = world.says(&room, ALICE, "secret");
    world.run().await;
    world.deliver().await;
    world.redacts(&room, ALICE, &first);
    world.run().await;
    let words = world.only_words(&room, &ghost(PHONE));
    assert!(
        words.contains("already been sent to +44 7700 900123"),
        "{words}"
    );
}

#[tokio::test]
async fn a_redaction_of_anything_else_is_silent() {
    let (mut world, room) = talking().await;
    let notice = world.sends(
        &room,
        ALICE,
        serde_json::json!({ "msgtype": "m.notice", "body": "x" }),
    );
    world.redacts(&room, ALICE, &notice);
    world.run().await;
    assert_eq!(world.words(&room, &ghost(PHONE)).len(), 0);
}
