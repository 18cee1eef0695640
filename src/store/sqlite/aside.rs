//! What was set aside: listed, put back, ended.

use rusqlite::{Connection, Row, params};

use super::rows::{self, Sql as _, json};
use super::{life, messages, outbox};
use crate::gateway::model::{InboxSeq, OutboxId, SmsId, Timestamp};
use crate::store::{Aside, AsideId, Ending, OutboxItem, Result};

/// Queues what people hear of an item that was set aside, where this call did set it aside.
pub(super) fn tell(tx: &Connection, ending: &Ending, ended: usize) -> Result<()> {
    match ending {
        Ending::SetAside {
            tell: Some(entry),
            at,
            ..
        } if ended > 0 => outbox::enqueue(tx, std::slice::from_ref(entry), *at),
        _ => Ok(()),
    }
}

pub(super) fn list(tx: &Connection, limit: usize) -> Result<Vec<Aside>> {
    let events = tx.all(
        "SELECT seq, event_id AS about, reason, ended_at FROM event WHERE progress = 2
         ORDER BY ended_at LIMIT ?1",
        [rows::limit(limit)],
        |row| {
            read(
                row,
                AsideId::Event(InboxSeq(row.get(0)?)),
                row.get("about")?,
            )
        },
    )?;
    let sms = tx.all(
        "SELECT id, link_group AS about, reason, ended_at FROM sms WHERE progress = 2
         ORDER BY ended_at LIMIT ?1",
        [rows::limit(limit)],
        |row| read(row, AsideId::Sms(SmsId(row.get(0)?)), row.get("about")?),
    )?;
    let outbox = tx.all(
        "SELECT id, item, reason, ended_at FROM outbox WHERE progress = 2
         ORDER BY ended_at LIMIT ?1",
        [rows::limit(limit)],
        |row| {
            let about = match json::<OutboxItem>(row, "item") {
                Ok(item) => item.kind().to_owned(),
                Err(_) => "unreadable".to_owned(),
            };
            read(row, AsideId::Outbox(OutboxId(row.get(0)?)), about)
        },
    )?;
    Ok(events.into_iter().chain(sms).chain(outbox).collect())
}

fn read(row: &Row<'_>, id: AsideId, about: String) -> Result<Aside> {
    Ok(Aside {
        id,
        at: row.get("ended_at")?,
        about,
        reason: row.get::<_, Option<String>>("reason")?.unwrap_or_default(),
    })
}

pub(super) fn retry(tx: &Connection, id: AsideId, now: Timestamp) -> Result<bool> {
    let again = match id {
        AsideId::Event(seq) => tx.run(
            "UPDATE event SET progress = 0, reason = NULL, ended_at = NULL
             WHERE seq = ?1 AND progress = 2",
            [seq],
        )?,
        AsideId::Sms(sms) => tx.run(
            "UPDATE sms SET progress = 0, reason = NULL, ended_at = NULL
             WHERE id = ?1 AND progress = 2",
            [sms],
        )?,
        AsideId::Outbox(entry) => return outbox::retry(tx, entry, now),
    };
    Ok(again > 0)
}

pub(super) fn end(tx: &Connection, id: AsideId, now: Timestamp) -> Result<bool> {
    let ended = match id {
        AsideId::Event(seq) => end_event(tx, seq, now)?,
        AsideId::Sms(sms) => tx.run(
            "UPDATE sms SET progress = 1, ended_at = ?2 WHERE id = ?1 AND progress = 2",
            params![sms, now],
        )?,
        AsideId::Outbox(entry) => tx.run(
            "UPDATE outbox SET progress = 1, item = NULL, ended_at = ?2
             WHERE id = ?1 AND progress = 2",
            params![entry, now],
        )?,
    };
    Ok(ended > 0)
}

fn end_event(tx: &Connection, seq: InboxSeq, now: Timestamp) -> Result<usize> {
    let ended = tx.run(
        "UPDATE event SET progress = 1, json = NULL, ended_at = ?2 WHERE seq = ?1 AND progress = 2",
        params![seq, now],
    )?;
    if ended > 0 {
        let said = tx.all(
            "SELECT message.key FROM event JOIN message
                 ON message.event = event.event_id AND message.homeserver = event.homeserver
             WHERE event.seq = ?1",
            [seq],
            |row| Ok(row.get(0)?),
        )?;
        for key in said {
            messages::take_back(tx, key, (now, "dropped"))?;
            life::refresh(tx, key, now)?;
        }
    }
    Ok(ended)
}
