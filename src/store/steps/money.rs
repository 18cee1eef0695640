//! Accounts and their ledger. An account's row is a sum that is kept up to date; the ledger is the
//! truth that it can be rebuilt from. Every movement is one ledger row and one change of the
//! account, in the same operation. It happens once: a payment by its key in [`TopUps`], a message's
//! price because a message is accepted once, a segment's because the segment says what became of it.

use std::sync::Arc;

use matrix_smpp_config::Money;
use ruma::{OwnedUserId, UserId};

use crate::gateway::model::{Account, MessageId, Timestamp};
use crate::store::tables::{AccountRow, Accounts, Ledger, LedgerRow, Movement, TopUps, number};
use crate::store::tx::{Sequence, Tx};
use crate::store::{Result, StoreError};

/// What a message costs, in whose name.
#[derive(Debug, Clone, Copy)]
pub(in crate::store) struct Charge<'a> {
    /// Who pays.
    pub(in crate::store) payer: &'a str,
    /// The message.
    pub(in crate::store) message: MessageId,
    /// When.
    pub(in crate::store) now: Timestamp,
}

pub(in crate::store) fn top_up(
    tx: &mut Tx<'_>,
    owner: &UserId,
    paid_in: Money,
    key: &str,
    now: Timestamp,
) -> Result<Account> {
    if let Some(earlier) = tx.get::<TopUps>(key)? {
        let earlier = tx.get::<Ledger>(&number(*earlier))?;
        let is_same =
            |row: &LedgerRow| row.owner == owner.as_str() && row.amount == paid_in.micros();
        return if earlier.is_some_and(|row| is_same(&row)) {
            account(tx, owner)
        } else {
            Err(conflict("this key paid in something else before"))
        };
    }
    let before = account(tx, owner)?;
    let after = before
        .balance
        .checked_add(paid_in)
        .ok_or_else(out_of_bounds)?;
    before
        .top_ups
        .checked_add(paid_in)
        .ok_or_else(out_of_bounds)?;
    if paid_in < Money::ZERO && after.micros() < -before.limit.micros() {
        return Err(conflict("the balance does not cover this"));
    }
    let movement = LedgerRow {
        owner: owner.to_string(),
        movement: Movement::TopUp,
        amount: paid_in.micros(),
        reference: key.to_owned(),
        segment: 0,
        at: now,
    };
    let at = book(tx, &movement)?;
    tx.insert::<Ledger>(&number(at), movement);
    tx.put::<TopUps>(key, at)?;
    account(tx, owner)
}

pub(in crate::store) fn set_limit(
    tx: &mut Tx<'_>,
    owner: &UserId,
    limit: Money,
) -> Result<Account> {
    let before = account(tx, owner)?;
    if limit < Money::ZERO {
        return Err(conflict("a limit is 0 or more"));
    }
    if before.balance.micros() < -limit.micros() {
        return Err(conflict("the balance is below this limit already"));
    }
    tx.change::<Accounts>(owner.as_str(), |row| row.overdraft = limit.micros())?;
    account(tx, owner)
}

pub(in crate::store) fn account(tx: &mut Tx<'_>, owner: &UserId) -> Result<Account> {
    let stored = tx.get::<Accounts>(owner.as_str())?;
    stored.map_or_else(|| Ok(Account::default()), |row| row.account())
}

/// Every account, by its owner. Runs alone.
pub(in crate::store) fn accounts(tx: &mut Tx<'_>) -> Result<Vec<(OwnedUserId, Account)>> {
    let stored = tx.all::<Accounts>()?.into_iter();
    stored
        .map(|(owner, row)| Ok((person(owner)?, row.account()?)))
        .collect()
}

impl AccountRow {
    pub(in crate::store) fn account(&self) -> Result<Account> {
        Ok(Account {
            balance: money(self.balance)?,
            reserved: money(self.reserved)?,
            settled: money(self.settled)?,
            top_ups: money(self.top_ups)?,
            limit: money(self.overdraft)?,
        })
    }

    /// The account after a movement; `None` where its amounts are beyond what can be kept.
    pub(in crate::store) fn after(&self, movement: Movement, amount: i64) -> Option<Self> {
        let taken = amount.checked_neg()?;
        let (balance, reserved, settled, top_ups) = match movement {
            Movement::TopUp => (amount, 0, 0, amount),
            Movement::Reserve => (taken, amount, 0, 0),
            Movement::Settle => (0, taken, amount, 0),
            Movement::Release => (amount, taken, 0, 0),
        };
        Some(Self {
            balance: self.balance.checked_add(balance)?,
            reserved: self.reserved.checked_add(reserved)?,
            settled: self.settled.checked_add(settled)?,
            top_ups: self.top_ups.checked_add(top_ups)?,
            overdraft: self.overdraft,
        })
    }

    /// What holds of every account.
    fn is_sound(&self) -> bool {
        let sum = i128::from(self.balance) + i128::from(self.reserved) + i128::from(self.settled);
        self.reserved >= 0
            && self.settled >= 0
            && i128::from(self.top_ups) == sum
            && i128::from(self.balance) >= -i128::from(self.overdraft)
    }

    /// What a ledger can tell of an account.
    pub(in crate::store) fn sums(&self) -> (i64, i64, i64, i64) {
        (self.balance, self.reserved, self.settled, self.top_ups)
    }
}

fn money(micros: i64) -> Result<Money> {
    Money::from_micros(micros)
        .ok_or_else(|| StoreError::Corrupt("an amount is out of bounds".to_owned()))
}

fn person(owner: String) -> Result<OwnedUserId> {
    owner
        .try_into()
        .map_err(|error| StoreError::Corrupt(format!("owner: {error}")))
}

/// True where the account's credit covers `cost`. What costs nothing is always covered.
pub(in crate::store) fn covers(account: &Account, cost: Money) -> bool {
    let left = account.balance.micros() - cost.micros();
    cost == Money::ZERO || left >= -account.limit.micros()
}

/// Holds `cost` for a message.
pub(in crate::store) fn reserve(tx: &mut Tx<'_>, charge: Charge<'_>, cost: Money) -> Result<()> {
    spend(tx, charge, Movement::Reserve, 0, cost.micros())
}

/// Spends what is held for a segment.
pub(in crate::store) fn settle(
    tx: &mut Tx<'_>,
    charge: Charge<'_>,
    segment: u8,
    price: i64,
) -> Result<()> {
    spend(tx, charge, Movement::Settle, segment, price)
}

/// Gives back what is held for a segment.
pub(in crate::store) fn release(
    tx: &mut Tx<'_>,
    charge: Charge<'_>,
    segment: u8,
    price: i64,
) -> Result<()> {
    spend(tx, charge, Movement::Release, segment, price)
}

/// A movement for a message; none where it costs nothing.
fn spend(
    tx: &mut Tx<'_>,
    charge: Charge<'_>,
    movement: Movement,
    segment: u8,
    amount: i64,
) -> Result<()> {
    if amount == 0 {
        return Ok(());
    }
    let movement = LedgerRow {
        owner: charge.payer.to_owned(),
        movement,
        amount,
        reference: charge.message.to_string(),
        segment,
        at: charge.now,
    };
    let at = book(tx, &movement)?;
    // Nobody looks for it by its number.
    tx.add::<Ledger>(&number(at), movement);
    Ok(())
}

/// One movement in the account that it changes; gives the number for its ledger row.
fn book(tx: &mut Tx<'_>, row: &LedgerRow) -> Result<i64> {
    let mut is_possible = false;
    tx.change::<Accounts>(&row.owner, |account| {
        let after = account.after(row.movement, row.amount);
        if let Some(after) = after.filter(AccountRow::is_sound) {
            *account = after;
            is_possible = true;
        }
    })?;
    if !is_possible {
        return Err(out_of_bounds());
    }
    tx.next(Sequence::Ledger)
}

/// Some of the ledger, in no order.
#[derive(Debug)]
pub(in crate::store) struct LedgerPage {
    /// Numbers and movements; one may come again in a later page.
    pub(in crate::store) rows: Vec<(i64, Arc<LedgerRow>)>,
    /// Rows that cannot be read.
    pub(in crate::store) unreadable: u64,
    /// Where the next page begins.
    pub(in crate::store) next: Option<String>,
}

/// A page of the ledger. Runs alone.
pub(in crate::store) fn ledger_page(
    tx: &mut Tx<'_>,
    from: Option<&str>,
    limit: usize,
) -> Result<LedgerPage> {
    let page = tx.scan::<Ledger>(from, limit)?;
    let rows = page.rows.into_iter();
    Ok(LedgerPage {
        rows: rows
            .filter_map(|(key, row)| Some((key.parse().ok()?, row)))
            .collect(),
        unreadable: page.unreadable,
        next: page.next,
    })
}

/// Movements that follow each other.
#[derive(Debug)]
pub(in crate::store) struct Movements {
    /// Them.
    pub(in crate::store) rows: Vec<Arc<LedgerRow>>,
    /// Those among them that cannot be read.
    pub(in crate::store) unreadable: u64,
    /// The number of the last of them.
    pub(in crate::store) until: i64,
    /// There are no more.
    pub(in crate::store) are_all: bool,
}

/// The movements after number `after`, at most `limit`.
pub(in crate::store) fn movements(tx: &mut Tx<'_>, after: i64, limit: usize) -> Result<Movements> {
    let last = tx.last(Sequence::Ledger)?;
    let most = i64::try_from(limit).unwrap_or(i64::MAX);
    let until = last.min(after.saturating_add(most));
    let keys: Vec<String> = (after + 1..=until).map(number).collect();
    tx.fetch::<Ledger>(keys.iter().map(String::as_str));
    let mut movements = Movements {
        rows: Vec::with_capacity(keys.len()),
        unreadable: 0,
        until,
        are_all: until == last,
    };
    for key in keys {
        match tx.get::<Ledger>(&key) {
            Err(StoreError::Corrupt(_)) => movements.unreadable += 1,
            row => movements.rows.extend(row?),
        }
    }
    Ok(movements)
}

/// Some accounts, in no order.
#[derive(Debug)]
pub(in crate::store) struct AccountsPage {
    /// Owners and accounts; one may come again in a later page.
    pub(in crate::store) rows: Vec<(String, AccountRow)>,
    /// Rows that cannot be read.
    pub(in crate::store) unreadable: u64,
    /// Where the next page begins.
    pub(in crate::store) next: Option<String>,
}

/// A page of accounts. Runs alone.
pub(in crate::store) fn accounts_page(
    tx: &mut Tx<'_>,
    from: Option<&str>,
    limit: usize,
) -> Result<AccountsPage> {
    let page = tx.scan::<Accounts>(from, limit)?;
    let rows = page.rows.into_iter();
    Ok(AccountsPage {
        rows: rows.map(|(owner, row)| (owner, *row)).collect(),
        unreadable: page.unreadable,
        next: page.next,
    })
}

/// The accounts of these owners; all zero where there is none.
pub(in crate::store) fn accounts_of(
    tx: &mut Tx<'_>,
    owners: &[String],
) -> Result<Vec<(String, AccountRow)>> {
    let mut rows = Vec::with_capacity(owners.len());
    tx.fetch::<Accounts>(owners.iter().map(String::as_str));
    for owner in owners {
        let row = tx.get::<Accounts>(owner)?;
        rows.push((owner.clone(), row.map(|row| *row).unwrap_or_default()));
    }
    Ok(rows)
}

fn conflict(reason: &str) -> StoreError {
    StoreError::Conflict(reason.to_owned())
}

fn out_of_bounds() -> StoreError {
    conflict("the amount is beyond what an account can hold")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(balance: i64, reserved: i64, settled: i64, overdraft: i64) -> AccountRow {
        AccountRow {
            balance,
            reserved,
            settled,
            top_ups: balance + reserved + settled,
            overdraft,
        }
    }

    #[test]
    fn every_movement_moves_its_amount_from_one_place_to_another() {
        let before = account(70, 30, 10, 0);
        for (movement, after) in [
            (Movement::TopUp, account(75, 30, 10, 0)),
            (Movement::Reserve, account(65, 35, 10, 0)),
            (Movement::Settle, account(70, 25, 15, 0)),
            (Movement::Release, account(75, 25, 10, 0)),
        ] {
            assert_eq!(before.after(movement, 5), Some(after), "{movement:?}");
        }
        assert_eq!(before.after(Movement::TopUp, i64::MAX), None);
    }

    #[test]
    fn an_account_never_holds_less_than_nothing() {
        assert!(account(-5, 5, 0, 5).is_sound());
        assert!(!account(-6, 6, 0, 5).is_sound(), "below its limit");
        assert!(!account(10, -1, 0, 0).is_sound(), "gives back too much");
        assert!(!account(10, 0, -1, 0).is_sound());
        let lost = AccountRow {
            top_ups: 9,
            ..account(10, 0, 0, 0)
        };
        assert!(!lost.is_sound());
    }
}
