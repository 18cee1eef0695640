//! Accounts and their ledger.

use async_trait::async_trait;
use matrix_smpp_config::Money;
use ruma::{OwnedUserId, UserId};

use super::Result;
use crate::gateway::model::{Account, Timestamp};

/// Accounts. Done by `steps/money.rs`; why that is atomic: [`Store`](super::Store).
///
/// Every movement is one row of the ledger and one change of the account in the same commit, so that
/// top-ups = balance + reserved + settled after each. What messages cost moves with the messages
/// ([`MessageStore`](super::MessageStore)): reserved when one is accepted, which happens once by its id;
/// settled or released with its segments, each of which says what became of its price.
#[async_trait]
pub trait MoneyStore {
    /// Pays into an account; negative amounts take out, as far as the limit allows.
    ///
    /// *Again*: the payment's `key` is known for ever, with its owner and amount: nothing is paid, and the
    /// account is told as it is now. The same key for another owner or amount is a
    /// [`Conflict`](super::StoreError::Conflict).
    async fn top_up(
        &self,
        owner: &UserId,
        amount: Money,
        key: &str,
        now: Timestamp,
    ) -> Result<Account>;

    /// Sets how far below zero a balance may go. Fails with
    /// [`Conflict`](super::StoreError::Conflict) where the balance is below that already.
    ///
    /// *Again*: it is the limit already.
    async fn set_limit(&self, owner: &UserId, limit: Money) -> Result<Account>;

    /// An account; all zero for one never seen.
    async fn account(&self, owner: &UserId) -> Result<Account>;

    /// Every account, by Matrix ID.
    async fn accounts(&self) -> Result<Vec<(OwnedUserId, Account)>>;

    /// Rebuilds every account from the ledger and lists those that differ; none when all is well. Other
    /// operations go on meanwhile, and are in what is compared: it is not one operation but many, and
    /// each account is compared with all of its movements at one moment.
    async fn audit(&self) -> Result<Audit>;
}

/// What a comparison of all accounts with the ledger has found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Audit {
    /// Accounts that the ledger contradicts, by Matrix ID.
    pub differences: Vec<AuditDifference>,
    /// Accounts and ledger rows that cannot be read: it says nothing of those.
    pub unreadable: u64,
}

impl Audit {
    /// Everything was read, and agrees.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.differences.is_empty() && self.unreadable == 0
    }
}

/// An account that the ledger contradicts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditDifference {
    /// Whose.
    pub owner: OwnedUserId,
    /// What is stored.
    pub stored: Account,
    /// What the ledger says.
    pub ledger: Account,
}
