//! What accounts that bind to us submit: known by our id until long after its end, withdrawn or
//! changed before it is said.

use bytes::Bytes;
use matrix_smpp_codec::udh::join;
use matrix_smpp_codec::values::{DataCoding, MessageState};
use rusqlite::{Connection, params};

use super::rows::{self, Sql as _};
use super::{owed, sms};
use crate::gateway::model::{SmsId, TakenId, Timestamp};
use crate::store::{
    Cancel, Replacement, Result, Sms, SmsIn, Submission, SubmissionIn, SubmissionRef,
};

/// Where the words of a submission are.
#[derive(Clone, Copy)]
pub(super) enum Home {
    /// In a whole SMS.
    Sms(i64),
    /// In a long SMS that waits for parts.
    Partial(i64),
    /// Nowhere: it is for nobody.
    Nowhere,
}

impl Home {
    fn sms(self) -> Option<i64> {
        match self {
            Self::Sms(id) => Some(id),
            Self::Partial(_) | Self::Nowhere => None,
        }
    }

    fn partial(self) -> Option<i64> {
        match self {
            Self::Partial(id) => Some(id),
            Self::Sms(_) | Self::Nowhere => None,
        }
    }
}

/// Notes what was submitted. One for nobody has reached its end at once.
pub(super) fn begin(tx: &Connection, sms: &SmsIn, id: TakenId, home: Home) -> Result<()> {
    let Some(submitted) = &sms.submitted else {
        return Ok(());
    };
    insert(tx, sms, submitted, id, home)?;
    if matches!(home, Home::Nowhere) {
        end(tx, id, MessageState::UNDELIVERABLE, Some(sms.at))?;
    }
    Ok(())
}

fn insert(
    tx: &Connection,
    sms: &SmsIn,
    submitted: &SubmissionIn,
    id: TakenId,
    home: Home,
) -> Result<()> {
    let SubmissionIn {
        source,
        destination,
        ..
    } = submitted;
    let age = i64::try_from(submitted.receipt_age.as_millis()).unwrap_or(i64::MAX);
    tx.run(
        "INSERT INTO submission (id, link_group, sms, partial, source_ton, source_npi, source,
             destination_ton, destination_npi, destination, data_coding, receipt, receipt_age,
             valid_until, at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)",
        params![
            id,
            sms.link_group,
            home.sms(),
            home.partial(),
            source.ton.0,
            source.npi.0,
            source.address,
            destination.ton.0,
            destination.npi.0,
            destination.address,
            sms.data_coding.0,
            submitted.receipt.0,
            age,
            submitted.valid_until,
            sms.at
        ],
    )?;
    Ok(())
}

/// A long SMS is whole, or as whole as it will be.
pub(super) fn moved(tx: &Connection, partial: i64, sms: i64) -> Result<()> {
    tx.run(
        "UPDATE submission SET sms = ?2, partial = NULL WHERE partial = ?1",
        [partial, sms],
    )?;
    Ok(())
}

/// Gives a submission its final state, where it has none yet; then its receipt is owed, if one is.
/// Without a time it is when it was said.
fn end(tx: &Connection, id: TakenId, state: MessageState, at: Option<Timestamp>) -> Result<()> {
    let ended = tx.run(
        "UPDATE submission SET state = ?2, ended_at = max(coalesce(?3, said_at, at), at)
         WHERE id = ?1 AND state = 1",
        params![id, state.0, at],
    )?;
    if ended > 0 {
        owed::owe(tx, id)?;
    }
    Ok(())
}

/// An SMS reached its end, and so did what was submitted of it.
pub(super) fn end_sms(
    tx: &Connection,
    sms: SmsId,
    state: MessageState,
    at: Option<Timestamp>,
) -> Result<()> {
    of_sms(tx, sms.0)?
        .into_iter()
        .try_for_each(|id| end(tx, id, state, at))
}

fn of_sms(tx: &Connection, sms: i64) -> Result<Vec<TakenId>> {
    tx.all("SELECT id FROM submission WHERE sms = ?1", [sms], |row| {
        Ok(row.get(0)?)
    })
}

fn of_partial(tx: &Connection, partial: i64) -> Result<Vec<TakenId>> {
    tx.all(
        "SELECT id FROM submission WHERE partial = ?1",
        [partial],
        |row| Ok(row.get(0)?),
    )
}

pub(super) fn is_submitted(tx: &Connection, sms: SmsId) -> Result<bool> {
    tx.any("SELECT 1 FROM submission WHERE sms = ?1 LIMIT 1", [sms])
}

/// From now on it may have been said. `None` where it must not be.
pub(super) fn say(tx: &Connection, id: SmsId, now: Timestamp) -> Result<Option<Sms>> {
    let over = tx.any(
        "SELECT 1 FROM submission WHERE sms = ?1 AND state = 1 AND valid_until <= ?2 LIMIT 1",
        params![id, now],
    )?;
    if over {
        withdraw(tx, Home::Sms(id.0), MessageState::EXPIRED, now)?;
    }
    let found = sms::get(tx, id)?;
    if found.is_some() {
        tx.run(
            "UPDATE submission SET said_at = ?2 WHERE sms = ?1",
            params![id, now],
        )?;
    }
    Ok(found)
}

/// Takes the words out, so that nobody says them, and ends what was submitted of them.
fn withdraw(tx: &Connection, home: Home, state: MessageState, now: Timestamp) -> Result<usize> {
    let ids = match home {
        Home::Sms(sms) => {
            tx.run(
                "UPDATE sms SET withdrawn = 1, text = '', progress = 1, reason = NULL,
                     ended_at = max(?2, at) WHERE id = ?1",
                params![sms, now],
            )?;
            of_sms(tx, sms)?
        }
        Home::Partial(partial) => {
            tx.run("DELETE FROM part WHERE partial = ?1", [partial])?;
            tx.run("DELETE FROM partial WHERE id = ?1", [partial])?;
            of_partial(tx, partial)?
        }
        Home::Nowhere => Vec::new(),
    };
    for id in &ids {
        end(tx, *id, state, Some(now))?;
    }
    Ok(ids.len())
}

/// The home of a submission that cannot have been said yet.
fn silent_home(tx: &Connection, id: TakenId) -> Result<Option<Home>> {
    let home = tx.one(
        "SELECT sms, partial FROM submission WHERE id = ?1 AND state = 1 AND said_at IS NULL",
        [id],
        |row| Ok((row.get::<_, Option<i64>>(0)?, row.get::<_, Option<i64>>(1)?)),
    )?;
    Ok(home.and_then(|home| match home {
        (Some(sms), _) => Some(Home::Sms(sms)),
        (None, Some(partial)) => Some(Home::Partial(partial)),
        (None, None) => None,
    }))
}

pub(super) fn get(tx: &Connection, of: &SubmissionRef) -> Result<Option<Submission>> {
    tx.one(
        "SELECT state, ended_at FROM submission WHERE id = ?1 AND link_group = ?2 AND source = ?3",
        params![of.id, of.link_group, of.source],
        |row| {
            Ok(Submission {
                state: MessageState(row.get("state")?),
                ended_at: row.get("ended_at")?,
            })
        },
    )
}

pub(super) fn cancel(tx: &Connection, which: &Cancel, now: Timestamp) -> Result<usize> {
    let ids: Vec<TakenId> = match which {
        Cancel::One(of) => get(tx, of)?.map(|_| of.id).into_iter().collect(),
        Cancel::Between {
            link_group,
            source,
            destination,
        } => tx.all(
            "SELECT id FROM submission
             WHERE link_group = ?1 AND source = ?2 AND destination = ?3 AND state = 1",
            params![link_group, source, destination],
            |row| Ok(row.get(0)?),
        )?,
    };
    let mut cancelled = 0;
    for id in ids {
        // A part of a long SMS goes with the others, so this may find it gone.
        if let Some(home) = silent_home(tx, id)? {
            cancelled += withdraw(tx, home, MessageState::DELETED, now)?;
        }
    }
    Ok(cancelled)
}

pub(super) fn replace(tx: &Connection, by: &Replacement) -> Result<bool> {
    if get(tx, &by.of)?.is_none() {
        return Ok(false);
    }
    let Some(Home::Sms(sms)) = silent_home(tx, by.of.id)? else {
        return Ok(false);
    };
    if of_sms(tx, sms)?.len() > 1 {
        return Ok(false);
    }
    let coding = tx.number(
        "SELECT data_coding FROM submission WHERE id = ?1",
        [by.of.id],
    )?;
    let coding = DataCoding(u8::try_from(coding).unwrap_or_default());
    let text = join(&[(coding, Bytes::clone(&by.payload))]);
    tx.run("UPDATE sms SET text = ?2 WHERE id = ?1", params![sms, text])?;
    tx.run(
        "UPDATE submission SET receipt = ?2, valid_until = ifnull(?3, valid_until) WHERE id = ?1",
        params![by.of.id, by.receipt.0, by.valid_until],
    )?;
    Ok(true)
}

/// Withdraws what could not be said within its validity.
pub(super) fn expire(tx: &Connection, now: Timestamp, limit: usize) -> Result<usize> {
    let over: Vec<TakenId> = tx.all(
        "SELECT id FROM submission
         WHERE state = 1 AND said_at IS NULL AND valid_until IS NOT NULL AND valid_until <= ?1
         ORDER BY valid_until LIMIT ?2",
        params![now, rows::limit(limit)],
        |row| Ok(row.get(0)?),
    )?;
    for id in &over {
        match silent_home(tx, *id)? {
            Some(home) => drop(withdraw(tx, home, MessageState::EXPIRED, now)?),
            None => end(tx, *id, MessageState::EXPIRED, Some(now))?,
        }
    }
    Ok(over.len())
}
