//! What the limits against pumped traffic have counted.

use std::fmt;

use async_trait::async_trait;

use super::Result;
use crate::gateway::limits::Limit;
use crate::gateway::model::Timestamp;

/// What people ask of the limits against pumped traffic. They are kept by
/// [`accept_message`](super::MessageStore::accept_message). Done by `steps/limits.rs`; why that is
/// atomic: [`Store`](super::Store).
#[async_trait]
pub trait LimitStore {
    /// The counters whose limit has refused a message within its window, by limit.
    async fn limits_hit(&self, now: Timestamp) -> Result<Vec<Counter>>;

    /// Forgets what a limit has counted of a Matrix ID or a prefix, so that it starts anew. False where
    /// nothing was.
    ///
    /// *Again*: nothing is counted: `false`.
    async fn clear_limit(&self, limit: Limit, whose: &str) -> Result<bool>;
}

/// What a limit has counted.
#[derive(Clone, PartialEq, Eq)]
pub struct Counter {
    /// Which limit.
    pub limit: Limit,
    /// Of whom: a Matrix ID, or the prefix of the numbers.
    pub whose: String,
    /// How much, within its window: micro-units of money, or phones.
    pub used: i64,
    /// When it refused a message first, within its window.
    pub hit: Timestamp,
}

/// Without whose it is: a prefix is nobody's business in a log.
impl fmt::Debug for Counter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Counter")
            .field("limit", &self.limit)
            .field("used", &self.used)
            .finish_non_exhaustive()
    }
}
