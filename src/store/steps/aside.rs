//! What was set aside: listed, put back, ended.

use super::{messages, outbox};
use crate::gateway::model::{InboxSeq, OutboxId, SmsId, Timestamp};
use crate::store::indexes::Waiting;
use crate::store::table::Table;
use crate::store::tables::{AsideRow, EndedSms, Events, Inbox, Outbox, Sms, event_key, number};
use crate::store::tx::Tx;
use crate::store::{Aside, AsideId, Ending, Result, StoreError};

impl AsideRow {
    /// That something of `since` is set aside at `at`.
    pub(in crate::store) fn new(reason: &str, at: Timestamp, since: Timestamp) -> Self {
        Self {
            reason: reason.to_owned(),
            at: at.max(since),
        }
    }
}

/// Queues what people hear of an item that was set aside, where this call did set it aside.
pub(in crate::store) fn tell(tx: &mut Tx<'_>, ending: &Ending, ended: bool) -> Result<()> {
    match ending {
        Ending::SetAside {
            tell: Some(entry),
            at,
            ..
        } if ended => outbox::enqueue(tx, std::slice::from_ref(entry), *at),
        _ => Ok(()),
    }
}

pub(in crate::store) fn list(tx: &mut Tx<'_>, limit: usize) -> Result<Vec<Aside>> {
    let first =
        |waiting: &Waiting| -> Vec<_> { waiting.aside.iter().take(limit).copied().collect() };
    let indexes = tx.indexes();
    let (events, sms) = (first(&indexes.inbox), first(&indexes.sms));
    let outbox: Vec<_> = indexes.outbox.aside.iter().take(limit).copied().collect();
    let events = list_of::<Inbox>(
        tx,
        events,
        |seq| AsideId::Event(InboxSeq(seq)),
        |row| (row.event.to_string(), row.aside.clone()),
    );
    let sms = list_of::<Sms>(
        tx,
        sms,
        |id| AsideId::Sms(SmsId(id)),
        |row| (row.link_group.clone(), row.aside.clone()),
    );
    let outbox = list_of::<Outbox>(
        tx,
        outbox,
        |id| AsideId::Outbox(OutboxId(id)),
        |row| (row.item.kind().to_owned(), row.aside.clone()),
    );
    Ok([events?, sms?, outbox?].concat())
}

/// The list of one kind. What cannot be read is in it all the same.
fn list_of<T: Table>(
    tx: &mut Tx<'_>,
    found: Vec<(Timestamp, i64)>,
    id: fn(i64) -> AsideId,
    read: fn(&T::Row) -> (String, Option<AsideRow>),
) -> Result<Vec<Aside>> {
    // All are asked for before the first that is not at hand ends this run.
    let rows: Vec<_> = found
        .into_iter()
        .map(|(at, place)| (at, place, tx.get::<T>(&number(place))))
        .collect();
    let mut list = Vec::with_capacity(rows.len());
    for (at, place, row) in rows {
        let (about, reason) = match row {
            Ok(Some(row)) => {
                let (about, aside) = read(&row);
                (about, aside.map(|aside| aside.reason).unwrap_or_default())
            }
            Ok(None) => continue,
            Err(StoreError::Corrupt(reason)) => ("unreadable".to_owned(), reason),
            Err(error) => return Err(error),
        };
        list.push(Aside {
            id: id(place),
            at,
            about,
            reason,
        });
    }
    Ok(list)
}

pub(in crate::store) fn retry(tx: &mut Tx<'_>, id: AsideId, now: Timestamp) -> Result<bool> {
    if !is_aside(tx, id)? {
        return Ok(false);
    }
    match id {
        AsideId::Event(seq) => tx.update::<Inbox>(&number(seq.0), |row| row.aside = None),
        AsideId::Sms(sms) => tx.update::<Sms>(&number(sms.0), |row| row.aside = None),
        AsideId::Outbox(entry) => outbox::retry(tx, entry, now),
    }
}

pub(in crate::store) fn end(tx: &mut Tx<'_>, id: AsideId, now: Timestamp) -> Result<bool> {
    if !is_aside(tx, id)? {
        return Ok(false);
    }
    match id {
        AsideId::Event(seq) => end_event(tx, seq, now)?,
        AsideId::Sms(sms) => end_sms(tx, sms)?,
        AsideId::Outbox(entry) => drop(tx.delete::<Outbox>(&number(entry.0))?),
    }
    Ok(true)
}

fn is_aside(tx: &mut Tx<'_>, id: AsideId) -> Result<bool> {
    Ok(match id {
        AsideId::Event(seq) => {
            let row = tx.get::<Inbox>(&number(seq.0))?;
            row.is_some_and(|row| row.aside.is_some())
        }
        AsideId::Sms(sms) => {
            let row = tx.get::<Sms>(&number(sms.0))?;
            row.is_some_and(|row| row.aside.is_some())
        }
        AsideId::Outbox(entry) => {
            let row = tx.get::<Outbox>(&number(entry.0))?;
            row.is_some_and(|row| row.aside.is_some())
        }
    })
}

fn end_sms(tx: &mut Tx<'_>, id: SmsId) -> Result<()> {
    let key = number(id.0);
    let Some(row) = tx.get::<Sms>(&key)? else {
        return Ok(());
    };
    let mut ended = (*row).clone();
    ended.aside = None;
    tx.delete::<Sms>(&key)?;
    tx.put::<EndedSms>(&key, ended)
}

fn end_event(tx: &mut Tx<'_>, seq: InboxSeq, now: Timestamp) -> Result<()> {
    let key = number(seq.0);
    let Some(row) = tx.get::<Inbox>(&key)? else {
        return Ok(());
    };
    tx.delete::<Inbox>(&key)?;
    let known = tx.get::<Events>(&event_key(&row.homeserver, row.event.as_str()))?;
    let said = known
        .map(|known| known.messages.clone())
        .unwrap_or_default();
    for key in said {
        messages::take_back(tx, key, (now, "dropped"))?;
    }
    Ok(())
}
