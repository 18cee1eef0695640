//! What homeservers say and must hear.

use async_trait::async_trait;
use ruma::{OwnedEventId, OwnedRoomId, RoomId, ServerName, UserId};

use super::TableStore;
use crate::gateway::model::{InboxSeq, OutboxId, Timestamp};
use crate::store::steps::{aside, inbox, outbox, rooms};
use crate::store::tables::{number, room_key};
use crate::store::{
    Aside, AsideId, AsideStore, Due, Ending, EventStore, InboxEvent, Member, NewOutbox,
    OutboxEntry, OutboxStore, Result, RoomFacts, RoomStore, RoomView, RoomsPage, Taken,
    Transaction,
};

#[async_trait]
impl EventStore for TableStore {
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
}

#[async_trait]
impl RoomStore for TableStore {
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
        if self.engine.is_surely_owner()
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
}

#[async_trait]
impl OutboxStore for TableStore {
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
}

#[async_trait]
impl AsideStore for TableStore {
    async fn aside(&self, limit: usize) -> Result<Vec<Aside>> {
        self.engine.run(move |tx| aside::list(tx, limit)).await
    }

    async fn retry_aside(&self, id: AsideId, now: Timestamp) -> Result<bool> {
        self.engine.run(move |tx| aside::retry(tx, id, now)).await
    }

    async fn drop_aside(&self, id: AsideId, now: Timestamp) -> Result<bool> {
        self.engine.run(move |tx| aside::end(tx, id, now)).await
    }
}
