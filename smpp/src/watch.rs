//! How a listener is doing.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;

use crate::places::Places;
use crate::refused::{Refusal, Refused};

/// How a listener is doing. Clones are the same.
#[derive(Debug, Clone)]
pub struct ListenerWatch(pub(crate) Arc<Watched>);

#[derive(Debug)]
pub(crate) struct Watched {
    pub(crate) places: Places,
    pub(crate) refused: Refused,
    accepts: AtomicBool,
}

/// How many connections a listener has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Connections {
    /// Those that have not bound.
    pub unbound: usize,
    /// All others.
    pub bound: usize,
}

impl ListenerWatch {
    pub(crate) fn new(places: Places) -> Self {
        Self(Arc::new(Watched {
            places,
            refused: Refused::default(),
            accepts: AtomicBool::new(false),
        }))
    }

    /// Whether [`Listener::serve`](crate::Listener::serve) runs and the system gave it no error for the last connection.
    #[must_use]
    pub fn accepts(&self) -> bool {
        self.0.accepts.load(Relaxed)
    }

    /// How many connections there are, at one moment.
    #[must_use]
    pub fn connections(&self) -> Connections {
        let (unbound, all) = self.0.places.count();
        Connections {
            unbound,
            bound: all.saturating_sub(unbound),
        }
    }

    /// How many connections came to nothing for this reason. Refused binds are counted by whoever
    /// refuses them: [`Accounts::refused`](crate::Accounts::refused).
    #[must_use]
    pub fn refused(&self, reason: Refusal) -> u64 {
        self.0.refused.get(reason)
    }

    pub(crate) fn set_accepts(&self, accepts: bool) {
        self.0.accepts.store(accepts, Relaxed);
    }
}

/// The listener accepts no more when this is dropped.
pub(crate) struct Accepting(pub(crate) ListenerWatch);

impl Drop for Accepting {
    fn drop(&mut self) {
        self.0.set_accepts(false);
    }
}
