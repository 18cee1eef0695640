//! The store's contract, kept by operations on tables: an engine with something to keep its rows in.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use matrix_smpp_codec::e164::E164;
use matrix_smpp_config::Money;
use ruma::{OwnedEventId, OwnedRoomId, OwnedUserId, RoomId, ServerName, UserId};
use uuid::Uuid;

use super::audit;
use super::base::{Base, Write};
use super::engine::Engine;
use super::migrate::mark;
use super::redis::{Redis, Settings as RedisSettings};
use super::remembered::Remembered;
use super::sqlite::Sqlite;
use super::steps::{
    aside, conversations, copies, dispatch, explain, hasten, inbox, leases, messages, money,
    outbox, owed, receipts, rooms, scrub::Scrub, sms, submissions, sweep,
};
use super::table::{AnyRow, typed};
use super::tables::{TableId, number, room_key};
use super::{
    Acceptance, Answer, Aside, AsideId, Audit, Cancel, Claimed, Due, Ending, History, InboxEvent,
    Lease, LeasesPage, Member, MessageView, NewMessage, NewOutbox, OpenConversation, Opened,
    OutboxEntry, OwedReceipt, ReceiptAnswer, ReceiptIn, ReceiptTaken, Replacement, Result,
    RoomFacts, RoomView, RoomsPage, Sizes, Sms, SmsIn, SmsTaken, Store, Submission,
    SubmissionHistory, SubmissionRef, Taken, Transaction, Work,
};
use crate::gateway::model::{
    Account, Conversation, ConversationId, Handset, InboxSeq, MessageId, OutboxId, SmsId, TakenId,
    Timestamp,
};

/// A store whose rows lie in a file of this machine or in Redis.
///
/// Dropping it ends its thread after the operations that wait; that blocks until they are durable.
#[derive(Debug)]
pub struct TableStore {
    instance: String,
    mo_part_ttl: Duration,
    engine: Engine,
    scrub: Mutex<Scrub>,
    remembered: Remembered,
    durability: &'static str,
}

impl TableStore {
    /// Opens a store in one SQLite file of this machine, or makes it. A long SMS waits for its parts
    /// for `mo_part_ttl` from the first one, then it is handed on with gaps. Blocks.
    ///
    /// Fails with [`StoreError::Unavailable`](super::StoreError::Unavailable) while another process
    /// uses it, and with [`StoreError::Conflict`](super::StoreError::Conflict) where another version
    /// has written it.
    pub fn open_sqlite(path: impl AsRef<Path>, mo_part_ttl: Duration) -> Result<Arc<Self>> {
        let base = Box::new(Sqlite::open(path.as_ref())?);
        Ok(Arc::new(Self::open(base, mo_part_ttl)?))
    }

    /// Takes over a store in Redis; waits while another instance has it. Blocks. It is this one's
    /// until it is dropped or [lost](Store::lost).
    ///
    /// Fails with [`StoreError::Conflict`](super::StoreError::Conflict) where this Redis would lose
    /// what the settings want kept.
    pub(crate) fn open_redis(settings: RedisSettings, mo_part_ttl: Duration) -> Result<Arc<Self>> {
        let redis = Redis::open(settings)?;
        let durability = redis.durability().word();
        let store = Self::open(Box::new(redis), mo_part_ttl)?;
        Ok(Arc::new(Self {
            durability,
            ..store
        }))
    }

    /// Opens the store whose rows lie in `base`. Blocks.
    pub(crate) fn open(mut base: Box<dyn Base>, mo_part_ttl: Duration) -> Result<Self> {
        let admitted = mark::admit(base.as_mut()).and_then(|()| instance(base.as_mut()));
        if admitted.is_err() {
            // Others need not wait until its owner is taken for dead.
            base.close();
        }
        let instance = admitted?;
        Ok(Self {
            instance,
            mo_part_ttl,
            engine: Engine::start(base)?,
            scrub: Mutex::default(),
            remembered: Remembered::default(),
            durability: "always",
        })
    }

    fn scrub(&self) -> MutexGuard<'_, Scrub> {
        self.scrub.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Store for TableStore {
    async fn take_transaction(&self, transaction: Transaction) -> Result<Taken> {
        self.engine
            .run_first(move |tx| inbox::take_transaction(tx, &transaction))
            .await
    }

    async fn unknown_events(
        &self,
        homeserver: &ServerName,
        events: Vec<OwnedEventId>,
    ) -> Result<Vec<OwnedEventId>> {
        let homeserver = homeserver.to_owned();
        self.engine
            .run(move |tx| inbox::unknown(tx, &homeserver, &events))
            .await
    }

    async fn pending_events(&self, after: InboxSeq, limit: usize) -> Result<Vec<InboxEvent>> {
        self.engine
            .run(move |tx| inbox::pending(tx, after, limit))
            .await
    }

    async fn finish_event(&self, seq: InboxSeq, ending: Ending) -> Result<()> {
        self.engine
            .run(move |tx| inbox::finish(tx, seq, &ending))
            .await
    }

    async fn ghost_is_ready(&self, ghost: &UserId) -> Result<bool> {
        let ghost = ghost.to_owned();
        self.engine
            .run(move |tx| rooms::ghost_is_ready(tx, &ghost))
            .await
    }

    async fn set_ghost_ready(&self, ghost: &UserId) -> Result<()> {
        let ghost = ghost.to_owned();
        self.engine
            .run(move |tx| rooms::set_ghost_ready(tx, &ghost))
            .await
    }

    async fn put_room(&self, room: RoomFacts) -> Result<()> {
        self.engine.run(move |tx| rooms::put_room(tx, &room)).await
    }

    async fn put_member(
        &self,
        homeserver: &ServerName,
        room: &RoomId,
        member: Member,
    ) -> Result<()> {
        let (homeserver, room) = (homeserver.to_owned(), room.to_owned());
        self.engine
            .run(move |tx| rooms::put_member(tx, &homeserver, &room, &member))
            .await
    }

    async fn set_encrypted(&self, homeserver: &ServerName, room: &RoomId) -> Result<()> {
        let (homeserver, room) = (homeserver.to_owned(), room.to_owned());
        self.engine
            .run(move |tx| rooms::set_encrypted(tx, &homeserver, &room))
            .await
    }

    async fn room(&self, homeserver: &ServerName, room: &RoomId) -> Result<Option<RoomView>> {
        let key = room_key(homeserver, room);
        if self.is_surely_ours()
            && let Some(known) = self.remembered.room(&key)
        {
            return Ok(Some(known));
        }
        let (homeserver, room) = (homeserver.to_owned(), room.to_owned());
        let asked = key.clone();
        let found = self.engine.run(move |tx| {
            let Some(view) = rooms::room(tx, &homeserver, &room)? else {
                return Ok(None);
            };
            let conversations = view.conversations.iter().map(|one| number(one.id.0));
            let keys: Vec<_> = conversations.chain([asked.clone()]).collect();
            let stand = tx.marks().of(keys.iter().map(String::as_str));
            Ok(Some((view, stand)))
        });
        let found = found.await?;
        Ok(found.map(|(view, stand)| {
            self.remembered.keep_room(key, view.clone(), stand);
            view
        }))
    }

    async fn rooms(&self, from: Option<String>, limit: usize) -> Result<RoomsPage> {
        self.engine
            .run_alone(move |tx| rooms::page(tx, from.as_deref(), limit))
            .await
    }

    async fn bot_room(
        &self,
        homeserver: &ServerName,
        bot: &UserId,
        user: &UserId,
    ) -> Result<Option<OwnedRoomId>> {
        let (homeserver, bot, user) = (homeserver.to_owned(), bot.to_owned(), user.to_owned());
        self.engine
            .run(move |tx| rooms::bot_room(tx, &homeserver, &bot, &user))
            .await
    }

    async fn open_conversation(&self, request: OpenConversation) -> Result<Opened> {
        self.engine
            .run(move |tx| conversations::open(tx, &request))
            .await
    }

    async fn end_conversation(
        &self,
        id: ConversationId,
        cooling_off: Duration,
        now: Timestamp,
    ) -> Result<()> {
        self.engine
            .run(move |tx| conversations::end(tx, id, cooling_off, now))
            .await
    }

    async fn place_conversation(&self, id: ConversationId, room: &RoomId) -> Result<()> {
        let room = room.to_owned();
        self.engine
            .run(move |tx| conversations::place(tx, id, &room))
            .await
    }

    async fn direct_conversation(
        &self,
        owner: &UserId,
        handset: &Handset,
    ) -> Result<Option<Conversation>> {
        let (owner, handset) = (owner.to_owned(), handset.clone());
        self.engine
            .run(move |tx| conversations::direct(tx, &owner, &handset))
            .await
    }

    async fn conversation(&self, id: ConversationId) -> Result<Option<Conversation>> {
        if self.is_surely_ours()
            && let Some(known) = self.remembered.conversation(id)
        {
            return Ok(Some(known));
        }
        let found = self.engine.run(move |tx| {
            let found = conversations::get(tx, id)?;
            let stand = tx.marks().of([number(id.0).as_str()]);
            Ok(found.map(|found| (found, stand)))
        });
        let found = found.await?;
        Ok(found.map(|(conversation, stand)| {
            self.remembered
                .keep_conversation(conversation.clone(), stand);
            conversation
        }))
    }

    async fn accept_message(&self, message: NewMessage) -> Result<Acceptance> {
        self.engine
            .run(move |tx| messages::accept(tx, &message))
            .await
    }

    async fn accept_event(&self, seq: InboxSeq, messages: Vec<NewMessage>) -> Result<()> {
        self.engine
            .run(move |tx| messages::accept_event(tx, seq, &messages))
            .await
    }

    async fn claim(&self, link_group: &str, limit: usize, now: Timestamp) -> Result<Vec<Claimed>> {
        let link_group = link_group.to_owned();
        self.engine
            .run(move |tx| dispatch::claim(tx, &link_group, limit, now))
            .await
    }

    async fn next_due(&self, link_group: &str) -> Result<Option<Timestamp>> {
        let link_group = link_group.to_owned();
        self.engine
            .run(move |tx| {
                let segment = dispatch::next_due(tx, &link_group);
                let receipt = owed::next_due(tx, &link_group);
                Ok(segment.into_iter().chain(receipt).min())
            })
            .await
    }

    async fn record_answers(&self, answers: Vec<Answer>, now: Timestamp) -> Result<()> {
        self.engine
            .run(move |tx| dispatch::record(tx, &answers, now))
            .await
    }

    async fn cancel_event(
        &self,
        homeserver: &ServerName,
        event: &OwnedEventId,
        now: Timestamp,
    ) -> Result<Vec<MessageView>> {
        let (homeserver, event) = (homeserver.to_owned(), event.clone());
        self.engine
            .run(move |tx| messages::cancel_event(tx, &homeserver, &event, now))
            .await
    }

    async fn messages_of_event(
        &self,
        homeserver: &ServerName,
        event: &OwnedEventId,
    ) -> Result<Vec<MessageView>> {
        let (homeserver, event) = (homeserver.to_owned(), event.clone());
        self.engine
            .run(move |tx| messages::of_event(tx, &homeserver, &event))
            .await
    }

    async fn message(&self, id: MessageId) -> Result<Option<MessageView>> {
        self.engine.run(move |tx| messages::get(tx, id)).await
    }

    async fn recover(&self, now: Timestamp) -> Result<usize> {
        self.engine
            .run(move |tx| {
                owed::recover(tx, now)?;
                dispatch::recover(tx, now)
            })
            .await
    }

    async fn sweep(&self, now: Timestamp, limit: usize) -> Result<bool> {
        let mo_part_ttl = self.mo_part_ttl;
        let scrub = self.scrub().clone();
        let swept = self
            .engine
            .run_alone(move |tx| sweep::sweep(tx, mo_part_ttl, now, limit, &scrub));
        let (may_be_more, scrub) = swept.await?;
        *self.scrub() = scrub;
        Ok(may_be_more)
    }

    async fn hasten(&self, now: Timestamp, latest: Timestamp, limit: usize) -> Result<bool> {
        self.engine
            .run(move |tx| hasten::hasten(tx, now, latest, limit))
            .await
    }

    async fn take_receipts(&self, receipts: Vec<ReceiptIn>) -> Result<Vec<ReceiptTaken>> {
        self.engine
            .run(move |tx| receipts::take_all(tx, &receipts))
            .await
    }

    async fn take_sms(&self, sms: SmsIn) -> Result<SmsTaken> {
        self.engine.run(move |tx| sms::take(tx, &sms)).await
    }

    async fn sms_heard(&self, ids: Vec<TakenId>, now: Timestamp) -> Result<()> {
        self.engine
            .run(move |tx| copies::heard(tx, &ids, now))
            .await
    }

    async fn pending_sms(&self, after: SmsId, limit: usize) -> Result<Vec<Sms>> {
        self.engine
            .run(move |tx| sms::pending(tx, after, limit))
            .await
    }

    async fn sms(&self, id: SmsId) -> Result<Option<Sms>> {
        self.engine.run(move |tx| sms::get(tx, id)).await
    }

    async fn finish_sms(&self, id: SmsId, ending: Ending) -> Result<()> {
        self.engine
            .run(move |tx| sms::finish(tx, id, &ending))
            .await
    }

    async fn hand_on(&self, id: SmsId, entry: NewOutbox, now: Timestamp) -> Result<()> {
        self.engine
            .run(move |tx| {
                outbox::enqueue(tx, std::slice::from_ref(&entry), now)?;
                sms::finish(tx, id, &Ending::Done)
            })
            .await
    }

    async fn say_sms(&self, id: SmsId, now: Timestamp) -> Result<Option<Sms>> {
        self.engine
            .run(move |tx| submissions::say(tx, id, now))
            .await
    }

    async fn submission(&self, of: SubmissionRef) -> Result<Option<Submission>> {
        self.engine.run(move |tx| submissions::get(tx, &of)).await
    }

    async fn cancel_submissions(&self, which: Cancel, now: Timestamp) -> Result<usize> {
        self.engine
            .run(move |tx| submissions::cancel(tx, &which, now))
            .await
    }

    async fn replace_submission(&self, by: Replacement) -> Result<bool> {
        self.engine
            .run(move |tx| submissions::replace(tx, &by))
            .await
    }

    async fn name_submissions(&self, ids: Vec<TakenId>, name: String) -> Result<()> {
        self.engine
            .run(move |tx| submissions::name(tx, &ids, &name))
            .await
    }

    async fn claim_receipts(
        &self,
        link_group: &str,
        limit: usize,
        now: Timestamp,
    ) -> Result<Vec<OwedReceipt>> {
        let link_group = link_group.to_owned();
        self.engine
            .run(move |tx| owed::claim(tx, &link_group, limit, now))
            .await
    }

    async fn record_receipts(&self, answers: Vec<ReceiptAnswer>, now: Timestamp) -> Result<()> {
        self.engine
            .run(move |tx| owed::record(tx, &answers, now))
            .await
    }

    async fn enqueue(&self, entries: Vec<NewOutbox>, now: Timestamp) -> Result<()> {
        self.engine
            .run(move |tx| outbox::enqueue(tx, &entries, now))
            .await
    }

    async fn due_outbox(&self, due: Due) -> Result<Vec<OutboxEntry>> {
        self.engine.run(move |tx| outbox::due(tx, &due)).await
    }

    async fn finish_outbox(&self, id: OutboxId, ending: Ending) -> Result<()> {
        self.engine
            .run(move |tx| outbox::finish(tx, id, &ending))
            .await
    }

    async fn finish_said(&self, ids: Vec<OutboxId>) -> Result<()> {
        self.engine
            .run(move |tx| outbox::finish_said(tx, &ids))
            .await
    }

    async fn postpone_outbox(&self, id: OutboxId, at: Timestamp, error: &str) -> Result<()> {
        let error = error.to_owned();
        self.engine
            .run(move |tx| outbox::postpone(tx, id, at, &error))
            .await
    }

    async fn next_outbox_due(&self, busy: &[String]) -> Result<Option<Timestamp>> {
        let busy = busy.to_vec();
        self.engine.run(move |tx| outbox::next_due(tx, &busy)).await
    }

    async fn hurry_outbox(&self, now: Timestamp) -> Result<()> {
        self.engine.run(move |tx| outbox::hurry(tx, now)).await
    }

    async fn aside(&self, limit: usize) -> Result<Vec<Aside>> {
        self.engine.run(move |tx| aside::list(tx, limit)).await
    }

    async fn retry_aside(&self, id: AsideId, now: Timestamp) -> Result<bool> {
        self.engine.run(move |tx| aside::retry(tx, id, now)).await
    }

    async fn drop_aside(&self, id: AsideId, now: Timestamp) -> Result<bool> {
        self.engine.run(move |tx| aside::end(tx, id, now)).await
    }

    async fn top_up(
        &self,
        owner: &UserId,
        amount: Money,
        key: &str,
        now: Timestamp,
    ) -> Result<Account> {
        let (owner, key) = (owner.to_owned(), key.to_owned());
        self.engine
            .run(move |tx| money::top_up(tx, &owner, amount, &key, now))
            .await
    }

    async fn set_limit(&self, owner: &UserId, limit: Money) -> Result<Account> {
        let owner = owner.to_owned();
        self.engine
            .run(move |tx| money::set_limit(tx, &owner, limit))
            .await
    }

    async fn account(&self, owner: &UserId) -> Result<Account> {
        let owner = owner.to_owned();
        self.engine.run(move |tx| money::account(tx, &owner)).await
    }

    async fn accounts(&self) -> Result<Vec<(OwnedUserId, Account)>> {
        self.engine.run_alone(money::accounts).await
    }

    async fn audit(&self) -> Result<Audit> {
        audit::audit(&self.engine).await
    }

    async fn leases(&self) -> Result<Vec<Lease>> {
        self.engine.run_alone(leases::all).await
    }

    async fn leases_page(&self, from: Option<String>, limit: usize) -> Result<LeasesPage> {
        self.engine
            .run_alone(move |tx| leases::page(tx, from.as_deref(), limit))
            .await
    }

    async fn release_lease(&self, vmn: E164, handset: &Handset) -> Result<bool> {
        let handset = handset.clone();
        self.engine
            .run(move |tx| leases::release(tx, vmn, &handset))
            .await
    }

    async fn dedicate(&self, number: &str, owner: &UserId) -> Result<()> {
        let (number, owner) = (number.to_owned(), owner.to_owned());
        self.engine
            .run(move |tx| leases::dedicate(tx, &number, &owner))
            .await
    }

    async fn undedicate(&self, number: &str) -> Result<bool> {
        let number = number.to_owned();
        self.engine
            .run(move |tx| leases::undedicate(tx, &number))
            .await
    }

    async fn dedicated(&self) -> Result<Vec<(String, OwnedUserId)>> {
        if self.is_surely_ours()
            && let Some(known) = self.remembered.dedicated()
        {
            return Ok(known);
        }
        let found = self
            .engine
            .run_alone(|tx| Ok((leases::dedicated(tx)?, tx.marks().of_dedicated())));
        let (numbers, stand) = found.await?;
        self.remembered.keep_dedicated(numbers.clone(), stand);
        Ok(numbers)
    }

    async fn probe(&self) -> Result<()> {
        self.engine.run(explain::probe).await
    }

    async fn explain(&self, id: &str) -> Result<Vec<History>> {
        let id = id.to_owned();
        self.engine.run(move |tx| explain::explain(tx, &id)).await
    }

    async fn explain_submission(
        &self,
        id: TakenId,
        name: &str,
    ) -> Result<Option<SubmissionHistory>> {
        let name = name.to_owned();
        self.engine
            .run(move |tx| submissions::explain(tx, id, &name))
            .await
    }

    async fn sizes(&self) -> Result<Sizes> {
        self.engine.run(explain::sizes).await
    }

    async fn lost(&self) {
        self.engine.lost().cancelled().await;
    }

    fn durability(&self) -> &'static str {
        self.durability
    }

    fn is_surely_ours(&self) -> bool {
        self.engine.is_surely_owner()
    }

    fn unreadable(&self) -> Vec<(&'static str, u64)> {
        self.engine.unreadable().to_vec()
    }

    fn work(&self) -> Work {
        self.engine.work()
    }

    fn instance(&self) -> &str {
        &self.instance
    }
}

/// The name that a store has been given when it was made.
fn instance(base: &mut dyn Base) -> Result<String> {
    let kind = TableId::Meta.kind();
    let found = base.get(&[(TableId::Meta, "instance")])?.pop().flatten();
    if let Some(octets) = found {
        return Ok(String::clone(&*typed::<String>((kind.decode)(&octets)?)?));
    }
    let name = Uuid::new_v4().simple().to_string();
    let name = name.get(..8).unwrap_or_default().to_owned();
    let row: AnyRow = Arc::new(name.clone());
    base.commit(&[Write {
        table: TableId::Meta,
        key: "instance".into(),
        value: Some((kind.encode)(&row)?),
    }])?;
    Ok(name)
}
