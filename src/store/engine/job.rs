//! Operations as the thread runs them, with the way back to who asked.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};

use tokio::sync::oneshot;

use crate::store::tx::Tx;
use crate::store::{Result, StoreError};

/// How an operation stands to those that wait with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Manner {
    InTurn,
    /// Before them. Nothing takes off without it, and who asked for it is told first.
    First,
    /// When everything before it has been committed.
    Alone,
}

/// An operation with the way back to who asked for it.
pub(super) trait Job: Send {
    fn manner(&self) -> Manner;

    /// Runs the operation. False where it has failed and must leave nothing behind.
    fn run(&mut self, tx: &mut Tx<'_>) -> bool;

    /// Tells who asked, where everything up to here has been kept or none of the group.
    fn answer(self: Box<Self>, fate: &Fate);
}

pub(super) struct Call<T, F> {
    pub(super) operation: F,
    pub(super) manner: Manner,
    pub(super) result: Result<T>,
    pub(super) sender: oneshot::Sender<Result<T>>,
}

impl<T, F> Job for Call<T, F>
where
    T: Send,
    F: FnMut(&mut Tx<'_>) -> Result<T> + Send,
{
    fn manner(&self) -> Manner {
        self.manner
    }

    fn run(&mut self, tx: &mut Tx<'_>) -> bool {
        let operation = AssertUnwindSafe(|| (self.operation)(tx));
        self.result = catch_unwind(operation).unwrap_or_else(|_| {
            let reason = "an operation of the store panicked".to_owned();
            Err(StoreError::Corrupt(reason))
        });
        self.result.is_ok()
    }

    fn answer(self: Box<Self>, fate: &Fate) {
        let outcome = match fate {
            Fate::Kept => self.result,
            Fate::Failed(reason) => Err(StoreError::Unavailable(reason.clone())),
            Fate::Lost => Err(StoreError::Lost),
        };
        // Who does not listen any more has gone away; the change stands.
        drop(self.sender.send(outcome));
    }
}

/// What became of a group.
pub(super) enum Fate {
    Kept,
    Failed(String),
    Lost,
}

impl From<StoreError> for Fate {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Lost => Self::Lost,
            error => Self::Failed(error.to_string()),
        }
    }
}

/// Tells those who asked.
pub(super) fn tell(jobs: VecDeque<Box<dyn Job>>, fate: &Fate) {
    for job in jobs {
        job.answer(fate);
    }
}
