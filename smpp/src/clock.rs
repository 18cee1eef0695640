//! The one place of this crate that reads the clock.

use std::time::Instant;

/// The present, by the runtime's clock, which tests can stop and move.
#[expect(clippy::disallowed_methods, reason = "the drivers' clock")]
pub(crate) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}
