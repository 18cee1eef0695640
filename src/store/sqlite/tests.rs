//! The conformance suite, and what only this engine promises.

mod crash;
mod groups;
mod plans;
mod power;

use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;

use super::*;
use crate::store::conformance::{Engine, suite};

const DAY: Duration = Duration::from_hours(24);

/// A store in a directory of its own.
#[derive(Debug)]
struct Sqlite {
    directory: TempDir,
}

impl Sqlite {
    fn path(&self) -> std::path::PathBuf {
        self.directory.path().join("gateway.db")
    }
}

impl Default for Sqlite {
    fn default() -> Self {
        Self {
            directory: tempfile::tempdir().unwrap(),
        }
    }
}

impl Engine for Sqlite {
    fn open(&self) -> Arc<dyn Store> {
        SqliteStore::open(self.path(), DAY).unwrap()
    }

    fn another(&self) -> Box<dyn Engine> {
        Box::new(Self::default())
    }
}

suite!(Sqlite);

#[test]
fn a_store_in_use_says_so() {
    let engine = Sqlite::default();
    let first = SqliteStore::open(engine.path(), DAY).unwrap();
    let error = SqliteStore::open(engine.path(), DAY).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("another matrix-smpp uses this store"),
        "{error}"
    );
    drop(first);
    SqliteStore::open(engine.path(), DAY).unwrap();
}

#[test]
fn a_file_of_a_newer_program_is_left_alone() {
    let engine = Sqlite::default();
    drop(SqliteStore::open(engine.path(), DAY).unwrap());
    let newer = Connection::open(engine.path()).unwrap();
    newer.pragma_update(None, "user_version", 99).unwrap();
    drop(newer);
    let error = SqliteStore::open(engine.path(), DAY).unwrap_err();
    assert!(matches!(error, StoreError::Conflict(_)), "{error}");
}

#[test]
fn what_is_no_store_is_an_error() {
    let engine = Sqlite::default();
    std::fs::write(
        engine.path(),
        "this is not a database, but long enough to look at it".repeat(99),
    )
    .unwrap();
    let error = SqliteStore::open(engine.path(), DAY).unwrap_err();
    assert!(matches!(error, StoreError::Corrupt(_)), "{error:?}");
}

#[cfg(unix)]
#[test]
fn nobody_else_may_read_the_file() {
    use std::os::unix::fs::PermissionsExt as _;

    let engine = Sqlite::default();
    let store = engine.open();
    for file in std::fs::read_dir(engine.directory.path()).unwrap() {
        let file = file.unwrap();
        let mode = file.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{}", file.path().display());
    }
    drop(store);
}

#[tokio::test]
async fn rows_that_cannot_be_read_do_not_keep_the_others_away() {
    let engine = Sqlite::default();
    drop(engine.open());
    let connection = Connection::open(engine.path()).unwrap();
    let damage = "INSERT INTO sms (link_group, handset, number, text, missing, recipient, at)
            VALUES ('l', '=a', '1', 't', 0, 'c:1', 1), ('l', '=a', '1', 't', 0, 'c:1', 1),
                ('l', '447700900123', '1', 't', 0, 'c:1', 1);
        INSERT INTO event (homeserver, event_id, room, json, at)
            VALUES ('h', '$a', 'no room', '{}', 1), ('h', '$b', '!r:h', '{}', 1);
        INSERT INTO outbox (key, lane, item, head, due_at, queued_at)
            VALUES ('a', 'c:1', '{\"unknown\":{}}', 1, 1, 1),
                ('b', 'c:1', '{\"sms_text\":{\"sms\":3,\"conversation\":1}}', 0, 1, 1);";
    connection.execute_batch(damage).unwrap();
    drop(connection);
    let store = engine.open();
    // Even a page that would hold nothing else goes on to what can be read.
    let sms = store.pending_sms(SmsId(0), 1).await.unwrap();
    assert_eq!(sms.iter().map(|sms| sms.id.0).collect::<Vec<_>>(), [3]);
    let events = store.pending_events(InboxSeq(0), 1).await.unwrap();
    assert_eq!(events.iter().map(|one| one.seq.0).collect::<Vec<_>>(), [2]);
    let due = store.due_outbox(Timestamp(9), 1, &[]).await.unwrap();
    assert_eq!(due.iter().map(|entry| entry.id.0).collect::<Vec<_>>(), [2]);
    assert_eq!(store.sizes().await.unwrap().set_aside, 4);
}

#[test]
fn the_ledger_only_grows() {
    let engine = Sqlite::default();
    drop(engine.open());
    let connection = Connection::open(engine.path()).unwrap();
    let insert = "INSERT INTO ledger (owner, kind, amount, reference, segment, at)
        VALUES ('@a:b', 0, 1, 'k', 0, 0)";
    connection.execute(insert, []).unwrap();
    assert!(
        connection
            .execute("UPDATE ledger SET amount = 2", [])
            .is_err()
    );
    assert!(connection.execute("DELETE FROM ledger", []).is_err());
}

#[tokio::test]
async fn each_probe_commits_a_change() {
    let engine = Sqlite::default();
    let store = engine.open();
    let watcher = Connection::open(engine.path()).unwrap();
    let version = || watcher.number("PRAGMA data_version", []).unwrap();
    for _ in 0..3 {
        let before = version();
        store.probe().await.unwrap();
        assert_ne!(version(), before);
    }
}

#[tokio::test]
async fn an_account_that_the_ledger_contradicts_is_found() {
    let engine = Sqlite::default();
    let owner: OwnedUserId = "@alice:example.org".try_into().unwrap();
    let paid_in = Money::from_micros(100).unwrap();
    engine
        .open()
        .top_up(&owner, paid_in, "k", Timestamp(1))
        .await
        .unwrap();
    let connection = Connection::open(engine.path()).unwrap();
    let forge = "UPDATE account SET balance = 900, top_ups = 900";
    connection.execute(forge, []).unwrap();
    drop(connection);
    let differences = engine.open().audit().await.unwrap();
    let [difference] = &differences[..] else {
        panic!("{differences:?}")
    };
    assert_eq!(difference.owner, owner);
    assert_eq!(
        (
            difference.stored.balance.micros(),
            difference.ledger.balance.micros()
        ),
        (900, 100)
    );
}
