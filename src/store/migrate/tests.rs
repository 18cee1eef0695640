//! Between files, servers and rows in memory.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::store::base::{Octets, Page};
use crate::store::conformance::populated::{ENTRIES, pay, populate};
use crate::store::memory::Memory;
use crate::store::redis::Redis;
use crate::store::redis::tests::{Server, settings_for};
use crate::store::sqlite::Sqlite;
use crate::store::{Store, TableStore};

const DAY: Duration = Duration::from_hours(24);

type Rows = BTreeMap<(TableId, String), Octets>;

/// Every row but the mark.
fn rows(base: &mut dyn Base) -> Rows {
    let mut rows = Rows::new();
    for table in TableId::ALL {
        let mut from = None;
        loop {
            let page = base.scan(*table, from.as_deref(), 1_000).unwrap();
            let page_rows = page.rows.into_iter();
            rows.extend(page_rows.map(|(key, row)| ((*table, key), row)));
            from = page.next;
            if from.is_none() {
                break;
            }
        }
    }
    rows.remove(&(TableId::Meta, MARK.to_owned()));
    rows
}

fn migrate(source: &mut dyn Base, target: &mut dyn Base, to: &str) -> Result<Moved> {
    let tell = &mut |_: &str| ();
    let migration = Migration {
        source,
        target,
        to,
        tell,
    };
    migration.run()
}

fn between(source: &Memory, target: &Memory) -> Result<Moved> {
    migrate(&mut source.clone(), &mut target.clone(), "redis")
}

fn open(memory: &Memory) -> Result<Arc<dyn Store>> {
    let store = TableStore::open(Box::new(memory.clone()), DAY)?;
    Ok(Arc::new(store))
}

async fn populated() -> Memory {
    let memory = Memory::default();
    populate(&open(&memory).unwrap()).await;
    memory
}

fn refusal<T: std::fmt::Debug>(refused: Result<T>) -> String {
    match refused.unwrap_err() {
        StoreError::Conflict(reason) => reason,
        other => panic!("{other:?}"),
    }
}

/// A base that does so many commits, and another thing with the next.
#[derive(Debug)]
struct Failing {
    base: Memory,
    left: usize,
    /// Loses a row of the commit in silence, instead of failing.
    loses: bool,
}

impl Base for Failing {
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
        self.base.scan(table, from, limit)
    }

    fn timers(&mut self, until: &str, limit: usize) -> Result<Vec<String>> {
        self.base.timers(until, limit)
    }

    fn count(&mut self, table: TableId) -> Result<u64> {
        self.base.count(table)
    }

    fn commit(&mut self, writes: &[Write]) -> Result<()> {
        let is_time = self.left == 0;
        self.left = self.left.saturating_sub(1);
        match writes.split_first() {
            Some((_, rest)) if is_time && self.loses => self.base.commit(rest),
            _ if is_time => Err(StoreError::Unavailable("power loss".to_owned())),
            _ => self.base.commit(writes),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_goes_to_redis_and_back_with_every_row() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gateway.db");
    let server = Server::start();
    let store: Arc<dyn Store> = TableStore::open_sqlite(&path, DAY).unwrap();
    populate(&store).await;
    drop(store);

    let mut file = Sqlite::open(&path).unwrap();
    let mut redis = Redis::open(settings_for(&server, "moved")).unwrap();
    let moved = migrate(&mut file, &mut redis, "redis").unwrap();
    assert_eq!(moved.accounts, 2);
    assert_eq!(moved.top_ups, 10_077);
    assert!(moved.reserved > 0 && moved.settled > 0, "{moved:?}");
    let there = rows(&mut redis);
    assert_eq!(there, rows(&mut file));
    for table in [
        TableId::Timers,
        TableId::Inbox,
        TableId::Leases,
        TableId::OptOuts,
        TableId::Ledger,
        TableId::Messages,
        TableId::Sent,
        TableId::Sms,
        TableId::Partials,
    ] {
        assert!(there.keys().any(|(one, _)| *one == table), "{table:?}");
    }
    redis.close();
    drop((file, redis));
    let error = TableStore::open_sqlite(&path, DAY).unwrap_err();
    assert!(error.to_string().contains("moved to redis"), "{error}");

    // What happens there comes back, and what has gone there goes.
    let store: Arc<dyn Store> =
        TableStore::open_redis(settings_for(&server, "moved"), DAY).unwrap();
    let balance = pay(&store, "in Redis").await;
    for sms in store
        .pending_sms(crate::gateway::model::SmsId(0), 10)
        .await
        .unwrap()
    {
        store
            .finish_sms(sms.id, crate::store::Ending::Done)
            .await
            .unwrap();
    }
    drop(store);
    let mut file = Sqlite::open(&path).unwrap();
    let mut redis = Redis::open(settings_for(&server, "moved")).unwrap();
    migrate(&mut redis, &mut file, "sqlite").unwrap();
    let back = rows(&mut file);
    assert_eq!(back, rows(&mut redis));
    assert!(!back.keys().any(|(table, _)| *table == TableId::Sms));
    drop((file, redis));
    let store: Arc<dyn Store> = TableStore::open_sqlite(&path, DAY).unwrap();
    assert_eq!(pay(&store, "in SQLite").await, balance + 5);
    let store = TableStore::open_redis(settings_for(&server, "moved"), DAY);
    assert!(refusal(store).contains("moved to sqlite"));
}

#[tokio::test]
async fn a_migration_interrupted_anywhere_goes_on() {
    let source = populated().await;
    let whole = Memory::default();
    let first = rows(&mut source.clone());
    between(&source, &whole).unwrap();
    let commits = whole.commits();
    assert!(commits.iter().all(|rows| *rows <= PAGE), "{commits:?}");
    assert!(commits.len() > TableId::ALL.len() + ENTRIES / PAGE);
    let end = commits.len() - 6;
    for left in (0..6).chain((6..end).step_by(5)).chain(end..commits.len()) {
        let source = Memory::default();
        copy_rows(&first, &source);
        let target = Memory::default();
        let mut failing = Failing {
            base: target.clone(),
            left,
            loses: false,
        };
        migrate(&mut source.clone(), &mut failing, "redis").unwrap_err();
        if left > 0 {
            let reason = refusal(open(&target));
            assert!(reason.contains("store migrate"), "{left}: {reason}");
        }
        let before = target.commits().len();
        between(&source, &target).unwrap();
        assert_eq!(rows(&mut target.clone()), first, "{left}");
        let again = target.commits().len() - before;
        if left > commits.len() / 2 {
            assert!(again < commits.len(), "{left}: nothing was skipped");
        }
        open(&target).unwrap();
    }
}

fn copy_rows(rows: &Rows, to: &Memory) {
    for ((table, key), row) in rows {
        to.forge(*table, key, row);
    }
}

#[tokio::test]
async fn a_source_that_was_used_in_between_is_copied_from_the_beginning() {
    let source = populated().await;
    let first = rows(&mut source.clone());
    let (twin, whole, target) = (Memory::default(), Memory::default(), Memory::default());
    copy_rows(&first, &twin);
    between(&twin, &whole).unwrap();
    let mut failing = Failing {
        base: target.clone(),
        left: whole.commits().len() - 2,
        loses: false,
    };
    migrate(&mut source.clone(), &mut failing, "redis").unwrap_err();
    assert_eq!(target.rows(TableId::Sms), 1);
    let store = open(&source).unwrap();
    pay(&store, "in between").await;
    store
        .finish_sms(crate::gateway::model::SmsId(1), crate::store::Ending::Done)
        .await
        .unwrap();
    drop(store);
    between(&source, &target).unwrap();
    assert_eq!(rows(&mut target.clone()), rows(&mut source.clone()));
    assert_eq!(target.rows(TableId::Sms), 0);
}

#[tokio::test]
async fn a_row_lost_on_the_way_is_noticed_and_the_next_run_begins_again() {
    let source = populated().await;
    let whole = rows(&mut source.clone());
    let target = Memory::default();
    let mut failing = Failing {
        base: target.clone(),
        // The first commit with rows.
        left: 4,
        loses: true,
    };
    let error = migrate(&mut source.clone(), &mut failing, "redis").unwrap_err();
    assert!(matches!(error, StoreError::Corrupt(_)), "{error}");
    assert!(refusal(open(&target)).contains("not finished"));
    between(&source, &target).unwrap();
    assert_eq!(rows(&mut target.clone()), whole);
}

#[tokio::test]
async fn a_row_that_differs_is_noticed() {
    let (source, target) = (populated().await, Memory::default());
    let mut failing = Failing {
        base: target.clone(),
        left: 60,
        loses: false,
    };
    migrate(&mut source.clone(), &mut failing, "redis").unwrap_err();
    let known = rows(&mut target.clone());
    let mut keys = known.keys();
    let is_one = |(table, _): &&(TableId, String)| *table == TableId::Conversations;
    let (table, key) = keys.find(is_one).unwrap();
    target.forge(*table, key, b"another");
    let error = between(&source, &target).unwrap_err();
    assert!(error.to_string().contains("conversation"), "{error}");
}

#[tokio::test]
async fn a_target_with_rows_of_its_own_is_left_alone() {
    let (source, other) = (populated().await, populated().await);
    let before = rows(&mut other.clone());
    assert!(refusal(between(&source, &other)).contains("another store"));
    let twin = Memory::default();
    copy_rows(&rows(&mut source.clone()), &twin);
    assert!(refusal(between(&source, &twin)).contains("this very store"));
    assert_eq!(rows(&mut other.clone()), before);
    // A gateway that was started there by mistake leaves only a name.
    let fresh = Memory::default();
    drop(open(&fresh).unwrap());
    between(&source, &fresh).unwrap();
}

#[tokio::test]
async fn what_is_no_source_is_refused() {
    let empty = Memory::default();
    assert!(refusal(between(&empty, &Memory::default())).contains("no store"));
    let (source, target) = (populated().await, Memory::default());
    between(&source, &target).unwrap();
    assert!(refusal(between(&source, &Memory::default())).contains("moved to redis before"));
    assert!(refusal(open(&source)).contains("moved to redis"));
    let mut failing = Failing {
        base: Memory::default(),
        left: 5,
        loses: false,
    };
    migrate(&mut target.clone(), &mut failing, "redis").unwrap_err();
    assert!(refusal(between(&failing.base, &Memory::default())).contains("not finished"));
}

#[tokio::test]
async fn a_death_between_the_last_two_commits_loses_neither_store() {
    let (source, whole, target) = (populated().await, Memory::default(), Memory::default());
    let first = rows(&mut source.clone());
    between(&source, &whole).unwrap();
    let commits = whole.commits().len();
    let source = Memory::default();
    copy_rows(&first, &source);
    let mut failing = Failing {
        base: target.clone(),
        left: commits - 1,
        loses: false,
    };
    migrate(&mut source.clone(), &mut failing, "redis").unwrap_err();
    assert!(open(&source).is_err() && open(&target).is_err());
    between(&source, &target).unwrap();
    open(&target).unwrap();
}

#[test]
fn nothing_is_written_once_another_owns_a_side() {
    let server = Server::start();
    let mut redis = Redis::open(settings_for(&server, "taken")).unwrap();
    let patience = Some(Duration::ZERO);
    let mut settings = settings_for(&server, "taken");
    settings.patience = patience;
    let error = Redis::open(settings).unwrap_err();
    assert!(matches!(error, StoreError::Unavailable(_)), "{error}");
    // Its time is over without a word.
    redis.close();
    let _other = Redis::open(settings_for(&server, "taken")).unwrap();
    let source = Memory::default();
    drop(open(&source).unwrap());
    let error = migrate(&mut source.clone(), &mut redis, "redis").unwrap_err();
    assert!(matches!(error, StoreError::Lost), "{error}");
}

#[test]
fn a_commit_never_grows_beyond_its_bound() {
    let (mut source, target) = (Memory::default(), Memory::default());
    let mut migration = Migration {
        source: &mut source,
        target: &mut target.clone(),
        to: "redis",
        tell: &mut |_| (),
    };
    let row = |place: usize, size: usize| Write {
        table: TableId::Messages,
        key: place.to_string().into(),
        value: Some(vec![0; size]),
    };
    let sizes = [COMMIT / 2, COMMIT / 3, COMMIT / 3, 2 * COMMIT, 1, 1];
    let rows = sizes.iter().enumerate();
    let rows = rows.map(|(place, size)| row(place, *size)).collect();
    migration.write(rows).unwrap();
    assert_eq!(target.commits(), [2, 1, 1, 2]);
}
