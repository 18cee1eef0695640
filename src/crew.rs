//! The tasks that the gateway cannot do without.

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::error;

/// Runs what must go on until `stop`. When one of them ends earlier, by itself or by a panic, `died`
/// says so: the gateway ends, and whoever started it starts it again. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Crew {
    /// Knows when all have ended.
    pub tracker: TaskTracker,
    /// Asks all to end.
    pub stop: CancellationToken,
    /// One ended that should not have.
    pub died: CancellationToken,
}

impl Crew {
    /// Starts something that runs until `stop`.
    pub fn spawn(&self, name: &'static str, work: impl Future<Output = ()> + Send + 'static) {
        let (stop, died) = (self.stop.clone(), self.died.clone());
        // Panics end the inner task only, so the outer one can see them.
        let inner = self.tracker.spawn(work);
        self.tracker.spawn(async move {
            let ended = inner.await;
            if !stop.is_cancelled() {
                error!(name, panicked = ended.is_err(), "ended by itself");
                died.cancel();
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_task_that_panics_is_the_end_of_all() {
        let crew = Crew::default();
        crew.spawn("a pump", async { panic!("out of order") });
        crew.died.cancelled().await;
    }

    #[tokio::test]
    async fn a_task_that_ends_when_it_is_asked_to_is_not() {
        let crew = Crew::default();
        crew.spawn("a pump", crew.stop.clone().cancelled_owned());
        crew.stop.cancel();
        crew.tracker.close();
        crew.tracker.wait().await;
        assert!(!crew.died.is_cancelled());
    }
}
