//! SMS from phones: taken in, told from copies, said in a room.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use matrix_smpp_codec::udh::Concat;
use matrix_smpp_codec::values::DataCoding;
use ruma::OwnedUserId;
use uuid::Uuid;

use super::{Ending, NewOutbox, Result, SubmissionIn};
use crate::gateway::model::{ConversationId, Handset, SmsId, TakenId, Timestamp};
use crate::gateway::opt_out::Wish;

/// SMS from the PDU that brings them to the entry that has them said. Done by `steps/sms.rs`,
/// `steps/parts.rs` (long ones) and `steps/copies.rs` (what was there before); why that is atomic:
/// [`Store`](super::Store).
#[async_trait]
pub trait SmsStore {
    /// An SMS or one segment of it. Durable, joined when the last part is there, then pending. Whom it
    /// is for is settled in the same commit, as the leases stand then; so is what it says about being texted
    /// ([`OptOutStore`](super::OptOutStore)).
    ///
    /// *Again*: SMPP gives an SMS no identity, so a copy of one that was taken before is told from a new
    /// one by what was taken, over which bind, and whether its answer was heard: as [`SmsIn`] says.
    async fn take_sms(&self, sms: SmsIn) -> Result<SmsTaken>;

    /// The peer is known to have read our positive answers to these: it will not bring them again.
    ///
    /// *Again*: the mark is there. Ids that are forgotten are passed over.
    async fn sms_heard(&self, ids: Vec<TakenId>, now: Timestamp) -> Result<()>;

    /// Whole SMS not finished yet, after `after`, oldest first.
    async fn pending_sms(&self, after: SmsId, limit: usize) -> Result<Vec<Sms>>;

    /// One SMS, finished or not; `None` for one that was withdrawn.
    async fn sms(&self, id: SmsId) -> Result<Option<Sms>>;

    /// Ends an SMS: everything that follows from it has been queued. What people hear of one that is set
    /// aside is queued in the same commit.
    ///
    /// *Again*: it is not pending any more: nothing changes, and nobody hears of it twice.
    async fn finish_sms(&self, id: SmsId, ending: Ending) -> Result<()>;

    /// Queues what a homeserver must hear of an SMS, and ends the SMS: there is nothing else to do with it.
    ///
    /// *Again*: the entry's key is known, and the SMS is not pending.
    async fn hand_on(&self, id: SmsId, entry: NewOutbox, now: Timestamp) -> Result<()>;

    /// The last look at an SMS before it is said: from now on nobody can withdraw or change it.
    /// `None` for one that was withdrawn, or whose validity is over, which this ends.
    ///
    /// *Again*: the same answer, with a later time at which it may have been said.
    async fn say_sms(&self, id: SmsId, now: Timestamp) -> Result<Option<Sms>>;
}

/// An SMS or one segment of it, as the SMSC delivered it.
///
/// # Copies
///
/// SMPP 3.4 gives an SMS no identity: `sequence_number` belongs to a bind. An SMSC that missed our
/// answer brings the SMS again, later and on any bind of the link group, and what it brings looks
/// like a second text with the same words. So the store remembers of each SMS on which bind it was
/// taken last and whether the peer *heard* our answer ([`SmsStore::sms_heard`]). *The same* means: link
/// group, phone, number, coding, octets, place among the parts, and what the peer says of the
/// message's identity ([`Self::user_message_reference`], [`Self::peer_id`]).
///
/// - Where the peer has heard the answer, the same words are a new SMS, at once and for ever. The
///   proof is a response of the peer to a request of ours that stood behind the answer; a bind that
///   lives is asked for one within seconds.
/// - Where it has not, and the bind is over, the same words within [`REDELIVERY_WINDOW`] are a copy.
///   The copy takes the place of the first: now its own answer counts. So one SMS explains one copy,
///   and two texts with the same words that were both cut off explain two.
/// - Where it has not, and the bind still lives: on the same bind they are a new SMS (nobody sends
///   again over a bind that works before its answer is late), and on another bind nobody can know
///   yet: [`SmsTaken::Undecided`].
/// - What comes on a bind that is over by now is a copy of one taken on any other bind, heard or not:
///   nobody hears its answer, so the SMSC brings it again if it was none.
///
/// A part of a long SMS has a reference of the phone's own as evidence: the same part is a copy on
/// whichever bind, for [`REDELIVERY_WINDOW`] or, once heard, for [`PART_WINDOW`] (phones send a part
/// again whose acknowledgement they missed), and for as long as its SMS waits for other parts.
/// References are used again (8 bits wrap after 256 long texts), so later it is a new one. A peer
/// that names its messages ([`Self::peer_id`]) is believed for [`REDELIVERY_WINDOW`] on any bind.
#[derive(Clone, PartialEq, Eq)]
pub struct SmsIn {
    /// Where it came in.
    pub link_group: String,
    /// The bind it came on; a new value for each bind of each link.
    pub session: Uuid,
    /// The binds of this link group that are up now.
    pub living_sessions: Vec<Uuid>,
    /// Who texts.
    pub from: Handset,
    /// The number texted: digits.
    pub to: String,
    /// Set for a segment of a long SMS.
    pub concat: Option<Concat>,
    /// How the payload is coded.
    pub data_coding: DataCoding,
    /// The text octets without user data header.
    pub payload: Bytes,
    /// `user_message_reference`, where the peer sends one (SMPP 3.4 §5.3.2.17): the sender's own
    /// number for the message, which a copy keeps.
    pub user_message_reference: Option<u16>,
    /// `receipted_message_id`, where the peer sends one with a text (some aggregators do): its own
    /// name for the message, which a copy keeps and no other message has.
    pub peer_id: Option<String>,
    /// The number is dedicated to this Matrix ID by the config (the store knows its own ones).
    pub dedicated_to: Option<OwnedUserId>,
    /// Set where an account of ours submitted it: its fate is kept under its [`TakenId`].
    pub submitted: Option<SubmissionIn>,
    /// What it says about being texted, where that is all that it says.
    pub wish: Option<Wish>,
    /// How many SMS may wait for their rooms.
    pub most_waiting: usize,
    /// How many long SMS may wait for missing parts; the oldest makes room.
    pub most_partial: usize,
    /// Note that this phone has texted us, for the limits against pumped traffic.
    pub note_sender: bool,
    /// When it came.
    pub at: Timestamp,
}

/// How long after an SMS whose answer the peer may have missed the same words are a copy of it.
/// Schedules of SMSCs end with a try every hour for 24 hours (Infobip, "Retry"; others give up after
/// 4 hours or before).
pub const REDELIVERY_WINDOW: Duration = Duration::from_hours(25);

/// How long after a part whose answer the peer has heard the same part is a copy of it, and how long
/// a copy on a bind that is over can have waited to be taken in. A phone sends again within a minute (3GPP TS 24.011 §10, timer TR1N and its repetitions).
pub const PART_WINDOW: Duration = Duration::from_mins(10);

/// What became of an inbound SMS segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SmsTaken {
    /// Durable; `complete` when the SMS is whole and now pending.
    Stored {
        /// For [`SmsStore::sms_heard`].
        id: TakenId,
        /// All parts are there.
        complete: bool,
    },
    /// We had it.
    Repeated {
        /// For [`SmsStore::sms_heard`].
        id: TakenId,
    },
    /// The same words were taken on another bind that lives, and whether the peer heard that answer
    /// is not known yet: nothing stored. Ask that bind, then try again.
    Undecided {
        /// The other bind.
        session: Uuid,
    },
    /// As many SMS wait as may: nothing stored. Try again later.
    Full,
    /// The handset holds no lease on the number and the number is nobody's own: nothing stored.
    NotLeased,
    /// The same, and what the phone says about being texted holds from now on.
    Heeded,
    /// Nobody holds the number, and the account wants to hear so by its id: see [`SubmissionIn::to_nobody`].
    Undeliverable {
        /// For [`SmsStore::sms_heard`].
        id: TakenId,
    },
}

/// A whole SMS that waits to be handed on.
#[derive(Clone, PartialEq, Eq)]
pub struct Sms {
    /// Which.
    pub id: SmsId,
    /// Where it came in.
    pub link_group: String,
    /// Who texts.
    pub from: Handset,
    /// The number texted: digits.
    pub to: String,
    /// Its text, joined and decoded.
    pub text: String,
    /// Parts that never came: the text has gaps.
    pub missing_parts: u8,
    /// Whom it is for, as the leases stood when its first part came.
    pub recipient: SmsRecipient,
    /// What it says about being texted, where that is all that it says.
    pub wish: Option<Wish>,
    /// When its first part came.
    pub at: Timestamp,
}

/// Whom an inbound SMS is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SmsRecipient {
    /// The conversation that leases the number for this handset.
    Conversation(ConversationId),
    /// The lease is cooling off: its old conversation's owner is told, nobody else.
    Former(ConversationId),
    /// The owner of a dedicated number, to whom this handset has not spoken yet.
    Owner(OwnedUserId),
}
