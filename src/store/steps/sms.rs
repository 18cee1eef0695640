//! SMS from phones: told from redeliveries, joined from their parts, then pending.

use crate::gateway::model::SmsId;
use crate::store::tx::Tx;
use crate::store::{Ending, Result, StoreError};

pub(in crate::store) fn end_submissions(_: &mut Tx<'_>, _: SmsId, _: &Ending) -> Result<()> {
    Err(StoreError::Unavailable("stub".to_owned()))
}
