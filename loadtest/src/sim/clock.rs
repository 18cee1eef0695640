//! The one place of the simulator that reads the time, and takes a seed where none is given.

use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// One reading: the monotonic instant for deadlines and the wall time for people.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Now {
    /// For due times and timers.
    pub(crate) instant: Instant,
    /// Milliseconds since 1970-01-01 00:00 UTC.
    pub(crate) unix_ms: u64,
}

impl Now {
    /// A number that no other start is likely to get.
    pub(crate) fn fresh_seed() -> u64 {
        RandomState::new().hash_one(Self::read().unix_ms)
    }

    /// Microseconds since 1970-01-01 00:00 UTC.
    pub(crate) fn micros() -> u64 {
        u64::try_from(since_epoch().as_micros()).unwrap_or(u64::MAX)
    }

    /// Reads both clocks.
    #[expect(
        clippy::disallowed_methods,
        reason = "the simulator's clock: everything else gets it"
    )]
    pub(crate) fn read() -> Self {
        Self {
            instant: Instant::now(),
            unix_ms: u64::try_from(since_epoch().as_millis()).unwrap_or(u64::MAX),
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the simulator's clock: everything else gets it"
)]
fn since_epoch() -> Duration {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.unwrap_or(Duration::ZERO)
}
