//! Messages towards phones: accepted, shown, taken back.

use crate::gateway::model::Timestamp;
use crate::store::tx::Tx;
use crate::store::{Result, StoreError};

pub(in crate::store) fn take_back(_: &mut Tx<'_>, _: i64, _: (Timestamp, &str)) -> Result<()> {
    Err(StoreError::Unavailable("stub".to_owned()))
}
