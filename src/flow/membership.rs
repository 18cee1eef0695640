//! Ghosts and bots come and go: invitations, kicks, encrypted rooms.

mod encrypted;
mod guest;
mod rooms;

use ruma::UserId;
use tracing::{debug, info};

pub(super) use self::encrypted::{leave_encrypted, refuse_encrypted, unreadable};
use self::guest::Guest;
use self::rooms::{catch_up, discover, say_and_leave};
pub(super) use self::rooms::{join, learn_room, leave};
use super::{Connected, Gateway, Trouble, bounds, portal};
use crate::gateway::model::{Conversation, Handset};
use crate::gateway::names::Who;
use crate::gateway::{notice, number};
use crate::matrix::event::MemberChange;
use crate::store::{InboxEvent, Lane, Member, Membership, NewOutbox, OutboxItem, RoomView};

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
