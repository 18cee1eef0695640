//! m
use ruma::{OwnedEventId, ServerName};
use crate::gateway::model::{Timestamp, MessageId};
use crate::store::tables::MessageRow;
use crate::store::tx::Tx;
use crate::store::{Result, StoreError, NewMessage, Acceptance, MessageView};
fn stub<T>() -> Result<T> { Err(StoreError::Unavailable("stub".to_owned())) }
pub(in crate::store) fn forget(_: &mut Tx<'_>, _: &MessageRow) -> Result<()> { stub() }
pub(in crate::store) fn take_back(_: &mut Tx<'_>, _: i64, _: (Timestamp, &str)) -> Result<()> { stub() }
pub(in crate::store) fn accept(_: &mut Tx<'_>, _: &NewMessage) -> Result<Acceptance> { stub() }
pub(in crate::store) fn cancel_event(_: &mut Tx<'_>, _: &ServerName, _: &OwnedEventId, _: Timestamp) -> Result<Vec<MessageView>> { stub() }
pub(in crate::store) fn of_event(_: &mut Tx<'_>, _: &ServerName, _: &OwnedEventId) -> Result<Vec<MessageView>> { stub() }
pub(in crate::store) fn get(_: &mut Tx<'_>, _: MessageId) -> Result<Option<MessageView>> { stub() }
