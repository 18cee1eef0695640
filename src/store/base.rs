//! What an engine keeps its rows in.

use std::fmt::Debug;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use super::Result;
use super::ownership::Ownership;
use super::tables::TableId;

/// A row as it is kept.
pub(crate) type Octets = Vec<u8>;

/// One change of one row.
#[derive(Debug)]
pub(crate) struct Write {
    /// Where.
    pub(crate) table: TableId,
    /// Which.
    pub(crate) key: Arc<str>,
    /// What it is from now on; `None` deletes it.
    pub(crate) value: Option<Octets>,
}

/// Some of a table's rows.
#[derive(Debug, Default)]
pub(crate) struct Page {
    /// Keys and rows, in no order that means something.
    pub(crate) rows: Vec<(String, Octets)>,
    /// Where the next page begins; `None` after the last.
    pub(crate) next: Option<String>,
}

/// A durable map of rows that one owner at a time may change. Its calls block.
///
/// All that the store promises comes down to [`Base::commit`]: all of its writes or none, durable
/// when it returns, and refused where this owner is not the owner any more.
pub(crate) trait Base: Debug + Send {
    /// The same rows in the name of the same owner, over a way of its own: one of the two reads while the
    /// other commits. What has been committed over one is seen over the other.
    fn twin(&self) -> Result<Box<dyn Base>>;

    /// A read costs a journey: the engine gathers what it misses and reads it at once.
    fn is_remote(&self) -> bool;

    /// Reads rows by their keys.
    fn get(&mut self, keys: &[(TableId, &str)]) -> Result<Vec<Option<Octets>>>;

    /// Reads a page of about `limit` rows. A row that stays as it is throughout is in at least one
    /// page, and may be in several; of others, nothing is promised.
    fn scan(&mut self, table: TableId, from: Option<&str>, limit: usize) -> Result<Page>;

    /// The first keys of the timers up to and with `until`, in order.
    fn timers(&mut self, until: &str, limit: usize) -> Result<Vec<String>>;

    /// How many rows a table has.
    fn count(&mut self, table: TableId) -> Result<u64>;

    /// Writes all or nothing, durably. Does not return before it knows which. Fails with
    /// [`StoreError::Lost`](super::StoreError::Lost) where this is not the owner any more.
    fn commit(&mut self, writes: &[Write]) -> Result<()>;

    /// The same; calls `durable` as soon as they are all durable, which may be before they can be read. It
    /// succeeds where that was called, and only there.
    fn commit_telling(&mut self, writes: &[Write], durable: &mut dyn FnMut()) -> Result<()> {
        self.commit(writes)?;
        durable();
        Ok(())
    }

    /// Says that the owner is alive, where it has nothing to commit.
    fn keep(&mut self) -> Result<()> {
        Ok(())
    }

    /// Until when this owner can be sure that it is the owner.
    fn ownership(&self) -> Arc<Ownership> {
        Ownership::for_ever()
    }

    /// How many rows are committed and have still to be written where they are to stay, as of now.
    fn unapplied(&self) -> Arc<AtomicU64> {
        Arc::default()
    }

    /// Nothing follows: tidies up.
    fn close(&mut self) {}
}
