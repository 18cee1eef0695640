//! Several gateways on one Redis: one after the other loses it for longer than it owns the store, and
//! comes back when another one works.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use matrix_smpp_config::Money;
use ruma::OwnedUserId;
use tempfile::TempDir;

use super::*;
use crate::gateway::model::Timestamp;
use crate::store::conformance::model;
use crate::store::redis::Place;

/// Gateways, each with a way to Redis of its own.
struct Gateways {
    server: Server,
    ways: TempDir,
    /// How many stores there were, and how many gateways.
    stores: usize,
    count: usize,
}

impl Gateways {
    fn new() -> Self {
        Self {
            server: Server::start(),
            ways: tempfile::tempdir().unwrap(),
            stores: 0,
            count: 0,
        }
    }

    /// The way of the latest gateway.
    fn way(&self) -> PathBuf {
        self.ways.path().join(self.count.to_string())
    }

    /// The socket itself.
    fn socket(&self) -> PathBuf {
        let url = self.server.url();
        Path::new(url.strip_prefix("unix://").unwrap()).to_owned()
    }

    /// A gateway that opens the store, once nobody else owns it.
    fn open(&mut self) -> Arc<dyn Store> {
        self.count += 1;
        let way = self.way();
        symlink(self.socket(), &way).unwrap();
        let mut settings = settings_for(&self.server, &format!("store-{}", self.stores));
        settings.place = Place::Standalone(format!("unix://{}", way.display()));
        TableStore::open_redis(settings, DAY).unwrap()
    }

    /// The owner loses its way until another one has taken over; then it finds it again and may do
    /// nothing more.
    async fn take_over(&mut self, from: Arc<dyn Store>) -> Arc<dyn Store> {
        let lost = self.way();
        std::fs::remove_file(&lost).unwrap();
        self.server.command(&["CLIENT", "KILL", "TYPE", "normal"]);
        let next = self.open();
        symlink(self.socket(), &lost).unwrap();
        let alice = OwnedUserId::try_from("@alice:example.org").unwrap();
        let money = Money::from_micros(1).unwrap();
        let late = from.top_up(&alice, money, "late", Timestamp(1)).await;
        assert!(late.is_err(), "it wrote to a store that is another's");
        next
    }
}

#[tokio::test]
async fn a_number_and_a_phone_are_one_conversations_whoever_owns_the_store() {
    let gateways = std::cell::RefCell::new(Gateways::new());
    let open = || {
        let mut gateways = gateways.borrow_mut();
        gateways.stores += 1;
        gateways.open()
    };
    #[expect(clippy::await_holding_refcell_ref, reason = "one after the other")]
    let take_over = async |from| gateways.borrow_mut().take_over(from).await;
    model::money_and_leases_hold_whoever_owns_the_store(open, take_over).await;
    let gateways = gateways.into_inner();
    eprintln!("{} stores, {} gateways", gateways.stores, gateways.count);
}
