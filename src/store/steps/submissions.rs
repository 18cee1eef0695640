//! What accounts that bind to us submit: known by our id until long after its end, withdrawn or
//! changed before it is said.
//!
//! A submission stands in [`Submissions`] until it has a final state, then in [`EndedSubmissions`].

use std::sync::Arc;

use bytes::Bytes;
use matrix_smpp_codec::udh::join;
use matrix_smpp_codec::values::{DataCoding, MessageState};

use super::sweep::each;
use super::{owed, parts, scheduled, sms};
use crate::gateway::model::{SmsId, TakenId, Timestamp};
use crate::store::tables::{
    EndedSubmissions, HomeRow, Partials, PartyRow, SubmissionRow, Submissions, number,
};
use crate::store::tx::Tx;
use crate::store::{
    Cancel, Replacement, Result, Sms, SmsIn, Submission, SubmissionHistory, SubmissionIn,
    SubmissionRef,
};

/// Notes what was submitted. One for nobody has reached its end at once, and so has a part of what was
/// withdrawn.
pub(super) fn begin(tx: &mut Tx<'_>, sms: &SmsIn, id: TakenId, home: HomeRow) -> Result<()> {
    let Some(submitted) = &sms.submitted else {
        return Ok(());
    };
    let ended = match &home {
        HomeRow::Sms(of) => {
            sms::change(tx, *of, |row| row.submissions.push(id.0))?;
            None
        }
        HomeRow::Partial(key) => {
            let partial = tx.get::<Partials>(key)?;
            let withdrawn = partial.and_then(|row| row.withdrawn);
            if withdrawn.is_none() {
                tx.update::<Partials>(key, |row| row.submissions.push(id.0))?;
            }
            withdrawn.map(MessageState)
        }
        HomeRow::Nowhere => Some(MessageState::UNDELIVERABLE),
    };
    tx.insert::<Submissions>(&number(id.0), row(sms, submitted, id, home));
    match ended {
        Some(state) => end(tx, id.0, state, Some(sms.at)),
        None => Ok(()),
    }
}

fn row(sms: &SmsIn, submitted: &SubmissionIn, id: TakenId, home: HomeRow) -> SubmissionRow {
    let age = i64::try_from(submitted.receipt_age.as_millis()).unwrap_or(i64::MAX);
    SubmissionRow {
        id: id.0,
        link_group: sms.link_group.clone(),
        home,
        source: PartyRow::from(&submitted.source),
        destination: PartyRow::from(&submitted.destination),
        data_coding: sms.data_coding.0,
        receipt: submitted.receipt.0,
        receipt_age: age,
        valid_until: submitted.valid_until,
        at: sms.at,
        state: MessageState::ENROUTE.0,
        said_at: None,
        ended_at: None,
        name: None,
        awaits_name: submitted.awaits_name,
    }
}

/// A submission, ended or not.
pub(super) fn find(tx: &mut Tx<'_>, id: i64) -> Result<Option<Arc<SubmissionRow>>> {
    let key = number(id);
    if tx.indexes().submissions.open.contains(&id) {
        tx.get::<Submissions>(&key)
    } else {
        tx.get::<EndedSubmissions>(&key)
    }
}

/// One that has not reached its end.
fn find_open(tx: &mut Tx<'_>, id: i64) -> Result<Option<Arc<SubmissionRow>>> {
    if !tx.indexes().submissions.open.contains(&id) {
        return Ok(None);
    }
    tx.get::<Submissions>(&number(id))
}

/// Changes a submission, ended or not.
fn change(tx: &mut Tx<'_>, id: i64, change: impl FnOnce(&mut SubmissionRow)) -> Result<()> {
    let key = number(id);
    if tx.indexes().submissions.open.contains(&id) {
        tx.update::<Submissions>(&key, change)?;
    } else {
        tx.update::<EndedSubmissions>(&key, change)?;
    }
    Ok(())
}

/// A long SMS with these submissions is whole, or as whole as it will be.
pub(super) fn moved(tx: &mut Tx<'_>, submissions: &[i64], sms: i64) -> Result<()> {
    submissions
        .iter()
        .try_for_each(|id| change(tx, *id, |row| row.home = HomeRow::Sms(sms)))
}

/// Gives a submission its final state, where it has none yet; then its receipt is owed, if one is.
/// Without a time it is when it was said.
fn end(tx: &mut Tx<'_>, id: i64, state: MessageState, at: Option<Timestamp>) -> Result<()> {
    let Some(row) = find_open(tx, id)? else {
        return Ok(());
    };
    let ended_at = at.or(row.said_at).map_or(row.at, |at| at.max(row.at));
    let ended = SubmissionRow {
        state: state.0,
        ended_at: Some(ended_at),
        ..SubmissionRow::clone(&row)
    };
    let key = number(id);
    tx.delete::<Submissions>(&key)?;
    owed::owe(tx, &ended, ended_at);
    // It ends once, so nothing is there yet.
    tx.insert::<EndedSubmissions>(&key, ended);
    Ok(())
}

/// An SMS reached its end, and so did what was submitted of it.
pub(super) fn end_sms(
    tx: &mut Tx<'_>,
    sms: SmsId,
    state: MessageState,
    at: Option<Timestamp>,
) -> Result<()> {
    of_sms(tx, sms.0)?
        .into_iter()
        .try_for_each(|id| end(tx, id, state, at))
}

fn of_sms(tx: &mut Tx<'_>, sms: i64) -> Result<Vec<i64>> {
    let row = sms::find(tx, sms)?;
    Ok(row.map_or_else(Vec::new, |row| row.submissions.clone()))
}

/// From now on it may have been said. `None` where it must not be.
pub(in crate::store) fn say(tx: &mut Tx<'_>, id: SmsId, now: Timestamp) -> Result<Option<Sms>> {
    let Some(row) = sms::find(tx, id.0)? else {
        return Ok(None);
    };
    if row.withdrawn {
        return Ok(None);
    }
    for submission in &row.submissions {
        let open = find_open(tx, *submission)?;
        let valid_until = open.and_then(|open| open.valid_until);
        if valid_until.is_some_and(|until| until <= now) {
            withdraw(tx, &HomeRow::Sms(id.0), MessageState::EXPIRED, now)?;
            return Ok(None);
        }
    }
    for submission in &row.submissions {
        change(tx, *submission, |row| row.said_at = Some(now))?;
    }
    Ok(sms::said_or_to_be(&row))
}

/// Takes the words out, so that nobody says them, and ends what was submitted of them.
fn withdraw(tx: &mut Tx<'_>, home: &HomeRow, state: MessageState, now: Timestamp) -> Result<usize> {
    let ids = match home {
        HomeRow::Sms(sms) => {
            let ids = of_sms(tx, *sms)?;
            sms::withdraw(tx, *sms)?;
            ids
        }
        HomeRow::Partial(key) => parts::withdraw(tx, key, state, now)?,
        HomeRow::Nowhere => Vec::new(),
    };
    for id in &ids {
        end(tx, *id, state, Some(now))?;
    }
    Ok(ids.len())
}

/// The home of a submission that cannot have been said yet.
fn silent_home(tx: &mut Tx<'_>, id: i64) -> Result<Option<HomeRow>> {
    let row = find_open(tx, id)?.filter(|row| row.said_at.is_none());
    let home = row.map(|row| row.home.clone());
    Ok(home.filter(|home| *home != HomeRow::Nowhere))
}

/// What a reference names, where all of it fits.
fn named(tx: &mut Tx<'_>, of: &SubmissionRef) -> Result<Option<Arc<SubmissionRow>>> {
    let fits = |row: &Arc<SubmissionRow>| {
        row.link_group == of.link_group && row.source.address == of.source
    };
    Ok(find(tx, of.id.0)?.filter(fits))
}

pub(in crate::store) fn get(tx: &mut Tx<'_>, of: &SubmissionRef) -> Result<Option<Submission>> {
    let row = named(tx, of)?;
    Ok(row.map(|row| Submission {
        state: MessageState(row.state),
        ended_at: row.ended_at,
    }))
}

pub(in crate::store) fn explain(
    tx: &mut Tx<'_>,
    id: TakenId,
    name: &str,
) -> Result<Option<SubmissionHistory>> {
    let Some(row) = find(tx, id.0)? else {
        return Ok(None);
    };
    let (mut recipient, mut aside, mut due_at) = (None, None, None);
    match &row.home {
        HomeRow::Sms(sms) => {
            let sms = sms::find(tx, *sms)?;
            recipient = sms.as_ref().map(|sms| sms.recipient.to_string());
            due_at = sms.as_ref().and_then(|sms| sms.due_at);
            aside = sms.and_then(|sms| sms.aside.as_ref().map(|aside| aside.reason.clone()));
        }
        HomeRow::Partial(key) => {
            let partial = tx.get::<Partials>(key)?;
            recipient = partial.as_ref().map(|row| row.recipient.to_string());
            due_at = partial.and_then(|row| row.due_at);
        }
        HomeRow::Nowhere => {}
    }
    Ok(Some(SubmissionHistory {
        id: name.to_owned(),
        account: row.link_group.clone(),
        state: row.state,
        recipient,
        waits_for_parts: row.ended_at.is_none() && matches!(row.home, HomeRow::Partial(_)),
        aside,
        at: row.at,
        due_at,
        valid_until: row.valid_until,
        said_at: row.said_at,
        ended_at: row.ended_at,
        receipt: owed::history(tx, &row)?,
    }))
}

/// Gives submissions, ended or not, one name together. Says the same again to the same.
pub(in crate::store) fn name(tx: &mut Tx<'_>, ids: &[TakenId], name: &str) -> Result<()> {
    let keys: Vec<String> = ids.iter().map(|id| number(id.0)).collect();
    tx.fetch::<Submissions>(keys.iter().map(String::as_str));
    tx.fetch::<EndedSubmissions>(keys.iter().map(String::as_str));
    each(ids, |id| {
        let waited = find(tx, id.0)?.filter(|row| row.awaits_name);
        change(tx, id.0, |row| {
            row.name = Some(name.to_owned());
            row.awaits_name = false;
        })?;
        waited.map_or(Ok(()), |row| owed::named(tx, &row))
    })
}

pub(in crate::store) fn cancel(tx: &mut Tx<'_>, which: &Cancel, now: Timestamp) -> Result<usize> {
    let ids = match which {
        Cancel::One(of) => named(tx, of)?.map(|row| row.id).into_iter().collect(),
        Cancel::Between {
            link_group,
            source,
            destination,
        } => between(tx, (link_group, source, destination)),
    };
    let mut cancelled = 0;
    for id in ids {
        // A part of a long SMS goes with the others, so this may find it gone.
        if let Some(home) = silent_home(tx, id)? {
            cancelled += withdraw(tx, &home, MessageState::DELETED, now)?;
        }
    }
    Ok(cancelled)
}

/// The submissions of an account between two addresses that have not reached their end.
fn between(tx: &mut Tx<'_>, (link_group, source, destination): (&str, &str, &str)) -> Vec<i64> {
    let addresses = (
        link_group.to_owned(),
        source.to_owned(),
        destination.to_owned(),
    );
    let found = tx.indexes().submissions.between.get(&addresses);
    let ids: Vec<i64> = found.into_iter().flatten().copied().collect();
    let keys: Vec<String> = ids.iter().map(|id| number(*id)).collect();
    tx.fetch::<Submissions>(keys.iter().map(String::as_str));
    ids
}

pub(in crate::store) fn replace(tx: &mut Tx<'_>, by: &Replacement) -> Result<bool> {
    let Some(row) = named(tx, &by.of)? else {
        return Ok(false);
    };
    let Some(HomeRow::Sms(sms)) = silent_home(tx, row.id)? else {
        return Ok(false);
    };
    if of_sms(tx, sms)?.len() > 1 {
        return Ok(false);
    }
    // What stands in the line already is not taken out of it. With its time the SMS may get another
    // number, so its words come first.
    let scheduled = tx.indexes().scheduled.contains(&sms);
    if !scheduled && by.deliver_at.is_some_and(|at| at > by.at) {
        return Ok(false);
    }
    let text = join(&[(DataCoding(row.data_coding), Bytes::clone(&by.payload))]);
    sms::change(tx, sms, |row| row.text = text)?;
    change(tx, row.id, |row| {
        row.receipt = by.receipt.0;
        row.valid_until = by.valid_until.or(row.valid_until);
    })?;
    if let Some(deliver_at) = by.deliver_at {
        scheduled::put_off(tx, sms, deliver_at, by.at)?;
    }
    Ok(true)
}

/// Withdraws what could not be said within its validity.
pub(super) fn expire(tx: &mut Tx<'_>, now: Timestamp, limit: usize) -> Result<usize> {
    let valid = &tx.indexes().submissions.valid;
    let over = valid.range(..=(now, i64::MAX)).take(limit);
    let over: Vec<i64> = over.map(|(_, id)| *id).collect();
    let keys: Vec<String> = over.iter().map(|id| number(*id)).collect();
    tx.fetch::<Submissions>(keys.iter().map(String::as_str));
    for id in &over {
        match silent_home(tx, *id)? {
            Some(home) => drop(withdraw(tx, &home, MessageState::EXPIRED, now)?),
            None => end(tx, *id, MessageState::EXPIRED, Some(now))?,
        }
    }
    Ok(over.len())
}
