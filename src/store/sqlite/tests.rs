//! What the log promises, beyond what every base does.

pub(in crate::store) mod faulty;
mod log;
mod rows;

use std::time::Duration;

use tempfile::TempDir;

use self::faulty::{Faults, Faulty};
use super::record::{HEAD, Head};
use super::unapplied::Size;
use super::*;

const FILE: &str = "gateway.db";

impl Sqlite {
    /// Opens a store whose logs change places at every opportunity.
    pub(in crate::store) fn open_restless(path: &Path) -> Result<Self> {
        let limits = Limits {
            worth: Size { rows: 1, octets: 1 },
            full: Size {
                rows: 40,
                octets: 16 * 1024,
            },
            ..Limits::default()
        };
        Self::open_with(path, limits, |file| Box::new(file))
    }

    /// Opens a store whose logs fail as they are told.
    pub(in crate::store) fn open_faulty(path: &Path, faults: &Arc<Faults>) -> Result<Self> {
        Self::open_with(path, patient(), |file| {
            Box::new(Faulty::new(file, Arc::clone(faults)))
        })
    }
}

impl Shelf {
    /// How much is not applied.
    fn size(&self) -> Size {
        let sizes = self.sizes();
        Size {
            rows: sizes.iter().map(|size| size.rows).sum(),
            octets: sizes.iter().map(|size| size.octets).sum(),
        }
    }
}

/// Nothing is applied but on demand.
fn patient() -> Limits {
    Limits {
        lag: Duration::from_hours(1),
        ..Limits::default()
    }
}

fn file(folder: &TempDir) -> PathBuf {
    folder.path().join(FILE)
}

fn open(folder: &TempDir) -> Sqlite {
    Sqlite::open_with(&file(folder), patient(), |file| Box::new(file)).unwrap()
}

fn put(key: &str, value: &str) -> Write {
    Write {
        table: TableId::Meta,
        key: key.into(),
        value: Some(value.as_bytes().to_vec()),
    }
}

fn delete(key: &str) -> Write {
    Write {
        table: TableId::Meta,
        key: key.into(),
        value: None,
    }
}

fn value(store: &mut Sqlite, key: &str) -> Option<String> {
    let found = store.get(&[(TableId::Meta, key)]).unwrap().pop().unwrap();
    found.map(|octets| String::from_utf8(octets).unwrap())
}
