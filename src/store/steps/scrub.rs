//! The bounds of what is kept without being work: by age, and where somebody else could make it grow,
//! by count.
//!
//! What is unfinished is found by the indexes. The rest is looked through by a *scrub*, page by page:
//! a pass over all kept tables that have an age, at most once an hour, and with each sweep as long as
//! those tables are small.

use std::collections::{BTreeSet, HashSet};
use std::time::Duration;

use super::sweep::{ago, each};
use super::{limits, messages};
use crate::gateway::model::Timestamp;
use crate::store::Result;
use crate::store::table::Table;
use crate::store::tables::{
    Copies, Counters, EndedMessages, EndedSms, EndedSubmissions, Events, Extras, Heard, Inbox,
    Outbox, OutboxKeys, References, Sms, Taken, event_key, number,
};
use crate::store::tx::Tx;

/// How long the ids of finished events, SMS, submissions and outbox entries stay known.
const DONE_MEMORY: Duration = Duration::from_hours(30 * 24);
/// How long a message and its history stay after it was accepted.
const MESSAGE_MEMORY: Duration = Duration::from_hours(90 * 24);
/// How long the text of an SMS stays that was handed on and said.
const TEXT_MEMORY: Duration = Duration::from_hours(24);
/// How long something that was set aside can be tried again.
const ASIDE_MEMORY: Duration = Duration::from_hours(90 * 24);
/// How much of each kind may be set aside; beyond that the oldest go.
const MAX_ASIDE: usize = 10_000;
/// How long what homeservers send beside events waits for its reader.
const EXTRAS_MEMORY: Duration = Duration::from_hours(30 * 24);
/// How many transactions of all homeservers are kept for it; beyond that the oldest go.
const MAX_EXTRAS: usize = 100_000;
/// After so long no phone waits for parts of a message with the last reference any more.
const REFERENCE_MEMORY: Duration = Duration::from_hours(30 * 24);

/// From the end of a pass to the beginning of the next, at least.
const BETWEEN_PASSES: Duration = Duration::from_hours(1);
/// And in proportion to how long the pass took, so that a long history is not read all the time.
const REST: i64 = 10;
/// Rows that one sweep may look at though its limit is lower.
const SMALL: usize = 1_000;
/// Pages of one sweep: a page can have fewer rows than were asked for.
const MAX_PAGES: usize = 64;

/// A table that is looked through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kept {
    Events,
    OutboxKeys,
    Sms,
    Messages,
    Submissions,
    Copies,
    References,
    Counters,
    Heard,
}

impl Kept {
    const ALL: [Self; 9] = [
        Self::Events,
        Self::OutboxKeys,
        Self::Sms,
        Self::Messages,
        Self::Submissions,
        Self::Copies,
        Self::References,
        Self::Counters,
        Self::Heard,
    ];

    /// How many rows it has.
    fn count(self, tx: &Tx<'_>) -> u64 {
        match self {
            Self::Events => tx.count::<Events>(),
            Self::OutboxKeys => tx.count::<OutboxKeys>(),
            Self::Sms => tx.count::<EndedSms>(),
            Self::Messages => tx.count::<EndedMessages>(),
            Self::Submissions => tx.count::<EndedSubmissions>(),
            Self::Copies => tx.count::<Copies>(),
            Self::References => tx.count::<References>(),
            Self::Counters => tx.count::<Counters>(),
            Self::Heard => tx.count::<Heard>(),
        }
    }

    /// Looks at a page.
    fn look(
        self,
        tx: &mut Tx<'_>,
        from: Option<&str>,
        limit: usize,
        now: Timestamp,
    ) -> Result<Seen> {
        let done = ago(now, DONE_MEMORY);
        let place = (from, limit);
        match self {
            Self::Events => {
                let unfinished = unfinished_events(tx);
                page::<Events>(tx, place, |_, _, row| {
                    row.seq != 0 && row.at <= done && !unfinished.contains(&row.seq)
                })
            }
            Self::OutboxKeys => page::<OutboxKeys>(tx, place, |tx, key, queued_at| {
                *queued_at <= done.0 && !tx.indexes().outbox.by_key.contains_key(key)
            }),
            Self::Sms => {
                let said = ago(now, TEXT_MEMORY);
                page::<EndedSms>(tx, place, |tx, _, row| {
                    let is_over = row.at <= done || (row.at <= said && !row.text.is_empty());
                    is_over && !is_to_be_said(tx, row.id)
                })
            }
            Self::Messages => {
                let before = ago(now, MESSAGE_MEMORY);
                page::<EndedMessages>(tx, place, |_, _, row| row.accepted_at <= before)
            }
            Self::Submissions => page::<EndedSubmissions>(tx, place, |_, _, row| row.at <= done),
            Self::Copies => page::<Copies>(tx, place, |_, _, alike| {
                alike.iter().any(|one| one.until <= now)
            }),
            Self::References => {
                let before = ago(now, REFERENCE_MEMORY);
                page::<References>(tx, place, |_, _, row| row.at <= before)
            }
            Self::Counters => page::<Counters>(tx, place, |_, _, row| row.is_over(now)),
            Self::Heard => page::<Heard>(tx, place, |_, _, at| limits::is_forgotten(*at, now)),
        }
    }

    /// Forgets what is over of a row.
    fn forget(self, tx: &mut Tx<'_>, key: &str, now: Timestamp) -> Result<()> {
        match self {
            Self::Events => forget_event(tx, key),
            Self::OutboxKeys => tx.delete::<OutboxKeys>(key).map(drop),
            Self::Sms => forget_sms(tx, key, now),
            Self::Messages => match tx.get::<EndedMessages>(key)? {
                Some(message) => messages::forget(tx, &message),
                None => Ok(()),
            },
            Self::Submissions => tx.delete::<EndedSubmissions>(key).map(drop),
            Self::Copies => forget_copies(tx, key, now),
            Self::References => tx.delete::<References>(key).map(drop),
            Self::Counters => tx.delete::<Counters>(key).map(drop),
            Self::Heard => tx.delete::<Heard>(key).map(drop),
        }
    }
}

/// A page that was looked at.
struct Seen {
    rows: usize,
    /// The keys of what is over, in their order.
    over: Vec<String>,
    next: Option<String>,
}

fn page<T: Table>(
    tx: &mut Tx<'_>,
    (from, limit): (Option<&str>, usize),
    is_over: impl Fn(&Tx<'_>, &str, &T::Row) -> bool,
) -> Result<Seen> {
    let page = tx.scan::<T>(from, limit)?;
    let rows = page.rows.len();
    let found = page.rows.into_iter();
    let mut over: Vec<String> = found
        .filter(|(key, row)| is_over(tx, key, row))
        .map(|(key, _)| key)
        .collect();
    over.sort_unstable();
    let next = page.next;
    Ok(Seen { rows, over, next })
}

/// How far the forgetting is.
#[derive(Debug, Clone, Default)]
pub(in crate::store) struct Scrub {
    /// Where the pass goes on that is under way.
    place: Option<Place>,
    /// When the last pass began.
    begun: Timestamp,
    /// When the next may begin.
    next: Timestamp,
}

/// A page of one of [`Kept::ALL`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Place {
    table: usize,
    from: Option<String>,
}

impl Place {
    fn kept(&self) -> Option<Kept> {
        Kept::ALL.get(self.table).copied()
    }

    /// The next page, which is of the next table after the last of one.
    fn after(&self, next: Option<String>) -> Self {
        Self {
            table: self.table + usize::from(next.is_none()),
            from: next,
        }
    }
}

impl Scrub {
    pub(super) fn is_under_way(&self) -> bool {
        self.place.is_some()
    }

    /// Where to look now; nowhere between two passes.
    fn place(&self, tx: &Tx<'_>, now: Timestamp) -> Option<Place> {
        let count: u64 = Kept::ALL.iter().map(|kept| kept.count(tx)).sum();
        let is_small = usize::try_from(count).is_ok_and(|count| count <= SMALL);
        // A clock that was set back must not put the next pass off.
        let is_due = is_small || now >= self.next || now < self.begun;
        self.place.clone().or_else(|| is_due.then(Place::default))
    }

    /// With `place` as the next page; a pass is over after the last table.
    fn at(&self, place: Place, now: Timestamp) -> Self {
        let begun = if self.is_under_way() { self.begun } else { now };
        let took = now.0.saturating_sub(begun.0).max(0);
        let rest = Timestamp(now.0.saturating_add(took.saturating_mul(REST)));
        Self {
            place: place.kept().map(|_| place),
            begun,
            next: rest.max(now.after(BETWEEN_PASSES)),
        }
    }
}

/// What was looked at in one sweep.
pub(super) struct Looked {
    before: Scrub,
    /// Pages with the keys of what is over in them.
    pages: Vec<(Place, Kept, Vec<String>)>,
    /// Where to go on; `None` where nothing was looked at.
    next: Option<Place>,
}

/// Looks at what is kept, some pages on from where `scrub` is. Changes nothing.
pub(super) fn look(tx: &mut Tx<'_>, scrub: &Scrub, now: Timestamp, limit: usize) -> Result<Looked> {
    let mut next = scrub.place(tx, now);
    let mut left = limit.max(SMALL);
    let mut pages = Vec::new();
    while let Some(place) = &next
        && let Some(kept) = place.kept()
        && left > 0
        && pages.len() < MAX_PAGES
    {
        let seen = kept.look(tx, place.from.as_deref(), left, now)?;
        left = left.saturating_sub(seen.rows);
        let after = place.after(seen.next);
        pages.push((place.clone(), kept, seen.over));
        next = Some(after);
    }
    Ok(Looked {
        before: scrub.clone(),
        pages,
        next,
    })
}

impl Looked {
    /// Forgets what is over, at most `limit` of each kind. Stays at the page where that was too much.
    pub(super) fn forget(self, tx: &mut Tx<'_>, now: Timestamp, limit: usize) -> Result<Scrub> {
        let mut fate = Ok(());
        let (mut of, mut left) = (None, limit);
        for (place, kept, over) in self.pages {
            if of != Some(kept) {
                (of, left) = (Some(kept), limit);
            }
            let some = over.iter().take(left);
            let forgotten = each(some, |key| tx.apart(|tx| kept.forget(tx, key, now)));
            fate = fate.and(forgotten);
            left = left.saturating_sub(over.len());
            if left == 0 {
                return fate.map(|()| self.before.at(place, now));
            }
        }
        fate.map(|()| match self.next {
            Some(place) => self.before.at(place, now),
            None => self.before,
        })
    }
}

/// The numbers of events that are not finished.
fn unfinished_events(tx: &Tx<'_>) -> HashSet<i64> {
    let inbox = &tx.indexes().inbox;
    let aside = inbox.aside.iter().map(|(_, seq)| *seq);
    inbox.pending.iter().copied().chain(aside).collect()
}

/// Forgets that an event came. What it said to phones keeps its name.
fn forget_event(tx: &mut Tx<'_>, key: &str) -> Result<()> {
    let Some(row) = tx.get::<Events>(key)? else {
        return Ok(());
    };
    if row.messages.is_empty() {
        return tx.delete::<Events>(key).map(drop);
    }
    tx.update::<Events>(key, |row| {
        row.seq = 0;
        row.about = None;
    })
    .map(drop)
}

/// True while the text of an SMS is still needed at the homeserver.
fn is_to_be_said(tx: &Tx<'_>, sms: i64) -> bool {
    tx.indexes()
        .outbox
        .by_key
        .contains_key(&format!("sms:{sms}"))
}

/// Forgets an SMS, or empties a text that nothing will say any more.
fn forget_sms(tx: &mut Tx<'_>, key: &str, now: Timestamp) -> Result<()> {
    match tx.get::<EndedSms>(key)? {
        Some(row) if row.at <= ago(now, DONE_MEMORY) => tx.delete::<EndedSms>(key).map(drop),
        Some(_) => tx.update::<EndedSms>(key, |row| row.text.clear()).map(drop),
        None => Ok(()),
    }
}

fn forget_copies(tx: &mut Tx<'_>, key: &str, now: Timestamp) -> Result<()> {
    let Some(alike) = tx.get::<Copies>(key)? else {
        return Ok(());
    };
    let (over, left): (Vec<_>, Vec<_>) = alike.iter().copied().partition(|one| one.until <= now);
    if left.is_empty() {
        tx.delete::<Copies>(key)?;
    } else {
        tx.put::<Copies>(key, left)?;
    }
    each(over, |one| tx.delete::<Taken>(&number(one.id)).map(drop))
}

/// Forgets what was set aside too long ago, or is too much; the oldest first. Tells how many of the
/// kind of which it was most.
pub(super) fn forget_aside(tx: &mut Tx<'_>, now: Timestamp, limit: usize) -> Result<usize> {
    let before = ago(now, ASIDE_MEMORY);
    let over = |aside: &BTreeSet<(Timestamp, i64)>| -> Vec<String> {
        let surplus = aside.len().saturating_sub(MAX_ASIDE);
        let oldest = aside.iter().enumerate().take(limit);
        oldest
            .take_while(|(place, (at, _))| *place < surplus || *at <= before)
            .map(|(_, (_, id))| number(*id))
            .collect()
    };
    let indexes = tx.indexes();
    let events = over(&indexes.inbox.aside);
    let sms = over(&indexes.sms.aside);
    let outbox = over(&indexes.outbox.aside);
    let most = events.len().max(sms.len()).max(outbox.len());
    let fates = [
        each(events, |key| forget_aside_event(tx, &key)),
        each(sms, |key| tx.delete::<Sms>(&key).map(drop)),
        each(outbox, |key| forget_aside_entry(tx, &key)),
    ];
    each(fates, |fate| fate)?;
    Ok(most)
}

fn forget_aside_event(tx: &mut Tx<'_>, key: &str) -> Result<()> {
    let Some(row) = tx.get::<Inbox>(key)? else {
        return Ok(());
    };
    tx.delete::<Inbox>(key)?;
    forget_event(tx, &event_key(&row.homeserver, row.event.as_str()))
}

fn forget_aside_entry(tx: &mut Tx<'_>, key: &str) -> Result<()> {
    let Some(row) = tx.get::<Outbox>(key)? else {
        return Ok(());
    };
    tx.delete::<Outbox>(key)?;
    tx.delete::<OutboxKeys>(&row.key).map(drop)
}

/// Forgets what nobody has read for too long, or is too much; the oldest first.
pub(super) fn forget_extras(tx: &mut Tx<'_>, now: Timestamp, limit: usize) -> Result<usize> {
    let before = ago(now, EXTRAS_MEMORY);
    let kept = &tx.indexes().extras;
    let surplus = kept.len().saturating_sub(MAX_EXTRAS);
    let oldest: Vec<String> = kept
        .iter()
        .take(limit)
        .map(|(_, key)| key.clone())
        .collect();
    tx.fetch::<Extras>(oldest.iter().map(String::as_str));
    let mut forgotten = 0;
    for key in &oldest {
        let is_old = tx.get::<Extras>(key)?.is_some_and(|row| row.at <= before);
        if forgotten >= surplus && !is_old {
            break;
        }
        tx.delete::<Extras>(key)?;
        forgotten += 1;
    }
    Ok(forgotten)
}

#[cfg(test)]
mod tests;
