//! The thread that writes rows as octets before they are committed: while one group is in flight, those that
//! the next one has changed so far. Whatever it has not done by then the committer does itself.

use std::collections::BTreeMap;
use std::sync::mpsc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use foldhash::HashMap;

use crate::store::base::Octets;
use crate::store::state::FlightNumber;
use crate::store::table::AnyRow;
use crate::store::tables::TableId;
use crate::store::{Result, StoreError};

/// Rows that are worth waking the thread for.
pub(super) const BATCH: usize = 128;

/// Rows that a group has changed.
type Rows = Vec<(TableId, AnyRow)>;

/// The way to the thread, which ends when this is dropped.
#[derive(Debug)]
pub(super) struct Encoder {
    batches: Option<mpsc::Sender<(FlightNumber, Rows)>>,
    thread: Option<JoinHandle<()>>,
}

impl Encoder {
    /// Starts the thread; what it does comes to `ready`.
    pub(super) fn start(ready: Arc<Ready>) -> Result<Self> {
        let (batches, queue) = mpsc::channel();
        let thread = std::thread::Builder::new()
            .name("store-encode".to_owned())
            .spawn(move || work(&queue, &ready))
            .map_err(|error| StoreError::Unavailable(error.to_string()))?;
        Ok(Self {
            batches: Some(batches),
            thread: Some(thread),
        })
    }

    /// Has rows written as octets that this flight will commit.
    pub(super) fn hand_over(&self, flight: FlightNumber, rows: Rows) {
        if let Some(batches) = &self.batches {
            // Without the thread the committer does it all.
            drop(batches.send((flight, rows)));
        }
    }
}

impl Drop for Encoder {
    fn drop(&mut self) {
        drop(self.batches.take());
        if let Some(thread) = self.thread.take() {
            // Nobody waits for what it did.
            drop(thread.join());
        }
    }
}

fn work(queue: &mpsc::Receiver<(FlightNumber, Rows)>, ready: &Ready) {
    while let Ok((flight, rows)) = queue.recv() {
        if ready.is_wanted(flight) {
            ready.add(flight, rows);
        }
    }
}

/// Rows that were written as octets before their flight.
#[derive(Debug, Default)]
pub(super) struct Ready(Mutex<Stock>);

#[derive(Debug, Default)]
struct Stock {
    /// The last flight that has taken what there was.
    taken: FlightNumber,
    flights: BTreeMap<FlightNumber, Written>,
}

/// Rows with their octets, by where they lie in memory: each is held, so that no other can lie there.
#[derive(Debug, Default)]
pub(super) struct Written(HashMap<usize, (AnyRow, Octets)>);

impl Ready {
    fn stock(&self) -> MutexGuard<'_, Stock> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_wanted(&self, flight: FlightNumber) -> bool {
        flight > self.stock().taken
    }

    fn add(&self, flight: FlightNumber, rows: Rows) {
        let written = rows.into_iter().filter_map(|(table, row)| {
            // What cannot be written is told to whoever commits it.
            let octets = (table.kind().encode)(&row).ok()?;
            Some((place(&row), (row, octets)))
        });
        let written: Vec<_> = written.collect();
        let mut stock = self.stock();
        if flight > stock.taken {
            stock.flights.entry(flight).or_default().0.extend(written);
        }
    }

    /// What is ready of a flight, which is about to be committed; of those before it, no more is kept.
    pub(super) fn take(&self, flight: FlightNumber) -> Written {
        let mut stock = self.stock();
        stock.taken = flight;
        let later = stock.flights.split_off(&(flight + 1));
        let mut until = std::mem::replace(&mut stock.flights, later);
        until.remove(&flight).unwrap_or_default()
    }
}

impl Written {
    /// A row as octets, written now where it is not ready.
    pub(super) fn octets(&mut self, table: TableId, row: &AnyRow) -> Result<Octets> {
        match self.0.remove(&place(row)) {
            Some((_, octets)) => Ok(octets),
            None => (table.kind().encode)(row),
        }
    }
}

fn place(row: &AnyRow) -> usize {
    Arc::as_ptr(row).cast::<()>().addr()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(text: &str) -> AnyRow {
        Arc::new(text.to_owned())
    }

    fn rows(texts: &[&AnyRow]) -> Rows {
        let rows = texts.iter();
        rows.map(|row| (TableId::Meta, Arc::clone(row))).collect()
    }

    #[test]
    fn a_flight_takes_the_octets_of_its_own_rows_however_they_were_made() {
        let ready = Ready::default();
        let (one, same, later) = (row("one"), row("one"), row("later"));
        ready.add(1, rows(&[&one]));
        ready.add(2, rows(&[&later]));
        let mut written = ready.take(1);
        assert!(written.0.contains_key(&place(&one)));
        assert!(!written.0.contains_key(&place(&same)) && !written.0.contains_key(&place(&later)));
        let encoded = |row: &AnyRow| (TableId::Meta.kind().encode)(row).unwrap();
        for row in [&one, &same, &later] {
            assert_eq!(written.octets(TableId::Meta, row).unwrap(), encoded(row));
        }
        assert_eq!(ready.take(2).0.len(), 1);
    }

    #[test]
    fn what_is_ready_too_late_or_for_a_flight_that_never_was_is_not_kept() {
        let ready = Ready::default();
        ready.add(1, rows(&[&row("undone")]));
        assert!(ready.take(2).0.is_empty());
        ready.add(2, rows(&[&row("late")]));
        assert!(!ready.is_wanted(2) && ready.is_wanted(3));
        assert!(ready.stock().flights.is_empty());
    }
}
