//! Rows that are not applied, and those that are, seen together.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use proptest::prelude::*;

use super::*;

#[test]
fn what_is_not_applied_is_read_changed_and_deleted() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = open(&folder);
    store
        .commit(&[put("a", "1"), put("b", "1"), put("c", "1")])
        .unwrap();
    store.apply().unwrap();
    store.commit(&[put("a", "2"), delete("b")]).unwrap();
    let mut twin = store.twin().unwrap();
    let keys = ["a", "b", "c"].map(|key| (TableId::Meta, key));
    let found = twin.get(&keys).unwrap();
    assert_eq!(found, [Some(b"2".to_vec()), None, Some(b"1".to_vec())]);
    let page = twin.scan(TableId::Meta, None, 10).unwrap();
    let rows: Vec<&str> = page.rows.iter().map(|(key, _)| key.as_str()).collect();
    assert_eq!(rows, ["a", "c"]);
    assert_eq!(twin.count(TableId::Meta).unwrap(), 2);
}

#[test]
fn how_much_is_not_applied_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = open(&folder);
    let told = store.unapplied();
    store.commit(&[put("a", "1"), put("b", "1")]).unwrap();
    store.commit(&[put("a", "2")]).unwrap();
    assert_eq!(told.load(Ordering::Relaxed), 2);
    store.apply().unwrap();
    assert_eq!(told.load(Ordering::Relaxed), 0);
}

#[test]
fn what_came_and_went_is_never_written_into_a_table() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = open(&folder);
    store
        .commit(&[put("came", "1"), put("stays", "1")])
        .unwrap();
    store.commit(&[delete("came")]).unwrap();
    store.apply().unwrap();
    let file = std::fs::read(folder.path().join("gateway.db-wal")).unwrap();
    let has = |text: &[u8]| file.windows(text.len()).any(|there| there == text);
    assert!(has(b"stays") && !has(b"came"));
}

#[test]
fn a_close_leaves_one_file_that_holds_everything() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = open(&folder);
    store.commit(&[put("a", "1")]).unwrap();
    store.close();
    let refused = store.commit(&[put("a", "2")]);
    assert!(matches!(refused, Err(StoreError::Unavailable(_))));
    drop(store);
    let mut names: Vec<_> = std::fs::read_dir(folder.path())
        .unwrap()
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort_unstable();
    assert_eq!(names, [FILE, "gateway.db.lock"]);
    assert_eq!(value(&mut open(&folder), "a").as_deref(), Some("1"));
}

/// Keeps rows of one table out of SQLite, until it is told otherwise.
fn block(folder: &TempDir) -> rusqlite::Connection {
    let blocker = rusqlite::Connection::open(file(folder)).unwrap();
    let trigger = "CREATE TRIGGER no BEFORE INSERT ON meta BEGIN SELECT RAISE(FAIL, 'no'); END";
    blocker.execute_batch(trigger).unwrap();
    blocker
}

fn unblock(blocker: &rusqlite::Connection) {
    blocker.execute_batch("DROP TRIGGER no").unwrap();
}

#[test]
fn a_commit_is_refused_where_too_much_cannot_be_applied() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = Sqlite::open_restless(&file(&folder)).unwrap();
    let blocker = block(&folder);
    let mut commit = |number| store.commit(&[put(&format!("{number:04}"), "x")]);
    let results: Vec<Result<()>> = (0..200).map(&mut commit).collect();
    let taken = results.iter().take_while(|result| result.is_ok()).count();
    // Two generations of 40 rows at most.
    assert!((40..=80).contains(&taken), "{taken}");
    assert!(matches!(results[taken], Err(StoreError::Unavailable(_))));
    let kept = results.iter().filter(|result| result.is_ok()).count();
    assert_eq!(keys(&mut store, 7).len(), kept);
    assert_eq!(value(&mut store, "0000").as_deref(), Some("x"));
    unblock(&blocker);
    store.apply().unwrap();
    store.commit(&[put("n", "x")]).unwrap();
    assert_eq!(store.count(TableId::Meta).unwrap(), kept as u64 + 1);
}

#[test]
fn a_commit_that_finds_no_room_waits_until_rows_are_applied() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = Sqlite::open_restless(&file(&folder)).unwrap();
    let mut twin = store.twin().unwrap();
    let rows = |number: u32| [put(&format!("{number:04}"), &"x".repeat(9_000))];
    let reader = std::thread::spawn(move || {
        let mut seen = 0;
        while seen < 60 {
            let key = format!("{seen:04}");
            let found = twin.get(&[(TableId::Meta, &key)]).unwrap();
            // What was there once is there from then on, wherever it is.
            seen += u32::from(found[0].is_some());
        }
    });
    for number in 0..60 {
        store.commit(&rows(number)).unwrap();
        let size = store.applier.shelf().size();
        // 16 KiB and one record in each of two.
        assert!(size.octets < 2 * (16 * 1024 + 9_200), "{size:?}");
    }
    reader.join().unwrap();
    assert_eq!(keys(&mut store, 16).len(), 60);
}

#[test]
fn a_failure_to_apply_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = open(&folder);
    store.commit(&[put("a", "1")]).unwrap();
    let blocker = block(&folder);
    let failed = store.apply();
    assert!(
        matches!(failed, Err(StoreError::Unavailable(_))),
        "{failed:?}"
    );
    store.commit(&[put("b", "1")]).unwrap();
    store.close();
    drop(store);
    unblock(&blocker);
    assert_eq!(keys(&mut open(&folder), 9), ["a", "b"]);
}

/// The keys of a table, page by page.
fn keys(store: &mut Sqlite, limit: usize) -> Vec<String> {
    let rows = rows(store, TableId::Meta, limit).into_iter();
    rows.map(|(key, _)| key).collect()
}

fn rows(store: &mut Sqlite, table: TableId, limit: usize) -> Vec<(String, Octets)> {
    let mut rows = Vec::new();
    let mut from = None;
    loop {
        let page = store.scan(table, from.as_deref(), limit).unwrap();
        assert!(page.rows.len() <= limit);
        rows.extend(page.rows);
        from = page.next;
        if from.is_none() {
            return rows;
        }
    }
}

/// Something done with a store.
#[derive(Debug, Clone)]
enum Act {
    /// Rows of a commit: a table, a key, and a value or none.
    Commit(Vec<(bool, u8, Option<u8>)>),
    Apply,
    /// The process dies and comes back.
    Die,
    /// It ends and comes back.
    Close,
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let row = (any::<bool>(), 0..24_u8, proptest::option::of(any::<u8>()));
    let act = prop_oneof![
        8 => proptest::collection::vec(row, 1..6).prop_map(Act::Commit),
        2 => Just(Act::Apply),
        1 => Just(Act::Die),
        1 => Just(Act::Close),
    ];
    proptest::collection::vec(act, 1..30)
}

type Model = BTreeMap<(TableId, String), Octets>;

fn writes(rows: &[(bool, u8, Option<u8>)]) -> Vec<Write> {
    let mut writes = BTreeMap::new();
    for (is_timer, key, value) in rows {
        let table = if *is_timer {
            TableId::Timers
        } else {
            TableId::Meta
        };
        writes.insert(
            (table, format!("{key:03}")),
            value.map(|value| vec![value; 9]),
        );
    }
    let writes = writes.into_iter();
    writes
        .map(|((table, key), value)| Write {
            table,
            key: key.into(),
            value,
        })
        .collect()
}

fn check(store: &mut Sqlite, model: &Model) {
    let timers: Vec<&String> = model
        .keys()
        .filter(|(table, _)| *table == TableId::Timers)
        .map(|(_, key)| key)
        .collect();
    for until in ["000", "011", "020", "999"] {
        for limit in [1, 3, 99] {
            let due = timers.iter().filter(|key| key.as_str() < until).take(limit);
            let due: Vec<String> = due.map(|key| (*key).clone()).collect();
            assert_eq!(store.timers(until, limit).unwrap(), due);
        }
    }
    for table in [TableId::Timers, TableId::Meta] {
        for key in 0..24_u8 {
            let key = format!("{key:03}");
            let found = store.get(&[(table, &key)]).unwrap();
            assert_eq!(found, [model.get(&(table, key)).cloned()]);
        }
        for limit in [1, 5, 99] {
            let of_table = model.iter().filter(|((of, _), _)| *of == table);
            let there: Vec<_> = of_table
                .map(|((_, key), row)| (key.clone(), row.clone()))
                .collect();
            assert_eq!(rows(store, table, limit), there);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_store_is_what_was_committed_whatever_is_applied(acts in acts()) {
        let folder = tempfile::tempdir().unwrap();
        let mut store = open(&folder);
        let mut model = Model::new();
        for act in acts {
            match act {
                Act::Commit(rows) => {
                    let writes = writes(&rows);
                    store.commit(&writes).unwrap();
                    for Write { table, key, value } in writes {
                        let key = (table, key.to_string());
                        match value {
                            Some(value) => model.insert(key, value),
                            None => model.remove(&key),
                        };
                    }
                }
                Act::Apply => store.apply().unwrap(),
                Act::Die => {
                    drop(store);
                    store = open(&folder);
                }
                Act::Close => {
                    store.close();
                    drop(store);
                    store = open(&folder);
                }
            }
            check(&mut store, &model);
        }
        for table in [TableId::Timers, TableId::Meta] {
            let there = model.keys().filter(|(of, _)| *of == table).count();
            assert_eq!(store.count(table).unwrap(), there as u64);
        }
    }
}
