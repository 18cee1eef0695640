use std::collections::{BTreeMap, VecDeque};

use proptest::prelude::*;

use super::*;
use crate::store::table::typed;

const TABLE: TableId = TableId::Meta;
const KEYS: [&str; 3] = ["a", "b", "c"];

/// Rows by key; no row for none.
type Rows = BTreeMap<&'static str, String>;

/// What can happen to a state.
#[derive(Debug, Clone, Copy)]
enum Step {
    /// A row is set, or deleted.
    Change(usize, Option<u8>),
    /// A row that nobody looks for is made.
    Add,
    /// An operation fails after so many changes of that row.
    Fail(usize, u8),
    TakeOff,
    Land,
    /// The flight cannot be committed.
    Crash,
}

fn step() -> impl Strategy<Value = Step> {
    let key = 0..KEYS.len();
    prop_oneof![
        6 => (key.clone(), any::<Option<u8>>()).prop_map(|(key, row)| Step::Change(key, row)),
        1 => Just(Step::Add),
        2 => (key, 1..4_u8).prop_map(|(key, times)| Step::Fail(key, times)),
        2 => Just(Step::TakeOff),
        2 => Just(Step::Land),
        1 => Just(Step::Crash),
    ]
}

/// A state beside plain maps of what is committed, in flight, and done.
struct World {
    state: State,
    committed: Rows,
    flying: VecDeque<(Group, Rows)>,
    now: Rows,
    added: usize,
}

impl World {
    fn new() -> Self {
        Self {
            state: State::new(),
            committed: Rows::new(),
            flying: VecDeque::new(),
            now: Rows::new(),
            added: 0,
        }
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Change(key, row) => self.change(key, row.map(|row| row.to_string())),
            Step::Add => {
                self.added += 1;
                let row: AnyRow = Arc::new("added".to_owned());
                let key = format!("added {}", self.added);
                self.state.add(TABLE, &key, row);
            }
            Step::Fail(key, times) => {
                let (mark, before) = (self.state.mark(), self.now.clone());
                for time in 0..times {
                    self.change(key, (time != 1).then(|| format!("undone {time}")));
                }
                self.state.undo(mark);
                self.now = before;
            }
            Step::TakeOff if self.flying.is_empty() => {
                let group = self.state.take_off();
                self.flying.push_back((group, self.now.clone()));
            }
            Step::Land => {
                if let Some((group, rows)) = self.flying.pop_front() {
                    self.commit(&group, &rows);
                }
            }
            Step::Crash => {
                if let Some((group, _)) = self.flying.pop_front() {
                    self.state.undo_all(Some(group));
                    self.now = self.committed.clone();
                    self.added = 0;
                }
            }
            Step::TakeOff => {}
        }
        self.look();
    }

    fn change(&mut self, key: usize, row: Option<String>) {
        let key = KEYS[key];
        let before = self.cell(key);
        let after = row.clone().map(|row| Arc::new(row) as AnyRow);
        self.state.change(TABLE, key, before, after);
        match row {
            Some(row) => self.now.insert(key, row),
            None => self.now.remove(key),
        };
    }

    /// What is known of a row, else what is committed.
    fn cell(&mut self, key: &'static str) -> Cell {
        if let Some((cell, _)) = self.state.known(TABLE, key) {
            return cell;
        }
        let row = self.committed.get(key).cloned();
        let cell = row.map(|row| Arc::new(row) as AnyRow);
        self.state.learn(TABLE, key, cell.clone());
        cell
    }

    /// Writes the rows of a group: each once, and all of them together are what was done.
    fn commit(&mut self, group: &Group, rows: &Rows) {
        let mut seen = Vec::new();
        for Changed { key, row, .. } in group.rows() {
            assert!(!seen.contains(key), "{key} is written twice");
            seen.push(Arc::clone(key));
            let Some(key) = KEYS.into_iter().find(|known| **known == **key) else {
                continue;
            };
            match row.clone() {
                Some(row) => self
                    .committed
                    .insert(key, String::clone(&typed(row).unwrap())),
                None => self.committed.remove(key),
            };
        }
        assert_eq!(&self.committed, rows);
        self.state.landed();
    }

    fn look(&mut self) {
        for key in KEYS {
            let cell = self
                .cell(key)
                .map(|row| String::clone(&typed(row).unwrap()));
            assert_eq!(cell.as_ref(), self.now.get(key), "{key}");
            let (_, is_committed) = self.state.known(TABLE, key).unwrap();
            let is_same = self.now.get(key) == self.committed.get(key);
            assert!(is_same || !is_committed, "{key} is not committed");
        }
    }
}

proptest! {
    #[test]
    fn what_is_known_and_what_is_written_are_what_was_done(steps in prop::collection::vec(step(), 1..60)) {
        let mut world = World::new();
        for step in steps {
            world.take(step);
        }
        world.take(Step::Land);
        world.take(Step::TakeOff);
        world.take(Step::Land);
        prop_assert!(!world.state.is_uncommitted());
        prop_assert_eq!(&world.committed, &world.now);
    }
}

#[test]
fn rows_are_handed_over_once_and_as_they_are_last() {
    let mut world = World::new();
    world.take(Step::Change(0, Some(1)));
    world.take(Step::Change(0, Some(2)));
    world.take(Step::Change(1, None));
    assert!(world.state.made(4).is_none());
    let (flight, rows) = world.state.made(3).unwrap();
    let texts = |rows: Vec<(TableId, AnyRow)>| -> Vec<String> {
        let rows = rows.into_iter();
        rows.map(|(_, row)| String::clone(&typed(row).unwrap()))
            .collect()
    };
    assert_eq!((flight, texts(rows)), (1, vec!["2".to_owned()]));
    world.take(Step::Change(2, Some(3)));
    let (_, rows) = world.state.made(1).unwrap();
    assert_eq!(texts(rows), ["3"]);
    world.take(Step::TakeOff);
    assert!(world.state.made(1).is_none());
    world.take(Step::Change(0, Some(4)));
    assert_eq!(world.state.made(1).unwrap().0, 2);
}
