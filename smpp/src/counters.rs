//! What a link has counted since it was made, for the gateway's metrics.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use matrix_smpp_codec::CommandId;

/// Known commands without their responses.
const ROWS: usize = 16;

/// The last place counts the unknown commands.
const PLACES: usize = 2 * ROWS + 1;

/// Counters of one link over all its sessions, or of one accepted session. They only grow.
#[derive(Debug)]
pub struct Counters {
    inbound: [AtomicU64; PLACES],
    outbound: [AtomicU64; PLACES],
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
    /// Answers of ours that came after the session that asked had gone.
    pub orphaned_answers: AtomicU64,
    /// Sessions that reached the bound state.
    pub binds: AtomicU64,
}

impl Default for Counters {
    fn default() -> Self {
        Self {
            inbound: std::array::from_fn(|_| AtomicU64::new(0)),
            outbound: std::array::from_fn(|_| AtomicU64::new(0)),
            bytes_in: AtomicU64::new(0),
            bytes_out: AtomicU64::new(0),
            malformed: AtomicU64::new(0),
            stray_responses: AtomicU64::new(0),
            wrong_state: AtomicU64::new(0),
            throttled: AtomicU64::new(0),
            timeouts: AtomicU64::new(0),
            orphaned_answers: AtomicU64::new(0),
            binds: AtomicU64::new(0),
        }
    }
}

impl Counters {
    /// PDUs received, by command; unknown commands are counted together under any unknown id.
    #[must_use]
    pub fn pdus_in(&self, command: CommandId) -> u64 {
        read(&self.inbound, command)
    }

    /// PDUs put on the wire, by command.
    #[must_use]
    pub fn pdus_out(&self, command: CommandId) -> u64 {
        read(&self.outbound, command)
    }

    pub(crate) fn count_in(&self, command: CommandId) {
        count(&self.inbound, command);
    }

    pub(crate) fn count_out(&self, command: CommandId) {
        count(&self.outbound, command);
    }
}

pub(crate) fn bump(counter: &AtomicU64) {
    counter.fetch_add(1, Relaxed);
}

pub(crate) fn add(counter: &AtomicU64, amount: usize) {
    counter.fetch_add(amount as u64, Relaxed);
}

/// Requests and `generic_nack` in the first half, responses in the second, then the unknown ones.
/// Computed, not searched for: this runs for every PDU.
const fn place(command: CommandId) -> usize {
    const RESPONSE: u32 = 0x8000_0000;
    let row = match command.0 & !RESPONSE {
        known @ 0x00..=0x0B => known as usize,
        0x15 => 12,
        0x21 => 13,
        0x102 => 14,
        0x103 => 15,
        _ => return PLACES - 1,
    };
    if command.0 & RESPONSE == 0 {
        row
    } else {
        ROWS + row
    }
}

fn read(places: &[AtomicU64; PLACES], command: CommandId) -> u64 {
    places
        .get(place(command))
        .map_or(0, |counter| counter.load(Relaxed))
}

fn count(places: &[AtomicU64; PLACES], command: CommandId) {
    if let Some(counter) = places.get(place(command)) {
        bump(counter);
    }
}

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
        assert!(!places.contains(&(PLACES - 1)));
    }

    #[test]
    fn unknown_commands_share_one_place() {
        let counters = Counters::default();
        counters.count_in(CommandId(0x0000_0112));
        assert_eq!(counters.pdus_in(CommandId(0x0000_7777)), 1);
    }
}
