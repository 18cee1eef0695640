//! Receipts that accounts are owed: due, on the wire, taken.

use matrix_smpp_codec::values::{MessageState, RegisteredDelivery};

use crate::gateway::model::{TakenId, Timestamp};
use crate::store::tables::{EndedSubmissions, Owed, OwedRow, SubmissionRow, number};
use crate::store::tx::Tx;
use crate::store::{OwedReceipt, ReceiptAnswer, ReceiptHistory, ReceiptOutcome, Result};

/// How long a receipt waits for a name, in milliseconds: whoever was not answered before a crash brings
/// the same again, and then has it.
const NAMED_WITHIN: i64 = 60_000;

/// The account of a submission that ends now is owed a receipt, if it asked for one.
pub(super) fn owe(tx: &mut Tx<'_>, submission: &SubmissionRow, ended_at: Timestamp) {
    let is_delivered = submission.state == MessageState::DELIVERED.0;
    if !RegisteredDelivery(submission.receipt).wants_receipt(is_delivered) {
        return;
    }
    let wait = if submission.awaits_name {
        NAMED_WITHIN.min(submission.receipt_age / 2)
    } else {
        0
    };
    let row = OwedRow {
        id: submission.id,
        link_group: submission.link_group.clone(),
        due_at: Timestamp(ended_at.0.saturating_add(wait)),
        until: Timestamp(ended_at.0.saturating_add(submission.receipt_age)),
        on_wire: false,
        attempt: 0,
        retries: 0,
        resends: 0,
    };
    // It ends once, so nothing is owed yet.
    tx.insert::<Owed>(&number(submission.id), row);
}

/// The receipt of a submission need not wait for its name any more.
pub(super) fn named(tx: &mut Tx<'_>, submission: &SubmissionRow) -> Result<()> {
    let key = number(submission.id);
    let waits = |row: &OwedRow| !row.on_wire && row.attempt == 0;
    let Some(ended_at) = submission.ended_at else {
        return Ok(());
    };
    if tx.get::<Owed>(&key)?.as_deref().is_some_and(waits) {
        tx.update::<Owed>(&key, |row| row.due_at = ended_at)?;
    }
    Ok(())
}

pub(in crate::store) fn claim(
    tx: &mut Tx<'_>,
    link_group: &str,
    limit: usize,
    now: Timestamp,
) -> Result<Vec<OwedReceipt>> {
    let keys: Vec<String> = due(tx, link_group, limit, now)
        .into_iter()
        .map(number)
        .collect();
    tx.fetch::<Owed>(keys.iter().map(String::as_str));
    tx.fetch::<EndedSubmissions>(keys.iter().map(String::as_str));
    let mut claimed = Vec::with_capacity(keys.len());
    for key in keys {
        let (Some(row), Some(of)) = (tx.get::<Owed>(&key)?, tx.get::<EndedSubmissions>(&key)?)
        else {
            continue;
        };
        let attempt = row.attempt.saturating_add(1);
        tx.update::<Owed>(&key, |row| {
            row.on_wire = true;
            row.attempt = attempt;
        })?;
        claimed.push(receipt(&row, &of, attempt));
    }
    Ok(claimed)
}

/// The first receipts of a link group that are due and not given up.
fn due(tx: &Tx<'_>, link_group: &str, limit: usize, now: Timestamp) -> Vec<i64> {
    let Some(waiting) = tx.indexes().owed.due.get(link_group) else {
        return Vec::new();
    };
    waiting
        .range(..=(now, i64::MAX))
        .filter(|(_, until)| **until > now)
        .map(|((_, id), _)| *id)
        .take(limit)
        .collect()
}

fn receipt(row: &OwedRow, of: &SubmissionRow, attempt: u32) -> OwedReceipt {
    OwedReceipt {
        id: TakenId(row.id),
        name: of.name.clone(),
        attempt,
        retries: row.retries,
        possible_duplicate: row.resends > 0,
        source: (&of.source).into(),
        destination: (&of.destination).into(),
        state: MessageState(of.state),
        at: of.at,
        ended_at: of.ended_at.unwrap_or(of.at),
    }
}

/// How far the receipt of a submission is.
pub(super) fn history(tx: &mut Tx<'_>, of: &SubmissionRow) -> Result<ReceiptHistory> {
    if let Some(row) = tx.get::<Owed>(&number(of.id))? {
        return Ok(ReceiptHistory::Owed {
            attempts: row.attempt,
            due_at: (!row.on_wire).then_some(row.due_at),
            until: row.until,
        });
    }
    let wanted = RegisteredDelivery(of.receipt);
    let is_delivered = of.state == MessageState::DELIVERED.0;
    Ok(match of.ended_at {
        None if wanted.wants_receipt(true) || wanted.wants_receipt(false) => ReceiptHistory::NotYet,
        Some(_) if wanted.wants_receipt(is_delivered) => ReceiptHistory::Over,
        _ => ReceiptHistory::NotWanted,
    })
}

pub(in crate::store) fn next_due(tx: &Tx<'_>, link_group: &str) -> Option<Timestamp> {
    let waiting = tx.indexes().owed.due.get(link_group)?;
    let ((due_at, _), _) = waiting.first_key_value()?;
    Some(*due_at)
}

pub(in crate::store) fn record(
    tx: &mut Tx<'_>,
    answers: &[ReceiptAnswer],
    now: Timestamp,
) -> Result<()> {
    let keys: Vec<String> = answers.iter().map(|answer| number(answer.id.0)).collect();
    tx.fetch::<Owed>(keys.iter().map(String::as_str));
    for (answer, key) in answers.iter().zip(&keys) {
        let (due_at, retries, resends) = match answer.outcome {
            ReceiptOutcome::Over => {
                // Whichever attempt it answers, the account has it.
                tx.delete::<Owed>(key)?;
                continue;
            }
            ReceiptOutcome::NotWritten => (now, 0, 0),
            ReceiptOutcome::Retry { retry_at } => (retry_at, 1, 0),
            ReceiptOutcome::Uncertain => (now, 1, 1),
        };
        let is_its_answer = |row: &OwedRow| row.on_wire && row.attempt == answer.attempt;
        if tx.get::<Owed>(key)?.as_deref().is_some_and(is_its_answer) {
            tx.update::<Owed>(key, |row| {
                row.on_wire = false;
                row.due_at = due_at;
                row.retries = row.retries.saturating_add(retries);
                row.resends = row.resends.saturating_add(resends);
            })?;
        }
    }
    Ok(())
}

/// What was on the wire when the gateway ended is sent again.
pub(in crate::store) fn recover(tx: &mut Tx<'_>, now: Timestamp) -> Result<()> {
    let on_wire = tx.indexes().owed.on_wire.iter();
    let keys: Vec<String> = on_wire.map(|id| number(*id)).collect();
    tx.fetch::<Owed>(keys.iter().map(String::as_str));
    for key in keys {
        tx.update::<Owed>(&key, |row| {
            row.on_wire = false;
            row.due_at = now;
            row.resends = row.resends.saturating_add(1);
        })?;
    }
    Ok(())
}

/// Gives up receipts that their accounts did not fetch in time.
pub(super) fn forget(tx: &mut Tx<'_>, now: Timestamp, limit: usize) -> Result<usize> {
    let until = tx.indexes().owed.until.range(..=(now, i64::MAX));
    let keys: Vec<String> = until.take(limit).map(|(_, id)| number(*id)).collect();
    tx.fetch::<Owed>(keys.iter().map(String::as_str));
    for key in &keys {
        tx.delete::<Owed>(key)?;
    }
    Ok(keys.len())
}
