//! The one place of the load generator that reads clocks.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, clock_gettime};

/// For latencies and timers.
#[expect(clippy::disallowed_methods, reason = "the load generator's clock")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Milliseconds since 1970 (UTC).
#[expect(clippy::disallowed_methods, reason = "the load generator's clock")]
pub(crate) fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    u64::try_from(since.unwrap_or_default().as_millis()).unwrap_or(u64::MAX)
}

/// What this process has used of all CPUs so far, in user and kernel mode.
pub(crate) fn cpu() -> Duration {
    let used = clock_gettime(ClockId::ProcessCPUTime);
    Duration::try_from(used).unwrap_or_default()
}
