//! PDUs by command, as tshark would count them on the wire.

use std::collections::BTreeMap;

use matrix_smpp_codec::CommandId;
use matrix_smpp_session::Counters;
use serde::Serialize;

/// PDUs in and out by command name; commands that never came or went are not there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Counts {
    #[serde(rename = "in")]
    inbound: BTreeMap<String, u64>,
    #[serde(rename = "out")]
    outbound: BTreeMap<String, u64>,
}

/// No command has this id: asking for it gives the count of all that are unknown.
const UNKNOWN: CommandId = CommandId(0x7fff_ffff);

impl Counts {
    /// Adds what one link has counted.
    pub(crate) fn add(&mut self, counters: &Counters) {
        for command in CommandId::KNOWN.iter().chain([&UNKNOWN]) {
            let name = command.name().unwrap_or("unknown");
            add(&mut self.inbound, name, counters.pdus_in(*command));
            add(&mut self.outbound, name, counters.pdus_out(*command));
        }
    }
}

impl Counts {
    /// Takes away what was counted before a reset.
    pub(crate) fn subtract(&mut self, before: &Self) {
        let both = [
            (&mut self.inbound, &before.inbound),
            (&mut self.outbound, &before.outbound),
        ];
        for (counts, before) in both {
            for (name, count) in counts.iter_mut() {
                *count -= before.get(name).copied().unwrap_or(0).min(*count);
            }
            counts.retain(|_, count| *count > 0);
        }
    }

    /// Each count with its direction and command.
    pub(crate) fn each(&self) -> impl Iterator<Item = (&'static str, &str, u64)> {
        let inbound = self
            .inbound
            .iter()
            .map(|(name, count)| ("in", &**name, *count));
        let outbound = self
            .outbound
            .iter()
            .map(|(name, count)| ("out", &**name, *count));
        inbound.chain(outbound)
    }

    /// Counts one request that was answered on a link whose own counters are not to be had.
    pub(crate) fn add_answered(&mut self, request: CommandId) {
        let name = |command: CommandId| command.name().unwrap_or("unknown");
        add(&mut self.inbound, name(request), 1);
        add(
            &mut self.outbound,
            request.response().map_or("generic_nack", name),
            1,
        );
    }
}

fn add(counts: &mut BTreeMap<String, u64>, name: &str, count: u64) {
    if count > 0 {
        *counts.entry(name.to_owned()).or_default() += count;
    }
}
