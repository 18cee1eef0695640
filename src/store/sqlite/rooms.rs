//! Ghosts that are ready, and what the state of rooms says.

use ruma::{OwnedRoomId, RoomId, ServerName, UserId};
use rusqlite::{Connection, params};

use super::conversations;
use super::rows::{Sql as _, text};
use crate::store::{Member, Membership, Result, RoomFacts, RoomView};

pub(super) fn ghost_is_ready(tx: &Connection, ghost: &UserId) -> Result<bool> {
    tx.any("SELECT 1 FROM ghost WHERE user = ?1", [ghost.as_str()])
}

pub(super) fn set_ghost_ready(tx: &Connection, ghost: &UserId) -> Result<()> {
    tx.run(
        "INSERT INTO ghost (user) VALUES (?1) ON CONFLICT DO NOTHING",
        [ghost.as_str()],
    )?;
    Ok(())
}

pub(super) fn put_room(tx: &Connection, facts: &RoomFacts) -> Result<()> {
    // There is no way back from encryption, whatever a later reading of the state says.
    tx.run(
        "INSERT INTO room (homeserver, room, encrypted) VALUES (?1, ?2, ?3)
         ON CONFLICT (homeserver, room) DO UPDATE SET encrypted = max(encrypted, excluded.encrypted)",
        params![facts.homeserver.as_str(), facts.room.as_str(), facts.encrypted],
    )?;
    let Some(number) = number(tx, &facts.homeserver, &facts.room)? else {
        return Ok(());
    };
    tx.run("DELETE FROM member WHERE room = ?1", [number])?;
    facts
        .members
        .iter()
        .try_for_each(|member| put(tx, number, member))
}

pub(super) fn put_member(
    tx: &Connection,
    homeserver: &ServerName,
    room: &RoomId,
    member: &Member,
) -> Result<()> {
    let Some(number) = number(tx, homeserver, room)? else {
        return Ok(());
    };
    put(tx, number, member)?;
    if member.membership == Membership::Gone && ghost_is_ready(tx, &member.user)? {
        forget_left(tx, number)?;
    }
    Ok(())
}

/// Forgets the room of a conversation that has ended, where nothing more is to be known of it.
pub(super) fn forget_ended(tx: &Connection, homeserver: &ServerName, room: &RoomId) -> Result<()> {
    match number(tx, homeserver, room)? {
        Some(number) => forget_left(tx, number),
        None => Ok(()),
    }
}

/// Forgets a room that none of ours is in any more, and in which no conversation is active: its
/// homeserver tells nothing more of it.
fn forget_left(tx: &Connection, room: i64) -> Result<()> {
    let inside = tx.any(
        "SELECT 1 FROM member JOIN ghost ON ghost.user = member.user WHERE member.room = ?1 LIMIT 1",
        [room],
    )?;
    let active = tx.any(
        "SELECT 1 FROM room JOIN conversation ON conversation.homeserver = room.homeserver
             AND conversation.room = room.room AND conversation.active = 1
         WHERE room.number = ?1 LIMIT 1",
        [room],
    )?;
    if !inside && !active {
        tx.run("DELETE FROM member WHERE room = ?1", [room])?;
        tx.run("DELETE FROM room WHERE number = ?1", [room])?;
    }
    Ok(())
}

fn put(tx: &Connection, room: i64, member: &Member) -> Result<()> {
    if member.membership == Membership::Gone {
        tx.run(
            "DELETE FROM member WHERE room = ?1 AND user = ?2",
            params![room, member.user.as_str()],
        )?;
        return Ok(());
    }
    tx.run(
        "INSERT INTO member (room, user, joined, display_name) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (room, user)
         DO UPDATE SET joined = excluded.joined, display_name = excluded.display_name",
        params![
            room,
            member.user.as_str(),
            member.membership == Membership::Joined,
            member.display_name
        ],
    )?;
    Ok(())
}

pub(super) fn set_encrypted(tx: &Connection, homeserver: &ServerName, room: &RoomId) -> Result<()> {
    tx.run(
        "UPDATE room SET encrypted = 1 WHERE homeserver = ?1 AND room = ?2",
        params![homeserver.as_str(), room.as_str()],
    )?;
    Ok(())
}

pub(super) fn room(
    tx: &Connection,
    homeserver: &ServerName,
    room: &RoomId,
) -> Result<Option<RoomView>> {
    let found = tx.one(
        "SELECT number, encrypted FROM room WHERE homeserver = ?1 AND room = ?2",
        params![homeserver.as_str(), room.as_str()],
        |row| Ok((row.get::<_, i64>(0)?, row.get::<_, bool>(1)?)),
    )?;
    let Some((number, encrypted)) = found else {
        return Ok(None);
    };
    let facts = RoomFacts {
        homeserver: homeserver.to_owned(),
        room: room.to_owned(),
        encrypted,
        members: members(tx, number)?,
    };
    let conversations = conversations::in_room(tx, homeserver, room)?;
    Ok(Some(RoomView {
        facts,
        conversations,
    }))
}

fn members(tx: &Connection, room: i64) -> Result<Vec<Member>> {
    tx.all(
        "SELECT user, joined, display_name FROM member WHERE room = ?1 ORDER BY user",
        [room],
        |row| {
            let joined: bool = row.get("joined")?;
            Ok(Member {
                user: text(row, "user")?,
                membership: if joined {
                    Membership::Joined
                } else {
                    Membership::Invited
                },
                display_name: row.get("display_name")?,
            })
        },
    )
}

fn number(tx: &Connection, homeserver: &ServerName, room: &RoomId) -> Result<Option<i64>> {
    tx.one(
        "SELECT number FROM room WHERE homeserver = ?1 AND room = ?2",
        params![homeserver.as_str(), room.as_str()],
        |row| Ok(row.get(0)?),
    )
}

pub(super) fn bot_room(
    tx: &Connection,
    homeserver: &ServerName,
    bot: &UserId,
    user: &UserId,
) -> Result<Option<OwnedRoomId>> {
    // From the user's rooms: the bot has one with everybody.
    tx.one(
        "SELECT room.room AS room FROM member AS theirs
         JOIN room ON room.number = theirs.room
         JOIN member AS ours ON ours.room = theirs.room AND ours.user = ?2
         WHERE theirs.user = ?3 AND room.homeserver = ?1
             AND (SELECT count(*) FROM member WHERE member.room = theirs.room) = 2
         ORDER BY room.number DESC LIMIT 1",
        params![homeserver.as_str(), bot.as_str(), user.as_str()],
        |row| text(row, "room"),
    )
}
