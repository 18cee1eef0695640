//! What accounts that bind to us submit, ask of it and are owed.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use matrix_smpp_codec::values::{MessageState as WireState, Npi, RegisteredDelivery, Ton};
use serde::{Deserialize, Serialize};

use super::Result;
use crate::gateway::model::{TakenId, Timestamp};

/// What accounts that bind to us have submitted, and the receipts that they are owed for it. Done by
/// `steps/submissions.rs`, `steps/owed.rs` and `steps/scheduled.rs`; why that is atomic:
/// [`Store`](super::Store).
///
/// A submission comes with its SMS ([`take_sms`](super::SmsStore::take_sms)) and ends once, in the commit
/// that ends the SMS; its receipt is owed from that commit on.
#[async_trait]
pub trait SubmissionStore {
    /// What became of a submission.
    async fn submission(&self, of: SubmissionRef) -> Result<Option<Submission>>;

    /// Withdraws submissions that cannot have been said yet: they never will be, and their receipts
    /// are owed. Tells how many; an SMS of several parts is withdrawn by all of them or none.
    ///
    /// *Again*: their end is final: none is withdrawn.
    async fn cancel_submissions(&self, which: Cancel, now: Timestamp) -> Result<usize>;

    /// Gives a submission of one part another text and, where its time has not come, another time;
    /// as long as it cannot have been said yet. False where that is too late or there is none.
    ///
    /// *Again*: the same text and times; false once it may have been said.
    async fn replace_submission(&self, replacement: Replacement) -> Result<bool>;

    /// Gives submissions one name together, which their receipts bear ([`OwedReceipt::name`]). Those that
    /// waited for it ([`SubmissionIn::awaits_name`]) are due from now on.
    ///
    /// *Again*: they have that name.
    async fn name_submissions(&self, ids: Vec<TakenId>, name: String) -> Result<()>;

    /// Takes up to `limit` receipts that are owed to a link group and due. What is returned may be
    /// written to the wire.
    ///
    /// *Again*: it gives others. What was claimed and never written is due again after
    /// [`recover`](super::MessageStore::recover); a receipt may be sent twice, which does no harm.
    async fn claim_receipts(
        &self,
        link_group: &str,
        limit: usize,
        now: Timestamp,
    ) -> Result<Vec<OwedReceipt>>;

    /// Records what became of claimed receipts: all of the answers, or none.
    ///
    /// *Again*: the attempt that the answer names is not on the wire any more, or nothing is owed. An
    /// answer to an older attempt is ignored, unless it ends the matter.
    async fn record_receipts(&self, answers: Vec<ReceiptAnswer>, now: Timestamp) -> Result<()>;
}

/// What an account wants for an SMS or a part that it submits.
#[derive(Clone, PartialEq, Eq)]
pub struct SubmissionIn {
    /// Who sends, as it was submitted.
    pub source: Party,
    /// To whom, as it was submitted.
    pub destination: Party,
    /// Which receipts are wanted.
    pub receipt: RegisteredDelivery,
    /// How long a receipt waits for the account.
    pub receipt_age: Duration,
    /// Not to be said before; an earlier time than now means at once.
    pub deliver_at: Option<Timestamp>,
    /// Not to be said from then on.
    pub valid_until: Option<Timestamp>,
    /// One that is for nobody is taken too, as undeliverable ([`SmsTaken::Undeliverable`](super::SmsTaken::Undeliverable)).
    pub to_nobody: bool,
    /// Its receipt waits for the name that it is to bear
    /// ([`name_submissions`](SubmissionStore::name_submissions)), a minute at most.
    pub awaits_name: bool,
}

/// An address as it stands in a PDU. `Debug` shows its kind only.
#[derive(Clone, PartialEq, Eq)]
pub struct Party {
    /// Type of number.
    pub ton: Ton,
    /// Numbering plan.
    pub npi: Npi,
    /// Digits or a name.
    pub address: String,
}

/// What became of a submission.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Submission {
    /// How far it is. ENROUTE until its SMS was said, then DELIVERED; UNDELIVERABLE where it is for
    /// nobody or cannot be said, EXPIRED after its validity, DELETED once it was cancelled.
    pub state: WireState,
    /// When it reached its final state.
    pub ended_at: Option<Timestamp>,
}

/// What is known of a submission, for `explain`: nothing that was said, and no number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubmissionHistory {
    /// Its id, as its account knows it.
    pub id: String,
    /// The account.
    pub account: String,
    /// [`Submission::state`], as SMPP counts them.
    pub state: u8,
    /// Whom it is for; `None` for nobody, and once that is forgotten.
    pub recipient: Option<String>,
    /// It is a part of a long SMS that waits for the others.
    pub waits_for_parts: bool,
    /// Why its SMS was set aside, where it was.
    pub aside: Option<String>,
    /// When it came.
    pub at: Timestamp,
    /// The time that it waits for.
    pub due_at: Option<Timestamp>,
    /// The end of its validity.
    pub valid_until: Option<Timestamp>,
    /// When it was last tried to say it.
    pub said_at: Option<Timestamp>,
    /// When it reached its final state.
    pub ended_at: Option<Timestamp>,
    /// What became of its receipt.
    pub receipt: ReceiptHistory,
}

/// How far the receipt of a submission is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReceiptHistory {
    /// None was asked for, or none for such an end.
    NotWanted,
    /// Its message has not reached its end.
    NotYet,
    /// The account is owed it.
    Owed {
        /// How often it was sent.
        attempts: u32,
        /// Due then; `None` while its answer is waited for.
        due_at: Option<Timestamp>,
        /// Given up then.
        until: Timestamp,
    },
    /// The account took it or refused it, or did not fetch it in time.
    Over,
}

/// A message of an account by its id and its source, which must fit.
#[derive(Clone, PartialEq, Eq)]
pub struct SubmissionRef {
    /// The account.
    pub link_group: String,
    /// Which.
    pub id: TakenId,
    /// [`SubmissionIn::source`], its address alone.
    pub source: String,
}

/// What is to be cancelled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cancel {
    /// One message.
    One(SubmissionRef),
    /// Every one that an account has submitted between two addresses.
    Between {
        /// The account.
        link_group: String,
        /// The address of [`SubmissionIn::source`].
        source: String,
        /// The address of [`SubmissionIn::destination`].
        destination: String,
    },
}

/// A new text for a submission.
#[derive(Clone, PartialEq, Eq)]
pub struct Replacement {
    /// Which.
    pub of: SubmissionRef,
    /// `short_message`; coded as the first text was.
    pub payload: Bytes,
    /// Which receipts are wanted now.
    pub receipt: RegisteredDelivery,
    /// Not to be said before; only of one whose time has not come. `None` to keep what was.
    pub deliver_at: Option<Timestamp>,
    /// Not to be said from then on; `None` to keep what was.
    pub valid_until: Option<Timestamp>,
    /// When this is wanted.
    pub at: Timestamp,
}

/// A receipt that an account is owed and that may be written to the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwedReceipt {
    /// What it is about.
    pub id: TakenId,
    /// The name that this has together with others, where it was given one.
    pub name: Option<String>,
    /// 1 for the first, and one more for each claim; must come back in the [`ReceiptAnswer`].
    pub attempt: u32,
    /// How many earlier attempts ended in an error.
    pub retries: u32,
    /// An earlier attempt may have reached the account.
    pub possible_duplicate: bool,
    /// Who sent the message.
    pub source: Party,
    /// To whom it was sent.
    pub destination: Party,
    /// What became of it.
    pub state: WireState,
    /// When it was submitted.
    pub at: Timestamp,
    /// When it reached its state.
    pub ended_at: Timestamp,
}

/// What became of a claimed receipt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReceiptAnswer {
    /// Which.
    pub id: TakenId,
    /// [`OwedReceipt::attempt`].
    pub attempt: u32,
    /// What.
    pub outcome: ReceiptOutcome,
}

/// What an attempt to hand a receipt over came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReceiptOutcome {
    /// The account has it, or refuses it for good: nothing more is owed.
    Over,
    /// No byte of it was written: due again at once.
    NotWritten,
    /// The account cannot take it now: due again at the time given.
    Retry {
        /// When to try again.
        retry_at: Timestamp,
    },
    /// The bytes may have left and no answer will come: due again at once. The account may get it
    /// twice, which does no harm.
    Uncertain,
}
