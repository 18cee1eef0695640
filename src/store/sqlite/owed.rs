//! Receipts that accounts are owed: due, on the wire, taken.

use matrix_smpp_codec::values::{MessageState, Npi, RegisteredDelivery, Ton};
use rusqlite::{Connection, Row, params};

use super::rows::{self, Sql as _};
use crate::gateway::model::{TakenId, Timestamp};
use crate::store::{OwedReceipt, Party, ReceiptAnswer, ReceiptOutcome, Result};

/// The account of a submission that has ended is owed a receipt, if it asked for one.
pub(super) fn owe(tx: &Connection, id: TakenId) -> Result<()> {
    let ended = tx.one(
        "SELECT state, receipt FROM submission WHERE id = ?1",
        [id],
        |row| {
            let state = MessageState(row.get("state")?);
            Ok((state, RegisteredDelivery(row.get("receipt")?)))
        },
    )?;
    let is_owed = ended
        .is_some_and(|(state, receipt)| receipt.wants_receipt(state == MessageState::DELIVERED));
    if is_owed {
        tx.run(
            "INSERT INTO owed (id, link_group, due_at, until)
             SELECT id, link_group, ended_at, ended_at + receipt_age FROM submission WHERE id = ?1
             ON CONFLICT DO NOTHING",
            [id],
        )?;
    }
    Ok(())
}

pub(super) fn claim(
    tx: &Connection,
    link_group: &str,
    limit: usize,
    now: Timestamp,
) -> Result<Vec<OwedReceipt>> {
    let due = tx.all(
        "SELECT owed.id, owed.attempt, owed.retries, owed.resends, source_ton, source_npi, source,
             destination_ton, destination_npi, destination, state, at, ended_at
         FROM owed CROSS JOIN submission ON submission.id = owed.id
         WHERE on_wire = 0 AND owed.link_group = ?1 AND due_at <= ?2 AND until > ?2
         ORDER BY due_at, owed.id LIMIT ?3",
        params![link_group, now, rows::limit(limit)],
        read,
    )?;
    for receipt in &due {
        tx.run(
            "UPDATE owed SET on_wire = 1, attempt = ?2 WHERE id = ?1",
            params![receipt.id, receipt.attempt],
        )?;
    }
    Ok(due)
}

fn read(row: &Row<'_>) -> Result<OwedReceipt> {
    let party = |ton: &str, npi: &str, address: &str| -> Result<Party> {
        Ok(Party {
            ton: Ton(row.get(ton)?),
            npi: Npi(row.get(npi)?),
            address: row.get(address)?,
        })
    };
    Ok(OwedReceipt {
        id: row.get("id")?,
        attempt: row.get::<_, u32>("attempt")?.saturating_add(1),
        retries: row.get("retries")?,
        possible_duplicate: row.get::<_, u32>("resends")? > 0,
        source: party("source_ton", "source_npi", "source")?,
        destination: party("destination_ton", "destination_npi", "destination")?,
        state: MessageState(row.get("state")?),
        at: row.get("at")?,
        ended_at: row.get("ended_at")?,
    })
}

pub(super) fn next_due(tx: &Connection, link_group: &str) -> Result<Option<Timestamp>> {
    let due = tx.one(
        "SELECT min(due_at) FROM owed WHERE on_wire = 0 AND link_group = ?1",
        [link_group],
        |row| Ok(row.get(0)?),
    )?;
    Ok(due.flatten())
}

pub(super) fn record(tx: &Connection, answers: &[ReceiptAnswer], now: Timestamp) -> Result<()> {
    for answer in answers {
        let due = match answer.outcome {
            ReceiptOutcome::Over => {
                // Whichever attempt it answers, the account has it.
                tx.run("DELETE FROM owed WHERE id = ?1", [answer.id])?;
                continue;
            }
            ReceiptOutcome::NotWritten => (now, 0, 0),
            ReceiptOutcome::Retry { retry_at } => (retry_at, 1, 0),
            ReceiptOutcome::Uncertain => (now, 1, 1),
        };
        let (due_at, retries, resends) = due;
        tx.run(
            "UPDATE owed SET on_wire = 0, due_at = ?3, retries = retries + ?4, resends = resends + ?5
             WHERE id = ?1 AND attempt = ?2 AND on_wire = 1",
            params![answer.id, answer.attempt, due_at, retries, resends],
        )?;
    }
    Ok(())
}

/// What was on the wire when the gateway ended is sent again.
pub(super) fn recover(tx: &Connection, now: Timestamp) -> Result<()> {
    tx.run(
        "UPDATE owed SET on_wire = 0, due_at = ?1, resends = resends + 1 WHERE on_wire = 1",
        [now],
    )?;
    Ok(())
}
