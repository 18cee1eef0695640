//! How an answer is known to be still true without asking again.
//!
//! Rooms, conversations and dedicated numbers change seldom and are asked for with every message. Each
//! change of such a row moves the mark of its key; what was answered holds as long as the marks of all
//! rows that it was made of stand where they stood.
//!
//! The store's thread alone moves marks, at the moment at which it makes a change (or undoes it), thus
//! before anybody is told of it. An answer with its marks is made on the same thread, between two changes.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::tables::TableId;

/// How many there are. Two keys that share one cost a question too many, nothing else.
const MARKS: usize = 4096;

/// The mark of all dedicated numbers together.
const DEDICATED: &str = "dedicated";

/// The marks of all rows that are watched. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Marks(Arc<Shared>);

struct Shared {
    hasher: RandomState,
    marks: Box<[AtomicU64]>,
}

impl Default for Marks {
    fn default() -> Self {
        Self(Arc::new(Shared {
            hasher: RandomState::new(),
            marks: (0..MARKS).map(|_| AtomicU64::new(0)).collect(),
        }))
    }
}

impl fmt::Debug for Marks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Marks")
    }
}

impl Marks {
    fn at(&self, key: &str) -> Option<(usize, &AtomicU64)> {
        let place = self.0.hasher.hash_one(key) % MARKS as u64;
        let place = usize::try_from(place).ok()?;
        Some((place, self.0.marks.get(place)?))
    }

    /// A row was changed.
    pub(crate) fn moved(&self, table: TableId, key: &str) {
        let key = match table {
            TableId::Rooms | TableId::Portals | TableId::Conversations => key,
            TableId::Dedicated => DEDICATED,
            _ => return,
        };
        if let Some((_, mark)) = self.at(key) {
            mark.fetch_add(1, Ordering::AcqRel);
        }
    }

    /// Where the marks of these keys stand, of rooms and conversations.
    pub(crate) fn of<'a>(&self, keys: impl IntoIterator<Item = &'a str>) -> Stand {
        let marks = keys.into_iter().filter_map(|key| self.at(key));
        Stand {
            marks: self.clone(),
            stood: marks
                .map(|(place, mark)| (place, mark.load(Ordering::Acquire)))
                .collect(),
        }
    }

    /// Where the mark of the dedicated numbers stands.
    pub(crate) fn of_dedicated(&self) -> Stand {
        self.of([DEDICATED])
    }
}

/// Where marks stood when something was answered.
#[derive(Debug, Clone)]
pub(crate) struct Stand {
    marks: Marks,
    stood: Vec<(usize, u64)>,
}

impl Stand {
    /// Whether none has moved.
    pub(crate) fn holds(&self) -> bool {
        let marks = &self.marks.0.marks;
        self.stood.iter().all(|(place, stood)| {
            let mark = marks.get(*place);
            mark.is_some_and(|mark| mark.load(Ordering::Acquire) == *stood)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_holds_until_one_of_its_rows_is_changed() {
        let marks = Marks::default();
        let stand = || marks.of(["room", "000000000000001"]);
        let first = stand();
        marks.moved(TableId::Inbox, "room");
        assert!(first.holds());
        marks.moved(TableId::Rooms, "room");
        assert!(!first.holds());
        let second = stand();
        assert!(second.holds());
        marks.moved(TableId::Conversations, "000000000000001");
        assert!(!second.holds());
        assert!(stand().holds());
    }

    #[test]
    fn any_dedicated_number_moves_the_mark_of_all() {
        let marks = Marks::default();
        let stand = marks.of_dedicated();
        marks.moved(TableId::Dedicated, "447700900123");
        assert!(!stand.holds());
    }
}
