//! Accounts and their ledger. An account's row is a sum that is kept up to date; the ledger is the
//! truth that it can be rebuilt from. Every movement is one ledger row and one change of the
//! account, in the same transaction, at most once by the ledger's unique key.

use matrix_smpp_config::Money;
use ruma::{OwnedUserId, UserId};
use rusqlite::{Connection, Row, params};

use super::rows::{Sql as _, money, text};
use crate::gateway::model::{Account, MessageId, Timestamp};
use crate::store::{AuditDifference, Result, StoreError};

/// Where an amount goes; the number is `ledger.kind`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Movement {
    TopUp = 0,
    Reserve = 1,
    Settle = 2,
    Release = 3,
}

/// What a message costs, in whose name.
#[derive(Debug, Clone, Copy)]
pub(super) struct Charge<'a> {
    /// Who pays.
    pub(super) payer: &'a str,
    /// The message.
    pub(super) message: MessageId,
    /// When.
    pub(super) now: Timestamp,
}

pub(super) fn top_up(
    tx: &Connection,
    owner: &UserId,
    paid_in: Money,
    key: &str,
    now: Timestamp,
) -> Result<Account> {
    let earlier = tx.one(
        "SELECT owner, amount FROM ledger WHERE reference = ?1 AND segment = 0 AND kind = 0",
        [key],
        |row| Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?)),
    )?;
    match earlier {
        Some(same) if same == (owner.as_str().to_owned(), paid_in.micros()) => {
            return account(tx, owner);
        }
        Some(_) => return Err(conflict("this key paid in something else before")),
        None => {}
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
    write(
        tx,
        (owner.as_str(), key, 0),
        Movement::TopUp,
        paid_in.micros(),
        now,
    )?;
    account(tx, owner)
}

pub(super) fn set_limit(tx: &Connection, owner: &UserId, limit: Money) -> Result<Account> {
    let before = account(tx, owner)?;
    if limit < Money::ZERO {
        return Err(conflict("a limit is 0 or more"));
    }
    if before.balance.micros() < -limit.micros() {
        return Err(conflict("the balance is below this limit already"));
    }
    open(tx, owner.as_str())?;
    tx.run(
        "UPDATE account SET overdraft = ?2 WHERE owner = ?1",
        params![owner.as_str(), limit.micros()],
    )?;
    account(tx, owner)
}

pub(super) fn account(tx: &Connection, owner: &UserId) -> Result<Account> {
    let stored = tx.one(
        "SELECT owner, balance, reserved, settled, top_ups, overdraft FROM account WHERE owner = ?1",
        [owner.as_str()],
        read,
    )?;
    Ok(stored.map(|(_, account)| account).unwrap_or_default())
}

pub(super) fn accounts(tx: &Connection) -> Result<Vec<(OwnedUserId, Account)>> {
    tx.all(
        "SELECT owner, balance, reserved, settled, top_ups, overdraft FROM account ORDER BY owner",
        [],
        read,
    )
}

fn read(row: &Row<'_>) -> Result<(OwnedUserId, Account)> {
    let account = Account {
        balance: money(row, "balance")?,
        reserved: money(row, "reserved")?,
        settled: money(row, "settled")?,
        top_ups: money(row, "top_ups")?,
        limit: money(row, "overdraft")?,
    };
    Ok((text(row, "owner")?, account))
}

/// True where the account's credit covers `cost`. What costs nothing is always covered.
pub(super) fn covers(account: &Account, cost: Money) -> bool {
    let left = account.balance.micros() - cost.micros();
    cost == Money::ZERO || left >= -account.limit.micros()
}

/// Holds `cost` for a message.
pub(super) fn reserve(tx: &Connection, charge: Charge<'_>, cost: Money) -> Result<()> {
    let message = charge.message.to_string();
    write(
        tx,
        (charge.payer, &message, 0),
        Movement::Reserve,
        cost.micros(),
        charge.now,
    )
}

/// Spends what is held for a segment.
pub(super) fn settle(tx: &Connection, charge: Charge<'_>, segment: u8, price: i64) -> Result<()> {
    let message = charge.message.to_string();
    write(
        tx,
        (charge.payer, &message, segment),
        Movement::Settle,
        price,
        charge.now,
    )
}

/// Gives back what is held for a segment.
pub(super) fn release(tx: &Connection, charge: Charge<'_>, segment: u8, price: i64) -> Result<()> {
    let message = charge.message.to_string();
    write(
        tx,
        (charge.payer, &message, segment),
        Movement::Release,
        price,
        charge.now,
    )
}

/// One movement: its ledger row and the account that it changes.
fn write(
    tx: &Connection,
    (owner, reference, segment): (&str, &str, u8),
    movement: Movement,
    amount: i64,
    now: Timestamp,
) -> Result<()> {
    if amount == 0 && movement != Movement::TopUp {
        return Ok(());
    }
    tx.run(
        "INSERT INTO ledger (owner, kind, amount, reference, segment, at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        params![owner, movement as i64, amount, reference, segment, now],
    )?;
    open(tx, owner)?;
    let (balance, reserved, settled, top_ups) = match movement {
        Movement::TopUp => (amount, 0, 0, amount),
        Movement::Reserve => (-amount, amount, 0, 0),
        Movement::Settle => (0, -amount, amount, 0),
        Movement::Release => (amount, -amount, 0, 0),
    };
    tx.run(
        "UPDATE account SET balance = balance + ?2, reserved = reserved + ?3,
             settled = settled + ?4, top_ups = top_ups + ?5
         WHERE owner = ?1",
        params![owner, balance, reserved, settled, top_ups],
    )?;
    Ok(())
}

fn open(tx: &Connection, owner: &str) -> Result<()> {
    tx.run(
        "INSERT INTO account (owner) VALUES (?1) ON CONFLICT DO NOTHING",
        [owner],
    )?;
    Ok(())
}

/// Every account that its ledger contradicts, those with only one of the two included.
pub(super) fn audit(tx: &Connection) -> Result<Vec<AuditDifference>> {
    tx.all(
        "WITH sums AS (
             SELECT owner,
                 sum(CASE kind WHEN 0 THEN amount WHEN 1 THEN -amount WHEN 3 THEN amount ELSE 0 END)
                     AS balance,
                 sum(CASE kind WHEN 1 THEN amount WHEN 2 THEN -amount WHEN 3 THEN -amount ELSE 0 END)
                     AS reserved,
                 sum(CASE kind WHEN 2 THEN amount ELSE 0 END) AS settled,
                 sum(CASE kind WHEN 0 THEN amount ELSE 0 END) AS top_ups
             FROM ledger GROUP BY owner
         )
         SELECT owner,
             ifnull(a.balance, 0) AS balance, ifnull(a.reserved, 0) AS reserved,
             ifnull(a.settled, 0) AS settled, ifnull(a.top_ups, 0) AS top_ups,
             ifnull(a.overdraft, 0) AS overdraft,
             ifnull(s.balance, 0) AS ledger_balance, ifnull(s.reserved, 0) AS ledger_reserved,
             ifnull(s.settled, 0) AS ledger_settled, ifnull(s.top_ups, 0) AS ledger_top_ups
         FROM account a FULL JOIN sums s USING (owner)
         WHERE (ifnull(a.balance, 0), ifnull(a.reserved, 0), ifnull(a.settled, 0),
                ifnull(a.top_ups, 0))
             <> (ifnull(s.balance, 0), ifnull(s.reserved, 0), ifnull(s.settled, 0),
                ifnull(s.top_ups, 0))
         ORDER BY owner",
        [],
        |row| {
            let (owner, stored) = read(row)?;
            let ledger = Account {
                balance: money(row, "ledger_balance")?,
                reserved: money(row, "ledger_reserved")?,
                settled: money(row, "ledger_settled")?,
                top_ups: money(row, "ledger_top_ups")?,
                limit: stored.limit,
            };
            Ok(AuditDifference { owner, stored, ledger })
        },
    )
}

fn conflict(reason: &str) -> StoreError {
    StoreError::Conflict(reason.to_owned())
}

fn out_of_bounds() -> StoreError {
    conflict("the amount is beyond what an account can hold")
}
