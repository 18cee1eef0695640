//! Answers that are given later.

use matrix_smpp_codec::{Body, CommandStatus};

use crate::link::Link;

/// Where the answer to one request of the peer belongs. May be kept until what the request says is
/// safe, and used from any task; dropped, it leaves the request without an answer.
#[derive(Debug, Clone)]
#[must_use = "a request without an answer keeps its place in the peer's window"]
pub struct Reply {
    link: Link,
    epoch: u64,
    sequence: u32,
}

impl Reply {
    /// Answers. Where the session is gone the answer is dropped and counted: the peer sends the
    /// request again.
    pub fn send(self, status: CommandStatus, body: Body) {
        self.link.respond(self.sequence, self.epoch, status, body);
    }
}

impl Link {
    /// A handle for the answer to a request of the peer.
    pub fn reply(&self, sequence: u32, session_epoch: u64) -> Reply {
        Reply {
            link: self.clone(),
            epoch: session_epoch,
            sequence,
        }
    }
}
