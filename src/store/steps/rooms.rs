//! Ghosts that are ready, and what the state of rooms says.

use std::sync::Arc;

use ruma::{OwnedRoomId, OwnedServerName, RoomId, ServerName, UserId};

use super::conversations;
use crate::store::tables::{
    Ghosts, MemberRow, Portals, RoomRow, Rooms, TwoRow, Twos, room_key, room_of, two_key,
};
use crate::store::tx::{Sequence, Tx};
use crate::store::{Member, Membership, Result, RoomFacts, RoomView, RoomsPage};

pub(in crate::store) fn ghost_is_ready(tx: &mut Tx<'_>, ghost: &UserId) -> Result<bool> {
    tx.has::<Ghosts>(ghost.as_str())
}

pub(in crate::store) fn set_ghost_ready(tx: &mut Tx<'_>, ghost: &UserId) -> Result<()> {
    if tx.has::<Ghosts>(ghost.as_str())? {
        return Ok(());
    }
    tx.put::<Ghosts>(ghost.as_str(), ())
}

pub(in crate::store) fn put_room(tx: &mut Tx<'_>, facts: &RoomFacts) -> Result<()> {
    let room = Place::of(&facts.homeserver, &facts.room);
    let before = room.row(tx)?;
    let number = match &before {
        Some(known) => known.number,
        None => tx.next(Sequence::Room)?,
    };
    let mut members = Vec::with_capacity(facts.members.len());
    for member in &facts.members {
        set(&mut members, member);
    }
    let after = RoomRow {
        number,
        // There is no way back from encryption, whatever a later reading of the state says.
        encrypted: facts.encrypted || before.as_ref().is_some_and(|known| known.encrypted),
        members,
    };
    room.save(tx, before.as_deref(), Some(after))
}

pub(in crate::store) fn put_member(
    tx: &mut Tx<'_>,
    homeserver: &ServerName,
    room: &RoomId,
    member: &Member,
) -> Result<()> {
    let room = Place::of(homeserver, room);
    let Some(before) = room.row(tx)? else {
        return Ok(());
    };
    let mut after = RoomRow::clone(&before);
    set(&mut after.members, member);
    if member.membership == Membership::Gone
        && ghost_is_ready(tx, &member.user)?
        && is_left(tx, &room.key, &after)?
    {
        return room.save(tx, Some(&before), None);
    }
    room.save(tx, Some(&before), Some(after))
}

/// Forgets the room of a conversation that has ended, where nothing more is to be known of it.
pub(in crate::store) fn forget_ended(
    tx: &mut Tx<'_>,
    homeserver: &ServerName,
    room: &RoomId,
) -> Result<()> {
    let room = Place::of(homeserver, room);
    let Some(known) = room.row(tx)? else {
        return Ok(());
    };
    if is_left(tx, &room.key, &known)? {
        room.save(tx, Some(&known), None)?;
    }
    Ok(())
}

/// True for a room that none of ours is in any more, and in which no conversation is active: its
/// homeserver tells nothing more of it.
fn is_left(tx: &mut Tx<'_>, key: &str, room: &RoomRow) -> Result<bool> {
    let portals = tx.get::<Portals>(key)?;
    if portals.is_some_and(|portals| portals.iter().any(|portal| portal.active)) {
        return Ok(false);
    }
    // All are asked for before the first that is not at hand ends this run.
    let mut unknown = Ok(true);
    for member in &room.members {
        match ghost_is_ready(tx, &member.user) {
            Ok(true) => return Ok(false),
            Ok(false) => {}
            Err(error) => unknown = Err(error),
        }
    }
    unknown
}

/// Brings one person's standing up to date. The members stay in the order of their ids.
fn set(members: &mut Vec<MemberRow>, member: &Member) {
    let row = || MemberRow {
        user: member.user.clone(),
        joined: member.membership == Membership::Joined,
        display_name: member.display_name.clone(),
    };
    let user = member.user.as_str();
    let found = members.binary_search_by(|known| known.user.as_str().cmp(user));
    match (found, member.membership) {
        (Ok(at), Membership::Gone) => {
            members.remove(at);
        }
        (Ok(at), _) => {
            if let Some(known) = members.get_mut(at) {
                *known = row();
            }
        }
        (Err(_), Membership::Gone) => {}
        (Err(at), _) => members.insert(at, row()),
    }
}

/// A room with its key.
struct Place<'a> {
    homeserver: &'a ServerName,
    room: &'a RoomId,
    key: String,
}

impl<'a> Place<'a> {
    fn of(homeserver: &'a ServerName, room: &'a RoomId) -> Self {
        let key = room_key(homeserver, room);
        Self {
            homeserver,
            room,
            key,
        }
    }

    fn row(&self, tx: &mut Tx<'_>) -> Result<Option<Arc<RoomRow>>> {
        tx.get::<Rooms>(&self.key)
    }

    /// Makes, changes or forgets the room, and keeps the rooms of two people true.
    fn save(
        &self,
        tx: &mut Tx<'_>,
        before: Option<&RoomRow>,
        after: Option<RoomRow>,
    ) -> Result<()> {
        if before == after.as_ref() {
            return Ok(());
        }
        let was = before.and_then(|room| self.pair(room));
        let is = after.as_ref().and_then(|room| self.pair(room));
        if was != is {
            if let Some((key, number)) = was {
                leave_pair(tx, &key, number)?;
            }
            if let Some((key, number)) = is {
                self.join_pair(tx, &key, number)?;
            }
        }
        match after {
            Some(room) => tx.put::<Rooms>(&self.key, room),
            None => tx.delete::<Rooms>(&self.key).map(drop),
        }
    }

    /// The key of the two who have the room to themselves, with the room's number.
    fn pair(&self, room: &RoomRow) -> Option<(String, i64)> {
        let [one, other] = &*room.members else {
            return None;
        };
        let key = two_key(self.homeserver, &one.user, &other.user);
        Some((key, room.number))
    }

    fn join_pair(&self, tx: &mut Tx<'_>, key: &str, number: i64) -> Result<()> {
        let room = self.room.to_owned();
        tx.change::<Twos>(key, |rooms| {
            let at = rooms.partition_point(|known| known.number < number);
            rooms.insert(at, TwoRow { number, room });
        })
    }
}

fn leave_pair(tx: &mut Tx<'_>, key: &str, number: i64) -> Result<()> {
    let mut left = match tx.get::<Twos>(key)? {
        Some(rooms) => Vec::clone(&rooms),
        None => return Ok(()),
    };
    left.retain(|known| known.number != number);
    if left.is_empty() {
        return tx.delete::<Twos>(key).map(drop);
    }
    tx.put::<Twos>(key, left)
}

pub(in crate::store) fn set_encrypted(
    tx: &mut Tx<'_>,
    homeserver: &ServerName,
    room: &RoomId,
) -> Result<()> {
    let key = room_key(homeserver, room);
    if tx.get::<Rooms>(&key)?.is_some_and(|known| !known.encrypted) {
        tx.update::<Rooms>(&key, |known| known.encrypted = true)?;
    }
    Ok(())
}

pub(in crate::store) fn room(
    tx: &mut Tx<'_>,
    homeserver: &ServerName,
    room: &RoomId,
) -> Result<Option<RoomView>> {
    let key = room_key(homeserver, room);
    let Some(known) = tx.get::<Rooms>(&key)? else {
        return Ok(None);
    };
    let facts = facts(homeserver.to_owned(), room.to_owned(), &known);
    let conversations = conversations::in_room(tx, &key)?;
    Ok(Some(RoomView {
        facts,
        conversations,
    }))
}

fn facts(homeserver: OwnedServerName, room: OwnedRoomId, row: &RoomRow) -> RoomFacts {
    RoomFacts {
        homeserver,
        room,
        encrypted: row.encrypted,
        members: row.members.iter().map(member).collect(),
    }
}

/// A page of all rooms. Runs alone.
pub(in crate::store) fn page(
    tx: &mut Tx<'_>,
    from: Option<&str>,
    limit: usize,
) -> Result<RoomsPage> {
    let page = tx.scan::<Rooms>(from, limit)?;
    let named = page.rows.iter().filter_map(|(key, row)| {
        let (homeserver, room) = room_of(key)?;
        Some(facts(homeserver, room, row))
    });
    Ok(RoomsPage {
        rooms: named.collect(),
        next: page.next,
    })
}

fn member(row: &MemberRow) -> Member {
    Member {
        user: row.user.clone(),
        membership: if row.joined {
            Membership::Joined
        } else {
            Membership::Invited
        },
        display_name: row.display_name.clone(),
    }
}

pub(in crate::store) fn bot_room(
    tx: &mut Tx<'_>,
    homeserver: &ServerName,
    bot: &UserId,
    user: &UserId,
) -> Result<Option<OwnedRoomId>> {
    let rooms = tx.get::<Twos>(&two_key(homeserver, bot, user))?;
    Ok(rooms.and_then(|rooms| Some(rooms.last()?.room.clone())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(name: &str, membership: Membership) -> Member {
        Member {
            user: format!("@{name}:example.org").try_into().unwrap(),
            membership,
            display_name: None,
        }
    }

    fn names(members: &[MemberRow]) -> Vec<(&str, bool)> {
        let shown = members.iter();
        shown
            .map(|row| (row.user.localpart(), row.joined))
            .collect()
    }

    #[test]
    fn members_stand_once_each_in_the_order_of_their_ids() {
        let mut members = Vec::new();
        set(&mut members, &one("carol", Membership::Invited));
        set(&mut members, &one("alice", Membership::Joined));
        set(&mut members, &one("bob", Membership::Joined));
        set(&mut members, &one("carol", Membership::Joined));
        set(&mut members, &one("bob", Membership::Gone));
        set(&mut members, &one("dora", Membership::Gone));
        assert_eq!(names(&members), [("alice", true), ("carol", true)]);
    }
}
