//! Questions of people and gauges: the history of messages, and how much waits where.

use std::collections::BTreeSet;

use super::sweep::each;
use super::{leases, life, messages};
use crate::gateway::model::MessageId;
use crate::store::tables::{
    Counters, EndedMessages, Events, Extras, Ghosts, Heard, MessageRow, Messages, Meta, OptOuts,
    Owed, Partials, References, Rooms, event_key,
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
        scheduled_sms: count(indexes.scheduled.len()),
        partial_sms: tx
            .count::<Partials>()
            .saturating_sub(indexes.partials.withdrawn),
        parked_receipts: count(indexes.parked.all.len()),
        owed_receipts: tx.count::<Owed>(),
        leases,
        extras: tx.count::<Extras>(),
        rooms: tx.count::<Rooms>(),
        ghosts: tx.count::<Ghosts>(),
        opted_out: tx.count::<OptOuts>(),
        references: tx.count::<References>(),
        messages: tx.count::<Messages>() + tx.count::<EndedMessages>(),
        counters: tx.count::<Counters>(),
        heard: tx.count::<Heard>(),
    })
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

pub(in crate::store) fn explain(tx: &mut Tx<'_>, id: &str) -> Result<Vec<History>> {
    if let Ok(message) = id.parse::<MessageId>() {
        let found = messages::find(tx, message)?;
        return found.iter().map(|row| history(row)).collect();
    }
    let mut histories = Vec::new();
    each(messages_about(tx, id)?, |key| {
        if let Some(row) = life::find(tx, key)? {
            histories.push(history(&row)?);
        }
        Ok(())
    })?;
    Ok(histories)
}

/// The numbers of the messages that come from an event or from the one that it is about, in their
/// order.
fn messages_about(tx: &mut Tx<'_>, event: &str) -> Result<BTreeSet<i64>> {
    let homeservers = messages::homeservers(tx)?;
    let mut found = BTreeSet::new();
    let mut about = BTreeSet::new();
    each(&homeservers, |homeserver| {
        if let Some(row) = tx.get::<Events>(&event_key(homeserver, event))? {
            found.extend(&row.messages);
            about.extend(row.about.clone());
        }
        Ok(())
    })?;
    for (event, homeserver) in about.iter().flat_map(|event| {
        homeservers
            .iter()
            .map(move |homeserver| (event, homeserver))
    }) {
        if let Some(row) = tx.get::<Events>(&event_key(homeserver, event))? {
            found.extend(&row.messages);
        }
    }
    Ok(found)
}

fn history(row: &MessageRow) -> Result<History> {
    let steps = row.steps.iter().map(|step| Step {
        at: step.at,
        segment: step.segment,
        state: step.state,
        detail: step.detail.clone().into_owned(),
    });
    Ok(History {
        message: row.id,
        source: row.source.clone(),
        state: row.state,
        route: row.route.clone(),
        segments: row.count(),
        payer: row.payer.clone(),
        price: row.price()?,
        possible_duplicate: row.may_be_twice(),
        steps: steps.collect(),
    })
}
