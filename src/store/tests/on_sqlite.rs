//! In a file, and what only a file promises.

mod crash;
mod flood;
mod power;

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use matrix_smpp_codec::e164::E164;
use matrix_smpp_config::Money;
use ruma::OwnedUserId;
use rusqlite::Connection;
use tempfile::TempDir;

use super::*;
use crate::gateway::model::ConversationId;
use crate::gateway::model::{Conversation, Handset, InboxSeq, MessageId, SmsId, Timestamp};
use crate::store::sqlite::{self, tests::faulty::Faults};
use crate::store::table::AnyRow;
use crate::store::tables::{AccountRow, TableId};
use crate::store::{Acceptance, Ending, NewEvent, ReceiptIn, SmsIn, SmsTaken};
use crate::store::{Answer, MessageView, NewMessage, OpenConversation, StoreError, Transaction};

/// A store in a directory of its own.
#[derive(Debug)]
struct Sqlite {
    directory: TempDir,
}

impl Sqlite {
    fn path(&self) -> PathBuf {
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
        TableStore::open_sqlite(self.path(), DAY).unwrap()
    }

    fn another(&self) -> Box<dyn Engine> {
        Box::new(Self::default())
    }
}

suite!(Sqlite);

#[test]
fn a_store_in_use_says_so() {
    let engine = Sqlite::default();
    let first = engine.open();
    let error = TableStore::open_sqlite(engine.path(), DAY).unwrap_err();
    let said = error.to_string();
    assert!(
        said.contains("another matrix-smpp uses this store"),
        "{said}"
    );
    drop(first);
    engine.open();
}

#[test]
fn a_file_of_a_newer_program_is_left_alone() {
    let engine = Sqlite::default();
    drop(engine.open());
    let newer = Connection::open(engine.path()).unwrap();
    newer.pragma_update(None, "user_version", 99).unwrap();
    drop(newer);
    let error = TableStore::open_sqlite(engine.path(), DAY).unwrap_err();
    assert!(matches!(error, StoreError::Conflict(_)), "{error}");
}

#[test]
fn what_is_no_store_is_an_error() {
    let engine = Sqlite::default();
    let text = "this is not a database, but long enough to look at it".repeat(99);
    std::fs::write(engine.path(), text).unwrap();
    let error = TableStore::open_sqlite(engine.path(), DAY).unwrap_err();
    assert!(matches!(error, StoreError::Corrupt(_)), "{error:?}");
}

#[test]
fn nobody_else_may_read_the_file() {
    let engine = Sqlite::default();
    let store = engine.open();
    for file in std::fs::read_dir(engine.directory.path()).unwrap() {
        let file = file.unwrap();
        let mode = file.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{}", file.path().display());
    }
    drop(store);
}

fn event(name: &str) -> NewEvent {
    NewEvent {
        is_over: false,
        event_id: format!("${name}").try_into().unwrap(),
        room: "!room:example.org".try_into().unwrap(),
        json: "{}".to_owned(),
    }
}

#[tokio::test]
async fn a_row_that_cannot_be_read_does_not_keep_the_others_away() {
    let engine = Sqlite::default();
    let transaction = Transaction {
        homeserver: "example.org".try_into().unwrap(),
        txn_id: "1".to_owned(),
        events: vec![event("a"), event("b")],
        extras: None,
        at: Timestamp(1),
        most_waiting: usize::MAX,
    };
    engine.open().take_transaction(transaction).await.unwrap();
    let connection = Connection::open(engine.path()).unwrap();
    let damage = "UPDATE inbox SET row = x'00' WHERE key = (SELECT min(key) FROM inbox)";
    assert_eq!(connection.execute(damage, []).unwrap(), 1);
    drop(connection);
    let store = engine.open();
    let events = store.pending_events(InboxSeq(0), 10).await.unwrap();
    assert_eq!(events.iter().map(|one| one.seq.0).collect::<Vec<_>>(), [2]);
}

#[tokio::test]
async fn each_probe_commits_a_change() {
    let engine = Sqlite::default();
    let store = engine.open();
    let log = |which| std::fs::read(engine.directory.path().join(which)).unwrap();
    let logs = || ["gateway.db.log-0", "gateway.db.log-1"].map(log);
    for _ in 0..3 {
        let before = logs();
        store.probe().await.unwrap();
        assert!(logs() != before);
    }
}

#[tokio::test]
async fn a_commit_that_fails_is_refused_and_can_be_repeated() {
    let engine = Sqlite::default();
    let faults = Arc::<Faults>::default();
    let base = sqlite::Sqlite::open_faulty(&engine.path(), &faults).unwrap();
    let store: Arc<dyn Store> = Arc::new(TableStore::open(Box::new(base), DAY).unwrap());
    let owner: OwnedUserId = "@alice:example.org".try_into().unwrap();
    let micro = Money::from_micros(1).unwrap();
    store
        .top_up(&owner, micro, "first", Timestamp(1))
        .await
        .unwrap();
    Faults::fail(&faults.writes, 1);
    let refused = store.top_up(&owner, micro, "second", Timestamp(1)).await;
    assert!(
        matches!(refused, Err(StoreError::Unavailable(_))),
        "{refused:?}"
    );
    assert_eq!(store.account(&owner).await.unwrap().top_ups, micro);
    store
        .top_up(&owner, micro, "second", Timestamp(1))
        .await
        .unwrap();
    drop(store);
    let account = engine.open().account(&owner).await.unwrap();
    assert_eq!(account.top_ups.micros(), 2);
}

#[tokio::test]
async fn an_account_that_the_ledger_contradicts_is_found() {
    let engine = Sqlite::default();
    let owner: OwnedUserId = "@alice:example.org".try_into().unwrap();
    let paid_in = Money::from_micros(100).unwrap();
    let paid = engine
        .open()
        .top_up(&owner, paid_in, "k", Timestamp(1))
        .await;
    paid.unwrap();
    let forged: AnyRow = Arc::new(AccountRow {
        balance: 900,
        top_ups: 900,
        ..AccountRow::default()
    });
    let forged = (TableId::Accounts.kind().encode)(&forged).unwrap();
    let connection = Connection::open(engine.path()).unwrap();
    connection
        .execute("UPDATE account SET row = ?1", [forged])
        .unwrap();
    drop(connection);
    let audit = engine.open().audit().await.unwrap();
    let [difference] = &audit.differences[..] else {
        panic!("{audit:?}")
    };
    assert_eq!(difference.owner, owner);
    let balances = (difference.stored.balance, difference.ledger.balance);
    assert_eq!((balances.0.micros(), balances.1.micros()), (900, 100));
}
