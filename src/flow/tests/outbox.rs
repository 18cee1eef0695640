//! The worker that tells homeservers what they must hear, at work.

use std::time::Duration;

use matrix_smpp_codec::values::MessageState as WireState;
use ruma::{OwnedRoomId, RoomId};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::super::outbox;
use super::world::*;
use crate::matrix::fake::Op;
use crate::store::{Lane, NewOutbox, OutboxItem};

/// Longer than any of these tests takes.
const PATIENCE: Duration = Duration::from_mins(1);

/// A room of the bot's own with Alice.
fn bots_room(world: &World) -> OwnedRoomId {
    let bot = user(BOT);
    let room = world.home.add_room(&user(ALICE));
    world.home.set_member(&room, &bot, &bot, "join");
    room
}

/// Has the bot say these words in a room, in this order.
async fn tell(world: &World, room: &RoomId, words: impl Iterator<Item = String>) {
    let entries = words.map(|text| NewOutbox {
        key: format!("{room}:{text}"),
        lane: Lane::Room(user(BOT).server_name().to_owned(), room.to_owned()),
        item: OutboxItem::Notice {
            homeserver: user(BOT).server_name().to_owned(),
            room: room.to_owned(),
            sender: user(BOT),
            text,
            reply_to: None,
            to: None,
        },
    });
    let now = world.clock.now();
    world.store.enqueue(entries.collect(), now).await.unwrap();
}

/// The worker works until nothing waits.
async fn work(world: &World) {
    let stop = CancellationToken::new();
    let at_rest = async {
        while world.store.sizes().await.unwrap().outbox > 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        () = outbox::run(world.gateway.clone(), stop.clone()) => panic!("nobody stopped it"),
        ended = timeout(PATIENCE, at_rest) => ended.expect("the outbox comes to an end"),
    }
}

fn numbered(count: usize) -> impl Iterator<Item = String> {
    (1..=count).map(|number| number.to_string())
}

#[tokio::test]
async fn rooms_with_more_to_hear_than_is_read_at_once_hear_all_of_it_in_order() {
    let world = World::new();
    let rooms: Vec<_> = (0..40).map(|_| bots_room(&world)).collect();
    for room in &rooms {
        tell(&world, room, numbered(70)).await;
    }
    work(&world).await;
    let all: Vec<_> = numbered(70).collect();
    for room in &rooms {
        assert_eq!(world.words(room, &user(BOT)), all);
    }
    assert_eq!(world.home.count(Op::Send), 40 * 70);
}

#[tokio::test]
async fn what_makes_the_gateway_panic_is_set_aside_alone() {
    let world = World::new();
    let room = bots_room(&world);
    tell(&world, &room, numbered(3)).await;
    world.home.panic_at_next(Op::Send);
    work(&world).await;
    assert_eq!(world.words(&room, &user(BOT)), ["2", "3"]);
    let aside = world.store.aside(10).await.unwrap();
    assert_eq!(aside.len(), 1);
    assert!(aside[0].reason.contains("panic"), "{:?}", aside[0]);
}

#[tokio::test]
async fn what_a_later_word_makes_outdated_is_not_said() {
    let mut world = World::new();
    world.top_up(ALICE, "1").await;
    let room = world.direct_room(PHONE).await;
    world.says(&room, ALICE, "hello");
    world.run().await;
    world.deliver().await;
    world.receipts(WireState::DELIVERED).await;
    world.run().await;
    let status = world.events(&room, "com.beeper.message_send_status");
    let [status] = &status[..] else {
        panic!("{status:?}")
    };
    assert_eq!(
        status.content["delivered_to_users"][0],
        ghost(PHONE).as_str()
    );
    assert_eq!(world.events(&room, "m.reaction").len(), 1);
}
