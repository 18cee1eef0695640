//! How many rows tables have. To count them anew takes as long as the history is, so the counts are kept
//! beside the rows, in one row of [`Meta`](super::tables::Meta) that each commit brings up to date
//! with whatever else it writes. A base that knows its counts at once is asked instead.

use std::sync::Arc;

use super::Result;
use super::base::{Base, Write};
use super::state::{Changed, State};
use super::table::typed;
use super::tables::TableId;

/// The name of the row.
const NAME: &str = "counts";

/// The tables of which that is asked, beside the live ones, whose rows are read at the start.
pub(crate) const COUNTED: [TableId; 13] = [
    TableId::Events,
    TableId::Ghosts,
    TableId::Rooms,
    TableId::OptOuts,
    TableId::Dedicated,
    TableId::EndedMessages,
    TableId::References,
    TableId::EndedSms,
    TableId::Copies,
    TableId::EndedSubmissions,
    TableId::OutboxKeys,
    TableId::Counters,
    TableId::Heard,
];

/// What is kept of the counts.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    /// As they are kept; `None` where nothing needs to be.
    kept: Option<String>,
    /// As they are kept after the commit that is under way, where that changes them.
    next: Option<String>,
}

/// Tells a new state what is kept, or counts where nothing is.
pub(crate) fn load(base: &mut dyn Base, state: &mut State) -> Result<()> {
    let kept = read(base)?;
    let is_remote = base.is_remote();
    if is_remote && kept.is_some() {
        // It came with a migration, and would be out of date after the next one.
        base.commit(&[Write {
            table: TableId::Meta,
            key: NAME.into(),
            value: None,
        }])?;
    }
    let kept = kept.filter(|_| !is_remote).unwrap_or_default();
    let known = |name: &str| {
        let mut words = kept.split(' ').filter_map(|word| word.split_once('='));
        words.find_map(|(table, count)| (table == name).then(|| count.parse().ok())?)
    };
    let mut counts = [0; COUNTED.len()];
    for (table, counted) in COUNTED.into_iter().zip(&mut counts) {
        *counted = match known(table.kind().name) {
            Some(count) => count,
            None => base.count(table)?,
        };
        state.set_count(table, *counted);
    }
    let kept = (!is_remote).then(|| text(&counts));
    state.keep_counts(Counts { kept, next: None });
    Ok(())
}

fn text(counts: &[u64]) -> String {
    let words = COUNTED.iter().zip(counts);
    let words = words.map(|(table, count)| format!("{}={count}", table.kind().name));
    words.collect::<Vec<_>>().join(" ")
}

fn read(base: &mut dyn Base) -> Result<Option<String>> {
    let octets = base.get(&[(TableId::Meta, NAME)])?.pop().flatten();
    let Some(octets) = octets else {
        return Ok(None);
    };
    let row = (TableId::Meta.kind().decode)(&octets)?;
    Ok(Some(String::clone(&*typed::<String>(row)?)))
}

impl Counts {
    /// The row, where it is to be changed to these counts of [`COUNTED`].
    pub(crate) fn take_off(&mut self, counts: &[u64]) -> Option<Changed> {
        self.next = None;
        let kept = self.kept.as_ref()?;
        let text = text(counts);
        if text == *kept {
            return None;
        }
        self.next = Some(text.clone());
        Some(Changed {
            table: TableId::Meta,
            key: NAME.into(),
            row: Some(Arc::new(text)),
        })
    }

    /// What took off is kept.
    pub(crate) fn landed(&mut self) {
        if let Some(next) = self.next.take() {
            self.kept = Some(next);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_row_is_written_when_a_count_has_changed_and_was_kept_only_after_a_commit() {
        let mut counts = Counts {
            kept: Some(String::new()),
            next: None,
        };
        let two = [2; COUNTED.len()];
        assert!(counts.take_off(&two).is_some());
        assert!(counts.take_off(&two).is_some(), "that commit failed");
        counts.landed();
        assert!(counts.take_off(&two).is_none());
        let three = [3; COUNTED.len()];
        assert!(counts.take_off(&three).is_some());
        assert!(counts.take_off(&two).is_none(), "undone");
        counts.landed();
        assert!(counts.take_off(&two).is_none());
    }

    #[test]
    fn a_base_that_knows_its_counts_is_left_alone() {
        let mut counts = Counts::default();
        assert!(counts.take_off(&[1; COUNTED.len()]).is_none());
    }
}
