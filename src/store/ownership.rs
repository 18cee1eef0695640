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
    pub(crate) fn renew(&self, asked: u64, ttl: Duration) {
        let sure = u64::try_from((ttl * 4 / 5).as_millis()).unwrap_or(u64::MAX);
        self.until
            .store(asked.saturating_add(sure), Ordering::Release);
    }

    /// It is over.
    pub(crate) fn end(&self) {
        self.until.store(0, Ordering::Release);
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
}
