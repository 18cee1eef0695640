//! `adapt.*`: how the pace of a session follows what its peer can take.

use std::time::Duration;

use crate::check::{lasts, within};
use crate::read::{FromToml, Node};
use crate::section::{Section, section};

section! {
    /// How window and rate follow what the peer can take, never above those of the contract.
    pub struct Adapt, raw RawAdapt {
        /// False keeps to the window and the rate whatever the peer answers.
        enabled: bool = default("true");
        /// The share of window and rate that they never fall below, in percent. 1 to 100.
        floor_percent: u8 = default("5"), check within(1..=100);
        /// How long the way back up takes from nothing to the whole. 1s to 1h.
        recovery: Duration = default("\"30s\""), check lasts("1s", "1h");
        /// How long nothing is sent after the peer throttled or its queue was full; it doubles with
        /// each such answer. 10ms to 10m.
        pause: Duration = default("\"500ms\""), check lasts("10ms", "10m");
        /// The longest such pause. 10ms to 1h.
        longest_pause: Duration = default("\"30s\""), check lasts("10ms", "1h");
        /// The window shrinks where answers take longer than twice the usual time by so much. "0s"
        /// leaves it as it is. 0s to 10m.
        slower_by: Duration = default("\"500ms\""), check lasts("0s", "10m");
    }
}

impl FromToml for Adapt {
    fn from_toml(node: &Node<'_>) -> Option<Self> {
        let raw: RawAdapt = node.table("a table, e.g. { enabled = false }")?.section();
        if let (Some(pause), Some(longest)) = (raw.pause, raw.longest_pause)
            && longest < pause
        {
            return node.wrong("has a longest_pause below its pause; write a longer time");
        }
        raw.checked()
    }
}
