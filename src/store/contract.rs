//! The operations that the gateway asks of its store, and the values they speak in.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use matrix_smpp_codec::e164::E164;
use matrix_smpp_codec::udh::Concat;
use matrix_smpp_codec::values::{DataCoding, MessageState as WireState};
use matrix_smpp_codec::{IdForm, Tlvs};
use matrix_smpp_config::Money;
use ruma::{OwnedEventId, OwnedRoomId, OwnedServerName, OwnedUserId, RoomId, ServerName, UserId};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::gateway::model::{
    Account, Conversation, ConversationId, Handset, InboxSeq, MessageId, MessageState, Originator,
    OutboxId, SegmentRef, SmsId, Source, TakenId, Timestamp,
};

pub use super::submitted::{
    Cancel, OwedReceipt, Party, ReceiptAnswer, ReceiptHistory, ReceiptOutcome, Replacement,
    Submission, SubmissionHistory, SubmissionIn, SubmissionRef,
};
pub use crate::gateway::message::{Failure, MessageView, NewMessage, OriginatorPlan, Refusal};
pub use crate::gateway::model::{Lease, Membership};

/// Everything durable. See the module's head for what each operation promises.
///
/// # Why each operation is atomic
///
/// For one reason: each is one function of the rows that it reads and changes (`store/steps`), run by one
/// thread. Where it fails, all of its changes are undone; where it does not, they are committed
/// together, in one transaction of SQLite or one call of Redis, and nobody hears of them before. What it
/// queues for people stands in the same commit.
///
/// # Why each operation bears repetition
///
/// | operation | what is there after the first time, so that the second changes nothing |
/// |---|---|
/// | [`take_transaction`](Self::take_transaction) | the event's id; of what is no event, its homeserver, transaction and content |
/// | [`finish_event`](Self::finish_event), [`finish_sms`](Self::finish_sms), [`finish_outbox`](Self::finish_outbox), [`finish_said`](Self::finish_said) | the row of this number is gone, or set aside: nothing is left to end |
/// | [`put_room`](Self::put_room), [`put_member`](Self::put_member), [`set_encrypted`](Self::set_encrypted), [`set_ghost_ready`](Self::set_ghost_ready), [`place_conversation`](Self::place_conversation), [`set_limit`](Self::set_limit), [`dedicate`](Self::dedicate), [`undedicate`](Self::undedicate), [`name_submissions`](Self::name_submissions) | the same: they say what is from now on, not by how much it changes |
/// | [`open_conversation`](Self::open_conversation) | the active conversation of this room and handset, or of this owner and handset: it is found |
/// | [`end_conversation`](Self::end_conversation) | the conversation is not active; its lease cools off since the first time |
/// | [`accept_message`](Self::accept_message) | the message of this id, which is computed from its source and conversation: its state is told. A refusal leaves nothing, and is judged anew |
/// | [`accept_event`](Self::accept_event) | both: the messages of these ids, and the row of the event is gone. A refusal leaves nothing of any of them |
/// | [`claim`](Self::claim), [`claim_receipts`](Self::claim_receipts) | what was claimed is not queued any more. Where the answer was lost, it is as if its bytes may have left: [`recover`](Self::recover) and the policy of its route see to it |
/// | [`record_answers`](Self::record_answers), [`record_receipts`](Self::record_receipts) | the attempt that the answer names is not on the wire any more |
/// | [`cancel_event`](Self::cancel_event), [`cancel_submissions`](Self::cancel_submissions) | nothing of it waits: its end is final |
/// | [`replace_submission`](Self::replace_submission) | the same text and times |
/// | [`recover`](Self::recover) | no segment has an intent, no receipt is on the wire |
/// | [`sweep`](Self::sweep), [`hasten`](Self::hasten), [`hurry_outbox`](Self::hurry_outbox) | what was due is done, or due already |
/// | [`take_receipts`](Self::take_receipts) | the final state, which stays; one that waits is there with the same words |
/// | [`take_sms`](Self::take_sms) | what was taken, and whether its answer was heard: see [`SmsIn`]. SMPP has no identity to go by |
/// | [`sms_heard`](Self::sms_heard), [`say_sms`](Self::say_sms) | the mark that it was heard, that it may have been said |
/// | [`enqueue`](Self::enqueue) | the entry's key, done or not |
/// | [`hand_on`](Self::hand_on) | both: the entry's key, and the row of the SMS is gone |
/// | [`postpone_outbox`](Self::postpone_outbox) | the same time; only the count of attempts, which makes waits longer, grows with each call |
/// | [`retry_aside`](Self::retry_aside), [`drop_aside`](Self::drop_aside), [`release_lease`](Self::release_lease) | it is not there any more: `false` |
/// | [`top_up`](Self::top_up) | the payment's key with its amount; the same key with another amount is refused |
///
/// All others ask and change nothing.
#[async_trait]
pub trait Store: fmt::Debug + Send + Sync {
    // --- what the homeserver says -------------------------------------------------------------

    /// Takes a transaction in: every event whose id is new, and whatever the homeserver never
    /// sends again. Idempotent by event id, never by transaction id, which repeats after a
    /// restart of Synapse.
    async fn take_transaction(&self, transaction: Transaction) -> Result<Taken>;

    /// Those of these events that never came, in the same order. An event that came is known for 30
    /// days after it.
    async fn unknown_events(
        &self,
        homeserver: &ServerName,
        events: Vec<OwnedEventId>,
    ) -> Result<Vec<OwnedEventId>>;

    /// Events not finished yet, after `after`, oldest first.
    async fn pending_events(&self, after: InboxSeq, limit: usize) -> Result<Vec<InboxEvent>>;

    /// Ends an event. Its id stays known, so that a repeat is recognised; its content goes unless
    /// it is set aside.
    async fn finish_event(&self, seq: InboxSeq, ending: Ending) -> Result<()>;

    // --- ghosts and rooms ---------------------------------------------------------------------

    /// True once the ghost is registered, named and has its device.
    async fn ghost_is_ready(&self, ghost: &UserId) -> Result<bool>;

    /// Remembers that the ghost is registered, named and has its device.
    async fn set_ghost_ready(&self, ghost: &UserId) -> Result<()>;

    /// Replaces all that is known of a room by what its state says now.
    async fn put_room(&self, room: RoomFacts) -> Result<()>;

    /// One membership changed. Members that are not invited or joined any more are forgotten; so is
    /// a room that the last ready ghost has left and in which no conversation is active.
    /// Nothing is kept of a room that [`Store::put_room`] has not told yet: it will tell all.
    async fn put_member(
        &self,
        homeserver: &ServerName,
        room: &RoomId,
        member: Member,
    ) -> Result<()>;

    /// The room is encrypted from now on; there is no way back. Nothing is kept of a room never
    /// put.
    async fn set_encrypted(&self, homeserver: &ServerName, room: &RoomId) -> Result<()>;

    /// What is known of a room with its active conversations; `None` for one never seen.
    async fn room(&self, homeserver: &ServerName, room: &RoomId) -> Result<Option<RoomView>>;

    /// About `limit` of all rooms, in no order, from the beginning or from where the last page ended.
    /// A room that is known throughout is in at least one page.
    async fn rooms(&self, from: Option<String>, limit: usize) -> Result<RoomsPage>;

    /// The room that only `bot` and `user` share (either may still be invited); the newest of
    /// several.
    async fn bot_room(
        &self,
        homeserver: &ServerName,
        bot: &UserId,
        user: &UserId,
    ) -> Result<Option<OwnedRoomId>>;

    // --- conversations ------------------------------------------------------------------------

    /// Finds the active conversation that fits, or makes it. A direct one takes over the number of
    /// the owner's other direct conversation with this handset, which ends. An ended conversation
    /// of the same room and handset becomes active again, with its number where that is still
    /// reserved for it.
    async fn open_conversation(&self, request: OpenConversation) -> Result<Opened>;

    /// Ends a conversation: what is queued is cancelled and refunded (which is news), its lease
    /// cools off. Idempotent.
    async fn end_conversation(
        &self,
        id: ConversationId,
        cooling_off: Duration,
        now: Timestamp,
    ) -> Result<()>;

    /// Ties a conversation to the room that was made for it, or to another one.
    async fn place_conversation(&self, id: ConversationId, room: &RoomId) -> Result<()>;

    /// The active direct conversation of a Matrix user and a phone.
    async fn direct_conversation(
        &self,
        owner: &UserId,
        handset: &Handset,
    ) -> Result<Option<Conversation>>;

    /// One conversation, active or ended.
    async fn conversation(&self, id: ConversationId) -> Result<Option<Conversation>>;

    // --- messages towards phones --------------------------------------------------------------

    /// Accepts a message: in one step finds the originator (keeps the conversation's, or leases a
    /// free VMN), reserves its whole price and queues its segments; or refuses it and changes
    /// nothing. Idempotent by [`NewMessage::id`]: a repeat tells the present state.
    async fn accept_message(&self, message: NewMessage) -> Result<Acceptance>;

    /// Accepts everything that event `seq` says to phones and ends it, in one commit: each message as
    /// [`Store::accept_message`] does, the event as [`Store::finish_event`] does. Fails with
    /// [`StoreError::Conflict`] where a message is refused; then the others are not accepted either.
    /// Idempotent by each [`NewMessage::id`] and by `seq`: what was accepted or has ended stays as it is.
    async fn accept_event(&self, seq: InboxSeq, messages: Vec<NewMessage>) -> Result<()>;

    /// Takes up to `limit` due segments of a link group, lane heads only, and records for each the
    /// intent to send it. What is returned may be written to the wire.
    async fn claim(&self, link_group: &str, limit: usize, now: Timestamp) -> Result<Vec<Claimed>>;

    /// When the next segment or owed receipt of the link group falls due; in the past if it is due
    /// already.
    async fn next_due(&self, link_group: &str) -> Result<Option<Timestamp>>;

    /// Records what became of claimed segments: settles, releases, queues again or parks them as
    /// uncertain; matches receipts that came early; queues [`OutboxItem::MessageNews`] for each
    /// message whose state changed. An answer to an older attempt than the recorded one is ignored.
    async fn record_answers(&self, answers: Vec<Answer>, now: Timestamp) -> Result<()>;

    /// Takes back what event `event` says to phones, where no byte has been written: refunds and
    /// frees the lane, without news: whoever asks for it tells. A message with any segment past the queue stays whole. Gives all messages of
    /// the event, as they are then.
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
    async fn recover(&self, now: Timestamp) -> Result<usize>;

    /// Does what is due by time: expires queued messages past their validity (refund, news), ends
    /// holds of uncertain segments and waits for receipts, frees cooled leases, hands partial SMS over, forgets old
    /// parked receipts and duplicate keys. Does at most `limit` of each; true if there may be more.
    async fn sweep(&self, now: Timestamp, limit: usize) -> Result<bool>;

    /// What is put off to later than `latest` is due at `latest`, and at once where it was never tried:
    /// segments, things to do at homeservers, owed receipts. For what was put off while the clock
    /// was ahead: `latest` is later than anything is put off by a clock that is right. At most
    /// `limit` of each; true if there may be more. Idempotent.
    async fn hasten(&self, now: Timestamp, latest: Timestamp, limit: usize) -> Result<bool>;

    // --- what the SMSC says -------------------------------------------------------------------

    /// Delivery receipts, one after the other. Matches the segment by (link group, message id), else by
    /// evidence (the one uncertain segment between the same two numbers), else parks it for an answer
    /// that is still to come. A final state never goes back. What became of each; where one of them
    /// cannot be taken, none is.
    async fn take_receipts(&self, receipts: Vec<ReceiptIn>) -> Result<Vec<ReceiptTaken>>;

    /// The same for one.
    async fn take_receipt(&self, receipt: ReceiptIn) -> Result<ReceiptTaken> {
        let mut taken = self.take_receipts(vec![receipt]).await?;
        let taken = taken.pop();
        taken.ok_or_else(|| StoreError::Corrupt("a receipt came to nothing".to_owned()))
    }

    /// An SMS or one segment of it. Durable, joined when the last part is there, then pending. A
    /// copy of one that was taken before is told from a new SMS as [`SmsIn`] says.
    async fn take_sms(&self, sms: SmsIn) -> Result<SmsTaken>;

    /// The peer is known to have read our positive answers to these: it will not bring them again.
    /// Idempotent; ids that are forgotten are passed over.
    async fn sms_heard(&self, ids: Vec<TakenId>, now: Timestamp) -> Result<()>;

    /// Whole SMS not finished yet, after `after`, oldest first.
    async fn pending_sms(&self, after: SmsId, limit: usize) -> Result<Vec<Sms>>;

    /// One SMS, finished or not.
    async fn sms(&self, id: SmsId) -> Result<Option<Sms>>;

    /// Ends an SMS: everything that follows from it has been queued.
    async fn finish_sms(&self, id: SmsId, ending: Ending) -> Result<()>;

    /// Queues what a homeserver must hear of an SMS, and ends the SMS: there is nothing else to do with it.
    async fn hand_on(&self, id: SmsId, entry: NewOutbox, now: Timestamp) -> Result<()>;

    /// The last look at an SMS before it is said: from now on nobody can withdraw or change it.
    /// `None` for one that was withdrawn, or whose validity is over, which this ends.
    async fn say_sms(&self, id: SmsId, now: Timestamp) -> Result<Option<Sms>>;

    // --- what accounts that bind to us are owed -----------------------------------------------

    /// What became of a submission.
    async fn submission(&self, of: SubmissionRef) -> Result<Option<Submission>>;

    /// Withdraws submissions that cannot have been said yet: they never will be, and their receipts
    /// are owed. Tells how many; an SMS of several parts is withdrawn by all of them or none.
    async fn cancel_submissions(&self, which: Cancel, now: Timestamp) -> Result<usize>;

    /// Gives a submission of one part another text and, where its time has not come, another time;
    /// as long as it cannot have been said yet. False where that is too late or there is none.
    async fn replace_submission(&self, replacement: Replacement) -> Result<bool>;

    /// Gives submissions one name together, which their receipts bear ([`OwedReceipt::name`]). Those that
    /// waited for it ([`SubmissionIn::awaits_name`]) are due from now on.
    async fn name_submissions(&self, ids: Vec<TakenId>, name: String) -> Result<()>;

    /// Takes up to `limit` receipts that are owed to a link group and due. What is returned may be
    /// written to the wire.
    async fn claim_receipts(
        &self,
        link_group: &str,
        limit: usize,
        now: Timestamp,
    ) -> Result<Vec<OwedReceipt>>;

    /// Records what became of claimed receipts. An answer to an older attempt than the recorded one
    /// is ignored, unless it ends the matter.
    async fn record_receipts(&self, answers: Vec<ReceiptAnswer>, now: Timestamp) -> Result<()>;

    // --- what the homeserver must hear --------------------------------------------------------

    /// Queues things to do at the homeserver. Idempotent by [`NewOutbox::key`].
    async fn enqueue(&self, entries: Vec<NewOutbox>, now: Timestamp) -> Result<()>;

    /// What is due, lane by lane: the lane whose first unfinished entry is due the longest comes first, at
    /// most so many lanes, leaving out those in [`Due::busy`]; of each its first entries, in order.
    async fn due_outbox(&self, due: Due) -> Result<Vec<OutboxEntry>>;

    /// Ends an entry.
    async fn finish_outbox(&self, id: OutboxId, ending: Ending) -> Result<()>;

    /// Ends entries of which all is said, as [`Ending::Done`] does.
    async fn finish_said(&self, ids: Vec<OutboxId>) -> Result<()>;

    /// Puts an entry off until `at`; its lane waits with it. Counts an attempt.
    async fn postpone_outbox(&self, id: OutboxId, at: Timestamp, error: &str) -> Result<()>;

    /// When the next postponed entry falls due, leaving out the lanes in `busy`.
    async fn next_outbox_due(&self, busy: &[String]) -> Result<Option<Timestamp>>;

    /// Makes every postponed entry due now: a homeserver that gave no answers gives answers again.
    async fn hurry_outbox(&self, now: Timestamp) -> Result<()>;

    // --- what was set aside -------------------------------------------------------------------

    /// What was set aside, at most `limit` of each kind, oldest first.
    async fn aside(&self, limit: usize) -> Result<Vec<Aside>>;

    /// Puts something that was set aside back into its lane, before whatever waits there. False
    /// where nothing of this id is set aside.
    async fn retry_aside(&self, id: AsideId, now: Timestamp) -> Result<bool>;

    /// Ends something that was set aside, for good; its content goes. What an event has queued for
    /// phones and no byte of which has left is taken back and refunded, with news. False where
    /// nothing of this id is set aside.
    async fn drop_aside(&self, id: AsideId, now: Timestamp) -> Result<bool>;

    // --- money --------------------------------------------------------------------------------

    /// Pays into an account; negative amounts take out, as far as the limit allows. Idempotent by
    /// `key`, which means the same owner and amount for ever ([`StoreError::Conflict`]).
    async fn top_up(
        &self,
        owner: &UserId,
        amount: Money,
        key: &str,
        now: Timestamp,
    ) -> Result<Account>;

    /// Sets how far below zero a balance may go. Fails with [`StoreError::Conflict`] where the
    /// balance is below that already.
    async fn set_limit(&self, owner: &UserId, limit: Money) -> Result<Account>;

    /// An account; all zero for one never seen.
    async fn account(&self, owner: &UserId) -> Result<Account>;

    /// Every account, by Matrix ID.
    async fn accounts(&self) -> Result<Vec<(OwnedUserId, Account)>>;

    /// Rebuilds every account from the ledger and lists those that differ; none when all is well. Other
    /// operations go on meanwhile, and are in what is compared.
    async fn audit(&self) -> Result<Audit>;

    // --- numbers ------------------------------------------------------------------------------

    /// All leases, active and cooling.
    async fn leases(&self) -> Result<Vec<Lease>>;

    /// The leases of about `limit` phones, in no order, from the beginning or from where the last page
    /// ended. A phone whose leases stay as they are throughout is in at least one page.
    async fn leases_page(&self, from: Option<String>, limit: usize) -> Result<LeasesPage>;

    /// Frees a lease at once, cooling-off included; its conversation forgets the number. True if
    /// there was one. Fails with [`StoreError::Conflict`] while a message from the number may still
    /// leave (queued, on the wire, uncertain): the pair would serve two conversations.
    async fn release_lease(&self, vmn: E164, handset: &Handset) -> Result<bool>;

    /// Gives a number to a Matrix ID: any handset may text it first. Fails with
    /// [`StoreError::Conflict`] while another owner has it or a pool lease is on it.
    async fn dedicate(&self, number: &str, owner: &UserId) -> Result<()>;

    /// Takes a dedicated number back. True if it was dedicated.
    async fn undedicate(&self, number: &str) -> Result<bool>;

    /// The numbers dedicated through [`Store::dedicate`] (those in the config are not here).
    async fn dedicated(&self) -> Result<Vec<(String, OwnedUserId)>>;

    // --- questions ----------------------------------------------------------------------------

    /// Commits something without meaning and returns after it is on the disk, by the same way as
    /// every other change: fails with [`StoreError::Unavailable`] where the disk is full or
    /// read-only, and does not return while the disk hangs or changes queue.
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

    /// Returns once another gateway has taken the store over: every operation fails from then on. Never,
    /// where that cannot be.
    async fn lost(&self) {
        std::future::pending::<()>().await;
    }

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

/// Why the store did not do it. Nothing has changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The engine failed (disk full, I/O error, closed): try again later.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
    /// The request contradicts what is stored.
    #[error("{0}")]
    Conflict(String),
    /// Another instance has taken the store over: nothing can be done through this one any more.
    #[error("another instance has taken the store over")]
    Lost,
    /// Stored data cannot be read back: a bug or a damaged file.
    #[error("the store holds something unreadable: {0}")]
    Corrupt(String),
}

/// One transaction of a homeserver (Application Service API, `PUT /transactions/{txnId}`).
#[derive(Clone)]
pub struct Transaction {
    /// Who sends.
    pub homeserver: OwnedServerName,
    /// The homeserver's id for it: a hint for people, never a key.
    pub txn_id: String,
    /// The room events, in order.
    pub events: Vec<NewEvent>,
    /// What the homeserver never sends again, as one JSON object: `to_device`, `device_lists`,
    /// one-time-key counts, fallback-key types. `None` when the transaction has none.
    pub extras: Option<String>,
    /// When it came.
    pub at: Timestamp,
}

/// A room event as it came.
#[derive(Clone)]
pub struct NewEvent {
    /// Unique in one homeserver.
    pub event_id: OwnedEventId,
    /// The lane in which it is handled.
    pub room: OwnedRoomId,
    /// The event's JSON, client format.
    pub json: String,
    /// Nothing follows from it: it is to be known, and never handled.
    pub is_over: bool,
}

/// What became of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Taken {
    /// Events that are new.
    pub new: usize,
    /// Events that we had.
    pub repeated: usize,
}

/// An event that waits to be handled.
#[derive(Clone)]
pub struct InboxEvent {
    /// Its place.
    pub seq: InboxSeq,
    /// Who sent it to us.
    pub homeserver: OwnedServerName,
    /// Its id.
    pub event_id: OwnedEventId,
    /// Its room.
    pub room: OwnedRoomId,
    /// Its JSON, client format.
    pub json: String,
    /// When it came.
    pub at: Timestamp,
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

/// What a room's state says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoomFacts {
    /// Whose room this is.
    pub homeserver: OwnedServerName,
    /// The room.
    pub room: OwnedRoomId,
    /// It has an `m.room.encryption` event.
    pub encrypted: bool,
    /// Everyone invited or joined.
    pub members: Vec<Member>,
}

/// One person in a room.
#[derive(Clone, PartialEq, Eq)]
pub struct Member {
    /// Who.
    pub user: OwnedUserId,
    /// Their standing.
    pub membership: Membership,
    /// Their name in this room.
    pub display_name: Option<String>,
}

/// Some rooms.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RoomsPage {
    /// Them.
    pub rooms: Vec<RoomFacts>,
    /// Where the next page begins; `None` after the last.
    pub next: Option<String>,
}

/// A room with its active conversations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoomView {
    /// What its state says.
    pub facts: RoomFacts,
    /// Its active conversations, oldest first.
    pub conversations: Vec<Conversation>,
}

/// Asks for a conversation.
#[derive(Clone)]
pub struct OpenConversation {
    /// Whose ghost it is.
    pub homeserver: OwnedServerName,
    /// The portal; `None` finds or makes the owner's direct conversation with the handset, whose
    /// room may still have to be created.
    pub room: Option<OwnedRoomId>,
    /// The phone.
    pub handset: Handset,
    /// Its Matrix user.
    pub ghost: OwnedUserId,
    /// Who invited the ghost, or owns the number that the phone texted.
    pub owner: OwnedUserId,
    /// Only one per (owner, handset).
    pub direct: bool,
    /// The number to use, when the phone texted a dedicated one first. Where it serves this handset
    /// in an active conversation of the same owner already, that conversation is the answer; where
    /// another owner's has it (cooling included), this one is opened without it.
    pub originator: Option<Originator>,
    /// Now.
    pub now: Timestamp,
}

/// The conversation that was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// It.
    pub conversation: Conversation,
    /// The direct conversation whose number it took over, if this call did; its room hears of it by
    /// [`OutboxItem::Moved`].
    pub replaced: Option<Conversation>,
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

/// An SMS or one segment of it, as the SMSC delivered it.
///
/// # Copies
///
/// SMPP 3.4 gives an SMS no identity: `sequence_number` belongs to a bind. An SMSC that missed our
/// answer brings the SMS again, later and on any bind of the link group, and what it brings looks
/// like a second text with the same words. So the store remembers of each SMS on which bind it was
/// taken last and whether the peer *heard* our answer ([`Store::sms_heard`]). *The same* means: link
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
        /// For [`Store::sms_heard`].
        id: TakenId,
        /// All parts are there.
        complete: bool,
    },
    /// We had it.
    Repeated {
        /// For [`Store::sms_heard`].
        id: TakenId,
    },
    /// The same words were taken on another bind that lives, and whether the peer heard that answer
    /// is not known yet: nothing stored. Ask that bind, then try again.
    Undecided {
        /// The other bind.
        session: Uuid,
    },
    /// The handset holds no lease on the number and the number is nobody's own: nothing stored.
    NotLeased,
    /// The same, of an account that wants to hear so by its id: see [`SubmissionIn::to_nobody`].
    Undeliverable {
        /// For [`Store::sms_heard`].
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
    /// [`say_sms`](Store::say_sms).
    pub sms: Option<Sms>,
    /// How often it was tried.
    pub attempts: u32,
    /// When it was queued.
    pub queued_at: Timestamp,
}

/// The leases of some phones.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LeasesPage {
    /// All leases of each phone.
    pub phones: Vec<Vec<Lease>>,
    /// Where the next page begins; `None` after the last.
    pub next: Option<String>,
}

/// What a comparison of all accounts with the ledger has found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Audit {
    /// Accounts that the ledger contradicts, by Matrix ID.
    pub differences: Vec<AuditDifference>,
    /// Accounts and ledger rows that cannot be read: it says nothing of those.
    pub unreadable: u64,
}

impl Audit {
    /// Everything was read, and agrees.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.differences.is_empty() && self.unreadable == 0
    }
}

/// An account that the ledger contradicts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditDifference {
    /// Whose.
    pub owner: OwnedUserId,
    /// What is stored.
    pub stored: Account,
    /// What the ledger says.
    pub ledger: Account,
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
    /// Messages and their history.
    pub messages: u64,
}
