//! The one place of the simulator that reads the time.

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
    /// Reads both clocks.
    #[expect(
        clippy::disallowed_methods,
        reason = "the simulator's clock: everything else gets it"
    )]
    pub(crate) fn read() -> Self {
        let since_epoch = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or(Duration::ZERO);
        Self {
            instant: Instant::now(),
            unix_ms: u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX),
        }
    }
}
