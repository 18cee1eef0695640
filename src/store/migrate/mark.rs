//! What a store says of its migration, in one row of [`Meta`](crate::store::tables::Meta).

use std::sync::Arc;

use crate::store::base::{Base, Write};
use crate::store::table::{AnyRow, typed};
use crate::store::tables::TableId;
use crate::store::{Result, StoreError};

/// The row's key.
pub(super) const MARK: &str = "migration";
/// The row with the store's own name.
pub(super) const INSTANCE: &str = "instance";
/// The token of a target that must be filled from the beginning.
pub(super) const NO_TOKEN: &str = "none";

/// Which part a store has in a migration. The token is the same on both sides, and new for each
/// migration: a source that was used in between has lost it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Mark {
    /// Rows come in; these tables are whole.
    Filling { token: String, done: Vec<String> },
    /// Rows are being copied from here. A gateway may still open this one, which ends the migration.
    Leaving { token: String },
    /// The store is elsewhere now.
    Left { token: String, to: String },
}

impl Mark {
    fn text(&self) -> String {
        match self {
            Self::Filling { token, done } => {
                let words = ["filling", token].into_iter();
                let words: Vec<&str> = words.chain(done.iter().map(String::as_str)).collect();
                words.join(" ")
            }
            Self::Leaving { token } => format!("leaving {token}"),
            Self::Left { token, to } => format!("left {token} {to}"),
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let mut words = text.split(' ').map(str::to_owned);
        let (kind, token) = (words.next()?, words.next()?);
        Some(match kind.as_str() {
            "filling" => Self::Filling {
                token,
                done: words.collect(),
            },
            "leaving" => Self::Leaving { token },
            "left" => Self::Left {
                token,
                to: words.next()?,
            },
            _ => return None,
        })
    }

    /// What a store says.
    pub(super) fn of(base: &mut dyn Base) -> Result<Option<Self>> {
        let Some(text) = meta(base, MARK)? else {
            return Ok(None);
        };
        let unknown = || StoreError::Corrupt("the mark of a migration".to_owned());
        Self::parse(&text).map(Some).ok_or_else(unknown)
    }

    /// Has a store say this.
    pub(super) fn put(&self, base: &mut dyn Base) -> Result<()> {
        let write = meta_write(MARK, &self.text())?;
        base.commit(&[write])
    }
}

/// The row of [`Meta`](crate::store::tables::Meta) under a key.
pub(super) fn meta(base: &mut dyn Base, key: &str) -> Result<Option<String>> {
    let found = base.get(&[(TableId::Meta, key)])?.pop().flatten();
    let Some(octets) = found else {
        return Ok(None);
    };
    let row = (TableId::Meta.kind().decode)(&octets)?;
    Ok(Some(String::clone(&*typed::<String>(row)?)))
}

pub(super) fn meta_write(key: &str, value: &str) -> Result<Write> {
    let row: AnyRow = Arc::new(value.to_owned());
    Ok(Write {
        table: TableId::Meta,
        key: key.into(),
        value: Some((TableId::Meta.kind().encode)(&row)?),
    })
}

/// Takes the mark away.
pub(super) fn unmark(base: &mut dyn Base) -> Result<()> {
    base.commit(&[Write {
        table: TableId::Meta,
        key: MARK.into(),
        value: None,
    }])
}

/// Lets a gateway work with a store, unless a migration forbids it; one from here is over then,
/// because its copy would be out of date.
///
/// Fails with [`StoreError::Conflict`] where the store is half there, or elsewhere.
pub(in crate::store) fn admit(base: &mut dyn Base) -> Result<()> {
    match Mark::of(base)? {
        None => Ok(()),
        Some(Mark::Leaving { .. }) => unmark(base),
        Some(Mark::Filling { .. }) => Err(StoreError::Conflict(
            "a migration into this store is not finished: run `matrix-smpp store migrate` again, or \
             set store.engine to the store that it comes from"
                .to_owned(),
        )),
        Some(Mark::Left { to, .. }) => Err(StoreError::Conflict(format!(
            "this store was moved to {to}: set store.engine = \"{to}\", or bring it back with \
             `matrix-smpp store migrate`"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_read_as_it_was_written() {
        let token = "7f".to_owned();
        let done = vec!["meta".to_owned(), "timer".to_owned()];
        for mark in [
            Mark::Filling {
                token: token.clone(),
                done: Vec::new(),
            },
            Mark::Filling {
                token: token.clone(),
                done,
            },
            Mark::Leaving {
                token: token.clone(),
            },
            Mark::Left {
                token,
                to: "redis".to_owned(),
            },
        ] {
            assert_eq!(Mark::parse(&mark.text()), Some(mark));
        }
        assert_eq!(Mark::parse("dancing 7f"), None);
    }
}
