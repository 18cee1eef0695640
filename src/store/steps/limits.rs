//! The limits against pumped traffic: judged where a message is accepted, and counted in the same commit. A
//! counter stands in a row of its own for each limit and each Matrix ID or prefix, and is scrubbed when its window
//! is over. Where no limit is set, nothing is read and nothing is kept.

use std::time::Duration;

use matrix_smpp_config::Money;

use super::sweep::ago;
use super::{conversations, leases};
use crate::gateway::limits::{Hit, Limit};
use crate::gateway::model::{Conversation, Handset, Timestamp};
use crate::store::tables::{CounterRow, Counters, Heard, counter_key, counter_of};
use crate::store::tx::Tx;
use crate::store::{Counter, NewMessage, Refusal, Result, SmsIn};

const DAY: Duration = Duration::from_hours(24);

/// For so long a phone that has texted us is none of those never heard from.
const HEARD_MEMORY: Duration = Duration::from_hours(365 * 24);

/// A phone that texts often is not noted each time.
const BETWEEN_NOTES: Duration = DAY;

/// What a message counts for, under one limit.
#[derive(Debug)]
pub(super) struct Count {
    limit: Limit,
    whose: String,
    width: Duration,
    most: i64,
    amount: i64,
}

/// Whether a message fits under every limit.
#[derive(Debug)]
pub(super) enum Judged {
    /// It does, and these are to be counted with it.
    Fits(Vec<Count>),
    /// It does not.
    Refused(Refusal),
}

/// Judges a message that is about to be accepted. Notes nothing but that a limit was hit.
pub(super) fn judge(
    tx: &mut Tx<'_>,
    conversation: &Conversation,
    new: &NewMessage,
    cost: Money,
) -> Result<Judged> {
    if !new.fraud.is_limited() {
        return Ok(Judged::Fits(Vec::new()));
    }
    let counts = counts(tx, conversation, new, cost)?;
    let keys: Vec<String> = counts.iter().map(Count::key).collect();
    tx.fetch::<Counters>(keys.iter().map(String::as_str));
    for count in &counts {
        let row = tx.get::<Counters>(&count.key())?;
        let row = row.as_deref().cloned().unwrap_or_default();
        let place = (count.width, new.now);
        let again = row.window.room_at(place, count.most, count.amount);
        if again != Some(new.now) {
            let is_first = !row.is_hit(new.now);
            let hit = Hit {
                limit: count.limit,
                most: count.most,
                again,
                is_first,
            };
            note_hit(tx, count, hit, new.now)?;
            return Ok(Judged::Refused(Refusal::Limited(hit)));
        }
    }
    Ok(Judged::Fits(counts))
}

/// Counts a message that has been accepted.
pub(super) fn count(tx: &mut Tx<'_>, counts: &[Count], now: Timestamp) -> Result<()> {
    counts.iter().try_for_each(|count| {
        tx.change::<Counters>(&count.key(), |row| {
            row.width = millis(count.width);
            row.window.add(count.width, now, count.amount);
        })
    })
}

/// The first refusal of a window is kept, for people; the others change nothing.
fn note_hit(tx: &mut Tx<'_>, count: &Count, hit: Hit, now: Timestamp) -> Result<()> {
    if !hit.is_first {
        return Ok(());
    }
    tx.change::<Counters>(&count.key(), |row| {
        row.width = millis(count.width);
        row.hit = Some(now);
    })
}

impl Count {
    fn key(&self) -> String {
        counter_key(self.limit, &self.whose)
    }
}

impl CounterRow {
    fn is_hit(&self, now: Timestamp) -> bool {
        let width = self.width();
        self.hit
            .is_some_and(|at| now < at.after(width) && at < now.after(width))
    }

    /// True where neither what was counted nor what was refused says anything any more.
    pub(super) fn is_over(&self, now: Timestamp) -> bool {
        self.window.is_over(self.width(), now) && !self.is_hit(now)
    }
}

fn millis(width: Duration) -> u64 {
    u64::try_from(width.as_millis()).unwrap_or(u64::MAX)
}

/// Under which limits a message counts, and for how much.
fn counts(
    tx: &mut Tx<'_>,
    conversation: &Conversation,
    new: &NewMessage,
    cost: Money,
) -> Result<Vec<Count>> {
    let of_payer = |limit, most, amount| Count {
        limit,
        whose: new.payer.to_string(),
        width: DAY,
        most,
        amount,
    };
    let mut counts = Vec::new();
    if let Some(most) = new.fraud.spend_per_day.filter(|_| cost > Money::ZERO) {
        counts.push(of_payer(Limit::SpendPerDay, most.micros(), cost.micros()));
    }
    // A conversation has its number from its first text on, or from the phone's.
    if conversation.originator.is_some() {
        return Ok(counts);
    }
    let known = acquaintance(tx, conversation, new)?;
    if let Some(most) = new.fraud.new_phones_per_day.filter(|_| !known.to_payer) {
        counts.push(of_payer(Limit::NewPhonesPerDay, most.into(), 1));
    }
    if let Some(most) = new.fraud.new_phones_per_prefix.filter(|_| !known.to_us) {
        counts.push(Count {
            limit: Limit::NewPhonesPerPrefix,
            whose: prefix(new).to_owned(),
            width: new.fraud.prefix_window,
            most: most.into(),
            amount: 1,
        });
    }
    Ok(counts)
}

/// The destination without the digits in which neighbours differ.
fn prefix(new: &NewMessage) -> &str {
    let digits = new.destination.as_str();
    let length = digits.len().saturating_sub(new.fraud.prefix_digits);
    digits.get(..length).unwrap_or_default()
}

/// To whom a phone is known.
struct Acquaintance {
    /// The payer has, or had a while ago, a conversation with it.
    to_payer: bool,
    /// It has texted us, or somebody is in a conversation with it, and so it was counted when that began.
    to_us: bool,
}

fn acquaintance(
    tx: &mut Tx<'_>,
    conversation: &Conversation,
    new: &NewMessage,
) -> Result<Acquaintance> {
    let heard = tx.get::<Heard>(new.destination.as_str())?;
    let heard = heard.is_some_and(|at| *at > ago(new.now, HEARD_MEMORY));
    let leases = leases::held(tx, &conversation.handset, new.now)?;
    let mut known = Acquaintance {
        to_payer: false,
        to_us: heard || leases.iter().any(|lease| lease.cooling_until.is_none()),
    };
    for lease in leases {
        let holder = conversations::find(tx, lease.conversation)?;
        known.to_payer |= holder.is_some_and(|holder| holder.owner == new.payer);
    }
    Ok(known)
}

/// Notes that a phone has texted us, where that is to be known.
pub(super) fn note_heard(tx: &mut Tx<'_>, sms: &SmsIn) -> Result<()> {
    let Handset::Number(number) = &sms.from else {
        return Ok(());
    };
    if !sms.note_sender {
        return Ok(());
    }
    let key = number.0.as_str();
    let noted = tx.get::<Heard>(key)?;
    if noted.is_some_and(|at| *at > ago(sms.at, BETWEEN_NOTES)) {
        return Ok(());
    }
    tx.put::<Heard>(key, sms.at)
}

/// True where a phone was heard from too long ago.
pub(super) fn is_forgotten(heard: Timestamp, now: Timestamp) -> bool {
    heard <= ago(now, HEARD_MEMORY)
}

/// The counters that have refused something within their window. Runs alone.
pub(in crate::store) fn hit(tx: &mut Tx<'_>, now: Timestamp) -> Result<Vec<Counter>> {
    let rows = tx.all::<Counters>()?.into_iter();
    let counters = rows.filter_map(|(key, row)| {
        let (limit, whose) = counter_of(&key)?;
        Some(Counter {
            limit,
            whose: whose.to_owned(),
            used: row.window.sum(row.width(), now),
            hit: row.hit.filter(|_| row.is_hit(now))?,
        })
    });
    Ok(counters.collect())
}

pub(in crate::store) fn clear(tx: &mut Tx<'_>, limit: Limit, whose: &str) -> Result<bool> {
    tx.delete::<Counters>(&counter_key(limit, whose))
}
