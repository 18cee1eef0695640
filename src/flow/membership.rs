//! Ghosts and bots come and go: invitations, kicks, encrypted rooms.

use ruma::{OwnedRoomId, UserId};
use serde_json::Value;
use tracing::{debug, info, warn};

use super::{Connected, Gateway, Trouble, bounds, inbox, portal, to_phone, upgrade};
use crate::gateway::model::{Conversation, Handset};
use crate::gateway::names::Who;
use crate::gateway::plan::Unplannable;
use crate::gateway::{content, notice, number};
use crate::matrix::event::MemberChange;
use crate::matrix::homeserver::ErrorKind;
use crate::store::{
    InboxEvent, Lane, Member, Membership, NewOutbox, OpenConversation, OutboxItem, RoomFacts,
    RoomView,
};

/// An `m.room.member` event.
pub(super) async fn handle(
    gateway: &Gateway,
    item: &InboxEvent,
    sender: &UserId,
    change: MemberChange,
) -> Result<(), Trouble> {
    let home = gateway.connected(&item.homeserver)?;
    let member = Member {
        user: change.user.clone(),
        membership: change.membership,
        display_name: change.display_name.clone(),
    };
    gateway
        .store
        .put_member(&item.homeserver, &item.room, member)
        .await?;
    let who = home.names.who(&change.user);
    let invited = change.membership == Membership::Invited && who != Who::Foreign;
    if invited
        && !gateway.is_ours(sender)
        && !bounds::may_invite(gateway, item, sender, &change.user).await?
    {
        return Ok(());
    }
    match (who, change.membership) {
        (Who::Foreign, _)
        | (Who::Misnamed { .. }, Membership::Joined)
        | (Who::Bot | Who::Misnamed { .. }, Membership::Gone) => Ok(()),
        (Who::Bot | Who::Ghost(_), Membership::Joined) => {
            discover(gateway, home, item, &change.user).await
        }
        (Who::Bot, Membership::Invited) => welcome_bot(gateway, home, item, sender).await,
        (Who::Ghost(handset), Membership::Invited) => {
            let guest = Guest {
                home,
                item,
                inviter: sender,
                ghost: &change.user,
            };
            guest.invited(gateway, handset, change.is_direct).await
        }
        (Who::Misnamed { why, meant }, Membership::Invited) => {
            let guest = Guest {
                home,
                item,
                inviter: sender,
                ghost: &change.user,
            };
            let meant = meant.as_deref().map(UserId::as_str);
            guest
                .decline(gateway, "Not a phone", &notice::misnamed(why, meant))
                .await
        }
        (Who::Ghost(handset), Membership::Gone) => gone(gateway, item, &handset).await,
    }
}

/// A message came that cannot be read. Anybody can say so of any message, so the room's state
/// decides whether it is encrypted.
pub(super) async fn unreadable(
    gateway: &Gateway,
    item: &InboxEvent,
    sender: &UserId,
) -> Result<(), Trouble> {
    let Some(room) = gateway.store.room(&item.homeserver, &item.room).await? else {
        return Ok(());
    };
    if room.facts.encrypted || is_encrypted(gateway, item, &room).await? {
        return leave_encrypted(gateway, item, sender).await;
    }
    to_phone::tell_refused(
        gateway,
        item,
        sender,
        &room.conversations,
        notice::unreadable(),
    )
    .await
}

/// What the homeserver says of a room's encryption, to whoever of ours is in it.
async fn is_encrypted(
    gateway: &Gateway,
    item: &InboxEvent,
    room: &RoomView,
) -> Result<bool, Trouble> {
    let home = gateway.connected(&item.homeserver)?;
    let phones = room.conversations.iter().map(|one| &*one.ghost);
    for user in phones.chain([home.names.bot()]) {
        match home.api.room_state(user, &item.room).await {
            Ok(state) => return Ok(state.encrypted),
            Err(error) if error.is_temporary() => return Err(error.into()),
            Err(_) => {}
        }
    }
    Ok(false)
}

/// The room is encrypted: every phone in it says so and leaves.
pub(super) async fn leave_encrypted(
    gateway: &Gateway,
    item: &InboxEvent,
    sender: &UserId,
) -> Result<(), Trouble> {
    gateway
        .store
        .set_encrypted(&item.homeserver, &item.room)
        .await?;
    let Some(room) = gateway.store.room(&item.homeserver, &item.room).await? else {
        return Ok(());
    };
    let home = gateway.connected(&item.homeserver)?;
    for conversation in &room.conversations {
        refuse_encrypted(gateway, home, item, conversation).await?;
    }
    let bot = home.names.bot();
    let is_bot = |member: &Member| member.user == bot && member.membership == Membership::Joined;
    if !room.facts.members.iter().any(is_bot) {
        return Ok(());
    }
    // Once for a room.
    let key = format!("encrypted:{}:{}", item.homeserver, item.room);
    let says = (notice::encrypted_bot(), Some(sender));
    bot_says(gateway, home, item, key, says).await
}

/// A phone says that it cannot read what is said in the room of `item`, leaves, and its
/// conversation ends.
pub(super) async fn refuse_encrypted(
    gateway: &Gateway,
    home: &Connected,
    item: &InboxEvent,
    conversation: &Conversation,
) -> Result<(), Trouble> {
    let words = notice::encrypted(&number::display(&conversation.handset));
    say_and_leave(gateway, home, &item.room, &conversation.ghost, &words, item).await?;
    end(gateway, conversation).await
}

/// The bot joins whoever invites it, and greets.
async fn welcome_bot(
    gateway: &Gateway,
    home: &Connected,
    item: &InboxEvent,
    inviter: &UserId,
) -> Result<(), Trouble> {
    let bot = home.names.bot();
    let name = &gateway.settings.gateway.public_name;
    gateway
        .ghosts
        .ensure(&*home.api, bot, || name.clone())
        .await?;
    if !join(gateway, home, (bot, name), &item.room).await? {
        return Ok(());
    }
    let (facts, _) = learn_room(gateway, home, item, bot).await?;
    debug!(
        members = facts.members.len(),
        "the bot joined a room of {}",
        inviter.server_name()
    );
    let text = if facts.encrypted {
        notice::encrypted_bot()
    } else {
        notice::greeting()
    };
    let key = format!("greeting:{}:{}", item.homeserver, item.event_id);
    bot_says(gateway, home, item, key, (text, None)).await?;
    catch_up(gateway, home, item, bot).await
}

/// Has the bot say something in the room of an event, or to this person where it cannot.
async fn bot_says(
    gateway: &Gateway,
    home: &Connected,
    item: &InboxEvent,
    key: String,
    (text, to): (String, Option<&UserId>),
) -> Result<(), Trouble> {
    let notice = OutboxItem::Notice {
        homeserver: item.homeserver.clone(),
        room: item.room.clone(),
        sender: home.names.bot().to_owned(),
        text,
        reply_to: None,
        to: to.map(ToOwned::to_owned),
    };
    let lane = Lane::Room(item.homeserver.clone(), item.room.clone());
    let entry = NewOutbox {
        key,
        lane,
        item: notice,
    };
    gateway.enqueue(entry).await
}

/// Handles what was said between an invitation and the join, of which the homeserver tells
/// nothing. Whatever comes again in a transaction is known by its event id.
async fn catch_up(
    gateway: &Gateway,
    home: &Connected,
    invitation: &InboxEvent,
    user: &UserId,
) -> Result<(), Trouble> {
    let since = home
        .api
        .events_since(user, &invitation.room, &invitation.event_id)
        .await?;
    for event in since {
        let missed = InboxEvent {
            event_id: event.event_id,
            json: event.json,
            ..invitation.clone()
        };
        match inbox::handle_said(gateway, &missed).await {
            Err(Trouble::Never(why)) => warn!(why, "an event from before a join is left out"),
            handled => handled?,
        }
    }
    Ok(())
}

/// Sees to ghosts that are in a room without a conversation. A room that was made for one, before
/// anybody could note it, is its room from now on. Any other (the conversation ended while the ghost
/// could not leave) says so and leaves, so that nothing said to it goes nowhere in silence. True where a
/// conversation has come into its room.
pub(super) async fn settle_stragglers(
    gateway: &Gateway,
    item: &InboxEvent,
    room: &RoomView,
) -> Result<bool, Trouble> {
    let home = gateway.connected(&item.homeserver)?;
    let mut found = false;
    for (member, handset) in stragglers(home, room) {
        if portal::find_own(gateway, home, &item.room, &member.user).await? {
            found = true;
            continue;
        }
        let words = notice::ended(&number::display(&handset));
        say_and_leave(gateway, home, &item.room, &member.user, &words, item).await?;
    }
    Ok(found)
}

/// True where there are ghosts in a room without a conversation.
pub(super) fn has_stragglers(gateway: &Gateway, room: &RoomView) -> Result<bool, Trouble> {
    let home = gateway.connected(&room.facts.homeserver)?;
    Ok(stragglers(home, room).next().is_some())
}

/// The ghosts that are in a room without a conversation.
fn stragglers<'a>(
    home: &'a Connected,
    room: &'a RoomView,
) -> impl Iterator<Item = (&'a Member, Handset)> {
    let is_served = |user: &UserId| room.conversations.iter().any(|one| one.ghost == user);
    let unserved =
        room.facts.members.iter().filter(move |member| {
            member.membership == Membership::Joined && !is_served(&member.user)
        });
    unserved.filter_map(|member| match home.names.who(&member.user) {
        Who::Ghost(handset) => Some((member, handset)),
        _ => None,
    })
}

/// A ghost that was invited.
struct Guest<'a> {
    home: &'a Connected,
    item: &'a InboxEvent,
    inviter: &'a UserId,
    ghost: &'a UserId,
}

impl Guest<'_> {
    async fn invited(
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
    async fn decline(&self, gateway: &Gateway, name: &str, words: &str) -> Result<(), Trouble> {
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

/// The ghost was kicked, banned, or left: its conversation in this room is over.
async fn gone(gateway: &Gateway, item: &InboxEvent, handset: &Handset) -> Result<(), Trouble> {
    let Some(room) = gateway.store.room(&item.homeserver, &item.room).await? else {
        return Ok(());
    };
    let ended = room
        .conversations
        .iter()
        .find(|one| one.handset == *handset);
    match ended {
        Some(conversation) => end(gateway, conversation).await,
        None => Ok(()),
    }
}

async fn end(gateway: &Gateway, conversation: &Conversation) -> Result<(), Trouble> {
    let cooling_off = gateway.cooling_off(conversation);
    gateway
        .store
        .end_conversation(conversation.id, cooling_off, gateway.clock.now())
        .await?;
    gateway.wakes.outbox.notify_one();
    info!(conversation = %conversation.id, "a conversation ended");
    Ok(())
}

/// Says something as a ghost and leaves with the same words as reason. Not being in the room any
/// more is fine.
async fn say_and_leave(
    gateway: &Gateway,
    home: &Connected,
    room: &OwnedRoomId,
    ghost: &UserId,
    words: &str,
    item: &InboxEvent,
) -> Result<(), Trouble> {
    let txn = format!(
        "{}-leave-{}-{}",
        gateway.store.instance(),
        item.seq,
        ghost.localpart()
    );
    let body: Value = content::notice(words, None);
    let said = home
        .api
        .send(ghost, room, "m.room.message", &txn, &body)
        .await;
    if let Err(error) = said
        && matches!(error.kind(), ErrorKind::Retry { .. })
    {
        return Err(error.into());
    }
    leave(home, ghost, room, words).await
}

/// Leaves. Not being in the room any more is fine.
pub(super) async fn leave(
    home: &Connected,
    ghost: &UserId,
    room: &OwnedRoomId,
    reason: &str,
) -> Result<(), Trouble> {
    match home.api.leave(ghost, room, Some(reason)).await {
        Ok(()) => Ok(()),
        Err(error) if matches!(error.kind(), ErrorKind::Retry { .. }) => Err(error.into()),
        Err(error) => {
            debug!(%error, "was not in the room any more");
            Ok(())
        }
    }
}

/// Joins as one of ours, whose display name is `name`. False where the room does not let them in
/// (any more). A homeserver that was restored from a backup may have lost the user, and says no
/// more of it than that it is forbidden: so the user is made again once.
pub(super) async fn join(
    gateway: &Gateway,
    home: &Connected,
    (user, name): (&UserId, &str),
    room: &OwnedRoomId,
) -> Result<bool, Trouble> {
    if enter(home, user, room).await? {
        return Ok(true);
    }
    gateway.ghosts.renew(&*home.api, user, name).await?;
    enter(home, user, room).await
}

async fn enter(home: &Connected, user: &UserId, room: &OwnedRoomId) -> Result<bool, Trouble> {
    match home.api.join(user, room).await {
        Ok(()) => Ok(true),
        Err(error) if matches!(error.kind(), ErrorKind::Forbidden | ErrorKind::NotFound) => {
            debug!(%error, "this room does not let us in");
            Ok(false)
        }
        Err(error) => Err(error.into()),
    }
}

/// One of ours is in a room that nothing is known of: one that the gateway has just made.
async fn discover(
    gateway: &Gateway,
    home: &Connected,
    item: &InboxEvent,
    user: &UserId,
) -> Result<(), Trouble> {
    if gateway
        .store
        .room(&item.homeserver, &item.room)
        .await?
        .is_some()
    {
        return Ok(());
    }
    match learn_room(gateway, home, item, user).await {
        // It has left again; whatever it was there for is over.
        Err(Trouble::Never(_)) => Ok(()),
        learnt => learnt.map(drop),
    }
}

/// Reads the whole state of a room that one of ours has joined. Gives, beside what the store keeps
/// of it, the room that it says it continues.
pub(super) async fn learn_room(
    gateway: &Gateway,
    home: &Connected,
    item: &InboxEvent,
    user: &UserId,
) -> Result<(RoomFacts, Option<OwnedRoomId>), Trouble> {
    let state = home.api.room_state(user, &item.room).await?;
    let facts = RoomFacts {
        homeserver: item.homeserver.clone(),
        room: item.room.clone(),
        encrypted: state.encrypted,
        members: state.members,
    };
    gateway.store.put_room(facts.clone()).await?;
    Ok((facts, state.predecessor))
}
