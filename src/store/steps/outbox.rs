//! Things to do at the homeserver, in lanes.

use std::collections::HashSet;
use std::ops::Bound;

use super::sweep::each;
use super::{aside, messages, sms};
use crate::gateway::model::{OutboxId, SmsId, Timestamp};
use crate::store::tables::{AsideRow, Outbox, OutboxKeys, OutboxRow, number};
use crate::store::tx::{Sequence, Tx};
use crate::store::{Due, Ending, NewOutbox, OutboxEntry, OutboxItem, Result, StoreError};

pub(in crate::store) fn enqueue(
    tx: &mut Tx<'_>,
    entries: &[NewOutbox],
    now: Timestamp,
) -> Result<()> {
    // All are asked for before the first that is not at hand ends this run.
    let mut unknown = Ok(());
    for entry in entries {
        if let Err(error) = enqueue_one(tx, entry, now) {
            unknown = Err(error);
        }
    }
    unknown
}

fn enqueue_one(tx: &mut Tx<'_>, entry: &NewOutbox, now: Timestamp) -> Result<()> {
    if tx.has::<OutboxKeys>(&entry.key)? {
        return Ok(());
    }
    tx.insert::<OutboxKeys>(&entry.key, now.0);
    enqueue_news(tx, entry, now)
}

/// Queues what is known never to have been queued, and never is again.
pub(in crate::store) fn enqueue_news(
    tx: &mut Tx<'_>,
    entry: &NewOutbox,
    now: Timestamp,
) -> Result<()> {
    let id = tx.next(Sequence::Outbox)?;
    let row = OutboxRow {
        id,
        key: entry.key.clone(),
        lane: entry.lane.to_string(),
        item: entry.item.clone(),
        due_at: now,
        attempts: 0,
        error: None,
        queued_at: now,
        aside: None,
    };
    tx.insert::<Outbox>(&number(id), row);
    Ok(())
}

/// What is due, lane by lane. What cannot be read is passed over.
pub(in crate::store) fn due(tx: &mut Tx<'_>, due: &Due) -> Result<Vec<OutboxEntry>> {
    let busy: HashSet<&str> = due.busy.iter().map(String::as_str).collect();
    let outbox = &tx.indexes().outbox;
    let heads = outbox.heads.range(..=(due.now, i64::MAX));
    let free = heads.filter(|(_, lane)| !busy.contains(&***lane));
    let mut ids = Vec::new();
    for (_, lane) in free.take(due.lanes) {
        let entries = outbox.lanes.get(lane).into_iter().flatten();
        let ready = entries.take_while(|(_, entry)| entry.at <= due.now);
        ids.extend(ready.take(due.each).map(|(id, _)| *id));
    }
    // All are asked for before the first that is not at hand ends this run.
    let rows: Vec<_> = ids
        .into_iter()
        .map(|id| tx.get::<Outbox>(&number(id)))
        .collect();
    let mut entries = Vec::with_capacity(rows.len());
    let mut unread = Ok(());
    for row in rows {
        match row.and_then(|row| row.map(|row| entry(tx, &row)).transpose()) {
            Ok(entry) => entries.extend(entry),
            Err(StoreError::Corrupt(_)) => {}
            Err(error) => unread = Err(error),
        }
    }
    unread.map(|()| entries)
}

fn entry(tx: &mut Tx<'_>, row: &OutboxRow) -> Result<OutboxEntry> {
    let (mut message, mut said) = (None, None);
    match row.item {
        OutboxItem::MessageNews { message: id, .. } => message = messages::get(tx, id)?,
        OutboxItem::SmsText { sms, .. } => said = sms::nobodys(tx, sms)?,
        _ => {}
    }
    Ok(OutboxEntry {
        id: OutboxId(row.id),
        lane: row.lane.clone(),
        item: row.item.clone(),
        message,
        sms: said,
        attempts: row.attempts,
        queued_at: row.queued_at,
    })
}

pub(in crate::store) fn finish_said(tx: &mut Tx<'_>, ids: &[OutboxId]) -> Result<()> {
    each(ids, |id| finish(tx, *id, &Ending::Done))
}

pub(in crate::store) fn finish(tx: &mut Tx<'_>, id: OutboxId, ending: &Ending) -> Result<()> {
    let key = number(id.0);
    let Some(row) = tx.get::<Outbox>(&key)?.filter(|row| row.aside.is_none()) else {
        return Ok(());
    };
    match ending {
        Ending::Done => {
            tx.delete::<Outbox>(&key)?;
        }
        Ending::SetAside { reason, at, .. } => {
            let aside = AsideRow::new(reason, *at, row.queued_at);
            tx.update::<Outbox>(&key, |row| row.aside = Some(aside))?;
        }
    }
    if let Some(sms) = sms_of(&row.key) {
        sms::end_submissions(tx, sms, ending)?;
    }
    aside::tell(tx, ending, true)
}

/// The SMS that an entry says, by its key: in a room, or to the owner of a lease that has ended.
fn sms_of(key: &str) -> Option<SmsId> {
    key.strip_prefix("sms:")?.parse().ok().map(SmsId)
}

/// Puts an entry that was set aside back into its lane. True if it was.
pub(in crate::store) fn retry(tx: &mut Tx<'_>, id: OutboxId, now: Timestamp) -> Result<bool> {
    let key = number(id.0);
    let row = tx.get::<Outbox>(&key)?;
    if row.is_none_or(|row| row.aside.is_none()) {
        return Ok(false);
    }
    tx.update::<Outbox>(&key, |row| {
        row.aside = None;
        row.attempts = 0;
        row.due_at = now;
    })
}

pub(in crate::store) fn postpone(
    tx: &mut Tx<'_>,
    id: OutboxId,
    at: Timestamp,
    error: &str,
) -> Result<()> {
    let key = number(id.0);
    let row = tx.get::<Outbox>(&key)?;
    if row.is_none_or(|row| row.aside.is_some()) {
        return Ok(());
    }
    tx.update::<Outbox>(&key, |row| {
        row.due_at = at;
        row.error = Some(error.to_owned());
        row.attempts = row.attempts.saturating_add(1);
    })
    .map(drop)
}

pub(in crate::store) fn hurry(tx: &mut Tx<'_>, now: Timestamp) -> Result<()> {
    let postponed = &tx.indexes().outbox.postponed;
    let later = postponed.range((Bound::Excluded((now, i64::MAX)), Bound::Unbounded));
    let ids: Vec<i64> = later.map(|((_, id), _)| *id).collect();
    // All are asked for before the first that is not at hand ends this run.
    let mut unknown = Ok(());
    for id in ids {
        if let Err(error) = tx.update::<Outbox>(&number(id), |row| row.due_at = now) {
            unknown = Err(error);
        }
    }
    unknown
}

#[expect(
    clippy::unnecessary_wraps,
    reason = "an operation may fail, whoever runs it"
)]
pub(in crate::store) fn next_due(tx: &mut Tx<'_>, busy: &[String]) -> Result<Option<Timestamp>> {
    let busy: HashSet<&str> = busy.iter().map(String::as_str).collect();
    let mut postponed = tx.indexes().outbox.postponed.iter();
    let free = postponed.find(|(_, lane)| !busy.contains(&***lane));
    Ok(free.map(|((due, _), _)| *due))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_that_says_an_sms_is_known_by_its_key() {
        assert_eq!(sms_of("sms:17"), Some(SmsId(17)));
        for key in ["sms:", "sms:17:2", "news|17", "17"] {
            assert_eq!(sms_of(key), None, "{key}");
        }
    }
}
