//! The engine on rows in memory, and the conformance suite near and far.

use std::pin::pin;
use std::sync::mpsc;
use std::time::Duration;

use tokio::sync::Notify;

use super::*;
use crate::gateway::model::Timestamp;
use crate::store::conformance::{Engine as Tested, suite};
use crate::store::engine::Engine;
use crate::store::table::Table;
use crate::store::tables::{Accounts, Ghosts, Inbox, Ledger, Meta, Owed, OwedRow, Totals, number};
use crate::store::timer::Timer;
use crate::store::tx::{Sequence, Tx};
use crate::store::{Store, TableStore};

fn start(memory: &Memory) -> Engine {
    Engine::start(Box::new(memory.clone())).unwrap()
}

fn conflict<T>() -> Result<T> {
    Err(StoreError::Conflict("no".to_owned()))
}

fn unavailable() -> StoreError {
    StoreError::Unavailable("the disk is full".to_owned())
}

fn owed(id: i64, due_at: i64) -> OwedRow {
    OwedRow {
        id,
        link_group: "l".to_owned(),
        due_at: Timestamp(due_at),
        until: Timestamp(1_000),
        on_wire: false,
        attempt: 0,
        retries: 0,
        resends: 0,
    }
}

/// Rows, counts and indexes as an operation sees them.
#[derive(Debug, PartialEq, Eq, Default)]
struct View {
    meta: Option<String>,
    owed: u64,
    due: Vec<i64>,
    on_wire: Vec<i64>,
}

fn view(tx: &mut Tx<'_>) -> Result<View> {
    let meta = tx.get::<Meta>("a")?.map(|row| String::clone(&row));
    let index = &tx.indexes().owed;
    let due = index.due.get("l").into_iter().flat_map(|due| due.keys());
    Ok(View {
        meta,
        due: due.map(|(_, id)| *id).collect(),
        on_wire: index.on_wire.iter().copied().collect(),
        owed: tx.count::<Owed>(),
    })
}

fn put(tx: &mut Tx<'_>, key: &str, value: &str) -> Result<()> {
    tx.put::<Meta>(key, value.to_owned())
}

/// Something in every place that a view shows.
async fn fill(engine: &Engine) -> View {
    let filled = engine.run(|tx| {
        put(tx, "a", "first")?;
        tx.put::<Owed>(&number(1), owed(1, 10))?;
        tx.put::<Owed>(&number(2), owed(2, 20))?;
        tx.update::<Owed>(&number(2), |row| row.on_wire = true)?;
        view(tx)
    });
    let filled = filled.await.unwrap();
    let expected = View {
        meta: Some("first".to_owned()),
        owed: 2,
        due: vec![1],
        on_wire: vec![2],
    };
    assert_eq!(filled, expected);
    filled
}

/// Changes all that a view shows, more than once.
fn change_all(tx: &mut Tx<'_>) -> Result<()> {
    put(tx, "a", "second")?;
    put(tx, "a", "third")?;
    put(tx, "b", "new")?;
    tx.delete::<Meta>("a")?;
    tx.update::<Owed>(&number(1), |row| row.due_at = Timestamp(30))?;
    tx.update::<Owed>(&number(1), |row| row.on_wire = true)?;
    tx.delete::<Owed>(&number(2))?;
    tx.insert::<Owed>(&number(3), owed(3, 5));
    Ok(())
}

/// Keeps the thread busy until everything is queued that `queue` asks for, so that it is one
/// group.
async fn as_one_group<T>(engine: &Engine, queue: impl Future<Output = T>) -> T {
    let (release, wait) = mpsc::channel::<()>();
    let started = Arc::new(Notify::new());
    let starts = Arc::clone(&started);
    let busy = engine.run(move |_| {
        starts.notify_one();
        wait.recv().unwrap();
        Ok(())
    });
    let mut busy = pin!(busy);
    // From then on the thread takes nothing more in before it is released.
    tokio::select! {
        _ = &mut busy => panic!("it was not released"),
        () = started.notified() => {}
    }
    let released = async move { release.send(()).unwrap() };
    let (busy, queued, ()) = tokio::join!(biased; busy, queue, released);
    busy.unwrap();
    queued
}

#[tokio::test]
async fn a_failed_operation_leaves_nothing_behind() {
    let memory = Memory::default();
    let engine = start(&memory);
    let before = fill(&engine).await;
    let failed = engine.run(|tx| {
        change_all(tx)?;
        assert_eq!(tx.next(Sequence::Sms)?, 1);
        conflict::<()>()
    });
    assert!(matches!(failed.await, Err(StoreError::Conflict(_))));
    assert_eq!(engine.run(view).await.unwrap(), before);
    assert_eq!(engine.run(|tx| tx.next(Sequence::Sms)).await.unwrap(), 1);
    assert_eq!(memory.rows(Owed::ID), 2);
}

#[tokio::test]
async fn a_panic_is_an_error_and_leaves_nothing_behind() {
    let engine = start(&Memory::default());
    let before = fill(&engine).await;
    let failed = engine.run(|tx| -> Result<()> {
        change_all(tx)?;
        panic!("on purpose")
    });
    assert!(matches!(failed.await, Err(StoreError::Corrupt(_))));
    assert_eq!(engine.run(view).await.unwrap(), before);
}

#[tokio::test]
async fn a_failure_takes_nothing_of_the_others_in_its_group() {
    let memory = Memory::default();
    let engine = start(&memory);
    let (first, failed, second) = as_one_group(&engine, async {
        tokio::join!(
            biased;
            engine.run(|tx| put(tx, "a", "kept")),
            engine.run(|tx| {
                put(tx, "a", "lost")?;
                conflict::<()>()
            }),
            engine.run(view),
        )
    })
    .await;
    first.unwrap();
    assert!(failed.is_err());
    assert_eq!(second.unwrap().meta.as_deref(), Some("kept"));
    assert_eq!(memory.commits(), [1]);
}

#[tokio::test]
async fn a_failed_commit_undoes_its_group_and_tells_all_of_it() {
    let memory = Memory::default();
    let engine = start(&memory);
    let before = fill(&engine).await;
    memory.fail_with(unavailable());
    let (_begun, release) = memory.hold();
    let (first, second, question, ()) = tokio::join!(
        biased;
        engine.run(change_all),
        engine.run(|tx| put(tx, "c", "new")),
        // What it saw was never there.
        engine.run(view),
        async {
            // Answered at once, and after those before it were run.
            engine.run(|_| Ok(())).await.unwrap();
            drop(release);
        },
    );
    for answer in [first, second, question.map(drop)] {
        assert!(
            matches!(answer, Err(StoreError::Unavailable(_))),
            "{answer:?}"
        );
    }
    assert_eq!(engine.run(view).await.unwrap(), before);
    assert_eq!(memory.rows(Meta::ID), 1);
    // The store goes on, with nothing of that group.
    engine.run(|tx| put(tx, "d", "new")).await.unwrap();
    assert_eq!(memory.commits(), [3, 1]);
}

#[tokio::test]
async fn who_has_lost_the_store_can_do_nothing_more() {
    let memory = Memory::default();
    let engine = start(&memory);
    memory.fail_with(StoreError::Lost);
    let lost = engine.run(|tx| put(tx, "a", "x")).await;
    assert!(matches!(lost, Err(StoreError::Lost)), "{lost:?}");
    assert!(engine.lost().is_cancelled());
    assert!(engine.run(view).await.is_err());
    assert_eq!(memory.rows(Meta::ID), 0);
}

#[tokio::test]
async fn rows_counts_indexes_and_sequences_survive_a_restart() {
    for memory in [Memory::default(), Memory::remote()] {
        let engine = start(&memory);
        let before = fill(&engine).await;
        assert_eq!(engine.run(|tx| tx.next(Sequence::Sms)).await.unwrap(), 1);
        drop(engine);
        let engine = start(&memory);
        assert_eq!(engine.run(view).await.unwrap(), before);
        assert_eq!(engine.run(|tx| tx.next(Sequence::Sms)).await.unwrap(), 2);
    }
}

#[tokio::test]
async fn an_operation_is_run_again_until_all_that_it_reads_is_there() {
    let memory = Memory::remote();
    let engine = start(&memory);
    let set = engine.run(|tx| {
        put(tx, "a", "b")?;
        put(tx, "b", "c")?;
        put(tx, "c", "end")
    });
    set.await.unwrap();
    drop(engine);
    let engine = start(&memory);
    let before = memory.journeys();
    let followed = engine.run(|tx| {
        // Done with each run, kept once.
        tx.change::<Totals>("runs", |runs| *runs += 1)?;
        let mut key = "a".to_owned();
        while let Some(next) = tx.get::<Meta>(&key)? {
            key = String::clone(&next);
        }
        Ok((key, tx.get::<Totals>("runs")?.map(|runs| *runs)))
    });
    assert_eq!(followed.await.unwrap(), ("end".to_owned(), Some(1)));
    // The total, a, b, c, and that there is no "end".
    assert_eq!(memory.journeys() - before, 5);
    assert_eq!(memory.commits(), [3, 1]);
}

#[tokio::test]
async fn what_a_group_misses_is_read_at_once() {
    let memory = Memory::remote();
    let engine = start(&memory);
    let before = memory.journeys();
    as_one_group(&engine, async {
        let read = |key: &'static str| engine.run(move |tx| tx.has::<Meta>(key));
        let (a, b, many) = tokio::join!(
            biased;
            read("a"),
            read("b"),
            engine.run(|tx| {
                let keys: Vec<String> = (0..100).map(number).collect();
                tx.fetch::<Meta>(keys.iter().map(String::as_str));
                let found = keys.iter().map(|key| tx.has::<Meta>(key));
                found.collect::<Result<Vec<_>>>()
            }),
        );
        assert_eq!((a.unwrap(), b.unwrap()), (false, false));
        assert_eq!(many.unwrap(), [false; 100]);
    })
    .await;
    assert_eq!(memory.journeys() - before, 1);
}

#[tokio::test]
async fn an_operation_may_read_more_than_is_remembered() {
    let memory = Memory::remote();
    let engine = start(&memory);
    let before = memory.journeys();
    let many = engine.run(|tx| {
        let keys: Vec<String> = (0..40_000).map(number).collect();
        tx.fetch::<Meta>(keys.iter().map(String::as_str));
        let found = keys.iter().map(|key| tx.has::<Meta>(key));
        found.collect::<Result<Vec<_>>>()
    });
    assert_eq!(many.await.unwrap().len(), 40_000);
    assert_eq!(memory.journeys() - before, 1);
}

#[tokio::test]
async fn a_row_that_cannot_be_read_is_an_error_for_who_asks() {
    for memory in [Memory::default(), Memory::remote()] {
        memory.forge(Meta::ID, "a", b"\xc1");
        memory.forge(Owed::ID, "1", b"\xc1");
        let engine = start(&memory);
        let asked = engine.run(view).await;
        assert!(matches!(asked, Err(StoreError::Corrupt(_))), "{asked:?}");
        let beside = engine.run(|tx| tx.has::<Meta>("b")).await;
        assert!(!beside.unwrap());
    }
}

#[tokio::test]
async fn rows_that_could_not_be_read_at_the_start_are_told_by_table() {
    let memory = Memory::default();
    memory.forge(Owed::ID, "1", b"\xc1");
    memory.forge(Owed::ID, "2", b"\xc1");
    memory.forge(Inbox::ID, "1", b"\xc1");
    let store = open(&memory);
    assert_eq!(store.unreadable(), [("inbox", 1), ("owed", 2)]);
    assert_eq!(store.sizes().await.unwrap().owed_receipts, 2, "they stay");
}

#[tokio::test]
async fn an_audit_says_that_it_could_not_read_everything() {
    for (table, key) in [
        (Ledger::ID, number(1)),
        (Ledger::ID, number(7)),
        (Accounts::ID, "@bob:example.org".to_owned()),
    ] {
        let memory = Memory::default();
        let store = open(&memory);
        let alice = "@alice:example.org".try_into().unwrap();
        for name in ["a", "b"] {
            let paid_in = "1".parse().unwrap();
            let paid = store.top_up(alice, paid_in, name, Timestamp(1));
            paid.await.unwrap();
        }
        assert!(store.audit().await.unwrap().is_clean());
        drop(store);
        memory.forge(table, &key, b"\xc1");
        let audit = open(&memory).audit().await.unwrap();
        assert!(!audit.is_clean() && audit.unreadable == 1, "{audit:?}");
    }
}

#[tokio::test]
async fn counts_are_kept_with_the_rows_and_not_made_anew() {
    let memory = Memory::default();
    let store = open(&memory);
    for name in ["a", "b"] {
        let ghost = format!("@.tel.{name}:example.org").try_into().unwrap();
        let ready: ruma::OwnedUserId = ghost;
        store.set_ghost_ready(&ready).await.unwrap();
    }
    drop(store);
    // A row that nobody has counted shows that nobody counts.
    memory.forge(Ghosts::ID, "uncounted", b"\xc0");
    let store = open(&memory);
    assert_eq!(store.sizes().await.unwrap().ghosts, 2);
    drop(store);
    let far = Memory::remote();
    far.forge(Ghosts::ID, "a", b"\xc0");
    far.forge(Meta::ID, "counts", b"\xa7ghost=9");
    let store = open(&far);
    assert_eq!(store.sizes().await.unwrap().ghosts, 1, "it knows by itself");
    assert_eq!(far.rows(Meta::ID), 1, "its name alone");
}

#[tokio::test]
async fn no_change_falls_out_of_the_cache_before_its_commit() {
    const MANY: i64 = 40_000;
    let memory = Memory::default();
    let engine = start(&memory);
    let all = engine.run(|tx| {
        (0..MANY).try_for_each(|id| tx.put::<Totals>(&number(id), id))?;
        // Others are read meanwhile, more than the cache has room for.
        for id in MANY..3 * MANY {
            assert!(!tx.has::<Totals>(&number(id))?);
        }
        let there = |id: &i64| tx.get::<Totals>(&number(*id)).unwrap().as_deref() == Some(id);
        Ok((0..MANY).filter(there).count())
    });
    let many = usize::try_from(MANY).unwrap();
    assert_eq!(all.await.unwrap(), many);
    assert_eq!(memory.rows(Totals::ID), many);
    // Nor is an old content found behind a new one.
    let changed = engine.run(|tx| {
        tx.put::<Totals>(&number(0), -1)?;
        (MANY..3 * MANY).try_for_each(|id| tx.has::<Totals>(&number(id)).map(drop))
    });
    changed.await.unwrap();
    let read = engine.run(|tx| Ok(tx.get::<Totals>(&number(0))?.map(|row| *row)));
    assert_eq!(read.await.unwrap(), Some(-1));
}

#[tokio::test]
async fn what_runs_alone_finds_all_that_came_before_it_on_the_disk() {
    let memory = Memory::default();
    let engine = start(&memory);
    let (put, keys, after) = as_one_group(&engine, async {
        tokio::join!(
            biased;
            engine.run(|tx| put(tx, "a", "x")),
            engine.run_alone(|tx| {
                let rows = tx.all::<Meta>()?;
                Ok(rows.into_iter().map(|(key, _)| key).collect::<Vec<_>>())
            }),
            engine.run(|tx| put(tx, "b", "x")),
        )
    })
    .await;
    put.unwrap();
    after.unwrap();
    assert_eq!(keys.unwrap(), ["a"]);
    assert_eq!(memory.commits(), [1, 1]);
}

#[tokio::test]
async fn timers_go_off_once_in_the_order_of_their_times() {
    let engine = start(&Memory::default());
    let at = |at, message| (Timestamp(at), Timer::Receipt(message));
    let set = engine.run(move |tx| {
        for (at, timer) in [at(30, 1), at(9, 2), at(10, 3), at(10, 3)] {
            tx.set_timer(at, &timer);
        }
        Ok(())
    });
    set.await.unwrap();
    let take = async |now, limit| {
        let taken = engine.run_alone(move |tx| tx.take_timers(Timestamp(now), limit));
        taken.await.unwrap()
    };
    assert_eq!(take(8, 10).await, []);
    assert_eq!(take(30, 2).await, [Timer::Receipt(2), Timer::Receipt(3)]);
    assert_eq!(take(29, 10).await, []);
    assert_eq!(take(30, 10).await, [Timer::Receipt(1)]);
    assert_eq!(take(30, 10).await, []);
}

/// The contract, kept in memory.
#[derive(Debug, Default)]
struct Near(Memory);

/// The contract, kept where each read is a journey.
#[derive(Debug)]
struct Far(Memory);

impl Default for Far {
    fn default() -> Self {
        Self(Memory::remote())
    }
}

fn open(memory: &Memory) -> Arc<dyn Store> {
    let day = Duration::from_hours(24);
    Arc::new(TableStore::open(Box::new(memory.clone()), day).unwrap())
}

impl Tested for Near {
    fn open(&self) -> Arc<dyn Store> {
        open(&self.0)
    }

    fn another(&self) -> Box<dyn Tested> {
        Box::new(Self::default())
    }
}

impl Tested for Far {
    fn open(&self) -> Arc<dyn Store> {
        open(&self.0)
    }

    fn another(&self) -> Box<dyn Tested> {
        Box::new(Self::default())
    }
}

mod near {
    use super::*;
    suite!(Near);
}

mod far {
    use super::*;
    suite!(Far);
}
