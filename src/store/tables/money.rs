//! Accounts and their ledger.

use serde::{Deserialize, Serialize};

use super::Row;
use crate::gateway::model::Timestamp;

/// An account, in micro-units: `top_ups = balance + reserved + settled`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct AccountRow {
    pub(crate) balance: i64,
    pub(crate) reserved: i64,
    pub(crate) settled: i64,
    pub(crate) top_ups: i64,
    /// How far below zero the balance may go.
    pub(crate) overdraft: i64,
}

impl Row for AccountRow {}

/// Where an amount goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Movement {
    /// From outside to the balance.
    TopUp,
    /// From the balance to what is reserved.
    Reserve,
    /// From what is reserved to what is settled.
    Settle,
    /// From what is reserved to the balance.
    Release,
}

/// One movement. Written once, never changed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct LedgerRow {
    pub(crate) owner: String,
    pub(crate) movement: Movement,
    /// Micro-units.
    pub(crate) amount: i64,
    /// The top-up's key or the message's id.
    pub(crate) reference: String,
    /// 0 where it is about the whole.
    pub(crate) segment: u8,
    pub(crate) at: Timestamp,
}

impl Row for LedgerRow {}
