//! A message towards a phone: as the gateway decides it, and as people see it afterwards.

use matrix_smpp_codec::e164::E164;
use matrix_smpp_codec::segment::Segments;
use matrix_smpp_config::{Fraud, Money, Numbers};
use ruma::OwnedUserId;
use serde::{Deserialize, Serialize};

use super::limits::Hit;
use super::model::{ConversationId, MessageId, MessageState, Source, Timestamp, UncertainPolicy};

/// A message to accept.
#[derive(Debug, Clone)]
pub struct NewMessage {
    /// [`MessageId::of`] source and conversation.
    pub id: MessageId,
    /// Where its text comes from.
    pub source: Source,
    /// The lane.
    pub conversation: ConversationId,
    /// The phone.
    pub destination: E164,
    /// Whose credit it uses.
    pub payer: OwnedUserId,
    /// The route's name, for its settings at sending time.
    pub route: String,
    /// The link group that carries it.
    pub link_group: String,
    /// Which numbers may be its sender.
    pub originators: OriginatorPlan,
    /// Price of one part; 0 or more. A part that the SMSC splits costs what its segments do.
    pub price: Money,
    /// The text, split. The store chooses the concatenation reference so that two messages of one
    /// (originator, handset) pair that follow each other differ.
    pub segments: Segments,
    /// Ask for a delivery receipt, and expect one.
    pub receipts: bool,
    /// Tell its writer that it was sent and has arrived, not only failures.
    pub progress: bool,
    /// What to do where an answer never comes.
    pub uncertain: UncertainPolicy,
    /// How many messages may wait or be under way in all.
    pub most_waiting: usize,
    /// Give up after this time.
    pub valid_until: Timestamp,
    /// Expect no receipt after this time.
    pub receipt_by: Timestamp,
    /// The limits against pumped traffic that hold for it.
    pub fraud: Fraud,
    /// Now.
    pub now: Timestamp,
}

impl NewMessage {
    /// What all of its parts cost; as much as there can be where that is more.
    #[must_use]
    pub fn cost(&self) -> Money {
        let parts = u32::try_from(self.segments.parts.len()).unwrap_or(u32::MAX);
        self.price.checked_mul(parts).unwrap_or(Money::MAX)
    }
}

/// Which numbers may be the sender of a conversation that has none yet, best first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OriginatorPlan {
    /// Any of these whose pair with the handset is free: the owner's own numbers first, then the
    /// pool's, in order.
    Vmns {
        /// The pool's name, for people.
        pool: String,
        /// Numbers that are dedicated to the conversation's owner.
        dedicated: Vec<E164>,
        /// The pool's numbers.
        numbers: Numbers,
    },
    /// A short code, shared by all.
    Shortcode(String),
}

/// Why the store refused a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// The payer's credit does not cover all segments.
    NoCredit {
        /// What is left.
        balance: Money,
        /// What this message would have cost.
        cost: Money,
    },
    /// Every number of the pool is taken for this handset.
    PoolExhausted {
        /// The pool.
        pool: String,
    },
    /// The conversation has ended.
    ConversationEnded,
    /// The phone wants no more texts from this number, or from its holder.
    OptedOut,
    /// As many messages wait as may.
    QueueFull,
    /// It would go over a limit against pumped traffic.
    Limited(Hit),
}

/// One message as the rooms and people see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageView {
    /// Which.
    pub id: MessageId,
    /// Where its text comes from.
    pub source: Source,
    /// The lane.
    pub conversation: ConversationId,
    /// The phone.
    pub destination: E164,
    /// How far it is.
    pub state: MessageState,
    /// A receipt is to be expected.
    pub receipts: bool,
    /// How many segments it has.
    pub segments: u8,
    /// Price of one segment.
    pub price: Money,
    /// `command_status` of the refusal, or the receipt's error code, of the segment that failed it.
    pub failure: Option<Failure>,
    /// One of its segments may have been sent twice.
    pub possible_duplicate: bool,
}

/// The reason for a failure, of the peer or the phone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Failure {
    /// `command_status` of the answer.
    Status(u32),
    /// Why no PDU can carry it, in words.
    Unsendable(String),
    /// `err:` or `network_error_code` of the receipt.
    Receipt(String),
    /// The phone wants no more texts.
    OptedOut,
}
