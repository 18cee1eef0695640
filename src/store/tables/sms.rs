//! SMS from phones and from accounts.

use bytes::Bytes;
use matrix_smpp_codec::values::{Npi, Ton};
use ruma::OwnedUserId;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{AsideRow, Row};
use crate::gateway::model::{ConversationId, Handset, Timestamp};
use crate::gateway::opt_out::Wish;
use crate::store::indexes::Indexes;
use crate::store::{Party, SmsRecipient};

/// A whole SMS.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct SmsRow {
    pub(crate) id: i64,
    pub(crate) link_group: String,
    pub(crate) handset: Handset,
    /// The number texted.
    pub(crate) number: String,
    /// Empty once nothing will say it any more.
    pub(crate) text: String,
    /// Parts that never came.
    pub(crate) missing: u8,
    pub(crate) recipient: RecipientRow,
    pub(crate) at: Timestamp,
    /// Set where it was set aside.
    #[serde(default)]
    pub(crate) aside: Option<AsideRow>,
    /// Not to be said before; it has no place in the line yet.
    #[serde(default)]
    pub(crate) due_at: Option<Timestamp>,
    /// Withdrawn by who submitted it: never said.
    #[serde(default)]
    pub(crate) withdrawn: bool,
    /// The submissions that it is made of.
    #[serde(default)]
    pub(crate) submissions: Vec<i64>,
    /// What it says about being texted.
    #[serde(default)]
    pub(crate) wish: Option<Wish>,
}

impl std::fmt::Debug for SmsRow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = f.debug_struct("SmsRow");
        shown.field("id", &self.id).finish_non_exhaustive()
    }
}

/// Whom an SMS is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum RecipientRow {
    Conversation(ConversationId),
    Former(ConversationId),
    Owner(OwnedUserId),
}

/// For people.
impl std::fmt::Display for RecipientRow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Conversation(id) => write!(f, "conversation {id}"),
            Self::Former(id) => write!(f, "conversation {id}, which had ended"),
            Self::Owner(owner) => write!(f, "{owner}"),
        }
    }
}

impl From<&RecipientRow> for SmsRecipient {
    fn from(row: &RecipientRow) -> Self {
        match row {
            RecipientRow::Conversation(id) => Self::Conversation(*id),
            RecipientRow::Former(id) => Self::Former(*id),
            RecipientRow::Owner(owner) => Self::Owner(owner.clone()),
        }
    }
}

impl Row for SmsRow {
    fn index(indexes: &mut Indexes, _: &str, old: Option<&Self>, new: Option<&Self>) {
        match old {
            Some(old) if old.due_at.is_some() => drop(indexes.scheduled.remove(&old.id)),
            Some(old) => indexes.sms.remove(old.id, old.aside_at()),
            None => {}
        }
        match new {
            Some(new) if new.due_at.is_some() => drop(indexes.scheduled.insert(new.id)),
            Some(new) => indexes.sms.insert(new.id, new.aside_at()),
            None => {}
        }
    }
}

impl SmsRow {
    fn aside_at(&self) -> Option<Timestamp> {
        self.aside.as_ref().map(|aside| aside.at)
    }
}

/// A long SMS with parts still to come.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct PartialRow {
    /// Grows in the order of their first parts.
    pub(crate) id: i64,
    pub(crate) link_group: String,
    pub(crate) handset: Handset,
    pub(crate) number: String,
    pub(crate) total: u8,
    pub(crate) recipient: RecipientRow,
    /// Of the first part.
    pub(crate) at: Timestamp,
    /// Not to be said before.
    #[serde(default)]
    pub(crate) due_at: Option<Timestamp>,
    /// In the order of their numbers.
    pub(crate) parts: Vec<PartRow>,
    /// Withdrawn: its words are gone, and what still comes of it has this `message_state` at once.
    #[serde(default)]
    pub(crate) withdrawn: Option<u8>,
    /// The submissions that it is made of.
    #[serde(default)]
    pub(crate) submissions: Vec<i64>,
}

impl std::fmt::Debug for PartialRow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = f.debug_struct("PartialRow");
        shown.field("id", &self.id).finish_non_exhaustive()
    }
}

impl Row for PartialRow {
    fn index(indexes: &mut Indexes, key: &str, old: Option<&Self>, new: Option<&Self>) {
        if let Some(old) = old {
            indexes.partials.remove(key, old);
        }
        if let Some(new) = new {
            indexes.partials.insert(key, new);
        }
    }
}

/// One part.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PartRow {
    /// 1 for the first.
    pub(crate) number: u8,
    pub(crate) data_coding: u8,
    #[serde(with = "super::octets")]
    pub(crate) payload: Bytes,
}

impl PartRow {
    /// The part without its words.
    pub(crate) fn silent(self) -> Self {
        Self {
            payload: Bytes::new(),
            ..self
        }
    }
}

impl std::fmt::Debug for PartRow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = f.debug_struct("PartRow");
        shown.field("number", &self.number).finish_non_exhaustive()
    }
}

/// One SMS or part that was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CopyRow {
    /// Its number in [`super::Taken`].
    pub(crate) id: i64,
    /// The bind that took it last.
    pub(crate) session: Uuid,
    /// The peer gave it an id of its own.
    pub(crate) named: bool,
    /// The peer has our answer.
    pub(crate) heard: bool,
    /// Forgotten then.
    pub(crate) until: Timestamp,
}

impl Row for CopyRow {}

/// What an account has submitted.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct SubmissionRow {
    pub(crate) id: i64,
    pub(crate) link_group: String,
    pub(crate) home: HomeRow,
    pub(crate) source: PartyRow,
    pub(crate) destination: PartyRow,
    pub(crate) data_coding: u8,
    /// `registered_delivery`.
    pub(crate) receipt: u8,
    /// How long a receipt waits for its account, in milliseconds.
    pub(crate) receipt_age: i64,
    pub(crate) valid_until: Option<Timestamp>,
    pub(crate) at: Timestamp,
    /// `message_state` of SMPP.
    pub(crate) state: u8,
    /// About to be said then, so it may have been.
    pub(crate) said_at: Option<Timestamp>,
    pub(crate) ended_at: Option<Timestamp>,
    /// The name that its receipt bears instead of its own: it was one of many.
    #[serde(default)]
    pub(crate) name: Option<String>,
    /// Its receipt waits until it has a name.
    #[serde(default)]
    pub(crate) awaits_name: bool,
}

impl Row for SubmissionRow {
    fn index(indexes: &mut Indexes, _: &str, old: Option<&Self>, new: Option<&Self>) {
        if let Some(old) = old {
            indexes.submissions.remove(old);
        }
        if let Some(new) = new {
            indexes.submissions.insert(new);
        }
    }
}

/// Where the words of a submission are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum HomeRow {
    /// In a whole SMS.
    Sms(i64),
    /// In a long SMS that waits for parts, by its key.
    Partial(String),
    /// Nowhere: it is for nobody.
    Nowhere,
}

/// An address as it stands in a PDU.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PartyRow {
    pub(crate) ton: u8,
    pub(crate) npi: u8,
    pub(crate) address: String,
}

impl std::fmt::Debug for PartyRow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PartyRow(…)")
    }
}

impl From<&Party> for PartyRow {
    fn from(party: &Party) -> Self {
        Self {
            ton: party.ton.0,
            npi: party.npi.0,
            address: party.address.clone(),
        }
    }
}

impl From<&PartyRow> for Party {
    fn from(row: &PartyRow) -> Self {
        Self {
            ton: Ton(row.ton),
            npi: Npi(row.npi),
            address: row.address.clone(),
        }
    }
}

/// A receipt that an account is owed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct OwedRow {
    pub(crate) id: i64,
    pub(crate) link_group: String,
    pub(crate) due_at: Timestamp,
    /// Given up then.
    pub(crate) until: Timestamp,
    /// Its answer is waited for.
    pub(crate) on_wire: bool,
    /// Grows with each claim.
    pub(crate) attempt: u32,
    /// Temporary errors.
    pub(crate) retries: u32,
    /// Sent again without knowing what became of the first.
    pub(crate) resends: u32,
}

impl Row for OwedRow {
    fn index(indexes: &mut Indexes, _: &str, old: Option<&Self>, new: Option<&Self>) {
        if let Some(old) = old {
            indexes.owed.remove(old);
        }
        if let Some(new) = new {
            indexes.owed.insert(new);
        }
    }
}

/// What the keys of all long SMS between a phone and a number begin with.
pub(crate) fn partials_key(link_group: &str, handset: &Handset, number: &str) -> String {
    format!("{link_group}|{}|{number}", handset.key())
}

/// Key of [`super::Partials`].
pub(crate) fn partial_key(partials: &str, reference: &str, total: u8) -> String {
    format!("{partials}|{reference}|{total}")
}

/// Key of [`super::Copies`].
pub(crate) fn copy_key(
    link_group: &str,
    handset: &Handset,
    number: &str,
    fingerprint: Uuid,
) -> String {
    format!(
        "{link_group}|{}|{number}|{}",
        handset.key(),
        fingerprint.simple()
    )
}
