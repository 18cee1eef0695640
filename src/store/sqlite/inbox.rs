//! What homeservers say: events, each once.

use rusqlite::{Connection, params};

use super::aside;
use super::rows::{self, Page, Sql as _, text};
use crate::gateway::model::InboxSeq;
use crate::store::{Ending, InboxEvent, Result, Taken, Transaction};

pub(super) fn take_transaction(tx: &Connection, transaction: &Transaction) -> Result<Taken> {
    let homeserver = transaction.homeserver.as_str();
    let mut new = 0;
    for event in &transaction.events {
        new += tx.run(
            "INSERT INTO event (homeserver, event_id, room, json, at) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT DO NOTHING",
            params![
                homeserver,
                event.event_id.as_str(),
                event.room.as_str(),
                event.json,
                transaction.at
            ],
        )?;
    }
    if let Some(extras) = &transaction.extras {
        tx.run(
            "INSERT INTO extras (homeserver, txn_id, json, at) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT DO NOTHING",
            params![homeserver, transaction.txn_id, extras, transaction.at],
        )?;
    }
    Ok(Taken {
        new,
        repeated: transaction.events.len() - new,
    })
}

pub(super) fn pending(
    tx: &Connection,
    after: InboxSeq,
    limit: usize,
) -> Result<Page<InboxSeq, InboxEvent>> {
    rows::page(
        tx,
        "SELECT seq, homeserver, event_id, room, json, at FROM event
         WHERE progress = 0 AND seq > ?1 ORDER BY seq LIMIT ?2",
        params![after, rows::limit(limit)],
        |row| {
            Ok(InboxEvent {
                seq: row.get("seq")?,
                homeserver: text(row, "homeserver")?,
                event_id: text(row, "event_id")?,
                room: text(row, "room")?,
                json: row.get("json")?,
                at: row.get("at")?,
            })
        },
    )
}

pub(super) fn finish(tx: &Connection, seq: InboxSeq, ending: &Ending) -> Result<()> {
    let (progress, reason, at) = rows::ending(ending);
    let ended = tx.run(
        "UPDATE event SET progress = ?2, reason = ?3, ended_at = max(?4, at),
             json = CASE ?2 WHEN 1 THEN NULL ELSE json END,
             about = CASE WHEN json_valid(json) THEN coalesce(
                 json_extract(json, '$.content.\"m.relates_to\".event_id'),
                 json_extract(json, '$.content.redacts'), json_extract(json, '$.redacts')) END
         WHERE seq = ?1 AND progress = 0",
        params![seq, progress, reason, at],
    )?;
    aside::tell(tx, ending, ended)
}
