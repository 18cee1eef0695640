//! What an owner reads.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use redis::Value;

use super::{Redis, call};
use crate::store::Result;
use crate::store::base::{Octets, Page};
use crate::store::table::AnyRow;
use crate::store::tables::TableId;

impl Redis {
    /// Reads rows by their keys.
    pub(super) fn read(&mut self, keys: &[(TableId, &str)]) -> Result<Vec<Option<Octets>>> {
        let of_tables: Vec<_> = keys.chunk_by(|a, b| a.0 == b.0).collect();
        let tables = of_tables.iter().filter_map(|rows| rows.first());
        let mut names = vec!["commit"];
        names.extend(tables.map(|(table, _)| table.kind().name));
        let mut command = self.call("read", &names);
        let done = self.done.load(Ordering::Acquire);
        command.arg(&self.found).arg(&self.epoch).arg(done);
        for rows in of_tables {
            command.arg(rows.len());
            for (_, key) in rows {
                command.arg(*key);
            }
        }
        loop {
            match self.connector.query::<Value>(&command)? {
                Value::BulkString(_) => self.mend()?,
                rows => {
                    let rows = call::rows_of(rows)?;
                    return Ok(rows.into_iter().flatten().collect());
                }
            }
        }
    }

    /// A page of the timers, in order.
    pub(super) fn scan_timers(&mut self, from: Option<&str>, limit: usize) -> Result<Page> {
        let mut command = redis::cmd("ZRANGEBYLEX");
        command
            .arg(self.table(TableId::Timers))
            .arg(from.map_or_else(|| "-".to_owned(), |from| format!("({from}")))
            .arg("+")
            .arg("LIMIT")
            .arg(0)
            .arg(limit);
        let keys: Vec<String> = self.connector.query(&command)?;
        let next = keys.last().filter(|_| keys.len() == limit).cloned();
        let row: AnyRow = Arc::new(());
        let octets = (TableId::Timers.kind().encode)(&row)?;
        let rows = keys.into_iter().map(|key| (key, octets.clone())).collect();
        Ok(Page { rows, next })
    }
}
