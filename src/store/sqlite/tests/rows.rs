//! Rows that are not applied, and those that are, seen together.

use std::collections::BTreeMap;

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

#[test]
fn a_commit_waits_where_too_much_is_not_applied() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = Sqlite::open_restless(&file(&folder)).unwrap();
    let blocker = rusqlite::Connection::open(file(&folder)).unwrap();
    blocker
        .execute_batch(
            "CREATE TRIGGER no BEFORE INSERT ON meta BEGIN SELECT RAISE(FAIL, 'no'); END",
        )
        .unwrap();
    let committed = std::thread::spawn(move || {
        let commit = |number| store.commit(&[put(&format!("{number:04}"), "x")]);
        let results: Vec<Result<()>> = (0..200).map(commit).collect();
        (store, results)
    });
    let bound = 2 * 40 + 2;
    let (mut store, results) = committed.join().unwrap();
    let taken = results.iter().take_while(|result| result.is_ok()).count();
    assert!((40..=bound).contains(&taken), "{taken}");
    assert!(matches!(results[taken], Err(StoreError::Unavailable(_))));
    blocker.execute_batch("DROP TRIGGER no").unwrap();
    store.apply().unwrap();
    store.commit(&[put("n", "x")]).unwrap();
    let kept = results.iter().filter(|result| result.is_ok()).count();
    assert_eq!(store.count(TableId::Meta).unwrap(), kept as u64 + 1);
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
            let mut rows = Vec::new();
            let mut from = None;
            loop {
                let page = store.scan(table, from.as_deref(), limit).unwrap();
                assert!(page.rows.len() <= limit);
                rows.extend(page.rows);
                from = page.next;
                if from.is_none() {
                    break;
                }
            }
            let of_table = model.iter().filter(|((of, _), _)| *of == table);
            let there: Vec<_> = of_table
                .map(|((_, key), row)| (key.clone(), row.clone()))
                .collect();
            assert_eq!(rows, there);
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
