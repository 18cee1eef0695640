//! The life of a message: how its segments change, and what follows for the message, its lane, its
//! money and its history.

use crate::gateway::model::{ConversationId, Timestamp};
use crate::store::tx::Tx;
use crate::store::{Result, StoreError};

pub(in crate::store) fn cancel_lane(_: &mut Tx<'_>, _: ConversationId, _: Timestamp) -> Result<()> {
    Err(StoreError::Unavailable("stub".to_owned()))
}

pub(in crate::store) fn refresh(_: &mut Tx<'_>, _: i64, _: Timestamp) -> Result<()> {
    Err(StoreError::Unavailable("stub".to_owned()))
}
