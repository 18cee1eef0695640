//! Receipts that came before the answer which tells whose they are.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use matrix_smpp_codec::IdForm;
use matrix_smpp_codec::message_id::canonical;

use super::super::ids::{self, Named};
use super::super::life;
use super::super::sweep::{ago, each};
use super::evidence::Pair;
use super::{Word, apply, apply_and_save};
use crate::gateway::model::{E164Text, Timestamp};
use crate::store::tables::{MessageRow, Parked, ParkedRow, PlanRow, form_number, number};
use crate::store::tx::{Sequence, Tx};
use crate::store::{ReceiptIn, Result};

/// Receipts that are looked at again when it becomes known how a peer writes ids: the newest.
const LOOKED_AT_AGAIN: usize = 1_000;
/// How long a receipt waits for the answer that tells whose it is.
const PARKED_MEMORY: Duration = Duration::from_hours(24);
/// Receipts that may wait; beyond that the oldest go.
const MAX_PARKED: i64 = 100_000;

/// True where a receipt of the link group waits.
pub(in crate::store) fn any_parked(tx: &Tx<'_>, link_group: &str) -> bool {
    tx.indexes().parked.of_group.contains_key(link_group)
}

/// The receipts that wait with the id of this one.
fn of_same_id(tx: &mut Tx<'_>, receipt: &ReceiptIn) -> Result<Vec<Arc<ParkedRow>>> {
    let id = (receipt.link_group.clone(), canonical(&receipt.message_id));
    let same_id = tx.indexes().parked.by_id.get(&id).cloned();
    let mut waiting = read(tx, same_id.unwrap_or_default())?;
    waiting.retain(|row| row.smsc_id == receipt.message_id);
    Ok(waiting)
}

/// True where a receipt with the id of this one waits already: what this one is about was known before.
pub(super) fn is_waiting(tx: &mut Tx<'_>, receipt: &ReceiptIn) -> Result<bool> {
    if !any_parked(tx, &receipt.link_group) {
        return Ok(false);
    }
    Ok(!of_same_id(tx, receipt)?.is_empty())
}

/// Keeps a receipt, once. One whose id waits already is as old as the first of them.
pub(super) fn park(tx: &mut Tx<'_>, receipt: &ReceiptIn) -> Result<()> {
    let waiting = of_same_id(tx, receipt)?;
    if waiting.iter().any(|row| row.state == receipt.state.0) {
        return Ok(());
    }
    let at = waiting.iter().map(|row| row.at).min();
    let place = tx.next(Sequence::Parked)?;
    let row = ParkedRow {
        id: place,
        link_group: receipt.link_group.clone(),
        canonical: canonical(&receipt.message_id),
        smsc_id: receipt.message_id.clone(),
        state: receipt.state.0,
        error: receipt.error.clone(),
        destination: receipt.handset.map(E164Text),
        originator: receipt.originator.clone(),
        at: at.unwrap_or(receipt.at),
        form: receipt.id_form.map(form_number),
    };
    tx.insert::<Parked>(&number(place), row);
    Ok(())
}

/// Those that are there, in the order in which they were asked for.
fn read(tx: &mut Tx<'_>, places: impl IntoIterator<Item = i64>) -> Result<Vec<Arc<ParkedRow>>> {
    let mut rows = Vec::new();
    each(places, |place| {
        rows.extend(tx.get::<Parked>(&number(place))?);
        Ok(())
    })?;
    Ok(rows)
}

/// Those between two numbers that came since then, in their order.
pub(super) fn between(
    tx: &mut Tx<'_>,
    pair: &Pair<'_>,
    since: Timestamp,
) -> Result<Vec<Arc<ParkedRow>>> {
    let numbers = (
        pair.link_group.to_owned(),
        pair.destination.to_string(),
        pair.originator.clone(),
    );
    let parked = tx.indexes().parked.by_numbers.get(&numbers).cloned();
    let mut rows = read(tx, parked.unwrap_or_default())?;
    rows.retain(|row| row.at >= since);
    Ok(rows)
}

/// Gives a segment whose id has just become known the receipts that came before. Leaves the message
/// to be brought up to date by the caller.
pub(in crate::store) fn match_parked_by_id(
    tx: &mut Tx<'_>,
    plan: &PlanRow,
    segment: u8,
    smsc_id: &str,
    now: Timestamp,
) -> Result<()> {
    let by_id = &tx.indexes().parked.by_id;
    let parked: BTreeSet<i64> = ids::in_receipts(smsc_id)
        .into_iter()
        .filter_map(|id| by_id.get(&(plan.link_group.clone(), id)))
        .flatten()
        .copied()
        .collect();
    for waiting in read(tx, parked)? {
        let meant = ids::meant(tx, Named::waiting(&waiting))?;
        let Some(meant) = meant.filter(|meant| meant.place == (plan.key, segment)) else {
            continue;
        };
        if let Some(mut row) = life::message(tx, plan.key)? {
            unpark(tx, &mut row, segment, &waiting, now)?;
            life::keep(tx, row)?;
        }
        learn(tx, &plan.link_group, meant.proof, now)?;
    }
    Ok(())
}

/// Does to a segment what a receipt says that waited.
pub(super) fn unpark(
    tx: &mut Tx<'_>,
    row: &mut MessageRow,
    segment: u8,
    waiting: &ParkedRow,
    now: Timestamp,
) -> Result<()> {
    apply(tx, row, segment, Word::parked(waiting), now)?;
    tx.delete::<Parked>(&number(waiting.id)).map(drop)
}

/// Takes a proof of how a peer writes ids. Where that tells what receipts meant that wait, they find
/// their segments.
pub(super) fn learn(
    tx: &mut Tx<'_>,
    link_group: &str,
    proof: Option<IdForm>,
    now: Timestamp,
) -> Result<()> {
    let Some(proof) = proof else {
        return Ok(());
    };
    if !ids::learn(tx, link_group, proof)? {
        return Ok(());
    }
    let of_group = tx.indexes().parked.of_group.get(link_group);
    let newest = of_group.into_iter().flatten().rev().take(LOOKED_AT_AGAIN);
    let newest: Vec<i64> = newest.copied().collect();
    let parked = read(tx, newest.into_iter().rev())?;
    each(parked, |waiting| {
        if let Some(meant) = ids::meant(tx, Named::waiting(&waiting))? {
            apply_and_save(tx, meant.place, Word::parked(&waiting), now)?;
            tx.delete::<Parked>(&number(waiting.id))?;
        }
        Ok(())
    })
}

/// Forgets receipts whose answer never came, at most `limit`; tells how many.
pub(in crate::store) fn forget_old(tx: &mut Tx<'_>, now: Timestamp, limit: usize) -> Result<usize> {
    let before = ago(now, PARKED_MEMORY);
    let oldest: Vec<i64> = tx
        .indexes()
        .parked
        .all
        .iter()
        .take(limit)
        .copied()
        .collect();
    let rows = read(tx, oldest)?;
    let over = rows.iter().take_while(|row| row.at <= before);
    let mut count = 0;
    each(over, |row| {
        count += 1;
        tx.delete::<Parked>(&number(row.id)).map(drop)
    })?;
    Ok(count)
}

/// Forgets the oldest receipts where too many wait; tells how many.
pub(in crate::store) fn forget_surplus(tx: &mut Tx<'_>) -> Result<usize> {
    let all = &tx.indexes().parked.all;
    let last = all.last().copied().unwrap_or(0);
    let surplus: Vec<i64> = all.range(..=last - MAX_PARKED).copied().collect();
    each(&surplus, |place| {
        tx.delete::<Parked>(&number(*place)).map(drop)
    })?;
    Ok(surplus.len())
}
