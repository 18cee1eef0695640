//! Delivery receipts, and the segments that they are about.

use crate::gateway::model::Timestamp;
use crate::store::tx::Tx;
use crate::store::{Result, StoreError};

pub(in crate::store) fn hold_is_over(_: &mut Tx<'_>, _: i64, _: u8, _: Timestamp) -> Result<()> {
    Err(StoreError::Unavailable("stub".to_owned()))
}
pub(in crate::store) fn wait_is_over(_: &mut Tx<'_>, _: i64, _: Timestamp) -> Result<()> {
    Err(StoreError::Unavailable("stub".to_owned()))
}
pub(in crate::store) fn forget_old(_: &mut Tx<'_>, _: Timestamp, _: usize) -> Result<usize> {
    Err(StoreError::Unavailable("stub".to_owned()))
}
pub(in crate::store) fn forget_surplus(_: &mut Tx<'_>) -> Result<usize> {
    Err(StoreError::Unavailable("stub".to_owned()))
}
