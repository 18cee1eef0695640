//! Messages towards phones, and what finds them again.

use std::borrow::Cow;
use std::ops::Deref;

use bytes::Bytes;
use matrix_smpp_codec::IdForm;
use ruma::OwnedUserId;
use serde::{Deserialize, Serialize};

use super::{Packed, Row};
use crate::gateway::message::Failure;
use crate::gateway::model::{
    ConversationId, E164Text, MessageId, MessageState, Originator, Source, Timestamp,
    UncertainPolicy,
};
use crate::store::indexes::Indexes;

/// A message towards a phone with its segments and its history.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct MessageRow {
    /// What it was accepted with; reads as if it were the row's own.
    pub(crate) plan: Packed<PlanRow>,
    /// As of the last time that it was brought up to date with its segments.
    pub(crate) state: MessageState,
    /// A segment keeps the lane's next message waiting, as of that time.
    pub(crate) in_lane: bool,
    #[serde(default)]
    pub(crate) failure: Option<Failure>,
    /// The first has number 1.
    pub(crate) segments: Vec<SegmentRow>,
    pub(crate) steps: Vec<StepRow>,
    /// States of which the news was queued: each once.
    #[serde(default)]
    pub(crate) told: Vec<MessageState>,
}

impl Deref for MessageRow {
    type Target = PlanRow;

    fn deref(&self) -> &PlanRow {
        &self.plan
    }
}

/// What of a message never changes.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct PlanRow {
    /// Its number: the order in its lane.
    pub(crate) key: i64,
    pub(crate) id: MessageId,
    pub(crate) source: Source,
    pub(crate) conversation: ConversationId,
    pub(crate) destination: E164Text,
    pub(crate) originator: Originator,
    pub(crate) payer: OwnedUserId,
    pub(crate) route: String,
    pub(crate) link_group: String,
    /// Of one segment, in micro-units.
    pub(crate) price: i64,
    pub(crate) data_coding: u8,
    pub(crate) receipts: bool,
    pub(crate) progress: bool,
    pub(crate) uncertain: UncertainPolicy,
    pub(crate) valid_until: Timestamp,
    /// No receipt is expected after it; `None` where none is expected at all.
    pub(crate) receipt_by: Option<Timestamp>,
    pub(crate) accepted_at: Timestamp,
}

/// One segment.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SegmentRow {
    pub(crate) state: MessageState,
    /// Queued, and not behind another message of its lane.
    pub(crate) ready: bool,
    /// Keeps the lane's next message waiting.
    pub(crate) in_lane: bool,
    pub(crate) due_at: Timestamp,
    /// Grows with each claim.
    pub(crate) attempt: u32,
    /// Temporary errors.
    pub(crate) retries: u32,
    /// Sent again without knowing what became of the first.
    pub(crate) resends: u32,
    pub(crate) paid: Paid,
    pub(crate) udhi: bool,
    /// Emptied when it will not be sent again.
    #[serde(with = "super::octets")]
    pub(crate) payload: Bytes,
    /// SAR parameters, or `message_payload`. Emptied with the text.
    #[serde(with = "super::octets")]
    pub(crate) tlvs: Bytes,
    /// The ids in [`super::Sent`] that lead here: canonical forms.
    #[serde(default)]
    pub(crate) sent_as: Vec<String>,
}

impl std::fmt::Debug for SegmentRow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = f.debug_struct("SegmentRow");
        shown.field("state", &self.state).finish_non_exhaustive()
    }
}

/// What became of a segment's price.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Paid {
    Reserved,
    Settled,
    Released,
}

/// One change, for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StepRow {
    pub(crate) at: Timestamp,
    /// `None` for the whole message.
    #[serde(default)]
    pub(crate) segment: Option<u8>,
    pub(crate) state: MessageState,
    pub(crate) detail: Cow<'static, str>,
}

impl Row for MessageRow {
    fn index(indexes: &mut Indexes, _: &str, old: Option<&Self>, new: Option<&Self>) {
        indexes.messages.change(old, new);
    }
}

/// A segment that has an id of the peer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SentRow {
    /// The message's number.
    pub(crate) message: i64,
    /// The segment's.
    pub(crate) number: u8,
    pub(crate) destination: E164Text,
    /// As the peer wrote it.
    pub(crate) smsc_id: String,
    /// Known from a receipt alone, for no answer came.
    pub(crate) by_receipt: bool,
}

impl Row for SentRow {}

/// A segment without an answer, for the receipt that may still prove it sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct UnansweredRow {
    pub(crate) message: i64,
    pub(crate) number: u8,
    /// Given up already.
    pub(crate) lost: bool,
    /// End of the hold; of a lost one, of its memory.
    pub(crate) until: Timestamp,
}

impl Row for UnansweredRow {}

/// A receipt that came before the answer which tells whose it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ParkedRow {
    pub(crate) id: i64,
    pub(crate) link_group: String,
    pub(crate) canonical: String,
    pub(crate) smsc_id: String,
    /// `message_state` of SMPP.
    pub(crate) state: u8,
    pub(crate) error: Option<String>,
    /// The phone.
    pub(crate) destination: Option<E164Text>,
    /// Digits.
    pub(crate) originator: String,
    pub(crate) at: Timestamp,
    /// [`form_number`] of how this peer's receipts write ids, where that is set.
    pub(crate) form: Option<u8>,
}

impl Row for ParkedRow {
    fn index(indexes: &mut Indexes, _: &str, old: Option<&Self>, new: Option<&Self>) {
        if let Some(old) = old {
            indexes.parked.remove(old);
        }
        if let Some(new) = new {
            indexes.parked.insert(new);
        }
    }
}

/// How often receipts showed a form, less what spoke against it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct IdFormRow {
    /// [`form_number`].
    pub(crate) form: u8,
    pub(crate) seen: i64,
}

impl Row for IdFormRow {}

/// A form of ids as it is kept: its place among all.
pub(crate) fn form_number(form: IdForm) -> u8 {
    let at = IdForm::ALL.iter().position(|one| *one == form);
    at.and_then(|at| u8::try_from(at).ok()).unwrap_or_default()
}

/// The inverse of [`form_number`].
pub(crate) fn form_of(number: u8) -> Option<IdForm> {
    IdForm::ALL.get(usize::from(number)).copied()
}

/// Key of [`super::Sent`].
pub(crate) fn sent_key(link_group: &str, canonical: &str) -> String {
    [link_group, "|", canonical].concat()
}

/// Key of [`super::Unanswered`].
pub(crate) fn evidence_key(link_group: &str, destination: &str, originator: &str) -> String {
    [link_group, "|", destination, "|", originator].concat()
}
