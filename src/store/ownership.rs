//! Until when the owner of a store can be sure that it still is.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Shared by the thread that keeps the store and those who do what must not be done twice.
#[derive(Debug)]
pub(crate) struct Ownership {
    /// On the clock of [`now`].
    until: AtomicU64,
    /// When the others are to hear again that it lives, on the same clock.
    sign_at: AtomicU64,
    /// How long the others keep away after each sign of life, in milliseconds.
    ttl: AtomicU64,
    closing: AtomicBool,
}

impl Ownership {
    /// Of a store that nobody else can take over.
    pub(crate) fn for_ever() -> Arc<Self> {
        Self::until(u64::MAX)
    }

    /// Of a store that is still to be taken over.
    pub(crate) fn not_yet() -> Arc<Self> {
        Self::until(0)
    }

    fn until(until: u64) -> Arc<Self> {
        Arc::new(Self {
            until: AtomicU64::new(until),
            sign_at: AtomicU64::new(u64::MAX),
            ttl: AtomicU64::default(),
            closing: AtomicBool::new(false),
        })
    }

    /// False where another one may be the owner by now.
    pub(crate) fn is_sure(&self) -> bool {
        self.is_sure_at(now())
    }

    fn is_sure_at(&self, now: u64) -> bool {
        now < self.until.load(Ordering::Acquire)
    }

    /// What was asked for at `asked`, on the clock of [`now`], has been done in the owner's name: the
    /// others keep away for `ttl` from then on at least. A fifth of it is left for what is under way to
    /// the peers, and for clocks that do not run alike.
    ///
    /// Several threads may say so, of what they asked for in any order.
    pub(crate) fn renew(&self, asked: u64, ttl: Duration) {
        let after = |part: Duration| asked.saturating_add(millis(part));
        self.ttl.store(millis(ttl), Ordering::Relaxed);
        self.until.fetch_max(after(ttl * 4 / 5), Ordering::AcqRel);
        let known = self.sign_at.load(Ordering::Relaxed);
        if known == u64::MAX || known < after(ttl / 3) {
            self.sign_at.store(after(ttl / 3), Ordering::Relaxed);
        }
    }

    /// How long the others can wait for the next sign of life; `None` where they need none.
    pub(crate) fn next_sign(&self) -> Option<Duration> {
        let at = self.sign_at.load(Ordering::Relaxed);
        (at < u64::MAX).then(|| Duration::from_millis(at.saturating_sub(now())))
    }

    /// How long the others keep away after each sign of life.
    pub(crate) fn ttl(&self) -> Duration {
        Duration::from_millis(self.ttl.load(Ordering::Relaxed))
    }

    /// It is over.
    pub(crate) fn end(&self) {
        self.until.store(0, Ordering::Release);
        self.sign_at.store(u64::MAX, Ordering::Relaxed);
    }

    /// Nobody waits any more for what is still to be kept.
    pub(crate) fn close(&self) {
        self.closing.store(true, Ordering::Relaxed);
    }

    /// Whether nobody waits any more.
    pub(crate) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Relaxed)
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Milliseconds of a clock that nobody sets, and that goes on while the process is paused and while the
/// machine sleeps.
pub(crate) fn now() -> u64 {
    let now = clock_gettime(ClockId::Boottime);
    let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
    let millis = u64::try_from(now.tv_nsec / 1_000_000).unwrap_or(0);
    seconds.saturating_mul(1_000).saturating_add(millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_is_sure_from_the_time_at_which_it_asked_until_shortly_before_its_time_is_over() {
        let ownership = Ownership::not_yet();
        assert!(!ownership.is_sure_at(0));
        ownership.renew(10_000, Duration::from_secs(5));
        assert!(ownership.is_sure_at(13_999));
        assert!(!ownership.is_sure_at(14_000));
        ownership.end();
        assert!(!ownership.is_sure_at(10_000));
        assert!(Ownership::for_ever().is_sure());
    }

    #[test]
    fn an_earlier_sign_of_life_that_is_heard_of_later_takes_nothing_away() {
        let ownership = Ownership::not_yet();
        ownership.renew(10_000, Duration::from_secs(5));
        ownership.renew(9_000, Duration::from_secs(5));
        assert!(ownership.is_sure_at(13_999));
    }

    #[test]
    fn the_others_hear_three_times_in_their_patience_that_an_owner_lives() {
        let ownership = Ownership::not_yet();
        assert_eq!(ownership.next_sign(), None);
        let ttl = Duration::from_secs(30);
        ownership.renew(now(), ttl);
        let next = ownership.next_sign().unwrap();
        assert!(next > ttl / 6 && next <= ttl / 3, "{next:?}");
        ownership.renew(0, ttl);
        assert!(ownership.next_sign().unwrap() > ttl / 6);
        ownership.end();
        assert_eq!(ownership.next_sign(), None);
        assert_eq!(Ownership::for_ever().next_sign(), None);
    }
}
