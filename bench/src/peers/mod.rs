//! The ends to compare.

pub mod bare;
pub mod ours;
pub mod theirs;

use std::str::FromStr;
use std::sync::atomic::AtomicU64;

/// Requests answered, in the client's process.
pub static ANSWERED: AtomicU64 = AtomicU64::new(0);

/// Sender and receiver of every message.
pub const NUMBERS: [&str; 2] = ["447700900123", "447700900456"];

/// The text of every message: 140 octets.
pub const TEXT: &[u8; 140] = b"A text as long as one segment with eight-bit characters can be: one hundred and forty octets, the size that most of the traffic comes close.";

/// What the server calls every message.
pub const MESSAGE_ID: &str = "0123456789abcdef";

/// Who speaks at an end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    /// This project.
    Ours,
    /// The crate `smpp34`.
    Smpp34,
    /// A bare loop over the socket with PDUs encoded beforehand: what loopback and runtime cost.
    Bare,
}

impl Peer {
    /// Its name in arguments and tables.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ours => "matrix-smpp",
            Self::Smpp34 => "smpp34",
            Self::Bare => "bare",
        }
    }

    /// Listens on a free port, which `started` is told, and serves until the process ends.
    pub async fn serve(self, started: impl FnOnce(u16) + Send) {
        match self {
            Self::Ours => ours::serve(started).await,
            Self::Smpp34 => theirs::serve(started).await,
            Self::Bare => bare::serve(started).await,
        }
    }

    /// Keeps `window` requests in flight until the process ends.
    pub async fn drive(self, port: u16, window: usize) {
        match self {
            Self::Ours => ours::drive(port, window).await,
            Self::Smpp34 => theirs::drive(port, window).await,
            Self::Bare => bare::drive(port, window).await,
        }
    }
}

impl FromStr for Peer {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let all = [Self::Ours, Self::Smpp34, Self::Bare];
        let found = all.into_iter().find(|peer| peer.name() == name);
        found.ok_or_else(|| format!("no such peer: {name}"))
    }
}
