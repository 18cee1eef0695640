//! What people and gauges ask of a store.

use async_trait::async_trait;
use matrix_smpp_config::Money;
use ruma::OwnedUserId;
use serde::{Deserialize, Serialize};

use super::{Result, SubmissionHistory};
use crate::gateway::model::{MessageId, MessageState, Source, TakenId, Timestamp};

/// Questions: they change nothing. Done by `steps/explain.rs`.
#[async_trait]
pub trait QuestionStore {
    /// Commits something without meaning and returns after it is on the disk, by the same way as
    /// every other change: fails with [`Unavailable`](super::StoreError::Unavailable) where the disk is
    /// full or read-only, and does not return while the disk hangs or changes queue.
    ///
    /// *Again*: what it commits has no meaning, so one more is the same as none.
    async fn probe(&self) -> Result<()>;

    /// The history of one message, of every message of one event id, or of those that an edit, a
    /// redaction or a reaction is about, by its own event id.
    async fn explain(&self, id: &str) -> Result<Vec<History>>;

    /// The history of what an account submitted, under the id `name`; `None` for what is not known.
    async fn explain_submission(
        &self,
        id: TakenId,
        name: &str,
    ) -> Result<Option<SubmissionHistory>>;

    /// Sizes for the gauges.
    async fn sizes(&self) -> Result<Sizes>;
}

/// The life of one message, for `explain`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    /// The message.
    pub message: MessageId,
    /// Where its text comes from.
    pub source: Source,
    /// How far it is.
    pub state: MessageState,
    /// The route.
    pub route: String,
    /// How many segments it has.
    pub segments: u8,
    /// Who pays.
    pub payer: OwnedUserId,
    /// Price of one segment.
    pub price: Money,
    /// One of its segments may have been sent twice.
    pub possible_duplicate: bool,
    /// What happened, oldest first.
    pub steps: Vec<Step>,
}

/// One change in the life of a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// When.
    pub at: Timestamp,
    /// The segment, or `None` for the whole message.
    pub segment: Option<u8>,
    /// What it became.
    pub state: MessageState,
    /// Attempt, peer's id, status: for people.
    pub detail: String,
}

/// What a store has done since its start, and has to do yet. Each commit is one wait for the disk; what
/// is changed is shared by as many changes as wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Work {
    /// Commits.
    pub commits: u64,
    /// Changes that were asked for.
    pub changes: u64,
    /// Questions that were asked.
    pub questions: u64,
    /// Rows that are in the log of an SQLite store and not in its tables yet.
    pub unapplied: u64,
}

/// Sizes for the gauges.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sizes {
    /// Matrix events not handled yet.
    pub inbox: u64,
    /// Events, SMS and outbox entries that were set aside.
    pub set_aside: u64,
    /// Segments that wait.
    pub queued: u64,
    /// Segments on the wire.
    pub intent: u64,
    /// Segments without an answer.
    pub uncertain: u64,
    /// Things to do at the homeserver.
    pub outbox: u64,
    /// Whole SMS not handed on yet.
    pub sms: u64,
    /// Whole SMS for which their senders have set a time that has not come.
    pub scheduled_sms: u64,
    /// SMS that wait for parts.
    pub partial_sms: u64,
    /// Receipts that wait for their answer.
    pub parked_receipts: u64,
    /// Receipts that accounts are owed.
    pub owed_receipts: u64,
    /// Active and cooling leases.
    pub leases: u64,
    /// Transactions with something beside events, which nothing has read yet.
    pub extras: u64,
    /// Rooms that are known.
    pub rooms: u64,
    /// Ghosts and bots that were made, ever.
    pub ghosts: u64,
    /// Pairs of numbers whose last concatenation reference is known.
    pub references: u64,
    /// Phones that want no more texts, from one number at least.
    pub opted_out: u64,
    /// Messages and their history.
    pub messages: u64,
    /// Counters of the limits against pumped traffic.
    pub counters: u64,
    /// Phones that have texted us, as far as that is noted.
    pub heard: u64,
}
