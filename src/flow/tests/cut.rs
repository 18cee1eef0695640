//! A store and a homeserver whose n-th call goes wrong: the process dies with it, it is refused, or
//! its answer is lost.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use matrix_smpp_codec::e164::E164;
use matrix_smpp_config::Money;
use ruma::{EventId, OwnedEventId, OwnedRoomId, OwnedUserId, RoomId, ServerName, UserId};
use serde_json::Value;
use tokio::sync::Notify;

use crate::gateway::limits::Limit;
use crate::gateway::model::{
    Account, Conversation, ConversationId, Handset, InboxSeq, MessageId, OutboxId, SmsId, TakenId,
    Timestamp,
};
use crate::gateway::opt_out::Wish;
use crate::matrix::homeserver::{self, Homeserver, MatrixError, NewRoom, RoomHistory, RoomState};
use crate::store::*;

/// What happens at the call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum How {
    /// It takes effect, and then the process is no more.
    Die,
    /// It has no effect and an answer that asks for a repeat.
    Refuse,
    /// It takes effect and its answer never comes. A store always answers.
    LoseAnswer,
}

/// Counts the calls of one process and cuts one of them.
#[derive(Debug, Default)]
pub(super) struct Cut {
    calls: AtomicUsize,
    at: Option<(usize, How)>,
    armed: AtomicBool,
    pub(super) died: Notify,
}

/// What a call is to those who cut it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Call {
    /// Changes nothing: to die after it is to die before the next one.
    Question,
    /// Changes the store, which always answers.
    Commit,
    /// Goes over the network.
    Request,
}

impl How {
    /// Other calls are not cut so, and not counted.
    fn concerns(self, call: Call) -> bool {
        match self {
            Self::Die => call != Call::Question,
            Self::Refuse => true,
            Self::LoseAnswer => call == Call::Request,
        }
    }
}

/// An error that asks for a repeat.
trait Temporary {
    fn temporary() -> Self;
}

impl Temporary for StoreError {
    fn temporary() -> Self {
        Self::Unavailable("cut".to_owned())
    }
}

impl Temporary for MatrixError {
    fn temporary() -> Self {
        Self::unanswered("cut")
    }
}

impl Cut {
    /// Cuts call number `call`, 1 for the first.
    pub(super) fn at(call: usize, how: How) -> Self {
        Self {
            at: Some((call, how)),
            ..Self::default()
        }
    }

    /// Counts from here on.
    pub(super) fn arm(&self) {
        self.armed.store(true, Ordering::SeqCst);
    }

    /// True once the call has come.
    pub(super) fn is_reached(&self) -> bool {
        let calls = self.calls.load(Ordering::SeqCst);
        self.at.is_some_and(|(call, _)| calls >= call)
    }

    async fn pass<T, E: Temporary>(
        &self,
        call: Call,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        let armed = self.armed.load(Ordering::SeqCst);
        let Some((at, how)) = self.at.filter(|(_, how)| armed && how.concerns(call)) else {
            return work.await;
        };
        if self.calls.fetch_add(1, Ordering::SeqCst) + 1 != at {
            return work.await;
        }
        if how != How::Refuse {
            drop(work.await);
        }
        if how == How::Die {
            self.died.notify_one();
            std::future::pending::<()>().await;
        }
        Err(E::temporary())
    }
}

#[derive(Debug)]
pub(super) struct CutStore {
    pub(super) inner: Arc<dyn Store>,
    pub(super) cut: Arc<Cut>,
}

#[derive(Debug)]
pub(super) struct CutHomeserver<H> {
    pub(super) inner: Arc<H>,
    pub(super) cut: Arc<Cut>,
}

macro_rules! cut_store {
    ($($area:ident {
        $($call:ident fn $name:ident($($arg:ident: $kind:ty),*) -> $out:ty;)*
        $(=> $same:ident() -> $told:ty;)?
    })*) => {$(
        #[async_trait]
        impl $area for CutStore {
            $(async fn $name(&self $(, $arg: $kind)*) -> Result<$out, StoreError> {
                self.cut.pass(Call::$call, self.inner.$name($($arg),*)).await
            })*

            $(fn $same(&self) -> $told {
                self.inner.$same()
            })?
        }
    )*};
}

cut_store! {
    EventStore {
        Commit fn take_transaction(transaction: Transaction) -> Taken;
        Question fn unknown_events(homeserver: &ServerName, events: Vec<OwnedEventId>) -> Vec<OwnedEventId>;
        Question fn pending_events(after: InboxSeq, limit: usize) -> Vec<InboxEvent>;
        Commit fn finish_event(seq: InboxSeq, ending: Ending) -> ();
    }
    RoomStore {
        Question fn ghost_is_ready(ghost: &UserId) -> bool;
        Commit fn set_ghost_ready(ghost: &UserId) -> ();
        Commit fn put_room(room: RoomFacts) -> ();
        Commit fn put_member(homeserver: &ServerName, room: &RoomId, member: Member) -> ();
        Commit fn set_encrypted(homeserver: &ServerName, room: &RoomId) -> ();
        Question fn room(homeserver: &ServerName, room: &RoomId) -> Option<RoomView>;
        Question fn rooms(from: Option<String>, limit: usize) -> RoomsPage;
        Question fn bot_room(homeserver: &ServerName, bot: &UserId, user: &UserId) -> Option<OwnedRoomId>;
    }
    ConversationStore {
        Commit fn open_conversation(request: OpenConversation) -> Opened;
        Commit fn end_conversation(id: ConversationId, cooling_off: Duration, now: Timestamp) -> ();
        Commit fn place_conversation(id: ConversationId, room: &RoomId) -> ();
        Question fn direct_conversation(owner: &UserId, handset: &Handset) -> Option<Conversation>;
        Question fn conversation(id: ConversationId) -> Option<Conversation>;
    }
    MessageStore {
        Commit fn accept_message(message: NewMessage) -> Acceptance;
        Commit fn accept_event(seq: InboxSeq, messages: Vec<NewMessage>) -> ();
        Commit fn claim(link_group: &str, limit: usize, now: Timestamp) -> Vec<Claimed>;
        Question fn next_due(link_group: &str) -> Option<Timestamp>;
        Commit fn record_answers(answers: Vec<Answer>, now: Timestamp) -> ();
        Commit fn cancel_event(homeserver: &ServerName, event: &OwnedEventId, now: Timestamp) -> Vec<MessageView>;
        Question fn messages_of_event(homeserver: &ServerName, event: &OwnedEventId) -> Vec<MessageView>;
        Question fn message(id: MessageId) -> Option<MessageView>;
        Commit fn recover(now: Timestamp) -> usize;
        Commit fn take_receipts(receipts: Vec<ReceiptIn>) -> Vec<ReceiptTaken>;
    }
    SmsStore {
        Commit fn take_sms(sms: SmsIn) -> SmsTaken;
        Commit fn sms_heard(ids: Vec<TakenId>, now: Timestamp) -> ();
        Question fn pending_sms(after: SmsId, limit: usize) -> Vec<Sms>;
        Question fn sms(id: SmsId) -> Option<Sms>;
        Commit fn finish_sms(id: SmsId, ending: Ending) -> ();
        Commit fn hand_on(id: SmsId, entry: NewOutbox, now: Timestamp) -> ();
        Commit fn say_sms(id: SmsId, now: Timestamp) -> Option<Sms>;
    }
    SubmissionStore {
        Question fn submission(of: SubmissionRef) -> Option<Submission>;
        Commit fn cancel_submissions(which: Cancel, now: Timestamp) -> usize;
        Commit fn replace_submission(replacement: Replacement) -> bool;
        Commit fn name_submissions(ids: Vec<TakenId>, name: String) -> ();
        Commit fn claim_receipts(link_group: &str, limit: usize, now: Timestamp) -> Vec<OwedReceipt>;
        Commit fn record_receipts(answers: Vec<ReceiptAnswer>, now: Timestamp) -> ();
    }
    OutboxStore {
        Commit fn enqueue(entries: Vec<NewOutbox>, now: Timestamp) -> ();
        Question fn due_outbox(due: Due) -> Vec<OutboxEntry>;
        Commit fn finish_outbox(id: OutboxId, ending: Ending) -> ();
        Commit fn finish_said(ids: Vec<OutboxId>) -> ();
        Commit fn postpone_outbox(id: OutboxId, at: Timestamp, error: &str) -> ();
        Question fn next_outbox_due(busy: &[String]) -> Option<Timestamp>;
        Commit fn hurry_outbox(now: Timestamp) -> ();
    }
    AsideStore {
        Question fn aside(limit: usize) -> Vec<Aside>;
        Commit fn retry_aside(id: AsideId, now: Timestamp) -> bool;
        Commit fn drop_aside(id: AsideId, now: Timestamp) -> bool;
    }
    MoneyStore {
        Commit fn top_up(owner: &UserId, amount: Money, key: &str, now: Timestamp) -> Account;
        Commit fn set_limit(owner: &UserId, limit: Money) -> Account;
        Question fn account(owner: &UserId) -> Account;
        Question fn accounts() -> Vec<(OwnedUserId, Account)>;
        Question fn audit() -> Audit;
    }
    LeaseStore {
        Question fn leases() -> Vec<Lease>;
        Question fn leases_page(from: Option<String>, limit: usize) -> LeasesPage;
        Commit fn release_lease(vmn: E164, handset: &Handset) -> bool;
        Commit fn dedicate(number: &str, owner: &UserId) -> ();
        Commit fn undedicate(number: &str) -> bool;
        Question fn dedicated() -> Vec<(String, OwnedUserId)>;
    }
    OptOutStore {
        Commit fn heed(handset: &Handset, number: &str, wish: Wish, now: Timestamp) -> ();
        Question fn opt_outs() -> Vec<OptedOut>;
    }
    LimitStore {
        Question fn limits_hit(now: Timestamp) -> Vec<Counter>;
        Commit fn clear_limit(limit: Limit, whose: &str) -> bool;
    }
    QuestionStore {
        Commit fn probe() -> ();
        Question fn explain(id: &str) -> Vec<History>;
        Question fn explain_submission(id: TakenId, name: &str) -> Option<SubmissionHistory>;
        Question fn sizes() -> Sizes;
    }
    Store {
        Commit fn sweep(now: Timestamp, limit: usize) -> bool;
        Commit fn hasten(now: Timestamp, latest: Timestamp, limit: usize) -> bool;
        => instance() -> &str;
    }
}

macro_rules! cut_homeserver {
    ($(fn $name:ident($($arg:ident: $kind:ty),*) -> $out:ty;)*) => {
        #[async_trait]
        impl<H: Homeserver> Homeserver for CutHomeserver<H> {
            $(async fn $name(&self $(, $arg: $kind)*) -> homeserver::Result<$out> {
                self.cut.pass(Call::Request, self.inner.$name($($arg),*)).await
            })*

            fn name(&self) -> &ServerName {
                self.inner.name()
            }

            fn bot(&self) -> &UserId {
                self.inner.bot()
            }
        }
    };
}

cut_homeserver! {
    fn register(user: &UserId) -> ();
    fn create_device(user: &UserId) -> ();
    fn set_display_name(user: &UserId, name: &str) -> ();
    fn join(user: &UserId, room: &RoomId) -> ();
    fn leave(user: &UserId, room: &RoomId, reason: Option<&str>) -> ();
    fn invite(user: &UserId, room: &RoomId, invitee: &UserId, is_direct: bool) -> ();
    fn create_room(user: &UserId, room: NewRoom) -> OwnedRoomId;
    fn joined_rooms(user: &UserId) -> Vec<OwnedRoomId>;
    fn room_state(user: &UserId, room: &RoomId) -> RoomState;
    fn own_marker(user: &UserId, room: &RoomId) -> Option<Value>;
    fn events_since(user: &UserId, room: &RoomId, event: &EventId) -> Vec<NewEvent>;
    fn history(user: &UserId, room: &RoomId, from: Option<&str>) -> RoomHistory;
    fn send(user: &UserId, room: &RoomId, event_type: &str, txn_id: &str, content: &Value) -> OwnedEventId;
    fn send_state(user: &UserId, room: &RoomId, event_type: &str, state_key: &str, content: &Value) -> OwnedEventId;
    fn ping(txn_id: &str) -> Duration;
    fn whoami() -> OwnedUserId;
}
