//! Things to do at homeservers, in lanes.

use std::fmt;

use async_trait::async_trait;
use ruma::{OwnedEventId, OwnedRoomId, OwnedServerName, OwnedUserId};
use serde::{Deserialize, Serialize};

use super::{Ending, MessageView, Result, Sms};
use crate::gateway::model::{ConversationId, MessageId, MessageState, OutboxId, SmsId, Timestamp};

/// The outbox. Done by `steps/outbox.rs`; why that is atomic: [`Store`](super::Store).
///
/// An entry is done at the homeserver first and ended here after, so it may be done twice: each request has
/// a transaction id computed from the entry, by which the homeserver knows it.
#[async_trait]
pub trait OutboxStore {
    /// Queues things to do at the homeserver: all of them or none.
    ///
    /// *Again*: an entry's [`key`](NewOutbox::key) is known, done or not, for 30 days and as long as it is
    /// unfinished; the one that came first stays as it is.
    async fn enqueue(&self, entries: Vec<NewOutbox>, now: Timestamp) -> Result<()>;

    /// What is due, lane by lane: the lane whose first unfinished entry is due the longest comes first, at
    /// most so many lanes, leaving out those in [`Due::busy`]; of each its first entries, in order.
    async fn due_outbox(&self, due: Due) -> Result<Vec<OutboxEntry>>;

    /// Ends an entry, and what an account has submitted that it says. What people hear of one that is
    /// set aside is queued in the same commit.
    ///
    /// *Again*: the row is gone, or is set aside: nothing changes, and nobody hears of it twice.
    async fn finish_outbox(&self, id: OutboxId, ending: Ending) -> Result<()>;

    /// Ends entries of which all is said, as [`Ending::Done`] does: all of them or none.
    ///
    /// *Again*: as [`finish_outbox`](Self::finish_outbox), one by one.
    async fn finish_said(&self, ids: Vec<OutboxId>) -> Result<()>;

    /// Puts an entry off until `at`; its lane waits with it. Counts an attempt.
    ///
    /// *Again*: the same time; only the count of attempts, which makes waits longer, grows with each
    /// call.
    async fn postpone_outbox(&self, id: OutboxId, at: Timestamp, error: &str) -> Result<()>;

    /// When the next postponed entry falls due, leaving out the lanes in `busy`.
    async fn next_outbox_due(&self, busy: &[String]) -> Result<Option<Timestamp>>;

    /// Makes every postponed entry due now: a homeserver that gave no answers gives answers again.
    ///
    /// *Again*: all are due already.
    async fn hurry_outbox(&self, now: Timestamp) -> Result<()>;
}

/// A thing to do at the homeserver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewOutbox {
    /// Unique for ever: computed from what it follows from.
    pub key: String,
    /// Entries of one lane are done one after the other, in order.
    pub lane: Lane,
    /// What.
    pub item: OutboxItem,
}

/// What must happen in order.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Lane {
    /// One conversation.
    Conversation(ConversationId),
    /// One room of one homeserver.
    Room(OwnedServerName, OwnedRoomId),
    /// One person, where it is about no room and no conversation.
    Person(OwnedUserId),
}

impl fmt::Display for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Conversation(id) => write!(f, "c:{id}"),
            Self::Room(homeserver, room) => write!(f, "r:{homeserver}:{room}"),
            Self::Person(user) => write!(f, "p:{user}"),
        }
    }
}

/// What to do at the homeserver.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutboxItem {
    /// Say an inbound SMS in its conversation's room, as the ghost.
    SmsText {
        /// The SMS.
        sms: SmsId,
        /// Where.
        conversation: ConversationId,
    },
    /// Show what became of a message. Queued by the store itself, once per state that a person
    /// wants to know: `Submitted`, `Delivered`, every failure, and `Cancelled` where it was not the
    /// writer who took it back.
    MessageNews {
        /// The message.
        message: MessageId,
        /// Its new state.
        state: MessageState,
    },
    /// Say something to the people of a room, as a notice.
    Notice {
        /// Which homeserver.
        homeserver: OwnedServerName,
        /// The room.
        room: OwnedRoomId,
        /// Who says it: a ghost or the bot.
        sender: OwnedUserId,
        /// The words.
        text: String,
        /// The event that it answers.
        reply_to: Option<OwnedEventId>,
        /// Who is told by the bot instead where the room cannot hear it; `None` where nobody needs
        /// to know.
        #[serde(default)]
        to: Option<OwnedUserId>,
    },
    /// Show that a message from an event was refused: a notice in reply, and the status event.
    Refused {
        /// Where.
        conversation: ConversationId,
        /// The event.
        event: OwnedEventId,
        /// The words.
        text: String,
        /// Who wrote the event: told by the bot where the room cannot hear it.
        #[serde(default)]
        to: Option<OwnedUserId>,
        /// The status event only: people have heard the words often enough.
        #[serde(default)]
        wordless: bool,
    },
    /// Say that a direct conversation goes on in a newer room, and leave the old one. Queued by the
    /// store itself when a number is taken over.
    Moved {
        /// The conversation that ended.
        conversation: ConversationId,
    },
    /// Say something to one Matrix user in the bot's own room with them, which is created first
    /// where there is none.
    TellOwner {
        /// Which homeserver's bot says it.
        homeserver: OwnedServerName,
        /// Who is told.
        owner: OwnedUserId,
        /// The words.
        text: String,
    },
}

impl OutboxItem {
    /// Its kind, as one word or two.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::SmsText { .. } => "sms_text",
            Self::MessageNews { .. } => "message_news",
            Self::Notice { .. } => "notice",
            Self::Refused { .. } => "refused",
            Self::Moved { .. } => "moved",
            Self::TellOwner { .. } => "tell_owner",
        }
    }
}

/// Which things to do at the homeserver are asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    /// Due by then.
    pub now: Timestamp,
    /// Of so many lanes at most.
    pub lanes: usize,
    /// So many of each lane at most.
    pub each: usize,
    /// Of none of these lanes.
    pub busy: Vec<String>,
}

impl Due {
    /// The first entry of each lane, of so many lanes at most.
    #[must_use]
    pub fn heads(now: Timestamp, lanes: usize) -> Self {
        Self {
            now,
            lanes,
            each: 1,
            busy: Vec::new(),
        }
    }
}

/// A thing to do at the homeserver, when its turn has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboxEntry {
    /// Which.
    pub id: OutboxId,
    /// Its lane, as text.
    pub lane: String,
    /// What.
    pub item: OutboxItem,
    /// The message that [`OutboxItem::MessageNews`] is about; `None` where it is forgotten.
    pub message: Option<MessageView>,
    /// The SMS of [`OutboxItem::SmsText`], where nobody can withdraw it; else ask
    /// [`say_sms`](super::SmsStore::say_sms).
    pub sms: Option<Sms>,
    /// How often it was tried.
    pub attempts: u32,
    /// When it was queued.
    pub queued_at: Timestamp,
}
