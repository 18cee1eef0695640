//! Every table and its rows.
//!
//! Unfinished things stand in live tables and leave them when they end, so that a start reads those
//! alone, however long the history is. Keys are text; numbers in them have leading zeros ([`number`]),
//! so that neighbours lie side by side.
//!
//! A row is kept as the values of its fields without their names. So a field keeps its place for ever: one that is
//! added goes last, with `#[serde(default)]` for the rows that were written before it.

mod events;
mod limits;
mod messages;
mod money;
mod opt_outs;
mod outbox;
mod packed;
mod rooms;
mod sms;
#[cfg(test)]
mod tests;

use super::table::{Kind, Row, Table, tables};
use crate::gateway::model::{ConversationId, Timestamp};

pub(crate) use self::events::*;
pub(crate) use self::limits::*;
pub(crate) use self::messages::*;
pub(crate) use self::money::*;
pub(crate) use self::opt_outs::*;
pub(crate) use self::outbox::*;
pub(crate) use self::packed::Packed;
pub(crate) use self::rooms::*;
pub(crate) use self::sms::*;

tables! {
    /// What the store knows of itself, by name.
    kept Meta(String) = "meta";
    /// The last number of each sequence, by name.
    kept Sequences(i64) = "sequence";
    /// When something must be looked at ([`super::timer`]).
    kept Timers(()) = "timer";

    /// Matrix events that are known, by homeserver and id ([`event_key`]).
    kept Events(EventRow) = "event";
    /// Matrix events that are not finished, by their number.
    live Inbox(InboxRow) = "inbox";
    /// What homeservers send beside events, by [`extras_key`].
    live Extras(ExtrasRow) = "extras";

    /// Ghosts that are registered, named and have their device, by user id.
    kept Ghosts(()) = "ghost";
    /// Rooms by homeserver and id ([`room_key`]).
    kept Rooms(RoomRow) = "room";
    /// The rooms that two people share with nobody else, by [`two_key`].
    kept Twos(Vec<TwoRow>) = "two";
    /// Conversations by their number.
    kept Conversations(ConversationRow) = "conversation";
    /// The conversations of a room, active or not, by [`room_key`].
    kept Portals(Vec<PortalRow>) = "portal";
    /// The active direct conversation of a person and a phone, by [`pair_key`].
    kept Directs(ConversationId) = "direct";
    /// The leases of a phone, active or cooling, by its handset's key.
    kept Leases(Vec<LeaseRow>) = "lease";
    /// Phones that want no more texts, and from whom, by their handset's key.
    kept OptOuts(Vec<OptOutRow>) = "opt_out";
    /// How many leases a number has, by the number. No row for none.
    kept LeasedNumbers(u32) = "leased_number";
    /// Sums that are kept up to date, by name: how many leases there are (`leases`).
    kept Totals(i64) = "total";
    /// Numbers that were given to a Matrix ID while the gateway ran, by the number.
    kept Dedicated(String) = "dedicated";

    /// Accounts by owner.
    kept Accounts(AccountRow) = "account";
    /// Every movement of money, by its number. Only grows.
    kept Ledger(LedgerRow) = "ledger";
    /// What was paid in, by the payment's key: the number of its movement.
    kept TopUps(i64) = "top_up";

    /// Messages towards phones that may still be sent or answered, by their number.
    live Messages(MessageRow) = "message";
    /// All others, by their number.
    kept EndedMessages(MessageRow) = "ended_message";
    /// The number of a message, by its id.
    kept MessageNumbers(i64) = "message_number";
    /// The last concatenation reference between two numbers, by [`numbers_key`].
    kept References(ReferenceRow) = "reference";
    /// The segments that have an id of the peer, by link group and canonical id ([`sent_key`]).
    kept Sent(Vec<SentRow>) = "sent";
    /// Segments without an answer, by link group and numbers ([`evidence_key`]).
    kept Unanswered(Vec<UnansweredRow>) = "unanswered";
    /// Receipts that wait for the answer which tells whose they are, by their number.
    live Parked(ParkedRow) = "parked";
    /// How a peer's receipts write its ids, by link group.
    kept IdForms(Vec<IdFormRow>) = "id_form";

    /// SMS that are not handed on yet, by their number.
    live Sms(SmsRow) = "sms";
    /// SMS that were, by their number.
    kept EndedSms(SmsRow) = "ended_sms";
    /// Long SMS with parts still to come, by [`partial_key`].
    live Partials(PartialRow) = "partial";
    /// What was taken a while ago, to know a copy of it, by [`copy_key`], oldest first.
    kept Copies(Vec<CopyRow>) = "copy";
    /// The key in [`Copies`] of what was taken, by its number.
    kept Taken(String) = "taken";
    /// What accounts have submitted and has not reached its end, by its number, which is the one in
    /// [`Taken`].
    live Submissions(SubmissionRow) = "submission";
    /// What has, by its number.
    kept EndedSubmissions(SubmissionRow) = "ended_submission";
    /// Receipts that accounts are owed, by the submission's number.
    live Owed(OwedRow) = "owed";

    /// Things to do at the homeserver, by their number.
    live Outbox(OutboxRow) = "outbox";
    /// When each of them was queued, done or not, by its own key.
    kept OutboxKeys(i64) = "outbox_key";

    /// What the limits against pumped traffic have counted, by limit and whose it is ([`counter_key`]).
    kept Counters(CounterRow) = "counter";
    /// When a phone has texted us last, to the day, by its number; noted while there are limits.
    kept Heard(Timestamp) = "heard";
}

impl Row for () {}
impl Row for i64 {}
impl Row for u32 {}
impl Row for String {}
impl Row for Timestamp {}
impl<R: Row> Row for Vec<R> {}

/// A number, 0 or more, as a key: keys stand in the order of the numbers.
pub(crate) fn number(number: i64) -> String {
    let mut digits = [b'0'; 15];
    let mut rest = number;
    for digit in digits.iter_mut().rev() {
        *digit += u8::try_from(rest % 10).unwrap_or(0);
        rest /= 10;
    }
    match std::str::from_utf8(&digits) {
        Ok(digits) if rest == 0 => digits.to_owned(),
        _ => number.to_string(),
    }
}

/// Octets as what they are, not as a list of numbers.
mod octets {
    use std::fmt;

    use bytes::Bytes;
    use serde::de::{Error, Visitor};
    use serde::{Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(octets: &Bytes, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_bytes(octets)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Bytes, D::Error> {
        from.deserialize_byte_buf(Octets)
    }

    struct Octets;

    impl Visitor<'_> for Octets {
        type Value = Bytes;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("octets")
        }

        fn visit_bytes<E: Error>(self, octets: &[u8]) -> Result<Bytes, E> {
            Ok(Bytes::copy_from_slice(octets))
        }

        fn visit_byte_buf<E: Error>(self, octets: Vec<u8>) -> Result<Bytes, E> {
            Ok(Bytes::from(octets))
        }
    }
}
