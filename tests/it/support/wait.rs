//! Waiting for what a peer does by itself: ask again until it is so, or fail at a deadline.

use std::time::Duration;

/// How long anything may take that the gateway or a peer does by itself.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

/// Between two questions to a peer that cannot tell by itself.
const PAUSE: Duration = Duration::from_millis(20);

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
