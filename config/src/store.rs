//! `[store]`: where messages, leases and accounts are kept.

use std::path::PathBuf;

use crate::section::{section, words};

words! {
    /// What keeps the data.
    pub enum Engine {
        /// An SQLite database in one file.
        Sqlite = "sqlite",
    }
}

section! {
    /// The store of messages, leases and accounts.
    pub struct Store, raw RawStore {
        /// What keeps the data: "sqlite" is one file, and needs no server.
        engine: Engine = default("\"sqlite\"");
        /// The file of the database. By default `gateway.db` in `data_dir`.
        path: PathBuf = derived("\"/var/lib/matrix-smpp/gateway.db\"");
    }
}
