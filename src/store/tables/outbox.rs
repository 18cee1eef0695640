//! Things to do at the homeserver.

use serde::{Deserialize, Serialize};

use super::{AsideRow, Row};
use crate::gateway::model::Timestamp;
use crate::store::OutboxItem;
use crate::store::indexes::Indexes;

/// One thing to do.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct OutboxRow {
    pub(crate) id: i64,
    /// Unique for ever.
    pub(crate) key: String,
    pub(crate) lane: String,
    pub(crate) item: OutboxItem,
    pub(crate) due_at: Timestamp,
    pub(crate) attempts: u32,
    /// Of the last attempt.
    #[serde(default)]
    pub(crate) error: Option<String>,
    pub(crate) queued_at: Timestamp,
    /// Set where it was set aside.
    #[serde(default)]
    pub(crate) aside: Option<AsideRow>,
}

impl Row for OutboxRow {
    fn index(indexes: &mut Indexes, _: &str, old: Option<&Self>, new: Option<&Self>) {
        if let Some(old) = old {
            indexes.outbox.remove(old);
        }
        if let Some(new) = new {
            indexes.outbox.insert(new);
        }
    }
}
