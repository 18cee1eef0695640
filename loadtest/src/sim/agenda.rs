//! What is to happen to messages later, in order of time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use crate::sim::records::Parcel;

/// Something that is due later.
#[derive(Debug, Clone)]
pub(crate) enum Errand {
    /// The message reaches its phone.
    Deliver(Arc<Parcel>),
    /// Its sender is told that it is on its way.
    Notify(Arc<Parcel>),
    /// Its sender is told what became of it.
    Receipt(Arc<Parcel>),
    /// The phone answers it; or, of an echo, the message comes back.
    Reply(Arc<Parcel>),
}

/// Errands in order of time; at the same time by rank, then in the order in which they came.
#[derive(Debug)]
pub(crate) struct Agenda {
    errands: BTreeMap<(Instant, u64, u64), Errand>,
    arrivals: u64,
    limit: usize,
    dropped: u64,
}

impl Agenda {
    /// Keeps at most so many.
    pub(crate) const fn new(limit: usize) -> Self {
        Self {
            errands: BTreeMap::new(),
            arrivals: 0,
            limit,
            dropped: 0,
        }
    }

    /// Keeps an errand. `false` where there is no room.
    pub(crate) fn add(&mut self, due: Instant, rank: u64, errand: Errand) -> bool {
        if self.errands.len() >= self.limit {
            self.dropped += 1;
            return false;
        }
        self.arrivals += 1;
        self.errands.insert((due, rank, self.arrivals), errand);
        true
    }

    /// The first errand, if it is due.
    pub(crate) fn pop(&mut self, now: Instant) -> Option<Errand> {
        let first = self.errands.first_entry()?;
        (first.key().0 <= now).then(|| first.remove())
    }

    /// When the first errand is due.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        self.errands.first_key_value().map(|((due, ..), _)| *due)
    }

    /// How many receipts and notifications wait.
    pub(crate) fn len(&self) -> usize {
        self.errands.len()
    }

    /// How many found no room.
    pub(crate) const fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        self.errands.clear();
    }
}
