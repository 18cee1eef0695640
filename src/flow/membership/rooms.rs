//! In and out of rooms.

use ruma::{OwnedRoomId, UserId};
use serde_json::Value;
use tracing::{debug, warn};

use crate::flow::{Connected, Gateway, Trouble, inbox};
use crate::gateway::content;
use crate::matrix::homeserver::ErrorKind;
use crate::store::{InboxEvent, RoomFacts};

/// Says something as a ghost and leaves with the same words as reason. Not being in the room any
/// more is fine.
pub(super) async fn say_and_leave(
    gateway: &Gateway,
    home: &Connected,
    room: &OwnedRoomId,
    ghost: &UserId,
    words: &str,
    item: &InboxEvent,
) -> Result<(), Trouble> {
    let txn = format!(
        "{}-leave-{}-{}",
        gateway.store.instance(),
        item.seq,
        ghost.localpart()
    );
    let body: Value = content::notice(words, None);
    let said = home
        .api
        .send(ghost, room, "m.room.message", &txn, &body)
        .await;
    if let Err(error) = said
        && matches!(error.kind(), ErrorKind::Retry { .. })
    {
        return Err(error.into());
    }
    leave(home, ghost, room, words).await
}

/// Leaves. Not being in the room any more is fine.
pub(in crate::flow) async fn leave(
    home: &Connected,
    ghost: &UserId,
    room: &OwnedRoomId,
    reason: &str,
) -> Result<(), Trouble> {
    match home.api.leave(ghost, room, Some(reason)).await {
        Ok(()) => Ok(()),
        Err(error) if matches!(error.kind(), ErrorKind::Retry { .. }) => Err(error.into()),
        Err(error) => {
            debug!(%error, "was not in the room any more");
            Ok(())
        }
    }
}

/// Joins as one of ours, whose display name is `name`. False where the room does not let them in
/// (any more). A homeserver that was restored from a backup may have lost the user, and says no
/// more of it than that it is forbidden: so the user is made again once.
pub(in crate::flow) async fn join(
    gateway: &Gateway,
    home: &Connected,
    (user, name): (&UserId, &str),
    room: &OwnedRoomId,
) -> Result<bool, Trouble> {
    if enter(home, user, room).await? {
        return Ok(true);
    }
    gateway.ghosts.renew(&*home.api, user, name).await?;
    enter(home, user, room).await
}

async fn enter(home: &Connected, user: &UserId, room: &OwnedRoomId) -> Result<bool, Trouble> {
    match home.api.join(user, room).await {
        Ok(()) => Ok(true),
        Err(error) if matches!(error.kind(), ErrorKind::Forbidden | ErrorKind::NotFound) => {
            debug!(%error, "this room does not let us in");
            Ok(false)
        }
        Err(error) => Err(error.into()),
    }
}

/// One of ours is in a room that nothing is known of: one that the gateway has just made.
pub(super) async fn discover(
    gateway: &Gateway,
    home: &Connected,
    item: &InboxEvent,
    user: &UserId,
) -> Result<(), Trouble> {
    if gateway
        .store
        .room(&item.homeserver, &item.room)
        .await?
        .is_some()
    {
        return Ok(());
    }
    match learn_room(gateway, home, item, user).await {
        // It has left again; whatever it was there for is over.
        Err(Trouble::Never(_)) => Ok(()),
        learnt => learnt.map(drop),
    }
}

/// Reads the whole state of a room that one of ours has joined. Gives, beside what the store keeps
/// of it, the room that it says it continues.
pub(in crate::flow) async fn learn_room(
    gateway: &Gateway,
    home: &Connected,
    item: &InboxEvent,
    user: &UserId,
) -> Result<(RoomFacts, Option<OwnedRoomId>), Trouble> {
    let state = home.api.room_state(user, &item.room).await?;
    let facts = RoomFacts {
        homeserver: item.homeserver.clone(),
        room: item.room.clone(),
        encrypted: state.encrypted,
        members: state.members,
    };
    gateway.store.put_room(facts.clone()).await?;
    Ok((facts, state.predecessor))
}

/// Handles what was said between an invitation and the join, of which the homeserver tells
/// nothing. Whatever comes again in a transaction is known by its event id.
pub(super) async fn catch_up(
    gateway: &Gateway,
    home: &Connected,
    invitation: &InboxEvent,
    user: &UserId,
) -> Result<(), Trouble> {
    let since = home
        .api
        .events_since(user, &invitation.room, &invitation.event_id)
        .await?;
    for event in since {
        let missed = InboxEvent {
            event_id: event.event_id,
            json: event.json,
            ..invitation.clone()
        };
        match inbox::handle_said(gateway, &missed).await {
            Err(Trouble::Never(why)) => warn!(why, "an event from before a join is left out"),
            handled => handled?,
        }
    }
    Ok(())
}
