//! A token bucket in integer nanoseconds, kept as one instant (the virtual scheduling form, GCRA).

use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How many requests per second may leave, and how many of them at once.
///
/// The bucket holds a tenth of a second's worth of requests and never less than one, so that a
/// peer that counts over whole seconds does not see two seconds' worth in one.
#[derive(Debug, Clone)]
pub(crate) struct TokenBucket {
    per_second: NonZeroU32,
    interval: Duration,
    depth: Duration,
    /// The instant at which the bucket is full again.
    full_at: Option<Instant>,
}

impl TokenBucket {
    /// A full bucket.
    pub(crate) fn new(per_second: NonZeroU32) -> Self {
        let interval = Duration::from_secs(1) / per_second.get();
        let burst = (per_second.get() / 10).max(1);
        Self {
            per_second,
            interval,
            depth: interval * burst,
            full_at: None,
        }
    }

    /// Goes on at another rate. The time that the tokens taken so far need to come back stays what
    /// it is, so that a change gives none.
    pub(crate) fn set_rate(&mut self, per_second: NonZeroU32) {
        if per_second != self.per_second {
            let full_at = self.full_at;
            *self = Self::new(per_second);
            self.full_at = full_at;
        }
    }

    /// How many requests may leave now.
    pub(crate) fn available(&self, now: Instant) -> usize {
        let free = self.depth.saturating_sub(self.debt(now));
        let whole = free
            .as_nanos()
            .checked_div(self.interval.as_nanos())
            .unwrap_or(u128::MAX);
        usize::try_from(whole).unwrap_or(usize::MAX)
    }

    /// Takes one token; the caller has looked at `available` first.
    pub(crate) fn take(&mut self, now: Instant) {
        self.take_many(now, 1);
    }

    /// Takes so many, some of which may have to come back first: until then there are none.
    fn take_many(&mut self, now: Instant, count: u32) {
        self.full_at = Some(now + self.debt(now) + self.interval * count);
    }

    /// When the next token is there; `None` when one is there already.
    pub(crate) fn refill_at(&self, now: Instant) -> Option<Instant> {
        let missing = (self.debt(now) + self.interval).saturating_sub(self.depth);
        (!missing.is_zero()).then(|| now + missing)
    }

    fn debt(&self, now: Instant) -> Duration {
        self.full_at
            .map_or(Duration::ZERO, |full| full.saturating_duration_since(now))
    }
}

/// Counts messages against a rate. Clones share it, so that all sessions of one account do.
#[derive(Debug, Clone)]
pub struct Meter(Arc<Mutex<TokenBucket>>);

impl Meter {
    /// So many messages per second, and a tenth of a second's worth of them at once.
    #[must_use]
    pub fn new(per_second: NonZeroU32) -> Self {
        Self(Arc::new(Mutex::new(TokenBucket::new(per_second))))
    }

    /// How many messages may pass now.
    pub(crate) fn available(&self, now: Instant) -> usize {
        self.lock().available(now)
    }

    /// When the next one may pass; `None` when one may already.
    pub(crate) fn refill_at(&self, now: Instant) -> Option<Instant> {
        self.lock().refill_at(now)
    }

    /// Goes on at another rate, for all who share it.
    pub(crate) fn set_rate(&self, per_second: NonZeroU32) {
        self.lock().set_rate(per_second);
    }

    fn lock(&self) -> MutexGuard<'_, TokenBucket> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether one more request keeps to the rate. It counts if so, as the messages that it is: what
    /// one of many goes beyond the rate is missing for those after it.
    pub(crate) fn admit(&self, now: Instant, messages: u32) -> bool {
        let mut bucket = self.lock();
        let admitted = bucket.available(now) > 0;
        if admitted {
            bucket.take_many(now, messages);
        }
        admitted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bucket(per_second: u32) -> TokenBucket {
        TokenBucket::new(NonZeroU32::new(per_second).unwrap())
    }

    #[test]
    fn a_slow_bucket_gives_one_at_a_time() {
        let start = crate::clock::now();
        let mut bucket = bucket(2);
        assert_eq!(bucket.available(start), 1);
        bucket.take(start);
        assert_eq!(bucket.available(start), 0);
        assert_eq!(
            bucket.refill_at(start),
            Some(start + Duration::from_millis(500))
        );
        assert_eq!(bucket.available(start + Duration::from_millis(499)), 0);
        assert_eq!(bucket.available(start + Duration::from_millis(500)), 1);
        assert_eq!(bucket.refill_at(start + Duration::from_millis(500)), None);
    }

    #[test]
    fn a_rested_bucket_holds_a_tenth_of_a_second() {
        let start = crate::clock::now();
        let mut bucket = bucket(100);
        for _ in 0..10 {
            assert_ne!(bucket.available(start), 0);
            bucket.take(start);
        }
        assert_eq!(bucket.available(start), 0);
        assert_eq!(bucket.available(start + Duration::from_mins(1)), 10);
    }

    #[test]
    fn a_change_of_rate_gives_no_tokens() {
        let start = crate::clock::now();
        let mut bucket = bucket(100);
        while bucket.available(start) > 0 {
            bucket.take(start);
        }
        for per_second in [50, 1_000, 1, 100] {
            bucket.set_rate(NonZeroU32::new(per_second).unwrap());
            assert_eq!(bucket.available(start), 0, "{per_second}");
        }
    }

    #[test]
    fn a_request_of_many_messages_counts_as_all_of_them() {
        let start = crate::clock::now();
        let meter = Meter::new(NonZeroU32::new(10).unwrap());
        assert!(meter.admit(start, 30));
        let after = |millis| start + Duration::from_millis(millis);
        assert!(!meter.admit(after(2_999), 1));
        assert!(meter.admit(after(3_000), 1));
    }

    #[test]
    fn over_a_long_time_the_rate_is_kept_exactly() {
        let start = crate::clock::now();
        let mut bucket = bucket(30);
        let mut sent = 0;
        for milli in 0..10_000 {
            let now = start + Duration::from_millis(milli);
            while bucket.available(now) > 0 {
                bucket.take(now);
                sent += 1;
            }
        }
        assert_eq!(sent, 3 + 299, "the burst, then one per interval of 1/30 s");
    }
}
