//! Conversations, and what goes through them both ways.

use std::time::Duration;

use async_trait::async_trait;
use ruma::{OwnedEventId, RoomId, ServerName, UserId};

use super::TableStore;
use crate::gateway::model::{
    Conversation, ConversationId, Handset, InboxSeq, MessageId, SmsId, TakenId, Timestamp,
};
use crate::store::steps::{
    conversations, copies, dispatch, messages, outbox, owed, receipts, sms, submissions,
};
use crate::store::tables::number;
use crate::store::{
    Acceptance, Answer, Cancel, Claimed, ConversationStore, Ending, MessageStore, MessageView,
    NewMessage, NewOutbox, OpenConversation, Opened, OwedReceipt, ReceiptAnswer, ReceiptIn,
    ReceiptTaken, Replacement, Result, Sms, SmsIn, SmsStore, SmsTaken, Submission, SubmissionRef,
    SubmissionStore,
};

#[async_trait]
impl ConversationStore for TableStore {
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
        if self.engine.is_surely_owner()
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
}

#[async_trait]
impl MessageStore for TableStore {
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

    async fn take_receipts(&self, receipts: Vec<ReceiptIn>) -> Result<Vec<ReceiptTaken>> {
        self.engine
            .run(move |tx| receipts::take_all(tx, &receipts))
            .await
    }
}

#[async_trait]
impl SmsStore for TableStore {
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
}

#[async_trait]
impl SubmissionStore for TableStore {
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
}
