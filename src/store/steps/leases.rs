//! The ties between numbers, handsets and conversations.
//!
//! A conversation may hold several numbers towards its handset (after a take-over, or when the
//! handset texted a dedicated number first), so that a reply to any of them arrives; it sends with
//! one. A (VMN, handset) pair serves one conversation: a handset's leases are one row, in which each
//! number stands once.

use std::collections::HashSet;
use std::sync::Arc;

use matrix_smpp_codec::e164::E164;
use ruma::{OwnedUserId, UserId};

use super::conversations;
use crate::gateway::model::{
    Conversation, ConversationId, E164Text, Handset, MessageState, Originator, Timestamp,
};
use crate::store::tables::{
    Dedicated, LeaseRow, LeasedNumbers, Leases, MessageRow, Messages, Totals, number,
};
use crate::store::timer::Timer;
use crate::store::tx::Tx;
use crate::store::{Lease, LeasesPage, Result, StoreError};

/// The name of [`total`] in [`Totals`].
const TOTAL: &str = "leases";

impl LeaseRow {
    /// False once it has cooled off, forgotten or not.
    fn is_held(&self, now: Timestamp) -> bool {
        self.cooling_until.is_none_or(|until| until > now)
    }

    fn lease(&self, handset: Handset) -> Lease {
        Lease {
            vmn: self.vmn.0,
            handset,
            conversation: self.conversation,
            cooling_until: self.cooling_until,
        }
    }
}

/// Every lease, by number and handset. Runs alone.
pub(in crate::store) fn all(tx: &mut Tx<'_>) -> Result<Vec<Lease>> {
    let mut keyed = Vec::new();
    for (key, rows) in tx.all::<Leases>()? {
        let leases = of_row(&key, &rows)?.into_iter();
        keyed.extend(leases.map(|lease| (key.clone(), lease)));
    }
    keyed.sort_unstable_by(|(key, lease), (other_key, other)| {
        (lease.vmn.as_str(), key).cmp(&(other.vmn.as_str(), other_key))
    });
    Ok(keyed.into_iter().map(|(_, lease)| lease).collect())
}

/// The leases of some phones. Runs alone.
pub(in crate::store) fn page(
    tx: &mut Tx<'_>,
    from: Option<&str>,
    limit: usize,
) -> Result<LeasesPage> {
    let page = tx.scan::<Leases>(from, limit)?;
    let phones = page.rows.iter().map(|(key, rows)| of_row(key, rows));
    Ok(LeasesPage {
        phones: phones.collect::<Result<_>>()?,
        next: page.next,
    })
}

fn of_row(key: &str, rows: &[LeaseRow]) -> Result<Vec<Lease>> {
    let handset = Handset::from_key(key)
        .ok_or_else(|| StoreError::Corrupt("the leases of no handset".to_owned()))?;
    Ok(rows.iter().map(|row| row.lease(handset.clone())).collect())
}

/// How many leases there are, active, cooling, or not forgotten yet.
pub(in crate::store) fn total(tx: &mut Tx<'_>) -> Result<i64> {
    Ok(tx.get::<Totals>(TOTAL)?.map_or(0, |total| *total))
}

/// The leases of a handset.
fn of_handset(tx: &mut Tx<'_>, key: &str) -> Result<Option<Arc<Vec<LeaseRow>>>> {
    tx.get::<Leases>(key)
}

/// The lease of a pair, active or cooling; `None` once it has cooled off.
pub(in crate::store) fn of_pair(
    tx: &mut Tx<'_>,
    vmn: &str,
    handset: &Handset,
    now: Timestamp,
) -> Result<Option<Lease>> {
    let rows = of_handset(tx, &handset.key())?;
    let found = rows.as_deref().and_then(|rows| pair(rows, vmn));
    Ok(found
        .filter(|row| row.is_held(now))
        .map(|row| row.lease(handset.clone())))
}

/// The leases of a handset, active or cooling.
pub(super) fn held(tx: &mut Tx<'_>, handset: &Handset, now: Timestamp) -> Result<Vec<LeaseRow>> {
    let rows = of_handset(tx, &handset.key())?.unwrap_or_default();
    let held = rows.iter().filter(|row| row.is_held(now));
    Ok(held.copied().collect())
}

fn pair<'a>(rows: &'a [LeaseRow], vmn: &str) -> Option<&'a LeaseRow> {
    rows.iter().find(|row| row.vmn.0.as_str() == vmn)
}

/// Leases the first number that is free for the conversation's handset; `None` where none is.
pub(in crate::store) fn lease_one(
    tx: &mut Tx<'_>,
    conversation: &Conversation,
    candidates: impl Iterator<Item = E164>,
    now: Timestamp,
) -> Result<Option<E164>> {
    let rows = of_handset(tx, &conversation.handset.key())?.unwrap_or_default();
    let held = rows.iter().filter(|row| row.is_held(now));
    let taken: HashSet<E164> = held.map(|row| row.vmn.0).collect();
    for vmn in candidates.filter(|vmn| !taken.contains(vmn)) {
        let dedicated = tx.get::<Dedicated>(vmn.as_str())?;
        if dedicated.is_none_or(|owner| *owner == conversation.owner.as_str()) {
            put(tx, vmn, conversation)?;
            return Ok(Some(vmn));
        }
    }
    Ok(None)
}

/// Ties a number to a conversation that must use it.
pub(in crate::store) fn tie(
    tx: &mut Tx<'_>,
    vmn: E164,
    conversation: &Conversation,
    now: Timestamp,
) -> Result<()> {
    let held = of_pair(tx, vmn.as_str(), &conversation.handset, now)?;
    if let Some(other) = held.filter(|lease| lease.conversation != conversation.id) {
        let holder = conversations::find(tx, other.conversation)?;
        let same_owner = holder.is_some_and(|holder| holder.owner == conversation.owner);
        if other.cooling_until.is_none() || !same_owner {
            let reason = "the number serves another conversation with this handset";
            return Err(StoreError::Conflict(reason.to_owned()));
        }
    }
    put(tx, vmn, conversation)
}

/// Ties a number to a conversation, whatever it was tied to.
fn put(tx: &mut Tx<'_>, vmn: E164, conversation: &Conversation) -> Result<()> {
    let row = LeaseRow {
        vmn: E164Text(vmn),
        conversation: conversation.id,
        cooling_until: None,
    };
    let mut is_new = false;
    tx.change::<Leases>(&conversation.handset.key(), |rows| {
        let known = rows.iter_mut().find(|known| known.vmn == row.vmn);
        is_new = known.is_none();
        match known {
            Some(known) => *known = row,
            None => rows.push(row),
        }
    })?;
    if is_new {
        count(tx, vmn.as_str(), true)?;
    }
    Ok(())
}

/// Keeps the sums true to one lease more or less on a number.
fn count(tx: &mut Tx<'_>, vmn: &str, more: bool) -> Result<()> {
    tx.change::<Totals>(TOTAL, |total| *total += if more { 1 } else { -1 })?;
    let before = tx.get::<LeasedNumbers>(vmn)?.map_or(0, |count| *count);
    let after = if more {
        before.saturating_add(1)
    } else {
        before.saturating_sub(1)
    };
    match after {
        0 => tx.delete::<LeasedNumbers>(vmn).map(drop),
        _ => tx.put::<LeasedNumbers>(vmn, after),
    }
}

/// True while the number is reserved for this conversation, cooling included.
pub(in crate::store) fn holds(
    tx: &mut Tx<'_>,
    conversation: &Conversation,
    vmn: E164,
) -> Result<bool> {
    let rows = of_handset(tx, &conversation.handset.key())?;
    let found = rows.as_deref().and_then(|rows| pair(rows, vmn.as_str()));
    Ok(found.is_some_and(|row| row.conversation == conversation.id))
}

/// Starts the cooling-off of all that a conversation holds.
pub(in crate::store) fn cool(
    tx: &mut Tx<'_>,
    conversation: &Conversation,
    until: Timestamp,
) -> Result<()> {
    let is_warm = |row: &LeaseRow| row.cooling_until.is_none();
    let cooled = change_own(tx, conversation, is_warm, |row| {
        row.cooling_until = Some(until);
    })?;
    if cooled {
        tx.set_timer(until, &Timer::Leases(conversation.handset.key()));
    }
    Ok(())
}

/// Gives a conversation back what is still reserved for it.
pub(in crate::store) fn warm(tx: &mut Tx<'_>, conversation: &Conversation) -> Result<()> {
    let is_cool = |row: &LeaseRow| row.cooling_until.is_some();
    change_own(tx, conversation, is_cool, |row| row.cooling_until = None).map(drop)
}

/// Hands all that one conversation holds over to another with the same handset.
pub(in crate::store) fn hand_over(
    tx: &mut Tx<'_>,
    from: &Conversation,
    to: ConversationId,
) -> Result<()> {
    change_own(
        tx,
        from,
        |_| true,
        |row| {
            row.conversation = to;
            row.cooling_until = None;
        },
    )
    .map(drop)
}

/// Changes those leases of a conversation that `which` tells. False where there are none.
fn change_own(
    tx: &mut Tx<'_>,
    conversation: &Conversation,
    which: impl Fn(&LeaseRow) -> bool,
    mut change: impl FnMut(&mut LeaseRow),
) -> Result<bool> {
    let key = conversation.handset.key();
    let is_meant = |row: &LeaseRow| row.conversation == conversation.id && which(row);
    let any = of_handset(tx, &key)?.is_some_and(|rows| rows.iter().any(is_meant));
    if any {
        tx.update::<Leases>(&key, |rows| {
            let own = rows.iter_mut().filter(|row| is_meant(row));
            own.for_each(&mut change);
        })?;
    }
    Ok(any)
}

pub(in crate::store) fn release(tx: &mut Tx<'_>, vmn: E164, handset: &Handset) -> Result<bool> {
    let key = handset.key();
    let rows = of_handset(tx, &key)?.unwrap_or_default();
    let Some(conversation) = pair(&rows, vmn.as_str()).map(|row| row.conversation) else {
        return Ok(false);
    };
    if may_still_send(tx, conversation, vmn)? {
        return Err(StoreError::Conflict(format!(
            "conversation {conversation} has messages under way from this number; end it first"
        )));
    }
    forget(tx, &key, &rows, |row| row.vmn.0 == vmn)?;
    conversations::forget_originator(tx, conversation, &Originator::Vmn(E164Text(vmn)))?;
    Ok(true)
}

/// True while a segment that shows the number may still reach the conversation's handset for the
/// first time: queued, on the wire, or without an answer.
fn may_still_send(tx: &mut Tx<'_>, conversation: ConversationId, vmn: E164) -> Result<bool> {
    let open: Vec<i64> = tx
        .indexes()
        .messages
        .of_conversation(conversation)
        .collect();
    // All are asked for before the first that is not at hand ends this run.
    let rows: Vec<_> = open
        .into_iter()
        .map(|key| tx.get::<Messages>(&number(key)))
        .collect();
    for row in rows {
        if row?.is_some_and(|message| shows(&message, vmn) && is_under_way(&message)) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn shows(message: &MessageRow, vmn: E164) -> bool {
    matches!(message.originator, Originator::Vmn(shown) if shown.0 == vmn)
}

fn is_under_way(message: &MessageRow) -> bool {
    message.segments.iter().any(|segment| {
        matches!(
            segment.state,
            MessageState::Queued | MessageState::Intent | MessageState::Uncertain
        )
    })
}

/// Forgets the leases of a handset that have cooled off: what [`Timer::Leases`] calls for.
pub(in crate::store) fn forget_cooled(
    tx: &mut Tx<'_>,
    handset: &str,
    now: Timestamp,
) -> Result<()> {
    match of_handset(tx, handset)? {
        Some(rows) => forget(tx, handset, &rows, |row| !row.is_held(now)),
        None => Ok(()),
    }
}

/// Forgets those leases of a handset that `which` tells.
fn forget(
    tx: &mut Tx<'_>,
    handset: &str,
    rows: &[LeaseRow],
    which: impl Fn(&LeaseRow) -> bool,
) -> Result<()> {
    let (gone, left): (Vec<_>, Vec<_>) = rows.iter().copied().partition(which);
    if gone.is_empty() {
        return Ok(());
    }
    if left.is_empty() {
        tx.delete::<Leases>(handset)?;
    } else {
        tx.put::<Leases>(handset, left)?;
    }
    gone.iter()
        .try_for_each(|row| count(tx, row.vmn.0.as_str(), false))
}

pub(in crate::store) fn dedicate(tx: &mut Tx<'_>, number: &str, owner: &UserId) -> Result<()> {
    let conflict = |reason: &str| Err(StoreError::Conflict(reason.to_owned()));
    if number.is_empty() || !number.bytes().all(|octet| octet.is_ascii_digit()) {
        return conflict("a number has digits only");
    }
    match dedicated_to(tx, number)? {
        Some(same) if same == owner => return Ok(()),
        Some(_) => return conflict("the number is dedicated to somebody else"),
        None => {}
    }
    if tx.has::<LeasedNumbers>(number)? {
        return conflict("the number is leased to a conversation");
    }
    tx.put::<Dedicated>(number, owner.to_string())
}

pub(in crate::store) fn undedicate(tx: &mut Tx<'_>, number: &str) -> Result<bool> {
    tx.delete::<Dedicated>(number)
}

/// Every number that was dedicated, in their order. Runs alone.
pub(in crate::store) fn dedicated(tx: &mut Tx<'_>) -> Result<Vec<(String, OwnedUserId)>> {
    let numbers = tx.all::<Dedicated>()?.into_iter();
    numbers
        .map(|(number, owner)| Ok((number, person(&owner)?)))
        .collect()
}

pub(in crate::store) fn dedicated_to(tx: &mut Tx<'_>, number: &str) -> Result<Option<OwnedUserId>> {
    let owner = tx.get::<Dedicated>(number)?;
    owner.map(|owner| person(&owner)).transpose()
}

fn person(owner: &str) -> Result<OwnedUserId> {
    owner
        .try_into()
        .map_err(|error| StoreError::Corrupt(format!("owner: {error}")))
}
