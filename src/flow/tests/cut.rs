//! A store and a homeserver whose n-th call goes wrong: the process dies with it, it is refused, or
//! its answer is lost.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use matrix_smpp_codec::e164::E164;
use matrix_smpp_config::Money;
use ruma::{EventId, OwnedEventId, OwnedRoomId, OwnedUserId, RoomId, ServerName, UserId};
use serde_json::Value;
use tokio::sync::Notify;

use crate::gateway::model::{
    Account, Conversation, ConversationId, Handset, InboxSeq, MessageId, OutboxId, SmsId, Timestamp,
};
use crate::matrix::homeserver::{self, Homeserver, MatrixError, NewRoom, RoomState};
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
    pub(super) died: Notify,
}

/// An error that asks for a repeat.
trait Temporary {
    const ALWAYS_ANSWERS: bool;
    fn temporary() -> Self;
}

impl Temporary for StoreError {
    const ALWAYS_ANSWERS: bool = true;
    fn temporary() -> Self {
        Self::Unavailable("cut".to_owned())
    }
}

impl Temporary for MatrixError {
    const ALWAYS_ANSWERS: bool = false;
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

    /// True once the call has come.
    pub(super) fn is_reached(&self) -> bool {
        let calls = self.calls.load(Ordering::SeqCst);
        self.at.is_some_and(|(call, _)| calls >= call)
    }

    async fn pass<T, E: Temporary>(
        &self,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        let call = self.calls.fetch_add(1, Ordering::SeqCst) + 1;
        match self.at {
            Some((at, How::Die)) if at == call => {
                drop(work.await);
                self.died.notify_one();
                std::future::pending().await
            }
            Some((at, How::Refuse)) if at == call => Err(E::temporary()),
            Some((at, How::LoseAnswer)) if at == call && !E::ALWAYS_ANSWERS => {
                drop(work.await);
                Err(E::temporary())
            }
            _ => work.await,
        }
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
    ($(fn $name:ident($($arg:ident: $kind:ty),*) -> $out:ty;)*) => {
        #[async_trait]
        impl Store for CutStore {
            $(async fn $name(&self $(, $arg: $kind)*) -> Result<$out, StoreError> {
                self.cut.pass(self.inner.$name($($arg),*)).await
            })*

            fn instance(&self) -> &str {
                self.inner.instance()
            }
        }
    };
}

cut_store! {
    fn take_transaction(transaction: Transaction) -> Taken;
    fn pending_events(after: InboxSeq, limit: usize) -> Vec<InboxEvent>;
    fn finish_event(seq: InboxSeq, ending: Ending) -> ();
    fn ghost_is_ready(ghost: &UserId) -> bool;
    fn set_ghost_ready(ghost: &UserId) -> ();
    fn put_room(room: RoomFacts) -> ();
    fn put_member(homeserver: &ServerName, room: &RoomId, member: Member) -> ();
    fn set_encrypted(homeserver: &ServerName, room: &RoomId) -> ();
    fn room(homeserver: &ServerName, room: &RoomId) -> Option<RoomView>;
    fn bot_room(homeserver: &ServerName, bot: &UserId, user: &UserId) -> Option<OwnedRoomId>;
    fn open_conversation(request: OpenConversation) -> Opened;
    fn end_conversation(id: ConversationId, cooling_off: Duration, now: Timestamp) -> ();
    fn place_conversation(id: ConversationId, room: &RoomId) -> ();
    fn conversation(id: ConversationId) -> Option<Conversation>;
    fn accept_message(message: NewMessage) -> Acceptance;
    fn claim(link_group: &str, limit: usize, now: Timestamp) -> Vec<Claimed>;
    fn next_due(link_group: &str) -> Option<Timestamp>;
    fn record_answers(answers: Vec<Answer>, now: Timestamp) -> ();
    fn cancel_event(homeserver: &ServerName, event: &OwnedEventId, now: Timestamp) -> Vec<MessageView>;
    fn messages_of_event(homeserver: &ServerName, event: &OwnedEventId) -> Vec<MessageView>;
    fn message(id: MessageId) -> Option<MessageView>;
    fn recover(now: Timestamp) -> usize;
    fn sweep(now: Timestamp, limit: usize) -> bool;
    fn take_receipt(receipt: ReceiptIn) -> ReceiptTaken;
    fn take_sms(sms: SmsIn) -> SmsTaken;
    fn pending_sms(after: SmsId, limit: usize) -> Vec<Sms>;
    fn sms(id: SmsId) -> Option<Sms>;
    fn finish_sms(id: SmsId, ending: Ending) -> ();
    fn enqueue(entries: Vec<NewOutbox>, now: Timestamp) -> ();
    fn due_outbox(now: Timestamp, limit: usize, busy: &[String]) -> Vec<OutboxEntry>;
    fn finish_outbox(id: OutboxId, ending: Ending) -> ();
    fn postpone_outbox(id: OutboxId, at: Timestamp, error: &str) -> ();
    fn next_outbox_due() -> Option<Timestamp>;
    fn top_up(owner: &UserId, amount: Money, key: &str, now: Timestamp) -> Account;
    fn set_limit(owner: &UserId, limit: Money) -> Account;
    fn account(owner: &UserId) -> Account;
    fn accounts() -> Vec<(OwnedUserId, Account)>;
    fn audit() -> Vec<AuditDifference>;
    fn leases() -> Vec<Lease>;
    fn release_lease(vmn: E164, handset: &Handset) -> bool;
    fn dedicate(number: &str, owner: &UserId) -> ();
    fn undedicate(number: &str) -> bool;
    fn dedicated() -> Vec<(String, OwnedUserId)>;
    fn probe() -> ();
    fn explain(id: &str) -> Vec<History>;
    fn sizes() -> Sizes;
}

macro_rules! cut_homeserver {
    ($(fn $name:ident($($arg:ident: $kind:ty),*) -> $out:ty;)*) => {
        #[async_trait]
        impl<H: Homeserver> Homeserver for CutHomeserver<H> {
            $(async fn $name(&self $(, $arg: $kind)*) -> homeserver::Result<$out> {
                self.cut.pass(self.inner.$name($($arg),*)).await
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
    fn events_since(user: &UserId, room: &RoomId, event: &EventId) -> Vec<NewEvent>;
    fn send(user: &UserId, room: &RoomId, event_type: &str, txn_id: &str, content: &Value) -> OwnedEventId;
    fn send_state(user: &UserId, room: &RoomId, event_type: &str, state_key: &str, content: &Value) -> OwnedEventId;
    fn ping(txn_id: &str) -> Duration;
    fn whoami() -> OwnedUserId;
}
