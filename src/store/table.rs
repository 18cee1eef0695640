//! Tables: what the store keeps, as rows that are found by their key.
//!
//! A table is a type, so that a key of one table cannot be used in another. Where something must be
//! found in another way than by its key, its row keeps the indexes in memory true ([`Row::index`]).

use std::any::Any;
use std::fmt::Debug;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::indexes::Indexes;
use super::tables::TableId;
use super::{Result, StoreError};

/// A row of any table, as the cache holds it.
pub(crate) type AnyRow = Arc<dyn Any + Send + Sync>;

/// What a table holds.
pub(crate) trait Row:
    Debug + Clone + Serialize + DeserializeOwned + Send + Sync + 'static
{
    /// Keeps the indexes true to a row of a live table that is made (`old` is `None`), changed, or
    /// deleted (`new` is `None`). Must undo with the two exchanged what it does.
    fn index(_: &mut Indexes, _key: &str, _old: Option<&Self>, _new: Option<&Self>) {}
}

/// A table, as a type.
pub(crate) trait Table: 'static {
    /// Which.
    const ID: TableId;
    /// Its rows are unfinished things: all are read at the start, and kept in the indexes.
    const LIVE: bool;
    /// What it holds.
    type Row: Row;
}

/// What the engine must know of a table to handle its rows without knowing their type.
#[derive(Debug)]
pub(crate) struct Kind {
    /// The table's name on the disk.
    pub(crate) name: &'static str,
    /// [`Table::LIVE`].
    pub(crate) live: bool,
    /// A row as it is kept.
    pub(crate) encode: fn(&AnyRow) -> Result<Vec<u8>>,
    /// The inverse.
    pub(crate) decode: fn(&[u8]) -> Result<AnyRow>,
    /// [`Row::index`], and what [`Marks`](super::marks::Marks) must know.
    pub(crate) index: fn(&mut Indexes, &str, Option<&AnyRow>, Option<&AnyRow>),
}

impl Kind {
    pub(crate) const fn of<T: Table>(name: &'static str) -> Self {
        Self {
            name,
            live: T::LIVE,
            encode: encode::<T::Row>,
            decode: decode::<T::Row>,
            index: index::<T>,
        }
    }
}

/// Octets of most rows.
const USUAL: usize = 512;

fn encode<R: Row>(row: &AnyRow) -> Result<Vec<u8>> {
    let row = known::<R>(row)?;
    let mut octets = Vec::with_capacity(USUAL);
    rmp_serde::encode::write(&mut octets, row)
        .map_err(|error| StoreError::Corrupt(error.to_string()))?;
    Ok(octets)
}

fn decode<R: Row>(octets: &[u8]) -> Result<AnyRow> {
    let row: R = rmp_serde::from_slice(octets).map_err(|_| {
        // The error's own text could quote what is stored.
        StoreError::Corrupt(format!("a row of {}", std::any::type_name::<R>()))
    })?;
    Ok(Arc::new(row))
}

fn index<T: Table>(indexes: &mut Indexes, key: &str, old: Option<&AnyRow>, new: Option<&AnyRow>) {
    indexes.marks.moved(T::ID, key);
    if T::LIVE {
        let old = old.and_then(|row| row.downcast_ref::<T::Row>());
        let new = new.and_then(|row| row.downcast_ref::<T::Row>());
        T::Row::index(indexes, key, old, new);
    }
}

fn known<R: Row>(row: &AnyRow) -> Result<&R> {
    row.downcast_ref::<R>().ok_or_else(mixed_up)
}

/// A row as its own type.
pub(crate) fn typed<R: Row>(row: AnyRow) -> Result<Arc<R>> {
    row.downcast::<R>().map_err(|_| mixed_up())
}

fn mixed_up() -> StoreError {
    StoreError::Corrupt("a row of another table".to_owned())
}

/// Declares every table: `kept` or `live`, its name as a type, its rows, its name on the disk.
macro_rules! tables {
    (@ live) => { true };
    (@ kept) => { false };
    ($($(#[$doc:meta])* $live:ident $table:ident($row:ty) = $name:literal;)+) => {
        /// Every table.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub(crate) enum TableId {
            $($(#[$doc])* $table,)+
        }

        impl TableId {
            /// All of them.
            pub(crate) const ALL: &[Self] = &[$(Self::$table,)+];

            /// What the engine knows of it.
            pub(crate) fn kind(self) -> &'static Kind {
                match self {
                    $(Self::$table => const { &Kind::of::<$table>($name) },)+
                }
            }

            /// Its place in [`Self::ALL`].
            pub(crate) const fn place(self) -> usize {
                self as usize
            }
        }

        $(
            $(#[$doc])*
            #[derive(Debug)]
            pub(crate) enum $table {}

            impl Table for $table {
                const ID: TableId = TableId::$table;
                const LIVE: bool = $crate::store::table::tables!(@ $live);
                type Row = $row;
            }
        )+
    };
}

pub(crate) use tables;
