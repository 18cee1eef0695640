//! Messages towards phones: accepted, claimed, answered, proved by receipts.

use async_trait::async_trait;
use bytes::Bytes;
use matrix_smpp_codec::e164::E164;
use matrix_smpp_codec::values::{DataCoding, MessageState as WireState};
use matrix_smpp_codec::{IdForm, Tlvs};
use matrix_smpp_config::Money;
use ruma::{OwnedEventId, ServerName};

use super::{MessageView, NewMessage, Refusal, Result, StoreError};
use crate::gateway::model::{
    ConversationId, InboxSeq, MessageId, MessageState, Originator, SegmentRef, Timestamp,
};

/// The life of messages towards phones. Done by `steps/messages.rs` (accepting, taking back),
/// `steps/dispatch.rs` (the wire), `steps/receipts.rs`, and `steps/life.rs`, which all of them change a
/// message through; why that is atomic: [`Store`](super::Store).
///
/// What each change does to money, to the lane and to what people hear is part of the same commit: a
/// segment itself says whether its price is still reserved, so it is settled or released once, whoever
/// comes first.
#[async_trait]
pub trait MessageStore {
    /// Accepts a message: in one step finds the originator (keeps the conversation's, or leases a
    /// free VMN), reserves its whole price, counts it under the limits and queues its segments; or
    /// refuses it and changes nothing: credit, limits and numbers are looked at before anything is
    /// touched.
    ///
    /// *Again*: the message is known by [`NewMessage::id`], which is computed from its source and its
    /// conversation; its present state is told. A refusal leaves nothing behind but, once in its window, the
    /// note that a limit was hit; so it is judged anew.
    async fn accept_message(&self, message: NewMessage) -> Result<Acceptance>;

    /// Accepts everything that event `seq` says to phones and ends it, in one commit: each message as
    /// [`accept_message`](Self::accept_message) does, the event as
    /// [`finish_event`](super::EventStore::finish_event) does. Fails with
    /// [`StoreError::Conflict`] where a message is refused; then the others are not accepted either.
    ///
    /// *Again*: what was accepted is known by each [`NewMessage::id`], and the event's row is gone.
    async fn accept_event(&self, seq: InboxSeq, messages: Vec<NewMessage>) -> Result<()>;

    /// Takes up to `limit` due segments of a link group, lane heads only, and records for each the
    /// intent to send it. What is returned may be written to the wire; a message whose validity is over
    /// is expired instead.
    ///
    /// *Again*: it gives others, for what was claimed is not queued any more. Whoever gets no answer does
    /// not know what was claimed, and writes nothing; to the store it is as if the bytes had left, until
    /// [`recover`](Self::recover) has the policy of the route decide.
    async fn claim(&self, link_group: &str, limit: usize, now: Timestamp) -> Result<Vec<Claimed>>;

    /// When the next segment or owed receipt of the link group falls due; in the past if it is due
    /// already.
    async fn next_due(&self, link_group: &str) -> Result<Option<Timestamp>>;

    /// Records what became of claimed segments: settles, releases, queues again or parks them as
    /// uncertain; matches receipts that came early; queues
    /// [`OutboxItem::MessageNews`](super::OutboxItem::MessageNews) for each
    /// message whose state changed. All of the answers, or none.
    ///
    /// *Again*: the attempt that the answer names is not on the wire any more, so it changes nothing; nor
    /// does an answer to an older attempt. Only the peer's own word (taken, or refused for good) still
    /// counts for an attempt that was taken for uncertain.
    async fn record_answers(&self, answers: Vec<Answer>, now: Timestamp) -> Result<()>;

    /// Takes back what event `event` says to phones, where no byte has been written: refunds and
    /// frees the lane, without news: whoever asks for it tells. A message with any segment past the
    /// queue stays whole. Gives all messages of the event, as they are then.
    ///
    /// *Again*: nothing of it is queued any more; the same messages are given.
    async fn cancel_event(
        &self,
        homeserver: &ServerName,
        event: &OwnedEventId,
        now: Timestamp,
    ) -> Result<Vec<MessageView>>;

    /// The messages that came from an event.
    async fn messages_of_event(
        &self,
        homeserver: &ServerName,
        event: &OwnedEventId,
    ) -> Result<Vec<MessageView>>;

    /// One message.
    async fn message(&self, id: MessageId) -> Result<Option<MessageView>>;

    /// At start, before anything is claimed: every segment with an intent and no answer becomes
    /// uncertain, and its message's policy is applied; every owed receipt on the wire is due again.
    /// Returns how many segments.
    ///
    /// *Again*: no segment has an intent, no receipt is on the wire.
    async fn recover(&self, now: Timestamp) -> Result<usize>;

    /// Delivery receipts, one after the other. Matches the segment by (link group, message id), else by
    /// evidence (the one uncertain segment between the same two numbers), else parks it for an answer
    /// that is still to come. A final state never goes back. What became of each; where one of them
    /// cannot be taken, none is.
    ///
    /// *Again*: its segment has the final state, which stays; one that waits for its answer is there
    /// with the same words, and is not kept twice.
    async fn take_receipts(&self, receipts: Vec<ReceiptIn>) -> Result<Vec<ReceiptTaken>>;

    /// The same for one.
    ///
    /// *Again*: as with [`take_receipts`](Self::take_receipts).
    async fn take_receipt(&self, receipt: ReceiptIn) -> Result<ReceiptTaken> {
        let mut taken = self.take_receipts(vec![receipt]).await?;
        let taken = taken.pop();
        taken.ok_or_else(|| StoreError::Corrupt("a receipt came to nothing".to_owned()))
    }
}

/// What became of a [`NewMessage`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Acceptance {
    /// Queued and paid for by this call.
    Queued {
        /// The payer's balance after it.
        balance: Money,
    },
    /// It had been accepted before; this call changed nothing.
    Repeated(MessageState),
    /// Not accepted; nothing has changed.
    Refused(Refusal),
}

/// A segment that may be written to the wire.
#[derive(Clone, PartialEq, Eq)]
pub struct Claimed {
    /// Which.
    pub segment: SegmentRef,
    /// 1 for the first, and one more for each claim; must come back in the [`Answer`].
    pub attempt: u32,
    /// How many earlier attempts ended in [`Outcome::Retry`]: for the back-off. Others do not
    /// count.
    pub retries: u32,
    /// An earlier attempt may have reached the phone.
    pub possible_duplicate: bool,
    /// The route it was accepted on.
    pub route: String,
    /// Its lane.
    pub conversation: ConversationId,
    /// The sender that the handset sees.
    pub originator: Originator,
    /// The phone.
    pub destination: E164,
    /// `short_message` holds a user data header.
    pub udhi: bool,
    /// How the payload is coded.
    pub data_coding: DataCoding,
    /// `short_message`; empty where `message_payload` has the text.
    pub payload: Bytes,
    /// The SAR parameters or `message_payload`.
    pub tlvs: Tlvs,
    /// Ask for a receipt.
    pub receipts: bool,
    /// The message's validity ends here.
    pub valid_until: Timestamp,
}

/// What became of a claimed segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Which.
    pub segment: SegmentRef,
    /// [`Claimed::attempt`].
    pub attempt: u32,
    /// What.
    pub outcome: Outcome,
}

/// What an attempt came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The peer took it. Settles its price.
    Submitted {
        /// The peer's id for it.
        message_id: String,
    },
    /// No byte of it was written: due again at once, the attempt does not count.
    NotWritten,
    /// The peer asks to slow down: due again at the time given, the attempt does not count.
    Throttled {
        /// When to try again.
        retry_at: Timestamp,
    },
    /// A temporary error of this message: due again at the time given.
    Retry {
        /// When to try again.
        retry_at: Timestamp,
        /// `command_status`.
        status: u32,
    },
    /// Refused for good: releases the segment's price, cancels the message's other segments that
    /// are still queued (releasing theirs), fails the message.
    Rejected {
        /// `command_status`.
        status: u32,
    },
    /// No PDU can carry it: as [`Outcome::Rejected`], by ourselves.
    Unsendable {
        /// Why, for people, without private content.
        reason: String,
    },
    /// The bytes may have left and no answer will come: the message's policy decides.
    Uncertain,
}

/// A delivery receipt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceiptIn {
    /// Receipts may come on any link of the group.
    pub link_group: String,
    /// The peer's id, as it stands in the receipt.
    pub message_id: String,
    /// What it says.
    pub state: WireState,
    /// The network's error code, as it stands there.
    pub error: Option<String>,
    /// The phone: the receipt's source address, where it is a number.
    pub handset: Option<E164>,
    /// Our number: the receipt's destination address.
    pub originator: String,
    /// How the peer's receipts write the ids of its answers; `None` where that is to be learnt.
    pub id_form: Option<IdForm>,
    /// When it came.
    pub at: Timestamp,
}

/// What became of a receipt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReceiptTaken {
    /// Matched by its id.
    Matched,
    /// Matched to the only uncertain segment between these numbers.
    Evidence,
    /// Kept until an answer names its id.
    Parked,
}
