//! Questions of people and gauges: the history of messages, and how much waits where.

use super::{leases, life, messages};
use crate::gateway::model::MessageId;
use crate::store::tables::{
    EndedMessages, Events, Extras, Ghosts, MessageRow, Messages, Meta, Owed, Partials, References,
    Rooms, StepRow,
};
use crate::store::tx::Tx;
use crate::store::{History, Result, Sizes, Step};

/// The name of what [`probe`] writes in [`Meta`].
const PROBE: &str = "probe";

/// Changes a row, so that the commit of the group has to reach the disk.
pub(in crate::store) fn probe(tx: &mut Tx<'_>) -> Result<()> {
    let last = tx.get::<Meta>(PROBE)?;
    let next = if last.is_some_and(|last| *last == "1") {
        "0"
    } else {
        "1"
    };
    tx.put::<Meta>(PROBE, next.to_owned())
}

pub(in crate::store) fn sizes(tx: &mut Tx<'_>) -> Result<Sizes> {
    let leases = u64::try_from(leases::total(tx)?).unwrap_or(0);
    let indexes = tx.indexes();
    let (inbox, sms, outbox) = (&indexes.inbox, &indexes.sms, &indexes.outbox);
    let [queued, intent, uncertain] = indexes.messages.segments;
    Ok(Sizes {
        inbox: count(inbox.pending.len()),
        set_aside: count(inbox.aside.len() + sms.aside.len() + outbox.aside.len()),
        queued,
        intent,
        uncertain,
        outbox: outbox.pending,
        sms: count(sms.pending.len()),
        partial_sms: tx.count::<Partials>(),
        parked_receipts: count(indexes.parked.all.len()),
        owed_receipts: tx.count::<Owed>(),
        leases,
        extras: tx.count::<Extras>(),
        rooms: tx.count::<Rooms>(),
        ghosts: tx.count::<Ghosts>(),
        references: tx.count::<References>(),
        messages: tx.count::<Messages>() + tx.count::<EndedMessages>(),
    })
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

// --- the history of messages --------------------------------------------------------------------

/// The history of one message, or of those of every homeserver's event with this id, or of those of the
/// event that it is about.
pub(in crate::store) fn explain(tx: &mut Tx<'_>, id: &str) -> Result<Vec<History>> {
    if let Ok(message) = id.parse::<MessageId>() {
        let row = life::message_by_id(tx, message)?;
        return row.iter().map(history).collect();
    }
    let mut all = Vec::new();
    let homeservers = tx.get::<Meta>(messages::HOMESERVERS)?;
    for homeserver in homeservers.iter().flat_map(|all| all.split(' ')) {
        let key = format!("{homeserver}|{id}");
        let mut rows = messages::rows_of_event(tx, &key)?;
        let about = tx
            .get::<Events>(&key)?
            .and_then(|event| event.about.clone());
        if let Some(about) = about {
            rows.extend(messages::rows_of_event(
                tx,
                &format!("{homeserver}|{about}"),
            )?);
        }
        rows.sort_by_key(|row| row.key);
        for row in &rows {
            all.push(history(row)?);
        }
    }
    Ok(all)
}

fn history(row: &MessageRow) -> Result<History> {
    let step = |step: &StepRow| Step {
        at: step.at,
        segment: step.segment,
        state: step.state,
        detail: step.detail.clone(),
    };
    Ok(History {
        message: row.id,
        source: row.source.clone(),
        state: row.state,
        route: row.route.clone(),
        segments: u8::try_from(row.segments.len()).unwrap_or(u8::MAX),
        payer: row.payer.clone(),
        price: messages::price(row)?,
        possible_duplicate: messages::was_resent(row),
        steps: row.steps.iter().map(step).collect(),
    })
}
