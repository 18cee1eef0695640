//! In a redis-server, which syncs whatever it answers.

mod hands;

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::*;
use crate::store::redis::Settings;
use crate::store::redis::tests::{Server, settings_for};

/// A store under a prefix of its own.
#[derive(Debug)]
struct Redis {
    server: Arc<Server>,
    prefix: String,
}

impl Default for Redis {
    fn default() -> Self {
        Self {
            server: Arc::new(Server::start()),
            prefix: "first".to_owned(),
        }
    }
}

impl Engine for Redis {
    fn open(&self) -> Arc<dyn Store> {
        let settings = settings_for(&self.server, &self.prefix);
        TableStore::open_redis(settings, DAY).unwrap()
    }

    fn another(&self) -> Box<dyn Engine> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        Box::new(Self {
            server: Arc::clone(&self.server),
            prefix: format!("another-{}", NUMBER.fetch_add(1, Ordering::Relaxed)),
        })
    }
}

suite!(Redis);

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_store_is_anothers_at_once() {
    let engine = Redis::default();
    let held = engine.open();
    held.close().await;
    let hasty = Settings {
        patience: Some(Duration::ZERO),
        ..settings_for(&engine.server, &engine.prefix)
    };
    TableStore::open_redis(hasty, DAY).unwrap();
}
