//! Moves a whole store from one base to another.
//!
//! Rows are the same octets wherever they lie, so that this is a copy of every table, and a check that
//! both sides are the same. Both have one owner meanwhile, which is this. The target says that it is
//! half done until the check has passed ([`mark`]); a second run goes on from there, unless the source
//! was used in between: then it begins again.

mod check;
pub(in crate::store) mod mark;
#[cfg(test)]
mod tests;

use uuid::Uuid;

pub use self::check::Moved;
use self::mark::{INSTANCE, MARK, Mark, NO_TOKEN, meta, meta_write, unmark};
use super::base::{Base, Write};
use super::tables::TableId;
use super::{Result, StoreError};

/// Rows read at once.
const PAGE: usize = 2_000;
/// Octets of rows in one commit, but for a single row that has more.
const COMMIT: usize = 1024 * 1024;

/// Both sides, and who hears how far it is.
pub(super) struct Migration<'a> {
    /// Where the rows are.
    pub(super) source: &'a mut dyn Base,
    /// Where they go.
    pub(super) target: &'a mut dyn Base,
    /// The target's engine, as the configuration calls it.
    pub(super) to: &'a str,
    /// Takes a line for people.
    pub(super) tell: &'a mut dyn FnMut(&str),
}

impl Migration<'_> {
    /// Moves the store, or goes on where the last run was interrupted.
    ///
    /// Fails with [`StoreError::Conflict`] where one side may not be used for this, and with
    /// [`StoreError::Corrupt`] where both are not the same at the end: the source may be used then, as
    /// after any other failure.
    pub(super) fn run(mut self) -> Result<Moved> {
        let (token, mut done) = self.begin()?;
        for table in TableId::ALL {
            let name = table.kind().name;
            if done.iter().any(|done| done == name) {
                continue;
            }
            self.copy(*table)?;
            done.push(name.to_owned());
            self.filling(&token, &done)?;
        }
        (self.tell)("comparing both sides");
        let moved = match self.check() {
            Err(error @ StoreError::Corrupt(_)) => {
                // What was copied is not to be trusted.
                self.filling(NO_TOKEN, &[])?;
                return Err(error);
            }
            checked => checked?,
        };
        let to = self.to.to_owned();
        Mark::Left { token, to }.put(self.source)?;
        unmark(self.target)?;
        Ok(moved)
    }

    /// Looks whether both sides may be used, and marks them. Gives the token and the tables that an
    /// earlier run has copied.
    fn begin(&mut self) -> Result<(String, Vec<String>)> {
        let from = Mark::of(self.source)?;
        let to = Mark::of(self.target)?;
        let Some(name) = meta(self.source, INSTANCE)? else {
            return Err(conflict("there is no store to be moved"));
        };
        if let Some(Mark::Filling { .. }) = from {
            return Err(conflict(
                "the source is itself the target of a migration that is not finished",
            ));
        }
        self.target_fits(&name, to.as_ref())?;
        match (from, to) {
            (
                Some(Mark::Leaving { token } | Mark::Left { token, .. }),
                Some(Mark::Filling { token: other, done }),
            ) if token == other => {
                (self.tell)("going on where the last run ended");
                Ok((token, done))
            }
            (Some(Mark::Left { to, .. }), _) => Err(conflict(&format!(
                "this store was moved to {to} before; what is here is out of date"
            ))),
            _ => {
                let token = self.begin_anew(&name)?;
                Ok((token, Vec::new()))
            }
        }
    }

    /// Refuses a target with rows that nobody has given up.
    fn target_fits(&mut self, name: &str, mark: Option<&Mark>) -> Result<()> {
        let is_given_up = matches!(mark, Some(Mark::Filling { .. } | Mark::Left { .. }));
        match meta(self.target, INSTANCE)? {
            Some(there) if there == name && is_given_up => Ok(()),
            _ if self.is_empty()? => Ok(()),
            Some(there) if there == name => Err(conflict(
                "the target holds this very store, and nothing says that it is out of date; remove \
                 it first if it is",
            )),
            _ => Err(conflict(
                "the target holds another store; choose another place for this one, or remove that",
            )),
        }
    }

    /// True where the target has nothing but what a start leaves behind.
    fn is_empty(&mut self) -> Result<bool> {
        for table in TableId::ALL {
            if *table != TableId::Meta && self.target.count(*table)? > 0 {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn begin_anew(&mut self, name: &str) -> Result<String> {
        // Nobody may use the target from here on, and what is in it is worth nothing.
        self.filling(NO_TOKEN, &[])?;
        self.target.commit(&[meta_write(INSTANCE, name)?])?;
        for table in TableId::ALL {
            self.empty(*table)?;
        }
        let token = Uuid::new_v4().simple().to_string();
        Mark::Leaving {
            token: token.clone(),
        }
        .put(self.source)?;
        self.filling(&token, &[])?;
        Ok(token)
    }

    fn filling(&mut self, token: &str, done: &[String]) -> Result<()> {
        let mark = Mark::Filling {
            token: token.to_owned(),
            done: done.to_owned(),
        };
        mark.put(self.target)
    }

    /// Removes a table's rows from the target, but for what says that it is one.
    fn empty(&mut self, table: TableId) -> Result<()> {
        let mut from = None;
        loop {
            let page = self.target.scan(table, from.as_deref(), PAGE)?;
            let is_kept = |key: &str| table == TableId::Meta && [MARK, INSTANCE].contains(&key);
            let rows = page.rows.into_iter().filter(|(key, _)| !is_kept(key));
            let writes: Vec<Write> = rows
                .map(|(key, _)| Write {
                    table,
                    key: key.into(),
                    value: None,
                })
                .collect();
            if !writes.is_empty() {
                self.target.commit(&writes)?;
            }
            self.source.keep()?;
            from = page.next;
            if from.is_none() {
                return Ok(());
            }
        }
    }

    /// Copies a table's rows, whether or not some of them are there already.
    fn copy(&mut self, table: TableId) -> Result<()> {
        let name = table.kind().name;
        let count = self.source.count(table)?;
        if count > 0 {
            (self.tell)(&format!("{name}: {count} rows"));
        }
        let mut from = None;
        loop {
            let page = self.source.scan(table, from.as_deref(), PAGE)?;
            let is_ours = |key: &str| !(table == TableId::Meta && key == MARK);
            let rows = page.rows.into_iter().filter(|(key, _)| is_ours(key));
            let mut writes: Vec<Write> = rows
                .map(|(key, octets)| Write {
                    table,
                    key: key.into(),
                    value: Some(octets),
                })
                .collect();
            // Neighbours lie side by side on the disk.
            writes.sort_unstable_by(|left, right| left.key.cmp(&right.key));
            self.write(writes)?;
            self.keep()?;
            from = page.next;
            if from.is_none() {
                return Ok(());
            }
        }
    }

    /// Writes rows in commits of bounded size.
    fn write(&mut self, writes: Vec<Write>) -> Result<()> {
        let mut batch = Vec::new();
        let mut size = 0;
        for write in writes {
            let octets = write.key.len() + write.value.as_ref().map_or(0, Vec::len);
            if size + octets > COMMIT && !batch.is_empty() {
                self.target.commit(&batch)?;
                batch.clear();
                size = 0;
            }
            size += octets;
            batch.push(write);
        }
        if batch.is_empty() {
            return Ok(());
        }
        self.target.commit(&batch)
    }

    /// Stays the owner of both.
    fn keep(&mut self) -> Result<()> {
        self.source.keep()?;
        self.target.keep()
    }
}

fn conflict(reason: &str) -> StoreError {
    StoreError::Conflict(reason.to_owned())
}
