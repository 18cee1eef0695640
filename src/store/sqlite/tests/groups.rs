//! Group commit: each change stands alone, but the commit is everybody's.

use std::sync::mpsc;

use tokio::task::JoinSet;

use super::*;
use crate::store::sqlite::writer::Writer;

/// A writer with a table `t` whose `parent` is checked at the commit.
async fn writer(engine: &Sqlite) -> Arc<Writer> {
    let writer = Arc::new(Writer::start(schema::open(&engine.path()).unwrap()).unwrap());
    let prepare = |tx: &Connection| {
        tx.run(
            "CREATE TABLE t (id INTEGER PRIMARY KEY,
             parent INTEGER REFERENCES t DEFERRABLE INITIALLY DEFERRED)",
            [],
        )
    };
    writer.write(prepare).await.unwrap();
    writer
}

fn insert(tx: &Connection, id: i64) -> Result<()> {
    tx.run("INSERT INTO t (id) VALUES (?1)", [id])?;
    Ok(())
}

async fn stored(writer: &Writer) -> Vec<i64> {
    writer
        .write(|tx| tx.all("SELECT id FROM t ORDER BY id", [], |row| Ok(row.get(0)?)))
        .await
        .unwrap()
}

/// Holds the writer until the sender is dropped, so that what is queued meanwhile is one group.
async fn hold(writer: &Arc<Writer>, tasks: &mut JoinSet<()>) -> mpsc::Sender<()> {
    let (release, held) = mpsc::channel();
    let (started, starts) = tokio::sync::oneshot::channel();
    let busy = Arc::clone(writer);
    tasks.spawn(async move {
        let wait = move |_: &Connection| {
            started.send(()).unwrap();
            held.recv().unwrap_err();
            Ok(())
        };
        busy.write(wait).await.unwrap();
    });
    starts.await.unwrap();
    release
}

#[tokio::test]
async fn a_change_that_fails_leaves_the_others_of_its_group() {
    let engine = Sqlite::default();
    let writer = writer(&engine).await;
    let mut tasks = JoinSet::new();
    let held = hold(&writer, &mut tasks).await;
    let (first, failing, panicking, last, ()) = tokio::join!(
        writer.write(|tx| insert(tx, 1)),
        writer.write(|tx| {
            insert(tx, 2)?;
            Err::<(), _>(StoreError::Conflict("no".to_owned()))
        }),
        writer.write(|tx| -> Result<()> {
            insert(tx, 3)?;
            panic!("on purpose")
        }),
        writer.write(|tx| insert(tx, 4)),
        async move { drop(held) },
    );
    first.unwrap();
    assert!(
        matches!(failing, Err(StoreError::Conflict(_))),
        "{failing:?}"
    );
    assert!(
        matches!(panicking, Err(StoreError::Corrupt(_))),
        "{panicking:?}"
    );
    last.unwrap();
    assert_eq!(stored(&writer).await, [1, 4]);
}

#[tokio::test]
async fn nothing_is_acknowledged_where_the_commit_fails() {
    let engine = Sqlite::default();
    let writer = writer(&engine).await;
    let mut tasks = JoinSet::new();
    let held = hold(&writer, &mut tasks).await;
    let (first, orphan, ()) = tokio::join!(
        writer.write(|tx| insert(tx, 1)),
        writer.write(|tx| tx.run("INSERT INTO t VALUES (2, 99)", [])),
        async move { drop(held) },
    );
    assert!(
        matches!(first, Err(StoreError::Unavailable(_))),
        "{first:?}"
    );
    assert!(
        matches!(orphan, Err(StoreError::Unavailable(_))),
        "{orphan:?}"
    );
    assert_eq!(stored(&writer).await, [0; 0]);
    writer.write(|tx| insert(tx, 3)).await.unwrap();
    assert_eq!(stored(&writer).await, [3]);
}

#[tokio::test]
async fn a_full_disk_refuses_and_loses_nothing() {
    let engine = Sqlite::default();
    let writer = writer(&engine).await;
    let pages = "PRAGMA page_count";
    let full = writer.write(|tx| tx.number(pages, [])).await.unwrap() + 2;
    let limit = move |tx: &Connection| Ok(tx.pragma_update(None, "max_page_count", full)?);
    writer.write(limit).await.unwrap();
    let mut acknowledged = Vec::new();
    let mut refused = 0;
    for id in 1..2_000 {
        match writer.write(move |tx| insert(tx, id)).await {
            Ok(()) => acknowledged.push(id),
            Err(StoreError::Unavailable(_)) => refused += 1,
            Err(other) => panic!("{other:?}"),
        }
    }
    assert!(refused > 0);
    assert_eq!(stored(&writer).await, acknowledged);
}

#[tokio::test]
async fn a_closed_store_has_done_what_was_queued() {
    let engine = Sqlite::default();
    let writer = writer(&engine).await;
    let mut changes = JoinSet::new();
    for id in 0..100 {
        let writer = Arc::clone(&writer);
        changes.spawn(async move { writer.write(move |tx| insert(tx, id)).await });
    }
    for done in changes.join_all().await {
        done.unwrap();
    }
    drop(writer);
    let again = Writer::start(schema::open(&engine.path()).unwrap()).unwrap();
    assert_eq!(stored(&again).await.len(), 100);
}
