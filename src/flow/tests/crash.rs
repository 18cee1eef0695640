//! Each flow again and again, with something going wrong at its first call, its second, and so on:
//! whatever it is, people, phones and accounts see what they would have seen without it.

use std::future::Future;
use std::pin::Pin;

use matrix_smpp_codec::values::MessageState as WireState;

use super::cut::{Cut, How};
use super::world::*;
use crate::store::Outcome;

type Flow = for<'a> fn(&'a mut World) -> Pin<Box<dyn Future<Output = ()> + 'a>>;

/// Runs the flow undisturbed, and then with each of its calls cut that [`World::cut_from_here`] counts.
async fn bears(how: How, flow: Flow) {
    let mut calm = World::new();
    flow(&mut calm).await;
    let expected = calm.digest().await;
    for call in 1.. {
        let mut world = World::with_cut(Cut::at(call, how));
        flow(&mut world).await;
        assert_eq!(world.digest().await, expected, "{how:?} at call {call}");
        if !world.is_cut() {
            return;
        }
    }
}

macro_rules! flows {
    ($($(#[$doc:meta])* $name:ident => |$world:ident| $flow:block)*) => {$(
        $(#[$doc])*
        mod $name {
            use super::*;

            fn flow<'a>($world: &'a mut World) -> Pin<Box<dyn Future<Output = ()> + 'a>> {
                Box::pin(async move $flow)
            }

            #[tokio::test]
            async fn bears_the_death_of_the_process() {
                bears(How::Die, flow).await;
            }

            #[tokio::test]
            async fn bears_refusals() {
                bears(How::Refuse, flow).await;
            }

            #[tokio::test]
            async fn bears_lost_answers() {
                bears(How::LoseAnswer, flow).await;
            }
        }
    )*};
}

flows! {
    an_invitation => |world| {
        world.cut_from_here();
        world.direct_room(PHONE).await;
    }

    a_declined_invitation => |world| {
        world.cut_from_here();
        let room = world.room(ALICE);
        world.invite(&room, ALICE, &user("@.tel.+447700900123:example.org"), true);
        world.run().await;
    }

    an_encrypted_room => |world| {
        let room = world.group_room(&[PHONE, GERMAN]).await;
        world.cut_from_here();
        let content = serde_json::json!({});
        world.home.set_state(&room, &user(ALICE), "m.room.encryption", "", content);
        world.run().await;
    }

    a_text_to_two_phones_and_its_receipts => |world| {
        world.top_up(ALICE, "1").await;
        let room = world.group_room(&[PHONE, GERMAN]).await;
        world.cut_from_here();
        world.says(&room, ALICE, "hello");
        world.run().await;
        world.deliver().await;
        world.run().await;
        world.receipts(WireState::DELIVERED).await;
        world.run().await;
    }

    a_text_that_fails => |world| {
        world.top_up(ALICE, "1").await;
        let room = world.direct_room(PHONE).await;
        world.cut_from_here();
        world.says(&room, ALICE, "hello");
        world.run().await;
        world.answer(|_| Outcome::Rejected { status: 0x0b }).await;
        world.run().await;
    }

    a_text_without_credit => |world| {
        let room = world.group_room(&[PHONE, GERMAN]).await;
        world.cut_from_here();
        world.says(&room, ALICE, "hello");
        world.run().await;
    }

    a_relay => |world| {
        world.top_up(ALICE, "1").await;
        let room = world.group_room(&[PHONE, GERMAN]).await;
        world.says(&room, ALICE, "hello");
        world.run().await;
        world.deliver().await;
        world.cut_from_here();
        world.texts(PHONE, DEDICATED, "hi all").await;
        world.run().await;
        world.deliver().await;
        world.run().await;
    }

    edits_and_a_redaction => |world| {
        world.top_up(ALICE, "1").await;
        let room = world.group_room(&[PHONE, GERMAN]).await;
        world.cut_from_here();
        let first = world.says(&room, ALICE, "helo");
        world.run().await;
        world.edits(&room, ALICE, &first, "hello");
        world.run().await;
        world.edits(&room, ALICE, &first, "hello!");
        world.run().await;
        let second = world.says(&room, ALICE, "taken back");
        world.run().await;
        world.redacts(&room, ALICE, &second);
        world.run().await;
        world.deliver().await;
        world.edits(&room, ALICE, &first, "too late");
        world.redacts(&room, ALICE, &first);
        world.run().await;
    }

    first_contact => |world| {
        world.cut_from_here();
        world.texts(PHONE, DEDICATED, "hello").await;
        world.texts(PHONE, DEDICATED, "are you there?").await;
        world.run().await;
    }

    an_owner_who_left => |world| {
        world.texts(PHONE, DEDICATED, "hello").await;
        world.run().await;
        let room = world.home.rooms().remove(0);
        world.cut_from_here();
        world.member(&room, ALICE, &user(ALICE), "leave");
        world.run().await;
        world.texts(PHONE, DEDICATED, "come back").await;
        world.run().await;
    }

    a_kick_and_a_late_text => |world| {
        world.top_up(ALICE, "1").await;
        let room = world.direct_room(PHONE).await;
        world.says(&room, ALICE, "hello");
        world.run().await;
        world.deliver().await;
        world.says(&room, ALICE, "never sent");
        world.run().await;
        world.cut_from_here();
        world.member(&room, ALICE, &ghost(PHONE), "leave");
        world.run().await;
        world.texts(PHONE, DEDICATED, "too late").await;
        world.run().await;
    }

    a_newer_room => |world| {
        world.top_up(ALICE, "1").await;
        let old = world.direct_room(PHONE).await;
        world.says(&old, ALICE, "one");
        world.run().await;
        world.cut_from_here();
        world.direct_room(PHONE).await;
    }

    the_text_command => |world| {
        // Enough for once.
        world.top_up(ALICE, "0.05").await;
        let room = world.room(ALICE);
        world.invite(&room, ALICE, &user(BOT), true);
        world.run().await;
        world.cut_from_here();
        world.says(&room, ALICE, "text +447700900123 hello");
        world.run().await;
        world.deliver().await;
    }
}
