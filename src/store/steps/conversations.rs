//! Conversations: found, made, taken over, resumed, ended.
//!
//! A conversation stands in its own row, in that of its room (where it has one) and, as long as it
//! is active and direct, in that of its owner and handset: [`save`] keeps the three true.

use std::sync::Arc;
use std::time::Duration;

use ruma::{RoomId, UserId};

use super::{leases, life, outbox, rooms};
use crate::gateway::model::{Conversation, ConversationId, Handset, Originator, Timestamp};
use crate::store::tables::{
    ConversationRow, Conversations, Directs, Leases, PortalRow, Portals, number, pair_key, room_key,
};
use crate::store::tx::{Sequence, Tx};
use crate::store::{Lane, NewOutbox, OpenConversation, Opened, OutboxItem, Result, StoreError};

pub(in crate::store) fn get(tx: &mut Tx<'_>, id: ConversationId) -> Result<Option<Conversation>> {
    Ok(find(tx, id)?.map(|found| found.0.clone()))
}

/// A conversation as it stands in its row.
pub(in crate::store) fn find(
    tx: &mut Tx<'_>,
    id: ConversationId,
) -> Result<Option<Arc<ConversationRow>>> {
    tx.get::<Conversations>(&number(id.0))
}

fn existing(tx: &mut Tx<'_>, id: ConversationId) -> Result<Arc<ConversationRow>> {
    find(tx, id)?.ok_or_else(|| StoreError::Conflict("there is no such conversation".to_owned()))
}

/// The active ones of a room, by its key, oldest first.
pub(in crate::store) fn in_room(tx: &mut Tx<'_>, room: &str) -> Result<Vec<Conversation>> {
    let Some(portals) = tx.get::<Portals>(room)? else {
        return Ok(Vec::new());
    };
    // All are asked for before the first that is not at hand ends this run.
    let active = portals.iter().filter(|portal| portal.active);
    let found: Vec<_> = active.map(|portal| find(tx, portal.id)).collect();
    let found = found.into_iter().filter_map(Result::transpose);
    found.map(|row| Ok(row?.0.clone())).collect()
}

pub(in crate::store) fn open(tx: &mut Tx<'_>, request: &OpenConversation) -> Result<Opened> {
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
        conversation: holder.0.clone(),
        replaced: None,
    })
}

fn open_any(tx: &mut Tx<'_>, request: &OpenConversation) -> Result<Opened> {
    if let Some(found) = active(tx, request)? {
        let conversation = with_originator(tx, found, request)?;
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
        end_lane(tx, other, request.now)?;
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
        replaced: replaced.map(|other| other.0.clone()),
    })
}

/// The active conversation that the request means.
fn active(tx: &mut Tx<'_>, request: &OpenConversation) -> Result<Option<ConversationId>> {
    let Some(room) = &request.room else {
        return if request.direct {
            Ok(other_direct(tx, request)?.map(|other| other.id))
        } else {
            Ok(None)
        };
    };
    let here = newest_here(tx, request, true)?;
    if here.is_some() || !request.direct {
        return Ok(here);
    }
    // One that still waits for its room has found it.
    let homeless = other_direct(tx, request)?
        .filter(|other| other.room.is_none() && other.homeserver == request.homeserver);
    if let Some(homeless) = &homeless {
        place(tx, homeless.id, room)?;
    }
    Ok(homeless.map(|homeless| homeless.id))
}

/// The newest conversation of the request's room and handset, of those that are `active` or not.
fn newest_here(
    tx: &mut Tx<'_>,
    request: &OpenConversation,
    active: bool,
) -> Result<Option<ConversationId>> {
    let Some(room) = &request.room else {
        return Ok(None);
    };
    let portals = tx.get::<Portals>(&room_key(&request.homeserver, room))?;
    let is_it = |portal: &&PortalRow| portal.active == active && portal.handset == request.handset;
    Ok(portals.and_then(|portals| Some(portals.iter().rev().find(is_it)?.id)))
}

/// The active direct conversation of the request's owner and handset, wherever it is.
fn other_direct(
    tx: &mut Tx<'_>,
    request: &OpenConversation,
) -> Result<Option<Arc<ConversationRow>>> {
    find_direct(tx, &request.owner, &request.handset)
}

/// The active direct conversation of an owner and a handset.
pub(in crate::store) fn direct(
    tx: &mut Tx<'_>,
    owner: &UserId,
    handset: &Handset,
) -> Result<Option<Conversation>> {
    Ok(find_direct(tx, owner, handset)?.map(|found| found.0.clone()))
}

fn find_direct(
    tx: &mut Tx<'_>,
    owner: &UserId,
    handset: &Handset,
) -> Result<Option<Arc<ConversationRow>>> {
    match tx.get::<Directs>(&pair_key(owner, handset))? {
        Some(id) => find(tx, *id),
        None => Ok(None),
    }
}

/// The newest ended conversation of the request's room and handset.
fn ended(tx: &mut Tx<'_>, request: &OpenConversation) -> Result<Option<Arc<ConversationRow>>> {
    match newest_here(tx, request, false)? {
        Some(id) => find(tx, id),
        None => Ok(None),
    }
}

fn resume(
    tx: &mut Tx<'_>,
    ended: &ConversationRow,
    request: &OpenConversation,
) -> Result<ConversationId> {
    let originator = match &ended.originator {
        Some(Originator::Vmn(vmn)) if !leases::holds(tx, ended, vmn.0)? => None,
        kept => kept.clone(),
    };
    leases::warm(tx, ended)?;
    let resumed = Conversation {
        active: true,
        ghost: request.ghost.clone(),
        owner: request.owner.clone(),
        direct: request.direct,
        originator,
        ..ended.0.clone()
    };
    save(tx, Some(ended), resumed)?;
    Ok(ended.id)
}

fn make(tx: &mut Tx<'_>, request: &OpenConversation) -> Result<ConversationId> {
    let id = ConversationId(tx.next(Sequence::Conversation)?);
    let made = Conversation {
        id,
        homeserver: request.homeserver.clone(),
        handset: request.handset.clone(),
        ghost: request.ghost.clone(),
        room: request.room.clone(),
        owner: request.owner.clone(),
        direct: request.direct,
        originator: None,
        active: true,
    };
    save(tx, None, made)?;
    Ok(id)
}

/// The handset goes on seeing the number that it knows.
fn take_over(tx: &mut Tx<'_>, from: &Conversation, to: ConversationId) -> Result<()> {
    leases::hand_over(tx, from, to)?;
    if let Some(originator) = &from.originator {
        set_originator(tx, to, originator)?;
    }
    Ok(())
}

/// A new direct conversation without a number gets the one that still cools off for the same two
/// people, if there is one: nobody else may have it, and the handset knows it.
fn take_over_former(tx: &mut Tx<'_>, id: ConversationId, request: &OpenConversation) -> Result<()> {
    if existing(tx, id)?.originator.is_some() {
        return Ok(());
    }
    match former(tx, request)? {
        Some(former) => take_over(tx, &former, id),
        None => Ok(()),
    }
}

/// The newest ended direct conversation of the request's owner and handset whose number still cools
/// off.
fn former(tx: &mut Tx<'_>, request: &OpenConversation) -> Result<Option<Arc<ConversationRow>>> {
    let Some(leases) = tx.get::<Leases>(&request.handset.key())? else {
        return Ok(None);
    };
    let mut newest: Option<Arc<ConversationRow>> = None;
    for lease in leases.iter() {
        if lease.cooling_until.is_none_or(|until| until <= request.now) {
            continue;
        }
        let number = Originator::Vmn(lease.vmn);
        let found = find(tx, lease.conversation)?.filter(|holder| {
            let is_former = holder.direct && !holder.active && holder.owner == request.owner;
            is_former && holder.originator.as_ref() == Some(&number)
        });
        newest = newest.into_iter().chain(found).max_by_key(|one| one.id);
    }
    Ok(newest)
}

/// Queues the farewell of the room that a direct conversation has left behind.
fn say_moved(tx: &mut Tx<'_>, from: &Conversation, now: Timestamp) -> Result<()> {
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
    tx: &mut Tx<'_>,
    id: ConversationId,
    request: &OpenConversation,
) -> Result<Conversation> {
    let conversation = existing(tx, id)?;
    let Some(wanted) = &request.originator else {
        return Ok(conversation.0.clone());
    };
    if conversation.originator.as_ref() == Some(wanted) {
        return Ok(conversation.0.clone());
    }
    if let Originator::Vmn(vmn) = wanted {
        leases::tie(tx, vmn.0, &conversation, request.now)?;
    }
    set_originator(tx, id, wanted)?;
    Ok(existing(tx, id)?.0.clone())
}

/// What the handset sees as sender from now on.
pub(in crate::store) fn set_originator(
    tx: &mut Tx<'_>,
    id: ConversationId,
    originator: &Originator,
) -> Result<()> {
    tx.update::<Conversations>(&number(id.0), |row| {
        row.0.originator = Some(originator.clone());
    })
    .map(drop)
}

/// The handset will see another sender than `originator`, if it would see that now.
pub(in crate::store) fn forget_originator(
    tx: &mut Tx<'_>,
    id: ConversationId,
    originator: &Originator,
) -> Result<()> {
    if find(tx, id)?.is_some_and(|found| found.originator.as_ref() == Some(originator)) {
        tx.update::<Conversations>(&number(id.0), |row| row.0.originator = None)?;
    }
    Ok(())
}

pub(in crate::store) fn end(
    tx: &mut Tx<'_>,
    id: ConversationId,
    cooling_off: Duration,
    now: Timestamp,
) -> Result<()> {
    let conversation = existing(tx, id)?;
    if conversation.active {
        end_lane(tx, &conversation, now)?;
        leases::cool(tx, &conversation, now.after(cooling_off))?;
        if let Some(room) = &conversation.room {
            rooms::forget_ended(tx, &conversation.homeserver, room)?;
        }
    }
    Ok(())
}

fn end_lane(tx: &mut Tx<'_>, conversation: &ConversationRow, now: Timestamp) -> Result<()> {
    let ended = Conversation {
        active: false,
        ..conversation.0.clone()
    };
    save(tx, Some(conversation), ended)?;
    life::cancel_lane(tx, conversation.id, now)
}

pub(in crate::store) fn place(tx: &mut Tx<'_>, id: ConversationId, room: &RoomId) -> Result<()> {
    let before = existing(tx, id)?;
    let placed = Conversation {
        room: Some(room.to_owned()),
        ..before.0.clone()
    };
    save(tx, Some(&before), placed)
}

/// Makes or changes a conversation, and keeps what leads to it true. Fails with
/// [`StoreError::Conflict`] where its place, or its pair of people, has another active one.
fn save(tx: &mut Tx<'_>, before: Option<&Conversation>, after: Conversation) -> Result<()> {
    if before == Some(&after) {
        return Ok(());
    }
    let (was, is) = (before.and_then(portal), portal(&after));
    if was != is {
        if let Some((room, portal)) = &was {
            leave_room(tx, room, portal.id)?;
        }
        if let Some((room, portal)) = is {
            enter_room(tx, &room, portal)?;
        }
    }
    let (was, is) = (before.and_then(pair), pair(&after));
    if was != is {
        if let Some(pair) = was {
            tx.delete::<Directs>(&pair)?;
        }
        if let Some(pair) = is {
            if tx.has::<Directs>(&pair)? {
                return Err(taken("the two have a direct conversation"));
            }
            tx.put::<Directs>(&pair, after.id)?;
        }
    }
    let key = number(after.id.0);
    if before.is_none() {
        tx.insert::<Conversations>(&key, ConversationRow(after));
        return Ok(());
    }
    tx.put::<Conversations>(&key, ConversationRow(after))
}

fn taken(reason: &str) -> StoreError {
    StoreError::Conflict(reason.to_owned())
}

/// How a conversation stands in its room, by the room's key.
fn portal(conversation: &Conversation) -> Option<(String, PortalRow)> {
    let room = conversation.room.as_ref()?;
    let portal = PortalRow {
        id: conversation.id,
        handset: conversation.handset.clone(),
        active: conversation.active,
    };
    Some((room_key(&conversation.homeserver, room), portal))
}

/// The key of the two people, where it is their direct conversation.
fn pair(conversation: &Conversation) -> Option<String> {
    let is_theirs = conversation.active && conversation.direct;
    is_theirs.then(|| pair_key(&conversation.owner, &conversation.handset))
}

fn leave_room(tx: &mut Tx<'_>, room: &str, id: ConversationId) -> Result<()> {
    let mut left = match tx.get::<Portals>(room)? {
        Some(portals) => Vec::clone(&portals),
        None => return Ok(()),
    };
    left.retain(|portal| portal.id != id);
    if left.is_empty() {
        return tx.delete::<Portals>(room).map(drop);
    }
    tx.put::<Portals>(room, left)
}

fn enter_room(tx: &mut Tx<'_>, room: &str, portal: PortalRow) -> Result<()> {
    let mut portals = match tx.get::<Portals>(room)? {
        Some(portals) => Vec::clone(&portals),
        None => Vec::new(),
    };
    let is_same = |other: &PortalRow| other.active && other.handset == portal.handset;
    if portal.active && portals.iter().any(is_same) {
        return Err(taken("the room has a conversation with this handset"));
    }
    let at = portals.partition_point(|other| other.id < portal.id);
    portals.insert(at, portal);
    tx.put::<Portals>(room, portals)
}
