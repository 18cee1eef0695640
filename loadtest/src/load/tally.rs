//! What is counted while load runs. Each bind counts into one of a few shards, a batch at a time; the
//! meter empties them once per interval.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hdrhistogram::Histogram;
use matrix_smpp_codec::CommandStatus;
use serde::{Deserialize, Serialize};

/// How many shards there are at most.
const SHARDS: usize = 8;

/// Three digits of each latency are kept: 0.1 % of error.
const DIGITS: u8 = 3;

/// A day in microseconds.
const LONGEST: u64 = 86_400_000_000;

/// Counts of a run, or of one interval of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Requests that were handed to a session.
    pub sent: u64,
    /// Of those, how many were answered with `ESME_ROK`.
    pub ok: u64,
    /// How many were answered with another status.
    pub refused: u64,
    /// How many were not answered in time, on a link that lived on.
    pub timed_out: u64,
    /// How many lost their link after octets of them may have left.
    pub lost: u64,
    /// How many lost their link before that: the peer has not seen them.
    pub never_left: u64,
    /// Receipts that came in.
    pub receipts: u64,
    /// Of those, how many are the first of a message of ours.
    pub receipts_matched: u64,
    /// Of those, how many are further ones of a message that has had its receipt.
    #[serde(default)]
    pub receipts_repeated: u64,
    /// Intermediate notifications that came in: a receipt is still to come.
    #[serde(default)]
    pub notifications: u64,
    /// Other messages that came in, each answered with `ESME_ROK`.
    pub received: u64,
    /// Receipts that the SMSC role owed and sent; they are also part of `sent`.
    pub receipts_sent: u64,
    /// Receipts that the SMSC role owed and could not send.
    pub receipts_dropped: u64,
    /// Binds that came back after a loss.
    pub reconnects: u64,
}

impl Counts {
    /// Requests that came to nothing.
    #[must_use]
    pub const fn failed(&self) -> u64 {
        self.refused + self.timed_out + self.lost + self.never_left
    }

    /// Requests that wait for their answer.
    #[must_use]
    pub const fn in_flight(&self) -> u64 {
        self.sent.saturating_sub(self.ok + self.failed())
    }

    fn add(&mut self, other: &Self) {
        self.sent += other.sent;
        self.ok += other.ok;
        self.refused += other.refused;
        self.timed_out += other.timed_out;
        self.lost += other.lost;
        self.never_left += other.never_left;
        self.receipts += other.receipts;
        self.receipts_matched += other.receipts_matched;
        self.receipts_repeated += other.receipts_repeated;
        self.notifications += other.notifications;
        self.received += other.received;
        self.receipts_sent += other.receipts_sent;
        self.receipts_dropped += other.receipts_dropped;
        self.reconnects += other.reconnects;
    }
}

/// Counts and times; all times are in microseconds.
#[derive(Debug, Clone)]
pub(crate) struct Tally {
    pub(crate) counts: Counts,
    /// Answers by status, `ESME_ROK` among them.
    pub(crate) statuses: BTreeMap<u32, u64>,
    /// From the time a request was due to its answer.
    pub(crate) latency: Histogram<u64>,
    /// From the time a request was handed to the session to its answer.
    pub(crate) service: Histogram<u64>,
    /// From the time a message was handed to the session to its receipt.
    pub(crate) receipt: Histogram<u64>,
}

impl Tally {
    pub(crate) fn new() -> Self {
        Self {
            counts: Counts::default(),
            statuses: BTreeMap::new(),
            latency: histogram(),
            service: histogram(),
            receipt: histogram(),
        }
    }

    pub(crate) fn answered(&mut self, status: CommandStatus) {
        if status.is_ok() {
            self.counts.ok += 1;
        } else {
            self.counts.refused += 1;
        }
        *self.statuses.entry(status.0).or_default() += 1;
    }

    /// A message has its receipt, so long after it was sent.
    pub(crate) fn received_after(&mut self, delay: Duration) {
        self.counts.receipts_matched += 1;
        note(&mut self.receipt, delay);
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.counts.add(&other.counts);
        for (status, count) in &other.statuses {
            *self.statuses.entry(*status).or_default() += count;
        }
        merge(&mut self.latency, &other.latency);
        merge(&mut self.service, &other.service);
        merge(&mut self.receipt, &other.receipt);
    }

    pub(crate) fn clear(&mut self) {
        self.counts = Counts::default();
        self.statuses.clear();
        self.latency.reset();
        self.service.reset();
        self.receipt.reset();
    }
}

#[expect(
    clippy::expect_used,
    reason = "the number of digits is a constant that the histogram takes"
)]
pub(crate) fn histogram() -> Histogram<u64> {
    Histogram::new(DIGITS).expect("three digits are allowed")
}

fn merge(into: &mut Histogram<u64>, from: &Histogram<u64>) {
    // Both resize themselves, so that there is no value that does not fit.
    if let Err(error) = into.add(from) {
        tracing::error!(%error, "a histogram could not be merged");
    }
}

/// Notes a time; one of more than a day as a day, so that the histogram cannot grow for ever.
pub(crate) fn note(histogram: &mut Histogram<u64>, time: Duration) {
    let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
    if let Err(error) = histogram.record(micros.min(LONGEST)) {
        tracing::error!(%error, "a time could not be noted");
    }
}

/// The tallies of all binds.
#[derive(Debug)]
pub(crate) struct Tallies(Box<[Mutex<Tally>]>);

impl Tallies {
    pub(crate) fn new(binds: usize) -> Self {
        let shards = binds.clamp(1, SHARDS);
        Self((0..shards).map(|_| Mutex::new(Tally::new())).collect())
    }

    /// Where bind `number` counts.
    pub(crate) fn shard(&self, number: usize) -> &Mutex<Tally> {
        let Self(shards) = self;
        &shards[number % shards.len()]
    }

    /// Moves all that was counted since the last time into `interval`, which is cleared before.
    pub(crate) fn drain(&self, interval: &mut Tally) {
        interval.clear();
        for shard in &self.0 {
            let mut shard = lock(shard);
            interval.add(&shard);
            shard.clear();
        }
    }
}

pub(crate) fn lock(tally: &Mutex<Tally>) -> MutexGuard<'_, Tally> {
    tally.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_all_binds_count_is_drained_once() {
        let tallies = Tallies::new(3);
        for bind in 0..3 {
            let mut tally = lock(tallies.shard(bind));
            tally.counts.sent += 2;
            tally.answered(CommandStatus::ESME_ROK);
            tally.answered(CommandStatus::ESME_RTHROTTLED);
            note(&mut tally.latency, Duration::from_millis(5));
        }
        let mut interval = Tally::new();
        tallies.drain(&mut interval);
        assert_eq!(interval.counts.sent, 6);
        assert_eq!(interval.counts.in_flight(), 0);
        let throttled = CommandStatus::ESME_RTHROTTLED.0;
        assert_eq!(interval.statuses, BTreeMap::from([(0, 3), (throttled, 3)]));
        assert_eq!(interval.latency.len(), 3);
        assert_eq!(interval.latency.value_at_quantile(0.5), 5_003);
        tallies.drain(&mut interval);
        assert_eq!(interval.counts, Counts::default());
        assert!(interval.latency.is_empty());
    }
}
