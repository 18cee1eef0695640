//! What the simulator still has to say to its accounts, in order of time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

/// How many items one account may have waiting; what comes after is dropped and counted.
pub(crate) const MAX_WAITING: usize = 200_000;

/// Items for accounts, each due at an instant. Items that are due at the same instant leave in the
/// order in which they came.
#[derive(Debug)]
pub(crate) struct Outbox<T> {
    waiting: BTreeMap<Arc<str>, BTreeMap<(Instant, u64), T>>,
    arrivals: u64,
    dropped: u64,
}

impl<T> Default for Outbox<T> {
    fn default() -> Self {
        Self {
            waiting: BTreeMap::new(),
            arrivals: 0,
            dropped: 0,
        }
    }
}

impl<T> Outbox<T> {
    /// Keeps an item for an account. `false` when that account has [`MAX_WAITING`] already.
    pub(crate) fn push(&mut self, account: &Arc<str>, due: Instant, item: T) -> bool {
        let queue = self.waiting.entry(Arc::clone(account)).or_default();
        if queue.len() >= MAX_WAITING {
            self.dropped = self.dropped.saturating_add(1);
            return false;
        }
        self.arrivals = self.arrivals.wrapping_add(1);
        queue.insert((due, self.arrivals), item);
        true
    }

    /// The account's earliest item, if it is due.
    pub(crate) fn pop(&mut self, account: &str, now: Instant) -> Option<T> {
        let queue = self.waiting.get_mut(account)?;
        let first = queue.first_entry()?;
        let due = first.key().0 <= now;
        let item = due.then(|| first.remove())?;
        if queue.is_empty() {
            self.waiting.remove(account);
        }
        Some(item)
    }

    /// The accounts that have something due.
    pub(crate) fn due(&self, now: Instant) -> Vec<Arc<str>> {
        let is_due = |queue: &BTreeMap<(Instant, u64), T>| {
            queue
                .first_key_value()
                .is_some_and(|((due, _), _)| *due <= now)
        };
        self.waiting
            .iter()
            .filter(|(_, queue)| is_due(queue))
            .map(|(name, _)| Arc::clone(name))
            .collect()
    }

    /// When the next item that is not due yet becomes so.
    pub(crate) fn next_due(&self, now: Instant) -> Option<Instant> {
        let later = |queue: &BTreeMap<(Instant, u64), T>| {
            let from = (now, u64::MAX);
            queue.range(from..).next().map(|((due, _), _)| *due)
        };
        self.waiting.values().filter_map(later).min()
    }

    /// How many items wait, over all accounts.
    pub(crate) fn len(&self) -> usize {
        self.waiting.values().map(BTreeMap::len).sum()
    }

    /// How many items found no room.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::sim::clock::Now;

    #[test]
    fn items_leave_when_due_in_order_of_time_then_of_arrival() {
        let start = Now::read().instant;
        let later = start + Duration::from_secs(1);
        let mut outbox = Outbox::default();
        outbox.push(&"a".into(), later, "third");
        outbox.push(&"a".into(), start, "first");
        outbox.push(&"a".into(), start, "second");
        assert_eq!(outbox.pop("a", start), Some("first"));
        assert_eq!(outbox.pop("a", start), Some("second"));
        assert_eq!(outbox.pop("a", start), None);
        assert_eq!(outbox.next_due(start), Some(later));
        assert_eq!(outbox.pop("a", later), Some("third"));
        assert_eq!(outbox.len(), 0);
    }

    #[test]
    fn one_account_never_gets_what_is_another_s() {
        let now = Now::read().instant;
        let mut outbox = Outbox::default();
        outbox.push(&"a".into(), now, 1);
        assert_eq!(outbox.pop("b", now), None);
        assert_eq!(outbox.due(now), ["a".into()]);
    }

    #[test]
    fn a_full_account_drops_and_counts() {
        let now = Now::read().instant;
        let mut outbox = Outbox::default();
        for item in 0..MAX_WAITING {
            assert!(outbox.push(&"a".into(), now, item));
        }
        assert!(!outbox.push(&"a".into(), now, 0));
        assert!(outbox.push(&"b".into(), now, 0));
        assert_eq!((outbox.len(), outbox.dropped()), (MAX_WAITING + 1, 1));
    }
}
