//! What a link has counted since it was made, for the gateway's metrics.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use matrix_smpp_codec::CommandId;

/// Commands of one block.
const ROWS: usize = 4;

/// Blocks of commands that are used together.
const BLOCKS: usize = 4;

/// The directions and kinds of a command's counters.
const KINDS: usize = 4;

/// Requests and responses, received and sent, of a few commands.
type Block = [AtomicU64; ROWS * KINDS];

/// Counters of one link over all its sessions, or of one accepted session. They only grow.
///
/// A block exists once one of its commands was seen: there may be many sessions at rest.
#[derive(Debug, Default)]
pub struct Counters {
    pdus: [OnceLock<Box<Block>>; BLOCKS],
    /// Octets read from the peer.
    pub bytes_in: AtomicU64,
    /// Octets handed to the socket.
    pub bytes_out: AtomicU64,
    /// PDUs whose body could not be read.
    pub malformed: AtomicU64,
    /// Responses that answered nothing: late, repeated, or for a request that we never sent.
    pub stray_responses: AtomicU64,
    /// Requests that were refused because the session was not in a state for them.
    pub wrong_state: AtomicU64,
    /// Requests that were refused because the peer exceeded its window or its rate.
    pub throttled: AtomicU64,
    /// Our requests that no answer came for within the response timer.
    pub timeouts: AtomicU64,
    /// Answers of ours that nobody waited for: the session that asked had gone, or had its answer.
    pub orphaned_answers: AtomicU64,
    /// Sessions that reached the bound state.
    pub binds: AtomicU64,
}

impl Counters {
    /// PDUs received, by command; unknown commands are counted together under any unknown id.
    #[must_use]
    pub fn pdus_in(&self, command: CommandId) -> u64 {
        self.read(INBOUND, command)
    }

    /// PDUs put on the wire, by command.
    #[must_use]
    pub fn pdus_out(&self, command: CommandId) -> u64 {
        self.read(OUTBOUND, command)
    }

    pub(crate) fn count_in(&self, command: CommandId) {
        self.count(INBOUND, command);
    }

    pub(crate) fn count_out(&self, command: CommandId) {
        self.count(OUTBOUND, command);
    }

    fn read(&self, direction: usize, command: CommandId) -> u64 {
        let (block, at) = place(command);
        let block = self.pdus.get(block).and_then(OnceLock::get);
        let counter = block.and_then(|block| block.get(at + direction));
        counter.map_or(0, |counter| counter.load(Relaxed))
    }

    #[inline]
    fn count(&self, direction: usize, command: CommandId) {
        let (block, at) = place(command);
        let block = self.pdus.get(block);
        let block = block.map(|block| block.get_or_init(Box::default));
        if let Some(counter) = block.and_then(|block| block.get(at + direction)) {
            bump(counter);
        }
    }
}

const INBOUND: usize = 0;
const OUTBOUND: usize = 2;

pub(crate) fn bump(counter: &AtomicU64) {
    counter.fetch_add(1, Relaxed);
}

pub(crate) fn add(counter: &AtomicU64, amount: usize) {
    counter.fetch_add(amount as u64, Relaxed);
}

/// The block of a command, and where in it its inbound counter stands: request and response side by
/// side, then the same for outbound. Computed, not searched for: this runs for every PDU.
const fn place(command: CommandId) -> (usize, usize) {
    const RESPONSE: u32 = 0x8000_0000;
    let is_response = command.0 & RESPONSE != 0;
    let (block, row) = match CommandId(command.0 & !RESPONSE) {
        CommandId::BIND_TRANSCEIVER => (0, 0),
        CommandId::ENQUIRE_LINK => (0, 1),
        CommandId::UNBIND => (0, 2),
        CommandId::BIND_TRANSMITTER => (1, 0),
        CommandId::BIND_RECEIVER => (1, 1),
        CommandId::OUTBIND => (1, 2),
        CommandId::SUBMIT_SM => (2, 0),
        CommandId::DELIVER_SM => (2, 1),
        CommandId::DATA_SM => (2, 2),
        CommandId::SUBMIT_MULTI => (2, 3),
        CommandId::QUERY_SM => (3, 0),
        CommandId::CANCEL_SM => (3, 1),
        CommandId::REPLACE_SM => (3, 2),
        CommandId::ALERT_NOTIFICATION => (3, 3),
        // Its number is a response's, and no request has it without that bit.
        _ if command.0 == CommandId::GENERIC_NACK.0 => (0, 3),
        _ => return UNKNOWN,
    };
    (block, KINDS * row + is_response as usize)
}

/// Where all unknown commands are counted.
const UNKNOWN: (usize, usize) = (1, 3 * KINDS);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_command_and_direction_is_counted_apart() {
        let counters = Counters::default();
        counters.count_in(CommandId::DELIVER_SM);
        counters.count_in(CommandId::DELIVER_SM);
        counters.count_out(CommandId::DELIVER_SM);
        assert_eq!(counters.pdus_in(CommandId::DELIVER_SM), 2);
        assert_eq!(counters.pdus_out(CommandId::DELIVER_SM), 1);
        assert_eq!(counters.pdus_in(CommandId::SUBMIT_SM), 0);
    }

    #[test]
    fn every_known_command_has_a_place_of_its_own() {
        let places: std::collections::BTreeSet<_> =
            CommandId::KNOWN.iter().map(|known| place(*known)).collect();
        assert_eq!(places.len(), CommandId::KNOWN.len());
        assert!(!places.contains(&UNKNOWN));
        for (block, at) in places {
            assert!(block < BLOCKS && at + OUTBOUND < ROWS * KINDS);
        }
    }

    #[test]
    fn unknown_commands_share_one_place() {
        let counters = Counters::default();
        counters.count_in(CommandId(0x0000_0112));
        assert_eq!(counters.pdus_in(CommandId(0x0000_7777)), 1);
    }
}
