//! One bell for each link group, rung when segments or receipts wait for it.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use tokio::sync::Notify;

/// The bells of all link groups. Accounts that bind to us may come later. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Bells(Arc<RwLock<HashMap<String, Bell>>>);

#[derive(Debug, Clone, Default)]
struct Bell {
    bell: Arc<Notify>,
    is_account: bool,
}

impl Bells {
    /// Bells for these.
    pub fn new<'a>(groups: impl Iterator<Item = &'a str>) -> Self {
        let bells = groups.map(|name| (name.to_owned(), Bell::default()));
        Self(Arc::new(RwLock::new(bells.collect())))
    }

    fn read(&self) -> RwLockReadGuard<'_, HashMap<String, Bell>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// An account that may bind to us; it may have a bell already.
    pub fn add_account(&self, name: &str) {
        let mut bells = self.0.write().unwrap_or_else(PoisonError::into_inner);
        bells.entry(name.to_owned()).or_default().is_account = true;
    }

    /// The bell of one.
    #[must_use]
    pub fn of(&self, name: &str) -> Option<Arc<Notify>> {
        self.read().get(name).map(|one| Arc::clone(&one.bell))
    }

    /// Rings one.
    pub fn ring(&self, name: &str) {
        if let Some(one) = self.read().get(name) {
            one.bell.notify_one();
        }
    }

    /// Rings all.
    pub fn ring_all(&self) {
        self.read().values().for_each(|one| one.bell.notify_one());
    }

    /// Rings those of accounts that bind to us.
    pub fn ring_accounts(&self) {
        let bells = self.read();
        let accounts = bells.values().filter(|one| one.is_account);
        accounts.for_each(|one| one.bell.notify_one());
    }
}
