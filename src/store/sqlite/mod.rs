//! The embedded engine: one SQLite file, one writing thread with group commit, a few readers.
//!
//! Every operation that changes something is one job of the writer; every question is asked of
//! a reader. The operations themselves are plain functions of a connection, one file per area.

mod aside;
mod conversations;
mod copies;
mod dispatch;
mod explain;
mod ids;
mod inbox;
mod kept;
mod leases;
mod life;
mod messages;
mod money;
mod outbox;
mod owed;
mod reader;
mod receipts;
mod rooms;
mod rows;
mod schema;
mod sms;
mod submissions;
mod sweep;
#[cfg(test)]
mod tests;
mod writer;

use std::fmt::Display;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use matrix_smpp_codec::e164::E164;
use matrix_smpp_config::Money;
use ruma::{OwnedEventId, OwnedRoomId, OwnedUserId, RoomId, ServerName, UserId};
use rusqlite::Connection;
use tracing::error;

use self::reader::Readers;
use self::rows::{Page, Sql as _};
use self::writer::Writer;
use super::{
    Acceptance, Answer, Aside, AsideId, AuditDifference, Cancel, Claimed, Ending, History,
    InboxEvent, Lease, Member, MessageView, NewMessage, NewOutbox, OpenConversation, Opened,
    OutboxEntry, OwedReceipt, ReceiptAnswer, ReceiptIn, ReceiptTaken, Replacement, Result,
    RoomFacts, RoomView, Sizes, Sms, SmsIn, SmsTaken, Store, StoreError, Submission, SubmissionRef,
    Taken, Transaction, Work,
};
use crate::gateway::model::{
    Account, Conversation, ConversationId, Handset, InboxSeq, MessageId, OutboxId, SmsId, TakenId,
    Timestamp,
};

/// The embedded store: one file, used by one process at a time.
///
/// Dropping it ends the writing thread after the changes that wait; that blocks until they are on
/// the disk.
#[derive(Debug)]
pub struct SqliteStore {
    instance: String,
    mo_part_ttl: Duration,
    writer: Writer,
    readers: Readers,
    /// Held until everything above is closed.
    _lock: File,
}

impl SqliteStore {
    /// Opens the file, or makes it. A long SMS waits for its parts for `mo_part_ttl` from the first
    /// one, then it is handed on with gaps. Blocks.
    ///
    /// Fails with [`StoreError::Unavailable`] while another process uses it, and with
    /// [`StoreError::Conflict`] where a newer program has written it.
    pub fn open(path: impl AsRef<Path>, mo_part_ttl: Duration) -> Result<Arc<Self>> {
        let path = path.as_ref();
        let lock = schema::lock(path)?;
        let connection = schema::open(path)?;
        let instance =
            connection.one("SELECT value FROM meta WHERE key = 'instance'", [], |row| {
                Ok(row.get::<_, String>(0)?)
            })?;
        let instance = instance.ok_or_else(|| StoreError::Corrupt("no instance".to_owned()))?;
        let readers = Readers::open(path)?;
        let writer = Writer::start(connection)?;
        Ok(Arc::new(Self {
            instance,
            mo_part_ttl,
            writer,
            readers,
            _lock: lock,
        }))
    }

    async fn write<T: Send + 'static>(
        &self,
        change: impl FnOnce(&Connection) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.writer.write(change).await
    }

    async fn read<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Connection) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.readers.read(question).await
    }

    /// Reads a page of work. What cannot be read is set aside first, so that the page is as full as
    /// it can be, and none that is empty hides work behind it.
    async fn readable<K: Display + Send + 'static, T: Send + 'static>(
        &self,
        page: impl Fn(&Connection) -> Result<Page<K, T>> + Clone + Send + 'static,
        finish: fn(&Connection, K, &Ending) -> Result<()>,
    ) -> Result<Vec<T>> {
        loop {
            let Page { rows, unreadable } = self.read(page.clone()).await?;
            if unreadable.is_empty() {
                return Ok(rows);
            }
            for (key, reason) in &unreadable {
                error!(%key, reason, "set aside what cannot be read");
            }
            self.write(move |tx| {
                unreadable.into_iter().try_for_each(|(key, reason)| {
                    // Nobody can be told: whom it concerns may be what cannot be read. Its time is
                    // that of the item itself.
                    let ending = Ending::SetAside {
                        reason,
                        at: Timestamp::default(),
                        tell: None,
                    };
                    finish(tx, key, &ending)
                })
            })
            .await?;
        }
    }
}

#[async_trait]
impl Store for SqliteStore {
    async fn take_transaction(&self, transaction: Transaction) -> Result<Taken> {
        self.write(move |tx| inbox::take_transaction(tx, &transaction))
            .await
    }

    async fn pending_events(&self, after: InboxSeq, limit: usize) -> Result<Vec<InboxEvent>> {
        let page = move |tx: &Connection| inbox::pending(tx, after, limit);
        self.readable(page, inbox::finish).await
    }

    async fn finish_event(&self, seq: InboxSeq, ending: Ending) -> Result<()> {
        self.write(move |tx| inbox::finish(tx, seq, &ending)).await
    }

    async fn ghost_is_ready(&self, ghost: &UserId) -> Result<bool> {
        let ghost = ghost.to_owned();
        self.read(move |tx| rooms::ghost_is_ready(tx, &ghost)).await
    }

    async fn set_ghost_ready(&self, ghost: &UserId) -> Result<()> {
        let ghost = ghost.to_owned();
        self.write(move |tx| rooms::set_ghost_ready(tx, &ghost))
            .await
    }

    async fn put_room(&self, room: RoomFacts) -> Result<()> {
        self.write(move |tx| rooms::put_room(tx, &room)).await
    }

    async fn put_member(
        &self,
        homeserver: &ServerName,
        room: &RoomId,
        member: Member,
    ) -> Result<()> {
        let (homeserver, room) = (homeserver.to_owned(), room.to_owned());
        self.write(move |tx| rooms::put_member(tx, &homeserver, &room, &member))
            .await
    }

    async fn set_encrypted(&self, homeserver: &ServerName, room: &RoomId) -> Result<()> {
        let (homeserver, room) = (homeserver.to_owned(), room.to_owned());
        self.write(move |tx| rooms::set_encrypted(tx, &homeserver, &room))
            .await
    }

    async fn room(&self, homeserver: &ServerName, room: &RoomId) -> Result<Option<RoomView>> {
        let (homeserver, room) = (homeserver.to_owned(), room.to_owned());
        self.read(move |tx| rooms::room(tx, &homeserver, &room))
            .await
    }

    async fn bot_room(
        &self,
        homeserver: &ServerName,
        bot: &UserId,
        user: &UserId,
    ) -> Result<Option<OwnedRoomId>> {
        let (homeserver, bot, user) = (homeserver.to_owned(), bot.to_owned(), user.to_owned());
        self.read(move |tx| rooms::bot_room(tx, &homeserver, &bot, &user))
            .await
    }

    async fn open_conversation(&self, request: OpenConversation) -> Result<Opened> {
        self.write(move |tx| conversations::open(tx, &request))
            .await
    }

    async fn end_conversation(
        &self,
        id: ConversationId,
        cooling_off: Duration,
        now: Timestamp,
    ) -> Result<()> {
        self.write(move |tx| conversations::end(tx, id, cooling_off, now))
            .await
    }

    async fn place_conversation(&self, id: ConversationId, room: &RoomId) -> Result<()> {
        let room = room.to_owned();
        self.write(move |tx| conversations::place(tx, id, &room))
            .await
    }

    async fn direct_conversation(
        &self,
        owner: &UserId,
        handset: &Handset,
    ) -> Result<Option<Conversation>> {
        let (owner, handset) = (owner.to_owned(), handset.clone());
        self.read(move |tx| conversations::direct(tx, &owner, &handset))
            .await
    }

    async fn conversation(&self, id: ConversationId) -> Result<Option<Conversation>> {
        self.read(move |tx| conversations::get(tx, id)).await
    }

    async fn accept_message(&self, message: NewMessage) -> Result<Acceptance> {
        self.write(move |tx| messages::accept(tx, &message)).await
    }

    async fn claim(&self, link_group: &str, limit: usize, now: Timestamp) -> Result<Vec<Claimed>> {
        let link_group = link_group.to_owned();
        self.write(move |tx| dispatch::claim(tx, &link_group, limit, now))
            .await
    }

    async fn next_due(&self, link_group: &str) -> Result<Option<Timestamp>> {
        let link_group = link_group.to_owned();
        self.read(move |tx| {
            let segment = dispatch::next_due(tx, &link_group)?;
            let receipt = owed::next_due(tx, &link_group)?;
            Ok(segment.into_iter().chain(receipt).min())
        })
        .await
    }

    async fn record_answers(&self, answers: Vec<Answer>, now: Timestamp) -> Result<()> {
        self.write(move |tx| dispatch::record(tx, &answers, now))
            .await
    }

    async fn cancel_event(
        &self,
        homeserver: &ServerName,
        event: &OwnedEventId,
        now: Timestamp,
    ) -> Result<Vec<MessageView>> {
        let (homeserver, event) = (homeserver.to_owned(), event.clone());
        self.write(move |tx| messages::cancel_event(tx, &homeserver, &event, now))
            .await
    }

    async fn messages_of_event(
        &self,
        homeserver: &ServerName,
        event: &OwnedEventId,
    ) -> Result<Vec<MessageView>> {
        let (homeserver, event) = (homeserver.to_owned(), event.clone());
        self.read(move |tx| messages::of_event(tx, &homeserver, &event))
            .await
    }

    async fn message(&self, id: MessageId) -> Result<Option<MessageView>> {
        self.read(move |tx| messages::get(tx, id)).await
    }

    async fn recover(&self, now: Timestamp) -> Result<usize> {
        self.write(move |tx| {
            owed::recover(tx, now)?;
            dispatch::recover(tx, now)
        })
        .await
    }

    async fn sweep(&self, now: Timestamp, limit: usize) -> Result<bool> {
        let mo_part_ttl = self.mo_part_ttl;
        self.write(move |tx| sweep::sweep(tx, mo_part_ttl, now, limit))
            .await
    }

    async fn take_receipt(&self, receipt: ReceiptIn) -> Result<ReceiptTaken> {
        self.write(move |tx| receipts::take(tx, &receipt)).await
    }

    async fn take_sms(&self, sms: SmsIn) -> Result<SmsTaken> {
        self.write(move |tx| sms::take(tx, &sms)).await
    }

    async fn sms_heard(&self, ids: Vec<TakenId>, now: Timestamp) -> Result<()> {
        self.write(move |tx| copies::heard(tx, &ids, now)).await
    }

    async fn pending_sms(&self, after: SmsId, limit: usize) -> Result<Vec<Sms>> {
        let page = move |tx: &Connection| sms::pending(tx, after, limit);
        self.readable(page, sms::finish).await
    }

    async fn sms(&self, id: SmsId) -> Result<Option<Sms>> {
        self.read(move |tx| sms::get(tx, id)).await
    }

    async fn finish_sms(&self, id: SmsId, ending: Ending) -> Result<()> {
        self.write(move |tx| sms::finish(tx, id, &ending)).await
    }

    async fn say_sms(&self, id: SmsId, now: Timestamp) -> Result<Option<Sms>> {
        let plain = self.read(move |tx| {
            let submitted = submissions::is_submitted(tx, id)?;
            Ok(if submitted {
                None
            } else {
                Some(sms::get(tx, id)?)
            })
        });
        match plain.await? {
            Some(sms) => Ok(sms),
            None => self.write(move |tx| submissions::say(tx, id, now)).await,
        }
    }

    async fn submission(&self, of: SubmissionRef) -> Result<Option<Submission>> {
        self.read(move |tx| submissions::get(tx, &of)).await
    }

    async fn cancel_submissions(&self, which: Cancel, now: Timestamp) -> Result<usize> {
        self.write(move |tx| submissions::cancel(tx, &which, now))
            .await
    }

    async fn replace_submission(&self, by: Replacement) -> Result<bool> {
        self.write(move |tx| submissions::replace(tx, &by)).await
    }

    async fn claim_receipts(
        &self,
        link_group: &str,
        limit: usize,
        now: Timestamp,
    ) -> Result<Vec<OwedReceipt>> {
        let link_group = link_group.to_owned();
        self.write(move |tx| owed::claim(tx, &link_group, limit, now))
            .await
    }

    async fn record_receipts(&self, answers: Vec<ReceiptAnswer>, now: Timestamp) -> Result<()> {
        self.write(move |tx| owed::record(tx, &answers, now)).await
    }

    async fn enqueue(&self, entries: Vec<NewOutbox>, now: Timestamp) -> Result<()> {
        self.write(move |tx| outbox::enqueue(tx, &entries, now))
            .await
    }

    async fn due_outbox(
        &self,
        now: Timestamp,
        limit: usize,
        busy: &[String],
    ) -> Result<Vec<OutboxEntry>> {
        let busy = busy.to_owned();
        let page = move |tx: &Connection| outbox::due(tx, now, limit, &busy);
        self.readable(page, outbox::finish).await
    }

    async fn finish_outbox(&self, id: OutboxId, ending: Ending) -> Result<()> {
        self.write(move |tx| outbox::finish(tx, id, &ending)).await
    }

    async fn postpone_outbox(&self, id: OutboxId, at: Timestamp, error: &str) -> Result<()> {
        let error = error.to_owned();
        self.write(move |tx| outbox::postpone(tx, id, at, &error))
            .await
    }

    async fn next_outbox_due(&self, busy: &[String]) -> Result<Option<Timestamp>> {
        let busy = busy.to_vec();
        self.read(move |tx| outbox::next_due(tx, &busy)).await
    }

    async fn hurry_outbox(&self, now: Timestamp) -> Result<()> {
        self.write(move |tx| outbox::hurry(tx, now)).await
    }

    async fn aside(&self, limit: usize) -> Result<Vec<Aside>> {
        self.read(move |tx| aside::list(tx, limit)).await
    }

    async fn retry_aside(&self, id: AsideId, now: Timestamp) -> Result<bool> {
        self.write(move |tx| aside::retry(tx, id, now)).await
    }

    async fn drop_aside(&self, id: AsideId, now: Timestamp) -> Result<bool> {
        self.write(move |tx| aside::end(tx, id, now)).await
    }

    async fn top_up(
        &self,
        owner: &UserId,
        amount: Money,
        key: &str,
        now: Timestamp,
    ) -> Result<Account> {
        let (owner, key) = (owner.to_owned(), key.to_owned());
        self.write(move |tx| money::top_up(tx, &owner, amount, &key, now))
            .await
    }

    async fn set_limit(&self, owner: &UserId, limit: Money) -> Result<Account> {
        let owner = owner.to_owned();
        self.write(move |tx| money::set_limit(tx, &owner, limit))
            .await
    }

    async fn account(&self, owner: &UserId) -> Result<Account> {
        let owner = owner.to_owned();
        self.read(move |tx| money::account(tx, &owner)).await
    }

    async fn accounts(&self) -> Result<Vec<(OwnedUserId, Account)>> {
        self.read(money::accounts).await
    }

    async fn audit(&self) -> Result<Vec<AuditDifference>> {
        self.read(money::audit).await
    }

    async fn leases(&self) -> Result<Vec<Lease>> {
        self.read(leases::all).await
    }

    async fn release_lease(&self, vmn: E164, handset: &Handset) -> Result<bool> {
        let handset = handset.clone();
        self.write(move |tx| leases::release(tx, vmn, &handset))
            .await
    }

    async fn dedicate(&self, number: &str, owner: &UserId) -> Result<()> {
        let (number, owner) = (number.to_owned(), owner.to_owned());
        self.write(move |tx| leases::dedicate(tx, &number, &owner))
            .await
    }

    async fn undedicate(&self, number: &str) -> Result<bool> {
        let number = number.to_owned();
        self.write(move |tx| leases::undedicate(tx, &number)).await
    }

    async fn dedicated(&self) -> Result<Vec<(String, OwnedUserId)>> {
        self.read(leases::dedicated).await
    }

    async fn probe(&self) -> Result<()> {
        self.write(explain::probe).await
    }

    async fn explain(&self, id: &str) -> Result<Vec<History>> {
        let id = id.to_owned();
        self.read(move |tx| explain::explain(tx, &id)).await
    }

    async fn sizes(&self) -> Result<Sizes> {
        self.read(explain::sizes).await
    }

    fn work(&self) -> Work {
        let (commits, changes) = self.writer.done();
        Work {
            commits,
            changes,
            questions: self.readers.asked(),
        }
    }

    fn instance(&self) -> &str {
        &self.instance
    }
}
