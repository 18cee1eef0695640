//! The homeserver of a campaign: one that dies well, or a real one.

use std::path::Path;

use rustix::process::Signal;
use serde_json::json;

use crate::support::stub::Stub;
use crate::support::synapse::{SERVER, Synapse};
use crate::support::user::User;

/// Which homeserver plays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Stub,
    Synapse,
}

#[derive(Debug)]
pub(super) enum Homeserver {
    Stub(Stub),
    Synapse(Synapse),
}

impl Homeserver {
    pub(super) fn prepare(kind: Kind, home: &Path, appservice: &str) -> Self {
        match kind {
            Kind::Stub => Self::Stub(Stub::prepare(home, appservice)),
            Kind::Synapse => Self::Synapse(Synapse::prepare(home, SERVER)),
        }
    }

    pub(super) async fn start(&mut self, registration: &Path) {
        match self {
            Self::Stub(stub) => {
                stub.launch();
                stub.ready().await;
            }
            Self::Synapse(synapse) => synapse.start(Some(registration)).await,
        }
    }

    pub(super) async fn end(&mut self, signal: Signal) {
        match self {
            Self::Stub(stub) => stub.end(signal).await,
            Self::Synapse(synapse) => synapse.stop().await,
        }
    }

    /// From now on, until its end, it forgets what it was about to tell.
    pub(super) async fn forget(&self) {
        if let Self::Stub(stub) = self {
            let lose = json!([{ "on": "transactions", "lose": true }]);
            stub.go_wrong(&lose).await;
        }
    }

    pub(super) fn signal(&self, signal: Signal) {
        match self {
            Self::Stub(stub) => stub.signal(signal),
            Self::Synapse(synapse) => synapse.signal(signal),
        }
    }

    pub(super) fn port(&self) -> u16 {
        match self {
            Self::Stub(stub) => stub.port(),
            Self::Synapse(synapse) => synapse.port(),
        }
    }

    /// A new user.
    pub(super) async fn register(&self, name: &str) -> User {
        match self {
            Self::Stub(stub) => stub.register(name).await,
            Self::Synapse(synapse) => synapse.register(name).await,
        }
    }

    /// Whether it has told everything; one that cannot say so has.
    pub(super) async fn has_told_all(&self) -> bool {
        match self {
            Self::Stub(stub) => stub.owed().await == Some(0),
            Self::Synapse(_) => true,
        }
    }
}
