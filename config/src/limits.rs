//! `[limits]`: the bounds of what the gateway does at a time.

use std::time::Duration;

use crate::check::{lasts, within};
use crate::read::Reader;
use crate::section::section;

section! {
    /// How much the gateway does at a time. Change it only where a measurement asks for it.
    pub struct Limits, raw RawLimits {
        /// How many requests to homeservers are under way at a time. 1 to 1024.
        outbox_concurrency: usize = default("16"), check within(1..=1024);
        /// How many conversations are worked on at a time towards phones. 1 to 1024.
        inbox_concurrency: usize = default("32"), check within(1..=1024);
        /// How many pieces of work are taken from the store at a time. 1 to 10000.
        claim_batch: usize = default("256"), check within(1..=10_000);
        /// How many Matrix events may wait to be handled; the homeserver keeps more until there is room. 1 to
        /// 100000000.
        inbox_events: usize = default("1000000"), check within(1..=100_000_000);
        /// How many texts towards phones may wait or be under way; more are refused, and their rooms told so. They
        /// take some 150 octets of memory each. 1 to 100000000.
        queued_messages: usize = default("2000000"), check within(1..=100_000_000);
        /// How many texts from phones may wait for their rooms; the SMSC is asked to keep more for the time
        /// being (`ESME_RMSGQFUL`). 1 to 100000000.
        queued_sms: usize = default("2000000"), check within(1..=100_000_000);
        /// How many long SMS may wait for missing parts; the oldest is shown as incomplete to make
        /// room for one more. 1 to 10000000.
        mo_parts: usize = default("50000"), check within(1..=10_000_000);
        /// How long the parts of a long SMS wait for the missing ones before what came is shown,
        /// marked as incomplete. 1m to 30d.
        mo_part_ttl: Duration = default("\"24h\""), check lasts("1m", "30d");
        /// How long to wait before what failed for the time being is tried again. 10ms to 1h.
        retry_first: Duration = default("\"1s\""), check lasts("10ms", "1h");
        /// The wait doubles with each attempt, up to this. 10ms to 24h.
        retry_cap: Duration = default("\"5m\""), check lasts("10ms", "24h");
        /// How old an event may be that is found by reading a room back, after its homeserver may have
        /// lost it for us: what is older stays unsent. 0s reads nothing back. 0s to 7d.
        look_back: Duration = default("\"1d\""), check lasts("0s", "7d");
        /// How many phones one Matrix user may invite within an hour; further invitations are left
        /// unanswered, and the bot says so. 1 to 100000.
        invites_per_hour: usize = default("100"), check within(1..=100_000);
        /// For how many different phones one Matrix user may have rooms made by the `text` command
        /// within an hour. 1 to 100000.
        rooms_per_hour: usize = default("30"), check within(1..=100_000);
        /// How many notices one Matrix user who has never had credit gets in one room within an
        /// hour. The last one says so; further messages are marked as not sent, without words.
        /// 1 to 100000.
        unpaid_notices_per_hour: usize = default("5"), check within(1..=100_000);
    }
}

/// Reports waits that could not grow.
pub(crate) fn check(root: &Reader<'_>, limits: &RawLimits) {
    let (Some(first), Some(cap)) = (limits.retry_first, limits.retry_cap) else {
        return;
    };
    if cap < first {
        root.cx.wrong(
            "limits.retry_cap",
            "is shorter than retry_first; write a longer time",
        );
    }
}
