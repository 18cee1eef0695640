//! Accounts and their ledger. An account's row is a sum that is kept up to date; the ledger is the
//! truth that it can be rebuilt from. Every movement is one ledger row and one change of the
//! account, in the same operation. It happens once: a payment by its key in [`TopUps`], a message's
//! price because a message is accepted once, a segment's because the segment says what became of it.

use std::collections::{BTreeMap, BTreeSet};

use matrix_smpp_config::Money;
use ruma::{OwnedUserId, UserId};

use crate::gateway::model::{Account, MessageId, Timestamp};
use crate::store::tables::{AccountRow, Accounts, Ledger, LedgerRow, Movement, TopUps, number};
use crate::store::tx::{Sequence, Tx};
use crate::store::{AuditDifference, Result, StoreError};

/// Ledger rows that an audit holds at once.
const PAGE: usize = 10_000;

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
    let at = write(tx, movement)?;
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
    fn account(&self) -> Result<Account> {
        Ok(Account {
            balance: money(self.balance)?,
            reserved: money(self.reserved)?,
            settled: money(self.settled)?,
            top_ups: money(self.top_ups)?,
            limit: money(self.overdraft)?,
        })
    }

    /// The account after a movement; `None` where its amounts are beyond what can be kept.
    fn after(&self, movement: Movement, amount: i64) -> Option<Self> {
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
    fn sums(&self) -> (i64, i64, i64, i64) {
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
    write(tx, movement).map(drop)
}

/// One movement: the account that it changes and its ledger row, whose number this gives.
fn write(tx: &mut Tx<'_>, row: LedgerRow) -> Result<i64> {
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
    let at = tx.next(Sequence::Ledger)?;
    tx.insert::<Ledger>(&number(at), row);
    Ok(at)
}

/// Every account that its ledger contradicts, those with only one of the two included. Runs alone,
/// and reads the whole ledger.
pub(in crate::store) fn audit(tx: &mut Tx<'_>) -> Result<Vec<AuditDifference>> {
    let ledger = add_up(tx)?;
    let stored: BTreeMap<String, _> = tx.all::<Accounts>()?.into_iter().collect();
    let owners: BTreeSet<&String> = ledger.keys().chain(stored.keys()).collect();
    let mut differences = Vec::new();
    for owner in owners {
        let stored = stored.get(owner).map(|row| **row).unwrap_or_default();
        let ledger = AccountRow {
            overdraft: stored.overdraft,
            ..ledger.get(owner).copied().unwrap_or_default()
        };
        if stored.sums() != ledger.sums() {
            differences.push(AuditDifference {
                owner: person(owner.clone())?,
                stored: stored.account()?,
                ledger: ledger.account()?,
            });
        }
    }
    Ok(differences)
}

/// What the ledger says of every owner in it.
fn add_up(tx: &mut Tx<'_>) -> Result<BTreeMap<String, AccountRow>> {
    let mut sums: BTreeMap<String, AccountRow> = BTreeMap::new();
    let mut seen = Numbers::up_to(tx.last(Sequence::Ledger)?);
    let mut from = None;
    loop {
        let page = tx.scan::<Ledger>(from.as_deref(), PAGE)?;
        for (key, row) in page.rows {
            // A page may bring again what an earlier one has brought.
            if !key.parse().is_ok_and(|number| seen.insert(number)) {
                continue;
            }
            let before = sums.get(&row.owner).copied().unwrap_or_default();
            let after = before.after(row.movement, row.amount);
            let after = after.ok_or_else(|| {
                StoreError::Corrupt("the ledger's sums are out of bounds".to_owned())
            })?;
            match sums.get_mut(&row.owner) {
                Some(sum) => *sum = after,
                None => drop(sums.insert(row.owner.clone(), after)),
            }
        }
        match page.next {
            Some(next) => from = Some(next),
            None => return Ok(sums),
        }
    }
}

/// A set of numbers: one bit for each that could be in it.
struct Numbers(Vec<u64>);

impl Numbers {
    fn up_to(last: i64) -> Self {
        let words = usize::try_from(last).unwrap_or(0) / 64 + 1;
        Self(vec![0; words])
    }

    /// False where the number is in the set, or cannot be.
    fn insert(&mut self, number: usize) -> bool {
        let bit = 1_u64 << (number % 64);
        match self.0.get_mut(number / 64) {
            Some(bits) if *bits & bit == 0 => {
                *bits |= bit;
                true
            }
            _ => false,
        }
    }
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
    fn a_number_is_new_to_a_set_once() {
        let mut numbers = Numbers::up_to(1_000);
        for number in [0, 63, 64, 1_000] {
            assert!(
                numbers.insert(number) && !numbers.insert(number),
                "{number}"
            );
        }
        assert!(numbers.insert(1));
        assert!(!numbers.insert(1_000_000), "beyond all that were given out");
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
