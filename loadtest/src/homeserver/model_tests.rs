use super::*;
use crate::load::clock;

const ALICE: &str = "@alice:example.org";
const GHOST: &str = "@.tel.447700900123:example.org";

fn now() -> Now {
    Now {
        instant: clock::now(),
        unix_ms: 1,
    }
}

fn model() -> (Model, String) {
    let mut model = Model::new("example.org", "@sms:example.org", ".tel.", 7);
    let room = model.create_room(now(), ALICE);
    (model, room)
}

fn hello<'a>(room: &'a str, sender: &'a str) -> Saying<'a> {
    Saying {
        room,
        sender,
        event_type: "m.room.message",
        state_key: None,
        content: json!({ "body": "hello" }).into(),
    }
}

#[test]
fn a_ghost_must_be_registered_invited_and_joined_before_it_speaks() {
    let (mut model, room) = model();
    assert_eq!(model.register("alice"), Err(EXCLUSIVE));
    assert_eq!(model.register(".tel.447700900123").as_deref(), Ok(GHOST));
    assert_eq!(model.register(".tel.447700900123"), Err(IN_USE));
    assert_eq!(model.join(now(), &room, GHOST), Err(FORBIDDEN));
    model.invite(now(), &room, (ALICE, GHOST), true).unwrap();
    assert_eq!(model.send(now(), hello(&room, GHOST), "t1"), Err(FORBIDDEN));
    model.join(now(), &room, GHOST).unwrap();
    assert!(model.send(now(), hello(&room, GHOST), "t1").is_ok());
    assert_eq!(model.joined_rooms(GHOST), [&room]);
}

#[test]
fn a_repeated_send_is_the_same_event_and_counts_once() {
    let (mut model, room) = model();
    let first = model.send(now(), hello(&room, ALICE), "t1").unwrap();
    assert_eq!(model.send(now(), hello(&room, ALICE), "t1").unwrap(), first);
    assert_ne!(model.send(now(), hello(&room, ALICE), "t2").unwrap(), first);
    assert_eq!(model.sent()["m.room.message"], 2);
    assert_eq!(model.sends(1, 10).len(), 1);
}

#[test]
fn what_is_owed_stays_until_it_was_told_in_order() {
    let (mut model, room) = model();
    let before = model.waiting();
    model.told(before);
    for number in 0..3 {
        model.say(now(), &room, ALICE, json!({ "body": number }));
    }
    let bodies = |model: &Model| {
        let owed = model.owed(2);
        owed.iter()
            .map(|one| serde_json::to_value(&*one.event).unwrap()["content"]["body"].clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(bodies(&model), [json!(0), json!(1)]);
    assert_eq!(bodies(&model), [json!(0), json!(1)]);
    model.told(2);
    assert_eq!(bodies(&model), [json!(2)]);
}
