//! SMS for which who submits them has set a time: they stand beside the line until it comes.
//!
//! A timer stands for each, and for each time that it had; of one that went off too early or for an
//! SMS that is gone nothing comes.

use std::sync::Arc;

use super::submissions;
use crate::gateway::model::Timestamp;
use crate::store::tables::{Sms as Pending, SmsRow, number};
use crate::store::timer::Timer;
use crate::store::tx::{Sequence, Tx};
use crate::store::{Result, SmsIn};

/// The time for which who submits it has put it off.
pub(super) fn due_at(sms: &SmsIn) -> Option<Timestamp> {
    let submitted = sms.submitted.as_ref()?;
    submitted.deliver_at.filter(|due_at| *due_at > sms.at)
}

/// Puts a whole SMS into the line, or has a timer do so when its time has come.
pub(super) fn stand(tx: &mut Tx<'_>, row: SmsRow) {
    if let Some(due_at) = row.due_at {
        tx.set_timer(due_at, &Timer::Sms(row.id));
    }
    tx.insert::<Pending>(&number(row.id), row);
}

/// The time of an SMS may have come. Then it gets its place in the line: behind all that were there
/// before, as they are read in the order of their numbers.
pub(super) fn due(tx: &mut Tx<'_>, id: i64, now: Timestamp) -> Result<()> {
    let Some(row) = scheduled(tx, id)? else {
        return Ok(());
    };
    let Some(due_at) = row.due_at.filter(|due_at| *due_at <= now) else {
        return Ok(());
    };
    let next = tx.next(Sequence::Sms)?;
    tx.delete::<Pending>(&number(id))?;
    let due = SmsRow {
        id: next,
        at: due_at,
        due_at: None,
        ..SmsRow::clone(&row)
    };
    stand(tx, due);
    submissions::moved(tx, &row.submissions, next)
}

/// An SMS whose time has not come.
fn scheduled(tx: &mut Tx<'_>, id: i64) -> Result<Option<Arc<SmsRow>>> {
    if !tx.indexes().scheduled.contains(&id) {
        return Ok(None);
    }
    tx.get::<Pending>(&number(id))
}

/// Gives an SMS whose time has not come another one.
pub(super) fn put_off(tx: &mut Tx<'_>, id: i64, to: Timestamp, now: Timestamp) -> Result<()> {
    if scheduled(tx, id)?.is_none() {
        return Ok(());
    }
    tx.update::<Pending>(&number(id), |row| row.due_at = Some(to))?;
    tx.set_timer(to, &Timer::Sms(id));
    due(tx, id, now)
}
