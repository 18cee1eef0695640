//! Segments on their way to a peer: claimed, answered, recovered.

use crate::gateway::model::Timestamp;
use crate::store::tx::Tx;
use crate::store::{Result, StoreError};

pub(in crate::store) fn expire_due(_: &mut Tx<'_>, _: Timestamp, _: usize) -> Result<usize> {
    Err(StoreError::Unavailable("stub".to_owned()))
}
