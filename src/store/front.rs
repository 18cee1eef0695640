//! The store's contract, kept by operations on tables: an engine with something to keep its rows in.

mod accounts;
mod homeservers;
mod phones;

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use uuid::Uuid;

use super::base::{Base, Write};
use super::engine::Engine;
use super::migrate::mark;
use super::redis::{Redis, Settings as RedisSettings};
use super::remembered::Remembered;
use super::sqlite::Sqlite;
use super::steps::{hasten, scrub::Scrub, sweep};
use super::table::{AnyRow, typed};
use super::tables::TableId;
use super::{Result, Store, Work};
use crate::gateway::model::Timestamp;

/// A store whose rows lie in a file of this machine or in Redis.
///
/// Dropping it ends its thread after the operations that wait; that blocks until they are durable.
#[derive(Debug)]
pub struct TableStore {
    instance: String,
    mo_part_ttl: Duration,
    engine: Engine,
    scrub: Mutex<Scrub>,
    remembered: Remembered,
    durability: &'static str,
}

impl TableStore {
    /// Opens a store in one SQLite file of this machine, or makes it. A long SMS waits for its parts
    /// for `mo_part_ttl` from the first one, then it is handed on with gaps. Blocks.
    ///
    /// Fails with [`StoreError::Unavailable`](super::StoreError::Unavailable) while another process
    /// uses it, and with [`StoreError::Conflict`](super::StoreError::Conflict) where another version
    /// has written it.
    pub fn open_sqlite(path: impl AsRef<Path>, mo_part_ttl: Duration) -> Result<Arc<Self>> {
        let base = Box::new(Sqlite::open(path.as_ref())?);
        Ok(Arc::new(Self::open(base, mo_part_ttl)?))
    }

    /// Takes over a store in Redis; waits while another instance has it. Blocks. It is this one's
    /// until it is dropped or [lost](Store::lost).
    ///
    /// Fails with [`StoreError::Conflict`](super::StoreError::Conflict) where this Redis would lose
    /// what the settings want kept.
    pub(crate) fn open_redis(settings: RedisSettings, mo_part_ttl: Duration) -> Result<Arc<Self>> {
        let redis = Redis::open(settings)?;
        let durability = redis.durability().word();
        let store = Self::open(Box::new(redis), mo_part_ttl)?;
        Ok(Arc::new(Self {
            durability,
            ..store
        }))
    }

    /// Opens the store whose rows lie in `base`. Blocks.
    pub(crate) fn open(mut base: Box<dyn Base>, mo_part_ttl: Duration) -> Result<Self> {
        let admitted = mark::admit(base.as_mut()).and_then(|()| instance(base.as_mut()));
        if admitted.is_err() {
            // Others need not wait until its owner is taken for dead.
            base.close();
        }
        let instance = admitted?;
        Ok(Self {
            instance,
            mo_part_ttl,
            engine: Engine::start(base)?,
            scrub: Mutex::default(),
            remembered: Remembered::default(),
            durability: "always",
        })
    }

    fn scrub(&self) -> MutexGuard<'_, Scrub> {
        self.scrub.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Store for TableStore {
    async fn sweep(&self, now: Timestamp, limit: usize) -> Result<bool> {
        let mo_part_ttl = self.mo_part_ttl;
        let scrub = self.scrub().clone();
        let swept = self
            .engine
            .run_alone(move |tx| sweep::sweep(tx, mo_part_ttl, now, limit, &scrub));
        let (may_be_more, scrub) = swept.await?;
        *self.scrub() = scrub;
        Ok(may_be_more)
    }

    async fn hasten(&self, now: Timestamp, latest: Timestamp, limit: usize) -> Result<bool> {
        self.engine
            .run(move |tx| hasten::hasten(tx, now, latest, limit))
            .await
    }

    async fn lost(&self) {
        self.engine.lost().cancelled().await;
    }

    async fn close(&self) {
        self.engine.close().await;
    }

    fn durability(&self) -> &'static str {
        self.durability
    }

    fn is_surely_ours(&self) -> bool {
        self.engine.is_surely_owner()
    }

    fn unreadable(&self) -> Vec<(&'static str, u64)> {
        self.engine.unreadable().to_vec()
    }

    fn work(&self) -> Work {
        self.engine.work()
    }

    fn instance(&self) -> &str {
        &self.instance
    }
}

/// The name that a store has been given when it was made.
fn instance(base: &mut dyn Base) -> Result<String> {
    let kind = TableId::Meta.kind();
    let found = base.get(&[(TableId::Meta, "instance")])?.pop().flatten();
    if let Some(octets) = found {
        return Ok(String::clone(&*typed::<String>((kind.decode)(&octets)?)?));
    }
    let name = Uuid::new_v4().simple().to_string();
    let name = name.get(..8).unwrap_or_default().to_owned();
    let row: AnyRow = Arc::new(name.clone());
    base.commit(&[Write {
        table: TableId::Meta,
        key: "instance".into(),
        value: Some((kind.encode)(&row)?),
    }])?;
    Ok(name)
}
