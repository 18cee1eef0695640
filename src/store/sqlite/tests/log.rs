//! What an opening makes of the logs that it finds.

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use super::*;

/// A store that died with `commits` commits in its log, each of which changed the row `n` and its own.
struct Died {
    folder: TempDir,
}

impl Died {
    fn after(commits: u32) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut store = open(&folder);
        for number in 1..=commits {
            store.commit(&commit(number)).unwrap();
        }
        // No close: what is not applied stays in the log.
        drop(store);
        Self { folder }
    }

    fn log(&self) -> Vec<u8> {
        std::fs::read(place::log(&file(&self.folder), 0)).unwrap()
    }

    /// How far the store is where its log is this; checks that it is nowhere between two commits.
    fn commits_with(&self, log: &[u8]) -> Result<u32> {
        let there = tempfile::tempdir().unwrap();
        for name in [FILE, "gateway.db-wal"] {
            let from = self.folder.path().join(name);
            if from.exists() {
                std::fs::copy(from, there.path().join(name)).unwrap();
            }
        }
        std::fs::write(place::log(&file(&there), 0), log).unwrap();
        Ok(commits(&mut Sqlite::open(&file(&there))?))
    }
}

fn commit(number: u32) -> [Write; 3] {
    let text = number.to_string();
    [
        put("n", &text),
        put(&format!("own{number}"), &"x".repeat(20)),
        delete(&format!("own{}", number.saturating_sub(3))),
    ]
}

fn commits(store: &mut Sqlite) -> u32 {
    let last = value(store, "n").map_or(0, |text| text.parse().unwrap());
    for number in 1..=last + 3 {
        let own = value(store, &format!("own{number}"));
        let is_there = number <= last && number + 3 > last;
        assert_eq!(own.is_some(), is_there, "own{number} of {last}");
    }
    last
}

/// Where each record of a log ends.
fn ends(log: &[u8]) -> Vec<usize> {
    let mut ends = vec![0];
    loop {
        let at = *ends.last().unwrap();
        let head = Head::read(log[at..at + HEAD].try_into().unwrap());
        if head.number == 0 {
            return ends;
        }
        ends.push(at + HEAD + usize::try_from(head.length).unwrap());
    }
}

#[test]
fn a_log_cut_anywhere_holds_the_commits_before_the_cut() {
    let died = Died::after(4);
    let log = died.log();
    let ends = ends(&log);
    assert_eq!(ends.len(), 5);
    for cut in 0..=ends[4] {
        let whole = ends.iter().filter(|end| **end <= cut).count() - 1;
        let found = died.commits_with(&log[..cut]).unwrap();
        assert_eq!(found as usize, whole, "cut at {cut}");
    }
}

#[test]
fn a_record_with_a_flipped_bit_ends_the_log() {
    let died = Died::after(4);
    let log = died.log();
    let ends = ends(&log);
    let mut random = StdRng::seed_from_u64(1);
    for at in 0..ends[4] {
        let mut log = log.clone();
        log[at] ^= 1 << random.random_range(0..8);
        let whole = ends.iter().filter(|end| **end <= at).count() - 1;
        assert_eq!(died.commits_with(&log).unwrap() as usize, whole, "at {at}");
    }
}

#[test]
fn records_of_an_earlier_turn_are_not_taken_for_new_ones() {
    let died = Died::after(4);
    let log = died.log();
    let ends = ends(&log);
    // The second record again behind the fourth, and instead of the third.
    let second = &log[ends[1]..ends[2]];
    let behind = [&log[..ends[4]], second, &log[ends[4]..]].concat();
    assert_eq!(died.commits_with(&behind).unwrap(), 4);
    let instead = [&log[..ends[2]], second, &log[ends[3]..]].concat();
    assert_eq!(died.commits_with(&instead).unwrap(), 2);
}

#[test]
fn a_log_that_begins_later_than_the_database_ends_is_refused() {
    let died = Died::after(4);
    let log = died.log();
    let ends = ends(&log);
    let error = died.commits_with(&log[ends[1]..]).unwrap_err();
    assert!(matches!(error, StoreError::Conflict(_)), "{error}");
    assert!(error.to_string().contains("gateway.db.log-0"), "{error}");
}

#[test]
fn a_log_of_another_store_is_refused_and_left_alone() {
    let (here, there) = (Died::after(2), Died::after(3));
    let foreign = there.log();
    let log = place::log(&file(&here.folder), 0);
    std::fs::write(&log, &foreign).unwrap();
    for _ in 0..2 {
        let error = Sqlite::open(&file(&here.folder)).unwrap_err();
        assert!(matches!(error, StoreError::Conflict(_)), "{error}");
    }
    assert!(std::fs::read(&log).unwrap() == foreign);
    std::fs::remove_file(log).unwrap();
    assert_eq!(commits(&mut open(&here.folder)), 0);
}

#[test]
fn an_old_copy_of_the_database_beside_a_newer_log_is_refused() {
    let died = Died::after(2);
    let copy = std::fs::read(file(&died.folder)).unwrap();
    open(&died.folder).close();
    let mut store = open(&died.folder);
    store.commit(&commit(3)).unwrap();
    drop(store);
    for name in ["gateway.db-wal", "gateway.db-shm"] {
        drop(std::fs::remove_file(died.folder.path().join(name)));
    }
    std::fs::write(file(&died.folder), copy).unwrap();
    let error = Sqlite::open(&file(&died.folder)).unwrap_err();
    assert!(matches!(error, StoreError::Conflict(_)), "{error}");
}

#[test]
fn a_store_of_version_1_is_opened_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let old = rusqlite::Connection::open(file(&folder)).unwrap();
    old.execute_batch(
        "CREATE TABLE meta (key TEXT PRIMARY KEY, row BLOB NOT NULL) STRICT, WITHOUT ROWID;
         INSERT INTO meta VALUES ('n', CAST('7' AS BLOB)); PRAGMA user_version = 1;",
    )
    .unwrap();
    drop(old);
    let mut store = open(&folder);
    assert_eq!(value(&mut store, "n").as_deref(), Some("7"));
}

#[test]
fn what_could_not_be_written_never_comes_back() {
    for syncs_fail in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let faults = Arc::<Faults>::default();
        let mut store = Sqlite::open_faulty(&file(&folder), &faults).unwrap();
        store.commit(&commit(1)).unwrap();
        let fails = if syncs_fail {
            &faults.syncs
        } else {
            &faults.writes
        };
        Faults::fail(fails, 1);
        let refused = store.commit(&[put("n", "2"), put("ghost", "of a longer commit")]);
        assert!(matches!(refused, Err(StoreError::Unavailable(_))));
        assert_eq!(value(&mut store, "ghost"), None);
        drop(store);
        let mut store = open(&folder);
        assert_eq!(value(&mut store, "ghost"), None, "syncs fail: {syncs_fail}");
        assert_eq!(commits(&mut store), 1);
    }
}

#[test]
fn the_next_commit_takes_the_place_of_one_that_failed_for_good() {
    let folder = tempfile::tempdir().unwrap();
    let faults = Arc::<Faults>::default();
    let mut store = Sqlite::open_faulty(&file(&folder), &faults).unwrap();
    store.commit(&commit(1)).unwrap();
    // Its place cannot be taken at once either.
    Faults::fail(&faults.syncs, 2);
    store.commit(&[put("ghost", &"x".repeat(999))]).unwrap_err();
    store.commit(&commit(2)).unwrap();
    store.commit(&commit(3)).unwrap();
    drop(store);
    let mut store = open(&folder);
    assert_eq!(value(&mut store, "ghost"), None);
    assert_eq!(commits(&mut store), 3);
}
