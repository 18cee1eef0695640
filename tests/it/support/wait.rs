//! Waiting for what a peer does by itself: ask again until it is so, or fail at a deadline.

use std::time::Duration;

use tokio::time::Instant;

/// How long anything may take that the gateway or a peer does by itself.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

/// Between two questions to a peer that cannot tell by itself.
const PAUSE: Duration = Duration::from_millis(20);

/// The time from which a test counts.
#[expect(
    clippy::disallowed_methods,
    reason = "processes of their own live by the machine's clock"
)]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Asks until the answer is `Some`. Fails the test after [`PATIENCE`], naming what did not happen.
pub(crate) async fn until<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let asking = async {
        loop {
            if let Some(answer) = ask().await {
                return answer;
            }
            tokio::time::sleep(PAUSE).await;
        }
    };
    let answer = tokio::time::timeout(PATIENCE, asking).await;
    answer.unwrap_or_else(|_| panic!("not within {PATIENCE:?}: {what}"))
}
