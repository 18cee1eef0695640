//! What is due by time alone.

use std::time::Duration;

use super::scrub::{self, Scrub};
use super::{dispatch, leases, owed, parts, receipts, scheduled, submissions};
use crate::gateway::model::Timestamp;
use crate::store::Result;
use crate::store::timer::Timer;
use crate::store::tx::Tx;

/// Does what is due, at most `limit` of each kind; true if there may be more. `scrub` is what the last
/// call gave. Runs alone.
pub(in crate::store) fn sweep(
    tx: &mut Tx<'_>,
    mo_part_ttl: Duration,
    now: Timestamp,
    limit: usize,
    scrub: &Scrub,
) -> Result<(bool, Scrub)> {
    // Whatever reads beside the rows' keys comes before the first change.
    let timers = tx.take_timers(now, limit)?;
    let looked = scrub::look(tx, scrub, now, limit)?;
    // All of them are run though one may fail for want of rows, so that all rows are read at once.
    let done = [
        dispatch::expire_due(tx, now, limit),
        go_off(tx, &timers, now),
        give_up_partial_sms(tx, ago(now, mo_part_ttl), limit),
        receipts::forget_old(tx, now, limit),
        receipts::forget_surplus(tx),
        submissions::expire(tx, now, limit),
        owed::forget(tx, now, limit),
        scrub::forget_aside(tx, now, limit),
        scrub::forget_extras(tx, now, limit),
    ];
    let scrubbed = looked.forget(tx, now, limit);
    let most = done
        .into_iter()
        .try_fold(0, |most, count| count.map(|count| count.max(most)))?;
    let scrub = scrubbed?;
    Ok((most >= limit || scrub.is_under_way(), scrub))
}

/// `time` before `now`.
pub(super) fn ago(now: Timestamp, time: Duration) -> Timestamp {
    let millis = i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
    Timestamp(now.0.saturating_sub(millis))
}

/// Does something with each of several things; the first failure does not keep the others from being
/// tried, so that what they miss is read at once.
pub(super) fn each<I>(
    things: impl IntoIterator<Item = I>,
    mut one: impl FnMut(I) -> Result<()>,
) -> Result<()> {
    let mut fate = Ok(());
    for thing in things {
        let done = one(thing);
        fate = fate.and(done);
    }
    fate
}

fn go_off(tx: &mut Tx<'_>, timers: &[Timer], now: Timestamp) -> Result<usize> {
    each(timers, |timer| {
        tx.apart(|tx| match timer {
            Timer::Receipt(message) => receipts::wait_is_over(tx, *message, now),
            Timer::Unanswered(message, part) => receipts::hold_is_over(tx, *message, *part, now),
            Timer::Leases(handset) => leases::forget_cooled(tx, handset, now),
            Timer::Sms(sms) => scheduled::due(tx, *sms, now),
        })
    })?;
    Ok(timers.len())
}

fn give_up_partial_sms(tx: &mut Tx<'_>, before: Timestamp, limit: usize) -> Result<usize> {
    let waiting = tx.indexes().partials.waiting.iter();
    let stale: Vec<String> = waiting
        .take_while(|(at, _)| *at <= before)
        .map(|(_, key)| key.clone())
        .take(limit)
        .collect();
    each(&stale, |key| tx.apart(|tx| parts::give_up(tx, key)))?;
    Ok(stale.len())
}
