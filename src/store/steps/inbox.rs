//! What homeservers say: events, each once.

use std::collections::HashSet;
use std::ops::Bound;

use ruma::{OwnedEventId, ServerName};
use serde::Deserialize;
use serde_json::Value;

use super::aside;
use super::sweep::each;
use crate::gateway::model::InboxSeq;
use crate::store::tables::{
    AsideRow, EventRow, Events, Extras, ExtrasRow, Inbox, InboxRow, event_key, extras_key, number,
};
use crate::store::tx::{Sequence, Tx};
use crate::store::{Ending, InboxEvent, NewEvent, Result, StoreError, Taken, Transaction};

pub(in crate::store) fn take_transaction(
    tx: &mut Tx<'_>,
    transaction: &Transaction,
) -> Result<Taken> {
    let fresh = fresh(tx, transaction)?;
    let new = fresh.len();
    let is_more = fresh.iter().any(|one| !one.event.is_over);
    let waiting = tx.indexes().inbox.pending.len();
    // One transaction more than that: it may bring more events than may wait.
    if is_more && waiting >= transaction.most_waiting {
        let reason = format!("{waiting} events wait: see [limits] inbox_events");
        return Err(StoreError::Unavailable(reason));
    }
    if new > 0 {
        let count = i64::try_from(new).unwrap_or(i64::MAX);
        let first = tx.next_of(Sequence::Inbox, count)?;
        for (seq, fresh) in (first..).zip(fresh) {
            take(tx, transaction, &fresh, seq)?;
        }
    }
    if let Some(json) = &transaction.extras {
        take_extras(tx, transaction, json)?;
    }
    Ok(Taken {
        new,
        repeated: transaction.events.len() - new,
    })
}

/// An event that has not come before.
struct Fresh<'a> {
    event: &'a NewEvent,
    key: String,
    /// Messages name it already.
    is_named: bool,
}

/// The events of a transaction that have not come before, each once.
fn fresh<'a>(tx: &mut Tx<'_>, transaction: &'a Transaction) -> Result<Vec<Fresh<'a>>> {
    let events = transaction.events.iter();
    let mut seen = HashSet::with_capacity(transaction.events.len());
    let once: Vec<(&NewEvent, String)> = events
        .filter(|event| seen.insert(event.event_id.as_str()))
        .map(|event| {
            let key = event_key(&transaction.homeserver, event.event_id.as_str());
            (event, key)
        })
        .collect();
    tx.fetch::<Events>(once.iter().map(|(_, key)| key.as_str()));
    let mut fresh = Vec::with_capacity(once.len());
    each(once, |(event, key)| {
        let known = tx.get::<Events>(&key)?;
        if known.as_ref().is_none_or(|known| known.seq == 0) {
            let is_named = known.is_some();
            fresh.push(Fresh {
                event,
                key,
                is_named,
            });
        }
        Ok(())
    })?;
    Ok(fresh)
}

/// Those that have not come, in their order.
pub(in crate::store) fn unknown(
    tx: &mut Tx<'_>,
    homeserver: &ServerName,
    events: &[OwnedEventId],
) -> Result<Vec<OwnedEventId>> {
    let mut unknown = Vec::new();
    // All are asked for before the first that is not at hand ends this run.
    let mut unread = Ok(());
    for event in events {
        match tx.get::<Events>(&event_key(homeserver, event.as_str())) {
            Ok(Some(known)) if known.seq > 0 => {}
            Ok(_) => unknown.push(event.clone()),
            Err(error) => unread = Err(error),
        }
    }
    unread.map(|()| unknown)
}

fn take(tx: &mut Tx<'_>, from: &Transaction, fresh: &Fresh<'_>, seq: i64) -> Result<()> {
    let row = InboxRow {
        seq,
        homeserver: from.homeserver.clone(),
        event: fresh.event.event_id.clone(),
        room: fresh.event.room.clone(),
        json: fresh.event.json.clone(),
        at: from.at,
        aside: None,
    };
    let is_over = fresh.event.is_over;
    let about = about(&fresh.event.json).filter(|_| is_over);
    if !is_over {
        tx.insert::<Inbox>(&number(seq), row);
    }
    if fresh.is_named {
        return tx
            .update::<Events>(&fresh.key, |known| {
                known.seq = seq;
                known.at = from.at;
                known.about = about;
            })
            .map(drop);
    }
    let known = EventRow {
        seq,
        at: from.at,
        about,
        messages: Vec::new(),
    };
    tx.insert::<Events>(&fresh.key, known);
    Ok(())
}

fn take_extras(tx: &mut Tx<'_>, from: &Transaction, json: &str) -> Result<()> {
    let key = extras_key(&from.homeserver, &from.txn_id, json);
    if tx.has::<Extras>(&key)? {
        return Ok(());
    }
    let row = ExtrasRow {
        number: tx.next(Sequence::Extras)?,
        homeserver: from.homeserver.clone(),
        txn_id: from.txn_id.clone(),
        json: json.to_owned(),
        at: from.at,
    };
    tx.put::<Extras>(&key, row)
}

/// Events that wait, oldest first. What cannot be read is passed over.
pub(in crate::store) fn pending(
    tx: &mut Tx<'_>,
    after: InboxSeq,
    limit: usize,
) -> Result<Vec<InboxEvent>> {
    let waiting = &tx.indexes().inbox.pending;
    let waiting = waiting.range((Bound::Excluded(after.0), Bound::Unbounded));
    let seqs: Vec<i64> = waiting.take(limit).copied().collect();
    // All are asked for before the first that is not at hand ends this run.
    let rows: Vec<_> = seqs
        .into_iter()
        .map(|seq| tx.get::<Inbox>(&number(seq)))
        .collect();
    let mut events = Vec::with_capacity(rows.len());
    for row in rows {
        match row {
            Ok(row) => events.extend(row.map(|row| event(&row))),
            Err(StoreError::Corrupt(_)) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(events)
}

fn event(row: &InboxRow) -> InboxEvent {
    InboxEvent {
        seq: InboxSeq(row.seq),
        homeserver: row.homeserver.clone(),
        event_id: row.event.clone(),
        room: row.room.clone(),
        json: row.json.clone(),
        at: row.at,
    }
}

pub(in crate::store) fn finish(tx: &mut Tx<'_>, seq: InboxSeq, ending: &Ending) -> Result<()> {
    let key = number(seq.0);
    let Some(row) = tx.get::<Inbox>(&key)?.filter(|row| row.aside.is_none()) else {
        return aside::tell(tx, ending, false);
    };
    if let Some(about) = about(&row.json) {
        let event = event_key(&row.homeserver, row.event.as_str());
        tx.update::<Events>(&event, |known| known.about = Some(about))?;
    }
    match ending {
        Ending::Done => {
            tx.delete::<Inbox>(&key)?;
        }
        Ending::SetAside { reason, at, .. } => {
            let aside = AsideRow::new(reason, *at, row.at);
            tx.update::<Inbox>(&key, |row| row.aside = Some(aside))?;
        }
    }
    aside::tell(tx, ending, true)
}

/// The event that an event edits, redacts or otherwise refers to.
fn about(json: &str) -> Option<String> {
    // Most are about none, and need not be read for that. A name can be written with escapes.
    if !["relates_to", "redacts", "\\u"]
        .iter()
        .any(|part| json.contains(part))
    {
        return None;
    }
    let said = serde_json::from_str::<Said>(json);
    said.map_or_else(|_| about_of_odd(json), Said::about)
}

/// As much of an event as tells what it is about.
#[derive(Deserialize)]
struct Said {
    content: Option<Content>,
    redacts: Option<String>,
}

#[derive(Deserialize)]
struct Content {
    #[serde(rename = "m.relates_to")]
    relates_to: Option<Relation>,
    redacts: Option<String>,
}

#[derive(Deserialize)]
struct Relation {
    event_id: Option<String>,
}

impl Said {
    fn about(self) -> Option<String> {
        let (related, redacts) = match self.content {
            Some(content) => (content.relates_to, content.redacts),
            None => (None, None),
        };
        let related = related.and_then(|relation| relation.event_id);
        related.or(redacts).or(self.redacts)
    }
}

/// The same of an event in which not everything is of the type that it should be.
fn about_of_odd(json: &str) -> Option<String> {
    let said: Value = serde_json::from_str(json).ok()?;
    let places = [
        "/content/m.relates_to/event_id",
        "/content/redacts",
        "/redacts",
    ];
    let found = places
        .iter()
        .find_map(|place| said.pointer(place)?.as_str());
    found.map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_event_is_about_is_found_wherever_it_stands() {
        for (json, expected) in [
            (
                r#"{"content":{"m.relates_to":{"event_id":"$a"},"redacts":"$b"},"redacts":"$c"}"#,
                Some("$a"),
            ),
            (
                r#"{"content":{"redacts":"$b","body":"x"},"redacts":"$c"}"#,
                Some("$b"),
            ),
            (r#"{"content":{},"redacts":"$c"}"#, Some("$c")),
            (r#"{"redacts":"$c"}"#, Some("$c")),
            (
                r#"{"content":{"m.relates_to":null,"redacts":null},"redacts":"$c"}"#,
                Some("$c"),
            ),
            (r#"{"content":{"m.relates_to":{"key":"x"}}}"#, None),
            (r#"{"content":{"body":"x"},"type":"m.room.message"}"#, None),
        ] {
            assert_eq!(about(json).as_deref(), expected, "{json}");
        }
    }

    #[test]
    fn an_event_of_odd_types_still_tells_what_it_is_about() {
        for (json, expected) in [
            (r#"{"content":"x","redacts":"$c"}"#, Some("$c")),
            (
                r#"{"content":{"m.relates_to":[1],"redacts":"$b"}}"#,
                Some("$b"),
            ),
            (
                r#"{"content":{"m.relates_to":{"event_id":"$a"},"redacts":{}}}"#,
                Some("$a"),
            ),
            (r#"{"content":{"redacts":7}}"#, None),
            ("[]", None),
            ("no JSON", None),
        ] {
            assert_eq!(about(json).as_deref(), expected, "{json}");
        }
    }
}
