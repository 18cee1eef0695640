//! Calls of our functions in Redis.

use redis::{Cmd, Value};

use crate::store::base::{Octets, Write};
use crate::store::tables::TableId;
use crate::store::{Result, StoreError};

/// A key of the store of this prefix. All of them share a hash tag.
pub(super) fn key(prefix: &str, name: &str) -> String {
    format!("{{{prefix}}}:{name}")
}

/// A call of one of the functions with the names of its keys; the arguments are to follow.
pub(super) fn function(prefix: &str, function: &str, keys: &[&str]) -> Cmd {
    let mut command = redis::cmd("FCALL");
    command
        .arg(format!("matrix_smpp_{function}_2"))
        .arg(keys.len());
    for name in keys {
        command.arg(key(prefix, name));
    }
    command
}

/// The writes of each table, with its name. Those of one table stand side by side.
pub(super) fn by_table(writes: &[Write]) -> Vec<(&'static str, &[Write])> {
    let of_tables = writes.chunk_by(|a, b| a.table == b.table);
    let named = of_tables.filter_map(|rows| Some((rows.first()?.table.kind().name, rows)));
    named.collect()
}

/// Adds a table's rows to a commit.
pub(super) fn add_rows(command: &mut Cmd, rows: &[Write]) {
    let is_sorted = rows.first().is_some_and(|row| row.table == TableId::Timers);
    let sets = rows.iter().filter(|row| row.value.is_some()).count();
    command
        .arg(if is_sorted { "sorted" } else { "hash" })
        .arg(2 * sets)
        .arg(rows.len() - sets);
    for row in rows {
        match &row.value {
            Some(_) if is_sorted => command.arg(0).arg(&*row.key),
            Some(octets) => command.arg(&*row.key).arg(&octets[..]),
            None => continue,
        };
    }
    for row in rows.iter().filter(|row| row.value.is_none()) {
        command.arg(&*row.key);
    }
}

/// The rows of each table in an answer.
pub(super) fn rows_of(answer: Value) -> Result<Vec<Vec<Option<Octets>>>> {
    redis::from_redis_value(answer).map_err(|error| StoreError::Corrupt(error.to_string()))
}
