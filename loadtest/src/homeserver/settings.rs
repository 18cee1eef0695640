//! What a stub homeserver is started with.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

/// How to start a stub homeserver: the same values as in the registration of the application service.
#[derive(Clone)]
pub struct HomeserverSettings {
    /// Where it listens; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The domain of its Matrix IDs.
    pub server_name: String,
    /// Where the application service takes transactions: `url` of the registration.
    pub appservice: String,
    /// The token that the application service shows: `as_token`.
    pub as_token: String,
    /// The token that it is shown: `hs_token`.
    pub hs_token: String,
    /// The localpart of its bot: `sender_localpart`.
    pub bot: String,
    /// What the localparts of its other users begin with.
    pub ghost_prefix: String,
    /// The most events of one transaction; Synapse takes 100.
    pub batch: usize,
    /// The pause after a transaction that failed; it doubles up to 60 times that.
    pub retry: Duration,
    /// The number of the first transaction. Homeservers start again from 1 after some restarts.
    pub first_transaction: u64,
    /// The file that it goes on from and that keeps what happens; none forgets all at its end.
    pub journal: Option<PathBuf>,
    /// The latest events that a room keeps.
    pub timeline: usize,
    /// Decides which requests a fault with a percentage hits.
    pub seed: u64,
}

impl Default for HomeserverSettings {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            server_name: "example.org".to_owned(),
            appservice: "http://127.0.0.1:29333".to_owned(),
            as_token: String::new(),
            hs_token: String::new(),
            bot: "sms".to_owned(),
            ghost_prefix: ".tel.".to_owned(),
            batch: 100,
            retry: Duration::from_secs(1),
            first_transaction: 1,
            journal: None,
            timeline: 200,
            seed: 1,
        }
    }
}

impl std::fmt::Debug for HomeserverSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HomeserverSettings")
            .field("listen", &self.listen)
            .field("server_name", &self.server_name)
            .field("appservice", &self.appservice)
            .finish_non_exhaustive()
    }
}
