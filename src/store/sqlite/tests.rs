//! The conformance suite, and what only this engine promises.

use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;

use super::*;
use crate::store::conformance::{Engine, suite};

const DAY: Duration = Duration::from_secs(24 * 3600);

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
        SqliteStore::open(self.directory.path().join("gateway.db"), DAY).unwrap()
    }

    fn another(&self) -> Box<dyn Engine> {
        Box::new(Self::default())
    }
}

suite!(Sqlite);
