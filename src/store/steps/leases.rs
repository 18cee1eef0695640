//! The ties between numbers, handsets and conversations.

use ruma::OwnedUserId;

use crate::gateway::model::{Handset, Timestamp};
use crate::store::tx::Tx;
use crate::store::{Lease, Result, StoreError};

pub(in crate::store) fn of_pair(
    _: &mut Tx<'_>,
    _: &str,
    _: &Handset,
    _: Timestamp,
) -> Result<Option<Lease>> {
    Err(StoreError::Unavailable("stub".to_owned()))
}
pub(in crate::store) fn dedicated_to(_: &mut Tx<'_>, _: &str) -> Result<Option<OwnedUserId>> {
    Err(StoreError::Unavailable("stub".to_owned()))
}
pub(in crate::store) fn forget_cooled(_: &mut Tx<'_>, _: &str, _: Timestamp) -> Result<()> {
    Err(StoreError::Unavailable("stub".to_owned()))
}
