//! Phones that want no more texts.

use ruma::OwnedUserId;
use serde::{Deserialize, Serialize};

use super::Row;
use crate::gateway::model::Timestamp;

/// That a phone wants no more texts.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct OptOutRow {
    /// From which number; `None` for all.
    pub(crate) number: Option<String>,
    /// Who held the number for the phone.
    pub(crate) holder: Option<OwnedUserId>,
    pub(crate) at: Timestamp,
}

impl std::fmt::Debug for OptOutRow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OptOutRow")
            .field("at", &self.at)
            .finish_non_exhaustive()
    }
}

impl Row for OptOutRow {}
