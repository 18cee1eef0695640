//! How durable things end, and what cannot be handled.

use std::fmt;
use std::str::FromStr;

use async_trait::async_trait;

use super::{NewOutbox, Result};
use crate::gateway::model::{InboxSeq, OutboxId, SmsId, Timestamp};

/// What was set aside. Done by `steps/aside.rs`; why that is atomic: [`Store`](super::Store).
#[async_trait]
pub trait AsideStore {
    /// What was set aside, at most `limit` of each kind, oldest first.
    async fn aside(&self, limit: usize) -> Result<Vec<Aside>>;

    /// Puts something that was set aside back into its lane, before whatever waits there. False
    /// where nothing of this id is set aside.
    ///
    /// *Again*: it waits, is being handled or has ended: `false`, and nothing changes. What it had done
    /// before it was set aside is known by the keys of what it did.
    async fn retry_aside(&self, id: AsideId, now: Timestamp) -> Result<bool>;

    /// Ends something that was set aside, for good; its content goes. What an event has queued for
    /// phones and no byte of which has left is taken back and refunded, with news, in the same commit.
    /// False where nothing of this id is set aside.
    ///
    /// *Again*: `false`, and nothing changes; the same where it was put back meanwhile and is being
    /// handled.
    async fn drop_aside(&self, id: AsideId, now: Timestamp) -> Result<bool>;
}

/// How a durable item ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// Everything that follows from it is durable.
    Done,
    /// Cannot be handled: set aside, visible, out of the way.
    SetAside {
        /// Why, without private content.
        reason: String,
        /// Now.
        at: Timestamp,
        /// How people hear of it: queued in the same step.
        tell: Option<Box<NewOutbox>>,
    },
}

/// Something that was set aside, by its kind and place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AsideId {
    /// A Matrix event: `e17`.
    Event(InboxSeq),
    /// A whole SMS: `s17`.
    Sms(SmsId),
    /// A thing to do at the homeserver: `o17`.
    Outbox(OutboxId),
}

impl fmt::Display for AsideId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Event(InboxSeq(id)) => write!(f, "e{id}"),
            Self::Sms(id) => write!(f, "s{id}"),
            Self::Outbox(id) => write!(f, "o{id}"),
        }
    }
}

impl FromStr for AsideId {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = "write the id as in e17, s17 or o17";
        let (kind, id) = text.split_at_checked(1).ok_or(wrong)?;
        let id = id.parse().map_err(|_| wrong)?;
        match kind {
            "e" => Ok(Self::Event(InboxSeq(id))),
            "s" => Ok(Self::Sms(SmsId(id))),
            "o" => Ok(Self::Outbox(OutboxId(id))),
            _ => Err(wrong),
        }
    }
}

/// Something that was set aside, for people; nothing that anybody said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Aside {
    /// Which.
    pub id: AsideId,
    /// When it was set aside.
    pub at: Timestamp,
    /// The event's id, the link group of the SMS, or the kind of thing to do.
    pub about: String,
    /// Why.
    pub reason: String,
}
