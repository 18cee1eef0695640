//! The operations that the gateway asks of its store, and the values they speak in.
//!
//! [`Store`] says what holds of all of them; each area has its operations in a file of its own.

mod aside;
mod conversations;
mod events;
mod leases;
mod limits;
mod messages;
mod money;
mod opt_outs;
mod outbox;
mod questions;
mod rooms;
mod sms;
mod submissions;

use std::fmt;

use async_trait::async_trait;

pub use self::aside::*;
pub use self::conversations::*;
pub use self::events::*;
pub use self::leases::*;
pub use self::limits::*;
pub use self::messages::*;
pub use self::money::*;
pub use self::opt_outs::*;
pub use self::outbox::*;
pub use self::questions::*;
pub use self::rooms::*;
pub use self::sms::*;
pub use self::submissions::*;
pub use crate::gateway::message::{Failure, MessageView, NewMessage, OriginatorPlan, Refusal};
use crate::gateway::model::Timestamp;
pub use crate::gateway::model::{Lease, Membership};

/// Everything durable: what is written here, and the operations of each area.
///
/// # Why each operation is atomic
///
/// For one reason: each is one function of the rows that it reads and changes (`store/steps`), run by one
/// thread, one after the other. Where it fails, all of its changes are undone; where it does not, they
/// are committed together, in one record of the log of SQLite or one call of Redis, and nobody hears of
/// them before. What it queues for people stands in the same commit. So whoever dies leaves behind all
/// of an operation or nothing, and nobody sees half of one.
///
/// Two are made of several: [`audit`](MoneyStore::audit), which changes nothing, and pages of a list
/// ([`rooms`](RoomStore::rooms), [`leases_page`](LeaseStore::leases_page)), each of which is one.
///
/// # Why each operation bears repetition
///
/// Whoever asked and died, or heard [`StoreError::Unavailable`], does not know whether it is done, and
/// asks again. So each operation that changes something looks first for what is there once it is done. The
/// words of each say after *Again* what that is; those without it ask and change nothing. An answer may
/// tell that it was a repetition ([`Acceptance::Repeated`], [`Taken::repeated`], `false` for what
/// is not there any more): what is stored, what is paid and what people hear are the same.
#[async_trait]
pub trait Store:
    EventStore
    + RoomStore
    + ConversationStore
    + MessageStore
    + SmsStore
    + SubmissionStore
    + OutboxStore
    + AsideStore
    + MoneyStore
    + LeaseStore
    + OptOutStore
    + LimitStore
    + QuestionStore
    + fmt::Debug
    + Send
    + Sync
{
    /// Does what is due by time: expires queued messages past their validity (refund, news), ends
    /// holds of uncertain segments and waits for receipts, frees cooled leases, hands partial SMS over,
    /// forgets old parked receipts and duplicate keys. Does at most `limit` of each; true if there may be
    /// more. Done by `steps/sweep.rs` and, for what is kept by age, `steps/scrub.rs`.
    ///
    /// *Again*: what was due is done: a timer goes in the commit of what it calls for, and all else is found
    /// by the state that has changed. What cannot be read is left as it is and keeps the rest from nothing.
    async fn sweep(&self, now: Timestamp, limit: usize) -> Result<bool>;

    /// What is put off to later than `latest` is due at `latest`, and at once where it was never tried:
    /// segments, things to do at homeservers, owed receipts. For what was put off while the clock
    /// was ahead: `latest` is later than anything is put off by a clock that is right. At most
    /// `limit` of each; true if there may be more. Done by `steps/hasten.rs`.
    ///
    /// *Again*: nothing is due later than that.
    async fn hasten(&self, now: Timestamp, latest: Timestamp, limit: usize) -> Result<bool>;

    /// Returns once another gateway has taken the store over: every operation fails from then on. Never,
    /// where that cannot be.
    async fn lost(&self) {
        std::future::pending::<()>().await;
    }

    /// Gives the store up: what was asked for before is done, whatever is asked for later fails, and another
    /// gateway can open it as soon as this returns, though somebody may still hold this value. Nothing, where
    /// nobody else ever does.
    async fn close(&self) {}

    /// What the store keeps of an operation that it has acknowledged, when its machine loses power:
    /// `always` is all of it.
    fn durability(&self) -> &'static str {
        "always"
    }

    /// Whether no other instance can have taken the store over by now. Asked right before what must
    /// not be done in two places, such as sending what was claimed; costs nothing. Always, where the
    /// store is this instance's alone.
    fn is_surely_ours(&self) -> bool {
        true
    }

    /// How many rows of unfinished things could not be read at the start, by table: a bug or a damaged
    /// file. They stay where they are, and nothing becomes of them. Tables without such rows are
    /// not named.
    fn unreadable(&self) -> Vec<(&'static str, u64)> {
        Vec::new()
    }

    /// What the store has done since its start, for the counters.
    fn work(&self) -> Work {
        Work::default()
    }

    /// A short name of this store's own, given once: makes ids that leave it globally unique.
    fn instance(&self) -> &str;
}

/// The result of a store operation.
pub type Result<T, E = StoreError> = std::result::Result<T, E>;

/// Why the store did not do it. No later operation sees anything of it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The engine failed (disk full, I/O error, no answer, closed): try again later. Nothing has changed, as
    /// far as that can be known: where the answer to a commit is lost for good (a sync that failed and
    /// could not be taken back before the process died, a Redis that answered no more until the store was
    /// closed), the next start may find it done. That is why each operation bears repetition.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
    /// The request contradicts what is stored. Nothing has changed.
    #[error("{0}")]
    Conflict(String),
    /// Another instance has taken the store over: nothing can be done through this one any more. What was
    /// asked for is not done, unless it had been committed before.
    #[error("another instance has taken the store over")]
    Lost,
    /// Stored data cannot be read back: a bug or a damaged file. Nothing has changed.
    #[error("the store holds something unreadable: {0}")]
    Corrupt(String),
}
