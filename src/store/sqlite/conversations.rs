//! Conversations: found, made, taken over, resumed, ended.

use std::time::Duration;

use ruma::{RoomId, ServerName, UserId};
use rusqlite::{Connection, Row, params};

use super::rows::{Sql as _, text, text_or_none};
use super::{leases, life, outbox, rooms};
use crate::gateway::model::{Conversation, ConversationId, Handset, Originator, Timestamp};
use crate::store::{Lane, NewOutbox, OpenConversation, Opened, OutboxItem, Result, StoreError};

const SELECT: &str =
    "SELECT id, homeserver, room, handset, ghost, owner, direct, originator, active
    FROM conversation";

fn read(row: &Row<'_>) -> Result<Conversation> {
    Ok(Conversation {
        id: row.get("id")?,
        homeserver: text(row, "homeserver")?,
        handset: row.get("handset")?,
        ghost: text(row, "ghost")?,
        room: text_or_none(row, "room")?,
        owner: text(row, "owner")?,
        direct: row.get("direct")?,
        originator: row.get("originator")?,
        active: row.get("active")?,
    })
}

pub(super) fn get(tx: &Connection, id: ConversationId) -> Result<Option<Conversation>> {
    tx.one(&format!("{SELECT} WHERE id = ?1"), [id], read)
}

fn existing(tx: &Connection, id: ConversationId) -> Result<Conversation> {
    get(tx, id)?.ok_or_else(|| StoreError::Conflict("there is no such conversation".to_owned()))
}

/// The active ones of a room, oldest first.
pub(super) fn in_room(
    tx: &Connection,
    homeserver: &ServerName,
    room: &RoomId,
) -> Result<Vec<Conversation>> {
    tx.all(
        &format!("{SELECT} WHERE homeserver = ?1 AND room = ?2 AND active = 1 ORDER BY id"),
        params![homeserver.as_str(), room.as_str()],
        read,
    )
}

pub(super) fn open(tx: &Connection, request: &OpenConversation) -> Result<Opened> {
    let number = match &request.originator {
        Some(Originator::Vmn(vmn)) => {
            leases::of_pair(tx, vmn.0.as_str(), &request.handset, request.now)?
        }
        _ => None,
    };
    let Some(lease) = number else {
        return open_any(tx, request);
    };
    let holder = existing(tx, lease.conversation)?;
    if holder.owner != request.owner {
        // The number stays where it is: this conversation leases another one when it sends.
        let without = OpenConversation {
            originator: None,
            ..request.clone()
        };
        return open_any(tx, &without);
    }
    if !holder.active {
        return open_any(tx, request);
    }
    Ok(Opened {
        conversation: holder,
        replaced: None,
    })
}

fn open_any(tx: &Connection, request: &OpenConversation) -> Result<Opened> {
    if let Some(found) = active(tx, request)? {
        let conversation = with_originator(tx, found.id, request)?;
        return Ok(Opened {
            conversation,
            replaced: None,
        });
    }
    // The other one ends first: only one direct conversation of a pair is active at a time.
    let other = if request.direct {
        other_direct(tx, request)?
    } else {
        None
    };
    if let Some(other) = &other {
        end_lane(tx, other.id, request.now)?;
    }
    let id = match ended(tx, request)? {
        Some(ended) => resume(tx, &ended, request)?,
        None => make(tx, request)?,
    };
    match &other {
        Some(other) => {
            take_over(tx, other, id)?;
            say_moved(tx, other, request.now)?;
        }
        None if request.direct => take_over_former(tx, id, request)?,
        None => {}
    }
    let conversation = with_originator(tx, id, request)?;
    let replaced = other.map(|other| existing(tx, other.id)).transpose()?;
    Ok(Opened {
        conversation,
        replaced,
    })
}

/// The active conversation that the request means.
fn active(tx: &Connection, request: &OpenConversation) -> Result<Option<Conversation>> {
    let Some(room) = &request.room else {
        return if request.direct {
            other_direct(tx, request)
        } else {
            Ok(None)
        };
    };
    let here = tx.one(
        &format!("{SELECT} WHERE homeserver = ?1 AND room = ?2 AND handset = ?3 AND active = 1"),
        params![request.homeserver.as_str(), room.as_str(), request.handset],
        read,
    )?;
    if here.is_some() || !request.direct {
        return Ok(here);
    }
    // One that still waits for its room has found it.
    let homeless = other_direct(tx, request)?
        .filter(|other| other.room.is_none() && other.homeserver == request.homeserver);
    if let Some(homeless) = &homeless {
        place(tx, homeless.id, room)?;
    }
    Ok(homeless)
}

/// The active direct conversation of the request's owner and handset, wherever it is.
fn other_direct(tx: &Connection, request: &OpenConversation) -> Result<Option<Conversation>> {
    direct(tx, &request.owner, &request.handset)
}

/// The active direct conversation of an owner and a handset.
pub(super) fn direct(
    tx: &Connection,
    owner: &UserId,
    handset: &Handset,
) -> Result<Option<Conversation>> {
    tx.one(
        &format!("{SELECT} WHERE owner = ?1 AND handset = ?2 AND active = 1 AND direct = 1"),
        params![owner.as_str(), handset],
        read,
    )
}

/// The newest ended conversation of the request's room and handset.
fn ended(tx: &Connection, request: &OpenConversation) -> Result<Option<Conversation>> {
    let Some(room) = &request.room else {
        return Ok(None);
    };
    tx.one(
        &format!(
            "{SELECT} WHERE homeserver = ?1 AND room = ?2 AND handset = ?3 AND active = 0
             ORDER BY id DESC LIMIT 1"
        ),
        params![request.homeserver.as_str(), room.as_str(), request.handset],
        read,
    )
}

fn resume(
    tx: &Connection,
    ended: &Conversation,
    request: &OpenConversation,
) -> Result<ConversationId> {
    let originator = match &ended.originator {
        Some(Originator::Vmn(vmn)) if !leases::holds(tx, ended.id, vmn.0)? => None,
        kept => kept.clone(),
    };
    leases::warm(tx, ended.id)?;
    tx.run(
        "UPDATE conversation SET active = 1, ghost = ?2, owner = ?3, direct = ?4, originator = ?5
         WHERE id = ?1",
        params![
            ended.id,
            request.ghost.as_str(),
            request.owner.as_str(),
            request.direct,
            originator
        ],
    )?;
    Ok(ended.id)
}

fn make(tx: &Connection, request: &OpenConversation) -> Result<ConversationId> {
    tx.run(
        "INSERT INTO conversation (homeserver, room, handset, ghost, owner, direct, active)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, 1)",
        params![
            request.homeserver.as_str(),
            request.room.as_ref().map(|room| room.as_str()),
            request.handset,
            request.ghost.as_str(),
            request.owner.as_str(),
            request.direct
        ],
    )?;
    Ok(ConversationId(tx.last_insert_rowid()))
}

/// The handset goes on seeing the number that it knows.
fn take_over(tx: &Connection, from: &Conversation, to: ConversationId) -> Result<()> {
    leases::hand_over(tx, from.id, to)?;
    if let Some(originator) = &from.originator {
        set_originator(tx, to, originator)?;
    }
    Ok(())
}

/// A new direct conversation without a number gets the one that still cools off for the same two
/// people, if there is one: nobody else may have it, and the handset knows it.
fn take_over_former(tx: &Connection, id: ConversationId, request: &OpenConversation) -> Result<()> {
    if existing(tx, id)?.originator.is_some() {
        return Ok(());
    }
    let former = tx.one(
        &format!(
            "{SELECT} WHERE owner = ?1 AND handset = ?2 AND active = 0 AND direct = 1
             AND EXISTS (SELECT 1 FROM lease WHERE lease.conversation = conversation.id
                 AND 'v:' || lease.vmn = conversation.originator AND lease.cooling_until > ?3)
             ORDER BY id DESC LIMIT 1"
        ),
        params![request.owner.as_str(), request.handset, request.now],
        read,
    )?;
    match former {
        Some(former) => take_over(tx, &former, id),
        None => Ok(()),
    }
}

/// Queues the farewell of the room that a direct conversation has left behind.
fn say_moved(tx: &Connection, from: &Conversation, now: Timestamp) -> Result<()> {
    let farewell = NewOutbox {
        key: format!("moved|{}|{}", from.id, now.0),
        lane: Lane::Conversation(from.id),
        item: OutboxItem::Moved {
            conversation: from.id,
        },
    };
    outbox::enqueue(tx, &[farewell], now)
}

/// The conversation, with the number that the request insists on.
fn with_originator(
    tx: &Connection,
    id: ConversationId,
    request: &OpenConversation,
) -> Result<Conversation> {
    let conversation = existing(tx, id)?;
    let Some(wanted) = &request.originator else {
        return Ok(conversation);
    };
    if conversation.originator.as_ref() == Some(wanted) {
        return Ok(conversation);
    }
    if let Originator::Vmn(vmn) = wanted {
        leases::tie(tx, vmn.0, &conversation, request.now)?;
    }
    set_originator(tx, id, wanted)?;
    existing(tx, id)
}

/// What the handset sees as sender from now on.
pub(super) fn set_originator(
    tx: &Connection,
    id: ConversationId,
    originator: &Originator,
) -> Result<()> {
    tx.run(
        "UPDATE conversation SET originator = ?2 WHERE id = ?1",
        params![id, originator],
    )?;
    Ok(())
}

pub(super) fn end(
    tx: &Connection,
    id: ConversationId,
    cooling_off: Duration,
    now: Timestamp,
) -> Result<()> {
    let conversation = existing(tx, id)?;
    if conversation.active {
        end_lane(tx, id, now)?;
        leases::cool(tx, id, now.after(cooling_off))?;
        if let Some(room) = &conversation.room {
            rooms::forget_ended(tx, &conversation.homeserver, room)?;
        }
    }
    Ok(())
}

fn end_lane(tx: &Connection, id: ConversationId, now: Timestamp) -> Result<()> {
    tx.run("UPDATE conversation SET active = 0 WHERE id = ?1", [id])?;
    life::cancel_lane(tx, id, now)
}

pub(super) fn place(tx: &Connection, id: ConversationId, room: &RoomId) -> Result<()> {
    existing(tx, id)?;
    tx.run(
        "UPDATE conversation SET room = ?2 WHERE id = ?1",
        params![id, room.as_str()],
    )?;
    Ok(())
}
