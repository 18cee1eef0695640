//! The routing that holds now. It may be another one for the next message.

use std::sync::{Arc, PoisonError, RwLock};

use matrix_smpp_config::Routing;

/// Where texts go, and whose the numbers are; changes as a whole.
#[derive(Debug)]
pub struct Current(RwLock<Arc<Routing>>);

impl Current {
    /// As it is now. A decision is made on one of these, whatever comes meanwhile.
    #[must_use]
    pub fn get(&self) -> Arc<Routing> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// From now on this one; gives the one before it.
    pub fn set(&self, routing: Routing) -> Arc<Routing> {
        let mut current = self.0.write().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *current, Arc::new(routing))
    }
}

impl From<Routing> for Current {
    fn from(routing: Routing) -> Self {
        Self(RwLock::new(Arc::new(routing)))
    }
}
