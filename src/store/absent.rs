//! Which keys some tables surely do not have, known without a look at the base.
//!
//! Most of what comes is new, and yet each must be looked for: an event of a homeserver, an SMS, an entry
//! of the outbox. With Redis that is a journey for which a homeserver's transaction waits, with SQLite a
//! search in a file that grows. So all keys of these tables are noted as bits of one
//! field (a Bloom filter): one that is not noted is not there. One that is noted may be there, and is looked for.
//!
//! What the tables had at the start is noted page by page while there is little to do; until a table has been
//! gone through, nothing is said of it. What is made or changed meanwhile is noted as it is. Keys stay noted when
//! their rows are gone: then they are looked for in vain, as they were before.

use xxhash_rust::xxh3::xxh3_128_with_seed;

use super::Result;
use super::base::Base;
use super::state::State;
use super::tables::TableId;

/// The tables, none of which has so many rows of its own that its keys would fill the field for the others.
const TABLES: [TableId; 3] = [TableId::Events, TableId::Copies, TableId::OutboxKeys];

/// Bits of the field: 16 MiB, of which what is never noted takes no memory. With ten million keys one in forty of
/// those that are not there is looked for.
const BITS: u64 = 1 << 27;
/// Bits that lie side by side in memory: those of a key are in one such line.
const LINE: u64 = 512;
/// Bits of a key.
const PROBES: u64 = 4;
/// Rows that are gone through at a time.
const PAGE: usize = 500;

/// See the module.
#[derive(Debug)]
pub(crate) struct Absent {
    field: Vec<u64>,
    /// How far each of [`TABLES`] has been gone through.
    gone_through: [Place; TABLES.len()],
}

/// How far a table has been gone through.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    From(Option<String>),
    Done,
}

impl Absent {
    /// Says nothing of any table yet.
    pub(crate) fn new() -> Self {
        let words = usize::try_from(BITS / 64).unwrap_or(0);
        Self {
            field: vec![0; words],
            gone_through: [const { Place::From(None) }; TABLES.len()],
        }
    }

    /// A table has this key from now on, or had it.
    pub(crate) fn note(&mut self, table: TableId, key: &str) {
        if !TABLES.contains(&table) {
            return;
        }
        for bit in bits(table, key) {
            if let Some(word) = self.field.get_mut(word_of(bit)) {
                *word |= mask_of(bit);
            }
        }
    }

    /// True where a table surely has no such key.
    pub(crate) fn is_sure(&self, table: TableId, key: &str) -> bool {
        let place = TABLES.iter().position(|one| *one == table);
        let place = place.and_then(|place| self.gone_through.get(place));
        let is_noted = |bit| {
            let word = self.field.get(word_of(bit));
            word.is_none_or(|word| word & mask_of(bit) != 0)
        };
        place == Some(&Place::Done) && !bits(table, key).all(is_noted)
    }

    /// The first table that has not been gone through, and from where it is.
    fn next(&mut self) -> Option<(TableId, &mut Place)> {
        let mut places = TABLES.into_iter().zip(&mut self.gone_through);
        places.find(|(_, place)| **place != Place::Done)
    }

    /// Whether there is a table to go through.
    pub(crate) fn is_behind(&self) -> bool {
        self.gone_through.iter().any(|place| *place != Place::Done)
    }
}

/// Notes some more of what the tables had at the start.
pub(crate) fn go_through(base: &mut dyn Base, state: &mut State) -> Result<()> {
    let Some((table, place)) = state.absent.next() else {
        return Ok(());
    };
    let Place::From(from) = &*place else {
        return Ok(());
    };
    let page = base.scan(table, from.as_deref(), PAGE)?;
    *place = page
        .next
        .map_or(Place::Done, |next| Place::From(Some(next)));
    for (key, _) in &page.rows {
        state.absent.note(table, key);
    }
    Ok(())
}

fn bits(table: TableId, key: &str) -> impl Iterator<Item = u64> {
    let seed = u64::try_from(table.place()).unwrap_or(0);
    let hash = xxh3_128_with_seed(key.as_bytes(), seed);
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the two halves of the hash"
    )]
    let (line, within) = (hash as u64 % (BITS / LINE), (hash >> 64) as u64);
    (0..PROBES).map(move |probe| line * LINE + (within >> (probe * 9)) % LINE)
}

fn word_of(bit: u64) -> usize {
    usize::try_from(bit / 64).unwrap_or(usize::MAX)
}

const fn mask_of(bit: u64) -> u64 {
    1 << (bit % 64)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::store::base::Write;
    use crate::store::memory::Memory;

    fn done() -> Absent {
        Absent {
            gone_through: [const { Place::Done }; TABLES.len()],
            ..Absent::new()
        }
    }

    #[test]
    fn what_was_noted_is_never_said_to_be_absent_and_most_else_is() {
        let mut absent = done();
        let key = |number: u32| format!("example.org|${number}");
        for number in 0..100_000 {
            absent.note(TableId::Events, &key(number));
        }
        assert!((0..100_000).all(|number| !absent.is_sure(TableId::Events, &key(number))));
        let doubtful =
            (100_000..200_000).filter(|number| !absent.is_sure(TableId::Events, &key(*number)));
        assert!(doubtful.count() < 10);
        // Each table has keys of its own.
        let others = (0..100_000).filter(|number| !absent.is_sure(TableId::Copies, &key(*number)));
        assert!(others.count() < 10);
    }

    #[test]
    fn nothing_is_said_of_a_table_that_was_not_gone_through_or_is_none_of_these() {
        let absent = Absent::new();
        assert!(absent.is_behind() && !absent.is_sure(TableId::Events, "new"));
        assert!(!done().is_behind() && done().is_sure(TableId::Events, "new"));
        assert!(!done().is_sure(TableId::Accounts, "new"));
    }

    #[test]
    fn what_is_made_is_noted() {
        let mut state = State::new();
        state.absent = done();
        state.change(TableId::Events, "made", None, Some(Arc::new(())));
        state.add(TableId::Copies, "added", Arc::new(()));
        assert!(!state.absent.is_sure(TableId::Events, "made"));
        assert!(!state.absent.is_sure(TableId::Copies, "added"));
    }

    #[test]
    fn what_a_table_had_at_the_start_is_noted_page_by_page() {
        let mut memory = Memory::default();
        let writes: Vec<Write> = (0..3 * PAGE)
            .map(|number| Write {
                table: TableId::Events,
                key: format!("key {number}").into(),
                value: Some(Vec::new()),
            })
            .collect();
        memory.commit(&writes).unwrap();
        let mut state = State::new();
        let mut pages = 0;
        while state.absent.is_behind() {
            go_through(&mut memory, &mut state).unwrap();
            pages += 1;
            assert!(pages < 20);
        }
        assert!(pages >= 3);
        let absent = &state.absent;
        assert!(
            writes
                .iter()
                .all(|write| !absent.is_sure(TableId::Events, &write.key))
        );
        assert!(absent.is_sure(TableId::Events, "another"));
    }
}
