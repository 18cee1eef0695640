//! In a file.

use tempfile::TempDir;

use super::*;

/// A store in a directory of its own.
#[derive(Debug)]
struct Sqlite {
    directory: TempDir,
}

impl Default for Sqlite {
    fn default() -> Self {
        Self {
            directory: tempfile::tempdir().unwrap(),
        }
    }
}

impl Engine for Sqlite {
    fn open(&self) -> Arc<dyn Store> {
        TableStore::open_sqlite(self.directory.path().join("gateway.db"), DAY).unwrap()
    }

    fn another(&self) -> Box<dyn Engine> {
        Box::new(Self::default())
    }
}

suite!(Sqlite);
