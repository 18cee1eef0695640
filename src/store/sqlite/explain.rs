//! Questions of people and gauges: the history of messages, and how much waits where.

use rusqlite::{Connection, Row, params};

use super::rows::{self, Sql as _, json, money, text};
use crate::gateway::model::MessageId;
use crate::store::{History, Result, Sizes, Step};

const SELECT: &str = "SELECT key, id, source, state, route, segments, payer, price,
    EXISTS (SELECT 1 FROM segment WHERE segment.message = message.key AND resends > 0) AS twice
    FROM message";

pub(super) fn explain(tx: &Connection, id: &str) -> Result<Vec<History>> {
    let found = match id.parse::<MessageId>() {
        Ok(message) => tx.all(&format!("{SELECT} WHERE id = ?1"), [message], read)?,
        Err(_) => tx.all(
            &format!(
                "{SELECT} WHERE event IN (SELECT ?1 UNION ALL
                     SELECT about FROM event WHERE event_id = ?1 AND about IS NOT NULL)
                 ORDER BY key"
            ),
            [id],
            read,
        )?,
    };
    found
        .into_iter()
        .map(|(key, history)| {
            Ok(History {
                steps: steps(tx, key)?,
                ..history
            })
        })
        .collect()
}

fn read(row: &Row<'_>) -> Result<(i64, History)> {
    let history = History {
        message: row.get("id")?,
        source: json(row, "source")?,
        state: row.get("state")?,
        route: row.get("route")?,
        segments: row.get("segments")?,
        payer: text(row, "payer")?,
        price: money(row, "price")?,
        possible_duplicate: row.get("twice")?,
        steps: Vec::new(),
    };
    Ok((row.get("key")?, history))
}

fn steps(tx: &Connection, message: i64) -> Result<Vec<Step>> {
    tx.all(
        "SELECT at, segment, state, detail FROM step WHERE message = ?1 ORDER BY id",
        params![message],
        |row| {
            Ok(Step {
                at: row.get("at")?,
                segment: row.get("segment")?,
                state: row.get("state")?,
                detail: row.get("detail")?,
            })
        },
    )
}

/// Writes a page, so that the commit of the group has to reach the disk.
pub(super) fn probe(tx: &Connection) -> Result<()> {
    tx.run(
        "INSERT INTO meta (key, value) VALUES ('probe', '1')
         ON CONFLICT DO UPDATE SET value = 1 - value",
        [],
    )?;
    Ok(())
}

pub(super) fn sizes(tx: &Connection) -> Result<Sizes> {
    let count = |sql: &str| -> Result<u64> { Ok(rows::count(tx.number(sql, [])?)) };
    Ok(Sizes {
        inbox: count("SELECT count(*) FROM event WHERE progress = 0")?,
        set_aside: count(
            "SELECT (SELECT count(*) FROM event WHERE progress = 2)
                 + (SELECT count(*) FROM sms WHERE progress = 2)
                 + (SELECT count(*) FROM outbox WHERE progress = 2)",
        )?,
        queued: count("SELECT count(*) FROM segment WHERE state < 3 AND state = 0")?,
        intent: count("SELECT count(*) FROM segment WHERE state < 3 AND state = 1")?,
        uncertain: count("SELECT count(*) FROM segment WHERE state < 3 AND state = 2")?,
        outbox: count("SELECT count(*) FROM outbox WHERE progress = 0")?,
        sms: count("SELECT count(*) FROM sms WHERE progress = 0")?,
        partial_sms: count("SELECT count(*) FROM partial")?,
        parked_receipts: count("SELECT count(*) FROM parked")?,
        owed_receipts: count("SELECT count(*) FROM owed")?,
        leases: count("SELECT count(*) FROM lease")?,
        extras: count("SELECT count(*) FROM extras")?,
        rooms: count("SELECT count(*) FROM room")?,
        ghosts: count("SELECT count(*) FROM ghost")?,
        references: count("SELECT count(*) FROM reference")?,
        messages: count("SELECT count(*) FROM message")?,
    })
}
