//! Compares all accounts with the ledger while other operations go on.
//!
//! First the ledger is added up, page by page, as far as it was written when that began. Then accounts are
//! read, page by page, each page in one operation with whatever movements came since the last one:
//! so the sums and the accounts of a page are of one moment. No movement is ever changed.

use std::collections::{BTreeMap, BTreeSet};

use ruma::OwnedUserId;

use super::engine::Engine;
use super::steps::money::{self, AccountsPage, LedgerPage, Movements};
use super::tables::{AccountRow, LedgerRow};
use super::tx::{Sequence, Tx};
use super::{Audit, AuditDifference, Result, StoreError};

/// Rows that are read in one operation.
const PAGE: usize = if cfg!(test) { 3 } else { 2_000 };

/// Rebuilds every account from the ledger, beside other operations.
pub(crate) async fn audit(engine: &Engine) -> Result<Audit> {
    let last = engine.run_alone(|tx| tx.last(Sequence::Ledger)).await?;
    let mut books = Books::up_to(last);
    let mut from = None;
    loop {
        let page = engine.run_alone(move |tx| money::ledger_page(tx, from.as_deref(), PAGE));
        from = books.add_page(page.await?)?;
        if from.is_none() {
            break;
        }
    }
    loop {
        let (begin, after) = (from.clone(), books.until);
        let moment = engine.run_alone(move |tx| {
            let movements = money::movements(tx, after, PAGE)?;
            let accounts = || money::accounts_page(tx, begin.as_deref(), PAGE);
            let accounts = movements.are_all.then(accounts).transpose()?;
            Ok((movements, accounts))
        });
        let (movements, accounts) = moment.await?;
        books.add_movements(&movements)?;
        let Some(accounts) = accounts else {
            continue;
        };
        from = books.compare_page(accounts)?;
        if from.is_none() {
            break;
        }
    }
    for owners in books.left().chunks(PAGE) {
        let (movements, accounts) = accounts_of(engine, &mut books, owners).await?;
        books.add_movements(&movements)?;
        books.compare(accounts)?;
    }
    Ok(books.finish())
}

/// The accounts of these owners, and the last movements before that moment.
async fn accounts_of(
    engine: &Engine,
    books: &mut Books,
    owners: &[String],
) -> Result<(Movements, Vec<(String, AccountRow)>)> {
    loop {
        let (after, owners) = (books.until, owners.to_vec());
        let moment = engine.run_alone(move |tx| {
            let movements = money::movements(tx, after, PAGE)?;
            Ok((movements, money::accounts_of(tx, &owners)?))
        });
        let (movements, accounts) = moment.await?;
        if movements.are_all {
            return Ok((movements, accounts));
        }
        books.add_movements(&movements)?;
    }
}

/// The same for somebody who has the store alone.
pub(crate) fn audit_alone(tx: &mut Tx<'_>) -> Result<Audit> {
    let mut books = Books::up_to(tx.last(Sequence::Ledger)?);
    let mut from = None;
    loop {
        from = books.add_page(money::ledger_page(tx, from.as_deref(), PAGE)?)?;
        if from.is_none() {
            break;
        }
    }
    loop {
        from = books.compare_page(money::accounts_page(tx, from.as_deref(), PAGE)?)?;
        if from.is_none() {
            break;
        }
    }
    let left = money::accounts_of(tx, &books.left())?;
    books.compare(left)?;
    Ok(books.finish())
}

/// What the ledger says, and what has been compared with it.
#[derive(Debug, Default)]
struct Books {
    sums: BTreeMap<String, AccountRow>,
    /// The movements that are in it, of those that were there when it began.
    seen: Numbers,
    /// Everything up to this movement is in the sums once all pages are.
    until: i64,
    compared: BTreeSet<String>,
    audit: Audit,
}

impl Books {
    fn up_to(last: i64) -> Self {
        Self {
            seen: Numbers::up_to(last),
            until: last,
            ..Self::default()
        }
    }

    /// Adds a page of the ledger; gives where the next one begins.
    fn add_page(&mut self, page: LedgerPage) -> Result<Option<String>> {
        self.audit.unreadable += page.unreadable;
        for (number, row) in &page.rows {
            // A page may bring again what an earlier one has brought, and what came since.
            if self.seen.insert(*number) {
                self.add(row)?;
            }
        }
        Ok(page.next)
    }

    fn add_movements(&mut self, movements: &Movements) -> Result<()> {
        self.until = movements.until;
        self.audit.unreadable += movements.unreadable;
        movements.rows.iter().try_for_each(|row| self.add(row))
    }

    fn add(&mut self, row: &LedgerRow) -> Result<()> {
        let before = self.sums.get(&row.owner).copied().unwrap_or_default();
        let after = before.after(row.movement, row.amount);
        let after = after
            .ok_or_else(|| StoreError::Corrupt("the ledger's sums are out of bounds".to_owned()))?;
        match self.sums.get_mut(&row.owner) {
            Some(sum) => *sum = after,
            None => drop(self.sums.insert(row.owner.clone(), after)),
        }
        Ok(())
    }

    /// Compares a page of accounts; gives where the next one begins.
    fn compare_page(&mut self, page: AccountsPage) -> Result<Option<String>> {
        self.audit.unreadable += page.unreadable;
        self.compare(page.rows)?;
        Ok(page.next)
    }

    /// Compares accounts with the sums of the same moment.
    fn compare(&mut self, accounts: Vec<(String, AccountRow)>) -> Result<()> {
        for (owner, stored) in accounts {
            if !self.compared.insert(owner.clone()) {
                continue;
            }
            let ledger = AccountRow {
                overdraft: stored.overdraft,
                ..self.sums.get(&owner).copied().unwrap_or_default()
            };
            if stored.sums() != ledger.sums() {
                let owner = OwnedUserId::try_from(owner)
                    .map_err(|error| StoreError::Corrupt(format!("owner: {error}")))?;
                self.audit.differences.push(AuditDifference {
                    owner,
                    stored: stored.account()?,
                    ledger: ledger.account()?,
                });
            }
        }
        Ok(())
    }

    /// Owners that only the ledger knows, or whose accounts came behind the page in which they would
    /// stand.
    fn left(&self) -> Vec<String> {
        let owners = self.sums.keys();
        let left = owners.filter(|owner| !self.compared.contains(*owner));
        left.cloned().collect()
    }

    fn finish(mut self) -> Audit {
        let differences = &mut self.audit.differences;
        differences.sort_by(|one, other| one.owner.cmp(&other.owner));
        self.audit
    }
}

/// A set of numbers: one bit for each that could be in it.
#[derive(Debug, Default)]
struct Numbers {
    bits: Vec<u64>,
    last: usize,
}

impl Numbers {
    fn up_to(last: i64) -> Self {
        let last = usize::try_from(last).unwrap_or(0);
        let bits = vec![0; last / 64 + 1];
        Self { bits, last }
    }

    /// False where the number is in the set, or cannot be.
    fn insert(&mut self, number: i64) -> bool {
        let Ok(number) = usize::try_from(number) else {
            return false;
        };
        let bit = 1_u64 << (number % 64);
        match self.bits.get_mut(number / 64) {
            Some(bits) if *bits & bit == 0 && number <= self.last => {
                *bits |= bit;
                true
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert!(!numbers.insert(1_001), "beyond all that were given out");
        assert!(!numbers.insert(1_000_000));
        assert!(!numbers.insert(-1));
    }
}
