//! Reads what is unfinished at the start.

use std::collections::{HashSet, VecDeque};
use std::panic::resume_unwind;

use tracing::error;

use crate::store::base::{Base, Octets};
use crate::store::counts;
use crate::store::state::State;
use crate::store::table::AnyRow;
use crate::store::tables::TableId;
use crate::store::{Result, StoreError};

/// Rows read at once.
const PAGE: usize = 4_000;
/// Pages that are decoded at a time.
const DECODERS: usize = 3;

/// Reads the live tables, for the indexes. A row that cannot be read is told and stays where it is;
/// gives how many there are, by table.
pub(super) fn load(base: &mut dyn Base) -> Result<(State, Vec<(&'static str, u64)>)> {
    let mut state = State::new();
    counts::load(base, &mut state)?;
    let mut unreadable = Vec::new();
    for table in TableId::ALL.iter().filter(|table| table.kind().live) {
        let left_out = load_table(base, &mut state, *table)?;
        if left_out > 0 {
            unreadable.push((table.kind().name, left_out));
        }
    }
    Ok((state, unreadable))
}

/// Reads a live table; gives how many rows cannot be read. Rows are decoded beside the reading: that is
/// what takes long where a million of them wait.
fn load_table(base: &mut dyn Base, state: &mut State, table: TableId) -> Result<u64> {
    let (mut count, mut unreadable) = (0, 0);
    let mut take_in = |rows: Vec<Decoded>| {
        for (key, row) in rows {
            count += 1;
            match row {
                Ok(row) => (table.kind().index)(&mut state.indexes, &key, None, Some(&row)),
                Err(reason) => {
                    error!(table = table.kind().name, key, %reason, "a row is left out");
                    unreadable += 1;
                }
            }
        }
    };
    // A row may come in several pages.
    let mut seen = HashSet::new();
    std::thread::scope(|scope| {
        let mut decoding = VecDeque::new();
        let mut from = None;
        loop {
            let mut page = base.scan(table, from.as_deref(), PAGE)?;
            if base.is_remote() {
                page.rows.retain(|(key, _)| seen.insert(key.clone()));
            }
            decoding.push_back(scope.spawn(move || decode(table, page.rows)));
            from = page.next;
            while decoding.len() > DECODERS || from.is_none() {
                let Some(decoded) = decoding.pop_front() else {
                    return Ok::<(), StoreError>(());
                };
                take_in(decoded.join().unwrap_or_else(|panic| resume_unwind(panic)));
            }
        }
    })?;
    state.set_count(table, count);
    Ok(unreadable)
}

/// A row with its key, or why it cannot be read.
type Decoded = (String, Result<AnyRow>);

fn decode(table: TableId, rows: Vec<(String, Octets)>) -> Vec<Decoded> {
    let rows = rows.into_iter();
    rows.map(|(key, octets)| (key, (table.kind().decode)(&octets)))
        .collect()
}
