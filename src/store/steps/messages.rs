//! Messages towards phones: accepted, shown, taken back.

use crate::store::tables::MessageRow;
use crate::store::tx::Tx;
use crate::store::{Result, StoreError};

pub(in crate::store) fn forget(_: &mut Tx<'_>, _: &MessageRow) -> Result<()> {
    Err(StoreError::Unavailable("stub".to_owned()))
}
