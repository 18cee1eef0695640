//! Which receipts are due, and how long each took. Shared by all binds: a receipt may come on any of
//! them, and before the answer that names its message.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The table is cut into so many parts, each behind its own lock.
const PARTS: usize = 16;

/// The most message ids that one part remembers; those beyond are not followed.
const MOST: usize = 250_000;

/// What a message id waits for.
#[derive(Debug, Clone, Copy)]
enum Half {
    /// Its receipt; the message was sent then.
    Sent(Instant),
    /// The answer to its request; the receipt came then.
    Early(Instant),
}

#[derive(Debug)]
pub(crate) struct Receipts {
    parts: [Mutex<HashMap<Box<[u8]>, Half>>; PARTS],
    hasher: RandomState,
}

/// What became of one half.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Matched {
    /// Both are there: this long from the sending to the receipt.
    After(Duration),
    /// The other half is to come.
    NotYet,
    /// The table is full, or the id was there already.
    Lost,
}

impl Receipts {
    pub(crate) fn new() -> Self {
        Self {
            parts: std::array::from_fn(|_| Mutex::default()),
            hasher: RandomState::new(),
        }
    }

    /// A message was accepted under this id.
    pub(crate) fn accepted(&self, id: &[u8], sent: Instant) -> Matched {
        self.meet(id, Half::Sent(sent))
    }

    /// A receipt names this id.
    pub(crate) fn received(&self, id: &[u8], now: Instant) -> Matched {
        self.meet(id, Half::Early(now))
    }

    /// How many receipts are due: `(due, early)`, the latter without a message that they belong to.
    pub(crate) fn open(&self) -> (u64, u64) {
        let mut counts = (0, 0);
        for part in &self.parts {
            for half in lock(part).values() {
                match half {
                    Half::Sent(_) => counts.0 += 1,
                    Half::Early(_) => counts.1 += 1,
                }
            }
        }
        counts
    }

    fn meet(&self, id: &[u8], half: Half) -> Matched {
        let Some(mut part) = self.part(id) else {
            return Matched::Lost;
        };
        let full = part.len() >= MOST;
        match part.entry(id.into()) {
            Entry::Vacant(_) if full => Matched::Lost,
            Entry::Vacant(place) => {
                place.insert(half);
                Matched::NotYet
            }
            Entry::Occupied(place) => match (*place.get(), half) {
                (Half::Sent(sent), Half::Early(came)) | (Half::Early(came), Half::Sent(sent)) => {
                    place.remove();
                    Matched::After(came.saturating_duration_since(sent))
                }
                _ => Matched::Lost,
            },
        }
    }

    fn part(&self, id: &[u8]) -> Option<MutexGuard<'_, HashMap<Box<[u8]>, Half>>> {
        let [.., low] = self.hasher.hash_one(id).to_be_bytes();
        self.parts.get(usize::from(low) % PARTS).map(lock)
    }
}

fn lock<T>(part: &Mutex<T>) -> MutexGuard<'_, T> {
    part.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::disallowed_methods, reason = "any instant will do")]
    fn instants() -> (Instant, Instant) {
        let now = Instant::now();
        (now, now + Duration::from_millis(20))
    }

    #[test]
    fn a_receipt_meets_its_message_in_either_order_and_once() {
        let (sent, came) = instants();
        let after = Matched::After(Duration::from_millis(20));
        let receipts = Receipts::new();
        assert_eq!(receipts.accepted(b"a", sent), Matched::NotYet);
        assert_eq!(receipts.received(b"b", came), Matched::NotYet);
        assert_eq!(receipts.open(), (1, 1));
        assert_eq!(receipts.received(b"a", came), after);
        assert_eq!(receipts.accepted(b"b", sent), after);
        assert_eq!(receipts.open(), (0, 0));
        assert_eq!(receipts.received(b"a", came), Matched::NotYet);
        assert_eq!(receipts.received(b"a", came), Matched::Lost);
    }
}
