//! Whether both sides of a migration are the same.

use std::collections::BTreeMap;

use super::{MARK, Migration, PAGE};
use crate::store::audit::audit_alone;
use crate::store::base::{Base, Octets, Page, Write};
use crate::store::state::State;
use crate::store::table::typed;
use crate::store::tables::{AccountRow, TableId};
use crate::store::tx::Tx;
use crate::store::{Audit, Result, StoreError};

/// What was moved and checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moved {
    /// Rows of all tables.
    pub rows: u64,
    /// Accounts.
    pub accounts: usize,
    /// The sum of their balances, in micro-units.
    pub balance: i128,
    /// The sum of what is reserved in them, in micro-units.
    pub reserved: i128,
    /// The sum of what was spent from them, in micro-units.
    pub settled: i128,
    /// The sum of what was paid into them, in micro-units.
    pub top_ups: i128,
}

impl Migration<'_> {
    /// Compares every row, the sums of the accounts, and the target's accounts with its ledger.
    ///
    /// Fails with [`StoreError::Corrupt`] where there is a difference.
    pub(super) fn check(&mut self) -> Result<Moved> {
        let mut rows = 0;
        for table in TableId::ALL {
            rows += self.compare(*table)?;
        }
        let here = add_up(self.source)?;
        let there = add_up(self.target)?;
        if here != there {
            return Err(differ("the sums of the accounts"));
        }
        let audit = audit(&mut Attended {
            base: self.target,
            other: self.source,
        })?;
        if let Some(first) = audit.differences.first() {
            return Err(StoreError::Corrupt(format!(
                "{} accounts disagree with the ledger, {} first; `matrix-smpp credit audit` shows \
                 whether they did before",
                audit.differences.len(),
                first.owner
            )));
        }
        Ok(Moved { rows, ..there })
    }

    /// Compares a table; gives how many rows it has. Equally many rows of which each one of the source
    /// is in the target are the same rows.
    fn compare(&mut self, table: TableId) -> Result<u64> {
        let name = table.kind().name;
        let count = self.source.count(table)?;
        if self.target.count(table)? != count {
            return Err(differ(name));
        }
        let mut from = None;
        loop {
            let here = self.source.scan(table, from.as_deref(), PAGE)?;
            let is_same = if table == TableId::Timers {
                // They are in order in every base, and are looked for in no other way.
                self.target.scan(table, from.as_deref(), PAGE)?.rows == here.rows
            } else {
                self.has(table, &here.rows)?
            };
            if !is_same {
                return Err(differ(name));
            }
            self.keep()?;
            from = here.next;
            if from.is_none() {
                return Ok(count);
            }
        }
    }

    fn has(&mut self, table: TableId, rows: &[(String, Octets)]) -> Result<bool> {
        let keys: Vec<_> = rows.iter().map(|(key, _)| (table, key.as_str())).collect();
        let found = self.target.get(&keys)?;
        let mut both = rows.iter().zip(&found);
        let is_mark = |key: &str| table == TableId::Meta && key == MARK;
        Ok(both.all(|((key, here), there)| is_mark(key) || there.as_ref() == Some(here)))
    }
}

fn differ(what: &str) -> StoreError {
    StoreError::Corrupt(format!("{what}: both sides are not the same"))
}

/// The sums of a side's accounts.
fn add_up(base: &mut dyn Base) -> Result<Moved> {
    let mut accounts = BTreeMap::new();
    let mut from = None;
    loop {
        let page = base.scan(TableId::Accounts, from.as_deref(), PAGE)?;
        for (owner, octets) in page.rows {
            let row = (TableId::Accounts.kind().decode)(&octets)?;
            accounts.insert(owner, *typed::<AccountRow>(row)?);
        }
        from = page.next;
        if from.is_none() {
            break;
        }
    }
    let sum =
        |amount: fn(&AccountRow) -> i64| accounts.values().map(|row| i128::from(amount(row))).sum();
    Ok(Moved {
        rows: 0,
        accounts: accounts.len(),
        balance: sum(|row| row.balance),
        reserved: sum(|row| row.reserved),
        settled: sum(|row| row.settled),
        top_ups: sum(|row| row.top_ups),
    })
}

/// The store's own audit.
fn audit(base: &mut dyn Base) -> Result<Audit> {
    let mut state = State::new();
    loop {
        let mut tx = Tx::new(&mut state, base);
        let audit = audit_alone(&mut tx);
        let missing = tx.end().missing;
        if missing.is_empty() {
            return audit;
        }
        for (table, key) in missing {
            let octets = base.get(&[(table, &key)])?.pop().flatten();
            let row = octets.map(|octets| (table.kind().decode)(&octets));
            state.learn(table, &key, row.transpose()?);
        }
    }
}

/// A base to read from for long, while both sides are kept.
#[derive(Debug)]
struct Attended<'a> {
    base: &'a mut dyn Base,
    other: &'a mut dyn Base,
}

impl Base for Attended<'_> {
    fn twin(&self) -> Result<Box<dyn Base>> {
        self.base.twin()
    }

    fn is_remote(&self) -> bool {
        self.base.is_remote()
    }

    fn get(&mut self, keys: &[(TableId, &str)]) -> Result<Vec<Option<Octets>>> {
        self.base.get(keys)
    }

    fn scan(&mut self, table: TableId, from: Option<&str>, limit: usize) -> Result<Page> {
        self.keep()?;
        self.base.scan(table, from, limit)
    }

    fn timers(&mut self, until: &str, limit: usize) -> Result<Vec<String>> {
        self.base.timers(until, limit)
    }

    fn count(&mut self, table: TableId) -> Result<u64> {
        self.base.count(table)
    }

    fn commit(&mut self, writes: &[Write]) -> Result<()> {
        self.base.commit(writes)
    }

    fn keep(&mut self) -> Result<()> {
        self.other.keep()?;
        self.base.keep()
    }
}
