//! Ghosts that are invited.

use ruma::UserId;
use tracing::info;

use super::rooms::{catch_up, join, learn_room, leave, say_and_leave};
use crate::flow::{Connected, Gateway, Trouble, upgrade};
use crate::gateway::model::{Conversation, Handset};
use crate::gateway::plan::Unplannable;
use crate::gateway::{content, notice, number};
use crate::matrix::homeserver::ErrorKind;
use crate::store::{InboxEvent, OpenConversation};

/// A ghost that was invited.
pub(super) struct Guest<'a> {
    pub(super) home: &'a Connected,
    pub(super) item: &'a InboxEvent,
    pub(super) inviter: &'a UserId,
    pub(super) ghost: &'a UserId,
}

impl Guest<'_> {
    pub(super) async fn invited(
        &self,
        gateway: &Gateway,
        handset: Handset,
        direct: bool,
    ) -> Result<(), Trouble> {
        let phone = number::display(&handset);
        if let Err(why) = reachable(gateway, &handset).await? {
            return self
                .decline(gateway, &phone, &notice::unreachable(&why, &phone))
                .await;
        }
        gateway
            .ghosts
            .ensure(&*self.home.api, self.ghost, || phone.clone())
            .await?;
        let (home, room) = (self.home, &self.item.room);
        if !join(gateway, home, (self.ghost, &phone), room).await? {
            return Ok(());
        }
        let (facts, predecessor) = learn_room(gateway, home, self.item, self.ghost).await?;
        if facts.encrypted {
            let words = notice::encrypted(&phone);
            return self.say_and_leave(gateway, &words).await;
        }
        if let Some(old) = predecessor {
            upgrade::continue_in(gateway, home, self.ghost, &old, room).await?;
        }
        let opened = gateway
            .store
            .open_conversation(self.request(gateway, handset, direct))
            .await?;
        info!(conversation = %opened.conversation.id, direct, "a phone joined a room");
        if let Some(old) = opened.replaced {
            info!(conversation = %old.id, "its number was taken over");
            gateway.wakes.outbox.notify_one();
        }
        self.mark_bridged(&opened.conversation, &phone).await?;
        catch_up(gateway, self.home, self.item, self.ghost).await
    }

    fn request(&self, gateway: &Gateway, handset: Handset, direct: bool) -> OpenConversation {
        OpenConversation {
            homeserver: self.item.homeserver.clone(),
            room: Some(self.item.room.clone()),
            handset,
            ghost: self.ghost.to_owned(),
            owner: self.inviter.to_owned(),
            direct,
            originator: None,
            now: gateway.clock.now(),
        }
    }

    /// Says in the room why not, and leaves with the same reason. The ghost has to exist for that.
    pub(super) async fn decline(
        &self,
        gateway: &Gateway,
        name: &str,
        words: &str,
    ) -> Result<(), Trouble> {
        gateway.metrics.declined.inc();
        gateway
            .ghosts
            .ensure(&*self.home.api, self.ghost, || name.to_owned())
            .await?;
        if join(gateway, self.home, (self.ghost, name), &self.item.room).await? {
            return self.say_and_leave(gateway, words).await;
        }
        leave(self.home, self.ghost, &self.item.room, words).await
    }

    async fn say_and_leave(&self, gateway: &Gateway, words: &str) -> Result<(), Trouble> {
        say_and_leave(
            gateway,
            self.home,
            &self.item.room,
            self.ghost,
            words,
            self.item,
        )
        .await
    }

    /// Shows clients which bridge the room is part of, where the room's rules let the ghost.
    async fn mark_bridged(&self, conversation: &Conversation, phone: &str) -> Result<(), Trouble> {
        let state_key = content::network(conversation);
        let body = content::bridge(conversation, self.home.names.bot(), phone);
        let room = &self.item.room;
        let sent = self
            .home
            .api
            .send_state(self.ghost, room, content::BRIDGE, &state_key, &body)
            .await;
        match sent {
            Err(error) if matches!(error.kind(), ErrorKind::Retry { .. }) => Err(error.into()),
            Ok(_) | Err(_) => Ok(()),
        }
    }
}

/// Why the gateway could not text a handset, if so.
async fn reachable(
    gateway: &Gateway,
    handset: &Handset,
) -> Result<Result<(), Unplannable>, Trouble> {
    match handset.number() {
        Some(number) => Ok(gateway.route_to(number).await?.map(drop)),
        None => Ok(Err(Unplannable::InboundOnly)),
    }
}
