//! Questions of people and gauges: the history of messages, and how much waits where.

use super::leases;
use crate::store::tables::{
    EndedMessages, Extras, Ghosts, Messages, Meta, Owed, Partials, References, Rooms,
};
use crate::store::tx::Tx;
use crate::store::{Result, Sizes};

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
