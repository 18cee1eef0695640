//! The ties between numbers, handsets and conversations.
//!
//! A conversation may hold several numbers towards its handset (after a take-over, or when the
//! handset texted a dedicated number first), so that a reply to any of them arrives; it sends with
//! one. A (VMN, handset) pair serves one conversation: that is the table's primary key.

use std::collections::HashSet;

use matrix_smpp_codec::e164::E164;
use ruma::{OwnedUserId, UserId};
use rusqlite::{Connection, Row, params};

use super::rows::{Sql as _, e164, text};
use crate::gateway::model::{Conversation, ConversationId, Handset, Timestamp};
use crate::store::{Lease, Result, StoreError};

const COLUMNS: &str = "vmn, handset, conversation, cooling_until";

fn read(row: &Row<'_>) -> Result<Lease> {
    Ok(Lease {
        vmn: e164(row, "vmn")?,
        handset: row.get("handset")?,
        conversation: row.get("conversation")?,
        cooling_until: row.get("cooling_until")?,
    })
}

pub(super) fn all(tx: &Connection) -> Result<Vec<Lease>> {
    tx.all(
        &format!("SELECT {COLUMNS} FROM lease ORDER BY vmn, handset"),
        [],
        read,
    )
}

/// The lease of a pair, active or cooling; `None` once it has cooled off.
pub(super) fn of_pair(
    tx: &Connection,
    vmn: &str,
    handset: &Handset,
    now: Timestamp,
) -> Result<Option<Lease>> {
    tx.one(
        &format!(
            "SELECT {COLUMNS} FROM lease WHERE handset = ?1 AND vmn = ?2
             AND (cooling_until IS NULL OR cooling_until > ?3)"
        ),
        params![handset, vmn, now],
        read,
    )
}

/// Leases the first number that is free for the conversation's handset; `None` where none is.
pub(super) fn lease_one(
    tx: &Connection,
    conversation: &Conversation,
    candidates: impl Iterator<Item = E164>,
    now: Timestamp,
) -> Result<Option<E164>> {
    let taken: HashSet<String> = tx
        .all(
            "SELECT vmn FROM lease WHERE handset = ?1
             AND (cooling_until IS NULL OR cooling_until > ?2)",
            params![conversation.handset, now],
            |row| Ok(row.get(0)?),
        )?
        .into_iter()
        .collect();
    for vmn in candidates.filter(|vmn| !taken.contains(vmn.as_str())) {
        if dedicated_to(tx, vmn.as_str())?.is_none_or(|owner| owner == conversation.owner) {
            put(tx, vmn.as_str(), conversation)?;
            return Ok(Some(vmn));
        }
    }
    Ok(None)
}

/// Ties a number to a conversation that must use it.
pub(super) fn tie(
    tx: &Connection,
    vmn: E164,
    conversation: &Conversation,
    now: Timestamp,
) -> Result<()> {
    let held = of_pair(tx, vmn.as_str(), &conversation.handset, now)?;
    if let Some(other) = held.filter(|lease| lease.conversation != conversation.id) {
        let same_owner = tx.any(
            "SELECT 1 FROM conversation WHERE id = ?1 AND owner = ?2",
            params![other.conversation, conversation.owner.as_str()],
        )?;
        if other.cooling_until.is_none() || !same_owner {
            let reason = "the number serves another conversation with this handset";
            return Err(StoreError::Conflict(reason.to_owned()));
        }
    }
    put(tx, vmn.as_str(), conversation)
}

fn put(tx: &Connection, vmn: &str, conversation: &Conversation) -> Result<()> {
    tx.run(
        "INSERT OR REPLACE INTO lease (vmn, handset, conversation) VALUES (?1, ?2, ?3)",
        params![vmn, conversation.handset, conversation.id],
    )?;
    Ok(())
}

/// True while the number is reserved for this conversation, cooling included.
pub(super) fn holds(tx: &Connection, conversation: ConversationId, vmn: E164) -> Result<bool> {
    tx.any(
        "SELECT 1 FROM lease WHERE conversation = ?1 AND vmn = ?2",
        params![conversation, vmn.as_str()],
    )
}

/// Starts the cooling-off of all that a conversation holds.
pub(super) fn cool(tx: &Connection, conversation: ConversationId, until: Timestamp) -> Result<()> {
    tx.run(
        "UPDATE lease SET cooling_until = ?2 WHERE conversation = ?1 AND cooling_until IS NULL",
        params![conversation, until],
    )?;
    Ok(())
}

/// Gives a conversation back what is still reserved for it.
pub(super) fn warm(tx: &Connection, conversation: ConversationId) -> Result<()> {
    tx.run(
        "UPDATE lease SET cooling_until = NULL WHERE conversation = ?1",
        [conversation],
    )?;
    Ok(())
}

/// Hands all that one conversation holds over to another with the same handset.
pub(super) fn hand_over(tx: &Connection, from: ConversationId, to: ConversationId) -> Result<()> {
    tx.run(
        "UPDATE lease SET conversation = ?2, cooling_until = NULL WHERE conversation = ?1",
        params![from, to],
    )?;
    Ok(())
}

pub(super) fn release(tx: &Connection, vmn: E164, handset: &Handset) -> Result<bool> {
    let held = tx.one(
        "SELECT conversation FROM lease WHERE handset = ?1 AND vmn = ?2",
        params![handset, vmn.as_str()],
        |row| Ok(row.get::<_, ConversationId>(0)?),
    )?;
    let Some(conversation) = held else {
        return Ok(false);
    };
    if may_still_send(tx, conversation, vmn)? {
        return Err(StoreError::Conflict(format!(
            "conversation {conversation} has messages under way from this number; end it first"
        )));
    }
    tx.run(
        "DELETE FROM lease WHERE handset = ?1 AND vmn = ?2",
        params![handset, vmn.as_str()],
    )?;
    tx.run(
        "UPDATE conversation SET originator = NULL WHERE id = ?1 AND originator = ?2",
        params![conversation, format!("v:{vmn}")],
    )?;
    Ok(true)
}

/// True while a segment that shows the number may still reach the conversation's handset for the
/// first time: queued, on the wire, or without an answer.
fn may_still_send(tx: &Connection, conversation: ConversationId, vmn: E164) -> Result<bool> {
    tx.any(
        "SELECT 1 FROM segment CROSS JOIN message ON message.key = segment.message
         WHERE segment.state < 3 AND message.conversation = ?1 AND message.originator = ?2 LIMIT 1",
        params![conversation, format!("v:{vmn}")],
    )
}

/// Forgets leases that have cooled off; tells how many.
pub(super) fn forget_cooled(tx: &Connection, now: Timestamp, limit: usize) -> Result<usize> {
    tx.run(
        "DELETE FROM lease WHERE (handset, vmn) IN
         (SELECT handset, vmn FROM lease WHERE cooling_until <= ?1 LIMIT ?2)",
        params![now, super::rows::limit(limit)],
    )
}

pub(super) fn dedicate(tx: &Connection, number: &str, owner: &UserId) -> Result<()> {
    let conflict = |reason: &str| Err(StoreError::Conflict(reason.to_owned()));
    if number.is_empty() || !number.bytes().all(|octet| octet.is_ascii_digit()) {
        return conflict("a number has digits only");
    }
    match dedicated_to(tx, number)? {
        Some(same) if same == owner => return Ok(()),
        Some(_) => return conflict("the number is dedicated to somebody else"),
        None => {}
    }
    if tx.any("SELECT 1 FROM lease WHERE vmn = ?1", [number])? {
        return conflict("the number is leased to a conversation");
    }
    tx.run(
        "INSERT INTO dedicated (number, owner) VALUES (?1, ?2)",
        params![number, owner.as_str()],
    )?;
    Ok(())
}

pub(super) fn undedicate(tx: &Connection, number: &str) -> Result<bool> {
    Ok(tx.run("DELETE FROM dedicated WHERE number = ?1", [number])? > 0)
}

pub(super) fn dedicated(tx: &Connection) -> Result<Vec<(String, OwnedUserId)>> {
    tx.all(
        "SELECT number, owner FROM dedicated ORDER BY number",
        [],
        |row| Ok((row.get("number")?, text(row, "owner")?)),
    )
}

pub(super) fn dedicated_to(tx: &Connection, number: &str) -> Result<Option<OwnedUserId>> {
    tx.one(
        "SELECT owner FROM dedicated WHERE number = ?1",
        [number],
        |row| text(row, "owner"),
    )
}
