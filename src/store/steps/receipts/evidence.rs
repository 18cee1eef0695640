//! Segments whose answer never came, and the receipts that may still prove them sent.

use matrix_smpp_codec::e164::E164;

use super::super::life;
use super::super::sweep::each;
use super::{Place, parked};
use crate::gateway::model::{MessageState, Timestamp};
use crate::store::tables::{MessageRow, PlanRow, Unanswered, UnansweredRow, evidence_key};
use crate::store::timer::Timer;
use crate::store::tx::Tx;
use crate::store::{ReceiptIn, Result};

/// Lost segments between two numbers that are remembered: more than one prove nothing.
const MAX_LOST: usize = 100;

/// Two numbers between which SMS travel.
pub(super) struct Pair<'a> {
    pub(super) link_group: &'a str,
    pub(super) destination: E164,
    pub(super) originator: String,
}

impl<'a> Pair<'a> {
    fn of(plan: &'a PlanRow) -> Self {
        Self {
            link_group: &plan.link_group,
            destination: plan.destination.0,
            originator: plan.originator.digits(),
        }
    }

    fn key(&self) -> String {
        evidence_key(self.link_group, self.destination.as_str(), &self.originator)
    }

    fn is_of(&self, plan: &PlanRow) -> bool {
        plan.link_group == self.link_group
            && plan.destination.0 == self.destination
            && plan.originator.digits() == self.originator
    }
}

/// The segment that a receipt proves sent, where it names two numbers.
pub(super) fn of_receipt(tx: &mut Tx<'_>, receipt: &ReceiptIn) -> Result<Option<Place>> {
    let Some(destination) = receipt.handset else {
        return Ok(None);
    };
    let pair = Pair {
        link_group: &receipt.link_group,
        destination,
        originator: receipt.originator.clone(),
    };
    find(tx, &pair)
}

/// The one segment without an answer between two numbers. Nothing where one that was given up could be
/// meant as well, for phones are off for longer than a hold lasts; and nothing while another one is on
/// the wire, whose answer may still claim the receipt.
fn find(tx: &mut Tx<'_>, pair: &Pair<'_>) -> Result<Option<Place>> {
    let candidates = tx.get::<Unanswered>(&pair.key())?;
    match candidates.as_deref().map(Vec::as_slice) {
        Some([only]) if !is_on_wire(tx, pair)? => Ok(Some((only.message, only.number))),
        _ => Ok(None),
    }
}

/// True while a segment between two numbers waits for its answer.
fn is_on_wire(tx: &mut Tx<'_>, pair: &Pair<'_>) -> Result<bool> {
    let on_wire = tx.indexes().messages.on_wire.iter();
    let to_phone: Vec<i64> = on_wire
        .filter(|(_, phone)| phone.0 == pair.destination)
        .map(|(key, _)| *key)
        .collect();
    let mut found = false;
    each(to_phone, |key| {
        found |= life::find(tx, key)?.is_some_and(|row| pair.is_of(&row));
        Ok(())
    })?;
    Ok(found)
}

/// From now on a receipt between the same two numbers may mean this segment.
pub(in crate::store) fn expect_evidence(
    tx: &mut Tx<'_>,
    row: &MessageRow,
    number: u8,
    lost: bool,
    until: Timestamp,
) -> Result<()> {
    let entry = UnansweredRow {
        message: row.key,
        number,
        lost,
        until,
    };
    tx.change::<Unanswered>(&Pair::of(row).key(), |all| add(all, entry))?;
    tx.set_timer(until, &Timer::Unanswered(row.key, number));
    Ok(())
}

fn add(all: &mut Vec<UnansweredRow>, entry: UnansweredRow) {
    all.retain(|other| (other.message, other.number) != (entry.message, entry.number));
    all.push(entry);
    if all.iter().filter(|row| row.lost).count() > MAX_LOST
        && let Some(oldest) = all.iter().position(|row| row.lost)
    {
        all.remove(oldest);
    }
}

/// No receipt between two numbers means this segment any more.
pub(in crate::store) fn forget_evidence(
    tx: &mut Tx<'_>,
    row: &MessageRow,
    number: u8,
) -> Result<()> {
    // No other has been without an answer.
    let may_be = row.segment(number).is_some_and(|segment| {
        matches!(segment.state, MessageState::Uncertain | MessageState::Lost)
    });
    if may_be {
        forget(tx, row, number)?;
    }
    Ok(())
}

fn forget(tx: &mut Tx<'_>, row: &MessageRow, number: u8) -> Result<()> {
    let key = Pair::of(row).key();
    let Some(all) = tx.get::<Unanswered>(&key)? else {
        return Ok(());
    };
    let is_it = |entry: &UnansweredRow| (entry.message, entry.number) == (row.key, number);
    let others: Vec<UnansweredRow> = all.iter().filter(|entry| !is_it(entry)).cloned().collect();
    if others.is_empty() {
        tx.delete::<Unanswered>(&key).map(drop)
    } else if others.len() < all.len() {
        tx.put::<Unanswered>(&key, others)
    } else {
        Ok(())
    }
}

/// Gives up on a segment whose hold ends, or forgets one that was given up long ago: what
/// [`Timer::Unanswered`] calls for.
pub(in crate::store) fn hold_is_over(
    tx: &mut Tx<'_>,
    key: i64,
    number: u8,
    now: Timestamp,
) -> Result<()> {
    let Some(row) = life::find(tx, key)? else {
        return Ok(());
    };
    let all = tx.get::<Unanswered>(&Pair::of(&row).key())?;
    let entry = all.as_deref().and_then(|all| {
        let is_it = |entry: &&UnansweredRow| (entry.message, entry.number) == (key, number);
        all.iter().find(is_it)
    });
    match entry {
        Some(entry) if entry.until > now => Ok(()),
        Some(entry) if entry.lost => forget(tx, &row, number),
        Some(_) => end_hold(tx, &row, number, now),
        None => Ok(()),
    }
}

fn end_hold(tx: &mut Tx<'_>, plan: &PlanRow, number: u8, now: Timestamp) -> Result<()> {
    match_parked_by_evidence(tx, plan, now)?;
    let Some(mut row) = life::message(tx, plan.key)? else {
        return Ok(());
    };
    let state = row.segment(number).map(|segment| segment.state);
    if state != Some(MessageState::Uncertain) {
        return forget(tx, &row, number);
    }
    let why = (now, "no receipt came in time".into());
    life::lose(tx, &mut row, number, why)?;
    life::save(tx, row, now)
}

/// Gives the one unanswered segment between a message's two numbers the one id that receipts
/// between them came for, if each is the only one. Receipts that are older than its last attempt, or
/// that came while another segment could be meant, prove nothing of it.
pub(in crate::store) fn match_parked_by_evidence(
    tx: &mut Tx<'_>,
    plan: &PlanRow,
    now: Timestamp,
) -> Result<()> {
    if !parked::any_parked(tx, &plan.link_group) {
        return Ok(());
    }
    let pair = Pair::of(plan);
    let Some((key, number)) = find(tx, &pair)? else {
        return Ok(());
    };
    let Some(mut row) = life::message(tx, key)? else {
        return Ok(());
    };
    let since = intended_at(&row, number);
    let parked = parked::between(tx, &pair, since)?;
    let Some(first) = parked.first() else {
        return Ok(());
    };
    let differ = parked.iter().any(|other| other.smsc_id != first.smsc_id);
    if differ {
        return Ok(());
    }
    for receipt in &parked {
        parked::unpark(tx, &mut row, number, receipt, now)?;
    }
    life::save(tx, row, now)
}

/// When a segment was last about to be written.
fn intended_at(row: &MessageRow, number: u8) -> Timestamp {
    let steps = row.steps.iter();
    let intents =
        steps.filter(|step| step.segment == Some(number) && step.state == MessageState::Intent);
    intents.map(|step| step.at).max().unwrap_or(Timestamp(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(message: i64, lost: bool) -> UnansweredRow {
        UnansweredRow {
            message,
            number: 1,
            lost,
            until: Timestamp(message),
        }
    }

    #[test]
    fn those_given_up_are_bounded_and_those_held_stay() {
        let mut all = Vec::new();
        add(&mut all, entry(1, false));
        (2..=200).for_each(|message| add(&mut all, entry(message, true)));
        assert_eq!(all.len(), MAX_LOST + 1);
        assert_eq!(all.first(), Some(&entry(1, false)));
        add(&mut all, entry(1, true));
        assert_eq!(all.len(), MAX_LOST);
        assert_eq!(all.last(), Some(&entry(1, true)));
    }
}
