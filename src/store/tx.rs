//! One operation's view of the store.

use std::cell::Cell;
use std::sync::Arc;

use tracing::error;

use super::base::Base;
use super::indexes::Indexes;
use super::marks::Marks;
use super::state::{self, State};
use super::table::{Table, typed};
use super::tables::{Sequences, TableId};
use super::timer::{self, Timer};
use super::{Result, StoreError};
use crate::gateway::model::Timestamp;

/// What one operation reads and changes. It sees its own changes and those of all operations before
/// it; its own are undone where it fails.
///
/// An operation may be run several times until all that it reads is at hand: it must do nothing but
/// through this, and the same each time.
#[derive(Debug)]
pub(crate) struct Tx<'a> {
    state: &'a mut State,
    base: &'a mut dyn Base,
    ended: Ended,
    /// It has looked at what all rows come to.
    has_looked: Cell<bool>,
}

/// What an operation has come to.
#[derive(Debug)]
pub(crate) struct Ended {
    /// What must be read before it can be run again; nothing where it has been run.
    pub(crate) missing: Vec<(TableId, String)>,
    /// Nothing that it has seen waits to be committed.
    pub(crate) saw_committed_only: bool,
}

/// Rows of a page with the place of the next.
#[derive(Debug)]
pub(crate) struct Scanned<R> {
    pub(crate) rows: Vec<(String, Arc<R>)>,
    /// How many rows of the page cannot be read.
    pub(crate) unreadable: u64,
    pub(crate) next: Option<String>,
}

impl<'a> Tx<'a> {
    pub(crate) fn new(state: &'a mut State, base: &'a mut dyn Base) -> Self {
        Self {
            state,
            base,
            ended: Ended {
                missing: Vec::new(),
                saw_committed_only: true,
            },
            has_looked: Cell::new(false),
        }
    }

    /// The operation is over, for this time.
    pub(crate) fn end(mut self) -> Ended {
        if self.has_looked.get() && self.state.is_uncommitted() {
            self.ended.saw_committed_only = false;
        }
        self.ended
    }

    /// A part of the operation that has nothing to do with its others: where it meets what cannot be read,
    /// nothing of it is left behind, and the others go on.
    pub(crate) fn apart(&mut self, part: impl FnOnce(&mut Self) -> Result<()>) -> Result<()> {
        let mark = self.state.mark();
        match part(self) {
            Err(StoreError::Corrupt(reason)) => {
                error!(reason, "what cannot be read is left as it is");
                self.state.undo(mark);
                Ok(())
            }
            done => done,
        }
    }

    /// A row.
    pub(crate) fn get<T: Table>(&mut self, key: &str) -> Result<Option<Arc<T::Row>>> {
        self.cell(T::ID, key)?.map(typed).transpose()
    }

    /// True if there is a row.
    pub(crate) fn has<T: Table>(&mut self, key: &str) -> Result<bool> {
        Ok(self.cell(T::ID, key)?.is_some())
    }

    /// Has rows read at once that are about to be read one by one.
    pub(crate) fn fetch<'k, T: Table>(&mut self, keys: impl IntoIterator<Item = &'k str>) {
        // What fails here fails again where it is read.
        if self.base.is_remote() {
            keys.into_iter().for_each(|key| drop(self.cell(T::ID, key)));
            return;
        }
        let unknown: Vec<(TableId, &str)> = keys
            .into_iter()
            .filter(|key| {
                let is_unknown = self.state.known(T::ID, key).is_none();
                is_unknown && !self.state.absent.is_sure(T::ID, key)
            })
            .map(|key| (T::ID, key))
            .collect();
        let Ok(found) = self.base.get(&unknown) else {
            return;
        };
        for ((table, key), octets) in unknown.into_iter().zip(found) {
            let row = octets.map(|octets| (table.kind().decode)(&octets));
            if let Ok(cell) = row.transpose() {
                self.state.learn(table, key, cell);
            }
        }
    }

    /// Makes a row or replaces it.
    pub(crate) fn put<T: Table>(&mut self, key: &str, row: T::Row) -> Result<()> {
        let before = self.cell(T::ID, key)?;
        self.state.change(T::ID, key, before, Some(Arc::new(row)));
        Ok(())
    }

    /// Makes a row that cannot be there yet, such as one with a number from [`Self::next`].
    pub(crate) fn insert<T: Table>(&mut self, key: &str, row: T::Row) {
        self.state.change(T::ID, key, None, Some(Arc::new(row)));
    }

    /// The same for a row that no operation looks for by its key before it is committed.
    pub(crate) fn add<T: Table>(&mut self, key: &str, row: T::Row) {
        self.state.add(T::ID, key, Arc::new(row));
    }

    /// Changes a row. False where there is none.
    pub(crate) fn update<T: Table>(
        &mut self,
        key: &str,
        change: impl FnOnce(&mut T::Row),
    ) -> Result<bool> {
        let Some(before) = self.cell(T::ID, key)? else {
            return Ok(false);
        };
        let mut row = T::Row::clone(&*typed::<T::Row>(Arc::clone(&before))?);
        change(&mut row);
        self.state
            .change(T::ID, key, Some(before), Some(Arc::new(row)));
        Ok(true)
    }

    /// Changes a row, or the default where there is none.
    pub(crate) fn change<T: Table>(
        &mut self,
        key: &str,
        change: impl FnOnce(&mut T::Row),
    ) -> Result<()>
    where
        T::Row: Default,
    {
        let before = self.cell(T::ID, key)?;
        let mut row = match &before {
            Some(before) => T::Row::clone(&*typed::<T::Row>(Arc::clone(before))?),
            None => T::Row::default(),
        };
        change(&mut row);
        self.state.change(T::ID, key, before, Some(Arc::new(row)));
        Ok(())
    }

    /// Deletes a row. False where there was none.
    pub(crate) fn delete<T: Table>(&mut self, key: &str) -> Result<bool> {
        let before = self.cell(T::ID, key)?;
        let was = before.is_some();
        if was {
            self.state.change(T::ID, key, before, None);
        }
        Ok(was)
    }

    /// The next number of a sequence: 1, 2, 3…, never one twice.
    pub(crate) fn next(&mut self, sequence: Sequence) -> Result<i64> {
        self.next_of(sequence, 1)
    }

    /// The last number that a sequence has given out; 0 before its first.
    pub(crate) fn last(&mut self, sequence: Sequence) -> Result<i64> {
        let last = self.get::<Sequences>(sequence.key())?;
        Ok(last.map_or(0, |last| *last))
    }

    /// The first of the next `count` numbers of a sequence, which stand side by side.
    pub(crate) fn next_of(&mut self, sequence: Sequence, count: i64) -> Result<i64> {
        let before = self.cell(Sequences::ID, sequence.key())?;
        let last = before.clone().map(typed::<i64>).transpose()?;
        let last = last.map_or(0, |last| *last);
        let after = Some(Arc::new(last + count) as super::table::AnyRow);
        self.state
            .change(Sequences::ID, sequence.key(), before, after);
        Ok(last + 1)
    }

    /// The indexes, true to every change so far.
    pub(crate) fn indexes(&self) -> &Indexes {
        self.has_looked.set(true);
        &self.state.indexes
    }

    /// By which an answer is known to hold. They say nothing of what is committed: the rows of the answer
    /// do.
    pub(crate) fn marks(&self) -> &Marks {
        &self.state.indexes.marks
    }

    /// How many rows a table has; one of [those that are counted](super::counts).
    pub(crate) fn count<T: Table>(&self) -> u64 {
        self.has_looked.set(true);
        self.state.count(T::ID)
    }

    /// Has `timer` go off at `at`. It goes off though its reason is gone: who is called looks first.
    pub(crate) fn set_timer(&mut self, at: Timestamp, timer: &Timer) {
        let key = timer::key(at, timer);
        self.state
            .change(super::tables::Timers::ID, &key, None, Some(Arc::new(())));
    }

    /// Timers that have gone off, the first first, at most `limit`, and out of the store. Only for
    /// operations that are run [on their own](super::engine).
    pub(crate) fn take_timers(&mut self, now: Timestamp, limit: usize) -> Result<Vec<Timer>> {
        let keys = self.base.timers(&timer::end(now), limit)?;
        let mut timers = Vec::with_capacity(keys.len());
        for key in keys {
            let row: super::table::AnyRow = Arc::new(());
            self.state
                .change(super::tables::Timers::ID, &key, Some(row), None);
            timers.extend(timer::parse(&key));
        }
        Ok(timers)
    }

    /// A page of a table's rows, in no order; a row may be in several pages. What cannot be read is left out. Only for operations
    /// that are run [on their own](super::engine), and before they change anything.
    pub(crate) fn scan<T: Table>(
        &mut self,
        from: Option<&str>,
        limit: usize,
    ) -> Result<Scanned<T::Row>> {
        let page = self.base.scan(T::ID, from, limit)?;
        let mut rows = Vec::with_capacity(page.rows.len());
        let mut unreadable = 0;
        for (key, octets) in page.rows {
            match (T::ID.kind().decode)(&octets) {
                Ok(row) => rows.push((key, typed::<T::Row>(row)?)),
                Err(_) => unreadable += 1,
            }
        }
        Ok(Scanned {
            rows,
            unreadable,
            next: page.next,
        })
    }

    /// Every row of a table once, in the order of the keys; else as [`Self::scan`] gives them.
    pub(crate) fn all<T: Table>(&mut self) -> Result<Vec<(String, Arc<T::Row>)>> {
        let mut all = Vec::new();
        let mut from = None;
        loop {
            let page = self.scan::<T>(from.as_deref(), 1_000)?;
            all.extend(page.rows);
            match page.next {
                Some(next) => from = Some(next),
                None => break,
            }
        }
        all.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        all.dedup_by(|(one, _), (other, _)| one == other);
        Ok(all)
    }

    fn cell(&mut self, table: TableId, key: &str) -> Result<state::Cell> {
        if let Some((cell, is_committed)) = self.state.known(table, key) {
            self.ended.saw_committed_only &= is_committed;
            return Ok(cell);
        }
        if let Some(reason) = self.state.spoilt(table, key) {
            return Err(StoreError::Corrupt(reason));
        }
        if self.state.absent.is_sure(table, key) {
            self.state.learn(table, key, None);
            return Ok(None);
        }
        if self.base.is_remote() {
            self.ended.missing.push((table, key.to_owned()));
            return Err(StoreError::Unavailable("not read yet".to_owned()));
        }
        let octets = self.base.get(&[(table, key)])?.pop().flatten();
        let cell = octets
            .map(|octets| (table.kind().decode)(&octets))
            .transpose()?;
        self.state.learn(table, key, cell.clone());
        Ok(cell)
    }
}

/// Numbers that are given out one after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sequence {
    /// Matrix events.
    Inbox,
    /// Rooms, in the order of first sight.
    Room,
    /// Conversations.
    Conversation,
    /// Messages.
    Message,
    /// Whole SMS.
    Sms,
    /// SMS and parts that were taken.
    Taken,
    /// Long SMS that wait for parts.
    Partial,
    /// Receipts that wait for their answer.
    Parked,
    /// Things to do at the homeserver.
    Outbox,
    /// Movements of money.
    Ledger,
    /// What homeservers send beside events.
    Extras,
}

impl Sequence {
    const fn key(self) -> &'static str {
        match self {
            Self::Inbox => "inbox",
            Self::Room => "room",
            Self::Conversation => "conversation",
            Self::Message => "message",
            Self::Sms => "sms",
            Self::Taken => "taken",
            Self::Partial => "partial",
            Self::Parked => "parked",
            Self::Outbox => "outbox",
            Self::Ledger => "ledger",
            Self::Extras => "extras",
        }
    }
}
